#![doc = include_str!("../README.md")]

pub mod capability;
pub mod catalog;
mod check;
pub mod classify;
mod error;
pub mod image;
pub mod options;
mod passthrough;
pub mod plan;
pub mod price;
pub mod redact;
pub mod registry;
pub mod size;
mod types;
mod wire;

pub use capability::default_limit;
pub use catalog::{ModelEntry, catalog, catalog_of};
pub use check::check_config;
pub use error::{Accepted, Advice, Kind, ProviderError};
pub use image::ImageAdapter;
pub use plan::{Plan, PlanRequest, plan};
pub use types::{
    About, ActualCost, AuthScheme, Body, Flow, FormatContext, Formatted, JobResult, JobStatus,
    MalformedSecret, OutboundRequest, ParseContext, Parsed, Phase, ProbeReport, ProviderSecret,
    RawResponse, Submission,
};

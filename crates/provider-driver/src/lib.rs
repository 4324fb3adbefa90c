#![doc = include_str!("../README.md")]

mod download;
mod driver;
mod permit;
mod reader;
mod schedule;

pub use download::{DOWNLOAD_PORT, Download, MAX_FILE_BYTES};
pub use driver::Driver;
pub use permit::{LeaseGrant, SubmitPermit};
pub use provider_adapters::{
    JobResult, JobStatus, ProbeReport, ProviderError, ProviderSecret, Submission,
};
pub use reader::BufferingReader;
pub use schedule::{POLL_FOR_MS, PollSchedule};

#![doc = include_str!("../README.md")]

mod config;
mod credential_host;
mod generate;
mod ids;
mod image;
mod job;
mod ledger;
mod limiter;
mod limiter_state;
mod openai;
mod principal;
mod queue;
mod resolve;
mod running;
mod secret;
mod time;
pub mod url_guard;
mod validate;

pub use config::*;
pub use generate::*;
pub use ids::*;
pub use image::*;
pub use job::*;
pub use ledger::*;
pub use limiter::*;
pub use limiter_state::*;
pub use openai::*;
pub use principal::*;
pub use queue::*;
pub use resolve::*;
pub use running::*;
pub use secret::{Ciphertext, Secret};
pub use time::Timestamp;
pub use validate::{
    ADAPTERS, MAX_CONFIG_BYTES, NO_PROVIDER, Problem, ValidateContext, config_schema,
    validate_config,
};

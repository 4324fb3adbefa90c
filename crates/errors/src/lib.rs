#![doc = include_str!("../README.md")]

mod breaker;
mod code;
mod error;
mod render;
mod retry;

pub use breaker::{Breaker, BreakerConfig, Decision, Trip};
pub use code::{Code, Retry};
pub use error::{Error, Result};
pub use render::ErrorBody;
pub use retry::{Backoff, RetryBudget, RetryOptions, Step, Stop};

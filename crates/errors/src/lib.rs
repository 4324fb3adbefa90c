#![doc = include_str!("../README.md")]

mod breaker;
mod cause;
mod code;
mod error;
mod render;
mod retry;
mod timeout;

pub use breaker::{Breaker, BreakerConfig, Decision, Trip};
pub use cause::Cause;
pub use code::{Code, Retry};
pub use error::{Error, Result};
pub use render::ErrorBody;
pub use retry::{Backoff, Jitter, RetryBudget, RetryOptions, SharedBudget, Step, Stop, with_retry};
pub use timeout::{Elapsed, with_timeout};

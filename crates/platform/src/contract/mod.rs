//! What each port promises, as functions that run on any implementation of it.
//!
//! In scope: promises that callers rely on, each with a name. The functions run on the fakes in
//! `tests/contract.rs`, and on workerd behind a test-only route, so nothing here needs a native library.
//! Out of scope: faults, which only fakes can produce on demand.

mod database;
mod http_client;
mod kv;
mod objects;
mod runtime;
mod storage;

pub use database::database;
pub use http_client::{HttpPeers, http_client};
pub use kv::kv;
pub use objects::objects;
pub use runtime::{actors, background, clock, queue, random};
pub use storage::storage;

/// `Err` names the first broken promise.
pub type Verdict = Result<(), String>;

fn holds(promise: &str, condition: bool) -> Verdict {
    if condition {
        Ok(())
    } else {
        Err(promise.to_owned())
    }
}

fn equal<T: PartialEq + std::fmt::Debug>(promise: &str, got: &T, wanted: &T) -> Verdict {
    if got == wanted {
        Ok(())
    } else {
        Err(format!("{promise}: {got:?} instead of {wanted:?}"))
    }
}

/// The value of a step that must not fail.
fn step<T, E: std::fmt::Debug>(name: &str, result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| format!("{name} failed: {error:?}"))
}

/// The error of a step that must fail.
fn refusal<T, E>(promise: &str, result: Result<T, E>) -> Result<E, String> {
    match result {
        Ok(_) => Err(format!("{promise}: it was accepted")),
        Err(error) => Ok(error),
    }
}

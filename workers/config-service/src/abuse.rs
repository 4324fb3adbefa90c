//! The shield against guessing keys: failures are counted by a rate-limit binding, blocked addresses are remembered.
//!
//! In scope: what is counted, how long a block lasts. Out of scope: exactness; the binding counts per location and
//! roughly. A guesser's address is blocked, never the owner of the key.

use crate::memory::Memory;
use api_types::{KeyId, Timestamp};
use errors::{Code, Error, Result};
use std::future::Future;

/// How long an address stays blocked, in milliseconds.
const BLOCK_MS: i64 = 60_000;

/// Counts events by key.
pub trait AbuseGuard: Clone + Send + Sync + 'static {
    /// Counts one event; false when there were too many lately.
    fn admit(&self, key: &str) -> impl Future<Output = bool> + Send;
}

fn too_many() -> Error {
    Error::new(
        Code::TooManyAuthFailures,
        "Too many wrong keys came from this address.",
    )
    .with_retry_after_ms(BLOCK_MS.unsigned_abs())
}

/// Refuses an address that is blocked. No I/O.
///
/// # Errors
/// 429 `too_many_auth_failures`.
pub fn check(memory: &Memory, address: Option<&str>, now: Timestamp) -> Result<()> {
    match address {
        Some(address) if memory.is_blocked(address, now) => Err(too_many()),
        _ => Ok(()),
    }
}

/// Counts a failed verification and gives what to answer: `refusal`, or 429.
pub async fn failed(
    guard: &impl AbuseGuard,
    memory: &Memory,
    key_id: &KeyId,
    address: Option<&str>,
    now: Timestamp,
    refusal: Error,
) -> Error {
    let Some(address) = address else {
        return refusal;
    };
    let pair = guard.admit(&format!("{key_id}|{address}")).await;
    let alone = guard.admit(address).await;
    if pair && alone {
        return refusal;
    }
    memory.block(address, now.plus_ms(BLOCK_MS));
    too_many()
}

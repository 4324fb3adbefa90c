#![doc = include_str!("../README.md")]
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test harness: what fails here must fail the test, and it measures real time"
)]

mod client;
mod ledger;
mod logs;
mod sim;
mod stack;

pub use client::{Answer, Client};
pub use ledger::Ledger;
pub use sim::Sim;
pub use stack::{Ids, Keys, Options, Stack};

use std::future::Future;
use std::time::{Duration, Instant};

/// Polls until `check` gives something, for at most `limit_s` seconds.
///
/// # Panics
/// When the time is over; the message names `what`.
pub async fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    limit_s: u64,
    mut check: impl FnMut() -> F,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(
            start.elapsed() < Duration::from_secs(limit_s),
            "waited {limit_s} s for {what}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits for an instant that is itself the subject of a test: the seeded point of a kill or a disconnect. Everything
/// else polls for a state with [`until`].
pub async fn seeded_point(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

/// What is left when `list` is empty or `limit_s` seconds are over: what ended a moment ago is still on its way to the
/// ledger. Blocking, because it is asked while a stack is dropped.
pub(crate) fn settled<T>(limit_s: u64, mut list: impl FnMut() -> Vec<T>) -> Vec<T> {
    let start = Instant::now();
    loop {
        let left = list();
        if left.is_empty() || start.elapsed() >= Duration::from_secs(limit_s) {
            return left;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

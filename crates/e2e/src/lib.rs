#![doc = include_str!("../README.md")]
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test harness: what fails here must fail the test, and it measures real time"
)]

mod browser;
mod client;
mod control;
mod copies;
mod ledger;
mod logs;
mod raw;
mod sim;
mod stack;
mod upstream;

pub use browser::Browser;
pub use client::{Answer, Client};
pub use control::Control;
pub use copies::Copies;
pub use ledger::Ledger;
pub use raw::{RawAnswer, open, raw};
pub use sim::Sim;
pub use stack::{Ids, Keys, Options, Stack};
pub use upstream::{Frame, Seen, Upstream};

use std::future::Future;
use std::time::{Duration, Instant};

/// How much longer than on an idle machine a wait may take. A limit only ends a journey whose state never comes; no journey
/// fails because its machine is slow.
const SLOW_MACHINE: u64 = 5;

/// Polls until `check` gives something. `limit_s` is what an idle machine never needs, in seconds.
///
/// # Panics
/// When five times that time is over; the message names `what`.
pub async fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    limit_s: u64,
    mut check: impl FnMut() -> F,
) -> T {
    let start = Instant::now();
    let limit_s = limit_s * SLOW_MACHINE;
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

/// Points before `max_ms`, drawn like the schedule of a fuzzer: the same seed, the same points.
pub fn seeded_points(seed: u64, count: usize, max_ms: u64) -> Vec<u64> {
    let mut state = seed;
    (0..count)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % max_ms
        })
        .collect()
}

/// A number from the environment, such as `E2E_SEED`.
pub fn asked_for(name: &str, otherwise: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(otherwise)
}

/// What is left when `list` is empty or five times `limit_s` seconds are over: what ended a moment ago is still on its way to the
/// ledger. Blocking, because it is asked while a stack is dropped.
pub(crate) fn settled<T>(limit_s: u64, mut list: impl FnMut() -> Vec<T>) -> Vec<T> {
    let start = Instant::now();
    loop {
        let left = list();
        if left.is_empty() || start.elapsed() >= Duration::from_secs(limit_s * SLOW_MACHINE) {
            return left;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

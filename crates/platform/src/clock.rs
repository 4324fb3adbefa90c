//! Time as a port.

use std::future::Future;

/// Wall clock and timers.
pub trait Clock: Clone + Send + Sync + 'static {
    /// Milliseconds since the Unix epoch. On Workers it stands still between I/O.
    fn now_ms(&self) -> i64;

    /// Resolves after at least that many milliseconds.
    fn sleep(&self, ms: u64) -> impl Future<Output = ()> + Send;
}

//! Work that outlives the answer.

use std::future::Future;

/// Runs futures after the response; on Workers for at most 30 s (`waitUntil`).
pub trait Background: Clone + Send + Sync + 'static {
    /// Starts it. Nothing that bills may depend on it.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static);
}

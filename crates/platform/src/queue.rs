//! The message queue: at least once, no order, may lose everything locally.

use crate::PortError;
use std::future::Future;

/// Sends messages; receiving is the worker's queue event.
pub trait MessageQueue: Clone + Send + Sync + 'static {
    /// Sends one JSON text of at most 128 KB.
    fn send(&self, body: &str) -> impl Future<Output = Result<(), PortError>> + Send;
}

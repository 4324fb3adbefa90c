//! What correlates one request over all hops.

/// Goes into every service call, actor command, queue message and log line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallContext {
    /// The request id (UUID).
    pub request_id: String,
    /// W3C `traceparent` of the current span; empty when unknown.
    pub traceparent: String,
}

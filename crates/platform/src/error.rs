//! The failure of a port: which one, and a text for the log.

/// A port did not do what it was asked. Whether it has persisted is unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortError {
    /// The port: `kv`, `objects`, `queue`.
    pub port: &'static str,
    /// The runtime's text; for the log only.
    pub cause: String,
}

impl PortError {
    /// A failure of that port.
    pub fn new(port: &'static str, cause: impl Into<String>) -> Self {
        Self {
            port,
            cause: cause.into(),
        }
    }
}

impl std::fmt::Display for PortError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.port, self.cause)
    }
}

impl std::error::Error for PortError {}

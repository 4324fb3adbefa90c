//! How a command ends: an exit code of the fixed table and one sentence for people.

use std::fmt;

/// Exit codes of `cargo x`, the same for every command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Something failed.
    Failed = 1,
    /// Differences were found.
    Differences = 2,
    /// The input, or the machine, cannot work; the message says what to do.
    InvalidInput = 3,
    /// Refused: a lock, a live session, an edited migration.
    Refused = 4,
}

/// Why a command ended early.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The code that the process ends with.
    pub exit: Exit,
    /// What happened and what to do, without a trailing full stop.
    pub message: String,
}

/// The result of everything in this package that can fail.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// Ends with 1.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// Ends with 3.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Exit::InvalidInput, message)
    }

    /// Ends with 4.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(Exit::Refused, message)
    }

    fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Adds what was being done to a foreign error.
pub trait Context<T> {
    /// Turns the error into a [`Failure`] that starts with `doing`.
    fn context(self, doing: impl fmt::Display) -> Result<T>;
}

impl<T, E: fmt::Display> Context<T> for Result<T, E> {
    fn context(self, doing: impl fmt::Display) -> Result<T> {
        self.map_err(|error| Failure::failed(format!("{doing}: {error}")))
    }
}

impl<T> Context<T> for Option<T> {
    fn context(self, doing: impl fmt::Display) -> Result<T> {
        self.ok_or_else(|| Failure::failed(doing.to_string()))
    }
}

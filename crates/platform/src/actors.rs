//! Single-writer objects (Durable Objects): commands to them, and the storage inside them.

use crate::{CallContext, PortError, Row, SqlValue};
use std::future::Future;

/// The answer of an actor to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActorReply {
    /// HTTP status.
    pub status: u16,
    /// JSON text.
    pub body: String,
}

/// No answer: the command may have been executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActorError {
    /// The platform says that the object is overloaded: do not repeat.
    pub overloaded: bool,
    /// The runtime's text; for the log only.
    pub cause: String,
}

/// The objects of one class.
pub trait Actors: Clone + Send + Sync + 'static {
    /// Sends `POST /v1/{command}` with a JSON body to the object of that name.
    fn call(
        &self,
        name: &str,
        command: &str,
        body: String,
        context: &CallContext,
    ) -> impl Future<Output = Result<ActorReply, ActorError>> + Send;
}

/// The storage of one object: synchronous SQLite and one alarm.
pub trait ActorStorage {
    /// Runs one statement and returns its rows.
    fn exec(&self, sql: &str, params: &[SqlValue]) -> Result<Vec<Row>, PortError>;

    /// Runs `work` in one transaction, rolled back when it returns an error.
    fn transaction<T>(&self, work: impl FnOnce() -> Result<T, PortError>) -> Result<T, PortError>;

    /// When the alarm is set for, in milliseconds since the epoch.
    fn get_alarm(&self) -> impl Future<Output = Result<Option<i64>, PortError>>;

    /// Sets the one alarm, replacing an earlier one.
    fn set_alarm(&self, at_ms: i64) -> impl Future<Output = Result<(), PortError>>;

    /// Removes the alarm.
    fn delete_alarm(&self) -> impl Future<Output = Result<(), PortError>>;
}

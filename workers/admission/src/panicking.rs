//! The limiter object's storage in the probe build, which panics at one of two places of a command that asks for it.
//!
//! In scope: the marks in a command by which ring 5 chooses the place. Out of scope: anything a product may rely on; shipped
//! builds do not contain this file.

use platform::{ActorStorage, PortError, Row, SqlValue};
use platform_workers::WorkerStorage;
use std::future::Future;
use worker::State;

/// An attempt of this lease panics where it is looked up: the object has taken its memory out and is deciding.
const WHILE_DECIDING: &str = "00000000-dead-7000-8000-000000000000";
/// An attempt of this model panics once its row is written: the transaction is open.
const WHILE_WRITING: &str = "panic-while-writing";

/// [`WorkerStorage`] with the two places.
#[derive(Clone, Debug)]
pub(crate) struct PanickingStorage(WorkerStorage);

impl PanickingStorage {
    pub(crate) fn new(state: &State) -> Result<Self, PortError> {
        WorkerStorage::new(state).map(Self)
    }
}

fn panic_if_marked(params: &[SqlValue], mark: &str) {
    let marked = |param: &SqlValue| matches!(param, SqlValue::Text(text) if text == mark);
    assert!(!params.iter().any(marked), "asked for by the command");
}

impl ActorStorage for PanickingStorage {
    fn exec(&self, sql: &str, params: &[SqlValue]) -> Result<Vec<Row>, PortError> {
        panic_if_marked(params, WHILE_DECIDING);
        let rows = self.0.exec(sql, params);
        panic_if_marked(params, WHILE_WRITING);
        rows
    }

    fn transaction<T>(&self, work: impl FnOnce() -> Result<T, PortError>) -> Result<T, PortError> {
        self.0.transaction(work)
    }

    fn get_alarm(&self) -> impl Future<Output = Result<Option<i64>, PortError>> {
        self.0.get_alarm()
    }

    fn set_alarm(&self, at_ms: i64) -> impl Future<Output = Result<(), PortError>> {
        self.0.set_alarm(at_ms)
    }

    fn delete_alarm(&self) -> impl Future<Output = Result<(), PortError>> {
        self.0.delete_alarm()
    }
}

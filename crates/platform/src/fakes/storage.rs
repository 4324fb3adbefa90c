//! The storage inside one actor.

use super::sqlite;
use super::world::{World, lock};
use crate::{ActorStorage, Clock, PortError, Row, SqlValue};
use rusqlite::Connection;
use std::sync::{Arc, Mutex};

/// SQLite in memory and one alarm. Faults: `storage`, `storage.exec`, `.set_alarm`, `.get_alarm`, `.delete_alarm`.
#[derive(Clone)]
pub struct FakeStorage {
    world: World,
    connection: Arc<Mutex<Connection>>,
    alarm_ms: Arc<Mutex<Option<i64>>>,
}

impl FakeStorage {
    /// Empty storage without an alarm.
    pub fn new(world: &World) -> Result<Self, PortError> {
        Ok(Self {
            world: world.clone(),
            connection: Arc::new(Mutex::new(sqlite::open().map_err(failed)?)),
            alarm_ms: Arc::default(),
        })
    }

    /// The same storage in another world.
    #[must_use]
    pub fn with_world(&self, world: &World) -> Self {
        Self {
            world: world.clone(),
            ..self.clone()
        }
    }

    /// The alarm as it stands, past faults.
    pub fn alarm_ms(&self) -> Option<i64> {
        *lock(&self.alarm_ms)
    }

    /// Takes the alarm if it is due: as on the platform it is gone before its handler runs.
    pub fn take_due_alarm(&self) -> bool {
        let now_ms = self.world.clock.now_ms();
        let mut alarm_ms = lock(&self.alarm_ms);
        let due = alarm_ms.is_some_and(|at_ms| at_ms <= now_ms);
        if due {
            *alarm_ms = None;
        }
        due
    }

    /// Uses the connection directly, past faults.
    pub fn with<T>(&self, work: impl FnOnce(&Connection) -> T) -> T {
        work(&lock(&self.connection))
    }

    fn control(&self, sql: &str) -> Result<(), PortError> {
        let done = self.with(|connection| connection.execute_batch(sql));
        done.map_err(|error| failed(sqlite::text(&error)))
    }

    async fn alarm<T>(
        &self,
        operation: &str,
        work: impl FnOnce(&mut Option<i64>) -> T,
    ) -> Result<T, PortError> {
        let leaving = self.world.enter("storage", operation).await;
        let leaving = leaving.map_err(failed)?;
        let done = work(&mut lock(&self.alarm_ms));
        leaving.leave().map_err(failed)?;
        Ok(done)
    }
}

impl std::fmt::Debug for FakeStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FakeStorage(alarm {:?})", self.alarm_ms())
    }
}

fn failed(cause: impl Into<String>) -> PortError {
    PortError::new("storage", cause)
}

impl ActorStorage for FakeStorage {
    fn exec(&self, sql: &str, params: &[SqlValue]) -> Result<Vec<Row>, PortError> {
        let leaving = self.world.enter_now("storage", "exec").map_err(failed)?;
        let rows = self.with(|connection| sqlite::run(connection, sql, params));
        let rows = rows.map_err(failed)?;
        leaving.leave().map_err(failed)?;
        Ok(rows.rows)
    }

    fn transaction<T>(&self, work: impl FnOnce() -> Result<T, PortError>) -> Result<T, PortError> {
        self.control("SAVEPOINT work")?;
        let done = work();
        match &done {
            Ok(_) => self.control("RELEASE work")?,
            Err(_) => self.control("ROLLBACK TO work; RELEASE work")?,
        }
        done
    }

    async fn get_alarm(&self) -> Result<Option<i64>, PortError> {
        self.alarm("get_alarm", |alarm_ms| *alarm_ms).await
    }

    async fn set_alarm(&self, at_ms: i64) -> Result<(), PortError> {
        self.alarm("set_alarm", |alarm_ms| *alarm_ms = Some(at_ms))
            .await
    }

    async fn delete_alarm(&self) -> Result<(), PortError> {
        self.alarm("delete_alarm", |alarm_ms| *alarm_ms = None)
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_due_alarm_is_taken_once() {
        let world = World::manual();
        let storage = FakeStorage::new(&world).unwrap();
        let at_ms = world.clock.now_ms() + 100;
        storage.set_alarm(at_ms).await.unwrap();
        assert!(!storage.take_due_alarm());
        world.clock.advance(100);
        assert!(storage.take_due_alarm());
        assert!(!storage.take_due_alarm());
    }
}

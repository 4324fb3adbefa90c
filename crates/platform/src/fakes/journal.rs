//! What ran through one handle of the database, batch by batch.

use super::world::lock;
use crate::{Rows, Statement};
use std::sync::{Arc, Mutex};

/// One statement of a batch that was committed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ran {
    /// Its text.
    pub sql: String,
    /// Which batch it was in, counted from 1: each is one round trip.
    pub batch: u64,
    /// As in [`Rows`].
    pub rows_read: u64,
    /// As in [`Rows`].
    pub rows_written: u64,
    /// Rows that it changed.
    pub changes: u64,
    /// Steps of SQLite's machine: unlike `rows_read` they grow with every row that an index walk visits.
    pub steps: u64,
}

/// Keeps the committed batches of one handle, also those whose answer was lost.
#[derive(Clone, Debug, Default)]
pub struct Journal(Arc<Mutex<Vec<Ran>>>);

impl Journal {
    /// How many statements ran so far: a place for [`Journal::since`].
    pub fn place(&self) -> usize {
        lock(&self.0).len()
    }

    /// The statements behind that place, in order.
    pub fn since(&self, place: usize) -> Vec<Ran> {
        lock(&self.0).get(place..).unwrap_or_default().to_vec()
    }

    /// What was changed: of each batch that changed something the statements that did.
    pub fn written(&self) -> Vec<Vec<Ran>> {
        let mut batches: Vec<Vec<Ran>> = Vec::new();
        for ran in lock(&self.0).iter().filter(|ran| ran.changes > 0) {
            match batches.last_mut() {
                Some(batch) if batch.iter().any(|other| other.batch == ran.batch) => {
                    batch.push(ran.clone());
                }
                _ => batches.push(vec![ran.clone()]),
            }
        }
        batches
    }

    pub(super) fn note(&self, statements: &[Statement], results: &[(Rows, u64)]) {
        let mut kept = lock(&self.0);
        let batch = kept.last().map_or(1, |last| last.batch + 1);
        let all = statements.iter().zip(results);
        kept.extend(all.map(|(statement, (rows, steps))| Ran {
            sql: statement.sql.clone().into_owned(),
            batch,
            rows_read: rows.rows_read,
            rows_written: rows.rows_written,
            changes: rows.changes,
            steps: *steps,
        }));
    }
}

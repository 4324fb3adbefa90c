//! Reads D1 `ledger` from its file: what the product has recorded, without asking the product.

use crate::control;
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};

/// The ledger of one stack.
#[derive(Clone, Debug)]
pub struct Ledger {
    state: PathBuf,
}

impl Ledger {
    /// The one below that folder of state.
    pub fn new(state: &Path) -> Self {
        Self {
            state: state.to_owned(),
        }
    }

    fn open(&self) -> Vec<Connection> {
        control::d1_files(&self.state)
            .iter()
            .filter_map(|path| {
                Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()
            })
            .filter(|database| database.prepare("SELECT 1 FROM usage_logs LIMIT 1").is_ok())
            .collect()
    }

    /// Rows of a query over every ledger of the stack, each row as texts.
    pub fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        self.open()
            .iter()
            .flat_map(|database| control::texts(database, sql))
            .collect()
    }

    /// Jobs that are not final, as far as the ledger knows.
    pub fn unfinished_jobs(&self) -> Vec<String> {
        let sql = "SELECT job_id || ' ' || state FROM jobs WHERE state IN ('queued','running')";
        self.rows(sql).into_iter().flatten().collect()
    }
}

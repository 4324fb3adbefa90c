//! Reads D1 `ledger` from its file: what the product has recorded, without asking the product.

use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};

/// The ledger of one stack.
#[derive(Clone, Debug)]
pub struct Ledger {
    state: PathBuf,
}

impl Ledger {
    pub(crate) fn new(state: &Path) -> Self {
        Self {
            state: state.to_owned(),
        }
    }

    fn files(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                Self::files(&path, found);
            } else if path
                .extension()
                .is_some_and(|extension| extension == "sqlite")
            {
                found.push(path);
            }
        }
    }

    fn open(&self) -> Vec<Connection> {
        let mut found = Vec::new();
        Self::files(&self.state, &mut found);
        found
            .iter()
            .filter(|path| path.to_string_lossy().contains("d1"))
            .filter_map(|path| {
                Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()
            })
            .filter(|database| database.prepare("SELECT 1 FROM usage_logs LIMIT 1").is_ok())
            .collect()
    }

    /// Rows of a query over every ledger of the stack, each row as texts.
    pub fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let mut all = Vec::new();
        for database in self.open() {
            let Ok(mut statement) = database.prepare(sql) else {
                continue;
            };
            let columns = statement.column_count();
            let Ok(mut rows) = statement.query([]) else {
                continue;
            };
            while let Ok(Some(row)) = rows.next() {
                let text = |at| match row.get_ref(at) {
                    Ok(rusqlite::types::ValueRef::Integer(value)) => value.to_string(),
                    Ok(rusqlite::types::ValueRef::Real(value)) => value.to_string(),
                    Ok(rusqlite::types::ValueRef::Text(value)) => {
                        String::from_utf8_lossy(value).into_owned()
                    }
                    _ => String::new(),
                };
                all.push((0..columns).map(text).collect());
            }
        }
        all
    }

    /// Jobs that are not final, as far as the ledger knows.
    pub fn unfinished_jobs(&self) -> Vec<String> {
        let sql = "SELECT job_id || ' ' || state FROM jobs WHERE state IN ('queued','running')";
        self.rows(sql).into_iter().flatten().collect()
    }
}

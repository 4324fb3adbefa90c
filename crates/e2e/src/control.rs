//! D1 `control` as a file: reads what the product has stored, and, while the runtime is paused, stores what a journey
//! needs in amounts that nobody enters over HTTP.

use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};

/// The control database of one stack.
#[derive(Clone, Debug)]
pub struct Control {
    state: PathBuf,
}

impl Control {
    pub(crate) fn new(state: &Path) -> Self {
        Self {
            state: state.to_owned(),
        }
    }

    fn find(&self, flags: OpenFlags) -> (PathBuf, Connection) {
        let is_control = |(_, database): &(PathBuf, Connection)| {
            database
                .prepare("SELECT 1 FROM provider_credentials LIMIT 1")
                .is_ok()
        };
        d1_files(&self.state)
            .into_iter()
            .filter_map(|path| Some((path.clone(), Connection::open_with_flags(path, flags).ok()?)))
            .find(is_control)
            .expect("the state has a control database")
    }

    fn open(&self, flags: OpenFlags) -> Connection {
        self.find(flags).1
    }

    /// Becomes a copy of another one, which may be in use. Only while the runtime is paused.
    ///
    /// # Panics
    /// When the files cannot be written.
    pub fn become_copy_of(&self, other: &Self) {
        let (path, database) = self.find(OpenFlags::SQLITE_OPEN_READ_WRITE);
        drop(database);
        let copy = path.with_extension("copy");
        let source = other.open(OpenFlags::SQLITE_OPEN_READ_ONLY);
        let made = source.execute("VACUUM INTO ?1", [copy.to_string_lossy()]);
        made.expect("a consistent copy");
        // What the old file's journal holds is not the new file's.
        for journal in ["sqlite-wal", "sqlite-shm"] {
            let _ = std::fs::remove_file(path.with_extension(journal));
        }
        std::fs::rename(copy, path).expect("renamed");
    }

    /// Rows of a query, each as texts.
    pub fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        texts(&self.open(OpenFlags::SQLITE_OPEN_READ_ONLY), sql)
    }

    /// Changes it in one transaction. Only while the runtime is paused.
    ///
    /// # Panics
    /// When a statement is refused.
    pub fn write(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<()>) {
        let mut database = self.open(OpenFlags::SQLITE_OPEN_READ_WRITE);
        let transaction = database.transaction().expect("a transaction");
        work(&transaction).expect("every statement is accepted");
        transaction.commit().expect("committed");
    }
}

/// All files of D1 databases below the state.
pub(crate) fn d1_files(state: &Path) -> Vec<PathBuf> {
    sqlite_files(state, "d1")
}

/// Files of the databases that the runtime keeps for one of its products.
pub(crate) fn sqlite_files(state: &Path, product: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    files(state, &mut found);
    found.retain(|path| {
        let inside = path.strip_prefix(state).unwrap_or(path);
        inside.iter().any(|part| part == product)
    });
    found
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "sqlite")
        {
            found.push(path);
        }
    }
}

/// Rows of a query, each as texts; none when the database does not know its tables.
pub(crate) fn texts(database: &Connection, sql: &str) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    let Ok(mut statement) = database.prepare(sql) else {
        return all;
    };
    let columns = statement.column_count();
    let Ok(mut rows) = statement.query([]) else {
        return all;
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
    all
}

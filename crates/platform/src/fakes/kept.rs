//! Everything that the fakes hold, as texts: for tests that look for what must not be held.

use super::{FakeKv, FakeObjects, FakePorts, FakeStorage, SqliteDatabase, Watch};
use rusqlite::Connection;
use rusqlite::types::ValueRef;

/// One text and where it is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// What kind of place: `row`, `copy`, `object`, `message`, `actor row`.
    pub kind: &'static str,
    /// `table.column`, the key, or the like.
    pub place: String,
    /// The value.
    pub bytes: Vec<u8>,
}

fn kept(kind: &'static str, place: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Kept {
    Kept {
        kind,
        place: place.into(),
        bytes: bytes.into(),
    }
}

/// Every column of every row of every table.
fn columns(connection: &Connection, kind: &'static str) -> rusqlite::Result<Vec<Kept>> {
    let mut tables = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?;
    let tables: Vec<String> = tables
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut all = Vec::new();
    for table in tables {
        let mut statement = connection.prepare(&format!("SELECT * FROM \"{table}\""))?;
        let names: Vec<String> = statement
            .column_names()
            .iter()
            .map(|name| format!("{table}.{name}"))
            .collect();
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            for (at, place) in names.iter().enumerate() {
                let bytes = match row.get_ref(at)? {
                    ValueRef::Null => continue,
                    ValueRef::Integer(number) => number.to_string().into_bytes(),
                    ValueRef::Real(number) => number.to_string().into_bytes(),
                    ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.to_vec(),
                };
                all.push(kept(kind, place, bytes));
            }
        }
    }
    Ok(all)
}

/// The columns, or why they cannot be read: a text that no test takes for an empty table.
fn columns_of(connection: &Connection, kind: &'static str) -> Vec<Kept> {
    columns(connection, kind)
        .unwrap_or_else(|error| vec![kept("unreadable", "", error.to_string())])
}

impl SqliteDatabase {
    /// Every column of every row.
    pub fn kept(&self) -> Vec<Kept> {
        self.with(|connection| columns_of(connection, "row"))
    }
}

impl FakeStorage {
    /// Every column of every row.
    pub fn kept(&self) -> Vec<Kept> {
        self.with(|connection| columns_of(connection, "actor row"))
    }
}

impl FakeKv {
    /// Keys and values, also those that were overwritten.
    pub fn kept(&self) -> Vec<Kept> {
        let versions = self.everything();
        let texts = versions
            .into_iter()
            .map(|(key, value)| kept("copy", key.clone(), format!("{key} {value}")));
        texts.collect()
    }
}

impl FakeObjects {
    /// Keys, types and metadata; not the bodies.
    pub fn kept(&self) -> Vec<Kept> {
        let objects = self.infos();
        let texts = objects.into_iter().map(|info| {
            let pairs: Vec<String> = info
                .metadata
                .iter()
                .map(|(name, value)| format!("{name}: {value}"))
                .collect();
            let text = format!("{}\n{}\n{}", info.key, info.content_type, pairs.join("\n"));
            kept("object", info.key, text)
        });
        texts.collect()
    }
}

impl FakePorts {
    /// What database, key-value store, bucket and queue hold.
    pub fn kept(&self) -> Vec<Kept> {
        let mut all = self.database.kept();
        all.extend(self.kv.kept());
        all.extend(self.objects.kept());
        let sent = self.queue.sent().into_iter();
        all.extend(sent.map(|message| kept("message", "", message)));
        all
    }
}

impl Watch {
    /// Looks at all of it but the places that `open` names, whose leaks are known and tracked elsewhere.
    pub fn look_at(&self, all: &[Kept], open: &[&str]) {
        let closed = all.iter().filter(|it| !open.contains(&it.place.as_str()));
        for it in closed {
            self.look(it.kind, &it.place, &it.bytes);
        }
    }
}

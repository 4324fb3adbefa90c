//! The copies of instance configurations in KV, read from the files in which the local runtime keeps it.

use crate::control::{sqlite_files, texts};
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How `lookup` names a copy.
const PREFIX: &str = "cfg:v1:";

/// KV of one stack.
#[derive(Clone, Debug)]
pub struct Copies {
    state: PathBuf,
}

impl Copies {
    pub(crate) fn new(state: &Path) -> Self {
        Self {
            state: state.to_owned(),
        }
    }

    /// Version of each copy by instance.
    ///
    /// # Panics
    /// When the runtime keeps KV in another form than this reads.
    pub fn versions(&self) -> BTreeMap<String, i64> {
        let mut versions = BTreeMap::new();
        let files = sqlite_files(&self.state, "kv");
        assert!(!files.is_empty(), "no KV below {}", self.state.display());
        for file in files {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
            let database = Connection::open_with_flags(&file, flags).expect("a database");
            let sql = format!("SELECT key, blob_id FROM _mf_entries WHERE key LIKE '{PREFIX}%'");
            for row in texts(&database, &sql) {
                let [key, blob] = row.as_slice() else {
                    continue;
                };
                // A value that was replaced meanwhile is looked for again by whoever polls.
                let Some(bytes) = self.blob(blob) else {
                    continue;
                };
                let copy: Value = serde_json::from_slice(&bytes).expect("a copy is JSON");
                let version = copy["config_version"].as_i64().expect("a version");
                versions.insert(key.replacen(PREFIX, "", 1), version);
            }
        }
        versions
    }

    fn blob(&self, id: &str) -> Option<Vec<u8>> {
        let namespaces = std::fs::read_dir(self.state.join("v3/kv")).ok()?;
        namespaces
            .flatten()
            .find_map(|entry| std::fs::read(entry.path().join("blobs").join(id)).ok())
    }
}

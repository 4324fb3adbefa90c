//! What the last setup found, so that the next one asks nobody.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest;
use crate::failure::{Context, Result};
use crate::layout::Layout;

use super::{Item, Scope, Tools};

const FILE: &str = "setup.json";

/// Contents of `setup.json` in the cache.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    schema: u32,
    hash: String,
    scope: Scope,
    files: Vec<PathBuf>,
    pub(super) skipped: Vec<(String, String)>,
}

impl Record {
    pub(super) fn new(hash: String, scope: Scope, tools: &Tools) -> Result<Self> {
        let mut files = Vec::new();
        for item in Item::all(tools, scope) {
            if tools.skip_reason(item.name()).is_none() {
                files.extend(item.files(tools)?);
            }
        }
        Ok(Self {
            schema: 1,
            hash,
            scope,
            files,
            skipped: tools.skipped.clone(),
        })
    }

    pub(super) fn load(cache: &Path) -> Option<Self> {
        let text = fs::read_to_string(cache.join(FILE)).ok()?;
        serde_json::from_str(&text).ok()
    }

    pub(super) fn store(&self, cache: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).context(FILE)?;
        let partial = cache.join("setup.json.partial");
        fs::write(&partial, text).context(partial.display())?;
        fs::rename(&partial, cache.join(FILE)).context(FILE)
    }

    /// Same inputs, at least this scope, and every file still there.
    pub(super) fn covers(&self, hash: &str, scope: Scope) -> bool {
        self.schema == 1
            && self.hash == hash
            && self.scope >= scope
            && self.files.iter().all(|file| file.exists())
    }
}

/// Changes whenever a pinned version or a lock file does.
pub(super) fn inputs_hash(layout: &Layout) -> Result<String> {
    let files = [
        "scripts/versions.toml",
        "scripts/package-lock.json",
        "rust-toolchain.toml",
        "Cargo.lock",
    ]
    .map(|file| layout.at(file));
    digest::of_files(
        &layout.root,
        files.into_iter().filter(|f| f.exists()).collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn record(files: Vec<PathBuf>) -> Record {
        Record {
            schema: 1,
            hash: "h".into(),
            scope: Scope::Run,
            files,
            skipped: Vec::new(),
        }
    }

    #[test]
    fn covers_only_the_same_inputs_and_scope() {
        let known = record(Vec::new());
        assert!(known.covers("h", Scope::Run));
        assert!(!known.covers("h", Scope::Full));
        assert!(!known.covers("other", Scope::Run));
    }

    #[test]
    fn a_deleted_tool_is_noticed() {
        let dir = Scratch::new("record");
        let tool = dir.path().join("tool");
        fs::write(&tool, "").unwrap();
        let known = record(vec![tool.clone()]);
        assert!(known.covers("h", Scope::Run));
        fs::remove_file(tool).unwrap();
        assert!(!known.covers("h", Scope::Run));
    }

    #[test]
    fn survives_a_round_trip_through_the_cache() {
        let dir = Scratch::new("record");
        record(Vec::new()).store(dir.path()).unwrap();
        assert!(Record::load(dir.path()).unwrap().covers("h", Scope::Run));
    }
}

//! Which changes of files matter, gathered until they pause.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::failure::{Context, Result};
use crate::layout::Layout;

const DEBOUNCE: Duration = Duration::from_millis(150);

/// A change that something follows from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// A source file of a crate or worker.
    Source(PathBuf),
    /// A `Cargo.toml`.
    Manifest,
    /// A worker's `wrangler.jsonc`.
    Configuration,
    /// An SQL file of a database.
    Migration,
}

/// Watches until dropped.
pub(super) struct Watch {
    root: PathBuf,
    changed: Receiver<PathBuf>,
    _watcher: RecommendedWatcher,
}

impl Watch {
    pub(super) fn start(layout: &Layout) -> Result<Self> {
        let (paths, changed) = channel();
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                if let Ok(event) = event
                    && !matches!(event.kind, EventKind::Access(_))
                {
                    for path in event.paths {
                        let _ = paths.send(path);
                    }
                }
            })
            .context("watching files")?;
        for dir in ["crates", "workers", "migrations"] {
            let dir = layout.at(dir);
            watcher
                .watch(&dir, RecursiveMode::Recursive)
                .context(dir.display())?;
        }
        Ok(Self {
            root: layout.root.clone(),
            changed,
            _watcher: watcher,
        })
    }

    /// The next changes, once nothing has changed for the debounce time.
    pub(super) fn next(&self, wait: Duration) -> Result<Vec<Change>, RecvTimeoutError> {
        let mut changes = Vec::new();
        let mut patience = wait;
        loop {
            match self.changed.recv_timeout(patience) {
                Ok(path) => {
                    if let Some(change) = classify(&self.root, &path) {
                        patience = DEBOUNCE;
                        if !changes.contains(&change) {
                            changes.push(change);
                        }
                    }
                }
                Err(RecvTimeoutError::Timeout) if !changes.is_empty() => return Ok(changes),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Build output, tests, notes and editors' files mean nothing.
fn classify(root: &Path, path: &Path) -> Option<Change> {
    let inside = path.strip_prefix(root).ok()?;
    let parts: Vec<&str> = inside.iter().filter_map(|part| part.to_str()).collect();
    let name = *parts.last()?;
    if name.starts_with('.') || name.ends_with('~') {
        return None;
    }
    match parts.as_slice() {
        ["migrations", _, _] if path.extension().is_some_and(|end| end == "sql") => {
            Some(Change::Migration)
        }
        ["workers", _, "wrangler.jsonc"] => Some(Change::Configuration),
        ["crates" | "workers", _, "Cargo.toml"] => Some(Change::Manifest),
        ["crates" | "workers", _, "src", ..] | ["crates" | "workers", _, "build.rs"] => {
            Some(Change::Source(path.to_owned()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str) -> Option<Change> {
        classify(Path::new("/r"), &Path::new("/r").join(path))
    }

    #[test]
    fn sources_manifests_configurations_and_migrations_matter() {
        assert!(matches!(
            of("crates/auth/src/key.rs"),
            Some(Change::Source(_))
        ));
        assert!(matches!(
            of("workers/console/src/a/b.rs"),
            Some(Change::Source(_))
        ));
        assert_eq!(of("workers/console/Cargo.toml"), Some(Change::Manifest));
        assert_eq!(
            of("workers/console/wrangler.jsonc"),
            Some(Change::Configuration)
        );
        assert_eq!(of("migrations/control/0002_x.sql"), Some(Change::Migration));
    }

    #[test]
    fn build_output_tests_and_editor_files_do_not() {
        for path in [
            "workers/console/build/index.js",
            "workers/console/build.next/.tmp/index.js",
            "workers/console/tests/http.rs",
            "crates/auth/src/.key.rs.swp",
            "crates/auth/src/key.rs~",
            "crates/auth/README.md",
            "migrations/control/applied.lock",
        ] {
            assert_eq!(of(path), None, "{path}");
        }
    }
}

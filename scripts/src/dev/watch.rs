//! Which changes of files matter, gathered until they pause.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::failure::{Context, Result};
use crate::layout::Layout;
use crate::{web, workers};

const DEBOUNCE: Duration = Duration::from_millis(150);
/// Files beside the web application's sources that its build reads.
const WEB_FILES: [&str; 4] = [
    "index.html",
    "package.json",
    "vite.config.ts",
    "tsconfig.json",
];

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
    /// Something that the web application is built from.
    Web,
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
        for (dir, mode) in watched(layout)? {
            watcher.watch(&dir, mode).context(dir.display())?;
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

/// Folders to watch. Not `workers` as a whole: packages of the web application are tens of thousands of files, and a
/// user has only so many watches.
fn watched(layout: &Layout) -> Result<Vec<(PathBuf, RecursiveMode)>> {
    let whole = RecursiveMode::Recursive;
    let mut dirs: Vec<(PathBuf, RecursiveMode)> = ["crates", "migrations", "docs/openapi"]
        .map(|dir| (layout.at(dir), whole))
        .to_vec();
    for worker in workers::discover(layout)? {
        dirs.push((worker.dir.join("src"), whole));
        dirs.push((worker.dir, RecursiveMode::NonRecursive));
    }
    dirs.push((layout.at("docs"), RecursiveMode::NonRecursive));
    let web = layout.at(web::DIR);
    for folder in ["src", "public", "tools"] {
        let dir = web.join(folder);
        if dir.is_dir() {
            dirs.push((dir, whole));
        }
    }
    dirs.push((web, RecursiveMode::NonRecursive));
    Ok(dirs)
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
        // What is generated from the descriptions of the workers is written by the build itself.
        ["workers", "console", "web", "src", "api", "generated", ..] => None,
        ["workers", "console", "web", "src" | "public" | "tools", ..]
        | ["workers", "console", "_headers"]
        | ["docs", "openapi", _]
        | ["docs", "errors.md"] => Some(Change::Web),
        ["workers", "console", "web", file] if WEB_FILES.iter().any(|end| file.ends_with(end)) => {
            Some(Change::Web)
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
        for path in [
            "workers/console/web/src/main.tsx",
            "workers/console/web/src/features/play/PlayPage.tsx",
            "workers/console/web/src/routes.json",
            "workers/console/web/public/theme.js",
            "workers/console/web/tools/gen.mjs",
            "workers/console/web/index.html",
            "workers/console/web/vite.config.ts",
            "workers/console/_headers",
            "docs/openapi/image-gen.json",
            "docs/errors.md",
        ] {
            assert_eq!(of(path), Some(Change::Web), "{path}");
        }
    }

    #[test]
    fn packages_and_output_of_the_web_application_are_not_watched() {
        let layout = Layout::find().unwrap();
        let dirs = watched(&layout).unwrap();
        let covers = |path: &str| {
            let path = layout.at(path);
            dirs.iter().any(|(dir, mode)| match mode {
                RecursiveMode::Recursive => path.starts_with(dir),
                RecursiveMode::NonRecursive => path.parent() == Some(dir),
            })
        };
        for yes in [
            "workers/console/web/src/features/play/x.tsx",
            "workers/console/web/index.html",
            "workers/console/src/lib.rs",
            "workers/image-gen/wrangler.jsonc",
            "crates/auth/src/key.rs",
            "docs/openapi/console.json",
            "docs/errors.md",
        ] {
            assert!(covers(yes), "{yes}");
        }
        for no in [
            "workers/console/web/node_modules/react/index.js",
            "workers/console/web/dist/assets/x.js",
            "workers/console/build/index.js",
        ] {
            assert!(!covers(no), "{no}");
        }
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
            "workers/console/web/dist/index.html",
            "workers/console/web/src/api/generated/console.d.ts",
            "workers/console/web/node_modules/x/index.js",
            "workers/console/web/e2e/sign_in.test.ts",
            "workers/console/web/eslint.config.js",
        ] {
            assert_eq!(of(path), None, "{path}");
        }
    }
}

//! The console's web application: its npm scripts, its bundle, and whether the bundle is current.
//!
//! In scope: `npm run <script>` with the pinned node, `web/dist` with what the platform needs beside it. Out of scope:
//! installing packages (`setup`), what the scripts do (`workers/console/web/package.json`).
//!
//! Vite writes even what it then calls a failure. So it writes into `target/web/dist.next`, and only a complete bundle is
//! copied to `dist`, its page last: whoever serves that folder never sees half of one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock;
use crate::digest;
use crate::docs;
use crate::failure::{Context, Result};
use crate::layout::Layout;
use crate::process::Step;
use crate::say;
use crate::setup::Tools;

/// The application's folder.
pub const DIR: &str = "workers/console/web";
/// The bundle, as the base configuration of the console names it.
pub const DIST: &str = "workers/console/web/dist";
/// What the platform puts on files; written by a test of the console from its one table.
const HEADERS: &str = "workers/console/_headers";
/// Descriptions of the workers' interfaces, served as `/openapi/<worker>.json`.
const OPENAPI: &str = "docs/openapi";
/// The file that says a bundle is there at all.
const PAGE: &str = "index.html";
/// Vite's list of chunks is for the size budget, not for visitors.
const IGNORED: &str = ".vite\n";

/// What is known about a finished bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    /// Digest of everything that goes in.
    inputs: String,
    /// Digest of what came out, so that a bundle made by hand is not taken for ours.
    output: String,
}

/// `npm run --silent <script> [-- args]` in the application's folder.
pub fn npm_run(tools: &Tools, script: &str, args: &[&str]) -> Command {
    let mut command = tools.command("npm");
    command
        .args(["run", "--silent", script])
        .current_dir(tools.layout.at(DIR))
        .env("NO_COLOR", "1");
    if !args.is_empty() {
        command.arg("--").args(args);
    }
    command
}

/// Builds the bundle unless it is current; answers whether it was built.
pub fn build(tools: &Tools, git_sha: &str) -> Result<bool> {
    let layout = &tools.layout;
    let _lock = lock(layout)?;
    let inputs = inputs(layout, git_sha)?;
    if is_current(layout, &inputs) {
        return Ok(false);
    }
    make(tools, git_sha, &inputs)?;
    Ok(true)
}

/// Builds once more from equal inputs, beside the bundle; answers the names of files that differ.
pub fn unequal_when_built_again(tools: &Tools, git_sha: &str) -> Result<Vec<String>> {
    build(tools, git_sha)?;
    let layout = &tools.layout;
    let _lock = lock(layout)?;
    stage(tools, git_sha)?;
    let unequal = unequal(&contents(&layout.at(DIST))?, &contents(&staging(layout))?);
    let _ = fs::remove_dir_all(staging(layout));
    Ok(unequal)
}

/// Number of files and their bytes.
pub fn size(layout: &Layout) -> Result<(usize, u64)> {
    let files = digest::files_below(&layout.at(DIST), &|_| false)?;
    let bytes = files.iter().filter_map(|file| file.metadata().ok());
    Ok((files.len(), bytes.map(|meta| meta.len()).sum()))
}

/// Copies the bundle into `to`; answers the digest of each file by its name there.
pub fn export(layout: &Layout, to: &Path) -> Result<BTreeMap<String, String>> {
    copy(&layout.at(DIST), to)?;
    contents(to)
}

fn stamp_path(layout: &Layout) -> PathBuf {
    layout.target().join("web/stamp.json")
}

fn staging(layout: &Layout) -> PathBuf {
    layout.target().join("web/dist.next")
}

fn lock(layout: &Layout) -> Result<File> {
    let dir = layout.target().join("web");
    fs::create_dir_all(&dir).context(dir.display())?;
    let lock = File::create(dir.join(".lock")).context("lock of the web build")?;
    lock.lock().context("lock of the web build")?;
    Ok(lock)
}

fn is_current(layout: &Layout, inputs: &str) -> bool {
    let text = fs::read_to_string(stamp_path(layout)).unwrap_or_default();
    let Ok(stamp) = serde_json::from_str::<Stamp>(&text) else {
        return false;
    };
    stamp.inputs == inputs && output(layout).is_ok_and(|output| output == stamp.output)
}

fn make(tools: &Tools, git_sha: &str, inputs: &str) -> Result<()> {
    let layout = &tools.layout;
    let took = stage(tools, git_sha)?;
    let stamp = stamp_path(layout);
    // An interrupted copy must not look like a finished one.
    let _ = fs::remove_file(&stamp);
    copy(&staging(layout), &layout.at(DIST))?;
    let _ = fs::remove_dir_all(staging(layout));
    let known = Stamp {
        inputs: inputs.to_owned(),
        output: output(layout)?,
    };
    let text = serde_json::to_string(&known).context("stamp of the web build")?;
    fs::write(&stamp, text).context(stamp.display())?;
    say::talk(&format!(
        "built the web application in {}",
        clock::spoken(took)
    ));
    Ok(())
}

/// A complete bundle in the staging folder.
fn stage(tools: &Tools, git_sha: &str) -> Result<Duration> {
    let layout = &tools.layout;
    let next = staging(layout);
    let _ = fs::remove_dir_all(&next);
    let out = next.display().to_string();
    let mut command = npm_run(tools, "build", &["--outDir", &out, "--emptyOutDir"]);
    command.env("VITE_GIT_SHA", git_sha);
    let step = Step {
        logs: &layout.logs(),
        name: "build-web",
        label: "building the web application",
    };
    let took = step.run(&command)?;
    complete(layout, &next)?;
    Ok(took)
}

/// Makes `to` equal to `from`: what the page names first, the page, then what nothing names any more. Equal files are
/// left alone, because each change of a served folder makes the server look at it again.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let wanted = contents(from)?;
    let there = if to.is_dir() {
        contents(to)?
    } else {
        BTreeMap::new()
    };
    let mut names: Vec<&String> = wanted
        .iter()
        .filter(|(name, digest)| there.get(*name) != Some(digest))
        .map(|(name, _)| name)
        .collect();
    names.sort_by_key(|name| name.as_str() == PAGE);
    for name in names {
        let target = to.join(name);
        let parent = target.parent().unwrap_or(to);
        fs::create_dir_all(parent).context(parent.display())?;
        fs::copy(from.join(name), &target).context(target.display())?;
    }
    for name in there.keys().filter(|name| !wanted.contains_key(*name)) {
        let stale = to.join(name);
        fs::remove_file(&stale).context(stale.display())?;
    }
    Ok(())
}

/// What belongs beside Vite's output.
fn complete(layout: &Layout, dist: &Path) -> Result<()> {
    let page = dist.join(PAGE);
    page.metadata()
        .context(format!("{}: `npm run build` made no page", page.display()))?;
    fs::copy(layout.at(HEADERS), dist.join("_headers")).context(HEADERS)?;
    fs::write(dist.join(".assetsignore"), IGNORED).context(".assetsignore")?;
    let to = dist.join("openapi");
    fs::create_dir_all(&to).context(to.display())?;
    for document in documents(layout)? {
        let name = document.file_name().context(document.display())?;
        fs::copy(&document, to.join(name)).context(document.display())?;
    }
    docs::pages::write(layout, dist)
}

fn documents(layout: &Layout) -> Result<Vec<PathBuf>> {
    let mut found = digest::files_below(&layout.at(OPENAPI), &|_| false)?;
    found.retain(|file| file.extension().is_some_and(|end| end == "json"));
    Ok(found)
}

/// Everything that the bundle depends on, the build's name included: a page compares it with the worker's.
fn inputs(layout: &Layout, git_sha: &str) -> Result<String> {
    let root = layout.at(DIR);
    let mut files = digest::files_below(&root, &|path| is_no_input(&root, path))
        .context("the web application cannot be built")?;
    files.extend(docs::pages::inputs(layout)?);
    files.push(layout.at(HEADERS));
    let sources = digest::of_files(&layout.root, files)?;
    Ok(digest::of_bytes(
        format!("{sources}\n{git_sha}\n{IGNORED}").as_bytes(),
    ))
}

/// Packages (their lock file is an input), output, what is generated from inputs, browser tests, editors' files.
fn is_no_input(root: &Path, path: &Path) -> bool {
    let inside = path.strip_prefix(root).unwrap_or(path);
    let name = inside.file_name().and_then(|name| name.to_str());
    ["node_modules", "dist", "e2e", "src/api/generated"]
        .iter()
        .any(|folder| inside.starts_with(folder))
        || name.is_none_or(|name| name.starts_with('.') || name.ends_with('~'))
}

/// Digest of each file of a bundle, by its name in it.
fn contents(dist: &Path) -> Result<BTreeMap<String, String>> {
    digest::files_below(dist, &|_| false)?
        .into_iter()
        .map(|file| {
            let name = file.strip_prefix(dist).unwrap_or(&file);
            Ok((name.display().to_string(), digest::of_file(&file)?))
        })
        .collect()
}

fn output(layout: &Layout) -> Result<String> {
    let files: Vec<String> = contents(&layout.at(DIST))?
        .into_iter()
        .map(|(name, digest)| format!("{name} {digest}"))
        .collect();
    Ok(digest::of_bytes(files.join("\n").as_bytes()))
}

fn unequal(first: &BTreeMap<String, String>, second: &BTreeMap<String, String>) -> Vec<String> {
    let mut names: Vec<String> = first.keys().chain(second.keys()).cloned().collect();
    names.sort();
    names.dedup();
    names.retain(|name| first.get(name) != second.get(name));
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn write(root: &Path, name: &str, text: &str) {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn checkout() -> (Scratch, Layout) {
        let dir = Scratch::new("web");
        for (name, text) in [
            ("workers/console/web/package-lock.json", "{}"),
            ("workers/console/web/src/main.tsx", "a"),
            ("workers/console/web/dist/index.html", "<p>"),
            ("workers/console/web/dist/.vite/manifest.json", "{}"),
            ("workers/console/_headers", "/*\n"),
            ("docs/openapi/console.json", "{}"),
            ("docs/errors.md", "# Errors"),
            ("workers/console/web/src/theme/tokens.css", ":root {}"),
        ] {
            write(dir.path(), name, text);
        }
        let layout = Layout {
            root: dir.path().to_owned(),
        };
        (dir, layout)
    }

    #[test]
    fn the_inputs_are_sources_lock_file_descriptions_headers_and_commit() {
        let (dir, layout) = checkout();
        let digest = || inputs(&layout, "abc").unwrap();
        let mut last = digest();
        assert_ne!(last, inputs(&layout, "abd").unwrap());
        for input in [
            "workers/console/web/src/main.tsx",
            "workers/console/web/src/new.tsx",
            "workers/console/web/package-lock.json",
            "workers/console/_headers",
            "docs/openapi/console.json",
            "docs/errors.md",
            "docs/api/new.md",
        ] {
            write(dir.path(), input, "changed");
            assert_ne!(digest(), last, "{input}");
            last = digest();
        }
        for other in [
            "workers/console/web/dist/index.html",
            "workers/console/web/node_modules/x/index.js",
            "workers/console/web/src/api/generated/x.d.ts",
            "workers/console/web/e2e/sign_in.test.ts",
            "workers/console/web/src/.main.tsx.swp",
            "workers/console/web/src/main.tsx~",
            "docs/picture.png",
        ] {
            write(dir.path(), other, "changed");
            assert_eq!(digest(), last, "{other}");
        }
    }

    #[test]
    fn a_bundle_is_completed_with_headers_descriptions_and_documents() {
        let (_dir, layout) = checkout();
        let dist = layout.at(DIST);
        complete(&layout, &dist).unwrap();
        for (name, text) in [
            ("_headers", "/*\n"),
            (".assetsignore", ".vite\n"),
            ("openapi/console.json", "{}"),
            ("docs/openapi/console.json", "{}"),
            ("docs/errors.md", "# Errors"),
        ] {
            assert_eq!(fs::read_to_string(dist.join(name)).unwrap(), text, "{name}");
        }
        let page = fs::read_to_string(dist.join("docs/errors.html")).unwrap();
        assert!(page.contains("<h1 id=\"errors\">Errors</h1>"), "{page}");
        fs::remove_file(dist.join(PAGE)).unwrap();
        let failure = complete(&layout, &dist).unwrap_err();
        assert!(failure.message.contains("made no page"), "{failure}");
    }

    #[test]
    fn a_bundle_is_current_only_with_its_stamp_and_untouched() {
        let (dir, layout) = checkout();
        let inputs = inputs(&layout, "abc").unwrap();
        assert!(!is_current(&layout, &inputs));
        let stamp = Stamp {
            inputs: inputs.clone(),
            output: output(&layout).unwrap(),
        };
        let text = serde_json::to_string(&stamp).unwrap();
        write(dir.path(), "target/web/stamp.json", &text);
        assert!(is_current(&layout, &inputs));
        assert!(!is_current(&layout, "other inputs"));
        write(dir.path(), "workers/console/web/dist/index.html", "by hand");
        assert!(!is_current(&layout, &inputs));
    }

    #[test]
    fn an_unequal_a_missing_and_a_new_file_are_told() {
        let of = |files: &[(&str, &str)]| -> BTreeMap<String, String> {
            let owned = files
                .iter()
                .map(|(name, sum)| ((*name).into(), (*sum).into()));
            owned.collect()
        };
        let first = of(&[("a", "1"), ("b", "1"), ("c", "1")]);
        assert!(unequal(&first, &first).is_empty());
        let second = of(&[("a", "1"), ("b", "2"), ("d", "1")]);
        assert_eq!(unequal(&first, &second), ["b", "c", "d"]);
    }

    #[test]
    fn a_bundle_replaces_another_file_by_file() {
        let dir = Scratch::new("web");
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        for (name, text) in [
            ("index.html", "new"),
            ("assets/b.js", "b"),
            ("assets/same.js", "same"),
        ] {
            write(&from, name, text);
        }
        copy(&from, &to).unwrap();
        assert_eq!(contents(&from).unwrap(), contents(&to).unwrap());
        write(&to, "index.html", "old");
        write(&to, "assets/a.js", "a");
        fs::remove_file(to.join("assets/b.js")).unwrap();
        let same = to.join("assets/same.js");
        let before = fs::metadata(&same).unwrap().modified().unwrap();
        copy(&from, &to).unwrap();
        assert_eq!(contents(&from).unwrap(), contents(&to).unwrap());
        assert_eq!(fs::metadata(&same).unwrap().modified().unwrap(), before);
    }

    #[test]
    fn an_export_is_the_bundle_and_nothing_older() {
        let (dir, layout) = checkout();
        let out = dir.path().join("out/assets");
        write(&out, "old.js", "x");
        let files = export(&layout, &out).unwrap();
        assert_eq!(
            files.keys().collect::<Vec<_>>(),
            [".vite/manifest.json", "index.html"]
        );
        assert!(!out.join("old.js").exists());
        assert_eq!(fs::read_to_string(out.join("index.html")).unwrap(), "<p>");
        assert_eq!(size(&layout).unwrap(), (2, 5));
    }
}

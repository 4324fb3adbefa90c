//! `cargo x tidy`: the rules of the house that no compiler knows.
//!
//! Each rule is a pure function over texts with a test of its own. A rule whose input is missing
//! fails; nothing is skipped.

pub mod bindings;
pub mod documents;
pub mod edges;
pub mod lines;
pub mod migrations;
pub mod npm;
pub mod pins;
pub mod texts;
pub mod web;

use std::path::{Path, PathBuf};

use crate::failure::{Context, Failure, Result};
use crate::layout::Layout;
use crate::process::capture;
use crate::say;
use crate::setup::bare_command;
use crate::versions::Versions;
use crate::wasm::Artifact;
use crate::workers::{self, Graph};

/// Text that only a build with test routes contains.
const PROBE_MARK: &[u8] = b"__probe";

/// Runs every rule; prints each problem on a line of its own.
pub fn run(layout: &Layout) -> Result<()> {
    let problems = problems(layout)?;
    for problem in &problems {
        say::result(&format!("tidy: {problem}"));
    }
    match problems.len() {
        0 => Ok(()),
        count => Err(Failure::failed(format!("tidy found {count} problems"))),
    }
}

/// All problems of the checkout.
pub fn problems(layout: &Layout) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    let graph = Graph::load(layout)?;
    problems.extend(edges::problems(&graph));

    let versions = Versions::load(layout)?;
    let read = |path: &str| std::fs::read_to_string(layout.at(path)).context(path);
    let mut take = |found: Result<Vec<String>>| match found {
        Ok(found) => problems.extend(found),
        Err(failure) => problems.push(failure.message),
    };
    take(bindings::all(layout, &versions));
    take(documents::all(layout, &read));
    take(migrations::all(layout));
    take(pins::all(&versions, &read));
    take(npm::all(layout, &read));
    let mut sources = Vec::new();
    for file in tracked(layout)? {
        let path = layout.at(&file);
        // Deleted but not yet committed.
        if !path.is_file() {
            continue;
        }
        let bytes = std::fs::read(&path).context(path.display())?;
        if let Ok(text) = String::from_utf8(bytes) {
            take(Ok(texts::problems(&file, &text)));
            take(Ok(web::problems(&file, &text)));
            sources.push((file, text));
        }
    }
    take(Ok(lines::problems(
        sources
            .iter()
            .map(|(file, text)| (file.as_str(), text.as_str())),
    )));
    problems.sort();
    problems.dedup();
    Ok(problems)
}

/// No test route in a shipped module; the probe has them, or the rule would prove nothing.
pub fn module_problems(products: &[Artifact], probe: &Artifact) -> Result<Vec<String>> {
    let has_mark = |artifact: &Artifact| -> Result<bool> {
        let path = artifact.module();
        let bytes = std::fs::read(&path).context(path.display())?;
        Ok(contains(&bytes, PROBE_MARK))
    };
    let mut problems = Vec::new();
    for artifact in products {
        if has_mark(artifact)? {
            problems.push(format!(
                "{}: the shipped wasm contains test routes",
                artifact.name
            ));
        }
    }
    if !has_mark(probe)? {
        problems
            .push("the probe contains no `__probe`: test routes cannot be told apart".to_owned());
    }
    Ok(problems)
}

fn contains(bytes: &[u8], mark: &[u8]) -> bool {
    bytes.windows(mark.len()).any(|window| window == mark)
}

/// Files of the repository, committed or about to be, relative to its root.
pub(crate) fn tracked(layout: &Layout) -> Result<Vec<String>> {
    let mut git = bare_command(layout, "git");
    git.args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "-z",
    ]);
    Ok(capture(&mut git)?
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect())
}

/// Folders directly below one, by name.
fn folders(dir: &Path) -> Result<Vec<String>> {
    let mut found: Vec<String> = std::fs::read_dir(dir)
        .context(dir.display())?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path: &PathBuf| path.is_dir())
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .collect();
    found.sort();
    Ok(found)
}

/// The workers and the probe.
fn all_workers(layout: &Layout) -> Result<Vec<workers::Worker>> {
    let mut all = workers::discover(layout)?;
    all.push(workers::probe(layout));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use crate::wasm::MODULE;

    fn artifact(dir: &Path, name: &str, bytes: &[u8]) -> Artifact {
        let out = dir.join(name).join("build");
        std::fs::create_dir_all(&out).unwrap();
        std::fs::write(out.join(MODULE), bytes).unwrap();
        Artifact {
            optimized: true,
            name: name.into(),
            package: name.into(),
            dir: dir.join(name),
            features: Vec::new(),
            out: "build",
        }
    }

    #[test]
    fn a_shipped_test_route_and_a_probe_without_one_are_both_problems() {
        let dir = Scratch::new("modules");
        let clean = artifact(dir.path(), "clean", b"\0asm/health");
        let dirty = artifact(dir.path(), "dirty", b"\0asm/__probe/kv");
        assert!(
            module_problems(std::slice::from_ref(&clean), &dirty)
                .unwrap()
                .is_empty()
        );
        assert_eq!(
            module_problems(std::slice::from_ref(&dirty), &dirty)
                .unwrap()
                .len(),
            1
        );
        assert_eq!(module_problems(&[], &clean).unwrap().len(), 1);
        let absent = Artifact {
            dir: dir.path().join("absent"),
            ..clean
        };
        assert!(module_problems(&[absent], &dirty).is_err());
    }
}

//! `cargo x docs --check` and `cargo x doctest`: documents that name things or show commands are held to them.
//!
//! In scope: links, routes, the form of blocks; running the blocks against the system; the pages that the console serves
//! (module `pages`). Out of scope: the list of error codes and the folder map, which `tidy` compares.

mod codes;
mod doctest;
mod expect;
mod links;
mod markdown;
pub mod pages;
mod plan;
mod routes;
mod script;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::failure::{Context, Failure, Result};
use crate::layout::Layout;
use crate::process::capture;
use crate::say;
use crate::setup::bare_command;

pub use doctest::{Asked, missing_tool, run as doctest};

use markdown::Markdown;

/// Pages about routes: those of everybody, and those that only operators need.
const API: [&str; 2] = ["docs/api/", "docs/operations/"];
const OPENAPI: &str = "docs/openapi/";

/// Prints what is wrong with the documents and fails if there is something.
pub fn check(layout: &Layout) -> Result<()> {
    let problems = problems(layout)?;
    for problem in &problems {
        say::result(&format!("docs: {problem}"));
    }
    match problems.len() {
        0 => Ok(()),
        count => Err(Failure::failed(format!("docs found {count} problems"))),
    }
}

/// All that is wrong without running anything.
pub fn problems(layout: &Layout) -> Result<Vec<String>> {
    let files: BTreeSet<String> = tracked(layout)?
        .into_iter()
        .filter(|file| layout.at(file).is_file())
        .collect();
    let mut documents = BTreeMap::new();
    let mut pages = String::new();
    for name in files.iter().filter(|name| is_markdown(name)) {
        let text = fs::read_to_string(layout.at(name)).context(name)?;
        if API.iter().any(|folder| name.starts_with(folder)) {
            pages.push_str(&text);
        }
        documents.insert(name.clone(), markdown::parse(&text));
    }
    let mut problems = links::problems(&documents, &files, &folders(&files));
    problems.extend(links::orphans(&documents));
    for (name, document) in documents.iter().filter(|(name, _)| has_blocks(name)) {
        let found = plan::plan(document).problems;
        problems.extend(
            found
                .into_iter()
                .map(|(line, problem)| format!("{name}:{line}: {problem}")),
        );
    }
    let mut descriptions = 0;
    for name in files.iter().filter(|name| name.starts_with(OPENAPI)) {
        let text = fs::read_to_string(layout.at(name)).context(name)?;
        let value: Value = serde_json::from_str(&text).context(name)?;
        let worker = name.trim_start_matches(OPENAPI).trim_end_matches(".json");
        problems.extend(routes::unnamed(worker, &value, &pages));
        descriptions += 1;
    }
    if descriptions == 0 {
        problems.push(format!("{OPENAPI} is empty: no route can be compared"));
    }
    problems.sort();
    Ok(problems)
}

fn is_markdown(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|end| end == "md")
}

/// Documents whose blocks are run.
fn has_blocks(name: &str) -> bool {
    is_markdown(name) && (name == "README.md" || name.starts_with("docs/"))
}

/// Every folder that holds a file, at any depth, and the root as the empty name.
fn folders(files: &BTreeSet<String>) -> BTreeSet<String> {
    let mut folders = BTreeSet::new();
    for file in files {
        let mut rest = file.as_str();
        while let Some((folder, _)) = rest.rsplit_once('/') {
            folders.insert(folder.to_owned());
            rest = folder;
        }
    }
    folders.insert(String::new());
    folders
}

fn tracked(layout: &Layout) -> Result<Vec<String>> {
    let mut git = bare_command(layout, "git");
    git.args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "-z",
    ]);
    let names = capture(&mut git)?;
    let names = names.split('\0').filter(|name| !name.is_empty());
    Ok(names.map(str::to_owned).collect())
}

/// A document as it is named and as it reads.
fn load(layout: &Layout, name: &str) -> Result<Markdown> {
    let text = fs::read_to_string(layout.at(name)).context(name)?;
    Ok(markdown::parse(&text))
}

/// Names of the documents whose blocks are run, in order.
fn names(layout: &Layout) -> Result<Vec<String>> {
    let mut names = tracked(layout)?;
    names.retain(|name| has_blocks(name) && layout.at(name).is_file());
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_and_everything_below_docs_is_run() {
        for yes in ["README.md", "docs/README.md", "docs/api/workers.md"] {
            assert!(has_blocks(yes), "{yes}");
        }
        for no in [
            "crates/auth/README.md",
            "docs/openapi/console.json",
            "CHANGELOG.md",
        ] {
            assert!(!has_blocks(no), "{no}");
        }
    }

    #[test]
    fn every_folder_above_a_file_is_known() {
        let files = BTreeSet::from(["docs/api/x.md".to_owned(), "README.md".to_owned()]);
        let all: Vec<String> = folders(&files).into_iter().collect();
        assert_eq!(all, ["", "docs", "docs/api"]);
    }
}

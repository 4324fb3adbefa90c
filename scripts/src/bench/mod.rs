//! `cargo x bench`: load on a temporary stack, in turns with something to compare it to.
//!
//! Times are reported, never judged: only counts and ratios may fail a run.

mod control;
mod events;
mod figures;
mod generate;
mod load;
mod lookup;
mod needles;
mod page;
mod report;
mod service;

use std::fs;

use serde_json::json;

use crate::failure::{Context, Failure, Result};
use crate::layout::Layout;
use crate::say;
use crate::setup::{Scope, Tools};
use crate::wasm;

/// The suites, in the order of the page.
const SUITES: [&str; 3] = ["generate", "lookup", "control"];

/// Runs one suite. What it found is written before a figure out of its bound fails the run.
pub fn run(layout: &Layout, suite: &str) -> Result<()> {
    if !SUITES.contains(&suite) {
        return Err(Failure::invalid(format!(
            "no suite {suite}; there are: {}",
            SUITES.join(", ")
        )));
    }
    let tools = Tools::ensure(layout, Scope::Run)?;
    let report = match suite {
        "lookup" => lookup::run(&tools),
        "control" => control::run(&tools),
        _ => generate::run(&tools),
    }?;
    let (git_sha, machine) = (wasm::git_sha(layout), machine());
    let mut raw = json!({
        "schema": 1, "suite": suite, "git_sha": git_sha, "machine": machine,
    });
    if let (Some(raw), Some(found)) = (raw.as_object_mut(), report.raw.as_object()) {
        raw.extend(found.clone());
    }
    let dir = layout.target().join("bench");
    fs::create_dir_all(&dir).context(dir.display())?;
    let path = dir.join(format!("{suite}.json"));
    fs::write(&path, raw.to_string()).context(path.display())?;

    let body = format!(
        "Commit `{git_sha}`, {machine}.\n\n{}",
        report.section.trim_end()
    );
    let shown = layout.at("docs/benchmarks.md");
    let known = fs::read_to_string(&shown).unwrap_or_default();
    fs::write(&shown, page::with_section(&known, suite, &body)).context(shown.display())?;
    say::result(&body);
    say::talk(&format!("raw samples: {}", layout.shown(&path)));
    if report.broken.is_empty() {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "{suite}: {}",
        report.broken.join("; ")
    )))
}

/// Processors and their model, which a reader needs to compare; never the host's name.
fn machine() -> String {
    let model = fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        })
        .unwrap_or_else(|| "unknown processor".to_owned());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{cores} x {model}")
}

//! `cargo x test --coverage`: which share of each package's lines the native rings run, against a floor.
//!
//! In scope: one run of all native tests with instrumented builds, a table by package, the verdict. Out of scope: the rings
//! on the real runtime, which run wasm that nothing can count lines in.

use std::collections::BTreeMap;
use std::fs;

use serde::Deserialize;

use crate::check::{Outcome, Part};
use crate::clock;
use crate::failure::{Context, Failure, Result};
use crate::layout::Layout;
use crate::process::Step;
use crate::say;
use crate::setup::{Scope, Tools};
use crate::workers::Graph;

/// Percent of its lines that a package must have run.
const FLOOR: u64 = 80;
/// Drives the built system from outside, so no native test links it.
const HARNESS: &str = "e2e";
/// Packages whose lines natively cannot run, and where they do.
const ELSEWHERE: [(&str, &str); 1] = [(
    "platform-workers",
    "calls the runtime only: its contract tests run in it, step e2e",
)];

/// Lines of one package.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
struct Lines {
    count: u64,
    covered: u64,
}

impl Lines {
    fn percent(self) -> f64 {
        self.covered as f64 * 100.0 / self.count.max(1) as f64
    }

    fn holds(self) -> bool {
        self.covered * 100 >= self.count * FLOOR
    }
}

/// What `llvm-cov export` writes, as far as it is read here.
#[derive(Deserialize)]
struct Export {
    data: Vec<Run>,
}

#[derive(Deserialize)]
struct Run {
    files: Vec<File>,
}

#[derive(Deserialize)]
struct File {
    filename: String,
    summary: Summary,
}

#[derive(Deserialize)]
struct Summary {
    lines: Lines,
}

/// Runs the native tests, prints each package, fails when one is below the floor.
pub fn run(layout: &Layout) -> Result<()> {
    let tools = Tools::ensure(layout, Scope::Coverage)?;
    tools.need_room(Scope::Coverage)?;
    let started = clock::now();
    let report = layout.target().join("test-report/coverage.json");
    let folder = report.parent().unwrap_or(&report);
    fs::create_dir_all(folder).context(folder.display())?;
    let nextest = tools.cargo_tool_dir("cargo-nextest")?.join("bin");
    let mut command = tools.command(tools.cargo_tool("cargo-llvm-cov")?);
    command
        .args(["llvm-cov", "nextest", "--workspace", "--exclude", HARNESS])
        .args(["--json", "--summary-only", "--output-path"])
        .arg(&report)
        .env("PATH", tools.path_with(Some(nextest))?);
    let step = Step {
        logs: &layout.logs(),
        name: "coverage",
        label: "native tests, instrumented",
    };
    step.run(&command)?;
    let text = fs::read_to_string(&report).context(report.display())?;
    let export: Export = serde_json::from_str(&text).context(report.display())?;
    let mut short = Vec::new();
    for (package, lines) in by_package(&Graph::load(layout)?, &export) {
        let outcome = judged(&package, lines);
        say::result(&line(&package, lines, &outcome));
        if let Outcome::Fail(_) = outcome {
            short.push(package);
        }
    }
    say::talk(&format!(
        "{} in {}",
        layout.shown(&report),
        clock::spoken(started.elapsed())
    ));
    if short.is_empty() {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "fewer than {FLOOR} % of lines run: {}",
        short.join(", ")
    )))
}

/// Every package but the harness; one that no test links has no lines.
fn by_package(graph: &Graph, export: &Export) -> BTreeMap<String, Lines> {
    let mut packages: BTreeMap<String, Lines> = graph
        .dirs
        .keys()
        .filter(|name| *name != HARNESS)
        .map(|name| (name.clone(), Lines::default()))
        .collect();
    for file in export.data.iter().flat_map(|run| &run.files) {
        let owner = graph.owner(file.filename.as_ref());
        if let Some(lines) = owner.and_then(|owner| packages.get_mut(owner)) {
            lines.count += file.summary.lines.count;
            lines.covered += file.summary.lines.covered;
        }
    }
    packages
}

fn judged(package: &str, lines: Lines) -> Outcome {
    let elsewhere = ELSEWHERE.iter().find(|(name, _)| *name == package);
    match elsewhere {
        Some((_, where_else)) => Outcome::Skip((*where_else).to_owned()),
        None if lines.count == 0 => Outcome::Fail("no line is known".to_owned()),
        None if lines.holds() => Outcome::Pass,
        None => Outcome::Fail(format!("below {FLOOR} %")),
    }
}

fn line(package: &str, lines: Lines, outcome: &Outcome) -> String {
    let (word, why) = Part::shown(outcome);
    format!(
        "{word} {package:<18} {:>6.1} %  {:>6} of {:>6} lines{why}",
        lines.percent(),
        lines.covered,
        lines.count
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn graph(names: &[&str]) -> Graph {
        let dirs = names.iter().map(|name| {
            (
                (*name).to_owned(),
                PathBuf::from(format!("/r/crates/{name}")),
            )
        });
        Graph {
            dirs: dirs.collect(),
            ..Graph::default()
        }
    }

    #[test]
    fn lines_of_all_files_of_a_package_count_together_and_an_untested_one_is_there() {
        let export = r#"{"type":"llvm.coverage.json.export","data":[{"totals":{},"files":[
            {"filename":"/r/crates/a/src/lib.rs","summary":{"lines":{"count":10,"covered":9,"percent":90}}},
            {"filename":"/r/crates/a/src/b/c.rs","summary":{"lines":{"count":90,"covered":71,"percent":1}}},
            {"filename":"/elsewhere/x.rs","summary":{"lines":{"count":5,"covered":5,"percent":100}}},
            {"filename":"/r/crates/e2e/src/lib.rs","summary":{"lines":{"count":5,"covered":0,"percent":0}}}]}]}"#;
        let export: Export = serde_json::from_str(export).unwrap();
        let packages = by_package(&graph(&["a", "b", HARNESS]), &export);
        let a = Lines {
            count: 100,
            covered: 80,
        };
        let expected = [("a".to_owned(), a), ("b".to_owned(), Lines::default())];
        assert_eq!(packages, BTreeMap::from(expected));
    }

    #[test]
    fn exactly_the_floor_is_enough_and_no_line_is_not() {
        let lines = |covered| Lines {
            count: 1_000,
            covered,
        };
        assert_eq!(judged("a", lines(800)), Outcome::Pass);
        assert!(matches!(judged("a", lines(799)), Outcome::Fail(_)));
        assert!(matches!(judged("a", Lines::default()), Outcome::Fail(_)));
        for (name, _) in ELSEWHERE {
            assert!(matches!(judged(name, lines(0)), Outcome::Skip(_)), "{name}");
        }
        let shown = line("auth", lines(799), &judged("auth", lines(799)));
        assert!(
            shown.contains("79.9 %     799 of   1000 lines  below 80 %"),
            "{shown}"
        );
    }

    #[test]
    fn every_exception_is_a_package() {
        let graph = Graph::load(&Layout::find().unwrap()).unwrap();
        for (name, _) in ELSEWHERE {
            assert!(graph.dirs.contains_key(name), "{name}");
        }
        assert!(graph.dirs.contains_key(HARNESS));
    }
}

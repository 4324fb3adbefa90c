//! `cargo x test`: every test step, a table at the end, a report for machines.
//!
//! A failing step does not stop a later one that does not need it.

mod budgets;
mod nextest;
mod report;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use crate::check::{self, Outcome, Part};
use crate::failure::{Context, Failure, Result};
use crate::interrupt;
use crate::layout::Layout;
use crate::process::Step;
use crate::say;
use crate::setup::{Scope, Tools};
use crate::stack::{self, Options};
use crate::tidy;
use crate::wasm::{self, Artifact};
use crate::workers;

use nextest::Counts;

/// All steps in their order.
pub const STEPS: [&str; 5] = ["setup", "check", "native", "wasm", "e2e"];

/// Runs the steps, or only those named.
pub fn run(layout: &Layout, strict: bool, only: &[String]) -> Result<()> {
    if let Some(unknown) = only.iter().find(|name| !STEPS.contains(&name.as_str())) {
        return Err(Failure::invalid(format!(
            "no step {unknown}; there are: {}",
            STEPS.join(", ")
        )));
    }
    let wanted = |name: &str| only.is_empty() || only.iter().any(|step| step == name);
    let mut run = Run {
        layout,
        tools: None,
        parts: Vec::new(),
        counts: Counts::default(),
        suites: Vec::new(),
    };
    // Everything needs the tools, so this step is silent rather than absent when not asked for.
    let setup = Part::timed("setup", || {
        let tools = Tools::ensure(layout, Scope::Full)?;
        let skipped: Vec<String> = tools
            .skipped
            .iter()
            .map(|(name, reason)| format!("{name}: {reason}"))
            .collect();
        run.tools = Some(tools);
        Ok(if skipped.is_empty() {
            Outcome::Pass
        } else {
            Outcome::Skip(skipped.join("; "))
        })
    });
    if wanted("setup") || run.tools.is_none() {
        run.add(setup);
    }
    for name in STEPS.iter().skip(1).filter(|name| wanted(name)) {
        interrupt::check()?;
        let part = Part::timed(name, || match *name {
            "check" => run.check(),
            "native" => run.native(),
            "wasm" => run.wasm(),
            _ => run.e2e(),
        });
        run.add(part);
    }
    run.finish(strict)
}

struct Run<'a> {
    layout: &'a Layout,
    tools: Option<Tools>,
    parts: Vec<Part>,
    counts: Counts,
    suites: Vec<String>,
}

impl Run<'_> {
    fn add(&mut self, part: Part) {
        say::result(&part.line());
        self.parts.push(part);
    }

    fn tools(&self) -> Result<Tools> {
        self.tools.clone().context("setup failed")
    }

    fn check(&mut self) -> Result<Outcome> {
        let parts = check::parts(&self.tools()?)?;
        let named = |wanted: fn(&Outcome) -> bool| -> Vec<String> {
            parts
                .iter()
                .filter(|part| wanted(&part.outcome))
                .map(|part| part.name.clone())
                .collect()
        };
        let failed = named(|outcome| matches!(outcome, Outcome::Fail(_)));
        let skipped = named(|outcome| matches!(outcome, Outcome::Skip(_)));
        Ok(if !failed.is_empty() {
            Outcome::Fail(failed.join(", "))
        } else if !skipped.is_empty() {
            Outcome::Skip(skipped.join(", "))
        } else {
            Outcome::Pass
        })
    }

    /// The workspace's default members: everything but the journeys.
    fn native(&mut self) -> Result<Outcome> {
        self.nextest("native", "default", &[])
    }

    fn wasm(&mut self) -> Result<Outcome> {
        let tools = self.tools()?;
        let products: Vec<Artifact> = workers::discover(self.layout)?
            .iter()
            .map(Artifact::product)
            .collect();
        let probe = Artifact::probe(self.layout);
        let all: Vec<Artifact> = products.iter().chain([&probe]).cloned().collect();
        wasm::build(&tools, &all)?;
        let mut problems = tidy::module_problems(&products, &probe)?;
        problems.extend(budgets::problems(self.layout, &products)?);
        for problem in &problems {
            say::result(&format!("wasm: {problem}"));
        }
        let unwinds = products
            .iter()
            .all(|artifact| artifact.stamp().is_some_and(|stamp| stamp.panic_unwind));
        Ok(match problems.first() {
            Some(first) => Outcome::Fail(first.clone()),
            None if !unwinds => Outcome::Skip("built without --panic-unwind".to_owned()),
            None => Outcome::Pass,
        })
    }

    fn e2e(&mut self) -> Result<Outcome> {
        let tools = self.tools()?;
        // The journeys start stacks at the same time; what those would build is built once, here.
        let probed = Options {
            probe: true,
            ..Options::default()
        };
        wasm::build(&tools, &stack::artifacts(self.layout, &probed)?)?;
        self.nextest("e2e", "e2e", &["--package", "e2e"])
    }

    fn nextest(&mut self, step: &str, profile: &str, args: &[&str]) -> Result<Outcome> {
        let tools = self.tools()?;
        let mut command = tools.command(tools.cargo_tool("cargo-nextest")?);
        command
            .args(["nextest", "run", "--profile", profile])
            .args(args)
            .env("SWITCHYARD_SCRIPTS", self.own_program()?);
        if tools.skip_reason("python").is_none() {
            command.env("SWITCHYARD_PYTHON", tools.python());
        }
        let runner = Step {
            logs: &self.layout.logs(),
            name: step,
            label: step,
        };
        let outcome = runner.run(&command);
        let log = fs::read_to_string(runner.log()).unwrap_or_default();
        let counts = nextest::counts(&log);
        let junit = self
            .layout
            .cargo_target()
            .join("nextest")
            .join(profile)
            .join("junit.xml");
        if let Some(counts) = counts {
            self.counts.add(counts);
            say::result(&format!("{step}: {}", counts.line()));
            if let Ok(xml) = fs::read_to_string(&junit) {
                self.suites.extend(report::suites(&xml));
            }
        }
        match (outcome, counts) {
            (Ok(_), Some(counts)) if counts.passed > 0 => Ok(Outcome::Pass),
            // Green without a single test proves nothing.
            (Ok(_), _) => Ok(Outcome::Fail("no test ran".to_owned())),
            (Err(failure), _) => Err(failure),
        }
    }

    /// A copy of this very program: a test build may replace the file while stacks are started.
    fn own_program(&self) -> Result<PathBuf> {
        let dir = self.layout.target().join("test-program");
        fs::create_dir_all(&dir).context(dir.display())?;
        let path = dir.join("scripts");
        let partial = dir.join("scripts.partial");
        fs::copy("/proc/self/exe", &partial).context(partial.display())?;
        fs::rename(&partial, &path).context(path.display())?;
        Ok(path)
    }

    fn finish(self, strict: bool) -> Result<()> {
        let dir = self.layout.target().join("test-report");
        report::write(&dir, &self.parts, self.counts, &self.suites)?;
        say::result("");
        for part in &self.parts {
            say::result(&part.line());
        }
        say::result("");
        say::result(&self.counts.line());
        let bad: BTreeSet<&str> = self
            .parts
            .iter()
            .filter(|part| match part.outcome {
                Outcome::Pass => false,
                Outcome::Fail(_) => true,
                Outcome::Skip(_) => strict,
            })
            .map(|part| part.name.as_str())
            .collect();
        if bad.is_empty() {
            say::talk(&format!("report: {}", self.layout.shown(&dir)));
            return Ok(());
        }
        let bad: Vec<&str> = bad.into_iter().collect();
        Err(Failure::failed(format!(
            "failed: {}; report: {}",
            bad.join(", "),
            self.layout.shown(&dir)
        )))
    }
}

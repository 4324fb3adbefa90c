//! `cargo x test`: every test step, a table at the end, a report for machines.
//!
//! A failing step does not stop a later one that does not need it.

mod budgets;
pub mod coverage;
mod nextest;
mod report;
mod vitest;
mod web;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use crate::browser;
use crate::check::{self, Outcome, Part};
use crate::docs;
use crate::failure::{Context, Failure, Result};
use crate::interrupt;
use crate::layout::Layout;
use crate::process::Step;
use crate::say;
use crate::setup::{Scope, Tools};
use crate::stack::{self, Options};
use crate::tidy;
use crate::wasm::{self, Artifact};
use crate::web as bundle;
use crate::workers;

use nextest::Counts;

/// All steps in their order.
pub const STEPS: [&str; 8] = [
    "setup", "check", "native", "wasm", "web", "e2e", "browser", "docs",
];

/// What the command line asked for.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// A skipped step fails.
    pub strict: bool,
    /// Folders that no later step needs are removed, unless their step failed.
    pub lean: bool,
    /// Only these steps; all if empty.
    pub only: Vec<String>,
}

/// Runs the steps, or only those named.
pub fn run(layout: &Layout, asked: &Asked) -> Result<()> {
    let only = &asked.only;
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
        if only.is_empty() {
            tools.need_room(Scope::Full)?;
        }
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
            "web" => run.web(),
            "e2e" => run.e2e(),
            "browser" => run.browser(),
            _ => run.docs(),
        });
        if asked.lean && !matches!(part.outcome, Outcome::Fail(_)) {
            for dir in spent(layout, name) {
                let _ = fs::remove_dir_all(dir);
            }
        }
        run.add(part);
    }
    // Those that a killed journey has left.
    stack::remove_dead_stacks(layout);
    run.finish(asked.strict)
}

/// Folders that no step after this one reads. The workers' modules lie elsewhere and are current; only a journey through
/// changed sources builds one again.
fn spent(layout: &Layout, step: &str) -> Vec<PathBuf> {
    match step {
        "check" => vec![
            layout.cargo_target().join(check::WASM),
            layout.cargo_target().join("doc"),
        ],
        "e2e" => vec![layout.target().join("wasm")],
        _ => Vec::new(),
    }
}

/// Green without a single test proves nothing.
fn judged(outcome: Result<Outcome>, counts: Option<Counts>) -> Result<Outcome> {
    match (outcome, counts) {
        (Ok(_), Some(counts)) if counts.failed > 0 => {
            Ok(Outcome::Fail(format!("{} failed", counts.failed)))
        }
        (Ok(outcome), Some(counts)) if counts.passed > 0 => Ok(outcome),
        (Ok(_), _) => Ok(Outcome::Fail("no test ran".to_owned())),
        (Err(failure), _) => Err(failure),
    }
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
        Ok(Self::outcome(&check::parts(&self.tools()?)?))
    }

    /// One outcome of several parts.
    fn outcome(parts: &[Part]) -> Outcome {
        let named = |wanted: fn(&Outcome) -> bool| -> Vec<String> {
            parts
                .iter()
                .filter(|part| wanted(&part.outcome))
                .map(|part| part.name.clone())
                .collect()
        };
        let failed = named(|outcome| matches!(outcome, Outcome::Fail(_)));
        let skipped = named(|outcome| matches!(outcome, Outcome::Skip(_)));
        if !failed.is_empty() {
            Outcome::Fail(failed.join(", "))
        } else if !skipped.is_empty() {
            Outcome::Skip(skipped.join(", "))
        } else {
            Outcome::Pass
        }
    }

    /// Everything but the journeys.
    fn native(&mut self) -> Result<Outcome> {
        self.nextest("native", "default", "not package(e2e)")
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
        bundle::build(&tools, &wasm::git_sha(self.layout))?;
        self.nextest("e2e", "e2e", "package(e2e)")
    }

    /// The web application: types, lints, unit tests, size, reproducible bundle.
    fn web(&mut self) -> Result<Outcome> {
        let tools = self.tools()?;
        let mut parts = web::parts(&tools);
        let tested = Part::timed("web test", || {
            self.vitest("web", "web-test", |args| web::script(&tools, "test", args))
        });
        say::result(&tested.line());
        parts.push(tested);
        Ok(Self::outcome(&parts))
    }

    /// The console in Chromium.
    fn browser(&mut self) -> Result<Outcome> {
        let tools = self.tools()?;
        if let Some(missing) = browser::missing() {
            return Ok(Outcome::Skip(missing.to_owned()));
        }
        self.vitest("browser", "browser", |args| {
            let job = browser::Job {
                name: "browser",
                script: "e2e",
                args,
            };
            browser::run(&tools, job).map(|()| Outcome::Pass)
        })
    }

    /// Runs something that runs vitest with these arguments and logs into `<log>.log`; keeps its counts and its report.
    fn vitest(
        &mut self,
        step: &str,
        log: &str,
        run: impl FnOnce(&[&str]) -> Result<Outcome>,
    ) -> Result<Outcome> {
        let report = web::junit(&self.tools()?, step);
        let log = self.layout.logs().join(format!("{log}.log"));
        // What an earlier run left must not be taken for this one's.
        for stale in [&report, &log] {
            let _ = fs::remove_file(stale);
        }
        let args = web::vitest_args(&report);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let outcome = run(&args);
        let log = fs::read_to_string(log).unwrap_or_default();
        let counts = vitest::counts(&log);
        if let Some(counts) = counts {
            self.counts.add(counts);
            say::result(&format!("{step}: {}", counts.line()));
            if let Ok(xml) = fs::read_to_string(&report) {
                self.suites.extend(report::suites(&xml));
            }
        }
        judged(outcome, counts)
    }

    /// What documents say is compared and what they show is run.
    fn docs(&mut self) -> Result<Outcome> {
        // The stack needs what setup installs; without it the reason is told here.
        self.tools()?;
        let checked = docs::check(self.layout);
        if let Some(tool) = docs::missing_tool() {
            checked?;
            return Ok(Outcome::Skip(format!("{tool} is not installed")));
        }
        // What is wrong with the text does not hide what is wrong with the blocks.
        docs::doctest(self.layout, &docs::Asked::default())?;
        checked.map(|()| Outcome::Pass)
    }

    /// Runs the tests of `filter`. Always built for the whole workspace: cargo unites the features of what it builds at once,
    /// so every other choice of packages builds its own copy of most dependencies.
    fn nextest(&mut self, step: &str, profile: &str, filter: &str) -> Result<Outcome> {
        let tools = self.tools()?;
        let mut command = tools.command(tools.cargo_tool("cargo-nextest")?);
        command
            .args(["nextest", "run", "--workspace", "--profile", profile])
            .args(["--filterset", filter])
            // A commit made meanwhile would give later stacks another bundle, under those that serve this one.
            .env(wasm::GIVEN_SHA, wasm::git_sha(self.layout))
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
        judged(outcome.map(|_| Outcome::Pass), counts)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_builds_are_spent() {
        let layout = Layout {
            root: PathBuf::from("/r"),
        };
        assert_eq!(spent(&layout, "e2e"), [PathBuf::from("/r/target/wasm")]);
        for step in STEPS {
            for dir in spent(&layout, step) {
                let below = [layout.target(), layout.cargo_target()];
                let in_target = below.iter().any(|target| dir.parent() == Some(target));
                assert!(in_target, "{step}: {}", dir.display());
            }
        }
        // Reports, logs and modules stay.
        assert!(spent(&layout, "browser").is_empty() && spent(&layout, "docs").is_empty());
        // A journey builds a worker from changed sources.
        assert!(spent(&layout, "wasm").is_empty());
    }

    #[test]
    fn success_is_only_what_ran_and_passed() {
        let counts = |passed, failed| {
            Some(Counts {
                passed,
                failed,
                skipped: 1,
            })
        };
        let green = || Ok(Outcome::Pass);
        assert_eq!(judged(green(), counts(3, 0)).unwrap(), Outcome::Pass);
        for bad in [counts(0, 0), counts(3, 1), None] {
            let outcome = judged(green(), bad).unwrap();
            assert!(matches!(outcome, Outcome::Fail(_)), "{bad:?}");
        }
        assert!(judged(Err(Failure::failed("x")), counts(3, 0)).is_err());
    }
}

//! `cargo x check`: everything that is known without running the system.

use std::process::Command;
use std::time::Duration;

use crate::clock;
use crate::failure::{Failure, Result};
use crate::linters::Linter;
use crate::openapi;
use crate::process::Step;
use crate::say;
use crate::setup::Tools;
use crate::tidy;
use crate::workers;

/// Target of the workers; cargo keeps its builds in a folder of that name.
pub(crate) const WASM: &str = "wasm32-unknown-unknown";
/// The library that only makes sense on the workers' platform.
const PLATFORM_CRATE: &str = "platform-workers";

/// How a part ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Pass,
    /// Not as it should; why.
    Fail(String),
    /// It could not run; why.
    Skip(String),
}

/// A part of a larger command, for its table.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
}

impl Part {
    /// Runs a part and keeps the time.
    pub fn timed(name: &str, run: impl FnOnce() -> Result<Outcome>) -> Self {
        let started = clock::now();
        let outcome = run().unwrap_or_else(|failure| Outcome::Fail(failure.message));
        Self {
            name: name.to_owned(),
            outcome,
            took: started.elapsed(),
        }
    }

    /// An outcome as its word, coloured, and what follows a line of a table.
    pub fn shown(outcome: &Outcome) -> (String, String) {
        let (word, reason) = match outcome {
            Outcome::Pass => ("PASS", String::new()),
            Outcome::Fail(why) => ("FAIL", format!("  {why}")),
            Outcome::Skip(why) => ("SKIP", format!("  ({why})")),
        };
        (say::coloured(word), reason)
    }

    /// One line of a table.
    pub fn line(&self) -> String {
        let (word, reason) = Self::shown(&self.outcome);
        format!(
            "{word} {:<14} {:>12}{reason}",
            self.name,
            clock::spoken(self.took)
        )
    }
}

/// Runs all parts, prints each, fails if one failed.
pub fn run(tools: &Tools) -> Result<()> {
    let parts = parts(tools)?;
    let failed = parts
        .iter()
        .filter(|part| matches!(part.outcome, Outcome::Fail(_)))
        .count();
    if failed > 0 {
        return Err(Failure::failed(format!("{failed} checks failed")));
    }
    Ok(())
}

/// Runs all parts; an early failure does not stop a later part.
pub fn parts(tools: &Tools) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    let mut part = |name: &str, run: &dyn Fn() -> Result<Outcome>| {
        let part = Part::timed(name, run);
        say::result(&part.line());
        parts.push(part);
    };
    let cargo = |args: &[&str]| {
        let mut command = tools.command("cargo");
        command.args(args);
        command
    };
    let step = |name: &str, command: &Command| {
        let step = Step {
            logs: &tools.layout.logs(),
            name: &format!("check-{name}"),
            label: name,
        };
        step.run(command).map(|_| Outcome::Pass)
    };
    part("fmt", &|| step("fmt", &cargo(&["fmt", "--all", "--check"])));
    part("tidy", &|| tidy::run(&tools.layout).map(|()| Outcome::Pass));
    part("clippy", &|| {
        let args = [
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ];
        step("clippy", &cargo(&args))
    });
    part("clippy-wasm", &|| {
        let mut command = cargo(&["clippy", "--target", WASM, "--package", PLATFORM_CRATE]);
        for worker in workers::discover(&tools.layout)? {
            command.args(["--package", &worker.name]);
        }
        step("clippy-wasm", command.args(["--", "-D", "warnings"]))
    });
    part("doc", &|| {
        let mut command = cargo(&["doc", "--workspace", "--no-deps", "--lib"]);
        step("doc", command.env("RUSTDOCFLAGS", "-D warnings"))
    });
    part("openapi", &|| {
        openapi::run(tools, true).map(|()| Outcome::Pass)
    });
    part("deny", &|| {
        if let Some(reason) = tools.skip_reason("cargo-deny") {
            return Ok(Outcome::Skip(reason.to_owned()));
        }
        let mut command = tools.command(tools.cargo_tool("cargo-deny")?);
        step(
            "deny",
            command.args(["--workspace", "check", "bans", "licenses", "sources"]),
        )
    });
    for linter in Linter::all(&tools.layout, &tidy::tracked(&tools.layout)?) {
        part(linter.program, &|| linter.run(tools));
    }
    Ok(parts)
}

//! The console in a browser: its tests and its pictures, on a temporary system.
//!
//! In scope: the system, its description for the tests, the browser's program. Out of scope: what is tested
//! (`workers/console/web/e2e`).

use std::fs;
use std::path::Path;

use crate::clock;
use crate::failure::{Context, Failure, Result};
use crate::process::Step;
use crate::render::write_private;
use crate::say;
use crate::setup::{Tools, chromium};
use crate::stack::cron::Crons;
use crate::stack::{Options, Stack};
use crate::web;

/// Why there is no browser, if there is none.
pub fn missing() -> Option<&'static str> {
    chromium()
        .is_none()
        .then_some("no chromium: apt-get install -y chromium, or name one in CHROMIUM_BIN")
}

/// The npm scripts that need a browser and a running system.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// Name of the log, and of what fails.
    pub name: &'a str,
    /// The npm script.
    pub script: &'a str,
    /// Its further arguments.
    pub args: &'a [&'a str],
}

/// Starts a system, runs the script against it, ends the system.
pub fn run(tools: &Tools, job: Job<'_>) -> Result<()> {
    let program = chromium().context(missing().unwrap_or_default())?;
    let options = Options {
        temp: true,
        seed_tests: true,
        ..Options::default()
    };
    let mut stack = Stack::start(tools, options)?;
    let outcome = against(tools, job, &mut stack, &program);
    stack.end();
    outcome
}

fn against(tools: &Tools, job: Job<'_>, stack: &mut Stack, program: &Path) -> Result<()> {
    let _crons = Crons::start(stack.base_url.clone(), stack.crons()?);
    // It holds keys: for this user only, and gone with the system.
    let description = stack.dir.join("stack.json");
    write_private(&description, &stack.described().to_string())?;
    let mut command = web::npm_run(tools, job.script, job.args);
    command
        .env("SWITCHYARD_STACK", &description)
        .env("CHROMIUM_BIN", program);
    let step = Step {
        logs: &tools.layout.logs(),
        name: job.name,
        label: job.name,
    };
    // Tests may kill the runtime to see what a page says then, and keep it away with a file beside the description.
    let hold = stack.dir.join("stack.json.hold");
    let mut told = stack.described();
    let tend = || {
        if hold.exists() {
            return Ok(());
        }
        stack.tend()?;
        let now = stack.described();
        if now != told {
            write_private(&description, &now.to_string())?;
            told = now;
        }
        Ok(())
    };
    step.run_while(&command, tend).map(|_| ())
}

/// `cargo x screens`.
pub fn screens(tools: &Tools, update: bool) -> Result<()> {
    if let Some(missing) = missing() {
        return Err(Failure::invalid(missing));
    }
    let started = clock::now();
    let job = Job {
        name: "screens",
        script: "screens",
        args: if update { &["--update"] } else { &[] },
    };
    run(tools, job)?;
    let dir = tools.layout.target().join("test-report/screens");
    let pictures = fs::read_dir(&dir).context(dir.display())?.count();
    if pictures == 0 {
        return Err(Failure::failed(format!("{} is empty", dir.display())));
    }
    say::result(&format!(
        "{pictures} pictures in {}, made in {}",
        tools.layout.shown(&dir),
        clock::spoken(started.elapsed())
    ));
    Ok(())
}

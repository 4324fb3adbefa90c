//! Runs the blocks of documents, each document in one shell, against a temporary stack or one that runs already.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::clock;
use crate::failure::{Context, Failure, Result};
use crate::interrupt;
use crate::layout::Layout;
use crate::process::{Held, Output, tail};
use crate::say;
use crate::setup::{Scope, Tools};
use crate::stack::cron::Crons;
use crate::stack::{Options, Stack};

use super::expect::{difference, printed};
use super::markdown::parse;
use super::plan::{Plan, Step, plan};
use super::script::{AT, DONE, errors, output, script};

/// No document takes longer.
const LIMIT: Duration = Duration::from_mins(5);
const POLL: Duration = Duration::from_millis(20);
/// Lines of a failed block that are shown, of each of its streams.
const SHOWN_LINES: usize = 15;
/// Programs that blocks are run with.
const TOOLS: [&str; 3] = ["bash", "curl", "sed"];

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Only these documents; all if there are none.
    pub files: Vec<PathBuf>,
    /// A running system; its keys are in the environment. Without it a temporary one is started.
    pub base: Option<String>,
}

/// What every block has in its environment.
struct Surroundings {
    vars: Vec<(&'static str, String)>,
    dir: PathBuf,
}

/// How the documents went.
#[derive(Debug, Default)]
struct Tally {
    runs: usize,
    skipped: usize,
    failed: Vec<String>,
}

/// A program that is not there, if there is one.
pub fn missing_tool() -> Option<&'static str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let absent = |tool: &&&str| !dirs.iter().any(|dir| dir.join(tool).is_file());
    TOOLS.iter().find(absent).copied()
}

/// Runs the documents; fails if one of their blocks does.
pub fn run(layout: &Layout, asked: &Asked) -> Result<()> {
    if let Some(tool) = missing_tool() {
        return Err(Failure::invalid(format!("{tool} is not installed")));
    }
    let documents = documents(layout, &asked.files)?;
    let mut problems = Vec::new();
    for (name, plan) in &documents {
        let found = plan.problems.iter();
        problems.extend(found.map(|(line, problem)| format!("{name}:{line}: {problem}")));
    }
    if !problems.is_empty() {
        for problem in &problems {
            say::result(&format!("docs: {problem}"));
        }
        return Err(Failure::failed(format!(
            "{} blocks cannot be read",
            problems.len()
        )));
    }
    let dir = layout
        .target()
        .join(format!("doctest/{}", std::process::id()));
    let tally = match &asked.base {
        Some(base) => {
            let vars = vec![("BASE", base.trim_end_matches('/').to_owned())];
            run_all(
                &documents,
                &Surroundings {
                    vars,
                    dir: dir.clone(),
                },
            )
        }
        None => on_a_stack(layout, &documents, &dir),
    };
    let _ = fs::remove_dir_all(&dir);
    tally?.told(documents.len())
}

/// Documents by name with what they do; those without a block to run are kept, their reasons are told.
fn documents(layout: &Layout, files: &[PathBuf]) -> Result<Vec<(String, Plan)>> {
    if files.is_empty() {
        let names = super::names(layout)?;
        return names
            .into_iter()
            .map(|name| super::load(layout, &name).map(|document| (name, plan(&document))))
            .collect();
    }
    let read = |file: &PathBuf| {
        let text = fs::read_to_string(file)
            .map_err(|error| Failure::invalid(format!("{}: {error}", file.display())))?;
        let path = fs::canonicalize(file).unwrap_or_else(|_| file.clone());
        Ok((layout.shown(&path), plan(&parse(&text))))
    };
    files.iter().map(read).collect()
}

fn on_a_stack(layout: &Layout, documents: &[(String, Plan)], dir: &Path) -> Result<Tally> {
    let tools = Tools::ensure(layout, Scope::Run)?;
    let stack = Stack::start(
        &tools,
        Options {
            temp: true,
            seed_tests: true,
            ..Options::default()
        },
    )?;
    let crons = Crons::start(stack.base_url.clone(), stack.crons()?);
    let outcome = surroundings(&stack, dir).and_then(|around| run_all(documents, &around));
    drop(crons);
    stack.end();
    outcome
}

fn surroundings(stack: &Stack, dir: &Path) -> Result<Surroundings> {
    let mut vars = vec![
        ("BASE", stack.base_url.clone()),
        ("INSTANCE", "development".to_owned()),
    ];
    for (name, holder) in [
        ("KEY", "admin"),
        ("ADMIN_KEY", "admin"),
        ("ROOT_KEY", "superadmin"),
        ("USER_KEY", "user"),
        ("FOREIGN_KEY", "foreign"),
    ] {
        vars.push((name, stack.secrets.key(holder)?.to_owned()));
    }
    let org_id = stack.secrets.ids.get("org_id");
    vars.push(("ORG_ID", org_id.context("no seeded organization")?.clone()));
    Ok(Surroundings {
        vars,
        dir: dir.to_owned(),
    })
}

fn run_all(documents: &[(String, Plan)], around: &Surroundings) -> Result<Tally> {
    let mut tally = Tally::default();
    for (at, (name, plan)) in documents.iter().enumerate() {
        interrupt::check()?;
        for step in &plan.steps {
            if let Step::NoRun { line, reason } = step {
                tally.skipped += 1;
                say::result(&format!("norun {name}:{line}  {reason}"));
            }
        }
        if plan.runs() == 0 {
            continue;
        }
        let started = clock::now();
        match run_one(plan, around, &around.dir.join(at.to_string()))? {
            None => {
                tally.runs += plan.runs();
                let took = clock::spoken(started.elapsed());
                let word = say::coloured("PASS");
                say::result(&format!("{word} {name}  {} blocks, {took}", plan.runs()));
            }
            Some((line, why)) => {
                let place = format!("{name}:{line}");
                say::result(&format!("{} {place}", say::coloured("FAIL")));
                for line in why {
                    say::result(&format!("    {line}"));
                }
                tally.failed.push(place);
            }
        }
    }
    Ok(tally)
}

/// The line of the block that failed and what to say about it; `None` when all went well.
fn run_one(plan: &Plan, around: &Surroundings, dir: &Path) -> Result<Option<(usize, Vec<String>)>> {
    let work = dir.join("work");
    fs::create_dir_all(&work).context(work.display())?;
    let path = dir.join("script.bash");
    fs::write(&path, script(plan)).context(path.display())?;
    let mut command = Command::new("bash");
    command
        .arg("--noprofile")
        .arg("--norc")
        .arg(&path)
        .current_dir(&work)
        .env("DOCTEST_DIR", dir);
    for (name, value) in &around.vars {
        command.env(name, value);
    }
    if let Some(holder) = &plan.key {
        command.env("KEY", key_of(holder, around)?);
    }
    let log = dir.join("shell.log");
    let mut shell = Held::spawn(&command, &Output::Log(log.clone()))?;
    let started = clock::now();
    let late = loop {
        if shell.exited().is_some() {
            break false;
        }
        interrupt::check()?;
        if started.elapsed() > LIMIT {
            shell.kill();
            break true;
        }
        std::thread::sleep(POLL);
    };
    let at = fs::read_to_string(dir.join(AT)).unwrap_or_default();
    if at.trim() != DONE {
        let line: usize = at.trim().parse().unwrap_or(0);
        let mut why = Vec::new();
        if late {
            why.push(format!("it was not done after {}", clock::spoken(LIMIT)));
        }
        for (name, file) in [("out", output(line)), ("err", errors(line))] {
            let lines = tail(&dir.join(file), SHOWN_LINES);
            why.extend(lines.into_iter().map(|line| format!("{name}  {line}")));
        }
        why.extend(tail(&log, SHOWN_LINES));
        return Ok(Some((line, why)));
    }
    Ok(unexpected(plan, dir))
}

/// The first block that printed something else than its document says.
fn unexpected(plan: &Plan, dir: &Path) -> Option<(usize, Vec<String>)> {
    plan.steps.iter().find_map(|step| {
        let Step::Run {
            line,
            expect: Some(expected),
            ..
        } = step
        else {
            return None;
        };
        let text = fs::read_to_string(dir.join(output(*line))).unwrap_or_default();
        let why = match printed(&text) {
            Ok(got) => difference(expected, &got)?,
            Err(why) => why,
        };
        Some((*line, vec![why]))
    })
}

/// The key of a holder: given to us, or in our own environment when the system was not started here.
fn key_of(holder: &str, around: &Surroundings) -> Result<String> {
    let name = match holder {
        "superadmin" => "ROOT_KEY",
        "user" => "USER_KEY",
        "foreign" => "FOREIGN_KEY",
        _ => "ADMIN_KEY",
    };
    let given = around.vars.iter().find(|(known, _)| *known == name);
    given
        .map(|(_, value)| value.clone())
        .or_else(|| std::env::var(name).ok())
        .ok_or_else(|| Failure::invalid(format!("set {name}: a document is written for that key")))
}

impl Tally {
    fn told(self, documents: usize) -> Result<()> {
        let summary = format!(
            "{} blocks of {documents} documents ran, {} are marked norun",
            self.runs, self.skipped
        );
        if self.failed.is_empty() {
            say::result(&summary);
            return Ok(());
        }
        Err(Failure::failed(format!(
            "{} failed: {}",
            self.failed.len(),
            self.failed.join(", ")
        )))
    }
}

//! The commands and their options.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::failure::{Context, Exit, Failure, Result};
use crate::layout::Layout;
use crate::setup::{Scope, Tools};
use crate::stack::Options;
use crate::wasm::{self, Artifact};
use crate::{
    bench, browser, check, dev, docs, interrupt, openapi, say, stack, test_run, tidy, web, workers,
};

/// Task runner of the workspace: results on standard output, talk on standard error.
#[derive(Debug, Parser)]
#[command(name = "cargo x", bin_name = "cargo x")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Install every tool that the other commands call
    Setup {
        /// Change nothing; exit 1 if something is missing
        #[arg(long)]
        check: bool,
    },
    /// Build the workers to wasm, and the web application with its worker
    Build {
        /// Only this worker (repeatable)
        #[arg(long, value_name = "NAME")]
        worker: Vec<String>,
        /// Also copy the builds there, with a manifest of digests
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Run the system until standard input closes
    Stack(StackArgs),
    /// Run the system for people: shows what to try, rebuilds on change
    Dev(DevArgs),
    /// Run every test step and print a table
    Test {
        /// A skipped step fails
        #[arg(long)]
        strict: bool,
        /// Remove what no later step needs as soon as a step has passed
        #[arg(long)]
        lean: bool,
        /// Only this step (repeatable): setup, check, native, wasm, web, e2e, browser, docs
        #[arg(long, value_name = "STEP")]
        only: Vec<String>,
        /// Instead of all steps: the share of lines that the native tests run, by package; exit 1 below 80 %
        #[arg(long, conflicts_with_all = ["strict", "lean", "only"])]
        coverage: bool,
    },
    /// Pictures of the console's pages into target/test-report/screens
    Screens {
        /// Make them the ones to compare with
        #[arg(long)]
        update: bool,
    },
    /// The static checks: format, lints, docs, tidy, `OpenAPI`, dependencies
    Check,
    /// The rules of the house that no compiler knows
    Tidy {
        /// Write new migrations into their applied.lock
        #[arg(long)]
        lock_migrations: bool,
    },
    /// Write docs/openapi from the workers' routes
    Openapi {
        /// Change nothing; exit 1 on a difference
        #[arg(long)]
        check: bool,
    },
    /// Check the documents: links, routes, the form of their blocks
    Docs {
        /// Change nothing; exit 1 on a problem
        #[arg(long, required = true)]
        check: bool,
    },
    /// Run the bash blocks of README.md and docs
    Doctest {
        /// Only these documents
        files: Vec<PathBuf>,
        /// A running system instead of a temporary one; keys in `KEY`, `ROOT_KEY`, `USER_KEY`
        #[arg(long, value_name = "URL")]
        base: Option<String>,
    },
    /// Measure the running system
    Bench {
        /// Which suite
        #[arg(long, default_value = "generate", value_name = "NAME")]
        suite: String,
    },
}

#[derive(Debug, Args)]
struct StackArgs {
    /// Own state and random ports, removed at the end
    #[arg(long)]
    temp: bool,
    /// Print one JSON line when ready
    #[arg(long)]
    json: bool,
    /// Without projects
    #[arg(long)]
    empty: bool,
    /// With the worker `probe`, which holds the test routes
    #[arg(long)]
    probe: bool,
    /// With the worker `outage` between the workers and config-service; `POST /api/probe/mode?is=fail` makes it fail
    #[arg(long, conflicts_with = "probe")]
    outage: bool,
    /// With a foreign organization and a key for every role
    #[arg(long)]
    seed_tests: bool,
    /// Run no cron: whoever needs one calls for it
    #[arg(long)]
    no_crons: bool,
    /// An extra var on every worker (repeatable)
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = knob)]
    vars: Vec<(String, String)>,
    /// Preferred port of the gateway
    #[arg(long, conflicts_with = "temp")]
    port: Option<u16>,
}

/// Options of `cargo x dev`.
#[derive(Clone, Copy, Debug, Args)]
pub struct DevArgs {
    /// Throw the local state away first
    #[arg(long)]
    pub reset: bool,
    /// Without projects and without a sample image
    #[arg(long)]
    pub empty: bool,
    /// End a running session
    #[arg(long)]
    pub stop: bool,
    /// Serve the web application from its sources, with hot reload, on a port of its own
    #[arg(long)]
    pub web_watch: bool,
    /// Preferred port of the gateway
    #[arg(long, value_name = "N")]
    pub port: Option<u16>,
}

fn knob(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value))
            if !name.is_empty()
                && name
                    .chars()
                    .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_') =>
        {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err("expected NAME=VALUE with NAME in capitals, digits and _".to_owned()),
    }
}

impl Cli {
    /// Runs the command; a success ends with what is useful next.
    pub fn run(self) -> Result<()> {
        interrupt::install()?;
        let layout = Layout::find()?;
        let next = self.command.next();
        self.command.run(&layout)?;
        if let Some(next) = next {
            say::talk(&format!("next: {next}"));
        }
        Ok(())
    }
}

impl Command {
    /// What a person wants after it; nothing after a session that somebody has ended, nor after the tests, which end with
    /// their counts and the place of their report.
    fn next(&self) -> Option<&'static str> {
        match self {
            Self::Stack(_) | Self::Dev(_) | Self::Test { .. } => None,
            Self::Setup { .. } | Self::Build { .. } => Some("cargo x dev"),
            Self::Check => Some("cargo x test"),
            Self::Tidy { .. } | Self::Doctest { .. } => Some("cargo x check"),
            Self::Openapi { check: false } => Some("git diff docs/openapi"),
            Self::Openapi { check: true } | Self::Docs { .. } => Some("cargo x doctest"),
            Self::Screens { .. } => Some("cargo x test --only browser"),
            Self::Bench { .. } => Some("git diff docs/benchmarks.md"),
        }
    }

    fn run(self, layout: &Layout) -> Result<()> {
        match self {
            Self::Setup { check: true } => setup_check(layout),
            Self::Setup { check: false } => {
                let tools = Tools::ensure(layout, Scope::Full)?;
                say::result(&format!("tools ready in {}", tools.cache.display()));
                for (name, reason) in &tools.skipped {
                    say::result(&format!("SKIP {name}: {reason}"));
                }
                Ok(())
            }
            Self::Build { worker, out } => build(layout, &worker, out),
            Self::Stack(args) => {
                let options = Options {
                    temp: args.temp,
                    port: args.port,
                    empty: args.empty,
                    probe: args.probe,
                    outage: args.outage,
                    seed_tests: args.seed_tests,
                    no_crons: args.no_crons,
                    public_origins: Vec::new(),
                    knobs: args.vars.into_iter().collect::<BTreeMap<_, _>>(),
                };
                stack::serve::serve(layout, options, args.json)
            }
            Self::Dev(args) => dev::run(layout, args),
            Self::Test { coverage: true, .. } => test_run::coverage::run(layout),
            Self::Test {
                strict, lean, only, ..
            } => test_run::run(layout, &test_run::Asked { strict, lean, only }),
            Self::Screens { update } => {
                let tools = Tools::ensure(layout, Scope::Full)?;
                browser::screens(&tools, update)
            }
            Self::Check => check::run(&Tools::ensure(layout, Scope::Full)?),
            Self::Tidy { lock_migrations } => {
                if lock_migrations {
                    tidy::migrations::lock_new(layout)?;
                }
                tidy::run(layout)
            }
            Self::Openapi { check } => openapi::run(&Tools::ensure(layout, Scope::Run)?, check),
            Self::Docs { .. } => docs::check(layout),
            Self::Doctest { files, base } => docs::doctest(layout, &docs::Asked { files, base }),
            Self::Bench { suite } => bench::run(layout, &suite),
        }
    }
}

fn setup_check(layout: &Layout) -> Result<()> {
    let mut missing = 0;
    for (name, reason) in Tools::check(layout)? {
        match reason {
            None => say::result(&format!("ok       {name}")),
            Some(reason) => {
                missing += 1;
                say::result(&format!("missing  {name}: {reason}"));
            }
        }
    }
    if missing > 0 {
        return Err(Failure::failed(format!(
            "{missing} missing; run: cargo x setup"
        )));
    }
    Ok(())
}

fn build(layout: &Layout, only: &[String], out: Option<PathBuf>) -> Result<()> {
    let all = workers::discover(layout)?;
    if let Some(unknown) = only
        .iter()
        .find(|name| !all.iter().any(|worker| worker.name == **name))
    {
        let known: Vec<&str> = all.iter().map(|worker| worker.name.as_str()).collect();
        return Err(Failure {
            exit: Exit::InvalidInput,
            message: format!("no worker {unknown}; there are: {}", known.join(", ")),
        });
    }
    let artifacts: Vec<Artifact> = all
        .iter()
        .filter(|worker| only.is_empty() || only.contains(&worker.name))
        .map(Artifact::product)
        .collect();
    let tools = Tools::ensure(layout, Scope::Run)?;
    tools.need_room(Scope::Run)?;
    let built = wasm::build(&tools, &artifacts)?;
    let with_web = artifacts.iter().any(|it| it.name == workers::GATEWAY);
    let web_built = with_web && web::build(&tools, &wasm::git_sha(layout))?;
    for artifact in &artifacts {
        let size = wasm::size(&artifact.module())?;
        let note = if built.contains(&artifact.name) {
            "built"
        } else {
            "unchanged"
        };
        say::result(&format!(
            "{:<16} {:>9} bytes, {:>8} gzip  {note}",
            artifact.name, size.raw_bytes, size.gzip_bytes
        ));
    }
    if with_web {
        let (files, bytes) = web::size(layout)?;
        let note = if web_built { "built" } else { "unchanged" };
        say::result(&format!(
            "{:<16} {bytes:>9} bytes, {files:>8} files {note}",
            "web application"
        ));
    }
    if let Some(out) = out {
        let out = std::env::current_dir()
            .context("working directory")?
            .join(out);
        wasm::export(&tools, &artifacts, &out)?;
        say::result(&format!("manifest {}", out.join("manifest.json").display()));
    }
    Ok(())
}

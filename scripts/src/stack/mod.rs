//! The running system: simulator, databases, all workers under one wrangler, seed.
//!
//! In scope: start in the fixed order, watch and restart, end. Out of scope: the screen, watching
//! files and keys (`dev`), one-line output and commands on standard input (`serve`).

pub mod cron;
pub mod migrate;
mod patience;
mod registry;
pub mod restarts;
pub mod seed;
pub mod serve;
mod sim;
pub(crate) mod wrangler;

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use crate::bootstrap;
use crate::clock;
use crate::failure::{Context, Failure, Result};
use crate::http::Client;
use crate::interrupt;
use crate::layout::Layout;
use crate::process::{TAIL_LINES, tail};
use crate::procfs::{self, ProcessId};
use crate::render::{self, Target};
use crate::say;
use crate::secrets::Secrets;
use crate::session::{ChildGroup, Session, SimPorts};
use crate::setup::Tools;
use crate::wasm::{self, Artifact};
use crate::web;
use crate::workers::{self, GATEWAY, OUTAGE, Worker};

use patience::{Patience, Seen};
use restarts::{Restarts, Verdict};
use sim::Simulator;
use wrangler::Wrangler;

/// The port that people know.
pub const PORT: u16 = 8787;
/// The variable that moves the session that people start, so that a second one can stand beside it.
const SESSION_DIR: &str = "SWITCHYARD_SESSION";
/// Ports of a session's first simulator: instances remember them, so they should not be random.
const SIM_PORTS: SimPorts = SimPorts {
    port: 8797,
    image_port: 8798,
    alt_port: 8799,
};
const POLL: Duration = Duration::from_millis(100);

/// What to start.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Own folder, random ports, removed at the end.
    pub temp: bool,
    /// Preferred port of the gateway; [`PORT`] if none.
    pub port: Option<u16>,
    /// Without projects.
    pub empty: bool,
    /// With the worker that holds the test routes.
    pub probe: bool,
    /// With the worker that can be told to fail in config-service's place.
    pub outage: bool,
    /// With the foreign organization that the authorization tests need.
    pub seed_tests: bool,
    /// Without the crons, so that what happens by itself can be told from what they do.
    pub no_crons: bool,
    /// Origins besides the gateway's own that pages may call from.
    pub public_origins: Vec<String>,
    /// Extra vars on every worker.
    pub knobs: BTreeMap<String, String>,
}

/// A started system. Dropping it ends all its processes.
#[derive(Debug)]
pub struct Stack {
    tools: Tools,
    options: Options,
    /// The commit that this session names everywhere: workers and pages compare it.
    pub git_sha: String,
    /// Folder of the session.
    pub dir: PathBuf,
    /// The workers, the gateway first.
    pub workers: Vec<Worker>,
    /// `http://127.0.0.1:<port>`.
    pub base_url: String,
    /// Secrets, keys and ids.
    pub secrets: Secrets,
    simulator: Simulator,
    wrangler: Wrangler,
    wrangler_deaths: Restarts,
    simulator_deaths: Restarts,
}

/// The folder of a session: a temporary one has its own, what people start is in `target/dev` or where they say.
pub fn session_dir(layout: &Layout, options: &Options) -> PathBuf {
    if options.temp {
        let id = std::process::id();
        return layout.target().join(format!("stack/{id}"));
    }
    match std::env::var_os(SESSION_DIR).filter(|dir| !dir.is_empty()) {
        Some(dir) => layout.at(dir),
        None => layout.target().join("dev"),
    }
}

/// The builds that a stack serves.
pub fn artifacts(layout: &Layout, options: &Options) -> Result<Vec<Artifact>> {
    let mut artifacts: Vec<Artifact> = workers::discover(layout)?
        .iter()
        .map(Artifact::product)
        .collect();
    if options.probe {
        artifacts.push(Artifact::probe(layout));
    }
    Ok(artifacts)
}

impl Stack {
    /// Starts everything and waits until it answers.
    pub fn start(tools: &Tools, options: Options) -> Result<Self> {
        let layout = &tools.layout;
        let dir = session_dir(layout, &options);
        take_over(&dir)?;
        if options.temp {
            remove_dead_stacks(layout);
        }
        let git_sha = wasm::git_sha(layout);
        wasm::build(tools, &artifacts(layout, &options)?)?;
        web::build(tools, &git_sha)?;
        sim::build(tools)?;
        interrupt::check()?;

        let mut workers = workers::discover(layout)?;
        if options.probe {
            workers.push(workers::probe(layout));
        }
        if options.outage {
            workers.push(workers::outage(layout));
        }
        let known = Session::load(&dir).map(|session| session.sim);
        let logs = dir.join("logs");
        let preferred = if options.temp {
            SimPorts::default()
        } else {
            SIM_PORTS
        };
        let simulator = Simulator::start(tools, &logs, known.unwrap_or(preferred))?;
        let port = choose_port(&options)?;
        let base_url = format!("http://127.0.0.1:{port}");
        let mut secrets = Secrets::of_session(&dir)?;
        let target = target(&dir, &base_url, &git_sha, &options);
        let configs = render::write_all(&workers, &secrets, &target)?;
        let databases = render::databases(&configs)?;
        migrate::apply(tools, &databases, &dir, options.temp)?;
        bootstrap::superadmin(tools, &databases, &dir, &mut secrets)?;

        let wrangler = Wrangler::start(tools, &configs, &dir, port)?;
        let mut stack = Self {
            tools: tools.clone(),
            options,
            git_sha,
            dir,
            workers,
            base_url,
            secrets,
            simulator,
            wrangler,
            wrangler_deaths: Restarts::default(),
            simulator_deaths: Restarts::default(),
        };
        stack.record()?;
        stack.wait_until_healthy()?;
        stack.seed()?;
        stack.record()?;
        Ok(stack)
    }

    /// Where state lies.
    pub fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// Where logs lie.
    pub fn logs(&self) -> PathBuf {
        self.dir.join("logs")
    }

    /// The simulator's ports.
    pub fn sim(&self) -> SimPorts {
        self.simulator.ports
    }

    /// `http://127.0.0.1:<port>/_sim`.
    pub fn sim_control(&self) -> String {
        format!("http://127.0.0.1:{}/_sim", self.simulator.ports.port)
    }

    /// The processes that serve requests.
    pub fn workerd_pids(&self) -> Vec<i32> {
        procfs::group_members_named(self.wrangler.group(), "workerd")
    }

    /// The one line of `stack --json`.
    pub fn described(&self) -> serde_json::Value {
        let sim = self.sim();
        json!({
            "schema": 1,
            "base_url": self.base_url,
            "sim": {
                "port": sim.port, "image_port": sim.image_port, "alt_port": sim.alt_port,
                "control": self.sim_control(),
            },
            "keys": self.secrets.keys,
            "ids": self.secrets.ids,
            "pid": std::process::id(),
            "pgid": self.wrangler.group(),
            "workerd_pids": self.workerd_pids(),
            "state": self.state(),
            "logs": self.tools.layout.shown(&self.logs()),
        })
    }

    /// Writes `session.json`.
    pub fn record(&self) -> Result<()> {
        let groups = [
            ("provider-sim", self.simulator.id()),
            ("wrangler", self.wrangler.id()),
        ];
        let session = Session {
            schema: 1,
            owner: ProcessId::of(i32::try_from(std::process::id()).unwrap_or(0))
                .context("own process in /proc")?,
            base_url: self.base_url.clone(),
            sim: self.sim(),
            children: groups
                .into_iter()
                .filter_map(|(name, leader)| {
                    Some(ChildGroup {
                        name: name.to_owned(),
                        leader: leader?,
                    })
                })
                .collect(),
            admin_key: self.secrets.keys.get("admin").cloned(),
        };
        session.save(&self.dir)
    }

    /// Creates what is missing of the seed.
    pub fn seed(&mut self) -> Result<()> {
        let plan = seed::Plan {
            empty: self.options.empty,
            for_tests: self.options.seed_tests,
            sim: self.simulator.ports,
            workers: self.product_workers(),
        };
        seed::run(&self.base_url, &plan, &mut self.secrets)
    }

    /// Names of the workers that would be deployed too.
    fn product_workers(&self) -> Vec<String> {
        let names = self.workers.iter().map(|worker| worker.name.clone());
        names
            .filter(|name| ![workers::PROBE, OUTAGE].contains(&name.as_str()))
            .collect()
    }

    /// Restarts what has died; fails when it dies too often.
    pub fn tend(&mut self) -> Result<()> {
        if self.simulator.has_ended() {
            self.after_death("provider-sim")?;
            self.simulator = Simulator::start(&self.tools, &self.logs(), self.simulator.ports)?;
            self.record()?;
        }
        if self.wrangler.has_ended() {
            self.after_death("wrangler")?;
            self.wrangler.start_again(&self.tools)?;
            self.record()?;
            self.wait_until_healthy()?;
        }
        Ok(())
    }

    /// SIGKILL to every process of wrangler's group, then a new one on the same state and port.
    pub fn kill_and_restart(&mut self) -> Result<()> {
        self.pause();
        self.resume()
    }

    /// SIGKILL to every process of wrangler's group: the state is nobody's until [`Stack::resume`].
    pub fn pause(&mut self) {
        self.wrangler.kill();
    }

    /// A new wrangler on the same state and port.
    pub fn resume(&mut self) -> Result<()> {
        self.wrangler.start_again(&self.tools)?;
        self.record()?;
        self.wait_until_healthy()
    }

    /// Ends wrangler, applies what `change` does to the state, starts it again.
    pub fn restart_on(&mut self, change: impl FnOnce(&Self) -> Result<()>) -> Result<()> {
        self.wrangler.end();
        let changed = change(self);
        self.wrangler.start_again(&self.tools)?;
        self.record()?;
        self.wait_until_healthy()?;
        changed
    }

    /// Ends wrangler, runs this SQL on a database of the state, starts it again.
    pub fn execute_sql(&mut self, database: &str, sql: &str) -> Result<()> {
        let file = self.dir.join("execute.sql");
        fs::write(&file, sql).context(file.display())?;
        self.restart_on(|stack| {
            let databases = render::databases(&stack.wrangler.configs)?;
            let (tools, dir) = (&stack.tools, &stack.dir);
            bootstrap::execute(tools, &databases, dir, database, "execute-sql", &file)
        })
    }

    /// Builds the simulator again and starts it on the same ports.
    pub fn renew_simulator(&mut self) -> Result<()> {
        sim::build(&self.tools)?;
        let ports = self.simulator.ports;
        self.simulator.end();
        self.simulator = Simulator::start(&self.tools, &self.logs(), ports)?;
        self.record()
    }

    /// Whether there are migrations that the state has not seen; an edited one is refused.
    pub fn migration_is_due(&self) -> Result<bool> {
        migrate::is_due(&render::databases(&self.wrangler.configs)?, &self.dir)
    }

    /// Applies migrations that are new since the start. Wrangler must not run.
    pub fn migrate(&self) -> Result<()> {
        let databases = render::databases(&self.wrangler.configs)?;
        migrate::apply(&self.tools, &databases, &self.dir, false)
    }

    /// Renders the configurations again; wrangler notices by itself.
    pub fn render(&self) -> Result<()> {
        let target = target(&self.dir, &self.base_url, &self.git_sha, &self.options);
        render::write_all(&self.workers, &self.secrets, &target).map(|_| ())
    }

    /// Cron expressions by worker.
    pub fn crons(&self) -> Result<Vec<(String, String)>> {
        let mut found = Vec::new();
        for worker in &self.workers {
            for cron in render::crons(&worker.config()?) {
                found.push((worker.name.clone(), cron));
            }
        }
        Ok(found)
    }

    /// Ends all processes at the same time, and removes a temporary folder.
    pub fn end(mut self) {
        self.simulator.release();
        self.wrangler.release();
        self.wrangler.end();
        self.simulator.end();
        wrangler::clear_temp(&self.dir);
        if self.options.temp {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }

    fn after_death(&mut self, who: &str) -> Result<()> {
        let deaths = match who {
            "wrangler" => &mut self.wrangler_deaths,
            _ => &mut self.simulator_deaths,
        };
        match deaths.died(clock::now()) {
            Verdict::RestartAfter(delay) => {
                say::talk(&format!(
                    "{who} ended; starting it again in {}",
                    clock::spoken(delay)
                ));
                wait(delay)
            }
            Verdict::GiveUp => {
                self.show_log(who);
                Err(Failure::failed(format!(
                    "{who} ended 5 times within 2 minutes; log: {}",
                    self.logs().join(format!("{who}.log")).display()
                )))
            }
        }
    }

    fn show_log(&self, who: &str) {
        for line in tail(&self.logs().join(format!("{who}.log")), TAIL_LINES) {
            say::talk(&line);
        }
    }

    fn wait_until_healthy(&mut self) -> Result<()> {
        let client = Client::new(Duration::from_secs(5));
        let log = self.dir.join("logs/wrangler.log");
        let mut patience = Patience::new(self.options.temp, clock::now());
        let mut answers = false;
        for (healthy, worker) in self.workers.iter().enumerate() {
            let url = health_url(&self.base_url, &worker.name);
            loop {
                interrupt::check()?;
                let answer = client.get(&url);
                answers |= answer.is_ok();
                let last = match answer {
                    Ok(answer) if answer.status == 200 => break,
                    Ok(answer) => format!("{} {}", answer.status, answer.text()),
                    Err(failure) => failure.message,
                };
                let seen = Seen {
                    log_bytes: fs::metadata(&log).map_or(0, |meta| meta.len()),
                    answers,
                    healthy,
                };
                let why = if self.wrangler.has_ended() {
                    "wrangler ended".to_owned()
                } else if patience.is_over(clock::now(), seen) {
                    let limit = clock::spoken(patience.limit());
                    format!("nothing went on for {limit}")
                } else {
                    std::thread::sleep(POLL);
                    continue;
                };
                for line in tail(&log, TAIL_LINES) {
                    say::talk(&line);
                }
                return Err(Failure::failed(format!(
                    "{} is not healthy ({why}); last answer of {url}: {last}",
                    worker.name
                )));
            }
        }
        Ok(())
    }
}

fn target(dir: &Path, base_url: &str, git_sha: &str, options: &Options) -> Target {
    Target {
        dir: dir.to_owned(),
        base_url: base_url.to_owned(),
        environment: if options.temp { "test" } else { "local" }.to_owned(),
        git_sha: git_sha.to_owned(),
        probe: options.probe,
        outage: options.outage,
        public_origins: options.public_origins.clone(),
        knobs: options.knobs.clone(),
    }
}

/// The gateway's own health, and everyone else's through it.
pub fn health_url(base_url: &str, worker: &str) -> String {
    match worker {
        GATEWAY => format!("{base_url}/health"),
        // The gateway reaches it as the probe, and it passes on whatever it does not know.
        OUTAGE => format!("{base_url}/api/probe/mode"),
        worker => format!("{base_url}/api/{worker}/health"),
    }
}

/// A live session of the folder is refused; what a dead one left is ended.
fn take_over(dir: &Path) -> Result<()> {
    let Some(session) = Session::load(dir) else {
        return Ok(());
    };
    if session.is_live() {
        return Err(Failure::refused(format!(
            "a session is running already (process {}, {}); end it with: cargo x dev --stop",
            session.owner.pid, session.base_url
        )));
    }
    let ended = session.end_leftovers();
    if ended > 0 {
        say::talk(&format!(
            "ended {ended} process groups that a killed session had left"
        ));
    }
    Ok(())
}

/// Folders of temporary stacks whose owner is gone; a live one is left alone.
pub fn remove_dead_stacks(layout: &Layout) {
    let Ok(entries) = fs::read_dir(layout.target().join("stack")) else {
        return;
    };
    for entry in entries.flatten() {
        let dir = entry.path();
        let own = entry.file_name().to_string_lossy().parse::<u32>();
        let Ok(pid) = own else { continue };
        let live = match Session::load(&dir) {
            Some(session) => session.is_live(),
            // Not recorded yet: it may be starting right now.
            None => Path::new(&format!("/proc/{pid}")).exists(),
        };
        if !live {
            if let Some(session) = Session::load(&dir) {
                session.end_leftovers();
            }
            let _ = fs::remove_dir_all(dir);
        }
    }
}

fn choose_port(options: &Options) -> Result<u16> {
    if options.temp {
        return free_port(0).context("no free port on 127.0.0.1");
    }
    let wanted = options.port.unwrap_or(PORT);
    let port = (wanted..wanted.saturating_add(100))
        .find_map(free_port)
        .context(format!("no free port from {wanted} on"))?;
    if port != wanted {
        say::talk(&format!("port {wanted} is taken; using {port}"));
    }
    Ok(port)
}

/// The port if it can be bound now; 0 finds one.
pub fn free_port(port: u16) -> Option<u16> {
    let listener = TcpListener::bind(("127.0.0.1", port)).ok()?;
    listener.local_addr().ok().map(|address| address.port())
}

fn wait(duration: Duration) -> Result<()> {
    let started = clock::now();
    while started.elapsed() < duration {
        interrupt::check()?;
        std::thread::sleep(POLL);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn a_dead_stack_goes_with_what_its_runtime_left_and_a_live_one_stays() {
        let dir = Scratch::new("stacks");
        let layout = Layout {
            root: dir.path().to_owned(),
        };
        let stacks = layout.target().join("stack");
        // Higher than any number of a process.
        let dead = stacks.join("4194305");
        let live = stacks.join(std::process::id().to_string());
        let template = stacks.join("template-0123");
        for stack in [&dead, &live, &template] {
            fs::create_dir_all(stack.join("tmp/miniflare-1")).unwrap();
        }
        remove_dead_stacks(&layout);
        assert!(!dead.exists());
        for stack in [live, template] {
            assert!(stack.join("tmp/miniflare-1").is_dir());
        }
    }
}

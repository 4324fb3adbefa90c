//! `cargo x dev`: the system for people. Shows what to try, rebuilds what changed, obeys keys.

mod keys;
mod sample;
mod screen;
mod watch;
mod web_server;

use std::fs;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::cli::DevArgs;
use crate::clock;
use crate::failure::{Context, Result};
use crate::http::Client;
use crate::interrupt;
use crate::layout::Layout;
use crate::process::tail;
use crate::say;
use crate::session::Session;
use crate::setup::{Scope, Tools};
use crate::stack::cron::Crons;
use crate::stack::{self, Options, Stack};
use crate::wasm::{self, Artifact};
use crate::web;
use crate::workers::Graph;

use keys::Keys;
use sample::Sample;
use watch::{Change, Watch};
use web_server::WebServer;

const TICK: Duration = Duration::from_millis(50);
const SIMULATOR: &str = "provider-sim";
/// What wrangler logs once it serves a build that it found on the disk.
const RELOADED: &str = "Local server updated and ready";
/// How long it may take to say so.
const RELOAD: Duration = Duration::from_secs(20);

/// Runs until `q`, Ctrl-C or `--stop` from elsewhere.
pub fn run(layout: &Layout, args: DevArgs) -> Result<()> {
    let mut options = Options {
        port: args.port,
        empty: args.empty,
        ..Options::default()
    };
    let dir = stack::session_dir(layout, &options);
    if args.stop {
        stop(&dir);
        return Ok(());
    }
    let started = clock::now();
    let wants_sample = !args.empty;
    if args.reset && Session::load(&dir).is_none_or(|session| !session.is_live()) {
        if let Some(session) = Session::load(&dir) {
            session.end_leftovers();
        }
        if dir.exists() {
            fs::remove_dir_all(&dir).context(dir.display())?;
        }
    }
    let tools = Tools::ensure(layout, Scope::Run)?;
    tools.need_room(Scope::Run)?;
    let web_url = if args.web_watch {
        Some(web_server::choose_url()?)
    } else {
        None
    };
    options.public_origins.extend(web_url.clone());
    let stack = Stack::start(&tools, options)?;
    let web_server = match web_url {
        Some(url) => Some(WebServer::start(&tools, &stack, url)?),
        None => None,
    };
    let crons = Crons::start(stack.base_url.clone(), stack.crons()?);
    let watch = Watch::start(layout)?;
    let graph = Graph::load(layout)?;
    let keys = Keys::start();
    say::result(&screen::ready(layout, &stack, keys.are_read())?);
    if let Some(server) = &web_server {
        say::result(&format!("  pages with hot reload  {}", server.url));
    }
    say::talk(&format!("ready in {}", clock::spoken(started.elapsed())));
    let sample = if wants_sample {
        Sample::start(&stack.base_url, &stack.secrets)?
    } else {
        None
    };
    let mut dev = Dev {
        tools,
        stack,
        graph,
        build: None,
        again: false,
        builds_web: web_server.is_none(),
        tailing: None,
        faults: false,
        outdated: false,
        failed: false,
        reloading: None,
        sample,
    };
    let outcome = dev.until_end(&watch, &keys);
    // A build in flight ends with us.
    interrupt::ask();
    drop(keys);
    drop(crons);
    drop(web_server);
    drop(dev.build);
    dev.stack.end();
    say::talk("ended");
    outcome
}

fn stop(dir: &std::path::Path) {
    match Session::load(dir) {
        Some(session) if session.is_live() => {
            session.stop();
            say::result("the session has ended");
        }
        Some(session) => {
            session.end_leftovers();
            say::result("no session is running");
        }
        None => say::result("no session is running"),
    }
}

struct Dev {
    tools: Tools,
    stack: Stack,
    graph: Graph,
    build: Option<Receiver<Result<Built>>>,
    /// Something changed while a build was running.
    again: bool,
    /// The bundle follows its sources; not while Vite serves these.
    builds_web: bool,
    /// Bytes of wrangler's log that were shown already.
    tailing: Option<u64>,
    faults: bool,
    /// Whether the build before failed, so that what is served is older than the sources.
    outdated: bool,
    /// Whether a part of this build failed.
    failed: bool,
    /// New builds that are on the disk and not served yet.
    reloading: Option<Reloading>,
    /// While it is being made.
    sample: Option<Sample>,
}

/// What a build made.
enum Built {
    /// Their names.
    Workers(Vec<String>),
    /// Whether there was anything to do.
    Web(bool),
}

/// New builds that wrangler has to find.
struct Reloading {
    workers: Vec<String>,
    /// Bytes of its log that are older.
    from: usize,
    since: Instant,
}

impl Dev {
    fn until_end(&mut self, watch: &Watch, keys: &Keys) -> Result<()> {
        loop {
            if interrupt::asked() {
                return Ok(());
            }
            match watch.next(TICK) {
                Ok(changes) => self.changed(&changes),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(TICK),
            }
            self.finish_build();
            self.finish_reload();
            self.finish_sample();
            match keys.pressed() {
                Some(b'q') => return Ok(()),
                Some(key) => self.key(key),
                None => {}
            }
            self.show_log();
            self.stack.tend()?;
        }
    }

    fn key(&mut self, key: u8) {
        let done = match key {
            b'r' => self.stack.seed().map(|()| "seeded".to_owned()),
            b't' => {
                self.tailing = match self.tailing {
                    Some(_) => None,
                    None => Some(0),
                };
                Ok(format!(
                    "tail {}",
                    if self.tailing.is_some() { "on" } else { "off" }
                ))
            }
            b'f' => self.toggle_faults(),
            _ => return,
        };
        match done {
            Ok(text) => say::talk(&text),
            Err(failure) => say::talk(&format!("error: {failure}")),
        }
    }

    fn toggle_faults(&mut self) -> Result<String> {
        let enabled = !self.faults;
        let url = format!("{}/chaos", self.stack.sim_control());
        let body = json!({"enabled": enabled, "seed": 7, "rate": 0.2});
        let answer = Client::new(Duration::from_secs(5)).send("POST", &url, &[], Some(&body))?;
        if answer.status >= 300 {
            return Ok(format!("the simulator answered {}", answer.status));
        }
        self.faults = enabled;
        Ok(format!(
            "faults of the simulator {}",
            if enabled { "on" } else { "off" }
        ))
    }

    fn changed(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Source(file) => match self.graph.owner(file) {
                    Some(SIMULATOR) => self.report(|dev| dev.stack.renew_simulator()),
                    Some(_) => self.again = true,
                    None => {}
                },
                Change::Manifest => match Graph::load(&self.tools.layout) {
                    Ok(graph) => {
                        self.graph = graph;
                        self.again = true;
                    }
                    Err(failure) => say::talk(&format!("error: {failure}")),
                },
                Change::Web => self.again |= self.builds_web,
                Change::Configuration => self.report(|dev| dev.stack.render()),
                Change::Migration => self.report(|dev| {
                    if dev.stack.migration_is_due()? {
                        say::talk("new migration: restarting on the same state");
                        dev.stack.restart_on(Stack::migrate)?;
                        say::talk("migrated");
                    }
                    Ok(())
                }),
            }
        }
        self.start_build();
    }

    fn report(&mut self, action: impl FnOnce(&mut Self) -> Result<()>) {
        if let Err(failure) = action(self) {
            say::talk(&format!("error: {failure}"));
        }
    }

    /// One build at a time; which workers it concerns, and whether the bundle, follows from their input digests.
    fn start_build(&mut self) {
        if !self.again || self.build.is_some() {
            return;
        }
        self.again = false;
        self.failed = false;
        let tools = self.tools.clone();
        let artifacts: Vec<Artifact> = self.stack.workers.iter().map(Artifact::product).collect();
        let web_of = self.builds_web.then(|| self.stack.git_sha.clone());
        let (done, outcome) = channel();
        std::thread::spawn(move || {
            // A failure of one hides no success of the other.
            let _ = done.send(wasm::build(&tools, &artifacts).map(Built::Workers));
            if let Some(git_sha) = web_of {
                let built = web::build(&tools, &git_sha);
                let _ = done.send(built.map(Built::Web));
            }
        });
        self.build = Some(outcome);
    }

    fn finish_build(&mut self) {
        loop {
            let Some(build) = &self.build else { return };
            match build.try_recv() {
                Ok(outcome) => self.tell(outcome),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    self.build = None;
                    if self.outdated && !self.failed && self.reloading.is_none() {
                        say::talk("what is served is up to date again");
                    }
                    self.outdated = self.failed;
                    self.start_build();
                    return;
                }
            }
        }
    }

    fn finish_sample(&mut self) {
        let Some(outcome) = self.sample.as_ref().and_then(Sample::outcome) else {
            return;
        };
        self.sample = None;
        let kept = outcome.and_then(|job_id| {
            let secrets = &mut self.stack.secrets;
            secrets.ids.insert(sample::JOB.to_owned(), job_id);
            secrets.save()
        });
        match kept {
            Ok(()) => say::talk("a sample image is there"),
            Err(failure) => say::talk(&format!("no sample image: {failure}")),
        }
    }

    fn tell(&mut self, outcome: Result<Built>) {
        match outcome {
            Ok(Built::Workers(workers)) => {
                if !workers.is_empty() {
                    self.reloading = Some(Reloading {
                        workers,
                        from: self.wrangler_log().len(),
                        since: clock::now(),
                    });
                }
            }
            Ok(Built::Web(true)) => say::talk("serving the new build of the web application"),
            Ok(Built::Web(false)) => {}
            Err(failure) => {
                self.failed = true;
                say::talk(&format!("error: {failure}"));
                say::talk(&format!("serving the build of {}", self.last_good_build()));
            }
        }
    }

    /// Says that new builds are served once they are: until then a request may end in wrangler's restart.
    fn finish_reload(&mut self) {
        if self.reloading.is_none() {
            return;
        }
        let log = self.wrangler_log();
        let over = self.reloading.take_if(|it| {
            let new = log.get(it.from..).unwrap_or_default();
            let told = String::from_utf8_lossy(new).contains(RELOADED);
            told || it.since.elapsed() > RELOAD
        });
        if let Some(Reloading { workers, .. }) = over {
            say::talk(&format!("serving the new build of {}", workers.join(", ")));
        }
    }

    fn wrangler_log(&self) -> Vec<u8> {
        fs::read(self.stack.logs().join("wrangler.log")).unwrap_or_default()
    }

    fn last_good_build(&self) -> String {
        self.stack
            .workers
            .iter()
            .filter_map(|worker| Artifact::product(worker).stamp())
            .map(|stamp| stamp.built_at_ms)
            .max()
            .map_or_else(|| "nothing".to_owned(), clock::time_of_day)
    }

    fn show_log(&mut self) {
        let Some(shown) = self.tailing else { return };
        let log = self.stack.logs().join("wrangler.log");
        let length = fs::metadata(&log).map_or(0, |meta| meta.len());
        if length == shown {
            return;
        }
        if shown == 0 {
            for line in tail(&log, 20) {
                say::talk(&line);
            }
        } else if let Ok(bytes) = fs::read(&log) {
            let new = usize::try_from(shown)
                .ok()
                .and_then(|from| bytes.get(from..));
            say::talk(String::from_utf8_lossy(new.unwrap_or_default()).trim_end());
        }
        self.tailing = Some(length);
    }
}

//! Starts the running system as a child process and ends it.

use crate::{Client, Control, Copies, Ledger, Sim, control, logs};
use rusqlite::{Connection, OpenFlags};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What kind of stack a test needs.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Adds the probe worker with its test-only routes.
    pub probe: bool,
    /// Puts a worker between the others and config-service that [`Stack::outage`] makes fail.
    pub outage: bool,
    /// Runs no cron of the workers.
    pub no_crons: bool,
    /// Variables set on every worker (test knobs).
    pub vars: Vec<(&'static str, &'static str)>,
    /// Texts of ERROR lines that the test provokes.
    pub expected_errors: Vec<&'static str>,
    /// Texts of violations at the simulator that the test provokes.
    pub expected_violations: Vec<&'static str>,
    /// The test leaves jobs unfinished on purpose.
    pub leaves_jobs: bool,
}

/// The keys that the stack was seeded with.
#[derive(Clone, Debug, Deserialize)]
pub struct Keys {
    /// Superadmin.
    pub superadmin: String,
    /// Administrator of Acme Corp.
    pub admin: String,
    /// User of Acme Corp. with access to `development`.
    pub user: String,
    /// Administrator of Foreign Ltd.
    pub foreign: String,
}

/// Ids of what the stack was seeded with.
pub type Ids = Value;

#[derive(Deserialize)]
struct SimPorts {
    control: String,
}

#[derive(Deserialize)]
struct Ready {
    base_url: String,
    sim: SimPorts,
    keys: Keys,
    ids: Ids,
    state: PathBuf,
    logs: PathBuf,
}

/// A running stack; ended when dropped.
pub struct Stack {
    child: Child,
    stdin: Mutex<Option<ChildStdin>>,
    lines: Mutex<Receiver<String>>,
    options: Options,
    ready: Ready,
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

impl Stack {
    /// Starts a stack and waits until it is ready.
    ///
    /// # Panics
    /// When it does not get ready within 10 minutes.
    pub fn start(options: Options) -> Self {
        let binary = std::env::var("SWITCHYARD_SCRIPTS")
            .map_or_else(|_| root().join("target/debug/scripts"), PathBuf::from);
        let mut command = Command::new(&binary);
        command
            .args(["stack", "--temp", "--json", "--seed-tests"])
            .current_dir(root());
        if options.probe {
            command.arg("--probe");
        }
        if options.outage {
            command.arg("--outage");
        }
        if options.no_crons {
            command.arg("--no-crons");
        }
        for (name, value) in &options.vars {
            command.args(["--var", &format!("{name}={value}")]);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "{}: {error}; run `cargo build -p scripts` first",
                    binary.display()
                )
            });
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().expect("piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let first = lines
            .recv_timeout(Duration::from_mins(10))
            .expect("the stack gets ready");
        let ready: Ready =
            serde_json::from_str(&first).unwrap_or_else(|error| panic!("{error}: {first}"));
        Self {
            child,
            stdin: Mutex::new(stdin),
            lines: Mutex::new(lines),
            options,
            ready,
        }
    }

    /// URL of the console.
    pub fn base_url(&self) -> &str {
        &self.ready.base_url
    }

    /// The seeded keys.
    pub fn keys(&self) -> &Keys {
        &self.ready.keys
    }

    /// The seeded ids.
    pub fn ids(&self) -> &Ids {
        &self.ready.ids
    }

    /// A client with the administrator's key.
    pub fn admin(&self) -> Client {
        Client::new(&self.ready.base_url, &self.ready.keys.admin)
    }

    /// A client with another key.
    pub fn client(&self, key: &str) -> Client {
        Client::new(&self.ready.base_url, key)
    }

    /// The simulator's control calls.
    pub fn sim(&self) -> Sim {
        Sim::new(&self.ready.sim.control)
    }

    /// The ledger's rows, read from the database's file.
    pub fn ledger(&self) -> Ledger {
        Ledger::new(&self.ready.state)
    }

    /// Rows of a query over every Durable Object, read from their files; none of those that lack its tables.
    pub fn object_rows(&self, sql: &str) -> Vec<Vec<String>> {
        control::sqlite_files(&self.ready.state, "do")
            .iter()
            .filter_map(|path| {
                Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()
            })
            .flat_map(|object| control::texts(&object, sql))
            .collect()
    }

    /// The control database, read from its file.
    pub fn control(&self) -> Control {
        Control::new(&self.ready.state)
    }

    /// The copies of configurations in KV, read from its files.
    pub fn copies(&self) -> Copies {
        Copies::new(&self.ready.state)
    }

    /// Folder of a worker's rendered configuration: `wrangler.jsonc`, and `.dev.vars` with its secrets.
    pub fn rendered(&self, worker: &str) -> PathBuf {
        let session = self.ready.state.parent().unwrap_or(&self.ready.state);
        session.join("config").join(worker)
    }

    /// A secret of a worker.
    ///
    /// # Panics
    /// When it has none of that name.
    pub fn secret(&self, worker: &str, name: &str) -> String {
        let path = self.rendered(worker).join(".dev.vars");
        let text = std::fs::read_to_string(path).expect("a worker with secrets");
        let value = text.lines().find_map(|line| {
            let (known, value) = line.split_once('=')?;
            (known == name).then(|| value.trim_matches('"').to_owned())
        });
        value.unwrap_or_else(|| panic!("{worker} has no {name}"))
    }

    /// Log lines of the workers so far that are JSON.
    pub fn log_lines(&self) -> Vec<Value> {
        logs::read(&root().join(&self.ready.logs))
    }

    /// The `request` event of a request.
    pub async fn request_event(&self, request_id: &str, component: &str) -> Value {
        crate::until(
            &format!("the request event of {request_id} by {component}"),
            20,
            || async {
                self.log_lines().into_iter().find(|line| {
                    line["request_id"] == request_id
                        && line["component"] == component
                        && line["metadata"]["event"] == "request"
                })
            },
        )
        .await
    }

    /// Says what happens to the workers' calls of config-service from now on: `pass`, `fail`, `throw`, `hang`. Needs
    /// [`Options::outage`].
    ///
    /// # Panics
    /// When there is no such mode.
    pub async fn outage(&self, mode: &str) {
        let client = self.admin();
        let answer = client
            .send(client.request("POST", &format!("/api/probe/mode?is={mode}")))
            .await;
        assert_eq!(answer.json()["mode"], mode, "{}", answer.json());
    }

    /// Kills workerd and wrangler with SIGKILL and waits until the same state is served again.
    ///
    /// # Panics
    /// When it does not come back within 10 minutes.
    pub fn kill_and_restart(&self) {
        self.send("kill");
        self.expect_event("restarted");
    }

    /// Kills workerd and wrangler with SIGKILL, lets `work` change the state, and waits until it is served again.
    ///
    /// # Panics
    /// When it does not come back within 10 minutes.
    pub fn while_paused<T>(&self, work: impl FnOnce() -> T) -> T {
        self.send("pause");
        self.expect_event("paused");
        let done = work();
        self.send("resume");
        self.expect_event("restarted");
        done
    }

    fn expect_event(&self, event: &str) {
        let line = self
            .lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv_timeout(Duration::from_mins(10));
        let line = line.unwrap_or_else(|_| panic!("the stack does not say {event:?}"));
        assert!(line.contains(event), "{line}");
    }

    fn send(&self, command: &str) {
        let mut stdin = self.stdin.lock().unwrap_or_else(PoisonError::into_inner);
        let stdin = stdin.as_mut().expect("open until the stack is dropped");
        writeln!(stdin, "{command}")
            .and_then(|()| stdin.flush())
            .expect("the stack reads its commands");
    }

    fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        let mut seen = BTreeSet::new();
        for line in self.log_lines() {
            let text = line.to_string();
            let announced = self
                .options
                .expected_errors
                .iter()
                .any(|expected| text.contains(expected));
            if line["level"] == "ERROR" && !announced && seen.insert(line["message"].to_string()) {
                complaints.push(format!("ERROR line: {text}"));
            }
        }
        if !self.options.leaves_jobs {
            let left = crate::settled(15, || self.ledger().unfinished_jobs());
            complaints.extend(left.iter().map(|job| format!("unfinished job: {job}")));
        }
        for violation in self.sim().violations_so_far() {
            let text = violation.to_string();
            let mut announced = self.options.expected_violations.iter();
            if !announced.any(|expected| text.contains(expected)) {
                complaints.push(format!("violation at the simulator: {text}"));
            }
        }
        complaints
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let complaints = if std::thread::panicking() {
            Vec::new()
        } else {
            self.complaints()
        };
        // Closing its stdin ends the stack and everything that it started.
        *self.stdin.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let _ = self.child.wait();
        assert!(
            complaints.is_empty(),
            "left over at the end:\n{}",
            complaints.join("\n")
        );
    }
}

//! The provider simulator as a child.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use crate::failure::{Context, Failure, Result};
use crate::process::{Held, Output, Step};
use crate::procfs::ProcessId;
use crate::session::SimPorts;
use crate::setup::Tools;

use super::free_port;

const PROGRAM: &str = "provider-sim";
const FIRST_LINE: Duration = Duration::from_secs(20);

/// A running simulator.
#[derive(Debug)]
pub(super) struct Simulator {
    child: Held,
    pub(super) ports: SimPorts,
}

/// Builds the program.
pub(super) fn build(tools: &Tools) -> Result<()> {
    let mut command = tools.command("cargo");
    command.args(["build", "--package", PROGRAM, "--bin", PROGRAM]);
    let step = Step {
        logs: &tools.layout.logs(),
        name: "build-provider-sim",
        label: "building provider-sim",
    };
    step.run(&command).map(|_| ())
}

impl Simulator {
    /// Starts it, on the known ports if they are free.
    pub(super) fn start(tools: &Tools, logs: &Path, known: SimPorts) -> Result<Self> {
        let program = tools.layout.cargo_target().join("debug").join(PROGRAM);
        let mut command = tools.command(program);
        for (name, port) in [
            ("--port", known.port),
            ("--image-port", known.image_port),
            ("--alt-port", known.alt_port),
        ] {
            command.args([name, &free_port(port).map_or(0, |_| port).to_string()]);
        }
        command.args(["--seed", "1", "--clock", "real"]);
        let log = logs.join(format!("{PROGRAM}.log"));
        let mut child = Held::spawn(&command, &Output::Pipe(log.clone()))?;
        let stdout = child.stdout().context("output of the simulator")?;
        let (first, line) = channel();
        std::thread::spawn(move || {
            let mut lines = BufReader::new(stdout).lines();
            if let Some(Ok(line)) = lines.next() {
                let _ = first.send(line);
            }
            drop(first);
            // The pipe must be read to the end, or the simulator would stop at a full one.
            let mut log = File::options().append(true).open(log).ok();
            for line in lines.map_while(std::io::Result::ok) {
                if let Some(log) = &mut log {
                    let _ = writeln!(log, "{line}");
                }
            }
        });
        let line = line.recv_timeout(FIRST_LINE).map_err(|error| {
            Failure::failed(match error {
                RecvTimeoutError::Timeout => "provider-sim printed no port within 20 s",
                RecvTimeoutError::Disconnected => "provider-sim ended before it printed its port",
            })
        })?;
        let ports = serde_json::from_str(&line).context("first line of provider-sim")?;
        Ok(Self { child, ports })
    }

    pub(super) fn id(&self) -> Option<ProcessId> {
        self.child.id()
    }

    pub(super) fn has_ended(&mut self) -> bool {
        self.child.exited().is_some()
    }

    pub(super) fn release(&mut self) {
        self.child.release();
    }

    pub(super) fn end(&mut self) {
        self.child.end();
    }
}

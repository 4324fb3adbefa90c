//! All workers under one `wrangler dev`.

use std::path::{Path, PathBuf};

use crate::failure::Result;
use crate::process::{Held, Output};
use crate::procfs::ProcessId;
use crate::setup::Tools;

/// A running wrangler and what it needs to be started again.
#[derive(Debug)]
pub(super) struct Wrangler {
    child: Held,
    /// The rendered files, the gateway's first.
    pub(super) configs: Vec<PathBuf>,
    dir: PathBuf,
    port: u16,
}

impl Wrangler {
    pub(super) fn start(tools: &Tools, configs: &[PathBuf], dir: &Path, port: u16) -> Result<Self> {
        Ok(Self {
            child: spawn(tools, configs, dir, port)?,
            configs: configs.to_vec(),
            dir: dir.to_owned(),
            port,
        })
    }

    /// On the same state and the same port.
    pub(super) fn start_again(&mut self, tools: &Tools) -> Result<()> {
        self.child = spawn(tools, &self.configs, &self.dir, self.port)?;
        Ok(())
    }

    pub(super) fn id(&self) -> Option<ProcessId> {
        self.child.id()
    }

    pub(super) fn group(&self) -> i32 {
        self.child.group()
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

    pub(super) fn kill(&mut self) {
        self.child.kill();
    }
}

fn spawn(tools: &Tools, configs: &[PathBuf], dir: &Path, port: u16) -> Result<Held> {
    let mut command = tools.command("wrangler");
    command.arg("dev");
    for config in configs {
        command.arg("-c").arg(config);
    }
    command
        .arg("--persist-to")
        .arg(dir.join("state"))
        .args(["--ip", "127.0.0.1", "--port", &port.to_string()])
        .args(["--inspector-port", "0"])
        // Its debug log repeats the lines of the workers, so it must not lie among the logs.
        .env("WRANGLER_LOG_PATH", dir.join("wrangler-debug"))
        .current_dir(dir);
    Held::spawn(&command, &Output::Log(dir.join("logs/wrangler.log")))
}

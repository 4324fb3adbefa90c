//! All workers under one `wrangler dev`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Context, Result};
use crate::process::{Held, Output};
use crate::procfs::ProcessId;
use crate::setup::Tools;

/// Folder of a session for what the runtime thinks of as temporary.
const TEMP: &str = "tmp";

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

/// A wrangler of the session in this folder. Whatever it is killed in the middle of lies in there too, and goes with it.
pub(crate) fn command(tools: &Tools, dir: &Path) -> Result<Command> {
    let temp = dir.join(TEMP);
    fs::create_dir_all(&temp).context(temp.display())?;
    let mut command = tools.command("wrangler");
    command.env("TMPDIR", temp).current_dir(dir);
    Ok(command)
}

/// Removes what ended wranglers have left. None of the session may run.
pub(super) fn clear_temp(dir: &Path) {
    let _ = fs::remove_dir_all(dir.join(TEMP));
}

fn spawn(tools: &Tools, configs: &[PathBuf], dir: &Path, port: u16) -> Result<Held> {
    clear_temp(dir);
    let mut command = command(tools, dir)?;
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
        .env("WRANGLER_LOG_PATH", dir.join("wrangler-debug"));
    Held::spawn(&command, &Output::Log(dir.join("logs/wrangler.log")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;
    use crate::scratch::Scratch;
    use crate::versions::Versions;

    #[test]
    fn what_a_runtime_leaves_lies_in_its_session_and_is_cleared() {
        let (dir, layout) = (Scratch::new("session"), Layout::find().unwrap());
        let tools = Tools {
            versions: Versions::load(&layout).unwrap(),
            layout,
            cache: dir.path().join("cache"),
            skipped: Vec::new(),
        };
        let command = command(&tools, dir.path()).unwrap();
        let temp = command.get_envs().find(|(name, _)| *name == "TMPDIR");
        let temp = PathBuf::from(temp.unwrap().1.unwrap());
        assert!(temp.is_dir() && temp.starts_with(dir.path()));
        fs::create_dir(temp.join("miniflare-1")).unwrap();
        clear_temp(dir.path());
        assert!(!temp.exists());
    }
}

//! `session.json`: which processes belong to a session, so that the right ones can be ended.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::failure::{Context, Result};
use crate::hold;
use crate::procfs::ProcessId;
use crate::render::write_private;

const FILE: &str = "session.json";

/// A child group, by its leader.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChildGroup {
    /// What runs in it.
    pub name: String,
    /// Its leader; the number is also that of the group.
    pub leader: ProcessId,
}

/// Ports of the simulator, kept over restarts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimPorts {
    /// The API and its control calls.
    pub port: u16,
    /// The image host.
    pub image_port: u16,
    /// The second API host.
    pub alt_port: u16,
}

/// Contents of the file, mode 0600.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    /// Version of this format.
    pub schema: u32,
    /// The process that runs the session.
    pub owner: ProcessId,
    /// The gateway.
    pub base_url: String,
    /// The simulator's ports.
    pub sim: SimPorts,
    /// All child groups.
    pub children: Vec<ChildGroup>,
    /// The key that people use.
    pub admin_key: Option<String>,
}

impl Session {
    /// The file of a session folder, if there is one.
    pub fn load(dir: &Path) -> Option<Self> {
        let text = fs::read_to_string(dir.join(FILE)).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Writes the file.
    pub fn save(&self, dir: &Path) -> Result<()> {
        fs::create_dir_all(dir).context(dir.display())?;
        let text = serde_json::to_string_pretty(self).context(FILE)?;
        write_private(&dir.join(FILE), &text)
    }

    /// Whether its owner still runs.
    pub fn is_live(&self) -> bool {
        self.owner.is_alive()
    }

    /// Ends the children of a dead owner; answers how many groups were left.
    pub fn end_leftovers(&self) -> usize {
        let mut ended = 0;
        for child in &self.children {
            if child.leader.is_alive() {
                ended += 1;
                end_group(child.leader);
            }
        }
        ended
    }

    /// Asks a live owner to end and waits for it; then nothing of the session is left.
    pub fn stop(&self) {
        let _ = kill(Pid::from_raw(self.owner.pid), Signal::SIGTERM);
        wait_for_end(self.owner, hold::GRACE * 3);
        if self.owner.is_alive() {
            let _ = kill(Pid::from_raw(self.owner.pid), Signal::SIGKILL);
            wait_for_end(self.owner, hold::GRACE);
        }
        self.end_leftovers();
    }
}

/// TERM to the supervised program by way of the group, then KILL.
fn end_group(leader: ProcessId) {
    let group = Pid::from_raw(leader.pid);
    let _ = killpg(group, Signal::SIGTERM);
    wait_for_end(leader, hold::GRACE);
    if leader.is_alive() {
        let _ = killpg(group, Signal::SIGKILL);
    }
}

fn wait_for_end(process: ProcessId, limit: Duration) {
    let started = clock::now();
    while process.is_alive() && started.elapsed() < limit {
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn session(owner: ProcessId) -> Session {
        Session {
            schema: 1,
            owner,
            base_url: "http://127.0.0.1:1".into(),
            sim: SimPorts::default(),
            children: vec![ChildGroup {
                name: "wrangler".into(),
                leader: owner,
            }],
            admin_key: None,
        }
    }

    #[test]
    fn a_session_whose_owner_started_at_another_time_is_dead_and_its_children_are_left_alone() {
        let me = ProcessId::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(session(me).is_live());
        let other = ProcessId {
            start: me.start + 1,
            ..me
        };
        assert!(!session(other).is_live());
        assert_eq!(session(other).end_leftovers(), 0);
    }

    #[test]
    fn the_file_survives_a_round_trip() {
        let dir = Scratch::new("session");
        let me = ProcessId::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        session(me).save(dir.path()).unwrap();
        assert_eq!(Session::load(dir.path()).unwrap().owner, me);
        assert!(Session::load(&dir.path().join("no")).is_none());
    }
}

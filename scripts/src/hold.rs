//! `scripts __hold -- program ..`: a tiny supervisor between us and every child.
//!
//! It leads the process group of the child and reads a pipe whose other end only we hold. When we
//! die, even by SIGKILL, the pipe closes and the group is ended: TERM, 5 s, KILL. The child gets a
//! pipe of its own as standard input, so it cannot keep ours open.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, getpgrp, getpid};

use crate::failure::{Context, Failure, Result};
use crate::procfs;

/// Name of the hidden command.
pub const COMMAND: &str = "__hold";
/// How long a group may take to end after TERM.
pub const GRACE: Duration = Duration::from_secs(5);

enum Event {
    ParentGone,
    Exited(Option<ExitStatus>),
}

/// Runs the program and answers the code to exit with.
pub fn run(program: &[String]) -> Result<i32> {
    let (name, args) = program
        .split_first()
        .context("__hold needs a program after --")?;
    // The TERM that we send to the whole group must not end us before the child.
    signal_hook::flag::register(signal_hook::consts::SIGTERM, Arc::default())
        .context("signal handler")?;
    let mut child = Command::new(name)
        .args(args)
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|error| Failure::failed(format!("{name}: {error}")))?;
    // Held open for as long as we live: the simulator ends when it closes.
    let stdin = child.stdin.take();
    let (events, happened) = channel();
    watch_parent(events.clone());
    std::thread::spawn(move || {
        let _ = events.send(Event::Exited(child.wait().ok()));
    });
    let mut code = None;
    match happened.recv() {
        Ok(Event::Exited(status)) => code = status.map(exit_code),
        Ok(Event::ParentGone) | Err(_) => {
            drop(stdin);
            let _ = killpg(getpgrp(), Signal::SIGTERM);
            loop {
                match happened.recv_timeout(GRACE) {
                    Ok(Event::Exited(status)) => {
                        code = status.map(exit_code);
                        break;
                    }
                    Ok(Event::ParentGone) => {}
                    Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
                }
            }
        }
    }
    end_rest_of_group();
    Ok(code.unwrap_or(1))
}

fn watch_parent(events: Sender<Event>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        let mut pipe = std::io::stdin().lock();
        while pipe.read(&mut buffer).is_ok_and(|read| read > 0) {}
        let _ = events.send(Event::ParentGone);
    });
}

/// What the program left behind, without ourselves.
fn end_rest_of_group() {
    let me = getpid().as_raw();
    for pid in procfs::group_members(getpgrp().as_raw()) {
        if pid != me {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// The shell's convention: 128 plus the signal.
fn exit_code(status: ExitStatus) -> i32 {
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

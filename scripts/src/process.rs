//! Children: each in its own group under [`crate::hold`], output in a log file.

use std::fs::File;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::clock;
use crate::failure::{Context, Failure, Result};
use crate::hold;
use crate::interrupt;
use crate::procfs::ProcessId;
use crate::progress::Progress;
use crate::say;

const POLL: Duration = Duration::from_millis(20);
/// Lines of a log that a failure shows.
pub const TAIL_LINES: usize = 40;

/// Where the output of a child goes.
#[derive(Debug)]
pub enum Output {
    /// Both streams, appended to a file.
    Log(PathBuf),
    /// Standard output to us, the rest to a file.
    Pipe(PathBuf),
}

/// A running child. Dropping it ends its whole group.
#[derive(Debug)]
pub struct Held {
    child: Child,
    pipe: Option<ChildStdin>,
    ended: bool,
}

impl Held {
    /// Starts `command` under the supervisor.
    pub fn spawn(command: &Command, output: &Output) -> Result<Self> {
        let (Output::Log(path) | Output::Pipe(path)) = output;
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).context(parent.display())?;
        }
        let log = File::options()
            .create(true)
            .append(true)
            .open(path)
            .context(path.display())?;
        let log_too = log.try_clone().context(path.display())?;
        let mut held = supervised(command);
        held.process_group(0).stdin(Stdio::piped()).stderr(log);
        match output {
            Output::Log(_) => held.stdout(log_too),
            Output::Pipe(_) => held.stdout(Stdio::piped()),
        };
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = held
            .spawn()
            .map_err(|error| Failure::failed(format!("cannot start {name}: {error}")))?;
        let pipe = child.stdin.take();
        Ok(Self {
            child,
            pipe,
            ended: false,
        })
    }

    /// The group of the child, led by its supervisor.
    pub fn group(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or(0)
    }

    /// The supervisor as it should be recorded.
    pub fn id(&self) -> Option<ProcessId> {
        ProcessId::of(self.group())
    }

    /// Standard output, once, if it was asked for.
    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// The exit code, if the child has ended.
    pub fn exited(&mut self) -> Option<i32> {
        let status = self.child.try_wait().ok()??;
        self.ended = true;
        Some(status.code().unwrap_or(137))
    }

    /// Asks the group to end, and kills what is left after the grace period.
    pub fn end(&mut self) {
        self.release();
        self.finish();
    }

    /// First half of [`Held::end`]: lets several groups end at the same time.
    pub fn release(&mut self) {
        self.pipe.take();
    }

    fn finish(&mut self) {
        let started = clock::now();
        while !self.ended && started.elapsed() < hold::GRACE + Duration::from_secs(2) {
            if self.exited().is_some() {
                return;
            }
            std::thread::sleep(POLL);
        }
        if !self.ended {
            self.kill();
        }
    }

    /// SIGKILL to the whole group, at once.
    pub fn kill(&mut self) {
        if self.ended {
            return;
        }
        let _ = killpg(Pid::from_raw(self.group()), Signal::SIGKILL);
        let _ = self.child.wait();
        self.ended = true;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.end();
    }
}

/// `command`, started by our own program in its supervisor mode.
fn supervised(command: &Command) -> Command {
    // `/proc/self/exe` is this very program even when a build has replaced its file since.
    let mut held = Command::new("/proc/self/exe");
    held.arg(hold::COMMAND)
        .arg("--")
        .arg(command.get_program())
        .args(command.get_args());
    if let Some(dir) = command.get_current_dir() {
        held.current_dir(dir);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => held.env(name, value),
            None => held.env_remove(name),
        };
    }
    held
}

/// A child that must succeed: shows progress, keeps its output in `<logs>/<step>.log`.
#[derive(Debug)]
pub struct Step<'a> {
    /// Folder of the log.
    pub logs: &'a Path,
    /// Name of the log and of the failure.
    pub name: &'a str,
    /// What the progress line says.
    pub label: &'a str,
}

impl Step<'_> {
    /// The log file.
    pub fn log(&self) -> PathBuf {
        self.logs.join(format!("{}.log", self.name))
    }

    /// Runs to the end. A failure shows the end of the log first.
    pub fn run(&self, command: &Command) -> Result<Duration> {
        self.run_while(command, || Ok(()))
    }

    /// As [`Step::run`], looking after something else meanwhile; its failure ends the child.
    pub fn run_while(
        &self,
        command: &Command,
        mut tend: impl FnMut() -> Result<()>,
    ) -> Result<Duration> {
        let started = clock::now();
        let code = self.code_while(command, &mut tend)?;
        if code == 0 {
            return Ok(started.elapsed());
        }
        say::talk(&format!("--- last lines of {}", self.log().display()));
        for line in tail(&self.log(), TAIL_LINES) {
            say::talk(&line);
        }
        Err(Failure::failed(format!(
            "{} failed with exit code {code}; log: {}",
            self.name,
            self.log().display()
        )))
    }

    /// Runs to the end and answers the exit code.
    pub fn code(&self, command: &Command) -> Result<i32> {
        self.code_while(command, &mut || Ok(()))
    }

    fn code_while(&self, command: &Command, tend: &mut dyn FnMut() -> Result<()>) -> Result<i32> {
        interrupt::check()?;
        let _ = std::fs::remove_file(self.log());
        let mut child = Held::spawn(command, &Output::Log(self.log()))?;
        let _progress = Progress::start(self.label);
        loop {
            if let Some(code) = child.exited() {
                return Ok(code);
            }
            // Dropped, the child ends.
            interrupt::check()?;
            tend()?;
            std::thread::sleep(POLL);
        }
    }
}

/// The last lines of a file; none if it cannot be read.
pub fn tail(path: &Path, lines: usize) -> Vec<String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|mut file| file.read_to_end(&mut bytes));
    if read.is_err() {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    all.iter()
        .skip(all.len().saturating_sub(lines))
        .map(|line| (*line).to_owned())
        .collect()
}

/// Standard output of a short command, or why there is none.
pub fn capture(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Failure::failed(format!("{name}: {error}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let problem = String::from_utf8_lossy(&output.stderr);
    Err(Failure::failed(format!("{name}: {}", problem.trim())))
}

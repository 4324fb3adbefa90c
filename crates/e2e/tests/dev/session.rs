//! A session of `cargo x dev`, as a person has it: what it prints, what Ctrl-C does, what is left.

use e2e::{Ledger, until};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A session, which is ended also by a test that fails.
pub(crate) struct Dev {
    pub(crate) dir: PathBuf,
    child: Child,
    /// What it tells beside its screen.
    pub(crate) told: Receiver<String>,
}

/// The checkout that is tested.
pub(crate) fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("a checkout")
}

/// `cargo x dev` in that checkout, with its session in that folder.
pub(crate) fn dev(checkout: &Path, dir: &Path, port: u16) -> Command {
    let binary = std::env::var("SWITCHYARD_SCRIPTS")
        .map_or_else(|_| root().join("target/debug/scripts"), PathBuf::from);
    let mut command = Command::new(binary);
    command
        .args(["dev", "--port", &port.to_string()])
        .env("SWITCHYARD_SESSION", dir)
        .env("NO_COLOR", "1")
        .current_dir(checkout)
        .stdin(Stdio::null());
    command
}

/// The lines that come there, read all the time.
fn lines_of(output: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // Nobody listens any more; it must be able to write all the same.
            drop(sender.send(line));
        }
    });
    lines
}

impl Dev {
    /// Starts it; the second part is the lines of its screen.
    pub(crate) fn start(mut command: Command, dir: PathBuf) -> (Self, Receiver<String>) {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let lines = lines_of(child.stdout.take().expect("piped"));
        let told = lines_of(child.stderr.take().expect("piped"));
        (Self { dir, child, told }, lines)
    }

    /// What Ctrl-C does.
    fn interrupt(&self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-INT", &pid]).status();
        assert!(sent.is_ok_and(|status| status.success()));
    }

    /// Ends it as Ctrl-C does, and waits for that.
    pub(crate) async fn end(&mut self) {
        self.interrupt();
        let ended = until("it to end", 60, || {
            let ended = self.child.try_wait().ok().flatten();
            async move { ended }
        });
        assert_eq!(ended.await.code(), Some(0));
    }

    /// The prompts of its images, in order.
    pub(crate) fn images(&self) -> Vec<String> {
        let rows = Ledger::new(&self.dir.join("state"))
            .rows("SELECT prompt FROM images ORDER BY created_at");
        rows.into_iter().flatten().collect()
    }

    /// Waits until there are as many images.
    pub(crate) async fn has_images(&self, prompts: &[&str]) {
        until("the images", 60, || async {
            (self.images() == prompts).then_some(())
        })
        .await;
    }

    /// Processes that were started with a path of the session.
    pub(crate) fn processes(&self) -> Vec<String> {
        let dir = self.dir.to_string_lossy().into_owned();
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        entries
            .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
            .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
            .filter(|line| line.contains(&dir))
            .collect()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.interrupt();
            let _ = self.child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// The lines of the screen that are to be pasted.
pub(crate) fn screen(lines: &Receiver<String>) -> Vec<String> {
    let mut pasted = Vec::new();
    loop {
        let line = lines.recv_timeout(Duration::from_mins(10));
        let line = line.expect("it gets ready").trim().to_owned();
        if line.starts_with("export ") || line.starts_with("curl ") {
            pasted.push(line);
        } else if line.contains("--stop") {
            return pasted;
        }
    }
}

/// What a person does with the lines of the screen: it ends with a picture.
pub(crate) fn paste(dir: &Path, lines: &[String]) {
    let folder = dir.join("pasted");
    std::fs::create_dir_all(&folder).expect("a folder");
    let script = format!("set -euo pipefail\n{}", lines.join("\n"));
    let ran = Command::new("bash")
        .args(["-c", &script])
        .current_dir(&folder)
        .output()
        .expect("bash");
    let told = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{told}");
    let picture = std::fs::read(folder.join("image.png")).expect("a file");
    assert!(picture.starts_with(b"\x89PNG\r\n\x1a\n"), "{told}");
}

//! Journey: a person starts the system with `cargo x dev`, tries what the screen shows, and ends it.
//!
//! 1. in a session folder of its own, so that nobody's own session is touched, it gets ready and prints its screen; 2. a
//!    second start there is refused while it runs; 3. one sample image is made in the background; 4. the commands of the
//!    screen make a picture; 5. Ctrl-C ends it: no process of it is left; 6. started again there, it adds no sample,
//!    builds nothing, as nothing has changed, and where its port is taken says which one it uses; 7. no sample with
//!    `--empty` either, in a folder where there is none.

#![expect(
    clippy::expect_used,
    reason = "helpers of a test: what is not there fails it"
)]

use e2e::{Ledger, until};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, SystemTime};

const PORT: u16 = 18_787;
/// A code of `cargo x`: refused.
const REFUSED: i32 = 4;

/// A session, which is ended also by a test that fails.
struct Dev {
    dir: PathBuf,
    child: Child,
    /// What it tells beside its screen.
    told: Receiver<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// When each file of the workers' builds was written.
fn builds() -> Vec<(PathBuf, SystemTime)> {
    let workers = std::fs::read_dir(root().join("workers")).expect("a folder");
    let mut files: Vec<(PathBuf, SystemTime)> = workers
        .flatten()
        .filter_map(|worker| std::fs::read_dir(worker.path().join("build")).ok())
        .flat_map(Iterator::flatten)
        .filter_map(|file| Some((file.path(), file.metadata().ok()?.modified().ok()?)))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "a session needs builds");
    files
}

fn dev(dir: &Path) -> Command {
    let root = root();
    let binary = std::env::var("SWITCHYARD_SCRIPTS")
        .map_or_else(|_| root.join("target/debug/scripts"), PathBuf::from);
    let mut command = Command::new(binary);
    command
        .args(["dev", "--port", &PORT.to_string()])
        .env("SWITCHYARD_SESSION", dir)
        .env("NO_COLOR", "1")
        .current_dir(root)
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
    fn start(dir: PathBuf, arguments: &[&str]) -> (Self, Receiver<String>) {
        let mut command = dev(&dir);
        command.args(arguments);
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
    async fn end(&mut self) {
        self.interrupt();
        let ended = until("it to end", 60, || {
            let ended = self.child.try_wait().ok().flatten();
            async move { ended }
        });
        assert_eq!(ended.await.code(), Some(0));
    }

    /// The prompts of its images, in order.
    fn images(&self) -> Vec<String> {
        let rows = Ledger::new(&self.dir.join("state"))
            .rows("SELECT prompt FROM images ORDER BY created_at");
        rows.into_iter().flatten().collect()
    }

    /// Waits until there are as many images.
    async fn has_images(&self, prompts: &[&str]) {
        until("the images", 60, || async {
            (self.images() == prompts).then_some(())
        })
        .await;
    }

    /// Processes that were started with a path of the session.
    fn processes(&self) -> Vec<String> {
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
fn screen(lines: &Receiver<String>) -> Vec<String> {
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

#[tokio::test(flavor = "multi_thread")]
async fn the_first_command_of_the_readme_serves_what_its_screen_says() {
    let name = format!("dev-{}", std::process::id());
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let (mut session, lines) = Dev::start(dir.clone(), &[]);
    let pasted = screen(&lines);
    assert!(pasted.len() >= 4, "{pasted:?}");
    assert!(!session.processes().is_empty(), "they name their state");

    let second = dev(&dir).output().expect("it starts");
    let told = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(REFUSED), "{told}");
    assert!(told.contains("a session is running already"), "{told}");

    let (sample, pasted_one) = ("a lighthouse at dawn", "a lighthouse");
    session.has_images(&[sample]).await;
    paste(&dir, &pasted);
    session.has_images(&[sample, pasted_one]).await;

    session.end().await;
    let left = session.processes();
    assert!(left.is_empty(), "{left:?}");

    // What a sample would need, a picture made after it needs too.
    let built = builds();
    let taken = TcpListener::bind(("127.0.0.1", PORT)).expect("it has ended, so its port is free");
    let (mut again, lines) = Dev::start(dir.clone(), &[]);
    let pasted = screen(&lines);
    let told: Vec<String> = again.told.try_iter().collect();
    let next = format!("port {PORT} is taken; using {}", PORT + 1);
    assert!(told.iter().any(|line| line.ends_with(&next)), "{told:?}");
    assert!(
        pasted.concat().contains(&format!(":{}", PORT + 1)),
        "{pasted:?}"
    );
    drop(taken);
    paste(&dir, &pasted);
    again.has_images(&[sample, pasted_one, pasted_one]).await;
    again.end().await;
    assert_eq!(builds(), built, "nothing had changed");

    let (mut empty, lines) = Dev::start(dir.join("empty"), &["--empty"]);
    paste(&dir, &screen(&lines));
    empty.has_images(&[pasted_one]).await;
    empty.end().await;
}

/// What a person does with the lines of the screen: it ends with a picture.
fn paste(dir: &Path, lines: &[String]) {
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

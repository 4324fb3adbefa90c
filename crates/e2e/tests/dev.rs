//! Journey: a person starts the system with `cargo x dev`, tries what the screen shows, and ends it.
//!
//! 1. in a session folder of its own, so that nobody's own session is touched, it gets ready and prints its screen; 2. a
//!    second start there is refused while it runs; 3. one sample image is made in the background; 4. the commands of the
//!    screen make a picture; 5. Ctrl-C ends it: no process of it is left; 6. started again there, it adds no sample; 7. nor
//!    with `--empty` in a folder where there is none.

#![expect(
    clippy::expect_used,
    reason = "helpers of a test: what is not there fails it"
)]

use e2e::{Ledger, until};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A code of `cargo x`: refused.
const REFUSED: i32 = 4;

/// A session, which is ended also by a test that fails.
struct Dev {
    dir: PathBuf,
    child: Child,
}

fn dev(dir: &Path) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let binary = std::env::var("SWITCHYARD_SCRIPTS")
        .map_or_else(|_| root.join("target/debug/scripts"), PathBuf::from);
    let mut command = Command::new(binary);
    command
        .args(["dev", "--port", "18787"])
        .env("SWITCHYARD_SESSION", dir)
        .env("NO_COLOR", "1")
        .current_dir(root)
        .stdin(Stdio::null());
    command
}

impl Dev {
    fn start(dir: PathBuf, arguments: &[&str]) -> (Self, Receiver<String>) {
        let mut command = dev(&dir);
        command.args(arguments).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let stdout = child.stdout.take().expect("piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        (Self { dir, child }, lines)
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
    let (mut again, lines) = Dev::start(dir.clone(), &[]);
    paste(&dir, &screen(&lines));
    again.has_images(&[sample, pasted_one, pasted_one]).await;
    again.end().await;

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

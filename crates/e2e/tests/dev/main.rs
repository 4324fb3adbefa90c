//! Journey: a person starts the system with `cargo x dev`, tries what the screen shows, and ends it; and one who works on
//! its sources ([`rebuild`]).
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

mod rebuild;
mod session;

use session::{Dev, dev, paste, root, screen};
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::SystemTime;

const PORT: u16 = 18_787;
/// A code of `cargo x`: refused.
const REFUSED: i32 = 4;

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

#[tokio::test(flavor = "multi_thread")]
async fn the_first_command_of_the_readme_serves_what_its_screen_says() {
    let name = format!("dev-{}", std::process::id());
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let command = || dev(&root(), &dir, PORT);
    let (mut session, lines) = Dev::start(command(), dir.clone());
    let pasted = screen(&lines);
    assert!(pasted.len() >= 4, "{pasted:?}");
    assert!(!session.processes().is_empty(), "they name their state");

    let second = command().output().expect("it starts");
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
    let (mut again, lines) = Dev::start(command(), dir.clone());
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

    let mut command = dev(&root(), &dir.join("empty"), PORT);
    command.arg("--empty");
    let (mut empty, lines) = Dev::start(command, dir.join("empty"));
    paste(&dir, &screen(&lines));
    empty.has_images(&[pasted_one]).await;
    empty.end().await;
}

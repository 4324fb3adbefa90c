//! Journey: a person works on a worker's sources while `cargo x dev` serves them.
//!
//! In a copy of the checkout with its builds, so that nobody's own files are touched: 1. it starts with what is built;
//! 2. a source that no longer compiles: the compiler's error, and what is served is still the last good build; 3. taken
//! back: it says that what it serves is the sources again; 4. a change that compiles: the new build is served.

use crate::session::{Dev, dev, paste, root, screen};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const PORT: u16 = 18_807;
/// What is not in the repository and makes a checkout one that is built.
const BUILT: [&str; 5] = [
    "workers/admission/build",
    "workers/config-service/build",
    "workers/console/build",
    "workers/image-gen/build",
    "workers/console/web/dist",
];
/// What it may have in common with the checkout that is tested: tools, and the compilers' output.
const SHARED: [&str; 3] = [
    "scripts/node_modules",
    "workers/console/web/node_modules",
    "target",
];
/// The source that is worked on.
const SOURCE: &str = "workers/admission/src/lib.rs";

/// A copy of the checkout as it is on the disk, which is deleted also by a test that fails.
struct Checkout(PathBuf);

impl Checkout {
    fn copied() -> Self {
        let to = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("checkout");
        // Of a run that was killed.
        let _ = std::fs::remove_dir_all(&to);
        let from = root();
        let listed = Command::new("git")
            .args([
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ])
            .current_dir(&from)
            .output()
            .expect("git");
        let listed = String::from_utf8(listed.stdout).expect("names");
        let copy = Self(to);
        for name in listed.split_terminator('\0') {
            // One that is deleted and not yet committed is listed too.
            if from.join(name).is_file() {
                copy.file(&from, Path::new(name));
            }
        }
        for name in BUILT {
            copy.folder(&from, Path::new(name));
        }
        for name in SHARED {
            symlink(from.join(name), copy.0.join(name)).expect("a link");
        }
        copy
    }

    fn file(&self, from: &Path, name: &Path) {
        let to = self.0.join(name);
        std::fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
        std::fs::copy(from.join(name), to).expect("a copy");
    }

    fn folder(&self, from: &Path, name: &Path) {
        for entry in std::fs::read_dir(from.join(name))
            .expect("a folder")
            .flatten()
        {
            let inside = name.join(entry.file_name());
            if entry.path().is_dir() {
                self.folder(from, &inside);
            } else {
                self.file(from, &inside);
            }
        }
    }

    /// Writes the source anew, with that at its end.
    fn edit(&self, end: &str) {
        let source = std::fs::read_to_string(root().join(SOURCE)).expect("a source");
        std::fs::write(self.0.join(SOURCE), source + end).expect("a file");
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Everything that it tells until a line with that.
fn told_until(session: &Dev, wanted: &str) -> Vec<String> {
    let mut told = Vec::new();
    while !told
        .last()
        .is_some_and(|line: &String| line.contains(wanted))
    {
        let line = session.told.recv_timeout(Duration::from_mins(10));
        assert!(line.is_ok(), "no `{wanted}` in {told:#?}");
        told.extend(line);
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_source_leaves_the_last_good_build_and_a_mended_one_is_served() {
    let checkout = Checkout::copied();
    let dir = checkout.0.join("session");
    let mut command = dev(&checkout.0, &dir, PORT);
    command.arg("--empty");
    let (mut session, lines) = Dev::start(command, dir.clone());
    let pasted = screen(&lines);
    let ready = told_until(&session, "ready in");
    let built = ready.iter().find(|line| line.contains("built "));
    assert_eq!(built, None, "the copy has the builds: {ready:#?}");
    paste(&dir, &pasted);

    checkout.edit("fn broken( {\n");
    let told = told_until(&session, "serving the build of ").concat();
    assert!(told.contains("error: "), "{told}");
    assert!(
        told.contains(SOURCE.trim_start_matches("workers/admission/")),
        "{told}"
    );
    paste(&dir, &pasted);

    checkout.edit("");
    told_until(&session, "what is served is up to date again");
    paste(&dir, &pasted);

    checkout.edit("// Changed.\n");
    told_until(&session, "serving the new build of admission");
    paste(&dir, &pasted);
    session.has_images(&["a lighthouse"; 4]).await;

    session.end().await;
    let left = session.processes();
    assert!(left.is_empty(), "{left:?}");
}

//! Children end with their parent, however the parent ends.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail loudly")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A supervisor around a shell that leaves a grandchild in the background.
fn held(script: &str) -> Child {
    use std::os::unix::process::CommandExt;
    Command::new(env!("CARGO_BIN_EXE_scripts"))
        .args(["__hold", "--", "sh", "-c", script])
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn first_line(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    line.trim().to_owned()
}

fn runs(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn ends_within(pid: &str, tenths: u32) -> bool {
    (0..tenths).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        !runs(pid)
    })
}

#[test]
fn hands_the_exit_code_through() {
    let mut child = held("exit 7");
    // `wait` would close the pipe first, which asks for the end.
    let pipe = child.stdin.take();
    assert_eq!(child.wait().unwrap().code(), Some(7));
    drop(pipe);
}

#[test]
fn a_closed_pipe_ends_the_whole_group() {
    let mut child = held("sleep 300 & echo $!; wait");
    let grandchild = first_line(&mut child);
    assert!(runs(&grandchild));
    drop(child.stdin.take());
    assert!(ends_within(&grandchild, 30));
    child.wait().unwrap();
}

#[test]
fn a_child_that_ignores_term_is_killed_after_the_grace_period() {
    let mut child = held("trap '' TERM; echo $$; while :; do sleep 1; done");
    let shell = first_line(&mut child);
    drop(child.stdin.take());
    assert!(!ends_within(&shell, 20), "killed before its grace period");
    assert!(ends_within(&shell, 60));
    child.wait().unwrap();
}

#[test]
fn what_a_finished_program_left_behind_is_ended_too() {
    let mut child = held("sleep 300 & echo $!");
    let grandchild = first_line(&mut child);
    assert!(ends_within(&grandchild, 30));
    let pipe = child.stdin.take();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    drop(pipe);
}

#[test]
fn the_child_cannot_keep_the_pipe_of_the_parent_open() {
    // `cat` reads a pipe of its own, which stays open as long as the supervisor lives.
    let mut child = held("echo $$; exec cat");
    let cat = first_line(&mut child);
    assert!(runs(&cat));
    drop(child.stdin.take());
    assert!(ends_within(&cat, 30));
    child.wait().unwrap();
}

//! Exit codes and messages of the program itself.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail loudly")]

use std::process::{Command, Output};

fn run(args: &[&str], path: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scripts"));
    command.args(args).current_dir(env!("CARGO_MANIFEST_DIR"));
    if let Some(path) = path {
        command.env("PATH", path);
    }
    command.output().unwrap()
}

#[test]
fn an_unknown_worker_or_step_is_invalid_input_and_names_the_known_ones() {
    let build = run(&["build", "--worker", "nobody"], None);
    assert_eq!(build.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&build.stderr).contains("image-gen"));
    let test = run(&["test", "--only", "nothing"], None);
    assert_eq!(test.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&test.stderr).contains("native"));
}

#[test]
fn counting_lines_is_no_step_among_others() {
    let output = run(&["test", "--coverage", "--only", "native"], None);
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn a_success_ends_with_what_is_useful_next() {
    let output = run(&["docs", "--check"], None);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(told.lines().last(), Some("next: cargo x doctest"));
}

#[test]
fn a_malformed_knob_is_refused_before_anything_starts() {
    let output = run(&["stack", "--var", "lower=1"], None);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("NAME=VALUE"));
}

#[test]
fn an_empty_cache_is_reported_tool_by_tool_and_nothing_is_written() {
    let cache = std::env::temp_dir().join(format!("switchyard-empty-{}", std::process::id()));
    let output = Command::new(env!("CARGO_BIN_EXE_scripts"))
        .args(["setup", "--check"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("SWITCHYARD_TOOLS", &cache)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stdout);
    for tool in [
        "worker-build",
        "wasm-bindgen-cli",
        "cargo-nextest",
        "python",
    ] {
        assert!(text.contains(&format!("missing  {tool}")), "{text}");
    }
    assert!(!cache.exists());
}

#[test]
fn outside_of_the_repository_nothing_is_guessed() {
    let output = Command::new(env!("CARGO_BIN_EXE_scripts"))
        .args(["tidy"])
        .current_dir("/")
        .env_remove("CARGO_MANIFEST_DIR")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
}

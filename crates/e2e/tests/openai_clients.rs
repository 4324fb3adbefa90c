//! Journey: the official OpenAI packages for Python and Node, unmodified, make pictures and get the errors that they
//! expect; their own retries never buy an image twice. Base URL and key are all that they are told: the key's owner has one
//! instance, so no header has to name it.

use e2e::{Options, Stack};
use std::process::Command;

#[expect(clippy::expect_used, reason = "a helper of a test")]
fn run(program: &str, script: &str, directory: &str, stack: &Stack) {
    let output = Command::new(program)
        .arg(script)
        .current_dir(directory)
        .env("BASE", stack.base_url())
        .env("KEY", &stack.keys().user)
        .env_remove("http_proxy")
        .output()
        .expect("`cargo x setup` has installed it");
    assert!(
        output.status.success(),
        "{program} {script}:\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_packages_work_by_changing_base_url_and_key() {
    let stack = Stack::start(Options {
        expected_errors: vec!["outcome_unknown"],
        leaves_jobs: true,
        ..Options::default()
    });
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");
    let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts");
    let python = std::env::var("SWITCHYARD_PYTHON")
        .expect("`cargo x test` sets it to the venv with the openai package");
    run(&python, &format!("{here}/openai_client.py"), here, &stack);
    // Node finds packages beside the script, so a copy stands where they are installed.
    let copy = format!("{scripts}/node_modules/.openai_client.mjs");
    std::fs::copy(format!("{here}/openai_client.mjs"), &copy).expect("a copy");
    let node = format!("{scripts}/node_modules/.bin/node");
    run(&node, &copy, scripts, &stack);

    // Four pictures and one charged but broken answer by Python, three and one by Node; nothing else, nothing twice.
    assert_eq!(stack.sim().charges().await.len(), 9);
    assert!(
        stack.sim().duplicates().await.is_empty(),
        "{:?}",
        stack.sim().duplicates().await
    );
    assert!(
        stack.sim().violations().await.is_empty(),
        "{:?}",
        stack.sim().violations().await
    );
}

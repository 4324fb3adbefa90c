//! The step `web`: the web application without a browser.

use std::path::PathBuf;

use crate::check::{Outcome, Part};
use crate::failure::Result;
use crate::process::Step;
use crate::say;
use crate::setup::Tools;
use crate::wasm;
use crate::web;

/// Vitest's own report of a step.
pub(super) fn junit(tools: &Tools, step: &str) -> PathBuf {
    let dir = tools.layout.target().join("test-report");
    dir.join(format!("{step}.xml"))
}

/// Arguments that make vitest print its summary and write its report.
pub(super) fn vitest_args(report: &std::path::Path) -> Vec<String> {
    vec![
        "--reporter=default".to_owned(),
        "--reporter=junit".to_owned(),
        format!("--outputFile.junit={}", report.display()),
    ]
}

/// An npm script that must succeed.
pub(super) fn script(tools: &Tools, script: &str, args: &[&str]) -> Result<Outcome> {
    let step = Step {
        logs: &tools.layout.logs(),
        name: &format!("web-{script}"),
        label: &format!("web {script}"),
    };
    let command = web::npm_run(tools, script, args);
    step.run(&command).map(|_| Outcome::Pass)
}

/// Types and lints, the size of what visitors load, equal bundles from equal sources: a failure of one hides no other.
pub(super) fn parts(tools: &Tools) -> Vec<Part> {
    let git_sha = wasm::git_sha(&tools.layout);
    let built = Part::timed("web build", || {
        web::build(tools, &git_sha).map(|_| Outcome::Pass)
    });
    let checked = Part::timed("web check", || script(tools, "check", &[]));
    let sized = Part::timed("web size", || script(tools, "size", &[]));
    let again = Part::timed("web equal", || {
        let unequal = web::unequal_when_built_again(tools, &git_sha)?;
        Ok(if unequal.is_empty() {
            Outcome::Pass
        } else {
            Outcome::Fail(format!(
                "built twice from equal sources, these differ: {}",
                unequal.join(", ")
            ))
        })
    });
    let parts = vec![built, checked, sized, again];
    for part in &parts {
        say::result(&part.line());
    }
    parts
}

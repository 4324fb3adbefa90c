//! `cargo x openapi`: the snapshot tests of the workers write or check `docs/openapi/<worker>.json`.

use crate::failure::{Failure, Result};
use crate::process::Step;
use crate::say;
use crate::setup::Tools;
use crate::workers;

/// With this variable the tests write their snapshot instead of comparing it.
const UPDATE: &str = "UPDATE_OPENAPI";
const TEST: &str = "openapi";

/// Writes the snapshots, or checks them.
pub fn run(tools: &Tools, check: bool) -> Result<()> {
    let mut command = tools.command("cargo");
    command.arg("test").env_remove(UPDATE);
    let mut count = 0;
    for worker in workers::discover(&tools.layout)? {
        let test = worker.dir.join("tests").join(format!("{TEST}.rs"));
        if !test.is_file() {
            return Err(Failure::failed(format!(
                "{} is missing: every worker has a snapshot test",
                tools.layout.shown(&test)
            )));
        }
        count += 1;
    }
    // Of the whole workspace, whose tests share one build of their dependencies.
    command.args(["--workspace", "--test", TEST]);
    if !check {
        command.env(UPDATE, "1");
    }
    let step = Step {
        logs: &tools.layout.logs(),
        name: "openapi",
        label: "OpenAPI snapshots",
    };
    step.run(&command)?;
    if check {
        say::result(&format!("{count} snapshots agree with the routes"));
    } else {
        say::result(&format!("{count} snapshots in docs/openapi"));
    }
    Ok(())
}

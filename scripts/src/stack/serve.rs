//! `cargo x stack`: the system without a screen, ended by a signal or by closing standard input.

use std::io::BufRead;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use serde_json::json;

use crate::clock;
use crate::failure::Result;
use crate::interrupt;
use crate::layout::Layout;
use crate::say;
use crate::setup::{Scope, Tools};

use super::cron::Crons;
use super::{Options, Stack};

const TICK: Duration = Duration::from_millis(200);

/// Runs until the end is asked for.
pub fn serve(layout: &Layout, options: Options, as_json: bool) -> Result<()> {
    let tools = Tools::ensure(layout, Scope::Run)?;
    let started = clock::now();
    let with_crons = !options.no_crons;
    let mut stack = Stack::start(&tools, options)?;
    let due = if with_crons {
        stack.crons()?
    } else {
        Vec::new()
    };
    let crons = Crons::start(stack.base_url.clone(), due);
    if as_json {
        say::result(&stack.described().to_string());
    } else {
        say::result(&stack.base_url);
    }
    say::talk(&format!(
        "ready in {}; ends with its standard input or by Ctrl-C",
        clock::spoken(started.elapsed())
    ));
    let (lines, commands) = channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    // Between `pause` and `resume` the state belongs to whoever said so.
    let mut paused = false;
    let outcome = loop {
        if interrupt::asked() {
            break Ok(());
        }
        match commands.recv_timeout(TICK) {
            Ok(line) => match obey(&mut stack, line.trim()) {
                Ok(now) => paused = now.unwrap_or(paused),
                Err(failure) => break Err(failure),
            },
            Err(RecvTimeoutError::Timeout) if paused => {}
            Err(RecvTimeoutError::Timeout) => {
                if let Err(failure) = stack.tend() {
                    break Err(failure);
                }
            }
            Err(RecvTimeoutError::Disconnected) => break Ok(()),
        }
    };
    drop(crons);
    stack.end();
    outcome
}

/// Does what a line of standard input says; answers whether the runtime is paused then, if that changed.
fn obey(stack: &mut Stack, command: &str) -> Result<Option<bool>> {
    match command {
        "kill" => stack.kill_and_restart()?,
        "resume" => stack.resume()?,
        "pause" => {
            stack.pause();
            say::result(&json!({"schema": 1, "event": "paused"}).to_string());
            return Ok(Some(true));
        }
        other => {
            say::talk(&format!(
                "unknown command {other:?}; known: kill, pause, resume"
            ));
            return Ok(None);
        }
    }
    say::result(
        &json!({
            "schema": 1, "event": "restarted", "pgid": stack.described().get("pgid"),
            "workerd_pids": stack.workerd_pids(),
        })
        .to_string(),
    );
    Ok(Some(false))
}

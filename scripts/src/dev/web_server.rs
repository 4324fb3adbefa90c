//! `--web-watch`: Vite serves the web application from its sources and hands API calls to the console.

use std::time::Duration;

use crate::clock;
use crate::failure::{Failure, Result};
use crate::http::Client;
use crate::interrupt;
use crate::process::{Held, Output, TAIL_LINES, tail};
use crate::say;
use crate::setup::Tools;
use crate::stack::{Stack, free_port};
use crate::web;

/// Vite's own port; people know it.
const PORT: u16 = 5173;
const DEADLINE: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(100);

/// A running Vite. Dropping it ends it.
#[derive(Debug)]
pub(super) struct WebServer {
    _child: Held,
    /// Where it answers.
    pub(super) url: String,
}

/// The address that it will have: the console has to know it before it starts.
pub(super) fn choose_url() -> Result<String> {
    let port = (PORT..PORT + 100)
        .find_map(free_port)
        .ok_or_else(|| Failure::failed(format!("no free port from {PORT} on")))?;
    Ok(format!("http://127.0.0.1:{port}"))
}

impl WebServer {
    /// Starts it and waits until it answers.
    pub(super) fn start(tools: &Tools, stack: &Stack, url: String) -> Result<Self> {
        let port = url.rsplit(':').next().unwrap_or_default().to_owned();
        let args = ["--host", "127.0.0.1", "--strictPort", "--port", &port];
        let mut command = web::npm_run(tools, "dev", &args);
        command
            .env("SWITCHYARD_URL", &stack.base_url)
            .env("VITE_GIT_SHA", &stack.git_sha);
        let log = stack.logs().join("web.log");
        let mut child = Held::spawn(&command, &Output::Log(log.clone()))?;
        let client = Client::new(Duration::from_secs(5));
        let started = clock::now();
        while !client.get(&url).is_ok_and(|answer| answer.status == 200) {
            interrupt::check()?;
            if child.exited().is_some() || started.elapsed() > DEADLINE {
                for line in tail(&log, TAIL_LINES) {
                    say::talk(&line);
                }
                return Err(Failure::failed(format!(
                    "the web application's server does not answer at {url}; log: {}",
                    log.display()
                )));
            }
            std::thread::sleep(POLL);
        }
        Ok(Self { _child: child, url })
    }
}

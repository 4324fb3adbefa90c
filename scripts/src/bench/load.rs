//! A closed loop: so many connections, each sends its next request when the last was answered.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::clock;
use crate::failure::Result;
use crate::http::{Answer, Client};
use crate::interrupt;
use crate::say;

use super::report::Level;

/// Turns of each way at one number of connections.
const BLOCKS: usize = 10;
/// How long one request may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// One request, sent again and again.
#[derive(Clone, Debug)]
pub(super) struct Target {
    method: &'static str,
    pub(super) url: String,
    headers: Vec<(&'static str, String)>,
    body: Option<Value>,
}

impl Target {
    pub(super) fn post(url: String, key: &str, body: Value) -> Self {
        Self {
            method: "POST",
            body: Some(body),
            ..Self::get(url).with("authorization", format!("Bearer {key}"))
        }
    }

    pub(super) fn get(url: String) -> Self {
        Self {
            method: "GET",
            url,
            headers: Vec::new(),
            body: None,
        }
    }

    #[must_use]
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn send(&self, client: &Client) -> Result<Answer> {
        self.send_as(client, None)
    }

    /// With a request id, by which its events are found.
    pub(super) fn send_as(&self, client: &Client, request_id: Option<&str>) -> Result<Answer> {
        let mut headers: Vec<(&str, &str)> = self
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        headers.extend(request_id.map(|id| ("x-request-id", id)));
        client.send(self.method, &self.url, &headers, self.body.as_ref())
    }
}

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub(super) enum Until {
    /// After so many requests.
    Requests(usize),
    /// With the first answer after this time.
    Passed(Duration),
}

/// What one block of requests took.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// Of the requests that were answered with 200.
    pub(super) latencies_ms: Vec<f64>,
    /// All others.
    pub(super) failures: usize,
    /// From the first request to the last answer.
    pub(super) seconds: f64,
}

impl Block {
    pub(super) fn run(target: &Target, connections: usize, until: Until) -> Self {
        let next = AtomicUsize::new(0);
        let started = clock::now();
        let goes_on = |started: Instant| match until {
            Until::Requests(most) => next.fetch_add(1, Ordering::Relaxed) < most,
            Until::Passed(time) => started.elapsed() < time,
        };
        let mut block = Self {
            latencies_ms: Vec::new(),
            failures: 0,
            seconds: 0.0,
        };
        std::thread::scope(|scope| {
            let loops: Vec<_> = (0..connections)
                .map(|_| {
                    scope.spawn(|| {
                        // A client each: a connection is never shared.
                        let client = Client::new(PATIENCE);
                        let (mut latencies, mut failures) = (Vec::new(), 0);
                        while goes_on(started) {
                            let sent = clock::now();
                            let answer = target.send(&client);
                            if answer.is_ok_and(|answer| answer.status == 200) {
                                latencies.push(sent.elapsed().as_secs_f64() * 1000.0);
                            } else {
                                failures += 1;
                            }
                        }
                        (latencies, failures)
                    })
                })
                .collect();
            for one in loops {
                let (latencies, failures) = one.join().unwrap_or_default();
                block.latencies_ms.extend(latencies);
                block.failures += failures;
            }
        });
        block.seconds = started.elapsed().as_secs_f64();
        block
    }
}

/// Both ways at each number of connections; a level is connections and requests in one block.
pub(super) fn pairs(
    direct: &Target,
    system: &Target,
    levels: impl IntoIterator<Item = (usize, usize)>,
) -> Result<Vec<Level>> {
    let mut found = Vec::new();
    for (connections, requests) in levels {
        say::talk(&format!("measuring with {connections} connections"));
        let mut level = Level {
            connections,
            direct: Vec::new(),
            system: Vec::new(),
        };
        // In turns, so that a machine that warms up or slows down does so for both.
        for _ in 0..BLOCKS {
            interrupt::check()?;
            let block = |target| Block::run(target, connections, Until::Requests(requests));
            level.direct.push(block(direct));
            level.system.push(block(system));
        }
        found.push(level);
    }
    Ok(found)
}

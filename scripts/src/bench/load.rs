//! A closed loop: so many connections, each sends its next request when the last was answered.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::clock;
use crate::failure::Result;
use crate::http::{Answer, Client};

/// One request, sent again and again.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) url: String,
    pub(super) bearer: String,
    pub(super) body: Value,
}

impl Target {
    pub(super) fn send(&self, client: &Client) -> Result<Answer> {
        let headers = [("authorization", self.bearer.as_str())];
        client.send("POST", &self.url, &headers, Some(&self.body))
    }
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
    pub(super) fn run(target: &Target, connections: usize, requests: usize) -> Self {
        let next = AtomicUsize::new(0);
        let started = clock::now();
        let mut latencies_ms = Vec::with_capacity(requests);
        std::thread::scope(|scope| {
            let loops: Vec<_> = (0..connections)
                .map(|_| {
                    scope.spawn(|| {
                        // A client each: a connection is never shared.
                        let client = Client::new(Duration::from_mins(2));
                        let mut latencies = Vec::new();
                        while next.fetch_add(1, Ordering::Relaxed) < requests {
                            let sent = clock::now();
                            if target
                                .send(&client)
                                .is_ok_and(|answer| answer.status == 200)
                            {
                                latencies.push(sent.elapsed().as_secs_f64() * 1000.0);
                            }
                        }
                        latencies
                    })
                })
                .collect();
            for one in loops {
                latencies_ms.extend(one.join().unwrap_or_default());
            }
        });
        Self {
            failures: requests.saturating_sub(latencies_ms.len()),
            latencies_ms,
            seconds: started.elapsed().as_secs_f64(),
        }
    }
}

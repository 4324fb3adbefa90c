//! A small client for 127.0.0.1.

use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::Request;

use crate::failure::{Failure, Result};

/// An answer with its body read to the end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON, `null` if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Keeps connections open between calls.
#[derive(Clone, Debug)]
pub struct Client {
    agent: Agent,
}

impl Client {
    /// Every call ends after this time.
    pub fn new(timeout: Duration) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .build();
        Self {
            agent: Agent::new_with_config(config),
        }
    }

    /// Sends one request. Any status is an answer; only a missing answer fails.
    pub fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer> {
        let unreachable =
            |error: &dyn std::fmt::Display| Failure::failed(format!("{method} {url}: {error}"));
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let sent = if let Some(body) = body {
            let request = request
                .header("content-type", "application/json")
                .body(body.to_string())
                .map_err(|error| unreachable(&error))?;
            self.agent.run(request)
        } else {
            let request = request.body(()).map_err(|error| unreachable(&error))?;
            self.agent.run(request)
        };
        let mut response = sent.map_err(|error| unreachable(&error))?;
        let body = response
            .body_mut()
            .with_config()
            .limit(64 * 1024 * 1024)
            .read_to_vec()
            .map_err(|error| unreachable(&error))?;
        Ok(Answer {
            status: response.status().as_u16(),
            body,
        })
    }

    /// GET without headers.
    pub fn get(&self, url: &str) -> Result<Answer> {
        self.send("GET", url, &[], None)
    }
}

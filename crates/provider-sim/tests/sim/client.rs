//! A plain HTTP client around a started simulator.

use provider_sim::{ClockMode, SimConfig, Simulator};
use serde_json::{Value, json};
use std::time::Duration;
use ureq::Agent;

/// Pending time of the real-clock simulators here.
pub(crate) const PENDING_MS: u64 = 60;

/// A reply, or nothing when none came.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

pub(crate) struct Sim {
    pub(crate) server: Simulator,
    agent: Agent,
}

pub(crate) fn agent(timeout_ms: u64) -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_idle_connections(0)
        .timeout_global(Some(Duration::from_millis(timeout_ms)))
        .build()
        .into()
}

fn reply(response: ureq::http::Response<ureq::Body>) -> Result<Reply, ureq::Error> {
    let (head, mut body) = response.into_parts();
    Ok(Reply {
        status: head.status.as_u16(),
        headers: head
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect(),
        body: body.with_config().limit(200 << 20).read_to_vec()?,
    })
}

impl Sim {
    /// Real clock, short pending time.
    pub(crate) fn real() -> Self {
        Self::with(SimConfig {
            pending_ms: PENDING_MS,
            min_poll_gap_ms: 0,
            ..SimConfig::default()
        })
    }

    /// Virtual clock, the vendors' own times.
    pub(crate) fn virtual_clock() -> Self {
        Self::with(SimConfig {
            clock: ClockMode::Virtual,
            ..SimConfig::default()
        })
    }

    pub(crate) fn with(config: SimConfig) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        Self {
            server: runtime.block_on(Simulator::start(config)).unwrap(),
            agent: agent(20_000),
        }
    }

    pub(crate) fn timeout_ms(mut self, timeout_ms: u64) -> Self {
        self.agent = agent(timeout_ms);
        self
    }

    pub(crate) fn advance_ms(&self, by_ms: u64) {
        self.server.advance_ms(by_ms).unwrap();
    }

    pub(crate) fn try_send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Reply, ureq::Error> {
        let mut request = ureq::http::Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = match body {
            Some(body) => self.agent.run(request.body(body).unwrap()),
            None => self.agent.run(request.body(()).unwrap()),
        };
        response.and_then(reply)
    }

    pub(crate) fn get(&self, url: &str, headers: &[(&str, &str)]) -> Reply {
        self.try_send("GET", url, headers, None).unwrap()
    }

    /// Tries an Ideogram submit.
    pub(crate) fn try_ideogram(
        &self,
        key: &str,
        model: &str,
        body: &Value,
    ) -> Result<Reply, ureq::Error> {
        let url = format!("{}/v2/image/generate/{model}", self.server.base("ideogram"));
        let headers = [("api-key", key), ("content-type", "application/json")];
        self.try_send("POST", &url, &headers, Some(body.to_string().as_bytes()))
    }

    pub(crate) fn ideogram(&self, key: &str, model: &str, body: &Value) -> Reply {
        self.try_ideogram(key, model, body).unwrap()
    }

    /// An asynchronous submit of `ideogram-3` by a healthy account.
    pub(crate) fn submit(&self, prompt: &str) -> Reply {
        let body = json!({"prompt": prompt, "async": true});
        self.ideogram("sim-ok-acme", "ideogram-3", &body)
    }

    pub(crate) fn poll(&self, id: &str) -> Reply {
        self.poll_as("sim-ok-acme", id)
    }

    pub(crate) fn poll_as(&self, key: &str, id: &str) -> Reply {
        let url = format!("{}/v2/generations/{id}", self.server.base("ideogram"));
        self.get(&url, &[("api-key", key)])
    }

    /// Submits, waits until it is no longer pending, gives the last status.
    pub(crate) fn run(&self, body: &Value) -> Value {
        let submitted = self.ideogram("sim-ok-acme", "ideogram-3", body);
        assert_eq!(submitted.status, 200, "{}", submitted.text());
        let id = submitted.json()["generation_id"]
            .as_str()
            .unwrap()
            .to_owned();
        self.until_ended(&id)
    }

    pub(crate) fn until_ended(&self, id: &str) -> Value {
        for _ in 0..200 {
            let reply = self.poll(id);
            if reply.status == 200 && reply.json()["status"] != "pending" {
                return reply.json();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("{id} never ended");
    }

    pub(crate) fn openai(&self, key: &str, body: &Value) -> Reply {
        self.try_openai(key, body).unwrap()
    }

    pub(crate) fn try_openai(&self, key: &str, body: &Value) -> Result<Reply, ureq::Error> {
        let url = format!("{}/images/generations", self.server.base("openai"));
        let bearer = format!("Bearer {key}");
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        self.try_send("POST", &url, &headers, Some(body.to_string().as_bytes()))
    }

    pub(crate) fn control(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        let url = format!("{}/_sim/{path}", self.server.control());
        let text = body.map(Value::to_string);
        self.try_send(method, &url, &[], text.as_deref().map(str::as_bytes))
            .unwrap()
    }

    pub(crate) fn violation_kinds(&self) -> Vec<String> {
        let list = self.control("GET", "violations", None).json();
        let items = list.as_array().unwrap().iter();
        items
            .map(|item| item["kind"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// Width and height after a full decode.
pub(crate) fn dimensions(file: &[u8]) -> (u32, u32) {
    let decoded = image::load_from_memory(file).unwrap();
    (decoded.width(), decoded.height())
}

/// The mark of a PNG.
pub(crate) fn mark(file: &[u8]) -> Value {
    let reader = png::Decoder::new(std::io::Cursor::new(file))
        .read_info()
        .unwrap();
    let chunk = &reader.info().uncompressed_latin1_text[0];
    assert_eq!(chunk.keyword, "switchyard-sim");
    serde_json::from_str(&chunk.text).unwrap()
}

//! Two vendors as their API descriptions say: one that is polled, one that answers at once. Each counts what it would charge.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use platform::fakes::FakeReply;
use platform::{HttpRequest, SendPhase};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

/// What a vendor does with the next submit.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Accepts and finishes after that many polls.
    Finish { polls: u32 },
    /// Accepts, and the answer is lost.
    AcceptAndLose,
    /// Never answers in time, having accepted.
    AcceptAndHang,
    /// Answers that; nothing is accepted.
    Refuse(u16, Value),
    /// The connection is refused.
    Unreachable,
    /// Accepts, then the job fails unbilled.
    Fail(&'static str),
    /// Accepts; these images are withheld.
    Withhold(Vec<usize>),
    /// Accepts; the first files are not whole, the last number says how often.
    CutFiles(u32),
    /// Accepts; the file is a web page.
    Html,
    /// Answers at once with images of that size in bytes, after a delay in milliseconds.
    Bytes { delay_ms: u64 },
}

#[derive(Clone, Debug)]
struct Job {
    act: Act,
    images: usize,
    polls: u32,
    downloads: u32,
}

#[derive(Default)]
struct State {
    acts: VecDeque<Act>,
    jobs: BTreeMap<String, Job>,
    charged: Vec<String>,
    keys: Vec<String>,
    size: Option<(u32, u32)>,
}

#[derive(Clone, Default)]
pub(crate) struct Vendors(Arc<Mutex<State>>);

/// A picture of those dimensions, different for each `seed`.
pub(crate) fn png(width: u32, height: u32, seed: u8) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR".to_vec();
    file.extend(width.to_be_bytes());
    file.extend(height.to_be_bytes());
    file.extend(b"\x08\x02\x00\x00\x00crc!");
    file.extend((0..6_000_u32).map(|i| (i as u8).wrapping_mul(7).wrapping_add(seed)));
    file.extend(b"\x00\x00\x00\x00IEND\xaeB`\x82");
    file
}

impl Vendors {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// What comes next, in order; afterwards everything goes well.
    pub(crate) fn act(&self, acts: impl IntoIterator<Item = Act>) {
        self.state().acts.extend(acts);
    }

    /// Dimensions of the pictures from now on.
    pub(crate) fn draw(&self, width: u32, height: u32) {
        self.state().size = Some((width, height));
    }

    /// Submits that were accepted: what the vendor would charge for, by our request id.
    pub(crate) fn charged(&self) -> Vec<String> {
        self.state().charged.clone()
    }

    /// The keys that submits came with.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.state().keys.clone()
    }

    pub(crate) fn answer(&self, request: &HttpRequest) -> FakeReply {
        let url = url::Url::parse(&request.url).unwrap();
        match (url.host_str().unwrap(), url.path()) {
            ("api.ideogram.ai", path) if path.starts_with("/v2/image/generate/") => {
                self.ideogram_submit(request)
            }
            ("api.ideogram.ai", path) => {
                self.ideogram_status(path.strip_prefix("/v2/generations/").unwrap())
            }
            ("ideogram.ai", path) => self.file(path),
            ("api.openai.com", "/v1/images/generations") => self.openai(request),
            (host, path) => panic!("nobody is at {host}{path}"),
        }
    }

    fn accept(&self, request: &HttpRequest, act: Act, images: usize) -> String {
        let header = |name: &str| {
            let value = request.headers.get(name);
            value.map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
        };
        let mut state = self.state();
        let id = format!("g{}", state.charged.len());
        state.charged.push(header("x-request-id"));
        state
            .keys
            .push(header("api-key") + &header("authorization"));
        let job = Job {
            act,
            images,
            polls: 0,
            downloads: 0,
        };
        state.jobs.insert(id.clone(), job);
        id
    }

    fn next(&self) -> Option<Act> {
        self.state().acts.pop_front()
    }

    fn ideogram_submit(&self, request: &HttpRequest) -> FakeReply {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let images = body["num_images"].as_u64().unwrap() as usize;
        let act = self.next().unwrap_or(Act::Finish { polls: 1 });
        match act {
            Act::Refuse(status, body) => FakeReply::json(status, &body),
            Act::Unreachable => FakeReply::failure(SendPhase::NotSent, "connection refused"),
            Act::AcceptAndLose => {
                self.accept(request, act, images);
                FakeReply::failure(SendPhase::MaybeSent, "Network connection lost.")
            }
            Act::AcceptAndHang => {
                self.accept(request, act, images);
                FakeReply::status(200).delayed(10_000_000)
            }
            act => {
                let id = self.accept(request, act, images);
                FakeReply::json(200, &json!({"generation_id": id, "status": "pending"}))
            }
        }
    }

    fn ideogram_status(&self, id: &str) -> FakeReply {
        let mut state = self.state();
        let Some(job) = state.jobs.get_mut(id) else {
            return FakeReply::json(404, &json!({"error": "not found"}));
        };
        job.polls += 1;
        let needed = match &job.act {
            Act::Finish { polls } => *polls,
            _ => 1,
        };
        if job.polls < needed {
            return FakeReply::json(200, &json!({"generation_id": id, "status": "pending"}));
        }
        if let Act::Fail(reason) = &job.act {
            return FakeReply::json(
                200,
                &json!({"generation_id": id, "status": "failed", "failure_reason": reason}),
            );
        }
        let withheld = match &job.act {
            Act::Withhold(which) => which.clone(),
            _ => Vec::new(),
        };
        let images: Vec<Value> = (0..job.images)
            .map(|i| {
                if withheld.contains(&i) {
                    json!({"is_image_safe": false, "url": null, "seed": i})
                } else {
                    let url = format!("https://ideogram.ai/api/images/{id}/{i}.png?exp=1");
                    json!({"is_image_safe": true, "url": url, "seed": 100 + i})
                }
            })
            .collect();
        FakeReply::json(
            200,
            &json!({"generation_id": id, "status": "completed", "usage_cost_usd_micros": 60_000 * job.images, "data": images}),
        )
    }

    fn file(&self, path: &str) -> FakeReply {
        let mut parts = path.trim_start_matches("/api/images/").split('/');
        let (id, index) = (parts.next().unwrap(), parts.next().unwrap());
        let seed: u8 = index.trim_end_matches(".png").parse().unwrap();
        let mut state = self.state();
        let (width, height) = state.size.unwrap_or((1024, 1024));
        let job = state.jobs.get_mut(id).unwrap();
        job.downloads += 1;
        let file = png(width, height, seed);
        match &job.act {
            Act::Html => FakeReply::bytes(200, "text/html", "<html>busy</html>"),
            Act::CutFiles(times) if job.downloads <= *times => {
                let half = file.len() / 2;
                FakeReply::bytes(200, "image/png", file[..half].to_vec())
            }
            _ => {
                let length = file.len().to_string();
                FakeReply::bytes(200, "image/png", file)
                    .header("content-length", &length)
                    .chunked(1_000)
            }
        }
    }

    fn openai(&self, request: &HttpRequest) -> FakeReply {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let images = body["n"].as_u64().unwrap_or(1) as usize;
        let act = self.next().unwrap_or(Act::Bytes { delay_ms: 0 });
        match act {
            Act::Refuse(status, body) => FakeReply::json(status, &body),
            Act::Unreachable => FakeReply::failure(SendPhase::NotSent, "connection refused"),
            Act::AcceptAndLose => {
                self.accept(request, act, images);
                FakeReply::failure(SendPhase::MaybeSent, "Network connection lost.")
            }
            act => {
                let delay_ms = match act {
                    Act::Bytes { delay_ms } => delay_ms,
                    _ => 0,
                };
                self.accept(request, act, images);
                let (width, height) = self.state().size.unwrap_or((1024, 1024));
                let data: Vec<Value> = (0..images)
                    .map(|i| json!({"b64_json": STANDARD.encode(png(width, height, i as u8))}))
                    .collect();
                let usage =
                    json!({"input_tokens": 10, "output_tokens": 1_000, "total_tokens": 1_010});
                let answer = json!({"created": 1, "data": data, "usage": usage});
                FakeReply::json(200, &answer)
                    .chunked(3_001)
                    .delayed(delay_ms)
            }
        }
    }
}

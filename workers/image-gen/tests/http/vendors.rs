//! Two vendors as their API descriptions say: one that is polled, one that answers at once. Each counts what it would charge.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use platform::fakes::FakeReply;
use platform::{HttpRequest, SendPhase};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

/// What the polled vendor says it has drawn.
pub(crate) const REVISED: &str = "a lighthouse (\u{1f5fc}), at 100% of its light";

/// What a vendor does with the next submit.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Accepts and finishes after that many polls.
    Finish { polls: u32 },
    /// Accepts, and the answer is lost.
    AcceptAndLose,
    /// Accepts, is done, and answers that long after, in milliseconds.
    Late { delay_ms: u64 },
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
    /// Accepts; the file is gone when it is fetched, also from a fresh result.
    Gone,
    /// Accepts and finishes without any image, and does not say whether it charges.
    Empty,
    /// Accepts and finishes; says that it charged that much for an image, or does not say.
    Charge { each: Option<i64>, polls: u32 },
    /// Accepts; the file at that place cannot be fetched so many times.
    FileDown { index: usize, times: u32 },
    /// Accepts; the files are on another host than the vendor's own.
    OtherHost,
    /// Answers at once, and the connection breaks that many bytes before the end.
    CutAnswer { before_end: usize },
    /// Answers at once; the images at these places are not whole.
    CutImages(Vec<usize>),
    /// Answers at once with links to files.
    Links,
}

/// A gateway that passes everything below its path on to Ideogram.
pub(crate) const GATEWAY_HOST: &str = "gateway.example.com";
const GATEWAY_PATH: &str = "/acme/ideogram";

/// A host that no adapter lists.
pub(crate) const OTHER_HOST: &str = "cdn.example.com";

#[derive(Clone, Debug)]
struct Job {
    act: Act,
    images: usize,
    polls: u32,
    downloads: u32,
    misses: u32,
}

#[derive(Default)]
struct State {
    acts: VecDeque<Act>,
    jobs: BTreeMap<String, Job>,
    charged: Vec<String>,
    keys: Vec<String>,
    rejected: Vec<String>,
    sent: BTreeSet<(String, String)>,
    size: Option<(u32, u32)>,
    blank: bool,
}

impl State {
    /// A file as the vendors make them now.
    fn picture(&self, seed: u8) -> Vec<u8> {
        let (width, height) = self.size.unwrap_or((1024, 1024));
        if self.blank {
            blank_png(width, height)
        } else {
            png(width, height, seed)
        }
    }
}

#[derive(Clone, Default)]
pub(crate) struct Vendors(Arc<Mutex<State>>);

fn header(request: &HttpRequest, name: &str) -> String {
    let value = request.headers.get(name);
    value.map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
}

/// The key that a request came with.
fn key(request: &HttpRequest) -> String {
    header(request, "api-key") + &header(request, "authorization")
}

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

/// A white sheet, one bit a pixel and not compressed.
fn blank_png(width: u32, height: u32) -> Vec<u8> {
    let mut data = b"\x78\x01".to_vec();
    let row_bytes = width.div_ceil(8) as u16 + 1;
    for row in 0..height {
        data.push(u8::from(row + 1 == height));
        data.extend(row_bytes.to_le_bytes());
        data.extend((!row_bytes).to_le_bytes());
        data.push(0);
        data.extend(std::iter::repeat_n(0xff, usize::from(row_bytes) - 1));
    }
    let mut file = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR".to_vec();
    file.extend(width.to_be_bytes());
    file.extend(height.to_be_bytes());
    file.extend(b"\x01\x00\x00\x00\x00crc!");
    file.extend((data.len() as u32).to_be_bytes());
    file.extend(b"IDAT");
    file.extend(data);
    file.extend(b"crc!\x00\x00\x00\x00IEND\xaeB`\x82");
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

    /// The pictures from now on show nothing.
    pub(crate) fn draw_nothing(&self) {
        self.state().blank = true;
    }

    /// Submits that were accepted: what the vendor would charge for, by our request id.
    pub(crate) fn charged(&self) -> Vec<String> {
        self.state().charged.clone()
    }

    /// The keys that submits came with.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.state().keys.clone()
    }

    /// From now on exactly those keys are rejected, by polls as by submits.
    pub(crate) fn reject_keys(&self, keys: &[&str]) {
        self.state().rejected = keys.iter().map(|key| (*key).to_owned()).collect();
    }

    pub(crate) fn answer(&self, request: &HttpRequest) -> FakeReply {
        let url = url::Url::parse(&request.url).unwrap();
        let sent = key(request);
        let host = url.host_str().unwrap().to_owned();
        if !sent.is_empty() {
            self.state().sent.insert((host.clone(), sent.clone()));
        }
        if self.state().rejected.iter().any(|key| sent.ends_with(key)) {
            return FakeReply::json(401, &json!({"error": "invalid api key"}));
        }
        match (host.as_str(), url.path()) {
            (GATEWAY_HOST, path) if path.starts_with(GATEWAY_PATH) => {
                self.ideogram(request, path.strip_prefix(GATEWAY_PATH).unwrap())
            }
            ("api.ideogram.ai", path) => self.ideogram(request, path),
            ("ideogram.ai" | OTHER_HOST, path) => self.file(path),
            ("api.openai.com", "/v1/images/generations") => self.openai(request),
            (host, path) => panic!("nobody is at {host}{path}"),
        }
    }

    fn accept(&self, request: &HttpRequest, act: Act, images: usize) -> String {
        let mut state = self.state();
        let id = format!("g{}", state.charged.len());
        state.charged.push(header(request, "x-request-id"));
        state.keys.push(key(request));
        let job = Job {
            act,
            images,
            polls: 0,
            downloads: 0,
            misses: 0,
        };
        state.jobs.insert(id.clone(), job);
        id
    }

    fn next(&self) -> Option<Act> {
        self.state().acts.pop_front()
    }

    fn ideogram(&self, request: &HttpRequest, path: &str) -> FakeReply {
        match path.strip_prefix("/v2/generations/") {
            Some(id) => self.ideogram_status(id),
            None if path.starts_with("/v2/image/generate/") => self.ideogram_submit(request),
            None => panic!("ideogram has no {path}"),
        }
    }

    /// Which key arrived at which host.
    pub(crate) fn sent(&self) -> BTreeSet<(String, String)> {
        self.state().sent.clone()
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
                let delay_ms = match act {
                    Act::Late { delay_ms } => delay_ms,
                    _ => 0,
                };
                let id = self.accept(request, act, images);
                let answer = json!({"generation_id": id, "status": "pending"});
                FakeReply::json(200, &answer).delayed(delay_ms)
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
            Act::Finish { polls } | Act::Charge { polls, .. } => *polls,
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
        let host = match &job.act {
            Act::OtherHost => OTHER_HOST,
            _ => "ideogram.ai",
        };
        let shown = match &job.act {
            Act::Empty => 0,
            _ => job.images,
        };
        let images: Vec<Value> = (0..shown)
            .map(|i| {
                if withheld.contains(&i) {
                    json!({"is_image_safe": false, "url": null, "seed": i})
                } else {
                    let url = format!("https://{host}/api/images/{id}/{i}.png?exp=1");
                    json!({"is_image_safe": true, "url": url, "seed": 100 + i, "prompt": REVISED})
                }
            })
            .collect();
        let mut answer = json!({"generation_id": id, "status": "completed", "data": images});
        let each = match job.act {
            Act::Empty => None,
            Act::Charge { each, .. } => each,
            _ => Some(60_000),
        };
        if let Some(each) = each {
            answer["usage_cost_usd_micros"] = json!(each * job.images as i64);
        }
        FakeReply::json(200, &answer)
    }

    fn file(&self, path: &str) -> FakeReply {
        let mut parts = path.trim_start_matches("/api/images/").split('/');
        let (id, index) = (parts.next().unwrap(), parts.next().unwrap());
        let seed: u8 = index.trim_end_matches(".png").parse().unwrap();
        let mut state = self.state();
        let file = state.picture(seed);
        let job = state.jobs.get_mut(id).unwrap();
        job.downloads += 1;
        match &job.act {
            Act::Gone => FakeReply::status(404),
            Act::Html => FakeReply::bytes(200, "text/html", "<html>busy</html>"),
            Act::FileDown { index, times } if *index == usize::from(seed) => {
                job.misses += 1;
                if job.misses <= *times {
                    return FakeReply::status(503);
                }
                FakeReply::bytes(200, "image/png", file)
            }
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
                let id = self.accept(request, act.clone(), images);
                let picture = |i: usize| {
                    let mut file = self.state().picture(i as u8);
                    if matches!(&act, Act::CutImages(which) if which.contains(&i)) {
                        file.truncate(file.len() / 2);
                    }
                    file
                };
                let data: Vec<Value> = (0..images)
                    .map(|i| match &act {
                        Act::Links => {
                            json!({"url": format!("https://{OTHER_HOST}/api/images/{id}/{i}.png")})
                        }
                        _ => json!({"b64_json": STANDARD.encode(picture(i))}),
                    })
                    .collect();
                let usage =
                    json!({"input_tokens": 10, "output_tokens": 1_000, "total_tokens": 1_010});
                let answer = json!({"created": 1, "data": data, "usage": usage}).to_string();
                let mut reply = FakeReply::bytes(200, "application/json", answer.clone());
                if let Act::CutAnswer { before_end } = &act {
                    reply = reply.cut_after(answer.len() - before_end);
                }
                reply.chunked(3_001).delayed(delay_ms)
            }
        }
    }
}

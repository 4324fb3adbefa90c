//! `/__probe/..`: what ring 5 asks of the real runtime.
//!
//! In scope: contract tests of the ports, a panic and the count of requests served since, commands to objects of the
//! probe's own namespace. Out of scope: anything a product may rely on; shipped builds do not contain this file.

use axum::body::Body;
use futures_util::future::join_all;
use http::{Method, Request, Response, StatusCode};
use platform::contract::{self, Verdict};
use platform::{
    ActorReply, Actors, CallContext, Clock, HttpClient, HttpRequest, Ops, SendPhase, new_uuid,
};
use platform_workers::{WorkerClock, WorkerPorts, WorkerStorage};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use worker::{Context, Env, State};

use crate::{bindings::LIMITERS, probe_service};

const PREFIX: &str = "/__probe/";
/// Most calls of one burst.
const BURST_MAX: u32 = 20_000;
const BODY_BYTES: usize = 4 << 20;

/// Requests served by this isolate.
static SERVED: AtomicU64 = AtomicU64::new(0);

/// `POST /__probe/limiter/{name}/burst`.
#[derive(Deserialize)]
struct Burst {
    count: u32,
    /// How many are under way at once; all of them by default.
    #[serde(default)]
    at_once: Option<u32>,
    /// The command; `lease_id` and `job_id` are replaced in each copy.
    acquire: Value,
}

/// What a burst found.
#[derive(Debug, Default, Serialize)]
struct BurstCounts {
    granted: u32,
    existing: u32,
    refused: u32,
    failed: u32,
    /// By reason.
    limited: BTreeMap<String, u32>,
}

pub(crate) fn is_probe(path: &str) -> bool {
    path.starts_with(PREFIX)
}

/// Answers a probe request. Steps: 1. read the body (413). 2. find the route (404). 3. run it.
pub(crate) async fn answer(request: Request<Body>, env: &Env, context: &Context) -> Response<Body> {
    SERVED.fetch_add(1, Ordering::Relaxed);
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_BYTES).await else {
        return reply(
            StatusCode::PAYLOAD_TOO_LARGE,
            &json!({ "error": "too large" }),
        );
    };
    let body = String::from_utf8_lossy(&body).into_owned();
    let path = percent_decoded(parts.uri.path().trim_start_matches(PREFIX));
    let segments: Vec<&str> = path.split('/').collect();
    let ports = WorkerPorts::of_event(env, context, Ops::default());
    match (&parts.method, segments.as_slice()) {
        (&Method::POST, ["panic"]) => panic_on_purpose(),
        (&Method::GET, ["served"]) => reply(
            StatusCode::OK,
            &json!({ "served": SERVED.load(Ordering::Relaxed) }),
        ),
        (&Method::POST, ["contract", port]) => match run_contract(&ports, port, &body).await {
            None => reply(StatusCode::NOT_FOUND, &json!({ "error": "no such port" })),
            Some(Ok(())) => reply(StatusCode::OK, &json!({ "port": port, "kept": true })),
            Some(Err(broken)) => reply(
                StatusCode::CONFLICT,
                &json!({ "port": port, "kept": false, "broken": broken }),
            ),
        },
        (_, ["peer", what]) => probe_service::peer(what, &parts.headers, body).await,
        (&Method::POST, ["send"]) => send(&ports, body).await,
        (&Method::POST, ["limiter", name, "burst"]) => burst(&ports, name, &body).await,
        (&Method::POST, ["limiter", name, command]) => forward(&ports, name, command, body).await,
        _ => reply(StatusCode::NOT_FOUND, &json!({ "error": "no such probe" })),
    }
}

#[expect(
    clippy::panic,
    reason = "ring 5 shows that one panic costs one request"
)]
fn panic_on_purpose() -> Response<Body> {
    panic!("asked for by the probe")
}

async fn run_contract(ports: &WorkerPorts, port: &str, body: &str) -> Option<Verdict> {
    let clock = ports.clock();
    let unique = new_uuid(&clock, &ports.random());
    let missing = |error: platform::PortError| error.to_string();
    Some(match port {
        "clock" => contract::clock(&clock).await,
        "random" => contract::random(&ports.random(), &clock),
        "kv" => match ports.kv("CONFIG").map_err(missing) {
            Ok(kv) => contract::kv(&kv, &unique).await,
            Err(error) => Err(error),
        },
        "objects" => match ports.objects("IMAGES").map_err(missing) {
            Ok(store) => contract::objects(&store, &unique).await,
            Err(error) => Err(error),
        },
        "database" => match ports.database("DB").map_err(missing) {
            Ok(database) => contract::database(&database).await,
            Err(error) => Err(error),
        },
        "queue" => match ports.queue("JOBS").map_err(missing) {
            Ok(queue) => contract::queue(&queue).await,
            Err(error) => Err(error),
        },
        "actors" => match ports.actors(LIMITERS).map_err(missing) {
            Ok(actors) => contract::actors(&actors, &unique).await,
            Err(error) => Err(error),
        },
        "storage" => match ports.actors(LIMITERS).map_err(missing) {
            Ok(actors) => storage_contract(&actors, &unique).await,
            Err(error) => Err(error),
        },
        "background" => {
            let flag = contract::background(&ports.background(), &clock);
            clock.sleep(200).await;
            if flag.load(Ordering::Relaxed) {
                Ok(())
            } else {
                Err("background work runs".to_owned())
            }
        }
        "http_client" => probe_service::outside_keeps_contract(ports, body).await,
        "service" => probe_service::keeps_contract(ports).await,
        _ => return None,
    })
}

/// The storage is only reached inside an object.
async fn storage_contract(actors: &impl Actors, unique: &str) -> Verdict {
    let context = CallContext::default();
    let asked = actors.call(unique, "contract-storage", String::new(), &context);
    let answered = asked.await.map_err(|error| error.cause)?;
    if answered.status == 200 {
        Ok(())
    } else {
        Err(answered.body)
    }
}

/// Sends nothing but a body to the URL of the request's body, and tells how that failed: the texts of the runtime.
async fn send(ports: &WorkerPorts, url: String) -> Response<Body> {
    let request = HttpRequest {
        method: Method::POST,
        url,
        headers: http::HeaderMap::new(),
        body: "{}".into(),
        timeout_ms: 10_000,
    };
    match ports.http().send(request).await {
        Ok(answered) => reply(StatusCode::OK, &json!({ "status": answered.status })),
        Err(failure) => reply(
            StatusCode::OK,
            &json!({
                "not_sent": failure.phase == SendPhase::NotSent, "timed_out": failure.timed_out,
                "cause": failure.cause,
            }),
        ),
    }
}

async fn forward(ports: &WorkerPorts, name: &str, command: &str, body: String) -> Response<Body> {
    let actors = match ports.actors(LIMITERS) {
        Ok(actors) => actors,
        Err(error) => return failed(&error.to_string()),
    };
    match actors
        .call(name, command, body, &CallContext::default())
        .await
    {
        Ok(answered) => Response::builder()
            .status(answered.status)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(Body::from(answered.body))
            .unwrap_or_default(),
        Err(error) => failed(&error.cause),
    }
}

async fn burst(ports: &WorkerPorts, name: &str, body: &str) -> Response<Body> {
    let asked: Burst = match serde_json::from_str(body) {
        Ok(asked) => asked,
        Err(error) => {
            return reply(
                StatusCode::BAD_REQUEST,
                &json!({ "error": error.to_string() }),
            );
        }
    };
    let actors = match ports.actors(LIMITERS) {
        Ok(actors) => actors,
        Err(error) => return failed(&error.to_string()),
    };
    let mut counts = BurstCounts::default();
    let mut left = asked.count.min(BURST_MAX);
    let context = CallContext::default();
    while left > 0 {
        let now = left.min(asked.at_once.unwrap_or(left).max(1));
        left -= now;
        let calls = (0..now).map(|_| {
            let mut command = asked.acquire.clone();
            command["lease_id"] = json!(new_uuid(&WorkerClock, &ports.random()));
            command["job_id"] = json!(new_uuid(&WorkerClock, &ports.random()));
            actors.call(name, "acquire", command.to_string(), &context)
        });
        for answered in join_all(calls).await {
            counts.add(answered.ok());
        }
    }
    reply(StatusCode::OK, &json!(counts))
}

impl BurstCounts {
    fn add(&mut self, answered: Option<ActorReply>) {
        let decision = answered
            .filter(|answered| answered.status == 200)
            .and_then(|answered| serde_json::from_str::<Value>(&answered.body).ok())
            .map(|mut body| body["decision"].take());
        match decision {
            Some(decision) if decision.get("granted").is_some() => self.granted += 1,
            Some(decision) if decision.get("existing").is_some() => self.existing += 1,
            Some(decision) if decision.get("refused").is_some() => self.refused += 1,
            Some(decision) if decision.get("limited").is_some() => {
                let reason = decision["limited"]["reason"].as_str().unwrap_or("unknown");
                *self.limited.entry(reason.to_owned()).or_insert(0) += 1;
            }
            _ => self.failed += 1,
        }
    }
}

/// What an object answers to the contract tests.
pub(crate) struct ProbeObject {
    storage: Option<WorkerStorage>,
    calls: Cell<u32>,
}

impl ProbeObject {
    pub(crate) fn new(state: &State) -> Self {
        Self {
            storage: WorkerStorage::new(state).ok(),
            calls: Cell::new(0),
        }
    }

    /// `None` for the limiter's own commands.
    pub(crate) async fn handle(&self, command: &str, body: &str) -> Option<ActorReply> {
        let answer = |status, body: String| Some(ActorReply { status, body });
        match command {
            "contract-echo" => answer(200, body.to_owned()),
            "contract-refuse" => answer(409, "{}".to_owned()),
            "contract-count" => {
                self.calls.set(self.calls.get() + 1);
                answer(200, self.calls.get().to_string())
            }
            "contract-storage" => match &self.storage {
                None => answer(500, "no storage".to_owned()),
                Some(storage) => match contract::storage(storage, WorkerClock.now_ms()).await {
                    Ok(()) => answer(200, "{}".to_owned()),
                    Err(broken) => answer(409, broken),
                },
            },
            _ => None,
        }
    }
}

fn failed(cause: &str) -> Response<Body> {
    reply(StatusCode::BAD_GATEWAY, &json!({ "error": cause }))
}

fn reply(status: StatusCode, body: &Value) -> Response<Body> {
    Response::builder()
        .status(status)
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))
        .unwrap_or_default()
}

/// Names of objects hold colons, which some clients encode.
fn percent_decoded(path: &str) -> String {
    path.replace("%3A", ":").replace("%3a", ":")
}

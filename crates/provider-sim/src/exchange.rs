//! Takes a request to its vendor and lets the answer leave as the scenario wants it.
//!
//! In scope: reading, logging, waiting, cutting, sending. Not in scope: what is answered (`vendor`, `files`).

use crate::call::{Answer, Call, Payload};
use crate::clock::{Clock, timestamp};
use crate::files;
use crate::journal::{Entry, ViolationKind, masked};
use crate::ledger::ChargeNumber;
use crate::links::{Links, hex};
use crate::listener::Wire;
use crate::picture::PictureError;
use crate::vendor::Vendor;
use crate::world::World;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use ring::digest::{Context, SHA256};
use serde_json::{Map, Value, json};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc::Sender;

/// Largest body that is read.
const MAX_BODY_BYTES: usize = 32 << 20;

/// A silent call is cut after this time, so that a client without a deadline cannot pile up connections.
const SILENCE_MS: u64 = 1_800_000;

/// Larger bodies appear in the log as a note.
const LOGGED_BODY_BYTES: usize = 64 << 10;

/// Pieces of a slow body.
const SLOW_PIECES: usize = 8;

/// Where a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Api,
    Image,
    Alt,
    OffList,
}

impl Door {
    const fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Image => "image",
            Self::Alt => "alt",
            Self::OffList => "offlist",
        }
    }
}

/// What all requests share.
pub(crate) struct App {
    pub(crate) clock: Clock,
    pub(crate) links: Arc<Links>,
    pub(crate) log: Option<Sender<String>>,
    world: Mutex<World>,
}

impl App {
    pub(crate) fn new(
        clock: Clock,
        links: Links,
        log: Option<Sender<String>>,
        world: World,
    ) -> Self {
        Self {
            clock,
            links: Arc::new(links),
            log,
            world: Mutex::new(world),
        }
    }

    /// The books; never held while waiting.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers one request of a vendor's API or of another host.
pub(crate) async fn handle(app: Arc<App>, door: Door, wire: Wire, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else {
        return plain(StatusCode::PAYLOAD_TOO_LARGE, "too large");
    };
    let now_ms = app.clock.now_ms();
    let (vendor, path) = match door {
        Door::Api => match Vendor::of_path(head.uri.path()) {
            Some((vendor, path)) => (Some(vendor), path.to_owned()),
            None => (None, head.uri.path().to_owned()),
        },
        _ => (None, head.uri.path().to_owned()),
    };
    let request_id = head
        .headers
        .get("x-request-id")
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let mut call = Call {
        vendor: vendor.unwrap_or(Vendor::Ideogram),
        method: head.method,
        fingerprint: fingerprint(vendor, &path, &body),
        path,
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body,
        now_ms,
        virtual_clock: app.clock.is_virtual(),
        request_id,
        links: app.links.clone(),
        account: None,
        scenario: "ok".to_owned(),
        violations: Vec::new(),
    };
    look_for_leaks(&mut call);
    let (answer, seq) = {
        let mut world = app.world();
        let answer = match (door, vendor) {
            (Door::Api, Some(vendor)) => vendor.answer(&mut call, &mut world),
            (Door::Image, _) => files::serve_signed(&mut call, &mut world),
            _ => stranger(&mut call, door),
        };
        let known = vendor.is_some() || call.account.is_some();
        let entry = entry(&call, door, known, &answer);
        let seq = world
            .journal
            .add(entry, std::mem::take(&mut call.violations));
        (answer, seq)
    };
    send(app, wire, answer, seq, now_ms).await
}

/// A request to a host or path that belongs to no vendor.
fn stranger(call: &mut Call, door: Door) -> Answer {
    if door == Door::OffList {
        call.violate(ViolationKind::OffListHost, call.path.clone());
    }
    if door != Door::Api
        && let Some(header) = files::credential(&call.headers)
    {
        call.violate(ViolationKind::CredentialOnForeignHost, header);
        if door == Door::OffList {
            call.violate(ViolationKind::RedirectFollowedWithKey, header);
        }
    }
    Answer::text(404, "not found")
}

/// What no call to anybody may carry.
fn look_for_leaks(call: &mut Call) {
    for name in ["traceparent", "tracestate", "baggage"] {
        if call.headers.contains_key(name) {
            call.violate(ViolationKind::TraceparentSent, name);
        }
    }
    let leaked = url::form_urlencoded::parse(call.query.as_bytes())
        .find(|(name, value)| {
            value.starts_with("sim-") || matches!(name.as_ref(), "key" | "api_key" | "api-key")
        })
        .map(|(name, _)| name.into_owned());
    if let Some(name) = leaked {
        call.violate(ViolationKind::KeyInQuery, name);
    }
}

fn fingerprint(vendor: Option<Vendor>, path: &str, body: &[u8]) -> String {
    let mut context = Context::new(&SHA256);
    for part in [
        vendor.map_or("", Vendor::name).as_bytes(),
        path.as_bytes(),
        body,
    ] {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part);
    }
    format!("sha256:{}", hex(context.finish().as_ref()))
}

fn entry(call: &Call, door: Door, known: bool, answer: &Answer) -> Entry {
    let body = logged_body(&call.body);
    Entry {
        seq: 0,
        at: timestamp(call.now_ms),
        listener: door.name(),
        provider: known.then(|| call.vendor.name().to_owned()),
        account: call.account.clone(),
        method: call.method.to_string(),
        path: call.path.clone(),
        query: call.query.clone(),
        headers: logged_headers(&call.headers),
        body_bytes: call.body.len().min(LOGGED_BODY_BYTES) + 2_000,
        body,
        parts: None,
        request_id: call.request_id.clone(),
        status: (!answer.silent && !answer.cut).then_some(answer.status),
        scenario: call.scenario.clone(),
        ms: None,
        violations: Vec::new(),
    }
}

fn logged_body(body: &[u8]) -> Value {
    if body.is_empty() {
        return Value::Null;
    }
    if body.len() > LOGGED_BODY_BYTES {
        return json!({"note": "too large for the log", "bytes": body.len()});
    }
    serde_json::from_slice(body)
        .unwrap_or_else(|_| json!({"note": "not JSON", "bytes": body.len()}))
}

fn logged_headers(headers: &HeaderMap) -> Value {
    let mut shown = Map::new();
    for (name, value) in headers {
        let text = String::from_utf8_lossy(value.as_bytes());
        let text = if files::CREDENTIALS.contains(&name.as_str()) {
            masked(&text)
        } else {
            text.into_owned()
        };
        shown.insert(name.as_str().to_owned(), Value::String(text));
    }
    Value::Object(shown)
}

/// Lets an answer leave: silence, delay, cut, body.
async fn send(app: Arc<App>, wire: Wire, answer: Answer, seq: u64, started_ms: u64) -> Response {
    let leaving = Leaving {
        app: app.clone(),
        charge: answer.charge,
        seq,
        started_ms,
    };
    if answer.silent {
        app.clock.sleep_ms(SILENCE_MS).await;
        wire.cut();
        return plain(StatusCode::OK, "");
    }
    app.clock.sleep_ms(answer.delay_ms).await;
    if answer.cut {
        wire.cut();
        return plain(StatusCode::OK, "");
    }
    let body = match answer.payload {
        Payload::Ready(body) => body,
        Payload::Later(draw) => match tokio::task::spawn_blocking(draw).await {
            Ok(Ok(body)) => body,
            Ok(Err(PictureError(text))) => return plain(StatusCode::INTERNAL_SERVER_ERROR, &text),
            Err(_) => return plain(StatusCode::INTERNAL_SERVER_ERROR, "drawing failed"),
        },
    };
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = if answer.body_ms > 0 {
        slow(&body, answer.body_ms, leaving)
    } else {
        leaving.has_left();
        if answer.chunked {
            Body::from_stream(stream::iter(
                pieces(&body, 64 << 10).into_iter().map(Ok::<_, Infallible>),
            ))
        } else {
            Body::from(body)
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(answer.content_type),
    );
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    response
}

/// An answer on its way; its log line is written when it has left or never will.
struct Leaving {
    app: Arc<App>,
    charge: Option<ChargeNumber>,
    seq: u64,
    started_ms: u64,
}

impl Leaving {
    fn has_left(&self) {
        let took_ms = self.app.clock.now_ms().saturating_sub(self.started_ms);
        let mut world = self.app.world();
        if let Some(charge) = self.charge {
            world.ledger.answered(charge);
        }
        if let Some(entry) = world.journal.get_mut(self.seq) {
            entry.ms = Some(took_ms);
        }
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        if let Some(log) = &self.app.log
            && let Some(entry) = self.app.world().journal.get_mut(self.seq)
            && let Ok(line) = serde_json::to_string(entry)
        {
            // A reader that is behind loses lines; the simulator never waits for it.
            log.try_send(line).ok();
        }
    }
}

/// The body in pieces with equal waits; it counts as answered with its last piece.
fn slow(body: &Bytes, body_ms: u64, leaving: Leaving) -> Body {
    let pieces = pieces(body, body.len().div_ceil(SLOW_PIECES).max(1));
    let wait_ms = body_ms / pieces.len().max(1) as u64;
    let left = pieces.into_iter();
    Body::from_stream(stream::unfold(
        (left, leaving),
        move |(mut left, leaving)| async move {
            let piece = left.next()?;
            leaving.app.clock.sleep_ms(wait_ms).await;
            if left.len() == 0 {
                leaving.has_left();
            }
            Some((Ok::<_, Infallible>(piece), (left, leaving)))
        },
    ))
}

fn pieces(body: &Bytes, length: usize) -> Vec<Bytes> {
    (0..body.len())
        .step_by(length)
        .map(|start| body.slice(start..(start + length).min(body.len())))
        .collect()
}

fn plain(status: StatusCode, text: &str) -> Response {
    let mut response = Response::new(Body::from(text.to_owned()));
    *response.status_mut() = status;
    response
}

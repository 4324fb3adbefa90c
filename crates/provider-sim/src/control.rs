//! The calls under `/_sim` by which tests steer the simulator and read its books.
//!
//! In scope: routes and their JSON. Not in scope: what the books mean (`world`, `ledger`, `journal`).

use crate::exchange::App;
use crate::job::{Outcome, State};
use crate::scenario::{Token, in_prompt};
use crate::vendor::Vendor;
use crate::world::{Chaos, Phase, QueuedFault};
use axum::Router;
use axum::extract::{Path, Query, State as Shared};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::Arc;

/// Entries of one page of the request log.
const PAGE: usize = 1_000;

/// All control routes.
pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/_sim/health", get(health))
        .route("/_sim/reset", post(reset))
        .route("/_sim/faults", post(add_fault).get(list_faults))
        .route("/_sim/faults/{id}", delete(remove_fault))
        .route("/_sim/limits", post(limits))
        .route("/_sim/clock", post(clock))
        .route("/_sim/chaos", post(chaos))
        .route("/_sim/jobs", get(jobs))
        .route("/_sim/jobs/{id}/{action}", post(end_job))
        .route("/_sim/requests", get(requests))
        .route("/_sim/charges", get(charges))
        .route("/_sim/charges/duplicates", get(duplicates))
        .route("/_sim/violations", get(violations))
        .route("/_sim/scenarios", get(scenarios))
}

fn reply(status: StatusCode, value: &Value) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (status, kind, value.to_string()).into_response()
}

fn ok(value: &Value) -> Response {
    reply(StatusCode::OK, value)
}

fn refuse(status: StatusCode, text: impl std::fmt::Display) -> Response {
    reply(status, &json!({"error": text.to_string()}))
}

/// Reads a JSON body whatever its content type: these calls are typed by hand too. An empty body is `{}`.
fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Box<Response>> {
    let text: &[u8] = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(text).map_err(|error| Box::new(refuse(StatusCode::BAD_REQUEST, error)))
}

fn vendor(name: &str) -> Result<Vendor, Box<Response>> {
    Vendor::from_name(name).ok_or_else(|| {
        let known = Vendor::ALL.map(Vendor::name).join(", ");
        Box::new(refuse(
            StatusCode::BAD_REQUEST,
            format!("unknown provider '{name}'; known: {known}"),
        ))
    })
}

fn flat(result: Result<Response, Box<Response>>) -> Response {
    result.unwrap_or_else(|refused| *refused)
}

async fn health(Shared(app): Shared<Arc<App>>) -> Response {
    ok(&json!({"status": "ok", "version": env!("CARGO_PKG_VERSION"), "clock": app.clock.name()}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reset {
    account: Option<String>,
}

async fn reset(Shared(app): Shared<Arc<App>>, body: Bytes) -> Response {
    flat(read::<Reset>(&body).map(|asked| {
        app.world().reset(asked.account.as_deref());
        ok(&json!({"status": "ok"}))
    }))
}

fn once() -> u32 {
    1
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultRequest {
    provider: String,
    phase: Option<Phase>,
    scenario: String,
    #[serde(default = "once")]
    times: u32,
    account: Option<String>,
}

async fn add_fault(Shared(app): Shared<Arc<App>>, body: Bytes) -> Response {
    flat(read::<FaultRequest>(&body).and_then(|asked| {
        let vendor = vendor(&asked.provider)?;
        let bad = |error: String| Box::new(refuse(StatusCode::BAD_REQUEST, error));
        // `503`, or several as in a prompt: `sim:queue=1s sim:unsafe=image`; `ok` shields from prompt and key.
        let tokens = if asked.scenario == "ok" {
            Vec::new()
        } else if asked.scenario.contains("sim:") {
            in_prompt(&asked.scenario).map_err(|unknown| bad(unknown.to_string()))?
        } else {
            vec![Token::parse(&asked.scenario).map_err(|unknown| bad(unknown.to_string()))?]
        };
        if let Some(token) = tokens.iter().find(|token| !token.scenario.reaches(vendor)) {
            return Err(bad(format!(
                "scenario '{}' does not exist for {}",
                token.text(),
                vendor.name()
            )));
        }
        let id = app.world().queue_fault(QueuedFault {
            id: 0,
            vendor,
            phase: asked.phase,
            tokens,
            times: asked.times.max(1),
            account: asked.account,
        });
        Ok(ok(&json!({"id": format!("f{id}")})))
    }))
}

async fn list_faults(Shared(app): Shared<Arc<App>>) -> Response {
    let world = app.world();
    let items: Vec<Value> = world
        .faults
        .iter()
        .map(|fault| {
            json!({
                "id": format!("f{}", fault.id), "provider": fault.vendor.name(), "phase": fault.phase,
                "scenario": crate::world::label(&fault.tokens), "times": fault.times, "account": fault.account,
            })
        })
        .collect();
    ok(&json!({"items": items}))
}

async fn remove_fault(Shared(app): Shared<Arc<App>>, Path(id): Path<String>) -> Response {
    let mut world = app.world();
    let before = world.faults.len();
    world.faults.retain(|fault| format!("f{}", fault.id) != id);
    if world.faults.len() == before {
        return refuse(StatusCode::NOT_FOUND, "no such fault; it may be used up");
    }
    ok(&json!({"status": "ok"}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsRequest {
    provider: String,
    account: String,
    in_flight: Option<u32>,
    polls_per_10s: Option<u32>,
    requests_per_min: Option<u32>,
    credit_usd_micros: Option<u64>,
}

async fn limits(Shared(app): Shared<Arc<App>>, body: Bytes) -> Response {
    flat(read::<LimitsRequest>(&body).and_then(|asked| {
        let vendor = vendor(&asked.provider)?;
        let mut world = app.world();
        let limits = &mut world.account(vendor, &asked.account).limits;
        limits.in_flight = asked.in_flight.unwrap_or(limits.in_flight);
        limits.polls_per_10s = asked.polls_per_10s.unwrap_or(limits.polls_per_10s);
        limits.requests_per_min = asked.requests_per_min.unwrap_or(limits.requests_per_min);
        limits.credit_usd_micros = asked.credit_usd_micros.or(limits.credit_usd_micros);
        Ok(ok(&json!({
            "provider": vendor.name(), "account": asked.account, "in_flight": limits.in_flight,
            "polls_per_10s": limits.polls_per_10s, "requests_per_min": limits.requests_per_min,
            "credit_usd_micros": limits.credit_usd_micros,
        })))
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockRequest {
    advance_ms: u64,
}

async fn clock(Shared(app): Shared<Arc<App>>, body: Bytes) -> Response {
    flat(
        read::<ClockRequest>(&body).map(|asked| match app.clock.advance(asked.advance_ms) {
            Ok(now_ms) => ok(&json!({"now": crate::clock::timestamp(now_ms), "now_ms": now_ms})),
            Err(error) => refuse(StatusCode::CONFLICT, error),
        }),
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChaosRequest {
    enabled: bool,
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    rate: f64,
}

async fn chaos(Shared(app): Shared<Arc<App>>, body: Bytes) -> Response {
    flat(read::<ChaosRequest>(&body).map(|asked| {
        if !(0.0..=1.0).contains(&asked.rate) {
            return refuse(StatusCode::BAD_REQUEST, "'rate' must be 0 to 1");
        }
        app.world().chaos = asked.enabled.then_some(Chaos {
            seed: asked.seed,
            rate: asked.rate,
            calls: 0,
        });
        ok(&json!({"enabled": asked.enabled, "seed": asked.seed, "rate": asked.rate}))
    }))
}

/// Filters of the lists.
#[derive(Deserialize)]
struct Filter {
    provider: Option<String>,
    account: Option<String>,
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
}

impl Filter {
    fn fits(&self, provider: Option<&str>, account: Option<&str>) -> bool {
        let same = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| Some(wanted) == found)
        };
        same(&self.provider, provider) && same(&self.account, account)
    }
}

async fn jobs(Shared(app): Shared<Arc<App>>, Query(filter): Query<Filter>) -> Response {
    let now_ms = app.clock.now_ms();
    let world = app.world();
    let items: Vec<Value> = world
        .jobs
        .iter()
        .filter(|job| filter.fits(Some(job.vendor.name()), Some(&job.account)))
        .map(|job| job.describe(now_ms))
        .collect();
    ok(&json!({"items": items, "dropped": world.jobs.dropped}))
}

async fn end_job(
    Shared(app): Shared<Arc<App>>,
    Path((id, action)): Path<(String, String)>,
) -> Response {
    let now_ms = app.clock.now_ms();
    let outcome = match action.as_str() {
        "complete" => Outcome::Completed,
        "fail" => Outcome::Failed("generation_failed"),
        "expire" => Outcome::Expired,
        _ => {
            return refuse(
                StatusCode::NOT_FOUND,
                "actions are complete, fail and expire",
            );
        }
    };
    let mut world = app.world();
    let Some(job) = world.jobs.get_mut(&id) else {
        return refuse(StatusCode::NOT_FOUND, "no such job");
    };
    let completed = job.state(now_ms) == State::Ended(Outcome::Completed);
    match (outcome, completed) {
        (Outcome::Completed, _) if job.charge.is_none() => {
            return refuse(
                StatusCode::CONFLICT,
                "this job was made to end without a result",
            );
        }
        (Outcome::Failed(_), true) => return refuse(StatusCode::CONFLICT, "the job has completed"),
        // A completed job that expires was billed all the same.
        (Outcome::Expired, true) => job.life_ms = now_ms.saturating_sub(job.ready_ms),
        _ => {
            job.outcome = outcome;
            job.ready_ms = job.ready_ms.min(now_ms);
        }
    }
    let withdrawn = (outcome != Outcome::Completed && !completed)
        .then(|| job.charge.take())
        .flatten();
    let described = job.describe(now_ms);
    if let Some(charge) = withdrawn {
        world.ledger.withdraw(charge);
    }
    ok(&described)
}

async fn requests(Shared(app): Shared<Arc<App>>, Query(filter): Query<Filter>) -> Response {
    let world = app.world();
    let items: Vec<_> = world
        .journal
        .entries()
        .filter(|entry| entry.seq > filter.after)
        .filter(|entry| filter.fits(entry.provider.as_deref(), entry.account.as_deref()))
        .take(filter.limit.unwrap_or(200).min(PAGE))
        .collect();
    ok(&json!({"items": items, "dropped": world.journal.dropped}))
}

async fn charges(Shared(app): Shared<Arc<App>>, Query(filter): Query<Filter>) -> Response {
    let world = app.world();
    let items: Vec<_> = world
        .ledger
        .billed()
        .filter(|charge| filter.fits(Some(&charge.provider), Some(&charge.account)))
        .collect();
    ok(&json!({"items": items, "dropped": world.ledger.dropped}))
}

async fn duplicates(Shared(app): Shared<Arc<App>>, Query(filter): Query<Filter>) -> Response {
    let items = app.world().ledger.duplicates(filter.account.as_deref());
    ok(&json!({"items": items}))
}

async fn violations(Shared(app): Shared<Arc<App>>, Query(filter): Query<Filter>) -> Response {
    let world = app.world();
    let items: Vec<_> = world
        .journal
        .violations()
        .filter(|found| filter.fits(found.provider.as_deref(), found.account.as_deref()))
        .collect();
    ok(&json!(items))
}

async fn scenarios() -> Response {
    ok(&json!({"items": crate::scenario::spellings()}))
}

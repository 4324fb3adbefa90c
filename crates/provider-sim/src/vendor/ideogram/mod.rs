//! Ideogram's API version 2: submit, poll, links that end after a day, quotes.
//!
//! In scope: `POST /v2/image/generate/{model}` with JSON, asynchronous and not, `?dry_run=true`,
//! `GET /v2/generations/{id}`. Not in scope: versions 1 and legacy, source images, webhook delivery.

mod models;
mod price;
mod rules;

use crate::call::{Answer, Call};
use crate::clock::timestamp_seconds;
use crate::contract;
use crate::fault::{self, Refusal, Refused};
use crate::job::{Job, Outcome, State};
use crate::journal::ViolationKind;
use crate::picture::Format;
use crate::scenario::{Key, Scenario, Token};
use crate::vendor::Vendor;
use crate::world::{Phase, World};
use axum::http::Method;
use models::Model;
use rules::Request;
use serde_json::{Map, Value, json};

/// Links and generations live a day.
const LIFE_MS: u64 = 86_400_000;

/// Largest body of a call.
const MAX_BODY_BYTES: usize = 10 << 20;

/// Answers one call.
pub(super) fn answer(call: &mut Call, world: &mut World) -> Answer {
    let Some(key) = call.header("api-key").and_then(Key::parse) else {
        return refuse(&Refusal::Auth, 0);
    };
    call.account = Some(key.account.clone());
    let path = call.path.clone();
    if let Some(name) = path.strip_prefix("/v2/image/generate/") {
        return match (call.method == Method::POST, Model::from_name(name)) {
            (false, _) => method_not_allowed(),
            (true, None) => error(404, &format!("model '{name}' not found")),
            (true, Some(model)) => generate(call, world, &key, model),
        };
    }
    if let Some(id) = path.strip_prefix("/v2/generations/") {
        return if call.method == Method::GET {
            status(call, world, &key, id)
        } else {
            method_not_allowed()
        };
    }
    error(404, "not found")
}

fn error(status: u16, text: &str) -> Answer {
    Answer::json(status, &json!({"error": text}))
}

fn method_not_allowed() -> Answer {
    error(405, "method not allowed")
}

/// A refusal in the vendor's words; `limit` is the account's number of images in flight.
fn refuse(refusal: &Refusal, limit: u32) -> Answer {
    let rejected = |status: u16, text: &str, reason: &str| {
        Answer::json(status, &json!({"error": text, "reject_reason": reason}))
    };
    match refusal {
        Refusal::Throttled(wait) => wait.tell(Answer::json(
            429,
            &json!({"error": "too many requests", "reject_reason": null}),
        )),
        Refusal::InFlight => Answer::json(
            429,
            &json!({
                "error": "too many images in progress", "reject_reason": "inflight_limit",
                "max_inflight_requests": limit, "task_completion_speed": null,
            }),
        ),
        Refusal::Quota(reason) if reason == "daily_limit" => {
            rejected(429, "the daily limit is used up", reason)
        }
        Refusal::Quota(reason) => rejected(402, "the balance or plan does not allow this", reason),
        Refusal::Auth => error(401, "missing or invalid API key"),
        Refusal::Forbidden => error(403, "no access to this endpoint or model"),
        Refusal::Unsafe => error(422, "the prompt failed the safety check"),
        Refusal::Internal => error(500, "internal server error"),
        Refusal::Unavailable => error(503, "service unavailable"),
        Refusal::Overloaded => error(529, "overloaded"),
        Refusal::NotFound => error(404, "generation not found"),
    }
}

fn refused(tokens: &[Token], call: &Call, limit: u32) -> Option<Answer> {
    Some(match fault::refused(tokens, call.now_ms)? {
        Refused::ByVendor(refusal) => refuse(&refusal, limit),
        Refused::OnTheWay(answer) => answer,
    })
}

/// `POST /v2/image/generate/{model}`
///
/// 1. Content type and JSON: 400, size: 413. 2. Fields and rules: 400. 3. `dry_run`: 200 with a quote.
/// 4. Scenario: unknown 400, refusals. 5. Credit: 402. 6. Images in flight: 429. 7. Job and charge: 200.
fn generate(call: &mut Call, world: &mut World, key: &Key, model: &'static Model) -> Answer {
    // 1
    if call.body.len() > MAX_BODY_BYTES {
        return error(413, "the request is too large");
    }
    if !call.is_json() {
        let kind = call.header("content-type").unwrap_or("none").to_owned();
        call.violate(ViolationKind::WrongContentType, kind);
        return error(
            400,
            "content type must be application/json, or multipart/form-data with source images",
        );
    }
    let body: Map<String, Value> = match serde_json::from_slice(&call.body) {
        Ok(Value::Object(body)) => body,
        Ok(_) => return error(400, "the body must be an object"),
        Err(_) => return error(400, "the body is not valid JSON"),
    };
    // 2
    for name in contract::unknown(&body, &[models::COMMON, model.fields]) {
        call.violate(ViolationKind::UnknownField, name);
    }
    let request = match rules::read(&body, model) {
        Ok(request) => request,
        Err(fault) => return error(400, &fault.to_string()),
    };
    let usd_micros = price::usd_micros(model, &request) * u64::from(request.images);
    let account = key.account.clone();
    let limit = world.account(Vendor::Ideogram, &account).limits.in_flight;
    // 3
    match call.query("dry_run").as_deref() {
        None | Some("false") => {}
        Some("true") => {
            let tokens = world.resolve_free(call, Phase::Quote, &account, &key.tokens);
            let quote = Answer::json(200, &price::quote(model, &request, usd_micros));
            return refused(&tokens, call, limit).unwrap_or_else(|| fault::deliver(quote, &tokens));
        }
        Some(_) => return error(400, "'dry_run' must be true or false"),
    }
    // 4
    world.check_resend(call, &account);
    let tokens = match world.resolve(call, &account, &request.prompt, &key.tokens) {
        Ok(tokens) => tokens,
        Err(unknown) => return error(400, &unknown.to_string()),
    };
    if let Some(answer) = refused(&tokens, call, limit) {
        return answer;
    }
    // 5
    let credit = world
        .account(Vendor::Ideogram, &account)
        .limits
        .credit_usd_micros;
    if credit.is_some_and(|credit| credit < usd_micros) {
        return refuse(&Refusal::Quota("insufficient_funds".into()), limit);
    }
    // 6
    let busy = world.in_flight(Vendor::Ideogram, &account, call.now_ms);
    if busy + request.images > limit {
        return refuse(&Refusal::InFlight, limit);
    }
    // 7
    submitted(call, world, account, model, request, usd_micros, &tokens)
}

fn submitted(
    call: &Call,
    world: &mut World,
    account: String,
    model: &Model,
    request: Request,
    usd_micros: u64,
    tokens: &[Token],
) -> Answer {
    let has = |scenario| tokens.iter().find(|token| token.scenario == scenario);
    let pending_ms = has(Scenario::Queue)
        .and_then(|token| token.number)
        .unwrap_or(world.pending_ms);
    // A synchronous call on the virtual clock would wait for somebody who waits for it.
    let at_once = !request.asynchronous && call.virtual_clock;
    let pending_ms = if at_once { 0 } else { pending_ms };
    let outcome = match (
        has(Scenario::Failed),
        has(Scenario::Expired),
        has(Scenario::NotFound),
    ) {
        (Some(token), _, _) if token.is("safety") => Outcome::Failed("content_policy_violation"),
        (Some(_), _, _) => Outcome::Failed("generation_failed"),
        (_, Some(_), _) => Outcome::Expired,
        (_, _, Some(_)) => Outcome::Lost,
        _ => Outcome::Completed,
    };
    let deprecated = has(Scenario::Deprecated).is_some();
    let job = Job {
        id: world.next_job_id(),
        vendor: Vendor::Ideogram,
        account,
        model: model.name.to_owned(),
        seed: request
            .seed
            .unwrap_or_else(|| world.open_seed(&call.fingerprint)),
        prompt: request.prompt,
        images: request.images,
        width: request.width,
        height: request.height,
        format: Format::Png,
        quality: 90,
        transparent: model.transparent,
        created_ms: call.now_ms,
        ready_ms: call.now_ms + pending_ms,
        outcome,
        life_ms: LIFE_MS,
        usd_micros,
        charge: None,
        request_id: call.request_id.clone(),
        tokens: tokens.to_vec(),
        polls: 0,
        told_pending_ms: None,
        fetches: std::collections::HashMap::new(),
    };
    let job = world.accept(call, job);
    let mut body =
        json!({"generation_id": job.id, "generation_kind": "sampling", "seed": job.seed});
    let mut answer = match (request.asynchronous, job.outcome) {
        (true, _) => Answer::json(200, &noticed(body, deprecated)),
        (false, Outcome::Completed) => {
            body["data"] = data(&job, call);
            Answer::json(200, &noticed(body, deprecated))
        }
        (false, Outcome::Failed("content_policy_violation")) => refuse(&Refusal::Unsafe, 0),
        (false, _) => refuse(&Refusal::Internal, 0),
    };
    if !request.asynchronous {
        answer.delay_ms = pending_ms;
    }
    if deprecated {
        answer = answer
            .with("deprecation", "@1795996800")
            .with("link", "</v3/image/generate>; rel=\"successor-version\"");
    }
    answer.charge = job.charge;
    fault::deliver(answer, tokens)
}

fn noticed(mut body: Value, deprecated: bool) -> Value {
    if deprecated {
        body["notice"] =
            json!("this endpoint is deprecated; see the Link header for its successor");
    }
    body
}

/// The pictures of a finished job as the vendor lists them.
fn data(job: &Job, call: &Call) -> Value {
    let expired = job.token(Scenario::ImgExpired).is_some();
    let ends_s = if expired {
        (job.created_ms / 1000).saturating_sub(1)
    } else {
        job.ends_ms() / 1000
    };
    (0..job.images)
        .map(|index| {
            let withheld = job.withheld(index);
            let path = format!("/api/images/ephemeral/{}-{index}.png", job.id);
            // Both forms of "no link" are the vendor's.
            let url = match (withheld, index % 2) {
                (true, 0) => Value::Null,
                (true, _) => json!(""),
                (false, _) => json!(call.links.signed(&path, ends_s)),
            };
            json!({
                "object_type": "image.generation", "url": url, "prompt": job.prompt,
                "resolution": format!("{}x{}", job.width, job.height),
                "seed": job.seed_of(index), "is_image_safe": !withheld,
            })
        })
        .collect()
}

/// `GET /v2/generations/{id}`
///
/// 1. Polls of the account: 429. 2. Queued faults and refusals of the key. 3. The job: 404.
/// 4. The job's own faults while polling. 5. Its state: 200, or 404 once it is forgotten.
fn status(call: &mut Call, world: &mut World, key: &Key, id: &str) -> Answer {
    let now_ms = call.now_ms;
    // 1
    let account = world.account(Vendor::Ideogram, &key.account);
    let limit = account.limits.polls_per_10s;
    let taken = account.polls.take(now_ms, 10_000, limit);
    if !taken.allowed {
        let wait = fault::Wait::Seconds(taken.reset_ms.div_ceil(1000));
        return refuse(&Refusal::Throttled(wait), 0);
    }
    // 2
    let tokens = world.resolve_free(call, Phase::Status, &key.account, &key.tokens);
    let tokens = fault::while_polling(&tokens);
    let gap_ms = world.min_poll_gap_ms;
    let known = world
        .jobs
        .get_mut(id)
        .filter(|job| job.vendor == Vendor::Ideogram && job.account == key.account);
    if let Some(answer) = refused(&tokens, call, 0) {
        if let Some(job) = known {
            job.told_pending_ms = None;
        }
        return answer;
    }
    // 3
    let Some(job) = known else {
        return refuse(&Refusal::NotFound, 0);
    };
    if let Some(last_ms) = job.told_pending_ms.take()
        && now_ms.saturating_sub(last_ms) < gap_ms
    {
        call.violate(
            ViolationKind::PolledTooFast,
            format!("{} ms after the last answer", now_ms - last_ms),
        );
    }
    // 4
    job.polls += 1;
    let own: Vec<Token> = job
        .tokens
        .iter()
        .filter(|token| matches!(token.scenario, Scenario::Poll429 | Scenario::Poll500))
        .filter(|token| token.first.is_none_or(|first| job.polls <= first))
        .cloned()
        .collect();
    if let Some(answer) = refused(&fault::while_polling(&own), call, 0) {
        call.scenario = crate::world::label(&own);
        return answer;
    }
    // 5
    let created = timestamp_seconds(job.created_ms);
    let answer = match job.state(now_ms) {
        State::Pending => {
            job.told_pending_ms = Some(now_ms);
            json!({"generation_id": job.id, "status": "pending", "created": created})
        }
        State::Ended(Outcome::Failed(reason)) => json!({
            "generation_id": job.id, "status": "failed", "created": created, "failure_reason": reason,
        }),
        State::Ended(Outcome::Completed) => json!({
            "generation_id": job.id, "status": "completed", "created": created, "response_type": "url",
            "usage_cost_usd_micros": job.usd_micros, "data": data(job, call),
        }),
        State::Ended(Outcome::Expired | Outcome::Lost) => return refuse(&Refusal::NotFound, 0),
    };
    let mut answer = Answer::json(200, &answer);
    if tokens.iter().any(|token| token.scenario == Scenario::Huge) {
        answer.change(|body| {
            let mut padded = body.to_vec();
            padded.resize(50 << 20, b' ');
            padded.into()
        });
    }
    fault::deliver(fault::disguise(answer, &tokens), &tokens)
}

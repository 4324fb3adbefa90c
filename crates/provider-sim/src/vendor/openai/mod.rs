//! OpenAI's image API: synchronous, pictures as base64 in JSON, limits told in headers.
//!
//! In scope: `POST /images/generations`, `GET /models`. Not in scope: streaming, edits, text.

mod models;
mod rules;

use crate::call::{Answer, Call, Payload};
use crate::contract::{self, Fault, Problem};
use crate::fault::{self, Refusal, Refused};
use crate::job::{Job, Outcome};
use crate::journal::ViolationKind;
use crate::picture::PictureError;
use crate::scenario::{Key, Scenario, Token};
use crate::vendor::Vendor;
use crate::world::{Phase, World};
use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use models::Usage;
use rules::Request;
use serde_json::{Value, json};

/// Links of the older models live an hour.
const LIFE_MS: u64 = 3_600_000;

/// Answers one call.
pub(super) fn answer(call: &mut Call, world: &mut World) -> Answer {
    let bearer = call
        .header("authorization")
        .and_then(|value| value.strip_prefix("Bearer "));
    let Some(bearer) = bearer else {
        return error(
            401,
            "You did not provide an API key.",
            "invalid_request_error",
            None,
            None,
        );
    };
    let Some(key) = Key::parse(bearer) else {
        let shown = crate::journal::masked(bearer);
        return incorrect_key(&shown);
    };
    call.account = Some(key.account.clone());
    let path = call.path.clone();
    let answer = match (path.as_str(), &call.method) {
        ("/images/generations", &Method::POST) => generate(call, world, &key),
        ("/models", &Method::GET) => list_models(call, world, &key),
        ("/images/generations" | "/models", method) => {
            let text = format!("Not allowed to {method} on this path.");
            error(
                405,
                &text,
                "invalid_request_error",
                None,
                Some("method_not_supported"),
            )
        }
        (path, method) => {
            let text = format!("Invalid URL ({method} {path})");
            error(404, &text, "invalid_request_error", None, None)
        }
    };
    let id = call.fingerprint.get(7..39).unwrap_or_default().to_owned();
    answer.with("x-request-id", format!("req_{id}"))
}

fn error(
    status: u16,
    message: &str,
    kind: &str,
    param: Option<&str>,
    code: Option<&str>,
) -> Answer {
    let body = json!({"error": {"message": message, "type": kind, "param": param, "code": code}});
    Answer::json(status, &body)
}

fn incorrect_key(shown: &str) -> Answer {
    let text = format!("Incorrect API key provided: {shown}.");
    error(
        401,
        &text,
        "invalid_request_error",
        None,
        Some("invalid_api_key"),
    )
}

/// A body that breaks the contract, in the vendor's words.
fn invalid(fault: &Fault) -> Answer {
    let field = fault.field.as_str();
    let (message, code) = match &fault.problem {
        Problem::Unknown => (
            format!("Unknown parameter: '{field}'."),
            "unknown_parameter",
        ),
        Problem::Missing => (
            format!("Missing required parameter: '{field}'."),
            "missing_required_parameter",
        ),
        Problem::Type(due) => (
            format!("Invalid type for '{field}': expected {due}."),
            "invalid_type",
        ),
        Problem::Value(allowed) => (
            format!("Invalid value for '{field}'. Supported values are: {allowed}."),
            "invalid_value",
        ),
        Problem::TooShort(min) => (
            format!("Invalid '{field}': expected at least {min} characters."),
            "string_below_min_length",
        ),
        Problem::TooLong(max) => (
            format!("Invalid '{field}': expected at most {max} characters."),
            "string_above_max_length",
        ),
        Problem::TooSmall(min) => (
            format!("Invalid '{field}': expected a value >= {min}."),
            "integer_below_min_value",
        ),
        Problem::TooLarge(max) => (
            format!("Invalid '{field}': expected a value <= {max}."),
            "integer_above_max_value",
        ),
        Problem::Rule(text) => (text.clone(), "invalid_value"),
    };
    error(
        400,
        &message,
        "invalid_request_error",
        Some(field),
        Some(code),
    )
}

fn refuse(refusal: &Refusal) -> Answer {
    let request = "invalid_request_error";
    match refusal {
        Refusal::Throttled(wait) => {
            let text = "Rate limit reached for images per minute.";
            wait.tell(error(
                429,
                text,
                "requests",
                None,
                Some("rate_limit_exceeded"),
            ))
        }
        Refusal::Quota(_) | Refusal::InFlight => {
            let text =
                "You exceeded your current quota, please check your plan and billing details.";
            error(
                429,
                text,
                "insufficient_quota",
                None,
                Some("insufficient_quota"),
            )
            .with("x-should-retry", "false")
        }
        Refusal::Auth => incorrect_key("***"),
        Refusal::Forbidden => {
            let text = "The project does not have access to this model.";
            error(403, text, request, None, Some("model_not_found"))
        }
        Refusal::Unsafe => {
            let text = "The request was rejected by the safety system.";
            error(
                400,
                text,
                "image_generation_user_error",
                None,
                Some("moderation_blocked"),
            )
        }
        Refusal::Internal => error(500, "The server had an error.", "server_error", None, None),
        Refusal::Unavailable => error(
            503,
            "The engine is currently unavailable.",
            "server_error",
            None,
            None,
        ),
        Refusal::Overloaded => error(
            529,
            "The engine is overloaded.",
            "server_error",
            None,
            Some("overloaded"),
        ),
        Refusal::NotFound => error(404, "Not found.", request, None, None),
    }
}

fn refused(tokens: &[Token], now_ms: u64) -> Option<Answer> {
    Some(match fault::refused(tokens, now_ms)? {
        Refused::ByVendor(refusal) => refuse(&refusal),
        Refused::OnTheWay(answer) => answer,
    })
}

fn list_models(call: &mut Call, world: &mut World, key: &Key) -> Answer {
    let tokens = world.resolve_free(call, Phase::Probe, &key.account, &key.tokens);
    refused(&tokens, call.now_ms)
        .unwrap_or_else(|| fault::deliver(Answer::json(200, &models::list()), &tokens))
}

/// `POST /images/generations`
///
/// 1. Content type and JSON: 400. 2. Fields and rules: 400, unknown model: 404. 3. Scenario: unknown 400,
///    refusals. 4. Requests of the minute: 429; credit: 429. 5. Job and charge: 200.
fn generate(call: &mut Call, world: &mut World, key: &Key) -> Answer {
    // 1
    if !call.is_json() {
        let kind = call.header("content-type").unwrap_or("none").to_owned();
        call.violate(ViolationKind::WrongContentType, kind);
        let text = "Unsupported content type; use 'application/json'.";
        return error(
            400,
            text,
            "invalid_request_error",
            None,
            Some("unsupported_content_type"),
        );
    }
    let Ok(Value::Object(body)) = serde_json::from_slice(&call.body) else {
        let text = "We could not parse the JSON body of your request.";
        return error(400, text, "invalid_request_error", None, None);
    };
    // 2
    for name in contract::unknown(&body, &[rules::FIELDS]) {
        call.violate(ViolationKind::UnknownField, name);
    }
    let request = match rules::read(&body) {
        Ok(request) => request,
        Err(rules::Wrong::Model(name)) => {
            let text =
                format!("The model '{name}' does not exist or you do not have access to it.");
            return error(
                404,
                &text,
                "invalid_request_error",
                Some("model"),
                Some("model_not_found"),
            );
        }
        Err(rules::Wrong::Field(fault)) => return invalid(&fault),
    };
    // 3
    let account = key.account.clone();
    world.check_resend(call, &account);
    let tokens = match world.resolve(call, &account, &request.prompt, &key.tokens) {
        Ok(tokens) => tokens,
        Err(unknown) => return invalid(&Fault::rule("prompt", unknown.to_string())),
    };
    let (taken, limit) = world.take_request(Vendor::OpenAi, &account, call.now_ms);
    let told = |answer: Answer| {
        answer
            .with("x-ratelimit-limit-requests", limit.to_string())
            .with(
                "x-ratelimit-remaining-requests",
                taken.remaining.to_string(),
            )
            .with(
                "x-ratelimit-reset-requests",
                format!("{}ms", taken.reset_ms),
            )
            .with(
                "x-ratelimit-limit-tokens",
                (u64::from(limit) * 20_000).to_string(),
            )
            .with(
                "x-ratelimit-remaining-tokens",
                (u64::from(taken.remaining) * 20_000).to_string(),
            )
            .with("x-ratelimit-reset-tokens", format!("{}ms", taken.reset_ms))
    };
    if let Some(answer) = refused(&tokens, call.now_ms) {
        return told(answer);
    }
    if tokens
        .iter()
        .any(|token| token.scenario == Scenario::Unsafe)
    {
        // One answer for all pictures: the output filter refuses the whole request, unbilled.
        return told(refuse(&Refusal::Unsafe));
    }
    // 4
    if !taken.allowed {
        let wait = fault::Wait::Seconds(taken.reset_ms.div_ceil(1000));
        return told(
            refuse(&Refusal::Throttled(wait)).with("retry-after-ms", taken.reset_ms.to_string()),
        );
    }
    let usage = models::usage(&request);
    let credit = world
        .account(Vendor::OpenAi, &account)
        .limits
        .credit_usd_micros;
    if credit.is_some_and(|credit| credit < usage.usd_micros) {
        return told(refuse(&Refusal::Quota("insufficient_funds".into())));
    }
    // 5
    told(made(call, world, account, &request, usage, &tokens))
}

fn made(
    call: &Call,
    world: &mut World,
    account: String,
    request: &Request,
    usage: Usage,
    tokens: &[Token],
) -> Answer {
    let job = Job {
        id: world.next_job_id(),
        vendor: Vendor::OpenAi,
        account,
        model: request.model.to_owned(),
        seed: world.open_seed(&call.fingerprint),
        prompt: request.prompt.clone(),
        images: request.images,
        width: request.width,
        height: request.height,
        format: request.format,
        quality: request.compression,
        transparent: request.transparent,
        created_ms: call.now_ms,
        ready_ms: call.now_ms,
        outcome: Outcome::Completed,
        life_ms: LIFE_MS,
        usd_micros: usage.usd_micros,
        charge: None,
        request_id: call.request_id.clone(),
        tokens: tokens.to_vec(),
        polls: 0,
        told_pending_ms: None,
        fetches: std::collections::HashMap::new(),
    };
    let job = world.accept(call, job);
    let mut head = json!({"created": call.now_ms / 1000, "data": []});
    if request.is_gpt() {
        head["size"] = json!(format!("{}x{}", request.width, request.height));
        head["quality"] = json!(request.quality);
        head["background"] = json!(if request.transparent {
            "transparent"
        } else {
            "opaque"
        });
        head["output_format"] = json!(request.format.name());
        head["usage"] = usage.json();
    }
    let charge = job.charge;
    let mut answer = if request.link {
        let path = |index: u32| format!("/dalle/{}-{index}.png", job.id);
        let ends_s = job.ends_ms() / 1000;
        head["data"] = (0..job.images)
            .map(|index| json!({"url": call.links.signed(&path(index), ends_s)}))
            .collect();
        Answer::json(200, &head)
    } else {
        embedded(head, job, tokens.to_vec())
    };
    answer.charge = charge;
    fault::deliver(fault::disguise(answer, tokens), tokens)
}

/// An answer that holds the pictures as base64; they are drawn after the books are closed.
pub(super) fn embedded(head: Value, job: Job, tokens: Vec<Token>) -> Answer {
    let draw = move || -> Result<Bytes, PictureError> {
        let mut head = head;
        let mut items = Vec::new();
        for index in 0..job.images {
            let file = fault::spoil(job.picture(index, &tokens).draw()?, &tokens);
            items.push(json!({"b64_json": STANDARD.encode(file)}));
        }
        if let Some(object) = head.as_object_mut() {
            object.insert("data".to_owned(), Value::Array(items));
        }
        Ok(head.to_string().into())
    };
    Answer::new(200, "application/json", Payload::Later(Box::new(draw)))
}

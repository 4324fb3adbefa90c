//! A local server that speaks like OpenAI and takes nearly anything.
//!
//! In scope: `POST /images/generations` with links on its own host or base64, `GET /models`, the files.
//! Not in scope: strict checks; a key is read where there is one and never asked for.

use super::openai::embedded;
use crate::call::{Answer, Call};
use crate::contract;
use crate::fault::{self, Refusal, Refused};
use crate::files;
use crate::job::{Job, Outcome};
use crate::picture::Format;
use crate::scenario::{Key, Token};
use crate::vendor::Vendor;
use crate::world::{Phase, World};
use axum::http::Method;
use serde_json::{Value, json};

/// Files live until the server is restarted; a week stands for that.
const LIFE_MS: u64 = 7 * 86_400_000;

/// Answers one call.
pub(super) fn answer(call: &mut Call, world: &mut World) -> Answer {
    if let Some(file) = call.path.clone().strip_prefix("/generated-images/") {
        return files::serve_unsigned(call, world, file);
    }
    let bearer = call
        .header("authorization")
        .and_then(|value| value.strip_prefix("Bearer "));
    let key = bearer.and_then(Key::parse).unwrap_or(Key {
        account: "local".to_owned(),
        tokens: Vec::new(),
    });
    call.account = Some(key.account.clone());
    match (call.path.as_str(), &call.method) {
        ("/images/generations", &Method::POST) => generate(call, world, &key),
        ("/models", &Method::GET) => {
            let tokens = world.resolve_free(call, Phase::Probe, &key.account, &key.tokens);
            let list = json!({"object": "list", "data": [{"id": "sd-3.5", "object": "model"}]});
            refused(&tokens, call.now_ms)
                .unwrap_or_else(|| fault::deliver(Answer::json(200, &list), &tokens))
        }
        _ => error(404, "not found"),
    }
}

fn error(status: u16, text: &str) -> Answer {
    Answer::json(
        status,
        &json!({"error": {"code": status, "message": text, "type": ""}}),
    )
}

fn refused(tokens: &[Token], now_ms: u64) -> Option<Answer> {
    Some(match fault::refused(tokens, now_ms)? {
        Refused::OnTheWay(answer) => answer,
        Refused::ByVendor(refusal) => match refusal {
            Refusal::Throttled(wait) => wait.tell(error(429, "too many requests")),
            Refusal::InFlight | Refusal::Quota(_) => error(429, "no capacity"),
            Refusal::Auth => error(401, "invalid api key"),
            Refusal::Forbidden => error(403, "forbidden"),
            Refusal::Unsafe => error(400, "the prompt is not allowed"),
            Refusal::Internal => error(500, "could not load the model"),
            Refusal::Unavailable => error(503, "the model is loading"),
            Refusal::Overloaded => error(529, "overloaded"),
            Refusal::NotFound => error(404, "not found"),
        },
    })
}

fn generate(call: &mut Call, world: &mut World, key: &Key) -> Answer {
    let Ok(body) = serde_json::from_slice::<Value>(&call.body) else {
        return error(400, "failed parsing the request body");
    };
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let Some(prompt) = text("prompt").filter(|prompt| !prompt.is_empty()) else {
        return error(400, "no prompt");
    };
    let asked = contract::size(text("size").unwrap_or("512x512"));
    let Some((width, height)) =
        asked.filter(|(width, height)| (1..=4096).contains(width) && (1..=4096).contains(height))
    else {
        return error(400, "invalid value for 'size'");
    };
    world.check_resend(call, &key.account);
    let tokens = match world.resolve(call, &key.account, prompt, &key.tokens) {
        Ok(tokens) => tokens,
        Err(unknown) => return error(400, &unknown.to_string()),
    };
    if let Some(answer) = refused(&tokens, call.now_ms) {
        return answer;
    }
    let images = body
        .get("n")
        .and_then(Value::as_u64)
        .unwrap_or(1)
        .clamp(1, 10) as u32;
    let job = Job {
        id: world.next_job_id(),
        vendor: Vendor::LocalAi,
        account: key.account.clone(),
        model: text("model").unwrap_or("sd-3.5").to_owned(),
        seed: world.open_seed(&call.fingerprint),
        prompt: prompt.to_owned(),
        images,
        width,
        height,
        format: Format::Png,
        quality: 90,
        transparent: false,
        created_ms: call.now_ms,
        ready_ms: call.now_ms,
        outcome: Outcome::Completed,
        life_ms: LIFE_MS,
        usd_micros: 0,
        charge: None,
        request_id: call.request_id.clone(),
        tokens: tokens.clone(),
        polls: 0,
        told_pending_ms: None,
        fetches: std::collections::HashMap::new(),
    };
    let job = world.accept(call, job);
    let mut head = json!({"created": call.now_ms / 1000, "id": job.id, "data": []});
    let charge = job.charge;
    let mut answer = if text("response_format") == Some("b64_json") {
        embedded(head, job, tokens.clone())
    } else {
        let base = format!("{}{}", call.links.api, Vendor::LocalAi.prefix());
        head["data"] = (0..job.images)
            .map(|index| json!({"url": format!("{base}/generated-images/{}-{index}.png", job.id)}))
            .collect();
        Answer::json(200, &head)
    };
    answer.charge = charge;
    fault::deliver(answer, &tokens)
}

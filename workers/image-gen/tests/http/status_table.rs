//! The status table of `POST /generate`: one row a refusal that a caller can meet, each asked in the house's words and in
//! OpenAI's. A code that the description names and no row reaches fails here, and one that a row reaches and the
//! description does not name.

use crate::answer::refused;
use crate::status_rows::{LATER, ROWS, Row, SPECIFIED};
use crate::support::{INSTANCE, OTHER_PROJECT, PROJECT, Stage, request};
use crate::vendors::Act;
use api_types::{InstanceStatus, Scope};
use errors::{Code, Error};
use middleware::testing::TestResponse;
use platform::Clock;
use platform::fakes::When;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// A request that is ready to be sent.
struct Ask {
    stage: Stage,
    key: Option<String>,
    headers: Vec<(&'static str, String)>,
    content_type: &'static str,
    body: Sent,
}

enum Sent {
    /// In the house's words.
    Members(Value),
    /// As it stands.
    Raw(Vec<u8>),
}

#[derive(Clone, Copy, PartialEq)]
enum Words {
    Ours,
    OpenAi,
}

impl Words {
    const fn path(self) -> &'static str {
        match self {
            Self::Ours => "/generate",
            Self::OpenAi => "/v1/images/generations",
        }
    }

    fn body(self, members: &Value) -> Value {
        if self == Self::Ours {
            return members.clone();
        }
        let (mut theirs, mut ours) = (Map::new(), Map::new());
        for (name, value) in members.as_object().unwrap() {
            let theirs_too = ["prompt", "model", "n", "size", "sise"].contains(&name.as_str());
            let place = if theirs_too { &mut theirs } else { &mut ours };
            place.insert(name.clone(), value.clone());
        }
        theirs.insert("switchyard".to_owned(), Value::Object(ours));
        Value::Object(theirs)
    }
}

impl Ask {
    fn new(body: Value) -> Self {
        let stage = Stage::new();
        Self {
            key: Some(stage.key.clone()),
            stage,
            headers: Vec::new(),
            content_type: "application/json",
            body: Sent::Members(body),
        }
    }

    fn raw(body: &[u8]) -> Self {
        let mut ask = Self::new(Value::Null);
        ask.body = Sent::Raw(body.to_vec());
        ask
    }

    /// With one member changed.
    fn with(name: &str, value: Value) -> Self {
        let mut body = request("ideogram");
        body[name] = value;
        Self::new(body)
    }

    fn key(mut self, key: Option<String>) -> Self {
        self.key = key;
        self
    }

    /// As a caller whom config-service refuses.
    fn refused(error: Error) -> Self {
        let mut ask = Self::new(request("ideogram"));
        ask.key = Some(ask.stage.refused_key(error));
        ask
    }

    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    fn act(self, act: Act) -> Self {
        self.stage.vendors.act([act]);
        self
    }

    fn faulty(self, target: &str) -> Self {
        let faults = &self.stage.ports.world.faults;
        faults.fail_every(target, When::Before);
        self
    }

    async fn send(&self, words: Words) -> TestResponse {
        let (app, _) = self.stage.app();
        let mut request = app.post(words.path());
        if let Some(key) = &self.key {
            request = request.key(key);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let body = match &self.body {
            Sent::Members(members) => words.body(members).to_string().into_bytes(),
            Sent::Raw(bytes) => bytes.clone(),
        };
        let response = request.text(self.content_type, body).send().await;
        self.stage.ports.background.drain().await;
        response
    }
}

fn refusal(status: u16, body: Value) -> Act {
    Act::Refuse(status, body)
}

fn auth_failed(reason: &str) -> Error {
    Error::new(Code::AuthFailed, "The key is not valid.").with_detail("reason", reason)
}

/// The request of that row, with all that must have happened before it.
async fn ask(case: &str, words: Words) -> Ask {
    let plain = || Ask::new(request("ideogram"));
    let key = "sy_4fGh7kQ2mZ0a_3AHOVcjqx4BIPWdkry5CJQXelsz6DKRYfmt07ELSZgn0akblb";
    match case {
        "no key" => plain().key(None),
        "a malformed key" => plain().key(Some("sy_nonsense".to_owned())),
        "a wrong key" => plain().key(Some(key.to_owned())),
        "an expired key" => Ask::refused(auth_failed("expired")),
        "a revoked key" => Ask::refused(auth_failed("revoked")),
        "too many wrong keys" => {
            Ask::refused(Error::new(Code::TooManyAuthFailures, "Wait.").with_retry_after_ms(60_000))
        }
        "no access to the instance" => {
            Ask::refused(Error::new(Code::Forbidden, "There is no access."))
        }
        "a narrow key" => {
            let ask = plain();
            let narrow = ask
                .stage
                .further_key(|auth| auth.permissions = vec![Scope::ImagesRead]);
            ask.key(Some(narrow))
        }
        "a foreign instance" => plain().header("x-instance-id", "elsewhere"),
        "a foreign project" => Ask::refused(Error::not_found("project")),
        "no instance" => Ask::refused(Error::new(Code::InstanceRequired, "Which one?")),
        "two instances" => match words {
            Words::Ours => {
                Ask::with("instance_id", json!("development")).header("x-instance-id", INSTANCE)
            }
            // In their words only headers name an instance.
            Words::OpenAi => Ask::refused(Error::new(Code::ConflictingInstance, "Which one?")),
        },
        "another deployment" => Ask::refused(Error::new(Code::InstanceMismatch, "Not here.")),
        "two projects" => match words {
            Words::Ours => {
                Ask::with("project_id", json!(OTHER_PROJECT)).header("x-project-id", PROJECT)
            }
            Words::OpenAi => Ask::refused(Error::new(Code::ProjectMismatch, "Which one?")),
        },
        "a paused instance" | "a deploying instance" => {
            let ask = plain();
            ask.stage.set_status(if case == "a paused instance" {
                InstanceStatus::Paused
            } else {
                InstanceStatus::Deploying
            });
            ask
        }
        _ => body(case).await,
    }
}

async fn body(case: &str) -> Ask {
    let canary = format!("sk-{}", "canary0123456789abcdef");
    match case {
        "another content type" => {
            let mut ask = Ask::raw(b"a cat");
            ask.content_type = "text/plain";
            ask
        }
        "over the cap" => Ask::with("prompt", json!("x".repeat(1_100_000))),
        "cut JSON" => Ask::raw(b"{\"prompt\":"),
        "text after the body" => Ask::raw(b"{\"prompt\":\"a\"} x"),
        "not UTF-8" => Ask::raw(b"{\"prompt\":\"\xff\xfe\"}"),
        "33 levels" => {
            Ask::raw(format!("{{\"a\":{}{}}}", "[".repeat(32), "]".repeat(32)).as_bytes())
        }
        "a member twice" => Ask::raw(b"{\"prompt\":\"a\",\"prompt\":\"b\"}"),
        "an unknown member" => Ask::with("sise", json!("1024x1024")),
        "dry_run" => Ask::with("dry_run", json!(true)),
        "priority" => Ask::with("priority", json!(3)),
        "webhook" => Ask::with("webhook", json!({"url": "https://a.example"})),
        "on_limit queue" => Ask::with("on_limit", json!("queue")),
        "no prompt" => {
            let mut body = request("ideogram");
            body.as_object_mut().unwrap().remove("prompt");
            Ask::new(body)
        }
        "an empty prompt" => Ask::with("prompt", json!("")),
        "a blank prompt" => Ask::with("prompt", json!(" \n")),
        "an oversized prompt" => Ask::with("prompt", json!("x".repeat(32_001))),
        "NUL in the prompt" => Ask::with("prompt", json!("a\u{0}b")),
        "a key in the prompt" => Ask::with("prompt", json!(format!("a cat with {canary}"))),
        "a bearer token in the prompt" => Ask::with(
            "prompt",
            json!("a poster that says Bearer 8f14e45fceea167a5a36dedd4bea2543"),
        ),
        "a key as Idempotency-Key" => {
            Ask::new(request("ideogram")).header("idempotency-key", &canary)
        }
        "n as text" => Ask::with("n", json!("2")),
        "seed 0" => Ask::with("seed", json!(0)),
        "a size of nothing" => Ask::with("size", json!("0x10")),
        "size and aspect_ratio" => Ask::with("aspect_ratio", json!("1:1")),
        "an unknown provider in fallback" => Ask::with("fallback", json!(["nobody/x"])),
        "an unknown bucket" => Ask::with("bucket", json!("other")),
        "more images than may be in progress" => {
            let ask = Ask::with("n", json!(3));
            ask.stage.configure(|config| {
                config["rate_limits"]["ideogram"]["max_inflight_images"] = json!(2);
            });
            ask
        }
        "more tokens than a minute has" => {
            let ask = Ask::new(request("openai"));
            ask.stage.configure(|config| {
                config["rate_limits"]["openai"] = json!({"tpm": 100});
            });
            ask
        }
        "an unknown model" => Ask::with("model", json!("no-such-model")),
        "a prompt that no model takes" => Ask::with("prompt", json!("x".repeat(32_000))),
        "a model without a price" => Ask::with("model", json!("ideogram-4-transparent")),
        _ => before(case).await,
    }
}

/// Rows that other requests have come before.
async fn before(case: &str) -> Ask {
    let plain = || Ask::new(request("ideogram"));
    match case {
        "the same key at once" | "the same key, another body" => {
            let mut ask = plain().header("idempotency-key", "k");
            ask.stage.vendors.act([Act::Finish { polls: 6 }]);
            let mut first = request("ideogram");
            first["timeout_ms"] = json!(1_000);
            ask.body = Sent::Members(first.clone());
            ask
        }
        "a full window" | "all places taken" => {
            let ask = Ask::with("timeout_ms", json!(5_000)).act(Act::Finish { polls: 6 });
            ask.stage.configure(|config| {
                config["rate_limits"]["ideogram"] = if case == "a full window" {
                    json!({"rpm": 1})
                } else {
                    json!({"max_inflight_images": 1})
                };
            });
            ask
        }
        // The first one is taken for 488 tokens and uses 1,010: by itself that leaves room for nothing but less than 191.
        "a full window of tokens" => {
            let ask = Ask::new(request("openai"));
            ask.stage.configure(|config| {
                config["rate_limits"]["openai"] = json!({"tpm": 1_200});
            });
            ask
        }
        "after the provider's own limit" => plain().act(refusal(
            429,
            json!({"error": "slow", "reject_reason": "inflight_limit", "max_inflight_requests": 10}),
        )),
        "an open breaker" => {
            let ask = plain();
            ask.stage
                .configure(|config| config["routing"] = json!({"max_attempts": 1}));
            for _ in 0..5 {
                ask.stage.vendors.act([Act::Unreachable]);
                ask.stage.generate("ideogram").await;
                ask.stage.ports.world.clock.advance(31_000);
            }
            ask
        }
        "a parked job whose key is spoilt" => {
            let ask = Ask::new(request("openai"));
            ask.stage.vendors.act([Act::Bytes { delay_ms: 25_000 }]);
            ask.stage.generate("openai").await;
            ask.stage.pass(120_000).await;
            ask
        }
        _ => outcome(case),
    }
}

/// Rows that the provider, or a part of the platform, decides.
fn outcome(case: &str) -> Ask {
    let plain = || Ask::new(request("ideogram"));
    match case {
        "the provider's own limit" => plain().act(refusal(
            429,
            json!({"error": "slow", "reject_reason": "inflight_limit", "max_inflight_requests": 10}),
        )),
        "an unsafe prompt" => plain().act(refusal(422, json!({"error": "unsafe"}))),
        "all images withheld" => plain().act(Act::Withhold(vec![0])),
        "a wrong size, strictly" => {
            let ask = Ask::with("quality_check", json!("strict"));
            ask.stage.vendors.draw(640, 480);
            ask
        }
        "a blank picture, strictly" => {
            let ask = Ask::with("quality_check", json!("strict"));
            ask.stage.vendors.draw_nothing();
            ask
        }
        "called wrongly" => plain().act(refusal(400, json!({"error": "bad"}))),
        "a failed job" => plain().act(Act::Fail("model exploded")),
        "an unreachable provider" => plain().act(Act::Unreachable).act(Act::Unreachable),
        "a rejected provider key" => {
            let ask = plain();
            ask.stage.vendors.reject_keys(&["ideogram-secret"]);
            ask
        }
        "no access at the provider" => plain().act(refusal(403, json!({"error": "no access"}))),
        "no credit at the provider" => plain().act(refusal(
            402,
            json!({"error": "credit", "reject_reason": "insufficient_funds"}),
        )),
        "a file that is gone" => plain().act(Act::Gone),
        "a lost answer" => plain().act(Act::AcceptAndLose),
        "a refusing bucket" => plain().faulty("objects.put"),
        "a slow provider" => {
            Ask::with("timeout_ms", json!(5_000)).act(Act::Finish { polls: 6 })
        }
        "a silent provider" => plain().act(Act::AcceptAndHang),
        "no limiter" => plain().faulty("actors.acquire"),
        "no ledger for the claim" => {
            plain().header("idempotency-key", "k").faulty("database")
        }
        "no configuration" => {
            let ask = plain();
            ask.stage.set_config_service_down(true);
            ask
        }
        "a claim begun too late" => {
            let ask = Ask::with("timeout_ms", json!(900_000)).header("idempotency-key", "k");
            ask.stage.ports.world.faults.slow("database", 61_000);
            ask
        }
        case => panic!("no such row: {case}"),
    }
}

/// Sends it; the key of a parked job is spoilt while its caller waits and before the consumer takes it.
async fn first(case: &str, ask: &Ask, words: Words) -> TestResponse {
    if case != "a parked job whose key is spoilt" {
        return ask.send(words).await;
    }
    let stage = &ask.stage;
    let spoil = async {
        stage.ports.world.clock.sleep(100).await;
        stage.configure(|config| {
            config["providers"]["openai"]["base_url"] = json!("https://openai.evil.example");
        });
        stage.ports.world.clock.advance(6_000);
        stage.get("/v1/models").await;
        stage.settle_down().await;
    };
    tokio::join!(ask.send(words), spoil).0
}

/// What stands between the request of a row and the answer that the row is about.
async fn follow_up(
    case: &str,
    ask: &mut Ask,
    words: Words,
    response: TestResponse,
) -> TestResponse {
    match case {
        "the same key, another body" => {
            let mut other = request("ideogram");
            other["prompt"] = json!("a dog");
            ask.body = Sent::Members(other);
        }
        "the same key at once"
        | "a full window"
        | "a full window of tokens"
        | "all places taken"
        | "after the provider's own limit" => {}
        _ => return response,
    }
    ask.send(words).await
}

/// Status and code as that form says them.
fn spoken(words: Words, code: Code) -> (u16, &'static str) {
    match (words, code) {
        (Words::OpenAi, Code::AuthFailed) => (401, "invalid_api_key"),
        (Words::OpenAi, Code::RejectedBySafety) => (400, "moderation_blocked"),
        (_, code) => (code.status(), code.as_str()),
    }
}

/// The answer in OpenAI's shape.
fn refused_openai(case: &str, response: &TestResponse, code: Code, detail: &str) {
    let (status, word) = spoken(Words::OpenAi, code);
    let error = &response.json()["error"];
    assert_eq!(
        (response.status.as_u16(), error["code"].as_str()),
        (status, Some(word)),
        "{case}: {}",
        response.text()
    );
    assert!(
        error["message"].as_str().is_some_and(|it| !it.is_empty()),
        "{case}"
    );
    assert!(
        error["type"].as_str().is_some_and(|it| !it.is_empty()),
        "{case}"
    );
    // The packages read the request id from here.
    assert!(!response.header("x-request-id").is_empty(), "{case}");
    assert_eq!(
        response.header("x-should-retry"),
        code.retryable().to_string(),
        "{case}"
    );
    match detail.strip_prefix("field=") {
        Some(field) => {
            let param = error["param"].as_str().unwrap_or_default();
            assert_eq!(param.trim_start_matches("switchyard."), field, "{case}");
        }
        None => assert!(error.get("param").is_some(), "{case}"),
    }
}

fn has(details: &Value, detail: &str) -> bool {
    let (name, value) = detail.split_once('=').unwrap_or((detail, ""));
    match (name, &details[name]) {
        ("", _) => true,
        (_, Value::Null) => false,
        (_, found) if value.is_empty() => !found.is_null(),
        (_, Value::String(found)) => found == value,
        (_, found) => serde_json::from_str(value).is_ok_and(|value: Value| *found == value),
    }
}

#[tokio::test]
async fn every_row_is_answered_as_documented_in_both_shapes() {
    for words in [Words::Ours, Words::OpenAi] {
        for Row(case, code, detail, charged) in ROWS {
            let mut ask = Box::pin(ask(case, words)).await;
            let first = first(case, &ask, words).await;
            let response = Box::pin(follow_up(case, &mut ask, words, first)).await;
            if words == Words::Ours {
                let details = refused(&response, code.status(), *code);
                assert!(has(&details, detail), "{case}: {detail} in {details}");
            } else {
                refused_openai(case, &response, *code, detail);
            }
            // Whoever may repeat it is told when: computed, in whole seconds and exactly.
            let (seconds, exact) = (
                response.header("retry-after"),
                response.header("retry-after-ms"),
            );
            assert_eq!(seconds.is_empty(), !code.retryable(), "{case}");
            if code.retryable() {
                let exact: u64 = exact.parse().unwrap();
                assert_eq!(seconds, exact.div_ceil(1_000).to_string(), "{case}");
                assert!(exact > 0, "{case}");
            }
            let goes_on = detail == &"status_url";
            assert_eq!(!response.header("location").is_empty(), goes_on, "{case}");
            let parked = usize::from(*case == "a parked job whose key is spoilt");
            assert_eq!(
                ask.stage.vendors.charged().len(),
                charged + parked,
                "{case}"
            );
        }
    }
}

#[tokio::test]
async fn a_limited_request_passes_after_the_wait_that_it_was_told_and_not_before() {
    for case in [
        "a full window",
        "a full window of tokens",
        "after the provider's own limit",
    ] {
        let ask = Box::pin(ask(case, Words::Ours)).await;
        ask.send(Words::Ours).await;
        let limited = ask.send(Words::Ours).await;
        let wait_ms: u64 = limited.header("retry-after-ms").parse().unwrap();
        ask.stage.ports.world.clock.advance(wait_ms - 1);
        let early = ask.send(Words::Ours).await;
        assert_eq!(
            refused(&early, 429, Code::RateLimited)["reason"],
            limited.json()["details"]["reason"],
            "{case}"
        );
        assert_eq!(early.header("retry-after-ms"), "1", "{case}");
        ask.stage.ports.world.clock.advance(1);
        assert_eq!(ask.send(Words::Ours).await.status.as_u16(), 200, "{case}");
    }
}

#[tokio::test]
async fn the_table_the_description_and_the_rows_name_the_same_codes() {
    let stage = Stage::new();
    let (app, _) = stage.app();
    let document = app.get("/openapi.json").send().await.json();
    for words in [Words::Ours, Words::OpenAi] {
        let mut reached: BTreeSet<(u16, &str)> =
            ROWS.iter().map(|row| spoken(words, row.1)).collect();
        if words == Words::OpenAi {
            // `stream: true`, which the house's words do not have.
            reached.insert((400, "unsupported_parameter"));
        }
        let responses = &document["paths"][words.path()]["post"]["responses"];
        let mut described = BTreeSet::new();
        for (status, response) in responses.as_object().unwrap() {
            for code in response["x-codes"].as_array().into_iter().flatten() {
                described.insert((status.parse().unwrap(), code.as_str().unwrap()));
            }
        }
        assert_eq!(described, reached, "{}", words.path());
    }
    let reached: BTreeSet<&str> = ROWS.iter().map(|row| row.1.as_str()).collect();
    let later: BTreeSet<&str> = LATER.iter().map(|(code, _)| code.as_str()).collect();
    assert!(later.is_disjoint(&reached), "built by now: {later:?}");
    for code in SPECIFIED.split_whitespace() {
        assert!(
            reached.contains(code) || later.contains(code),
            "{code} has no row"
        );
    }
    let cases: BTreeSet<&str> = ROWS.iter().map(|row| row.0).collect();
    assert_eq!(cases.len(), ROWS.len(), "a row twice");
}

//! `POST /generate` that is refused before anything is sent: bodies, callers, limits, missing parts of the platform.

use crate::answer::{ok, refused};
use crate::support::{INSTANCE, Stage, request};
use crate::vendors::Act;
use api_types::{InstanceStatus, Scope};
use errors::Code;
use platform::fakes::When;
use serde_json::json;

#[tokio::test]
async fn bad_bodies_are_refused_by_name_and_cost_nothing() {
    let stage = Stage::new();
    for (body, code, field) in [
        (r#"{"prompt":"a","n":"2"}"#, Code::InvalidField, "n"),
        (r#"{"prompt":"a","n":0}"#, Code::InvalidField, "n"),
        (r#"{"prompt":"a","seed":0}"#, Code::InvalidField, "seed"),
        (
            r#"{"prompt":"a","size":"0x10"}"#,
            Code::InvalidField,
            "size",
        ),
        (
            r#"{"prompt":"a","size":"1x1","aspect_ratio":"1:1"}"#,
            Code::InvalidField,
            "aspect_ratio",
        ),
        (r#"{"prompt":""}"#, Code::InvalidField, "prompt"),
        (
            r#"{"prompt":"a","dry_run":true}"#,
            Code::UnknownField,
            "dry_run",
        ),
        (
            r#"{"prompt":"a","priority":3}"#,
            Code::UnknownField,
            "priority",
        ),
        (
            r#"{"prompt":"a","webhook":{"url":"https://a.example"}}"#,
            Code::UnknownField,
            "webhook",
        ),
        (
            r#"{"prompt":"a","on_limit":"queue"}"#,
            Code::InvalidRequest,
            "on_limit",
        ),
        (
            r#"{"prompt":"a","bucket":"other"}"#,
            Code::UnknownBucket,
            "bucket",
        ),
        (
            r#"{"prompt":"a","fallback":["nobody/x"]}"#,
            Code::InvalidField,
            "fallback",
        ),
    ] {
        let (app, _) = stage.app();
        let response = app
            .post("/generate")
            .key(&stage.key)
            .text("application/json", body)
            .send()
            .await;
        let details = refused(&response, code.status(), code);
        assert_eq!(details["field"], field, "{body}");
    }
    for (content_type, body, status, code) in [
        ("text/plain", "{}", 415, Code::UnsupportedMediaType),
        (
            "application/json",
            "{\"prompt\":\"a\"} x",
            400,
            Code::InvalidRequest,
        ),
        (
            "application/json",
            "{\"prompt\":\"a\",\"prompt\":\"b\"}",
            400,
            Code::InvalidField,
        ),
    ] {
        let (app, _) = stage.app();
        let response = app
            .post("/generate")
            .key(&stage.key)
            .text(content_type, body)
            .send()
            .await;
        assert_eq!(
            response.status.as_u16(),
            status,
            "{body} {}",
            response.text()
        );
        if code != Code::InvalidField {
            assert_eq!(response.outcome().1, code.as_str(), "{body}");
        }
    }
    let (app, _) = stage.app();
    let large = json!({"prompt": "x".repeat(1_100_000)});
    let response = app
        .post("/generate")
        .key(&stage.key)
        .json(&large)
        .send()
        .await;
    refused(&response, 413, Code::PayloadTooLarge);
    assert!(stage.vendors.charged().is_empty());
    assert!(stage.ports.actors.calls().is_empty());
    stage.ports.background.drain().await;
}

#[tokio::test]
async fn callers_without_the_right_are_refused_before_anything_is_asked() {
    let stage = Stage::new();
    let (app, _) = stage.app();
    let send = |key: String| {
        let app = app.clone();
        async move {
            app.post("/generate")
                .key(&key)
                .json(&request("ideogram"))
                .send()
                .await
        }
    };
    refused(&send("sy_nonsense".to_owned()).await, 401, Code::AuthFailed);
    let reader = stage.further_key(|auth| auth.permissions = vec![Scope::ImagesRead]);
    let details = refused(&send(reader).await, 403, Code::ScopeMissing);
    assert_eq!(details["scope"], "images:write");
    let response = stage
        .post_with(
            "/generate",
            request("ideogram"),
            &[("x-instance-id", "elsewhere")],
        )
        .await;
    refused(&response, 404, Code::NotFound);
    let mut asked = request("ideogram");
    asked["instance_id"] = json!("development");
    let response = stage
        .post_with("/generate", asked, &[("x-instance-id", INSTANCE)])
        .await;
    refused(&response, 400, Code::ConflictingInstance);
    stage.ports.world.clock.advance(6_000);
    stage.set_status(InstanceStatus::Paused);
    refused(&stage.generate("ideogram").await, 403, Code::InstancePaused);
    stage.ports.world.clock.advance(6_000);
    stage.set_status(InstanceStatus::Deploying);
    refused(
        &stage.generate("ideogram").await,
        409,
        Code::InstanceNotActive,
    );
    assert!(stage.ports.actors.calls().is_empty());
    stage.ports.background.drain().await;
}

#[tokio::test]
async fn no_candidate_says_why_each_was_passed_over() {
    let stage = Stage::new();
    let mut asked = request("ideogram");
    asked["model"] = json!("no-such-model");
    let details = refused(&stage.post("/generate", asked).await, 422, Code::NoRoute);
    assert!(
        details["skipped"]
            .as_array()
            .is_some_and(|skipped| !skipped.is_empty())
    );
    assert!(stage.ports.actors.calls().is_empty());
}

#[tokio::test]
async fn a_full_window_answers_429_with_the_computed_wait() {
    let stage = Stage::new();
    stage.configure(|config| config["rate_limits"]["openai"] = json!({"rpm": 1}));
    ok(&stage.generate("openai").await);
    let response = stage.generate("openai").await;
    let details = refused(&response, 429, Code::RateLimited);
    assert_eq!(details["source"], "own");
    assert_eq!(details["reason"], "requests");
    let wait: u64 = response.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(stage.vendors.charged().len(), 1);
    stage.ports.world.clock.advance(wait * 1_000);
    ok(&stage.generate("openai").await);
}

#[tokio::test]
async fn a_request_larger_than_the_limit_never_waits() {
    let stage = Stage::new();
    stage.configure(|config| config["rate_limits"]["ideogram"]["max_inflight_images"] = json!(2));
    let mut asked = request("ideogram");
    asked["n"] = json!(3);
    let details = refused(
        &stage.post("/generate", asked).await,
        400,
        Code::RequestExceedsLimit,
    );
    assert_eq!(details["value"], 2);
}

#[tokio::test]
async fn an_unreachable_limiter_fails_closed() {
    let stage = Stage::new();
    stage
        .ports
        .world
        .faults
        .fail_every("actors.acquire", When::Before);
    let response = stage.generate("ideogram").await;
    refused(&response, 503, Code::LimiterUnavailable);
    assert!(stage.vendors.charged().is_empty());
}

#[tokio::test]
async fn an_acquire_without_an_answer_leaves_no_job_behind() {
    let stage = Stage::new();
    stage
        .ports
        .world
        .faults
        .fail_every("actors.acquire", When::After);
    refused(
        &stage.generate("ideogram").await,
        503,
        Code::LimiterUnavailable,
    );
    stage.ports.world.faults.heal_all();
    stage.pass(3_600_000).await;
    assert!(stage.vendors.charged().is_empty());
    assert!(stage.rows("SELECT * FROM usage_logs").await.is_empty());
    assert!(
        stage
            .rows("SELECT * FROM jobs WHERE state <> 'cancelled'")
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn without_a_configuration_nothing_is_done() {
    let stage = Stage::new();
    stage.set_config_service_down(true);
    refused(
        &stage.generate("ideogram").await,
        503,
        Code::ConfigUnavailable,
    );
    assert!(stage.ports.actors.calls().is_empty());
}

/// From now on the key of `ideogram` cannot be opened: it was sealed for another host.
fn spoil_the_key(stage: &Stage) {
    stage.configure(|config| {
        config["providers"]["ideogram"]["base_url"] = json!("https://ideogram.evil.example");
    });
}

#[tokio::test]
async fn a_key_that_cannot_be_opened_is_no_key_and_is_not_sent_anywhere() {
    let stage = Stage::new();
    spoil_the_key(&stage);
    let response = stage.generate("ideogram").await;
    let details = refused(&response, 422, Code::NoRoute);
    let skipped = details["skipped"].as_array().unwrap();
    let own = skipped.iter().find(|it| it["provider"] == "ideogram");
    assert_eq!(own.unwrap()["reason"], "no_credentials");
    assert!(stage.ports.http.requests().is_empty());
    assert!(stage.ports.actors.calls().is_empty());
    stage.pass(3_600_000).await;
    assert!(stage.rows("SELECT * FROM usage_logs").await.is_empty());
}

#[tokio::test]
async fn a_key_that_cannot_be_opened_is_passed_over_for_the_next_candidate() {
    let stage = Stage::new();
    spoil_the_key(&stage);
    let mut asked = request("ideogram");
    asked["fallback"] = json!(["openai/gpt-image-2"]);
    asked["explain"] = json!(true);
    let body = ok(&stage.post("/generate", asked).await);
    assert_eq!(body["metadata"]["provider"], "openai");
    assert_eq!(body["attempts"], 1);
    let skipped = body["route"]["skipped"].as_array().unwrap();
    let own = skipped.iter().find(|it| it["provider"] == "ideogram");
    assert_eq!(own.unwrap()["reason"], "no_credentials");
    assert_eq!(stage.vendors.keys(), ["Bearer openai-secret"]);
    assert_eq!(stage.rows("SELECT * FROM usage_logs").await.len(), 0);
    stage.pass(5_000).await;
    assert_eq!(stage.rows("SELECT * FROM usage_logs").await.len(), 1);
}

#[tokio::test]
async fn requests_at_once_share_the_tokens_before_any_of_them_is_settled() {
    let stage = Stage::new();
    stage.configure(|config| config["rate_limits"]["openai"] = json!({"tpm": 1_200}));
    stage.vendors.act([
        Act::Bytes { delay_ms: 3_000 },
        Act::Bytes { delay_ms: 3_000 },
        Act::Bytes { delay_ms: 3_000 },
    ]);
    // 488 tokens each: two fit into 1,200.
    let asked = request("openai");
    let (app, _) = stage.app();
    let send = || app.post("/generate").key(&stage.key).json(&asked).send();
    let (first, second, third) = tokio::join!(send(), send(), send());
    stage.ports.background.drain().await;
    let all = [&first, &second, &third];
    let refusals: Vec<_> = all
        .iter()
        .filter(|response| response.status.as_u16() != 200)
        .collect();
    assert_eq!(refusals.len(), 1);
    let details = refused(refusals[0], 429, Code::RateLimited);
    assert_eq!(details["reason"], "tokens");
    assert_eq!(details["source"], "own");
    for response in all {
        assert_eq!(response.header("x-ratelimit-limit-tokens"), "1200");
        let reset: u64 = response.header("x-ratelimit-reset-tokens").parse().unwrap();
        assert!((1..=60).contains(&reset), "{reset}");
    }
    let mut left: Vec<u32> = all
        .iter()
        .map(|response| {
            let left = response.header("x-ratelimit-remaining-tokens");
            left.parse().unwrap()
        })
        .collect();
    left.sort_unstable();
    assert_eq!(left, [1_200 - 2 * 488, 1_200 - 2 * 488, 1_200 - 488]);
    assert_eq!(stage.vendors.charged().len(), 2);
}

#[tokio::test]
async fn what_the_provider_has_counted_replaces_the_estimate_and_silence_leaves_it() {
    let stage = Stage::new();
    stage.configure(|config| config["rate_limits"]["openai"] = json!({"tpm": 3_000}));
    let left = async || {
        let response = stage.generate("openai").await;
        let left = response.header("x-ratelimit-remaining-tokens");
        left.parse::<u32>().unwrap()
    };
    assert_eq!(left().await, 3_000 - 488);
    // It has reported 1,010.
    assert_eq!(left().await, 3_000 - 1_010 - 488);
    stage.ports.world.clock.advance(60_000);
    // An answer that breaks off reports nothing, and its tokens are used all the same.
    stage.vendors.act([Act::CutAnswer { before_end: 1 }]);
    assert_eq!(left().await, 3_000 - 488);
    assert_eq!(left().await, 3_000 - 2 * 488);
}

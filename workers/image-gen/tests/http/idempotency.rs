//! `Idempotency-Key`: one paid call, equal bodies, and claims that are given back.

use crate::answer::refused;
use crate::support::{Stage, request};
use crate::vendors::Act;
use errors::Code;
use middleware::testing::TestResponse;
use platform::fakes::When;
use serde_json::{Value, json};

async fn send(stage: &Stage, body: &Value, key: &str) -> TestResponse {
    stage
        .post_with("/generate", body.clone(), &[("idempotency-key", key)])
        .await
}

#[tokio::test]
async fn the_same_key_is_one_paid_call_and_equal_bodies() {
    let stage = Stage::new();
    let first = send(&stage, &request("ideogram"), "k").await;
    assert_eq!(first.status.as_u16(), 200, "{}", first.text());
    assert_eq!(first.header("idempotent-replayed"), "");
    for n in 0..50 {
        if n == 25 {
            stage.pass(2_000).await;
        }
        let again = send(&stage, &request("ideogram"), "k").await;
        assert_eq!(again.status.as_u16(), 200);
        assert_eq!(again.body, first.body);
        assert_eq!(again.header("idempotent-replayed"), "true");
        for name in ["job-id", "provider", "model", "attempts", "cost-usd-micros"] {
            let name = format!("x-switchyard-{name}");
            assert!(!first.header(&name).is_empty(), "{name}");
            assert_eq!(again.header(&name), first.header(&name), "{name}");
        }
        assert!(!again.header("x-switchyard-overhead-ms").is_empty());
        assert!(again.header("server-timing").contains("plan"));
    }
    assert_eq!(stage.vendors.charged().len(), 1);
}

#[tokio::test]
async fn a_claim_is_one_query_on_the_warm_path() {
    let stage = Stage::new();
    stage.generate("openai").await;
    let (app, ops) = stage.app();
    let asked = request("openai");
    let response = app
        .post("/generate")
        .key(&stage.key)
        .header("idempotency-key", "k")
        .json(&asked)
        .send()
        .await;
    assert_eq!(response.status.as_u16(), 200);
    assert_eq!((ops.count().d1_queries, ops.count().do_calls), (1, 2));
    stage.ports.background.drain().await;
}

#[tokio::test]
async fn a_request_that_took_too_long_to_begin_sends_nothing() {
    // Its claim may be taken over after two minutes, and then two would run under one key.
    let stage = Stage::new();
    stage.configure(|config| {
        let window = json!({"requests": 1, "per_ms": 3_600_000});
        config["rate_limits"]["ideogram"] = json!({"windows": [window]});
    });
    stage.generate("ideogram").await;
    let mut asked = request("ideogram");
    (asked["timeout_ms"], asked["fallback"]) = (json!(900_000), json!(["openai/gpt-image-2"]));
    stage.ports.world.faults.slow("database", 61_000);
    let response = send(&stage, &asked, "k").await;
    refused(&response, 503, Code::Overloaded);
    stage.ports.world.faults.heal_all();
    stage.pass(120_000).await;
    assert_eq!(stage.vendors.charged().len(), 1);
    let rows = stage.rows("SELECT * FROM idempotency_keys").await;
    assert!(rows.is_empty(), "the claim is given back");
}

#[tokio::test]
async fn another_body_or_route_is_another_matter() {
    let stage = Stage::new();
    let first = send(&stage, &request("ideogram"), "k").await;
    let mut other = request("ideogram");
    other["prompt"] = json!("a dog");
    let details = refused(
        &send(&stage, &other, "k").await,
        422,
        Code::IdempotencyMismatch,
    );
    assert_eq!(details["job_id"], first.header("x-switchyard-job-id"));
    let openai = stage
        .post_with(
            "/v1/images/generations",
            json!({"prompt": "a cat", "model": "gpt-image-2", "response_format": "url"}),
            &[("idempotency-key", "k")],
        )
        .await;
    assert_eq!(openai.status.as_u16(), 200, "{}", openai.text());
    assert_eq!(stage.vendors.charged().len(), 2);
    let reordered = json!({"timeout_ms": 60_000, "fallback": "none", "size": "1024x1024", "provider": "ideogram", "prompt": "a cat on a roof"});
    let again = send(&stage, &reordered, "k").await;
    assert_eq!(again.body, first.body);
}

#[tokio::test]
async fn while_the_first_request_runs_the_second_is_told_so() {
    let stage = Stage::new();
    stage.vendors.act([Act::Finish { polls: 6 }]);
    let mut asked = request("ideogram");
    asked["timeout_ms"] = json!(5_000);
    let first = send(&stage, &asked, "k").await;
    assert_eq!(first.status.as_u16(), 504);
    let response = send(&stage, &asked, "k").await;
    let details = refused(&response, 409, Code::IdempotencyInFlight);
    assert_eq!(details["job_id"], first.json()["details"]["job_id"]);
    assert_eq!(response.header("retry-after"), "1");
    stage.pass(60_000).await;
    let done = send(&stage, &asked, "k").await;
    assert_eq!(done.status.as_u16(), 200, "{}", done.text());
    assert_eq!(done.json()["request_id"], first.header("x-request-id"));
    assert_eq!(stage.vendors.charged().len(), 1);
}

#[tokio::test]
async fn a_failure_that_was_sent_is_replayed() {
    let stage = Stage::new();
    stage
        .vendors
        .act([Act::Refuse(422, json!({"error": "unsafe"}))]);
    let first = send(&stage, &request("ideogram"), "k").await;
    let details = refused(&first, 422, Code::RejectedBySafety);
    let again = send(&stage, &request("ideogram"), "k").await;
    assert_eq!(refused(&again, 422, Code::RejectedBySafety), details);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(stage.ports.http.requests().len(), 1);
}

#[tokio::test]
async fn answers_that_cost_nothing_give_the_key_back() {
    let stage = Stage::new();
    stage.configure(|config| config["rate_limits"]["openai"] = json!({"rpm": 1}));
    stage.generate("openai").await;
    refused(
        &send(&stage, &request("openai"), "k").await,
        429,
        Code::RateLimited,
    );
    stage.ports.world.clock.advance(61_000);
    let response = send(&stage, &request("openai"), "k").await;
    assert_eq!(response.status.as_u16(), 200, "{}", response.text());
    stage
        .ports
        .world
        .faults
        .fail_every("actors.acquire", When::Before);
    refused(
        &send(&stage, &request("ideogram"), "l").await,
        503,
        Code::LimiterUnavailable,
    );
    stage.ports.world.faults.heal_all();
    assert_eq!(
        send(&stage, &request("ideogram"), "l")
            .await
            .status
            .as_u16(),
        200
    );
    let mut none = request("ideogram");
    none["model"] = json!("no-such-model");
    refused(&send(&stage, &none, "m").await, 422, Code::NoRoute);
    assert_eq!(
        send(&stage, &request("ideogram"), "m")
            .await
            .status
            .as_u16(),
        200
    );
}

fn busy() -> Act {
    Act::Refuse(
        429,
        json!({"error": "slow", "reject_reason": "inflight_limit", "max_inflight_requests": 10}),
    )
}

#[tokio::test]
async fn after_a_providers_429_the_same_key_is_a_new_run() {
    let stage = Stage::new();
    stage.vendors.act([busy()]);
    let asked = request("ideogram");
    let first = refused(&send(&stage, &asked, "k").await, 429, Code::RateLimited);
    assert!(
        first["job_id"].is_string(),
        "the job is known, and is over: {first}"
    );
    stage.ports.world.clock.advance(61_000);
    let again = send(&stage, &asked, "k").await;
    assert_eq!(again.status.as_u16(), 200, "{}", again.text());
    assert_eq!(again.header("idempotent-replayed"), "");
    assert_ne!(again.json()["job_id"], first["job_id"]);
    let replayed = send(&stage, &asked, "k").await;
    assert_eq!(replayed.header("idempotent-replayed"), "true");
    assert_eq!(stage.vendors.charged().len(), 1);
}

#[tokio::test]
async fn after_a_429_that_the_consumer_met_the_same_key_is_a_new_run() {
    let stage = Stage::new();
    // After an image that took so long, the consumer makes such calls.
    stage.vendors.act([Act::Bytes { delay_ms: 25_000 }, busy()]);
    stage.generate("openai").await;
    let mut asked = request("openai");
    asked["timeout_ms"] = json!(1_000);
    let first = refused(&send(&stage, &asked, "k").await, 504, Code::ProviderTimeout);
    stage.pass(60_000).await;
    let job = stage.job(first["job_id"].as_str().unwrap()).await;
    assert_eq!(job.error.map(|error| error.code), Some(Code::RateLimited));
    let second = refused(&send(&stage, &asked, "k").await, 504, Code::ProviderTimeout);
    assert_ne!(second["job_id"], first["job_id"]);
    stage.pass(60_000).await;
    let done = send(&stage, &asked, "k").await;
    assert_eq!(done.status.as_u16(), 200, "{}", done.text());
    assert_eq!(done.json()["job_id"], second["job_id"]);
    assert_eq!(stage.vendors.charged().len(), 2);
}

#[tokio::test]
async fn a_429_whose_end_is_not_recorded_keeps_its_key() {
    let stage = Stage::new();
    stage.vendors.act([busy()]);
    let faults = &stage.ports.world.faults;
    faults.fail_every("actors.settle", When::Before);
    let asked = request("ideogram");
    let first = refused(&send(&stage, &asked, "k").await, 429, Code::RateLimited);
    // Whoever finds the job may go on with it: a second run beside it could be the second one that is paid for.
    let again = refused(
        &send(&stage, &asked, "k").await,
        409,
        Code::IdempotencyInFlight,
    );
    assert_eq!(again["job_id"], first["job_id"]);
    assert!(stage.vendors.charged().is_empty());
}

#[tokio::test]
async fn what_may_have_been_paid_is_replayed_under_its_key() {
    let stage = Stage::new();
    stage.vendors.act([Act::AcceptAndLose]);
    let asked = request("openai");
    refused(&send(&stage, &asked, "k").await, 502, Code::OutcomeUnknown);
    let charged = stage.vendors.charged().len();
    for _ in 0..3 {
        stage.ports.world.clock.advance(61_000);
        let again = send(&stage, &asked, "k").await;
        assert_ne!(again.status.as_u16(), 200, "{}", again.text());
    }
    assert_eq!(stage.vendors.charged().len(), charged);
}

#[tokio::test]
async fn without_the_ledger_a_key_cannot_be_claimed_and_nothing_is_sent() {
    let stage = Stage::new();
    stage
        .ports
        .world
        .faults
        .fail_every("database", When::Before);
    refused(
        &send(&stage, &request("ideogram"), "k").await,
        503,
        Code::LedgerUnavailable,
    );
    assert!(stage.vendors.charged().is_empty());
    assert_eq!(stage.generate("ideogram").await.status.as_u16(), 200);
}

#[tokio::test]
async fn a_claim_whose_owner_died_is_taken_over_after_two_minutes() {
    let stage = Stage::new();
    // The claim is written, its answer and so its owner are lost.
    stage
        .ports
        .world
        .faults
        .fail("database.batch", 1, When::After);
    refused(
        &send(&stage, &request("ideogram"), "k").await,
        503,
        Code::LedgerUnavailable,
    );
    refused(
        &send(&stage, &request("ideogram"), "k").await,
        409,
        Code::IdempotencyInFlight,
    );
    stage.ports.world.clock.advance(120_000);
    let response = send(&stage, &request("ideogram"), "k").await;
    assert_eq!(response.status.as_u16(), 200, "{}", response.text());
    assert_eq!(stage.vendors.charged().len(), 1);
}

#[tokio::test]
async fn malformed_keys_are_refused() {
    let stage = Stage::new();
    for bad in ["", &"x".repeat(256), "ü"] {
        let response = send(&stage, &request("ideogram"), bad).await;
        assert_eq!(response.status.as_u16(), 400, "{bad}");
    }
    assert!(stage.vendors.charged().is_empty());
}

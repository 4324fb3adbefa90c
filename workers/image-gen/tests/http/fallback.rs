//! From one provider to the next: who is asked, how often, and what is told.

use crate::answer::refused;
use crate::support::{Stage, request};
use crate::vendors::Act;
use api_types::JobState;
use errors::Code;
use platform::fakes::When;
use serde_json::{Value, json};

fn both() -> Value {
    let mut asked = request("ideogram");
    asked["fallback"] = json!(["openai/gpt-image-2"]);
    asked
}

#[tokio::test]
async fn the_next_provider_is_asked_at_once_and_the_answer_says_so() {
    for act in [
        Act::Refuse(
            429,
            json!({"error": "slow", "reject_reason": "inflight_limit", "max_inflight_requests": 10}),
        ),
        Act::Refuse(
            402,
            json!({"error": "credit", "reject_reason": "insufficient_funds"}),
        ),
        Act::Refuse(403, json!({"error": "no access"})),
        Act::Unreachable,
        Act::Fail("model exploded"),
    ] {
        let stage = Stage::new();
        let before = platform::Clock::now_ms(&stage.ports.world.clock);
        stage.vendors.act([act.clone()]);
        let response = stage.post("/generate", both()).await;
        assert_eq!(response.status.as_u16(), 200, "{act:?} {}", response.text());
        let body = response.json();
        assert_eq!(body["metadata"]["provider"], "openai", "{act:?}");
        assert_eq!(body["attempts"], 2, "{act:?}");
        assert_eq!(response.header("x-switchyard-provider"), "openai");
        assert_eq!(response.header("x-switchyard-attempts"), "2");
        if !matches!(act, Act::Fail(_)) {
            let after = platform::Clock::now_ms(&stage.ports.world.clock);
            assert_eq!(after, before, "{act:?} slept before the fallback");
        }
        stage.pass(120_000).await;
        let job = stage.job(body["job_id"].as_str().unwrap()).await;
        assert_eq!(
            (job.state, job.attempts),
            (JobState::Succeeded, 2),
            "{act:?}"
        );
        let events: Vec<&str> = job.timeline.iter().map(|e| e.event.as_str()).collect();
        assert!(
            events.iter().filter(|event| **event == "admitted").count() == 2,
            "{events:?}"
        );
        let open = stage
            .rows("SELECT * FROM jobs WHERE state <> 'succeeded'")
            .await;
        assert!(open.is_empty(), "{act:?}");
    }
}

#[tokio::test]
async fn a_full_limiter_costs_no_attempt_and_no_sleep() {
    let stage = Stage::new();
    stage.configure(|config| config["rate_limits"]["ideogram"] = json!({"rpm": 1}));
    stage.generate("ideogram").await;
    let response = stage.post("/generate", both()).await;
    let body = response.json();
    assert_eq!(
        body["metadata"]["provider"],
        "openai",
        "{}",
        response.text()
    );
    assert_eq!(body["attempts"], 1);
}

#[tokio::test]
async fn when_all_refuse_the_smallest_wait_is_told() {
    let stage = Stage::new();
    stage.configure(|config| {
        config["rate_limits"] = json!({"ideogram": {"rpm": 1}, "openai": {"rpm": 1}});
    });
    stage.generate("openai").await;
    stage.ports.world.clock.advance(20_000);
    stage.generate("ideogram").await;
    let response = stage.post("/generate", both()).await;
    let details = refused(&response, 429, Code::RateLimited);
    assert_eq!(details["provider"], "openai");
    let wait: u64 = response.header("retry-after").parse().unwrap();
    assert!(wait <= 40, "{wait}");
    assert_eq!(stage.vendors.charged().len(), 2);
}

#[tokio::test]
async fn the_first_failure_is_the_answer_when_nobody_else_has_room() {
    let stage = Stage::new();
    stage.configure(|config| config["rate_limits"]["openai"] = json!({"rpm": 1}));
    stage.generate("openai").await;
    stage
        .vendors
        .act([Act::Refuse(403, json!({"error": "no access"}))]);
    let response = stage.post("/generate", both()).await;
    let details = refused(&response, 502, Code::ProviderAuth);
    assert_eq!(response.header("x-switchyard-attempts"), "1");
    stage.pass(120_000).await;
    let job = stage.job(details["job_id"].as_str().unwrap()).await;
    assert!(job.state.is_final(), "{:?}", job.state);
    assert_eq!(stage.vendors.charged().len(), 1);
}

#[tokio::test]
async fn what_may_have_been_accepted_goes_nowhere_else() {
    let stage = Stage::new();
    stage.vendors.act([Act::AcceptAndLose]);
    let response = stage.post("/generate", both()).await;
    refused(&response, 502, Code::OutcomeUnknown);
    stage.pass(600_000).await;
    assert_eq!(stage.vendors.charged().len(), 1);
}

#[tokio::test]
async fn safety_goes_on_only_where_the_instance_allows_it() {
    for allowed in [false, true] {
        let stage = Stage::new();
        stage.configure(|config| config["routing"] = json!({"fallback_on_safety": allowed}));
        stage
            .vendors
            .act([Act::Refuse(422, json!({"error": "unsafe"}))]);
        let response = stage.post("/generate", both()).await;
        let expected = if allowed { 200 } else { 422 };
        assert_eq!(response.status.as_u16(), expected, "{}", response.text());
    }
}

#[tokio::test]
async fn an_unreachable_provider_without_others_is_tried_once_more() {
    let stage = Stage::new();
    stage.vendors.act([Act::Unreachable]);
    let response = stage.generate("ideogram").await;
    assert_eq!(response.json()["attempts"], 2, "{}", response.text());
    stage.vendors.act([Act::Unreachable, Act::Unreachable]);
    let response = stage.generate("ideogram").await;
    refused(&response, 502, Code::ProviderError);
    assert_eq!(response.header("x-switchyard-attempts"), "2");
    assert_eq!(stage.vendors.charged().len(), 1);
}

#[tokio::test]
async fn attempts_are_counted_over_all_providers() {
    let stage = Stage::new();
    stage.configure(|config| config["routing"] = json!({"max_attempts": 1}));
    stage.vendors.act([Act::Unreachable]);
    let response = stage.post("/generate", both()).await;
    refused(&response, 502, Code::ProviderError);
    assert_eq!(stage.ports.http.requests().len(), 1);
}

#[tokio::test]
async fn after_enough_failures_nobody_is_asked() {
    let stage = Stage::new();
    stage.configure(|config| config["routing"] = json!({"max_attempts": 1}));
    for _ in 0..5 {
        stage.vendors.act([Act::Unreachable]);
        refused(&stage.generate("ideogram").await, 502, Code::ProviderError);
        stage.ports.world.clock.advance(31_000);
    }
    let asked = stage.ports.http.requests().len();
    let response = stage.generate("ideogram").await;
    refused(&response, 503, Code::ProviderUnavailable);
    assert!(!response.header("retry-after").is_empty());
    assert_eq!(stage.ports.http.requests().len(), asked);
}

#[tokio::test]
async fn a_lost_handover_is_continued_with_the_next_provider() {
    let stage = Stage::new();
    stage
        .vendors
        .act([Act::Refuse(403, json!({"error": "no access"}))]);
    // The first object takes the settle; the second one is never reached.
    stage
        .ports
        .world
        .faults
        .fail("actors.acquire", 2, When::Before);
    stage
        .ports
        .world
        .faults
        .fail("actors.acquire", 3, When::Before);
    stage
        .ports
        .world
        .faults
        .fail("actors.acquire", 4, When::Before);
    // And the run dies before it can say so.
    stage
        .ports
        .world
        .faults
        .fail_every("actors.settle", When::After);
    let response = stage.post("/generate", both()).await;
    assert_ne!(response.status.as_u16(), 200);
    stage.ports.world.faults.heal_all();
    stage.pass(120_000).await;
    let rows = stage.rows("SELECT state, attempts FROM jobs").await;
    assert_eq!(rows.len(), 1);
    assert!(
        matches!(rows[0].text("state"), Some("succeeded" | "failed" | "dead")),
        "{rows:?}"
    );
    assert!(stage.vendors.charged().len() <= 1);
}

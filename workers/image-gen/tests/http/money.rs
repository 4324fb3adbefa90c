//! What no answer, no disconnect and no silent object may do: pay twice, lose a paid image, or book what was not billed.

use crate::answer::{ok, refused};
use crate::support::{INSTANCE, PROJECT, Stage, request};
use crate::vendors::Act;
use api_types::JobState;
use bytes::Bytes;
use errors::Code;
use futures_util::future::select;
use platform::fakes::{Delivery, FakeObjects, When};
use platform::{Clock, ObjectStore, PutBody, PutOptions};
use serde_json::{Value, json};
use std::pin::pin;

/// Longer than anybody waits.
const HANGS_MS: u64 = 10_000_000;

fn both() -> Value {
    let mut asked = request("ideogram");
    asked["fallback"] = json!(["openai/gpt-image-2"]);
    asked
}

fn too_many() -> Act {
    let body =
        json!({"error": "slow", "reject_reason": "inflight_limit", "max_inflight_requests": 10});
    Act::Refuse(429, body)
}

/// What the ledger books in all.
async fn booked(stage: &Stage) -> i64 {
    let rows = stage
        .rows("SELECT coalesce(sum(cost), 0) AS cost FROM usage_logs")
        .await;
    rows[0].int("cost").unwrap()
}

/// States of all jobs, the oldest first, an hour later.
async fn states(stage: &Stage) -> Vec<JobState> {
    stage.pass(3_600_000).await;
    let mut states = Vec::new();
    for row in stage.rows("SELECT job_id FROM jobs ORDER BY job_id").await {
        states.push(stage.job(row.text("job_id").unwrap()).await.state);
    }
    states
}

/// `POST /generate` of a client that leaves after that long, in milliseconds.
async fn ask_and_leave(stage: &Stage, body: &Value, after_ms: u64) {
    let (app, _) = stage.app();
    let send = app.post("/generate").key(&stage.key).json(body).send();
    let leaves = stage.ports.world.clock.sleep(after_ms);
    drop(select(pin!(send), pin!(leaves)).await);
    stage.after_answer().await;
}

#[tokio::test]
async fn a_job_whose_end_is_not_acknowledged_is_not_answered_as_one_to_send_again() {
    let stage = Stage::new();
    stage.configure(|config| config["rate_limits"]["openai"] = json!({"rpm": 1}));
    ok(&stage.generate("openai").await);
    stage.ports.world.clock.advance(35_000);
    stage.vendors.act([too_many()]);
    let faults = &stage.ports.world.faults;
    // The hand-over is acknowledged; that nobody else had room is not.
    for nth in 2..=60 {
        faults.fail("actors.settle", nth, When::Before);
    }
    let response = stage.post("/generate", both()).await;
    refused(&response, 504, Code::ProviderTimeout);
    faults.heal_all();
    // The old object's alarm finds room at the next one.
    assert_eq!(states(&stage).await, [JobState::Succeeded; 2]);
    assert_eq!(stage.vendors.charged().len(), 2);
}

#[tokio::test]
async fn a_refusal_whose_record_is_not_acknowledged_is_not_answered_as_one_to_send_again() {
    for when in [When::Before, When::After] {
        let stage = Stage::new();
        stage.vendors.act([too_many()]);
        let faults = &stage.ports.world.faults;
        faults.fail_every("actors.settle", when);
        let response = stage.post("/generate", both()).await;
        refused(&response, 504, Code::ProviderTimeout);
        faults.heal_all();
        let states = states(&stage).await;
        if when == When::After {
            assert_eq!(states, [JobState::Succeeded]);
            assert_eq!(stage.vendors.charged().len(), 1);
        } else {
            assert!(stage.vendors.charged().is_empty());
        }
    }
}

#[tokio::test]
async fn a_synchronous_call_that_is_slow_by_its_kind_outlives_its_client_from_the_first_one_on() {
    // Quick calls of the same model do not make it quick.
    for quick in [0, 3] {
        let stage = Stage::new();
        for _ in 0..quick {
            ok(&stage.generate("openai").await);
        }
        stage.vendors.act([Act::Bytes { delay_ms: 45_000 }]);
        let mut asked = request("openai");
        asked["quality"] = json!("high");
        ask_and_leave(&stage, &asked, 5_000).await;
        let all = vec![JobState::Succeeded; quick + 1];
        assert_eq!(states(&stage).await, all);
        assert_eq!(stage.vendors.charged().len(), quick + 1);
    }
}

#[tokio::test]
async fn a_call_that_a_disconnect_has_cut_is_the_last_one_of_its_kind() {
    let stage = Stage::new();
    for _ in 0..2 {
        stage.vendors.act([Act::Bytes { delay_ms: 45_000 }]);
        ask_and_leave(&stage, &request("openai"), 5_000).await;
        stage.pass(120_000).await;
    }
    assert_eq!(
        states(&stage).await,
        [JobState::Unknown, JobState::Succeeded]
    );
}

#[tokio::test]
async fn a_polled_image_that_is_stored_and_not_settled_is_not_fetched_again() {
    let stage = Stage::new();
    let faults = &stage.ports.world.faults;
    faults.fail_every("actors.settle", When::Before);
    let body = ok(&stage.generate("ideogram").await);
    faults.heal_all();
    let asked = stage.ports.http.requests().len();
    assert_eq!(states(&stage).await, [JobState::Succeeded]);
    assert_eq!(stage.ports.http.requests().len(), asked, "0 provider calls");
    let path = body["r2_path"].as_str().unwrap();
    assert!(stage.ports.objects.bytes(path).is_some());
}

#[tokio::test]
async fn an_object_that_hangs_is_waited_for_as_long_as_one_that_fails() {
    for command in ["submitted", "settle"] {
        let stage = Stage::new();
        let began_ms = stage.ports.world.clock.now_ms();
        let faults = &stage.ports.world.faults;
        faults.slow(&format!("actors.{command}"), HANGS_MS);
        ok(&stage.generate("ideogram").await);
        let took_ms = stage.ports.world.clock.now_ms() - began_ms;
        assert!(took_ms < 40_000, "{command}: {took_ms} ms");
        faults.heal_all();
        assert_eq!(states(&stage).await, [JobState::Succeeded], "{command}");
        assert_eq!(stage.vendors.charged().len(), 1);
    }
}

#[tokio::test]
async fn an_unbilled_end_that_is_acknowledged_late_is_booked_as_such() {
    let stage = Stage::new();
    let error = json!({"error": {"message": "no", "type": "x", "code": "invalid_api_key"}});
    stage.vendors.act([Act::Refuse(403, error)]);
    let faults = &stage.ports.world.faults;
    // Longer than the request is patient.
    for nth in 1..=30 {
        faults.fail("actors.settle", nth, When::Before);
    }
    let response = stage.generate("openai").await;
    refused(&response, 502, Code::ProviderAuth);
    assert_eq!(faults.pending(), 0);
    assert_eq!(states(&stage).await, [JobState::Dead]);
    assert_eq!(booked(&stage).await, 0);
}

#[tokio::test]
async fn a_job_that_is_parked_late_is_run_all_the_same() {
    let stage = Stage::new();
    let faults = &stage.ports.world.faults;
    for nth in 1..=30 {
        faults.fail("actors.release", nth, When::Before);
    }
    let mut asked = request("openai");
    asked["quality"] = json!("high");
    asked["timeout_ms"] = json!(30_000);
    let response = stage.post("/generate", asked).await;
    refused(&response, 504, Code::ProviderTimeout);
    assert_eq!(faults.pending(), 0);
    assert_eq!(states(&stage).await, [JobState::Succeeded]);
    assert_eq!(stage.vendors.charged().len(), 1);
}

const OPENAI: &str = "/v1/images/generations";

#[tokio::test]
async fn a_paid_image_that_cannot_be_read_is_answered_with_its_job() {
    let stage = Stage::new();
    let faults = &stage.ports.world.faults;
    faults.fail("objects.get", 1, When::Before);
    let asked = json!({"prompt": "a cat", "model": "gpt-image-2", "size": "1024x1024"});
    let response = stage.post(OPENAI, asked).await;
    assert_eq!(
        response.status.as_u16(),
        502,
        "{}",
        String::from_utf8_lossy(&response.body)
    );
    assert_eq!(response.json()["error"]["code"], "storage_error");
    assert_eq!(response.header("x-should-retry"), "false");
    let job_id = response.header("x-switchyard-job-id").to_owned();
    assert!(response.header("location").ends_with(&job_id) && !job_id.is_empty());
    assert_ne!(response.header("x-switchyard-cost-usd-micros"), "");
    assert_eq!(stage.job(&job_id).await.state, JobState::Succeeded);
}

#[tokio::test]
async fn images_are_opened_one_by_one_as_they_are_sent() {
    let stage = Stage::new();
    let faults = &stage.ports.world.faults;
    // The answer breaks off in its first image.
    faults.fail("objects.body", 1, When::Before);
    let asked = json!({"prompt": "a cat", "model": "gpt-image-2", "size": "1024x1024", "n": 10});
    let response = stage.post(OPENAI, asked.clone()).await;
    assert_eq!(response.status.as_u16(), 200);
    assert_eq!(faults.calls("objects.get"), 1);
    let whole = stage.post(OPENAI, asked.clone()).await.json();
    assert_eq!(whole["data"].as_array().unwrap().len(), 10);
    // That one is gone is found out before anything is sent.
    faults.fail("objects.head", 9, When::Before);
    assert_eq!(stage.post(OPENAI, asked).await.status.as_u16(), 502);
}

#[tokio::test]
async fn an_image_in_a_bucket_that_no_configuration_names_any_more_is_still_there() {
    let mut stage = Stage::new();
    let old = FakeObjects::new(&stage.ports.world);
    stage.further_buckets = vec![("old-images".to_owned(), old.clone())];
    let path = format!("{INSTANCE}/{PROJECT}/1763719203240_image-9f31c2aa.png");
    let options = PutOptions {
        content_type: "image/png".to_owned(),
        metadata: vec![("visibility".to_owned(), "public".to_owned())],
    };
    let body = PutBody::Bytes(Bytes::from_static(b"picture"));
    old.put(&path, body, &options).await.unwrap();
    let response = stage.get(&format!("/images/{path}")).await;
    assert_eq!(response.status.as_u16(), 200);
    assert_eq!(response.body, "picture");
}

#[tokio::test]
async fn a_claim_is_not_taken_over_while_any_object_may_know_its_job() {
    let stage = Stage::new();
    ok(&stage.generate("ideogram").await);
    stage.pass(2_000).await;
    // More providers than are asked at most, all before the one in question.
    stage.configure(|config| {
        for n in 0..13 {
            config["providers"][format!("a{n}")] = json!({"credential_state": "missing"});
        }
    });
    stage.ports.world.clock.advance(6_000);
    let send = || {
        stage.post_with(
            "/generate",
            request("ideogram"),
            &[("idempotency-key", "k")],
        )
    };
    let first = send().await;
    ok(&first);
    // No alarm rings: the ledger does not know the job.
    stage.ports.world.clock.advance(130_000);
    let again = send().await;
    assert_eq!(again.body, first.body, "{}", again.text());
    assert_eq!(stage.vendors.charged().len(), 2);
}

#[tokio::test]
async fn the_ledger_knows_how_many_attempts_of_an_object_are_open() {
    let stage = Stage::new();
    stage.ports.queue.deliver(Delivery::Lost);
    let mut slow = request("ideogram");
    slow["timeout_ms"] = json!(5_000);
    for _ in 0..2 {
        stage.vendors.act([Act::Finish { polls: 50 }]);
        let response = stage.post("/generate", slow.clone()).await;
        refused(&response, 504, Code::ProviderTimeout);
    }
    stage.pass(10_000).await;
    // A flush of one settled row, while the others run on.
    ok(&stage.generate("ideogram").await);
    stage.pass(2_000).await;
    let rows = stage.rows("SELECT open FROM limiter_objects").await;
    assert_eq!(rows[0].int("open"), Some(2));
}

#[tokio::test]
async fn an_answer_names_no_job_that_no_object_has_acknowledged() {
    let stage = Stage::new();
    stage.ports.world.faults.slow("actors.acquire", 8_000);
    let mut asked = request("ideogram");
    asked["timeout_ms"] = json!(5_000);
    let response = stage.post("/generate", asked).await;
    let details = refused(&response, 503, Code::LimiterUnavailable);
    assert!(details["job_id"].is_null(), "{details}");
    assert_eq!(response.header("x-switchyard-job-id"), "");
    stage.ports.world.faults.heal_all();
    // It may be sent again, so nothing may follow: the late grant is given back.
    assert!(states(&stage).await.is_empty());
    assert!(stage.vendors.charged().is_empty());
    assert_eq!(booked(&stage).await, 0);
}

//! The crash matrix: the request, or the consumer, dies at each of its calls of the platform; alarms and the queue go on.
//!
//! What must hold whatever k is: no attempt is submitted twice, each accepted job ends or is known to be unknown, and the
//! ledger books at least what the vendors charge, once a lease.

use crate::support::{Stage, request};
use crate::vendors::{Act, REVISED};
use api_types::{CostBasis, JobState};
use image_gen::consumer;
use platform::fakes::{Delivery, When};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::pin::pin;
use std::task::{Context, Waker};

/// Calls of these ports are the steps at which a process can die.
const PORTS: [&str; 4] = ["actors", "objects", "http", "service"];

fn calls(stage: &Stage) -> u32 {
    PORTS
        .iter()
        .map(|port| stage.ports.world.faults.calls(port))
        .sum()
}

/// Drives `work` until it enters its k-th call, and lets it die there. True when it ended before that.
pub(crate) fn until_call<T>(stage: &Stage, k: u32, work: impl Future<Output = T>) -> bool {
    let faults = &stage.ports.world.faults;
    // Each call takes a moment, so that it can be interrupted before it does anything.
    for port in PORTS {
        faults.slow(port, 1);
    }
    let before = calls(stage);
    let ended = {
        let mut work = pin!(work);
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if work.as_mut().poll(&mut context).is_ready() {
                break true;
            }
            if calls(stage) - before >= k {
                break false;
            }
        }
    };
    for port in PORTS {
        faults.heal(port);
    }
    stage.ports.background.abandon();
    ended
}

/// What an hour later must be true.
pub(crate) async fn check(stage: &Stage, what: &str) -> Vec<JobState> {
    stage.pass(3_600_000).await;
    let charged = stage.vendors.charged();
    let attempts: BTreeSet<&String> = charged.iter().collect();
    assert_eq!(
        attempts.len(),
        charged.len(),
        "{what}: an attempt was submitted twice: {charged:?}"
    );
    let jobs = stage.rows("SELECT job_id, state FROM jobs").await;
    assert!(jobs.len() <= 1, "{what}: {jobs:?}");
    let mut states = Vec::new();
    for row in &jobs {
        let job = stage.job(row.text("job_id").unwrap()).await;
        assert!(
            job.state.is_final() || job.state == JobState::Unknown,
            "{what}: {:?}",
            job.state
        );
        if let Some(result) = &job.result {
            let object = stage.ports.objects.bytes(&result.r2_path);
            assert!(
                object.is_some(),
                "{what}: the image of a succeeded job is not there"
            );
        }
        states.push(job.state);
    }
    if !charged.is_empty() {
        assert_eq!(jobs.len(), 1, "{what}: a paid job is not in the ledger");
    }
    let usage = stage
        .rows("SELECT lease_id, cost, outcome FROM usage_logs WHERE phase = 'charge'")
        .await;
    let leases: BTreeSet<_> = usage.iter().map(|row| row.text("lease_id")).collect();
    assert_eq!(leases.len(), usage.len(), "{what}: a lease is booked twice");
    let paid = usage
        .iter()
        .filter(|row| row.int("cost").is_none_or(|cost| cost > 0))
        .count();
    assert!(
        paid >= charged.len(),
        "{what}: charged {charged:?}, booked {usage:?}"
    );
    assert!(
        stage.ports.objects.keys().len() <= 1,
        "{what}: {:?}",
        stage.ports.objects.keys()
    );
    assert_eq!(stage.ports.objects.open_uploads(), 0, "{what}");
    states
}

/// Runs the matrix over a request and returns how many steps it has.
async fn request_dies(name: &str, body: &Value, acts: &[Act]) -> u32 {
    for k in 1..100 {
        let stage = Stage::new();
        // Caller and configuration are known, as on a warm isolate.
        stage.get("/v1/models").await;
        stage.vendors.act(acts.iter().cloned());
        let (app, _) = stage.app();
        let send = app.post("/generate").key(&stage.key).json(body).send();
        let ended = until_call(&stage, k, send);
        let what = format!("{name}, dead at call {k}");
        let states = check(&stage, &what).await;
        if ended {
            assert_eq!(states, [JobState::Succeeded], "{what}");
            return k - 1;
        }
    }
    panic!("{name} never ends");
}

#[tokio::test]
async fn a_polled_request_may_die_anywhere() {
    let acts = [Act::Finish { polls: 3 }];
    let steps = request_dies("polled", &request("ideogram"), &acts).await;
    // acquire, submit, submitted, 3 polls, download, put, settle.
    assert_eq!(steps, 9);
}

#[tokio::test]
async fn a_synchronous_request_may_die_anywhere() {
    let steps = request_dies("synchronous", &request("openai"), &[]).await;
    // acquire, submit, put, settle.
    assert_eq!(steps, 4);
}

#[tokio::test]
async fn a_request_with_fallback_may_die_anywhere() {
    let mut body = request("ideogram");
    body["fallback"] = json!(["openai/gpt-image-2"]);
    let acts = [Act::Refuse(403, json!({"error": "no access"}))];
    let steps = request_dies("fallback", &body, &acts).await;
    // acquire, submit, settle, acquire, release, submit, put, settle.
    assert_eq!(steps, 8);
}

#[tokio::test]
async fn from_submitted_on_a_dead_request_always_delivers() {
    for k in 4..=9 {
        let stage = Stage::new();
        stage.get("/v1/models").await;
        stage.vendors.act([Act::Finish { polls: 3 }]);
        let (app, _) = stage.app();
        let body = request("ideogram");
        let send = app.post("/generate").key(&stage.key).json(&body).send();
        assert!(!until_call(&stage, k, send));
        let states = check(&stage, &format!("dead at call {k}")).await;
        assert_eq!(states, [JobState::Succeeded], "dead at call {k}");
        assert_eq!(stage.vendors.charged().len(), 1);
    }
}

#[tokio::test]
async fn stored_but_not_settled_is_found_in_the_bucket_and_not_asked_for_again() {
    let stage = Stage::new();
    stage.get("/v1/models").await;
    let (app, _) = stage.app();
    let body = request("openai");
    let send = app.post("/generate").key(&stage.key).json(&body).send();
    assert!(!until_call(&stage, 4, send));
    let asked = stage.ports.http.requests().len();
    assert_eq!(check(&stage, "before settle").await, [JobState::Succeeded]);
    assert_eq!(stage.ports.http.requests().len(), asked, "0 provider calls");
    let images = stage.rows("SELECT width, height, sha256 FROM images").await;
    assert_eq!(
        (images[0].int("width"), images[0].int("height")),
        (Some(1024), Some(1024))
    );
    assert_eq!(images[0].text("sha256").map(str::len), Some(64));
}

/// What the answer of a poll told beside the images stands in the bucket as well.
#[tokio::test]
async fn what_is_found_in_the_bucket_costs_and_lacks_what_the_provider_said() {
    let mut found = 0;
    for k in 4..30 {
        let stage = Stage::new();
        stage.get("/v1/models").await;
        stage.vendors.act([Act::Withhold(vec![1])]);
        let (app, _) = stage.app();
        let mut body = request("ideogram");
        body["n"] = json!(2);
        let send = app.post("/generate").key(&stage.key).json(&body).send();
        let ended = until_call(&stage, k, send);
        let what = format!("dead at call {k}");
        let stored = !stage.ports.objects.keys().is_empty();
        let asked = stage.ports.http.requests().len();
        assert_eq!(check(&stage, &what).await, [JobState::Succeeded], "{what}");
        found += usize::from(stored && !ended && stage.ports.http.requests().len() == asked);
        let job_id = stage.rows("SELECT job_id FROM jobs").await;
        let job = stage.job(job_id[0].text("job_id").unwrap()).await;
        let result = job.result.unwrap();
        assert_eq!(result.cost_basis, CostBasis::Reported, "{what}");
        assert_eq!(result.cost_usd_micros, Some(120_000), "{what}");
        assert_eq!((result.images.len(), result.withheld), (1, 1), "{what}");
        assert_eq!(
            result.images[0].revised_prompt.as_deref(),
            Some(REVISED),
            "{what}"
        );
        assert_eq!(result.warnings.len(), 1, "{what}: {:?}", result.warnings);
        assert_eq!(result.warnings[0].code, "image_withheld", "{what}");
        if ended {
            break;
        }
    }
    assert!(found > 0, "no run died between the put and the settle");
}

#[tokio::test]
async fn the_consumer_may_die_anywhere_and_another_goes_on() {
    let mut steps = 0;
    for k in 1..100 {
        let stage = Stage::new();
        stage.vendors.act([Act::Finish { polls: 5 }]);
        let mut body = request("ideogram");
        body["timeout_ms"] = json!(5_000);
        stage.post("/generate", body).await;
        let message = stage
            .ports
            .queue
            .take()
            .pop()
            .expect("the hand-over wakes the consumer");
        let (deps, _) = stage.deps();
        let handling = Box::pin(consumer::handle(&deps, "jobs", "m1", Some(&message)));
        let ended = until_call(&stage, k, handling);
        let what = format!("consumer dead at call {k}");
        assert_eq!(check(&stage, &what).await, [JobState::Succeeded], "{what}");
        assert_eq!(stage.vendors.charged().len(), 1, "{what}");
        if ended {
            steps = k - 1;
            break;
        }
    }
    assert!(steps >= 5, "{steps}");
}

#[tokio::test]
async fn each_command_may_fail_before_or_after_it_was_done_once() {
    for command in ["acquire", "submitted", "settle", "take", "release"] {
        for when in [When::Before, When::After] {
            let stage = Stage::new();
            stage.vendors.act([Act::Finish { polls: 5 }]);
            stage
                .ports
                .world
                .faults
                .fail(&format!("actors.{command}"), 1, when);
            let mut body = request("ideogram");
            body["timeout_ms"] = json!(5_000);
            stage.post("/generate", body).await;
            let what = format!("{command} fails {when:?}");
            assert_eq!(check(&stage, &what).await, [JobState::Succeeded], "{what}");
            assert_eq!(stage.ports.world.faults.pending(), 0, "{what}");
            assert_eq!(stage.vendors.charged().len(), 1, "{what}");
        }
    }
}

#[tokio::test]
async fn an_object_that_is_away_for_long_ends_nothing_wrongly() {
    for command in ["submitted", "settle", "release", "renew"] {
        let stage = Stage::new();
        stage.vendors.act([Act::Finish { polls: 3 }]);
        let target = format!("actors.{command}");
        stage.ports.world.faults.fail_every(&target, When::Before);
        stage.generate("ideogram").await;
        stage.ports.world.faults.heal_all();
        let states = check(&stage, &format!("{command} away")).await;
        assert_eq!(states, [JobState::Succeeded], "{command} away");
        assert_eq!(stage.vendors.charged().len(), 1, "{command} away");
    }
}

#[tokio::test]
async fn a_slow_platform_changes_nothing() {
    for port in ["actors", "objects", "http", "database"] {
        let stage = Stage::new();
        stage.ports.world.faults.slow(port, 400);
        let response = stage.generate("ideogram").await;
        assert_eq!(response.status.as_u16(), 200, "{port} {}", response.text());
        stage.ports.world.faults.heal(port);
        assert_eq!(check(&stage, port).await, [JobState::Succeeded]);
    }
}

#[tokio::test]
async fn with_every_message_lost_two_sweeps_end_what_was_accepted() {
    let stage = Stage::new();
    stage.ports.queue.deliver(Delivery::Lost);
    stage.vendors.act([Act::Finish { polls: 4 }]);
    let mut body = request("ideogram");
    body["timeout_ms"] = json!(5_000);
    stage.post("/generate", body).await;
    stage.pass(70_000).await;
    stage.ports.queue.deliver(Delivery::Once);
    for _ in 0..2 {
        stage.sweep().await;
        stage.pass(60_000).await;
    }
    assert_eq!(check(&stage, "messages lost").await, [JobState::Succeeded]);
}

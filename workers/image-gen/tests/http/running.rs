//! `GET /internal/v1/running/{instance_id}`: who may ask, and that nothing which runs is missed.

use crate::answer::{ok, refused};
use crate::support::{INSTANCE, Stage, request};
use crate::vendors::Act;
use api_types::{JobState, RunningReply};
use errors::Code;
use middleware::testing::TestResponse;
use platform::fakes::{Delivery, When};
use serde_json::json;

async fn ask(stage: &Stage, instance: &str) -> TestResponse {
    let (app, _) = stage.app();
    let path = format!("/internal/v1/running/{instance}");
    let response = app.get(&path).from_worker("config-service").send().await;
    stage.ports.background.drain().await;
    response
}

async fn running(stage: &Stage) -> RunningReply {
    serde_json::from_value(ok(&ask(stage, INSTANCE).await)).unwrap()
}

/// Starts a job that stays with its provider.
async fn start(stage: &Stage) -> String {
    stage.vendors.act([Act::Finish { polls: 1_000 }]);
    let mut asked = request("ideogram");
    asked["timeout_ms"] = json!(1_000);
    let response = stage.post("/generate", asked).await;
    let details = refused(&response, 504, Code::ProviderTimeout);
    details["job_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn only_config_service_may_ask() {
    let stage = Stage::new();
    let path = format!("/internal/v1/running/{INSTANCE}");
    let (app, _) = stage.app();
    let id = "0199a1c2-0000-7000-8000-000000000001";
    let unknown = app
        .get("/internal/v1/nothing")
        .header("x-request-id", id)
        .send()
        .await;
    for caller in [None, Some("console"), Some("image-gen")] {
        let mut asked = app.get(&path).key(&stage.key).header("x-request-id", id);
        if let Some(caller) = caller {
            asked = asked.from_worker(caller);
        }
        let response = asked.send().await;
        assert_eq!(
            (response.status.as_u16(), response.text()),
            (404, unknown.text()),
            "{caller:?}"
        );
    }
    assert!(stage.ports.actors.calls().is_empty());
    refused(&ask(&stage, "NOT-AN-ID").await, 400, Code::InvalidField);
    stage.ports.background.drain().await;
}

#[tokio::test]
async fn a_job_is_seen_before_and_after_the_ledger_has_it_and_once() {
    let stage = Stage::new();
    let idle = running(&stage).await;
    assert_eq!((idle.running, idle.jobs.len()), (0, 0));
    ok(&stage.generate("openai").await);
    assert_eq!(running(&stage).await.running, 0);
    stage.ports.queue.deliver(Delivery::Lost);
    let job_id = start(&stage).await;
    assert!(
        stage
            .rows("SELECT * FROM jobs WHERE state = 'running'")
            .await
            .is_empty()
    );
    for seconds in [0, 10] {
        stage.pass(seconds * 1_000).await;
        let reply = running(&stage).await;
        assert_eq!(
            (reply.v, reply.running, reply.unknown),
            (1, 1, 0),
            "{seconds}"
        );
        assert_eq!(reply.jobs[0].job_id.as_str(), job_id);
        assert_eq!(reply.jobs[0].state, JobState::Running);
        assert_eq!(reply.jobs[0].provider.as_str(), "ideogram");
    }
    assert_eq!(
        stage
            .rows("SELECT * FROM jobs WHERE state = 'running'")
            .await
            .len(),
        1
    );
    stage.ports.queue.deliver(Delivery::Once);
    stage.pass(3_600_000).await;
    let reply = running(&stage).await;
    assert_eq!((reply.running, reply.unknown), (1, 1));
    assert_eq!(reply.jobs[0].state, JobState::Unknown);
}

#[tokio::test]
async fn all_are_counted_and_the_oldest_twenty_are_named() {
    let stage = Stage::new();
    stage.configure(|config| {
        config["rate_limits"]["ideogram"]["max_inflight_images"] = json!(100);
    });
    let mut ids = Vec::new();
    for _ in 0..23 {
        ids.push(start(&stage).await);
    }
    let reply = running(&stage).await;
    assert_eq!(reply.running, 23);
    let named: Vec<&str> = reply.jobs.iter().map(|job| job.job_id.as_str()).collect();
    assert_eq!(named, ids[..20]);
    stage.pass(3_600_000).await;
}

#[tokio::test]
async fn providers_that_are_configured_no_more_are_asked_too() {
    let stage = Stage::new();
    start(&stage).await;
    stage.pass(10_000).await;
    stage.configure(|config| {
        config["providers"] = json!({"openai": config["providers"]["openai"]});
    });
    stage.ports.world.clock.advance(400_000);
    // The ledger has no such row: only the object knows.
    stage.rows("DELETE FROM jobs").await;
    assert_eq!(running(&stage).await.running, 1);
    assert_eq!(ok(&ask(&stage, "elsewhere").await)["running"], 0);
    stage.pass(3_600_000).await;
}

#[tokio::test]
async fn nothing_is_called_idle_on_half_the_knowledge() {
    let stage = Stage::new();
    // One failed read is no half.
    for nth in [1, 2] {
        let faults = &stage.ports.world.faults;
        faults.fail("database", nth, When::Before);
        assert_eq!(ok(&ask(&stage, INSTANCE).await)["running"], 0);
        faults.heal_all();
    }
    for (port, code) in [
        ("database", Code::DatabaseUnavailable),
        ("actors.state", Code::LimiterUnavailable),
    ] {
        stage.ports.world.faults.fail_every(port, When::Before);
        let response = ask(&stage, INSTANCE).await;
        refused(&response, 503, code);
        stage.ports.world.faults.heal_all();
    }
    stage.set_config_service_down(true);
    let mut cold = stage;
    cold.forget();
    refused(&ask(&cold, INSTANCE).await, 503, Code::ConfigUnavailable);
}

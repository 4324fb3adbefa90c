//! `GET /jobs/{id}`: exact in every state, also with the ledger away; the consumer, the dead-letter queue and the sweep.

use crate::answer::refused;
use crate::support::{OTHER_PROJECT, PROJECT, Stage, request};
use crate::vendors::Act;
use api_types::{JobState, PrincipalKind, ProjectId, limiter_object_name};
use errors::Code;
use image_gen::consumer::Verdict;
use platform::Clock;
use platform::fakes::{Delivery, When};
use serde_json::json;

/// A job that is still with the provider.
async fn slow(stage: &Stage, polls: u32) -> String {
    stage.vendors.act([Act::Finish { polls }]);
    let mut asked = request("ideogram");
    asked["timeout_ms"] = json!(5_000);
    asked["project_id"] = json!(PROJECT);
    let response = stage.post("/generate", asked).await;
    assert_eq!(response.status.as_u16(), 504, "{}", response.text());
    response.json()["details"]["job_id"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn a_job_is_known_before_the_ledger_has_it_and_without_the_ledger() {
    let stage = Stage::new();
    let body = stage.generate("ideogram").await.json();
    let job_id = body["job_id"].as_str().unwrap();
    assert!(stage.rows("SELECT * FROM jobs").await.is_empty());
    let job = stage.job(job_id).await;
    assert_eq!(job.state, JobState::Succeeded);
    assert_eq!(serde_json::to_value(job.result).unwrap(), body);
    stage
        .ports
        .world
        .faults
        .fail_every("database", When::Before);
    assert_eq!(stage.job(job_id).await.state, JobState::Succeeded);
    stage.ports.world.faults.heal_all();
    stage.pass(2_000).await;
    assert_eq!(stage.rows("SELECT * FROM jobs").await.len(), 1);
    let job = stage.job(job_id).await;
    assert_eq!(serde_json::to_value(job.result).unwrap(), body);
}

#[tokio::test]
async fn a_final_job_costs_one_query_and_no_object() {
    let stage = Stage::new();
    let body = stage.generate("ideogram").await.json();
    stage.pass(2_000).await;
    let (app, ops) = stage.app();
    let path = format!("/jobs/{}", body["job_id"].as_str().unwrap());
    let response = app.get(&path).key(&stage.key).send().await;
    assert_eq!(response.status.as_u16(), 200);
    stage.ports.background.drain().await;
    assert_eq!((ops.count().d1_queries, ops.count().do_calls), (1, 0));
}

#[tokio::test]
async fn a_running_job_tells_how_much_longer_it_takes_where_that_is_known() {
    let stage = Stage::new();
    let first = slow(&stage, 6).await;
    let running = stage.job(&first).await;
    assert_eq!(
        (running.state, running.eta_ms),
        (JobState::Running, None),
        "nobody has measured this provider yet"
    );
    stage.pass(120_000).await;
    assert_eq!(stage.job(&first).await.eta_ms, None, "it is over");
    let second = slow(&stage, 9).await;
    let running = stage.job(&second).await;
    assert_eq!((running.state, running.position), (JobState::Running, None));
    let eta_ms = running.eta_ms.unwrap();
    assert!((1..100_000).contains(&eta_ms), "{eta_ms}");
}

#[tokio::test]
async fn a_ledger_that_fails_once_is_read_again() {
    let stage = Stage::new();
    let body = stage.generate("ideogram").await.json();
    stage.pass(2_000).await;
    let faults = &stage.ports.world.faults;
    let (app, ops) = stage.app();
    let path = format!("/jobs/{}", body["job_id"].as_str().unwrap());
    faults.fail("database", 1, When::Before);
    let response = app.get(&path).key(&stage.key).send().await;
    assert_eq!(response.status.as_u16(), 200);
    assert_eq!(ops.count().do_calls, 0, "the second read found the row");
    faults.fail("database", 1, When::Before);
    assert!(stage.sweep().await.objects > 0);
    assert_eq!(faults.pending(), 0);
}

#[tokio::test]
async fn unknown_foreign_and_malformed_ids_are_told_apart_as_documented() {
    let stage = Stage::new();
    let job_id = slow(&stage, 3).await;
    refused(&stage.get("/jobs/nonsense").await, 400, Code::InvalidField);
    let missing = stage
        .get("/jobs/0199a1c2-0000-7000-8000-00000000dead")
        .await;
    refused(&missing, 404, Code::NotFound);
    let bound = |project: &str| {
        let project = ProjectId::parse(project).unwrap();
        stage.further_key(move |auth| {
            auth.kind = PrincipalKind::ProjectKey;
            auth.user = None;
            auth.project_id = Some(project);
        })
    };
    for (project, status) in [(PROJECT, 200), (OTHER_PROJECT, 404)] {
        let (app, _) = stage.app();
        let key = bound(project);
        let response = app.get(&format!("/jobs/{job_id}")).key(&key).send().await;
        assert_eq!(
            response.status.as_u16(),
            status,
            "{project} {}",
            response.text()
        );
        if status == 404 {
            let text = |body: &serde_json::Value| (body["error"].clone(), body["message"].clone());
            assert_eq!(text(&response.json()), text(&missing.json()));
        }
    }
    for bad in ["wait=61", "wait=x", "later=1"] {
        let response = stage.get(&format!("/jobs/{job_id}?{bad}")).await;
        assert_eq!(response.status.as_u16(), 400, "{bad}");
    }
    stage.pass(60_000).await;
}

#[tokio::test]
async fn wait_answers_at_the_change_or_when_the_time_is_over() {
    let stage = Stage::new();
    let job_id = slow(&stage, 50).await;
    stage.settle_down().await;
    let before = stage.ports.world.clock.now_ms();
    let job = stage.get(&format!("/jobs/{job_id}?wait=7")).await.json();
    assert_eq!(job["job_id"], job_id);
    let waited = stage.ports.world.clock.now_ms() - before;
    assert!((6_900..=7_100).contains(&waited), "{waited}");
    let version = job["version"].as_i64().unwrap();
    let before = stage.ports.world.clock.now_ms();
    stage
        .get(&format!("/jobs/{job_id}?wait=30&version={}", version - 1))
        .await;
    assert_eq!(
        stage.ports.world.clock.now_ms(),
        before,
        "it had changed already"
    );
    stage.pass(3_600_000).await;
}

#[tokio::test]
async fn a_handed_over_job_is_polled_on_and_never_submitted_again() {
    let stage = Stage::new();
    let job_id = slow(&stage, 5).await;
    assert_eq!(stage.job(&job_id).await.state, JobState::Running);
    stage.pass(60_000).await;
    let job = stage.job(&job_id).await;
    assert_eq!((job.state, job.attempts), (JobState::Succeeded, 1));
    assert_eq!(stage.vendors.charged().len(), 1);
}

#[tokio::test]
async fn lost_doubled_and_shuffled_messages_change_nothing() {
    for delivery in [Delivery::Twice, Delivery::Shuffled, Delivery::Lost] {
        let stage = Stage::new();
        stage.ports.queue.deliver(delivery);
        let first = slow(&stage, 5).await;
        let second = slow(&stage, 4).await;
        stage.pass(90_000).await;
        if delivery == Delivery::Lost {
            stage.ports.queue.deliver(Delivery::Once);
            stage.sweep().await;
            stage.pass(120_000).await;
        }
        for job_id in [first, second] {
            assert_eq!(
                stage.job(&job_id).await.state,
                JobState::Succeeded,
                "{delivery:?}"
            );
        }
        assert_eq!(stage.vendors.charged().len(), 2, "{delivery:?}");
        assert_eq!(stage.ports.objects.keys().len(), 2, "{delivery:?}");
        assert_eq!(
            stage.rows("SELECT * FROM usage_logs").await.len(),
            2,
            "{delivery:?}"
        );
    }
}

#[tokio::test]
async fn a_provider_that_never_ends_becomes_unknown_and_keeps_its_place_in_the_books() {
    let stage = Stage::new();
    let job_id = slow(&stage, 1_000_000).await;
    stage.pass(2 * 3_600_000).await;
    let job = stage.job(&job_id).await;
    assert_eq!(job.state, JobState::Unknown);
    assert_eq!(stage.vendors.charged().len(), 1);
}

#[tokio::test]
async fn messages_that_cannot_be_read_are_kept_and_done_with() {
    let stage = Stage::new();
    let far = json!({
        "v": 1, "object": "o", "job_id": "j", "lease_id": "0199a1c2-0000-7000-8000-000000000002", "reason": "run", "hop": 2,
    });
    for bad in ["not json", "{}", &far.to_string()] {
        assert_eq!(stage.deliver("jobs", bad).await, Verdict::Ack);
    }
    let kept = stage.rows("SELECT queue, reason FROM queue_rejects").await;
    assert_eq!(kept.len(), 1, "one id, one row");
    assert_eq!(kept[0].text("queue"), Some("jobs"));
    let unknown = json!({
        "v": 1, "object": "instance:production:provider:ideogram", "job_id": "j",
        "lease_id": "0199a1c2-0000-7000-8000-000000000002", "reason": "run", "hop": 0,
    });
    assert_eq!(
        stage.deliver("jobs", &unknown.to_string()).await,
        Verdict::Ack
    );
    assert!(stage.vendors.charged().is_empty());
}

#[tokio::test]
async fn an_unreachable_object_makes_the_message_come_again() {
    let stage = Stage::new();
    stage
        .ports
        .world
        .faults
        .fail_every("actors.take", When::Before);
    let message = json!({
        "v": 1, "object": "instance:production:provider:ideogram", "job_id": "j",
        "lease_id": "0199a1c2-0000-7000-8000-000000000002", "reason": "run", "hop": 0,
    });
    let verdict = stage.deliver("jobs", &message.to_string()).await;
    assert!(matches!(verdict, Verdict::Retry { .. }));
}

#[tokio::test]
async fn the_dead_letter_queue_sweeps_the_object() {
    let stage = Stage::new();
    stage.ports.queue.deliver(Delivery::Lost);
    let job_id = slow(&stage, 4).await;
    let message = stage.ports.queue.sent().pop().unwrap();
    stage.ports.queue.deliver(Delivery::Once);
    assert_eq!(stage.deliver("jobs-dlq", &message).await, Verdict::Ack);
    stage.pass(120_000).await;
    assert_eq!(stage.job(&job_id).await.state, JobState::Succeeded);
}

#[tokio::test]
async fn the_sweep_reaches_known_and_configured_objects_and_repeats_harmlessly() {
    let stage = Stage::new();
    assert_eq!(stage.sweep().await.objects, 0);
    stage.generate("ideogram").await;
    stage.pass(2_000).await;
    for _ in 0..2 {
        let swept = stage.sweep().await;
        assert_eq!(
            (swept.objects, swept.failed),
            (2, 0),
            "ideogram by its flush, openai by the configuration"
        );
    }
    let names = stage.ports.actors.calls();
    let openai = limiter_object_name(
        &api_types::InstanceId::parse("production").unwrap(),
        &api_types::ProviderName::parse("openai").unwrap(),
    );
    assert!(
        names
            .iter()
            .any(|call| call.command == "sweep" && call.name == openai)
    );
    stage
        .ports
        .world
        .faults
        .fail_every("actors.sweep", When::Before);
    assert_eq!(stage.sweep().await.failed, 2);
    stage
        .ports
        .world
        .faults
        .fail_every("database", When::Before);
    assert_eq!(stage.sweep().await.objects, 0);
}

#[tokio::test]
async fn the_ledger_away_for_an_hour_loses_nothing() {
    let stage = Stage::new();
    stage
        .ports
        .world
        .faults
        .fail_every("database", When::Before);
    let body = stage.generate("ideogram").await.json();
    assert_eq!(body["success"], true);
    stage.pass(3_600_000).await;
    stage.ports.world.faults.heal_all();
    stage.pass(120_000).await;
    let usage = stage.rows("SELECT cost FROM usage_logs").await;
    assert_eq!(usage.len(), 1);
    assert_eq!(usage[0].int("cost"), Some(60_000));
    assert_eq!(stage.rows("SELECT * FROM images").await.len(), 1);
}

#[tokio::test]
async fn holders_renew_while_they_wait() {
    let mut stage = Stage::new();
    stage.settings.renew_ms = 3_000;
    stage.vendors.act([Act::Finish { polls: 4 }]);
    let response = stage.generate("ideogram").await;
    assert_eq!(response.status.as_u16(), 200, "{}", response.text());
    let renewals = |stage: &Stage| {
        let calls = stage.ports.actors.calls();
        calls.iter().filter(|call| call.command == "renew").count()
    };
    let polled = renewals(&stage);
    assert!(polled >= 3, "{polled}");
    stage.vendors.act([Act::Bytes { delay_ms: 20_000 }]);
    let response = stage.generate("openai").await;
    assert_eq!(response.status.as_u16(), 200, "{}", response.text());
    assert_eq!(renewals(&stage), polled + 6);
}

#[tokio::test]
async fn a_holder_that_lost_its_lease_stops_polling() {
    let mut stage = Stage::new();
    stage.settings.renew_ms = 1_000;
    // The object thinks it dead before its first sign of life.
    stage.settings.holder_ms = 1;
    stage.vendors.act([Act::Finish { polls: 10 }]);
    stage
        .ports
        .world
        .faults
        .fail_every("actors.renew", When::Before);
    let body = stage.generate("ideogram").await;
    stage.ports.world.faults.heal_all();
    stage.pass(600_000).await;
    assert_eq!(stage.vendors.charged().len(), 1);
    assert_eq!(
        stage.rows("SELECT * FROM usage_logs").await.len(),
        1,
        "{}",
        body.text()
    );
}

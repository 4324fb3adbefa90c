//! From one object to the next: two paths never both send, no job is left without a place, and what was never sent costs
//! nothing.

use crate::answer::{ok, refused};
use crate::support::{Stage, request};
use crate::vendors::Act;
use api_types::JobState;
use errors::Code;
use platform::Clock;
use platform::fakes::{Delivery, When};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn both() -> Value {
    let mut asked = request("ideogram");
    asked["fallback"] = json!(["openai/gpt-image-2"]);
    asked
}

fn no_access() -> Act {
    Act::Refuse(403, json!({"error": "no access"}))
}

/// State of the one job of the ledger, an hour later.
async fn state(stage: &Stage) -> JobState {
    stage.pass(3_600_000).await;
    let rows = stage.rows("SELECT job_id FROM jobs").await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    stage.job(rows[0].text("job_id").unwrap()).await.state
}

/// Charged attempts, each once.
fn charged(stage: &Stage) -> usize {
    let charged = stage.vendors.charged();
    let attempts: BTreeSet<&String> = charged.iter().collect();
    assert_eq!(attempts.len(), charged.len(), "sent twice: {charged:?}");
    charged.len()
}

/// What the ledger assumes or knows to have been spent.
async fn spent(stage: &Stage) -> Vec<i64> {
    let rows = stage
        .rows("SELECT sum(cost) AS cost FROM usage_logs GROUP BY lease_id HAVING sum(cost) > 0")
        .await;
    rows.iter().map(|row| row.int("cost").unwrap()).collect()
}

/// After an image that took so long, the consumer makes such calls.
async fn make_slow(stage: &Stage) {
    stage.vendors.act([Act::Bytes { delay_ms: 25_000 }]);
    ok(&stage.generate("openai").await);
    stage.pass(120_000).await;
}

/// From now on the key of `openai` cannot be opened: it was sealed for another host.
fn spoil_the_key(stage: &Stage) {
    stage.configure(|config| {
        config["providers"]["openai"]["base_url"] = json!("https://openai.evil.example");
    });
    stage.ports.world.clock.advance(6_000);
}

#[tokio::test]
async fn nothing_is_sent_at_the_next_provider_before_the_hand_over_is_confirmed() {
    for when in [When::Before, When::After] {
        let stage = Stage::new();
        stage.vendors.act([no_access()]);
        let faults = &stage.ports.world.faults;
        faults.fail_every("actors.release", when);
        let response = stage.post("/generate", both()).await;
        refused(&response, 504, Code::ProviderTimeout);
        assert_eq!(charged(&stage), 0, "{when:?}: sent without a confirmation");
        faults.heal_all();
        let state = state(&stage).await;
        if when == When::Before {
            // The old object still has the job; its taker takes it back from the next one.
            assert_eq!(state, JobState::Succeeded);
            assert_eq!((charged(&stage), spent(&stage).await.len()), (1, 1));
        } else {
            // The old object has ended its part, and nobody could be told: not lost from sight, and never sent.
            assert_eq!(state, JobState::Unknown);
            assert_eq!((charged(&stage), spent(&stage).await.len()), (0, 1));
        }
    }
}

#[tokio::test]
async fn a_hand_over_that_is_confirmed_late_goes_on_by_itself() {
    let stage = Stage::new();
    stage.vendors.act([no_access()]);
    for nth in 1..=9 {
        let faults = &stage.ports.world.faults;
        faults.fail("actors.release", nth, When::Before);
    }
    ok(&stage.post("/generate", both()).await);
    assert_eq!(charged(&stage), 1);
}

/// The object is deaf, or mute, for longer than the request is patient.
#[tokio::test]
async fn a_hand_over_that_is_confirmed_after_the_answer_goes_on_with_the_consumer() {
    for when in [When::Before, When::After] {
        let stage = Stage::new();
        stage.vendors.act([no_access()]);
        let faults = &stage.ports.world.faults;
        for nth in 1..=30 {
            faults.fail("actors.release", nth, when);
        }
        let response = stage.post("/generate", both()).await;
        refused(&response, 504, Code::ProviderTimeout);
        assert_eq!(faults.pending(), 0, "{when:?}");
        assert_eq!(state(&stage).await, JobState::Succeeded, "{when:?}");
        assert_eq!((charged(&stage), spent(&stage).await.len()), (1, 1));
    }
}

#[tokio::test]
async fn a_settle_whose_answer_was_lost_is_followed_all_the_same() {
    let stage = Stage::new();
    stage.vendors.act([no_access()]);
    let faults = &stage.ports.world.faults;
    faults.fail("actors.settle", 1, When::After);
    let body = ok(&stage.post("/generate", both()).await);
    assert_eq!(body["metadata"]["provider"], "openai");
    assert_eq!(charged(&stage), 1);
}

/// The request is slower than the deadline of its hand-over, so that the consumer goes on beside it.
#[tokio::test]
async fn of_two_paths_after_a_slow_hand_over_one_sends() {
    // Each command is slow, and one of the hand-over is answered at its third try only.
    for (command, first) in [("acquire", 2), ("release", 1), ("settle", 1)] {
        for slow_ms in [8_000, 9_000] {
            let stage = Stage::new();
            stage.get("/v1/models").await;
            stage.vendors.act([no_access()]);
            let faults = &stage.ports.world.faults;
            faults.slow("actors", slow_ms);
            for nth in [first, first + 1] {
                faults.fail(&format!("actors.{command}"), nth, When::Before);
            }
            let mut asked = both();
            asked["timeout_ms"] = json!(600_000);
            stage.generate_meanwhile(&asked, 400).await;
            stage.ports.world.faults.heal_all();
            let what = format!("{command} takes {slow_ms} ms");
            assert_eq!(state(&stage).await, JobState::Succeeded, "{what}");
            assert_eq!(charged(&stage), 1, "{what}");
            assert_eq!(spent(&stage).await.len(), 1, "{what}");
        }
    }
}

#[tokio::test]
async fn a_dead_request_between_both_objects_costs_nothing_but_time() {
    for k in 1..=8 {
        let stage = Stage::new();
        stage.get("/v1/models").await;
        stage.vendors.act([no_access()]);
        let (app, _) = stage.app();
        let body = both();
        let send = app.post("/generate").key(&stage.key).json(&body).send();
        // acquire, submit, settle, acquire, release, submit, put, settle.
        assert!(!crate::crash::until_call(&stage, k, send), "{k}");
        stage.pass(3_600_000).await;
        let sent = charged(&stage);
        let jobs = stage.rows("SELECT state FROM jobs").await;
        match k {
            // Before the settle is written nobody knows that the first provider refused.
            1..=3 => assert_eq!(sent, 0, "dead at call {k}"),
            // From then on the job goes on, also where the next object has it already and was not confirmed.
            4 | 5 => {
                assert_eq!(jobs[0].text("state"), Some("succeeded"), "dead at call {k}");
                assert_eq!(
                    (sent, spent(&stage).await.len()),
                    (1, 1),
                    "dead at call {k}"
                );
            }
            _ => assert!(sent <= 1, "dead at call {k}"),
        }
    }
}

#[tokio::test]
async fn a_taker_that_comes_late_takes_back_what_was_booked_for_an_unsent_attempt() {
    let stage = Stage::new();
    stage.get("/v1/models").await;
    stage.vendors.act([no_access()]);
    stage.ports.queue.deliver(Delivery::Lost);
    let (app, _) = stage.app();
    let body = both();
    let send = app.post("/generate").key(&stage.key).json(&body).send();
    // The next object has the job, and the old one has not confirmed it.
    assert!(!crate::crash::until_call(&stage, 5, send));
    stage.pass(80_000).await;
    assert_eq!(spent(&stage).await.len(), 1, "booked as unknown");
    stage.ports.queue.deliver(Delivery::Once);
    assert_eq!(state(&stage).await, JobState::Succeeded);
    assert_eq!((charged(&stage), spent(&stage).await.len()), (1, 1));
    let rows = stage
        .rows("SELECT phase FROM usage_logs ORDER BY phase")
        .await;
    let phases: Vec<_> = rows.iter().filter_map(|row| row.text("phase")).collect();
    // The refused one, the one that was taken back, the one that ran.
    assert_eq!(phases, ["charge", "charge", "charge", "correction"]);
}

#[tokio::test]
async fn an_attempt_that_cannot_be_sent_ends_a_job_that_is_known_elsewhere() {
    let stage = Stage::new();
    stage.get("/v1/models").await;
    stage.vendors.act([no_access()]);
    let (app, _) = stage.app();
    let body = both();
    let send = app.post("/generate").key(&stage.key).json(&body).send();
    // Dead between both objects: the refusal of the first one is settled.
    assert!(!crate::crash::until_call(&stage, 4, send));
    spoil_the_key(&stage);
    assert_eq!(state(&stage).await, JobState::Dead);
    let jobs = stage.rows("SELECT job_id FROM jobs").await;
    let job = stage.job(jobs[0].text("job_id").unwrap()).await;
    assert_eq!(job.error.unwrap().code, Code::DecryptionFailed);
    assert_eq!((charged(&stage), spent(&stage).await.len()), (0, 0));
    // The second attempt has left no usage behind: it never reached a provider.
    assert_eq!(stage.rows("SELECT * FROM usage_logs").await.len(), 1);
}

/// A job that was handed to the consumer a moment ago, and has not been begun.
async fn parked(stage: &Stage, mut asked: Value) -> String {
    make_slow(stage).await;
    asked["timeout_ms"] = json!(1_000);
    let response = stage.post("/generate", asked).await;
    let details = refused(&response, 504, Code::ProviderTimeout);
    details["job_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_parked_job_that_cannot_be_sent_ends_with_its_reason() {
    let stage = Stage::new();
    let job_id = parked(&stage, request("openai")).await;
    spoil_the_key(&stage);
    stage.get("/v1/models").await;
    stage.pass(60_000).await;
    let job = stage.job(&job_id).await;
    assert_eq!(job.state, JobState::Dead);
    assert_eq!(job.error.unwrap().code, Code::DecryptionFailed);
    assert_eq!(charged(&stage), 1);
}

#[tokio::test]
async fn a_parked_job_that_cannot_be_sent_goes_to_the_next_provider() {
    let stage = Stage::new();
    stage.configure(|config| config["routing"] = json!({"max_attempts": 1}));
    let mut asked = request("openai");
    asked["fallback"] = json!(["ideogram/ideogram-3"]);
    let job_id = parked(&stage, asked).await;
    spoil_the_key(&stage);
    stage.get("/v1/models").await;
    stage.pass(60_000).await;
    let job = stage.job(&job_id).await;
    assert_eq!(job.state, JobState::Succeeded);
    assert_eq!(job.provider.as_str(), "ideogram");
    assert_eq!((charged(&stage), spent(&stage).await.len()), (2, 2));
}

#[tokio::test]
async fn a_lease_that_was_never_used_is_given_back_with_patience() {
    let stage = Stage::new();
    let faults = &stage.ports.world.faults;
    faults.fail_every("actors.acquire", When::After);
    for nth in 1..=9 {
        faults.fail("actors.release", nth, When::Before);
    }
    let response = stage.generate("ideogram").await;
    refused(&response, 503, Code::LimiterUnavailable);
    assert_eq!(faults.pending(), 0);
    faults.heal_all();
    stage.pass(3_600_000).await;
    assert!(stage.rows("SELECT * FROM usage_logs").await.is_empty());
    assert_eq!(charged(&stage), 0);
}

#[tokio::test]
async fn a_second_object_that_does_not_answer_ends_the_job_once_and_with_its_first_reason() {
    for when in [When::Before, When::After] {
        let stage = Stage::new();
        stage.vendors.act([no_access()]);
        let faults = &stage.ports.world.faults;
        // The first acquire is answered, the second one never.
        for nth in 2..=4 {
            faults.fail("actors.acquire", nth, when);
        }
        let response = stage.post("/generate", both()).await;
        let details = refused(&response, 502, Code::ProviderAuth);
        assert_eq!(state(&stage).await, JobState::Dead, "{when:?}");
        let job = stage.job(details["job_id"].as_str().unwrap()).await;
        assert_eq!(job.error.unwrap().code, Code::ProviderAuth, "{when:?}");
        assert_eq!((charged(&stage), spent(&stage).await.len()), (0, 0));
    }
}

#[tokio::test]
async fn a_take_whose_answers_are_lost_for_a_while_still_runs() {
    let stage = Stage::new();
    make_slow(&stage).await;
    let mut asked = request("openai");
    asked["timeout_ms"] = json!(1_000);
    refused(
        &stage.post("/generate", asked).await,
        504,
        Code::ProviderTimeout,
    );
    for nth in 1..=7 {
        let faults = &stage.ports.world.faults;
        faults.fail("actors.take", nth, When::After);
    }
    stage.pass(3_600_000).await;
    assert_eq!(stage.ports.world.faults.pending(), 0);
    let jobs = stage.rows("SELECT state FROM jobs").await;
    assert!(
        jobs.iter()
            .all(|row| row.text("state") == Some("succeeded")),
        "{jobs:?}"
    );
    assert_eq!((charged(&stage), spent(&stage).await.len()), (2, 2));
}

#[tokio::test]
async fn without_a_configuration_a_parked_job_stays_unsent() {
    let mut stage = Stage::new();
    make_slow(&stage).await;
    let mut asked = request("openai");
    asked["timeout_ms"] = json!(1_000);
    let response = stage.post("/generate", asked).await;
    let details = refused(&response, 504, Code::ProviderTimeout);
    stage.forget();
    stage.set_config_service_down(true);
    let before_ms = stage.ports.world.clock.now_ms();
    stage.pass(120_000).await;
    assert_eq!(charged(&stage), 1);
    assert_eq!(spent(&stage).await.len(), 1, "an unsent job is booked");
    stage.set_config_service_down(false);
    stage.pass(120_000).await;
    let job = stage.job(details["job_id"].as_str().unwrap()).await;
    assert_eq!(job.state, JobState::Succeeded);
    assert!(stage.ports.world.clock.now_ms() > before_ms);
    assert_eq!((charged(&stage), spent(&stage).await.len()), (2, 2));
}

//! Rejected and rotated provider keys: which one is sent, what is asked of config-service, what it is told.

use crate::answer::{ok, refused};
use crate::support::{IDEOGRAM_KEY, NEW_IDEOGRAM_KEY, OPENAI_KEY, Stage, request};
use crate::vendors::{Act, GATEWAY_HOST};
use api_types::JobState;
use errors::Code;
use platform::fakes::When;
use serde_json::json;

fn report(id: &str, outcome: &str) -> (String, String) {
    (id.to_owned(), outcome.to_owned())
}

#[tokio::test]
async fn a_key_that_works_is_reported_once_in_a_while() {
    let stage = Stage::new();
    ok(&stage.generate("ideogram").await);
    ok(&stage.generate("ideogram").await);
    assert_eq!(stage.reports(), [report(IDEOGRAM_KEY, "ok")]);
    stage.pass(300_000).await;
    ok(&stage.generate("ideogram").await);
    assert_eq!(stage.reports().len(), 2);
    assert!(stage.asked_keys().is_empty());
}

#[tokio::test]
async fn a_rotated_key_is_picked_up_at_once_when_the_old_one_is_rejected() {
    let stage = Stage::new();
    ok(&stage.generate("ideogram").await);
    stage.rotate_ideogram(false);
    stage.vendors.reject_keys(&["ideogram-secret"]);
    let body = ok(&stage.generate("ideogram").await);
    assert_eq!(body["attempts"], 1);
    assert_eq!(stage.vendors.keys(), ["ideogram-secret", "ideogram-new"]);
    // The configuration is still the old one; the new key is in memory.
    ok(&stage.generate("ideogram").await);
    assert_eq!(stage.asked_keys(), ["production/ideogram"]);
    assert_eq!(
        stage.reports(),
        [
            report(IDEOGRAM_KEY, "ok"),
            report(IDEOGRAM_KEY, "auth_failed"),
            report(NEW_IDEOGRAM_KEY, "ok"),
        ]
    );
    // Each row names the key that was sent.
    assert_eq!(
        stage.attempts("ideogram", "job ->> '$.credential_id'"),
        [IDEOGRAM_KEY, NEW_IDEOGRAM_KEY, NEW_IDEOGRAM_KEY]
    );
    stage.pass(5_000).await;
    let usage = stage.rows("SELECT outcome FROM usage_logs").await;
    assert!(
        usage
            .iter()
            .all(|row| row.text("outcome") == Some("succeeded"))
    );
}

#[tokio::test]
async fn a_rejected_key_without_another_one_is_asked_for_once_and_ends_the_attempt() {
    for down in [false, true] {
        let stage = Stage::new();
        stage.get("/v1/models").await;
        stage.vendors.reject_keys(&["ideogram-secret"]);
        stage.set_config_service_down(down);
        let response = stage.generate("ideogram").await;
        refused(&response, 502, Code::ProviderAuth);
        assert_eq!(stage.ports.http.requests().len(), 1, "one submit");
        assert!(stage.vendors.charged().is_empty());
        if !down {
            assert_eq!(stage.asked_keys(), ["production/ideogram"]);
            assert_eq!(stage.reports(), [report(IDEOGRAM_KEY, "auth_failed")]);
        }
    }
}

#[tokio::test]
async fn two_rejected_keys_are_two_submits_and_not_more() {
    let stage = Stage::new();
    stage.rotate_ideogram(false);
    stage
        .vendors
        .reject_keys(&["ideogram-secret", "ideogram-new"]);
    refused(&stage.generate("ideogram").await, 502, Code::ProviderAuth);
    assert_eq!(stage.ports.http.requests().len(), 2);
    assert_eq!(stage.asked_keys(), ["production/ideogram"]);
    assert_eq!(
        stage.reports(),
        [
            report(IDEOGRAM_KEY, "auth_failed"),
            report(NEW_IDEOGRAM_KEY, "auth_failed"),
        ]
    );
}

/// A job that was submitted under the first key and goes on with the consumer after a rotation.
async fn submitted_then_rotated(overlaps: bool) -> (Stage, String) {
    let stage = Stage::new();
    stage.vendors.act([Act::Finish { polls: 6 }]);
    let mut asked = request("ideogram");
    asked["timeout_ms"] = json!(1_500);
    let response = stage.post("/generate", asked).await;
    let details = refused(&response, 504, Code::ProviderTimeout);
    let new = stage.rotate_ideogram(overlaps);
    stage.publish_rotated(&new);
    stage.get("/v1/models").await;
    (stage, details["job_id"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_job_is_polled_with_the_key_that_it_was_submitted_under() {
    let (stage, job_id) = submitted_then_rotated(true).await;
    // The new key is of another account, which does not see the job.
    stage.vendors.reject_keys(&["ideogram-new"]);
    stage.pass(120_000).await;
    assert_eq!(stage.job(&job_id).await.state, JobState::Succeeded);
    let by_id = format!("production/ideogram?credential_id={IDEOGRAM_KEY}");
    assert_eq!(stage.asked_keys(), [by_id]);
    assert_eq!(stage.vendors.charged().len(), 1);
}

#[tokio::test]
async fn a_job_whose_key_is_gone_is_polled_with_the_current_one() {
    let (stage, job_id) = submitted_then_rotated(false).await;
    stage.vendors.reject_keys(&["ideogram-secret"]);
    stage.pass(120_000).await;
    assert_eq!(stage.job(&job_id).await.state, JobState::Succeeded);
    assert_eq!(stage.vendors.charged().len(), 1);
}

#[tokio::test]
async fn a_job_whose_key_the_vendor_no_longer_takes_is_polled_with_the_current_one() {
    let (stage, job_id) = submitted_then_rotated(true).await;
    stage.vendors.reject_keys(&["ideogram-secret"]);
    stage.pass(120_000).await;
    assert_eq!(stage.job(&job_id).await.state, JobState::Succeeded);
    assert_eq!(stage.vendors.charged().len(), 1);
    assert!(
        stage
            .reports()
            .contains(&report(IDEOGRAM_KEY, "auth_failed"))
    );
}

#[tokio::test]
async fn what_an_account_may_not_do_says_nothing_about_its_key() {
    let stage = Stage::new();
    stage.rotate_ideogram(false);
    let no_access = Act::Refuse(403, json!({"error": "no access"}));
    stage.vendors.act([no_access]);
    refused(&stage.generate("ideogram").await, 502, Code::ProviderAuth);
    assert!(stage.asked_keys().is_empty());
    assert!(stage.reports().is_empty());
}

#[tokio::test]
async fn a_new_key_is_sent_only_once_the_row_names_it() {
    for when in [When::Before, When::After] {
        let stage = Stage::new();
        stage.rotate_ideogram(false);
        stage.vendors.reject_keys(&["ideogram-secret"]);
        stage.ports.world.faults.fail_every("actors.renew", when);
        refused(&stage.generate("ideogram").await, 502, Code::ProviderAuth);
        assert!(stage.vendors.charged().is_empty(), "{when:?}");
        stage.ports.world.faults.heal_all();
        // A rejected key opens the breaker.
        stage.pass(180_000).await;
        ok(&stage.generate("ideogram").await);
        assert_eq!(stage.vendors.keys(), ["ideogram-new"], "{when:?}");
    }
}

#[tokio::test]
async fn a_parked_job_names_the_key_that_the_consumer_sends() {
    let stage = Stage::new();
    stage.vendors.act([Act::Bytes { delay_ms: 25_000 }]);
    ok(&stage.generate("openai").await);
    let mut asked = request("openai");
    asked["timeout_ms"] = json!(1_000);
    let response = stage.post("/generate", asked).await;
    let details = refused(&response, 504, Code::ProviderTimeout);
    // The key is replaced before the consumer takes the job.
    stage.replace_openai();
    stage.get("/v1/models").await;
    stage.pass(60_000).await;
    let job = stage.job(details["job_id"].as_str().unwrap()).await;
    assert_eq!(job.state, JobState::Succeeded);
    assert_eq!(
        stage.vendors.keys(),
        ["Bearer openai-secret", "Bearer openai-new"]
    );
    assert_eq!(
        stage.attempts("openai", "job ->> '$.credential_id'"),
        [OPENAI_KEY, NEW_IDEOGRAM_KEY]
    );
}

#[tokio::test]
async fn a_lost_report_is_repeated_with_a_later_use_of_the_key() {
    let stage = Stage::new();
    stage.get("/v1/models").await;
    stage.set_config_service_down(true);
    ok(&stage.generate("ideogram").await);
    stage.set_config_service_down(false);
    assert!(stage.reports().is_empty());
    stage.ports.world.clock.advance(5_000);
    ok(&stage.generate("ideogram").await);
    assert_eq!(stage.reports(), [report(IDEOGRAM_KEY, "ok")]);
}

/// The row names the key before the vendor is asked with it, so whoever goes on from a dead request asks with the same one;
/// what was accepted is never sent again, and what was not costs nothing but time.
#[tokio::test]
async fn a_request_that_reads_a_key_again_may_die_anywhere() {
    let mut delivered = 0;
    for k in 1..100 {
        let stage = Stage::new();
        stage.get("/v1/models").await;
        stage.rotate_ideogram(false);
        stage.vendors.reject_keys(&["ideogram-secret"]);
        stage.vendors.act([Act::Finish { polls: 3 }]);
        let (app, _) = stage.app();
        let body = request("ideogram");
        let send = app.post("/generate").key(&stage.key).json(&body).send();
        let ended = crate::crash::until_call(&stage, k, send);
        let what = format!("dead at call {k}");
        let states = crate::crash::check(&stage, &what).await;
        let charged = stage.vendors.charged().len();
        if charged == 1 {
            let named = stage.attempts("ideogram", "job ->> '$.credential_id'");
            assert!(
                named.iter().all(|id| id == NEW_IDEOGRAM_KEY),
                "{what}: {named:?}"
            );
            assert_eq!(stage.vendors.keys(), ["ideogram-new"], "{what}");
        }
        match k {
            // acquire, submit, the key, renew, and the second submit, which is not sent yet.
            1..=5 => assert_eq!(charged, 0, "{what}"),
            // Sent and its answer lost: known to be unknown.
            6 => assert_eq!(
                (charged, states.as_slice()),
                (1, [JobState::Unknown].as_slice()),
                "{what}"
            ),
            _ => {
                assert_eq!(
                    (charged, states.as_slice()),
                    (1, [JobState::Succeeded].as_slice()),
                    "{what}"
                );
                delivered += 1;
            }
        }
        if ended {
            // submitted, 3 polls, download, put, settle; and once without a death.
            assert_eq!(delivered, 7, "{what}");
            return;
        }
    }
    panic!("it never ends");
}

const VENDOR: (&str, &str) = ("https://api.ideogram.ai", "api.ideogram.ai");
const GATEWAY: (&str, &str) = ("https://gateway.example.com/acme/ideogram", GATEWAY_HOST);

/// A job that was submitted at the first address and goes on after the provider has moved to the second, with another key.
async fn submitted_then_moved(
    from: (&str, &str),
    to: (&str, &str),
    said_host: &str,
) -> (Stage, JobState) {
    let stage = Stage::new();
    if from != VENDOR {
        stage.place_ideogram(from.0, from.1);
    }
    stage.vendors.act([Act::Finish { polls: 6 }]);
    let mut asked = request("ideogram");
    asked["timeout_ms"] = json!(1_500);
    let response = stage.post("/generate", asked).await;
    let details = refused(&response, 504, Code::ProviderTimeout);
    let new = stage.rebind_ideogram(to.1, said_host);
    stage.configure(|config| config["providers"]["ideogram"]["base_url"] = json!(to.0));
    stage.publish_rotated(&new);
    stage.get("/v1/models").await;
    stage.pass(120_000).await;
    let job = stage.job(details["job_id"].as_str().unwrap()).await;
    assert_eq!(stage.vendors.charged().len(), 1);
    // Whatever happens, each key goes to the host that it is bound to and nowhere else.
    for (host, key) in stage.vendors.sent() {
        let bound = if key == "ideogram-new" { to.1 } else { from.1 };
        assert_eq!(host, bound, "{key}");
    }
    (stage, job.state)
}

#[tokio::test]
async fn a_job_is_polled_where_its_key_belongs_after_the_provider_has_moved() {
    for (from, to) in [(VENDOR, GATEWAY), (GATEWAY, VENDOR)] {
        let (stage, state) = submitted_then_moved(from, to, from.1).await;
        assert_eq!(state, JobState::Succeeded, "{from:?}");
        let polled = stage.ports.http.requests();
        let polls: Vec<_> = polled
            .iter()
            .filter(|request| request.url.contains("/v2/generations/"))
            .collect();
        assert!(polls.len() >= 6);
        for poll in polls {
            assert!(poll.url.starts_with(from.0), "{}", poll.url);
            assert_eq!(poll.headers["api-key"], "ideogram-secret");
        }
        // New work goes to the new address with the new key.
        ok(&stage.generate("ideogram").await);
        assert!(
            stage
                .vendors
                .sent()
                .contains(&(to.1.to_owned(), "ideogram-new".to_owned()))
        );
    }
}

#[tokio::test]
async fn a_key_that_is_said_to_belong_to_another_host_does_not_open() {
    let (stage, state) = submitted_then_moved(VENDOR, GATEWAY, GATEWAY_HOST).await;
    // The gateway speaks to the same vendor, so the current key finds the job there.
    assert_eq!(state, JobState::Succeeded);
    let key = |host: &str, key: &str| (host.to_owned(), key.to_owned());
    let sent = [
        key(VENDOR.1, "ideogram-secret"),
        key(GATEWAY_HOST, "ideogram-new"),
    ];
    assert_eq!(stage.vendors.sent(), sent.into_iter().collect());
}

#[tokio::test]
async fn a_rejected_key_is_not_renewed_with_one_of_another_host() {
    let stage = Stage::new();
    // The configuration that this worker has does not know of the move yet.
    stage.rebind_ideogram(GATEWAY.1, VENDOR.1);
    stage.vendors.reject_keys(&["ideogram-secret"]);
    refused(&stage.generate("ideogram").await, 502, Code::ProviderAuth);
    assert!(stage.vendors.charged().is_empty());
    assert_eq!(stage.asked_keys(), ["production/ideogram"]);
    let sent: Vec<_> = stage.vendors.sent().into_iter().collect();
    assert_eq!(sent, [(VENDOR.1.to_owned(), "ideogram-secret".to_owned())]);
}

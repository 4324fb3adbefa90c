//! Providers that take longer than their clients: the job goes on, and its image arrives.

use crate::answer::{ok, refused};
use crate::support::{Stage, request};
use crate::vendors::Act;
use api_types::JobState;
use errors::Code;
use middleware::testing::TestResponse;
use serde_json::json;

/// The headers of an answer with a job that goes on: nothing is booked yet.
fn tells_of_the_job(response: &TestResponse, job_id: &str, provider: &str, model: &str) {
    for (name, value) in [
        ("x-switchyard-job-id", job_id),
        ("x-switchyard-provider", provider),
        ("x-switchyard-model", model),
        ("x-switchyard-attempts", "1"),
        ("x-switchyard-cost-usd-micros", "0"),
    ] {
        assert_eq!(response.header(name), value, "{name}");
    }
    assert!(!response.header("x-ratelimit-remaining-requests").is_empty());
    let overhead: u64 = response.header("x-switchyard-overhead-ms").parse().unwrap();
    assert!(overhead < 100, "{overhead} ms without the provider");
    let timing = response.header("server-timing");
    for part in ["plan", "admit", "provider"] {
        assert!(timing.contains(part), "{part}: {timing}");
    }
}

#[tokio::test]
async fn a_slow_provider_answers_504_and_its_image_comes_later() {
    let stage = Stage::new();
    stage.vendors.act([Act::Finish { polls: 6 }]);
    let mut asked = request("ideogram");
    asked["timeout_ms"] = json!(5_000);
    let response = stage.post("/generate", asked).await;
    let details = refused(&response, 504, Code::ProviderTimeout);
    let job_id = details["job_id"].as_str().unwrap().to_owned();
    assert_eq!(
        details["status_url"],
        format!("https://api.example.com/jobs/{job_id}")
    );
    assert_eq!(response.header("location"), details["status_url"]);
    assert_eq!(response.header("x-should-retry"), "false");
    tells_of_the_job(&response, &job_id, "ideogram", "ideogram-3");
    stage.pass(120_000).await;
    let job = stage.job(&job_id).await;
    assert_eq!(job.state, JobState::Succeeded);
    assert_eq!(stage.vendors.charged().len(), 1);
    assert!(
        job.result
            .unwrap()
            .image_url
            .starts_with("https://api.example.com/images/")
    );
}

#[tokio::test]
async fn a_submit_that_is_answered_after_its_client_has_gone_still_delivers() {
    for delay_ms in [5_001, 8_000, 20_000, 29_000] {
        let stage = Stage::new();
        stage.vendors.act([Act::Late { delay_ms }]);
        let mut asked = request("ideogram");
        asked["timeout_ms"] = json!(5_000);
        let response = stage.post("/generate", asked).await;
        let details = refused(&response, 504, Code::ProviderTimeout);
        let job_id = details["job_id"].as_str().unwrap();
        tells_of_the_job(&response, job_id, "ideogram", "ideogram-3");
        stage.pass(60_000).await;
        let job = stage.job(details["job_id"].as_str().unwrap()).await;
        assert_eq!(job.state, JobState::Succeeded, "{delay_ms}");
        assert_eq!(stage.vendors.charged().len(), 1, "{delay_ms}");
    }
}

#[tokio::test]
async fn a_submit_without_any_answer_is_unknown_when_its_time_is_over() {
    let stage = Stage::new();
    stage.vendors.act([Act::AcceptAndHang]);
    let response = stage.generate("ideogram").await;
    let details = refused(&response, 504, Code::ProviderTimeout);
    stage.pass(600_000).await;
    let job = stage.job(details["job_id"].as_str().unwrap()).await;
    assert_eq!(job.state, JobState::Unknown);
    assert_eq!(job.error.unwrap().details["kind"], "timeout");
    assert_eq!(stage.vendors.charged().len(), 1);
}

#[tokio::test]
async fn a_synchronous_provider_that_is_late_still_delivers_into_the_bucket() {
    let stage = Stage::new();
    stage.vendors.act([Act::Bytes { delay_ms: 20_000 }]);
    let mut asked = request("openai");
    asked["timeout_ms"] = json!(5_000);
    let response = stage.post("/generate", asked).await;
    let details = refused(&response, 504, Code::ProviderTimeout);
    let job_id = details["job_id"].as_str().unwrap();
    tells_of_the_job(&response, job_id, "openai", "gpt-image-2.5-flare");
    let job = stage.job(details["job_id"].as_str().unwrap()).await;
    assert_eq!(job.state, JobState::Succeeded);
    assert_eq!(stage.ports.objects.keys().len(), 1);
}

#[tokio::test]
async fn slow_synchronous_calls_are_made_by_the_consumer_so_that_no_disconnect_cuts_them() {
    let stage = Stage::new();
    stage.vendors.act([Act::Bytes { delay_ms: 25_000 }]);
    ok(&stage.generate("openai").await);
    stage.vendors.act([Act::Bytes { delay_ms: 25_000 }]);
    let (app, _) = stage.app();
    let asked = request("openai");
    let send = app.post("/generate").key(&stage.key).json(&asked).send();
    let consumer = async {
        platform::Clock::sleep(&stage.ports.world.clock, 100).await;
        stage.settle_down().await;
    };
    let (response, ()) = tokio::join!(send, consumer);
    let body = ok(&response);
    assert_eq!(body["request_id"], response.header("x-request-id"));
    assert_eq!(
        response.header("x-switchyard-cost-usd-micros"),
        body["cost_usd_micros"].to_string()
    );
    assert_eq!(stage.vendors.charged().len(), 2);

    // The client leaves before anything is sent: the image arrives all the same.
    stage.vendors.act([Act::Bytes { delay_ms: 25_000 }]);
    let mut impatient = request("openai");
    impatient["timeout_ms"] = json!(1_000);
    let details = refused(
        &stage.post("/generate", impatient).await,
        504,
        Code::ProviderTimeout,
    );
    stage.pass(60_000).await;
    let job = stage.job(details["job_id"].as_str().unwrap()).await;
    assert_eq!(job.state, JobState::Succeeded);
    assert_eq!(stage.vendors.charged().len(), 3);
}

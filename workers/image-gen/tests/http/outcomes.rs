//! What providers do with a request, and what the caller and the ledger are told.

use crate::answer::{ok, refused};
use crate::support::{Stage, request};
use crate::vendors::Act;
use api_types::JobState;
use errors::Code;
use serde_json::json;

#[tokio::test]
async fn what_the_provider_refuses_has_its_own_code() {
    for (act, status, code, kind) in [
        (
            Act::Refuse(403, json!({"error": "no access"})),
            502,
            Code::ProviderAuth,
            "auth",
        ),
        (
            Act::Refuse(
                402,
                json!({"error": "credit", "reject_reason": "insufficient_funds"}),
            ),
            502,
            Code::ProviderQuota,
            "quota",
        ),
        (
            Act::Refuse(422, json!({"error": "unsafe"})),
            422,
            Code::RejectedBySafety,
            "rejected_by_safety",
        ),
        (
            Act::Refuse(400, json!({"error": "bad"})),
            400,
            Code::InvalidRequest,
            "invalid",
        ),
        (
            Act::Refuse(
                429,
                json!({"error": "slow", "reject_reason": "inflight_limit", "max_inflight_requests": 10}),
            ),
            429,
            Code::RateLimited,
            "rate_limited",
        ),
        (
            Act::Fail("model exploded"),
            502,
            Code::ProviderError,
            "unavailable",
        ),
        (
            Act::Fail("content_policy"),
            422,
            Code::RejectedBySafety,
            "rejected_by_safety",
        ),
        (
            Act::Withhold(vec![0]),
            422,
            Code::RejectedBySafety,
            "rejected_by_safety",
        ),
        (Act::Html, 502, Code::ProviderError, "no_output"),
    ] {
        let stage = Stage::new();
        stage.vendors.act([act.clone()]);
        let response = stage.generate("ideogram").await;
        let details = refused(&response, status, code);
        assert_eq!(details["kind"], kind, "{act:?}");
        let job_id = details["job_id"].as_str().unwrap_or_default();
        assert_eq!(response.header("x-switchyard-job-id"), job_id, "{act:?}");
        stage.pass(2_000).await;
        let job = stage.job(job_id).await;
        assert!(job.state.is_final(), "{act:?} {:?}", job.state);
        assert_eq!(job.error.unwrap().code, code, "{act:?}");
    }
}

#[tokio::test]
async fn part_of_the_images_withheld_is_a_success_with_a_warning() {
    let stage = Stage::new();
    stage.vendors.act([Act::Withhold(vec![1])]);
    let mut asked = request("ideogram");
    asked["n"] = json!(3);
    let body = ok(&stage.post("/generate", asked).await);
    assert_eq!(body["withheld"], 1);
    assert_eq!(body["images"].as_array().unwrap().len(), 2);
    let warned = body["warnings"].as_array().unwrap().iter();
    assert!(
        warned
            .clone()
            .any(|warning| warning["code"] == "image_withheld"),
        "{body}"
    );
}

#[tokio::test]
async fn a_wrong_size_is_a_warning_or_with_strict_a_failure_that_is_kept_and_booked() {
    let stage = Stage::new();
    stage.vendors.draw(640, 480);
    let body = ok(&stage.generate("ideogram").await);
    assert_eq!(body["images"][0]["quality"], "dimensions");
    assert_eq!(body["warnings"][0]["code"], "quality");
    let mut asked = request("ideogram");
    asked["quality_check"] = json!("strict");
    let response = stage.post("/generate", asked).await;
    let details = refused(&response, 422, Code::QualityRejected);
    assert_eq!(response.header("x-switchyard-cost-usd-micros"), "60000");
    assert_eq!(stage.ports.objects.keys().len(), 2);
    stage.pass(2_000).await;
    let job = stage.job(details["job_id"].as_str().unwrap()).await;
    assert_eq!(
        (job.state, job.cost_usd_micros),
        (JobState::Failed, Some(60_000))
    );
}

#[tokio::test]
async fn a_blank_picture_is_a_warning_or_with_strict_a_failure_that_is_kept_and_booked() {
    for (provider, cost) in [("ideogram", 60_000), ("openai", 30_050)] {
        let stage = Stage::new();
        stage.vendors.draw_nothing();
        let mut asked = request(provider);
        asked["quality_check"] = json!("off");
        let body = ok(&stage.post("/generate", asked.clone()).await);
        assert_eq!(body["images"][0]["quality"], "unchecked");
        asked["quality_check"] = json!("warn");
        let body = ok(&stage.post("/generate", asked.clone()).await);
        assert_eq!(body["images"][0]["quality"], "blank");
        let warned = json!({"code": "quality", "option": "blank"});
        assert_eq!(body["warnings"][0], warned, "{provider}");

        asked["quality_check"] = json!("strict");
        let send = || stage.post_with("/generate", asked.clone(), &[("idempotency-key", "k")]);
        let details = refused(&send().await, 422, Code::QualityRejected);
        let job_id = details["job_id"].as_str().unwrap();
        stage.pass(3_600_000).await;
        let job = stage.job(job_id).await;
        assert_eq!(
            (job.state, job.cost_usd_micros),
            (JobState::Failed, Some(cost))
        );
        let rows = stage
            .rows("SELECT job_id, quality, state FROM images")
            .await;
        let kept = rows
            .iter()
            .find(|row| row.text("job_id") == Some(job_id))
            .unwrap();
        assert_eq!(
            (kept.text("quality"), kept.text("state")),
            (Some("blank"), Some("live"))
        );
        assert_eq!(stage.ports.objects.keys().len(), 3, "one each time");
        // The same request again is answered the same; nobody has bought another one, also not in the hour since.
        refused(&send().await, 422, Code::QualityRejected);
        assert_eq!(stage.vendors.charged().len(), 3, "{provider}");
    }
}

#[tokio::test]
async fn a_picture_with_several_faults_names_the_worst_first() {
    let stage = Stage::new();
    stage.vendors.draw_nothing();
    stage.vendors.draw(640, 480);
    let body = ok(&stage.generate("ideogram").await);
    assert_eq!(body["images"][0]["quality"], "blank");
    let options: Vec<_> = body["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["option"])
        .collect();
    assert_eq!(options, ["blank", "dimensions"]);
}

#[tokio::test]
async fn what_may_have_been_charged_is_not_tried_again() {
    let stage = Stage::new();
    stage.vendors.act([Act::Empty]);
    let details = refused(&stage.generate("ideogram").await, 502, Code::ProviderError);
    assert_eq!(details["kind"], "no_output");
    assert_eq!(stage.vendors.charged().len(), 1);
}

#[tokio::test]
async fn a_lost_answer_is_an_unknown_outcome_and_is_never_sent_again() {
    for provider in ["ideogram", "openai"] {
        let stage = Stage::new();
        stage.vendors.act([Act::AcceptAndLose]);
        let response = stage.generate(provider).await;
        let details = refused(&response, 502, Code::OutcomeUnknown);
        assert_eq!(response.header("location"), details["status_url"]);
        let job_id = details["job_id"].as_str().unwrap().to_owned();
        stage.pass(3_600_000).await;
        assert_eq!(stage.vendors.charged().len(), 1);
        let job = stage.job(&job_id).await;
        assert_eq!(job.state, JobState::Unknown);
        let usage = stage
            .rows("SELECT outcome, cost, cost_basis FROM usage_logs")
            .await;
        assert_eq!(usage.len(), 1, "{provider}");
        assert_eq!(usage[0].text("outcome"), Some("unknown"));
        assert_eq!(usage[0].text("cost_basis"), Some("upper"));
        assert!(usage[0].int("cost").is_some_and(|cost| cost > 0));
    }
}

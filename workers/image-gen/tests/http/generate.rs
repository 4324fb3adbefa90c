//! `POST /generate`: the answer, each row of the status table, and what it asks of the platform.

use crate::support::{INSTANCE, PROJECT, Stage, request};
use crate::vendors::Act;
use api_types::{InstanceStatus, JobState, Scope};
use errors::Code;
use middleware::testing::TestResponse;
use platform::fakes::When;
use serde_json::{Value, json};

/// Status, code, hint and request id are there; gives the details.
pub(crate) fn refused(response: &TestResponse, status: u16, code: Code) -> Value {
    let body = response.json();
    assert_eq!(
        response.outcome(),
        (status, code.as_str().to_owned()),
        "{}",
        response.text()
    );
    assert!(body["hint"].as_str().is_some_and(|hint| !hint.is_empty()));
    assert_eq!(body["request_id"], response.header("x-request-id"));
    assert_eq!(
        response.header("x-should-retry"),
        code.retryable().to_string()
    );
    body["details"].clone()
}

fn ok(response: &TestResponse) -> Value {
    assert_eq!(response.status.as_u16(), 200, "{}", response.text());
    response.json()
}

#[tokio::test]
async fn a_polled_provider_answers_with_a_stored_image() {
    let stage = Stage::new();
    let response = stage.generate("ideogram").await;
    let body = ok(&response);
    assert_eq!(body["success"], true);
    assert_eq!(body["metadata"]["provider"], "ideogram");
    assert_eq!(body["metadata"]["model"], "ideogram-3");
    assert_eq!(body["metadata"]["dimensions"], "1024x1024");
    assert_eq!(body["metadata"]["format"], "png");
    assert_eq!(body["metadata"]["seed"], 100);
    assert_eq!(body["cost_usd_micros"], 60_000);
    assert_eq!(body["cost_basis"], "reported");
    assert_eq!(body["attempts"], 1);
    assert_eq!(body["images"][0]["quality"], "ok");
    assert_eq!(body["request_id"], response.header("x-request-id"));
    let path = body["r2_path"].as_str().unwrap();
    assert_eq!(stage.ports.objects.keys(), [path]);
    let image_url = body["image_url"].as_str().unwrap();
    let start = format!("https://api.example.com/images/{path}?exp=");
    assert!(image_url.starts_with(&start), "{image_url}");
    assert_eq!(response.header("x-switchyard-job-id"), body["job_id"]);
    assert_eq!(response.header("x-switchyard-provider"), "ideogram");
    assert_eq!(response.header("x-switchyard-model"), "ideogram-3");
    assert_eq!(response.header("x-switchyard-attempts"), "1");
    assert_eq!(response.header("x-switchyard-cost-usd-micros"), "60000");
    assert_eq!(response.header("x-ratelimit-limit-requests"), "500");
    assert_eq!(response.header("x-ratelimit-remaining-requests"), "499");
    assert_eq!(response.header("x-ratelimit-limit-images"), "10");
    assert!(!response.header("x-switchyard-overhead-ms").is_empty());
    let timing = response.header("server-timing");
    for part in ["auth", "plan", "admit", "provider", "store"] {
        assert!(timing.contains(part), "{timing}");
    }
    assert_eq!(stage.vendors.keys(), ["ideogram-secret"]);
}

#[tokio::test]
async fn a_provider_that_answers_at_once_streams_its_images_to_the_bucket() {
    let stage = Stage::new();
    let body = ok(&stage.generate("openai").await);
    assert_eq!(body["metadata"]["provider"], "openai");
    let path = body["r2_path"].as_str().unwrap();
    let stored = stage.ports.objects.bytes(path).unwrap();
    assert_eq!(stored, crate::vendors::png(1024, 1024, 0));
    assert_eq!(stage.vendors.charged().len(), 1);
    assert_eq!(stage.vendors.keys(), ["Bearer openai-secret"]);
}

#[tokio::test]
async fn several_images_are_stored_in_order() {
    let stage = Stage::new();
    for provider in ["ideogram", "openai"] {
        let mut asked = request(provider);
        asked["n"] = json!(3);
        let body = ok(&stage.post("/generate", asked).await);
        let images = body["images"].as_array().unwrap();
        assert_eq!(images.len(), 3);
        for (i, image) in images.iter().enumerate() {
            let stored = stage
                .ports
                .objects
                .bytes(image["r2_path"].as_str().unwrap())
                .unwrap();
            assert_eq!(
                stored,
                crate::vendors::png(1024, 1024, i as u8),
                "{provider} {i}"
            );
        }
    }
}

#[tokio::test]
async fn the_warm_path_costs_what_the_architecture_promises() {
    let stage = Stage::new();
    for (provider, do_calls) in [("openai", 2), ("ideogram", 3)] {
        ok(&stage.generate(provider).await);
        stage.settle_down().await;
        let (app, ops) = stage.app();
        ok(&app
            .post("/generate")
            .key(&stage.key)
            .json(&request(provider))
            .send()
            .await);
        let count = ops.count();
        stage.ports.background.drain().await;
        assert_eq!(count.do_calls, do_calls, "{provider}");
        assert_eq!((count.r2_puts, count.r2_ops), (1, 1), "{provider}");
        assert_eq!(count.d1_queries, 0, "{provider}");
        assert_eq!(count.service_calls, 0, "{provider}");
        assert_eq!(count.kv_ops, 0, "{provider}");
    }
}

#[tokio::test]
async fn the_ledger_has_one_usage_row_and_the_job() {
    let stage = Stage::new();
    let body = ok(&stage.generate("ideogram").await);
    stage.pass(2_000).await;
    let usage = stage.rows("SELECT * FROM usage_logs").await;
    assert_eq!(usage.len(), 1);
    assert_eq!(usage[0].int("cost"), Some(60_000));
    assert_eq!(usage[0].text("job_id"), body["job_id"].as_str());
    assert_eq!(usage[0].text("outcome"), Some("succeeded"));
    let jobs = stage.rows("SELECT state FROM jobs").await;
    assert_eq!(jobs[0].text("state"), Some("succeeded"));
    let images = stage.rows("SELECT prompt, visibility FROM images").await;
    assert_eq!(images[0].text("prompt"), Some("a cat on a roof"));
    assert_eq!(images[0].text("visibility"), Some("private"));
}

#[tokio::test]
async fn prompts_and_keys_are_in_no_log_line() {
    let stage = Stage::new();
    let (app, _) = stage.app();
    let mut asked = request("ideogram");
    asked["prompt"] = json!("a very private wish");
    ok(&app
        .post("/generate")
        .key(&stage.key)
        .json(&asked)
        .send()
        .await);
    stage.vendors.act([Act::Refuse(
        400,
        json!({"error": "prompt 'a very private wish' with ideogram-secret is bad"}),
    )]);
    app.post("/generate")
        .key(&stage.key)
        .json(&asked)
        .send()
        .await;
    stage.ports.background.drain().await;
    let lines = app.lines();
    assert!(
        lines
            .iter()
            .any(|line| line["metadata"]["event"] == "provider_attempt")
    );
    assert!(
        lines
            .iter()
            .any(|line| line["metadata"]["event"] == "usage")
    );
    let text = json!(lines).to_string();
    assert!(!text.contains("ideogram-secret") && !text.contains(&stage.key));
    assert!(!text.contains("a very private wish"), "{text}");
}

#[tokio::test]
async fn bad_bodies_are_refused_by_name_and_cost_nothing() {
    let stage = Stage::new();
    for (body, code, field) in [
        (r#"{"prompt":"a","n":"2"}"#, Code::InvalidField, "n"),
        (r#"{"prompt":"a","n":0}"#, Code::InvalidField, "n"),
        (r#"{"prompt":"a","seed":0}"#, Code::InvalidField, "seed"),
        (
            r#"{"prompt":"a","size":"0x10"}"#,
            Code::InvalidField,
            "size",
        ),
        (
            r#"{"prompt":"a","size":"1x1","aspect_ratio":"1:1"}"#,
            Code::InvalidField,
            "aspect_ratio",
        ),
        (r#"{"prompt":""}"#, Code::InvalidField, "prompt"),
        (
            r#"{"prompt":"a","dry_run":true}"#,
            Code::UnknownField,
            "dry_run",
        ),
        (
            r#"{"prompt":"a","priority":3}"#,
            Code::UnknownField,
            "priority",
        ),
        (
            r#"{"prompt":"a","webhook":{"url":"https://a.example"}}"#,
            Code::UnknownField,
            "webhook",
        ),
        (
            r#"{"prompt":"a","on_limit":"queue"}"#,
            Code::InvalidRequest,
            "on_limit",
        ),
        (
            r#"{"prompt":"a","bucket":"other"}"#,
            Code::UnknownBucket,
            "bucket",
        ),
        (
            r#"{"prompt":"a","fallback":["nobody/x"]}"#,
            Code::InvalidField,
            "fallback",
        ),
    ] {
        let (app, _) = stage.app();
        let response = app
            .post("/generate")
            .key(&stage.key)
            .text("application/json", body)
            .send()
            .await;
        let details = refused(&response, code.status(), code);
        assert_eq!(details["field"], field, "{body}");
    }
    for (content_type, body, status, code) in [
        ("text/plain", "{}", 415, Code::UnsupportedMediaType),
        (
            "application/json",
            "{\"prompt\":\"a\"} x",
            400,
            Code::InvalidRequest,
        ),
        (
            "application/json",
            "{\"prompt\":\"a\",\"prompt\":\"b\"}",
            400,
            Code::InvalidField,
        ),
    ] {
        let (app, _) = stage.app();
        let response = app
            .post("/generate")
            .key(&stage.key)
            .text(content_type, body)
            .send()
            .await;
        assert_eq!(
            response.status.as_u16(),
            status,
            "{body} {}",
            response.text()
        );
        if code != Code::InvalidField {
            assert_eq!(response.outcome().1, code.as_str(), "{body}");
        }
    }
    let (app, _) = stage.app();
    let large = json!({"prompt": "x".repeat(1_100_000)});
    let response = app
        .post("/generate")
        .key(&stage.key)
        .json(&large)
        .send()
        .await;
    refused(&response, 413, Code::PayloadTooLarge);
    assert!(stage.vendors.charged().is_empty());
    assert!(stage.ports.actors.calls().is_empty());
    stage.ports.background.drain().await;
}

#[tokio::test]
async fn callers_without_the_right_are_refused_before_anything_is_asked() {
    let stage = Stage::new();
    let (app, _) = stage.app();
    let send = |key: String| {
        let app = app.clone();
        async move {
            app.post("/generate")
                .key(&key)
                .json(&request("ideogram"))
                .send()
                .await
        }
    };
    refused(&send("sy_nonsense".to_owned()).await, 401, Code::AuthFailed);
    let reader = stage.further_key(|auth| auth.permissions = vec![Scope::ImagesRead]);
    let details = refused(&send(reader).await, 403, Code::ScopeMissing);
    assert_eq!(details["scope"], "images:write");
    let response = stage
        .post_with(
            "/generate",
            request("ideogram"),
            &[("x-instance-id", "elsewhere")],
        )
        .await;
    refused(&response, 404, Code::NotFound);
    let mut asked = request("ideogram");
    asked["instance_id"] = json!("development");
    let response = stage
        .post_with("/generate", asked, &[("x-instance-id", INSTANCE)])
        .await;
    refused(&response, 400, Code::ConflictingInstance);
    stage.ports.world.clock.advance(6_000);
    stage.set_status(InstanceStatus::Paused);
    refused(&stage.generate("ideogram").await, 403, Code::InstancePaused);
    stage.ports.world.clock.advance(6_000);
    stage.set_status(InstanceStatus::Deploying);
    refused(
        &stage.generate("ideogram").await,
        409,
        Code::InstanceNotActive,
    );
    assert!(stage.ports.actors.calls().is_empty());
    stage.ports.background.drain().await;
}

#[tokio::test]
async fn the_key_may_come_in_the_body_and_is_not_stored() {
    let stage = Stage::new();
    let (app, _) = stage.app();
    let mut asked = request("ideogram");
    asked["api_key"] = json!(stage.key);
    asked["project_id"] = json!(PROJECT);
    let response = app.post("/generate").json(&asked).send().await;
    let body = ok(&response);
    stage.ports.background.drain().await;
    assert!(
        body["r2_path"]
            .as_str()
            .unwrap()
            .starts_with(&format!("{INSTANCE}/{PROJECT}/"))
    );
    stage.pass(2_000).await;
    let stored = stage.rows("SELECT request, project_id FROM jobs").await;
    assert!(!stored[0].text("request").unwrap().contains(&stage.key));
    assert_eq!(stored[0].text("project_id"), Some(PROJECT));
}

#[tokio::test]
async fn no_candidate_says_why_each_was_passed_over() {
    let stage = Stage::new();
    let mut asked = request("ideogram");
    asked["model"] = json!("no-such-model");
    let details = refused(&stage.post("/generate", asked).await, 422, Code::NoRoute);
    assert!(
        details["skipped"]
            .as_array()
            .is_some_and(|skipped| !skipped.is_empty())
    );
    assert!(stage.ports.actors.calls().is_empty());
}

#[tokio::test]
async fn a_full_window_answers_429_with_the_computed_wait() {
    let stage = Stage::new();
    stage.configure(|config| config["rate_limits"]["openai"] = json!({"rpm": 1}));
    ok(&stage.generate("openai").await);
    let response = stage.generate("openai").await;
    let details = refused(&response, 429, Code::RateLimited);
    assert_eq!(details["source"], "own");
    assert_eq!(details["reason"], "requests");
    let wait: u64 = response.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(stage.vendors.charged().len(), 1);
    stage.ports.world.clock.advance(wait * 1_000);
    ok(&stage.generate("openai").await);
}

#[tokio::test]
async fn a_request_larger_than_the_limit_never_waits() {
    let stage = Stage::new();
    stage.configure(|config| config["rate_limits"]["ideogram"]["max_inflight_images"] = json!(2));
    let mut asked = request("ideogram");
    asked["n"] = json!(3);
    let details = refused(
        &stage.post("/generate", asked).await,
        400,
        Code::RequestExceedsLimit,
    );
    assert_eq!(details["value"], 2);
}

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
async fn a_file_that_is_not_whole_is_fetched_once_more() {
    let stage = Stage::new();
    stage.vendors.act([Act::CutFiles(1)]);
    ok(&stage.generate("ideogram").await);
    stage.vendors.act([Act::CutFiles(2)]);
    let details = refused(&stage.generate("ideogram").await, 502, Code::ProviderError);
    assert_eq!(details["kind"], "contract_mismatch");
    assert_eq!(stage.ports.objects.keys().len(), 1);
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
async fn a_submit_without_any_answer_is_unknown_when_its_time_is_over() {
    let stage = Stage::new();
    stage.vendors.act([Act::AcceptAndHang]);
    let response = stage.generate("ideogram").await;
    let details = refused(&response, 504, Code::ProviderTimeout);
    stage.pass(600_000).await;
    let job = stage.job(details["job_id"].as_str().unwrap()).await;
    assert_eq!(job.state, JobState::Unknown);
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
    let job = stage.job(details["job_id"].as_str().unwrap()).await;
    assert_eq!(job.state, JobState::Succeeded);
    assert_eq!(stage.ports.objects.keys().len(), 1);
}

#[tokio::test]
async fn a_refusing_bucket_is_502_and_the_job_goes_on() {
    let stage = Stage::new();
    stage
        .ports
        .world
        .faults
        .fail_every("objects.put", When::Before);
    let details = refused(&stage.generate("ideogram").await, 502, Code::StorageError);
    let job_id = details["job_id"].as_str().unwrap().to_owned();
    stage.ports.world.faults.heal("objects.put");
    stage.pass(180_000).await;
    assert_eq!(stage.job(&job_id).await.state, JobState::Succeeded);
    assert_eq!(stage.vendors.charged().len(), 1);
    assert_eq!(stage.ports.objects.keys().len(), 1);
}

#[tokio::test]
async fn two_refusals_of_a_bucket_are_not_noticed() {
    let stage = Stage::new();
    for nth in [1, 2] {
        stage
            .ports
            .world
            .faults
            .fail("objects.put", nth, When::Before);
    }
    ok(&stage.generate("ideogram").await);
    assert_eq!(stage.ports.world.faults.pending(), 0);
}

#[tokio::test]
async fn an_unreachable_limiter_fails_closed() {
    let stage = Stage::new();
    stage
        .ports
        .world
        .faults
        .fail_every("actors.acquire", When::Before);
    let response = stage.generate("ideogram").await;
    refused(&response, 503, Code::LimiterUnavailable);
    assert!(stage.vendors.charged().is_empty());
}

#[tokio::test]
async fn an_acquire_without_an_answer_leaves_no_job_behind() {
    let stage = Stage::new();
    stage
        .ports
        .world
        .faults
        .fail_every("actors.acquire", When::After);
    refused(
        &stage.generate("ideogram").await,
        503,
        Code::LimiterUnavailable,
    );
    stage.ports.world.faults.heal_all();
    stage.pass(3_600_000).await;
    assert!(stage.vendors.charged().is_empty());
    assert!(stage.rows("SELECT * FROM usage_logs").await.is_empty());
    assert!(
        stage
            .rows("SELECT * FROM jobs WHERE state <> 'cancelled'")
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn without_a_configuration_nothing_is_done() {
    let stage = Stage::new();
    stage.set_config_service_down(true);
    refused(
        &stage.generate("ideogram").await,
        503,
        Code::ConfigUnavailable,
    );
    assert!(stage.ports.actors.calls().is_empty());
}

#[tokio::test]
async fn a_key_sealed_for_another_host_is_not_sent_anywhere() {
    let stage = Stage::new();
    stage.configure(|config| {
        config["providers"]["ideogram"]["base_url"] = json!("https://ideogram.evil.example");
    });
    let response = stage.generate("ideogram").await;
    refused(&response, 500, Code::DecryptionFailed);
    assert!(stage.ports.http.requests().is_empty());
    stage.pass(3_600_000).await;
    assert!(stage.rows("SELECT * FROM usage_logs").await.is_empty());
}

#[tokio::test]
async fn public_images_get_open_urls_and_explain_tells_the_route() {
    let stage = Stage::new();
    let mut asked = request("ideogram");
    asked["visibility"] = json!("public");
    asked["explain"] = json!(true);
    asked["filename"] = json!("My Cat.png".replace(' ', "_"));
    let body = ok(&stage.post("/generate", asked).await);
    let path = body["r2_path"].as_str().unwrap();
    assert!(path.contains("_my_cat.png-"), "{path}");
    assert_eq!(
        body["image_url"],
        format!("https://api.example.com/images/{path}")
    );
    assert_eq!(body["route"]["chosen"]["provider"], "ideogram");
    assert!(body["route"]["skipped"].is_array());
}

#[tokio::test]
async fn health_tells_bindings_and_no_secret() {
    let stage = Stage::new();
    let (app, _) = stage.app();
    let response = app.get("/health").send().await;
    let body = ok(&response);
    assert_eq!(body["kek_ids"], json!(["k1"]));
    assert_eq!(body["bindings"]["DB"], "ok");
    assert_eq!(body["buckets"], json!(["prod-images"]));
    assert_eq!(body["version"], env!("CARGO_PKG_VERSION"));
    assert!(body["wasm_memory_bytes"].is_u64());
    let document = ok(&app.get("/openapi.json").send().await);
    assert_eq!(document["openapi"], "3.1.0");
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

//! `POST /generate` that goes well: the answer, what is stored and booked, and what it asks of the platform.

use crate::answer::ok;
use crate::support::{INSTANCE, PROJECT, Stage, request};
use crate::vendors::Act;
use serde_json::json;

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
async fn explain_shows_how_the_candidates_compare() {
    let stage = Stage::new();
    let mut asked = request("ideogram");
    asked.as_object_mut().unwrap().remove("fallback");
    asked["explain"] = json!(true);
    let body = ok(&stage.post("/generate", asked.clone()).await);
    let candidates = body["route"]["candidates"].as_array().unwrap();
    let named: Vec<&str> = candidates
        .iter()
        .map(|candidate| candidate["provider"].as_str().unwrap())
        .collect();
    assert_eq!(named, ["ideogram", "openai"]);
    // OpenAI's is the cheaper one and of the higher tier; the asked-for provider comes first all the same.
    assert_eq!(candidates[1]["score"]["cost"], 1_000);
    assert!(candidates[0]["score"]["cost"].as_u64().unwrap() < 1_000);
    for candidate in candidates {
        let score = &candidate["score"];
        for part in ["cost", "speed", "quality", "availability"] {
            assert!(score[part].as_u64().unwrap() <= 1_000, "{part}: {score}");
        }
        assert!(score["total"].as_u64().unwrap() > 0);
    }
    // The stored job tells the same.
    stage.pass(2_000).await;
    let job = stage.job(body["job_id"].as_str().unwrap()).await;
    assert_eq!(job.result.unwrap().route.unwrap(), body["route"]);
    asked.as_object_mut().unwrap().remove("explain");
    let body = ok(&stage.post("/generate", asked).await);
    assert!(body.get("route").is_none());
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
    assert_eq!(body.get("version_id"), Some(&json!(null)), "local");
    assert!(body["wasm_memory_bytes"].is_u64());
    let document = ok(&app.get("/openapi.json").send().await);
    assert_eq!(document["openapi"], "3.1.0");
}

//! Journey: every refusal of `POST /generate` that a caller can provoke, each with code, hint and request id.
//!
//! One stack; each test uses its own instance or simulator account where it reaches a limit.

#![expect(
    clippy::expect_used,
    reason = "helpers of a test: what is not there fails it"
)]

use api_types::Timestamp;
use e2e::{Answer, Client, Options, Stack, until};
use serde_json::{Value, json};

const GENERATE: &str = "/api/image-gen/generate";

async fn raw(client: &Client, body: &str) -> Answer {
    let request = client
        .request("POST", GENERATE)
        .header("content-type", "application/json")
        .header("x-instance-id", "development")
        .body(body.to_owned());
    client.send(request).await
}

#[tokio::test]
async fn every_row_of_the_table_is_answered_as_documented() {
    let stack = Stack::start(Options {
        expected_errors: vec![
            "provider_error",
            "provider_timeout",
            "outcome_unknown",
            "provider_auth",
            "provider_quota",
        ],
        ..Options::default()
    });
    let admin = stack.admin();
    let prompt = json!({"prompt": "a boat", "instance_id": "development"});

    // Who: 401.
    stack
        .client("")
        .post(GENERATE, &prompt)
        .await
        .expect_error(401, "auth_failed");
    let body = stack
        .client("sy_4fGh7kQ2mZ0a_nonsense")
        .post(GENERATE, &prompt)
        .await
        .expect_error(401, "auth_failed");
    assert_eq!(body["details"]["reason"], "malformed");
    let unknown = "sy_4fGh7kQ2mZ0a_3AHOVcjqx4BIPWdkry5CJQXelsz6DKRYfmt07ELSZgn0akblb";
    let body = stack
        .client(unknown)
        .post(GENERATE, &prompt)
        .await
        .expect_error(401, "auth_failed");
    assert_eq!(body["details"]["reason"], "unknown");

    let me = admin.get("/api/config-service/session").await.json();
    let user_id = me["user"]["user_id"]
        .as_str()
        .or(me["user_id"].as_str())
        .expect("an id")
        .to_owned();
    let mint = |extra: Value| {
        let mut body = json!({"user_id": user_id, "name": "test"});
        for (name, value) in extra.as_object().expect("members") {
            body[name] = value.clone();
        }
        body
    };
    let minted = admin
        .post("/api/config-service/api-key", &mint(json!({})))
        .await
        .json();
    let key = minted["api_key"].as_str().expect("shown once").to_owned();
    assert_eq!(
        admin
            .with_key(&key)
            .get("/api/config-service/session")
            .await
            .status,
        200
    );
    let revoked = admin.request(
        "DELETE",
        &format!(
            "/api/config-service/api-key/{}",
            minted["key_id"].as_str().unwrap_or_default()
        ),
    );
    let revoked = admin.send(revoked).await;
    assert!([200, 204].contains(&revoked.status), "{}", revoked.json());
    let body = stack
        .client(&key)
        .post(GENERATE, &prompt)
        .await
        .expect_error(401, "auth_failed");
    assert_eq!(body["details"]["reason"], "revoked");

    // One that ends by itself, looked at when its time is over.
    let created: Timestamp =
        serde_json::from_value(minted["created_at"].clone()).expect("when it was minted");
    let brief = admin
        .post(
            "/api/config-service/api-key",
            &mint(json!({"expires_at": created.plus_ms(20_000)})),
        )
        .await
        .json();
    let brief = stack.client(brief["api_key"].as_str().expect("shown once"));

    // May: 403, 404.
    let narrow = admin
        .post(
            "/api/config-service/api-key",
            &mint(json!({"scopes": ["images:read"]})),
        )
        .await
        .json();
    let body = stack
        .client(narrow["api_key"].as_str().expect("shown once"))
        .post(GENERATE, &prompt)
        .await
        .expect_error(403, "scope_missing");
    assert_eq!(body["details"]["scope"], "images:write");
    let user = stack.client(&stack.keys().user);
    user.post(
        GENERATE,
        &json!({"prompt": "x", "instance_id": "production"}),
    )
    .await
    .expect_error(403, "forbidden");
    let foreign = user
        .post(GENERATE, &json!({"prompt": "x", "instance_id": "foreign"}))
        .await;
    let missing = user
        .post(GENERATE, &json!({"prompt": "x", "instance_id": "nowhere"}))
        .await;
    let mut bodies = [
        foreign.expect_error(404, "not_found"),
        missing.expect_error(404, "not_found"),
    ];
    for body in &mut bodies {
        body["request_id"] = Value::Null;
    }
    assert_eq!(
        bodies[0], bodies[1],
        "a foreign instance answers like a missing one"
    );
    admin
        .post(GENERATE, &json!({"prompt": "x"}))
        .await
        .expect_error(400, "instance_required");

    // What: 400, 413, 415.
    raw(&admin, "{\"prompt\":")
        .await
        .expect_error(400, "invalid_request");
    raw(
        &admin,
        "{\"prompt\":\"a\",\"instance_id\":\"development\"} x",
    )
    .await
    .expect_error(400, "invalid_request");
    let body = admin
        .generate(json!({"prompt": "a boat", "sise": "1024x1024"}))
        .await
        .expect_error(400, "unknown_field");
    assert_eq!(body["details"]["field"], "sise");
    admin
        .generate(json!({"prompt": "a boat", "dry_run": true}))
        .await
        .expect_error(400, "unknown_field");
    let body = admin
        .generate(json!({"prompt": ""}))
        .await
        .expect_error(400, "invalid_field");
    assert_eq!(body["details"]["field"], "prompt");
    admin
        .generate(json!({"prompt": "x".repeat(32_001)}))
        .await
        .expect_error(400, "invalid_field");
    let body = admin
        .generate(json!({"prompt": format!("a boat named {key}")}))
        .await
        .expect_error(400, "invalid_field");
    assert!(!body.to_string().contains(&key[20..]), "{body}");
    admin
        .generate(json!({"prompt": "a", "n": "2"}))
        .await
        .expect_error(400, "invalid_field");
    admin
        .generate(json!({"prompt": "a", "seed": 0}))
        .await
        .expect_error(400, "invalid_field");
    admin
        .generate(json!({"prompt": "a", "size": "0x10"}))
        .await
        .expect_error(400, "invalid_field");
    admin
        .generate(json!({"prompt": "a", "size": "1024x1024", "aspect_ratio": "1:1"}))
        .await
        .expect_error(400, "invalid_field");
    admin
        .generate(json!({"prompt": "a", "bucket": "other"}))
        .await
        .expect_error(400, "unknown_bucket");
    admin
        .generate(json!({"prompt": "a", "n": 8, "provider": "ideogram", "fallback": "none"}))
        .await
        .expect_error(400, "request_exceeds_limit");
    let request = admin
        .request("POST", GENERATE)
        .header("x-instance-id", "production")
        .json(&prompt);
    admin
        .send(request)
        .await
        .expect_error(400, "conflicting_instance");
    admin
        .generate(json!({"prompt": "x".repeat(1_100_000)}))
        .await
        .expect_error(413, "payload_too_large");
    let request = admin
        .request("POST", GENERATE)
        .header("content-type", "text/plain")
        .body("hello");
    admin
        .send(request)
        .await
        .expect_error(415, "unsupported_media_type");
    admin
        .get(GENERATE)
        .await
        .expect_error(405, "method_not_allowed");
    admin
        .get("/api/image-gen/nothing-here")
        .await
        .expect_error(404, "not_found");

    // Which provider: 422.
    let body = admin
        .generate(json!({"prompt": "a", "model": "no-such-model"}))
        .await
        .expect_error(422, "no_route");
    assert!(
        body["details"]["skipped"]
            .as_array()
            .is_some_and(|skipped| !skipped.is_empty()),
        "{body}"
    );
    let body = admin
        .generate(json!({"prompt": "sim:unsafe a boat", "fallback": "none"}))
        .await
        .expect_error(422, "rejected_by_safety");
    assert_eq!(body["details"]["provider"], "ideogram");

    // Nothing was charged so far.
    assert!(
        stack.sim().charges().await.is_empty(),
        "{:?}",
        stack.sim().charges().await
    );

    // A blank picture, which the smallest file is: shown by default, refused where the check is strict, kept and paid for
    // either way.
    for provider in ["ideogram", "openai"] {
        let mut blank = json!({"prompt": format!("sim:bytes=1 nothing by {provider}"), "provider": provider, "fallback": "none"});
        let shown = admin.generate(blank.clone()).await;
        let body = shown.json();
        assert_eq!(shown.status, 200, "{body}");
        assert_eq!(body["images"][0]["quality"], "blank", "{body}");
        assert_eq!(body["warnings"][0]["option"], "blank", "{body}");
        blank["quality_check"] = json!("strict");
        let refused = admin.generate(blank).await;
        let body = refused.expect_error(422, "quality_rejected");
        assert_eq!(refused.header("x-should-retry"), "false");
        let job_id = body["details"]["job_id"]
            .as_str()
            .expect("an id")
            .to_owned();
        assert_eq!(admin.job_end(&job_id, 30).await["state"], "failed");
        let kept = format!("SELECT quality, state FROM images WHERE job_id = '{job_id}'");
        until("the image's row", 30, || async {
            let rows = stack.ledger().rows(&kept);
            (rows == [["blank", "live"]]).then_some(())
        })
        .await;
        let charges = stack.sim().charges().await;
        let of_vendor = charges
            .iter()
            .filter(|charge| charge["provider"] == provider);
        assert_eq!(of_vendor.count(), 2, "{charges:?}");
    }

    // Limits: 429 with a computed Retry-After.
    admin
        .make_instance(
            "tight",
            "sim-ok-tight",
            json!({"ideogram": {"rpm": 1}, "openai": {"rpm": 1}}),
        )
        .await;
    let tight = |prompt: &str| json!({"prompt": prompt, "instance_id": "tight", "provider": "ideogram", "fallback": "none"});
    assert_eq!(admin.post(GENERATE, &tight("first")).await.status, 200);
    let limited = admin.post(GENERATE, &tight("second")).await;
    let body = limited.expect_error(429, "rate_limited");
    assert_eq!(body["details"]["source"], "own");
    let retry_after: u64 = limited.header("retry-after").parse().expect("seconds");
    assert!((1..=60).contains(&retry_after), "{retry_after}");
    assert_eq!(
        body["retry_after_ms"].as_u64().map(|ms| ms.div_ceil(1000)),
        Some(retry_after)
    );
    assert_eq!(limited.header("x-should-retry"), "true");

    // Provider errors: 502, 504, and the fallback that avoids them.
    for (token, status, code) in [
        ("sim:auth", 502, "provider_auth"),
        ("sim:quota", 502, "provider_quota"),
        ("sim:521", 502, "provider_error"),
        ("sim:429", 429, "rate_limited"),
    ] {
        // A scenario of its own instance, because some of them open the breaker.
        let name = format!("at-{}", token.trim_start_matches("sim:"));
        admin
            .make_instance(
                &name,
                &format!("sim-ok-{}", token.trim_start_matches("sim:")),
                json!({}),
            )
            .await;
        let body = json!({"prompt": format!("{token} a boat"), "instance_id": name, "provider": "ideogram", "fallback": "none"});
        let answer = admin.post(GENERATE, &body).await;
        let error = answer.expect_error(status, code);
        assert_eq!(
            answer.header("x-should-retry"),
            if status == 429 { "true" } else { "false" },
            "{error}"
        );
    }
    admin
        .make_instance("falls-back", "sim-ok-falls", json!({}))
        .await;
    stack
        .sim()
        .post(
            "faults",
            &json!({"provider": "ideogram", "phase": "submit", "scenario": "quota", "times": 1, "account": "falls"}),
        )
        .await;
    let answer = admin
        .post(GENERATE, &json!({"prompt": "a boat", "instance_id": "falls-back", "provider": "ideogram", "fallback": ["openai/gpt-image-2"]}))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    assert_eq!(answer.json()["attempts"], 2);
    assert_eq!(answer.json()["metadata"]["provider"], "openai");

    // 504 with a job whose image arrives later: the vendor is slow with its image, or already with its answer.
    for token in ["sim:queue=6s", "sim:late=8s"] {
        arrives_later(&stack, &admin, token).await;
    }

    let body = until("the end of a key", 60, || async {
        let answer = brief.post(GENERATE, &prompt).await;
        (answer.status == 401).then_some(answer)
    })
    .await
    .expect_error(401, "auth_failed");
    assert_eq!(body["details"]["reason"], "expired");

    assert!(stack.sim().duplicates().await.is_empty());
    assert!(
        stack.sim().violations().await.is_empty(),
        "{:?}",
        stack.sim().violations().await
    );
}

async fn arrives_later(stack: &Stack, admin: &Client, token: &str) {
    let late = admin.generate(json!({"prompt": format!("{token} a late boat"), "provider": "ideogram", "timeout_ms": 2000, "fallback": "none"})).await;
    let body = late.expect_error(504, "provider_timeout");
    assert_eq!(late.header("x-should-retry"), "false");
    let job_id = body["details"]["job_id"]
        .as_str()
        .expect("a job")
        .to_owned();
    assert!(late.header("location").contains(&job_id));
    let job = admin.job_end(&job_id, 60).await;
    assert_eq!(job["state"], "succeeded", "{job}");
    let picture = stack
        .client("")
        .get(job["result"]["image_url"].as_str().expect("a URL"))
        .await;
    assert_eq!(picture.status, 200);
}

//! Journey: 10,000 concurrent requests against a limit of 500 on the real object.
//!
//! 1. inside one worker, all at once; 2. over HTTP, in parallel; each time exactly 500 are admitted.
//!
//! The window is an hour: a slow machine may need longer than a minute for 10,000 exchanges, and then a window of a minute
//! rightly admits more. That windows of any length roll is shown with a clock that the test holds (crate `rate-limiter`).

use e2e::{Options, Stack};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

const HOUR_MS: u64 = 3_600_000;

fn acquire(number: u32) -> Value {
    let id = |kind: u32| format!("0199a1c2-{kind:04x}-7000-8000-{number:012x}");
    json!({
        "v": 1, "lease_id": id(1), "job_id": id(2), "attempt_no": 1, "instance_id": "development", "provider": "ideogram",
        "calls": 1, "images": 1, "model": "ideogram-3", "org_id": "0198f0a0-0000-7000-8000-000000000001",
        "request_id": id(3), "estimate_usd_micros": 60000, "upper_usd_micros": 60000,
        "limits": {
            "config_version": 1, "rpm": null, "tpm": null, "max_inflight_images": null,
            "windows": [{"requests": 500, "per_ms": HOUR_MS}],
        },
        "run_ms": 900_000, "holder_ms": 900_000, "job": {}
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_concurrent_requests_admit_exactly_the_limit() {
    let stack = Stack::start(Options {
        probe: true,
        leaves_jobs: true,
        ..Options::default()
    });
    let admin = stack.admin();

    let burst = admin
        .post(
            "/api/probe/__probe/limiter/instance:burst:provider:ideogram/burst",
            &json!({"count": 10_000, "acquire": acquire(0)}),
        )
        .await;
    let counts = burst.json();
    assert_eq!(burst.status, 200, "{counts}");
    assert_eq!(counts["granted"], 500, "{counts}");
    assert_eq!(counts["limited"]["requests"], 9_500, "{counts}");

    let path = "/api/probe/__probe/limiter/instance:http:provider:ideogram/acquire";
    let answers: Vec<Value> = stream::iter(0..10_000_u32)
        .map(|number| {
            let (admin, command) = (admin.clone(), acquire(number));
            async move { admin.post(path, &command).await.json() }
        })
        .buffer_unordered(128)
        .collect()
        .await;
    let granted = answers
        .iter()
        .filter(|answer| answer["decision"].get("granted").is_some())
        .count();
    let limited: Vec<u64> = answers
        .iter()
        .filter_map(|answer| answer["decision"]["limited"]["retry_after_ms"].as_u64())
        .collect();
    assert_eq!(
        granted + limited.len(),
        10_000,
        "every request got a decision"
    );
    assert!(limited.iter().all(|ms| (1..=HOUR_MS).contains(ms)));
    assert_eq!(granted, 500, "never 501");
}

//! Journey: more concurrent requests than a limit admits: 10,000 against 500 on the real object, 600 against 100 as pictures.
//!
//! 1. inside one worker, all at once, at 500 a minute: exactly 500 are admitted, and by the instants that the object has
//!    written no 60 s hold more; 2. over HTTP, in parallel, at 500 an hour: exactly 500 are admitted; 3. by
//!    `POST /generate`, all at once, at 100 an hour: 100 pictures are made and paid, the others are told when to come back.
//!
//! The later windows are an hour: a slow machine may need longer than a minute for 10,000 exchanges or 100 pictures, and
//! then a window of a minute rightly admits more. Should the first burst take that long, the instants still tell whether
//! it kept the limit. That windows of any length roll is shown with a clock that the test holds (crate `rate-limiter`).

use api_types::{AcquireDecision, AcquireReply};
use e2e::{Answer, Options, Stack, until};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

const LIMIT: usize = 500;
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: u64 = 3_600_000;
/// Each part has an instance of its own, and with it an object: what one has admitted is in no window of the other. The name
/// is also the attempts' model, by which they are found again.
const BURST: &str = "limits-burst";
const HTTP: &str = "limits-http";

fn path(instance_id: &str, command: &str) -> String {
    format!("/api/probe/__probe/limiter/instance:{instance_id}:provider:ideogram/{command}")
}

fn per_minute() -> Value {
    json!({"config_version": 1, "rpm": LIMIT, "tpm": null, "max_inflight_images": null, "windows": []})
}

fn per_hour() -> Value {
    let windows = json!([{"requests": LIMIT, "per_ms": HOUR_MS}]);
    json!({"config_version": 1, "rpm": null, "tpm": null, "max_inflight_images": null, "windows": windows})
}

fn acquire(number: u32, instance_id: &str, limits: &Value) -> Value {
    let id = |kind: u32| format!("0199a1c2-{kind:04x}-7000-8000-{number:012x}");
    json!({
        "v": 1, "lease_id": id(1), "job_id": id(2), "attempt_no": 1, "instance_id": instance_id, "provider": "ideogram",
        "calls": 1, "images": 1, "model": instance_id, "org_id": "0198f0a0-0000-7000-8000-000000000001",
        "request_id": id(3), "estimate_usd_micros": 60000, "upper_usd_micros": 60000,
        "limits": limits, "run_ms": 900_000, "holder_ms": 900_000, "job": {}
    })
}

/// When the object that made these attempts admitted each, in milliseconds, oldest first.
async fn admissions(stack: &Stack, model: &str, count: usize) -> Vec<i64> {
    let sql = format!("SELECT at_ms FROM attempts WHERE model = '{model}' ORDER BY at_ms");
    until("every admission in the object's file", 30, || async {
        let rows = stack.object_rows(&sql).concat();
        let times: Vec<i64> = rows.iter().filter_map(|text| text.parse().ok()).collect();
        (times.len() >= count).then_some(times)
    })
    .await
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
            &path(BURST, "burst"),
            &json!({"count": 10_000, "acquire": acquire(0, BURST, &per_minute())}),
        )
        .await;
    let counts = burst.json();
    assert_eq!(burst.status, 200, "{counts}");
    let granted = counts["granted"].as_u64().unwrap_or_default() as usize;
    assert_eq!(
        counts["limited"]["requests"].as_u64(),
        Some(10_000 - granted as u64),
        "{counts}"
    );
    let admitted = admissions(&stack, BURST, granted).await;
    assert!(granted >= LIMIT, "{counts}");
    // An entry leaves its window at the instant at which it is a minute old.
    for (first, too_many) in admitted.iter().zip(admitted.iter().skip(LIMIT)) {
        assert!(too_many - first >= MINUTE_MS, "{first} and {too_many}");
    }
    let (first, last) = (admitted.first(), admitted.last());
    let span_ms = first.zip(last).map(|(first, last)| last - first);
    println!("{granted} admissions within {span_ms:?} ms");

    let (path, limits) = (path(HTTP, "acquire"), per_hour());
    let decisions: Vec<AcquireDecision> = stream::iter(0..10_000_u32)
        .map(|number| {
            let (admin, path) = (admin.clone(), path.clone());
            let command = acquire(number, HTTP, &limits);
            async move {
                let reply: AcquireReply = admin.post(&path, &command).await.read();
                reply.decision
            }
        })
        .buffer_unordered(128)
        .collect()
        .await;
    let mut granted = 0;
    for decision in &decisions {
        match decision {
            AcquireDecision::Granted { .. } => granted += 1,
            AcquireDecision::Limited { retry_after_ms, .. } => {
                assert!((1..=HOUR_MS).contains(retry_after_ms), "{decision:?}");
            }
            other => panic!("neither granted nor limited: {other:?}"),
        }
    }
    assert_eq!(decisions.len(), 10_000);
    assert_eq!(granted, LIMIT, "never 501");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_generations_make_exactly_as_many_pictures_as_the_limit() {
    const ASKED: usize = 600;
    const PICTURES: usize = 100;
    let stack = Stack::start(Options::default());
    let admin = stack.admin();
    let windows = json!([{"requests": PICTURES, "per_ms": HOUR_MS}]);
    // Neither the images in progress nor the vendor may be what refuses.
    let limits = json!({"ideogram": {"max_inflight_images": 1_000, "windows": windows}});
    admin
        .make_instance("crowded", "sim-ok-crowded", limits)
        .await;
    stack
        .sim()
        .set_in_flight("ideogram", "crowded", 1_000)
        .await;

    let answers: Vec<Answer> = stream::iter(0..ASKED)
        .map(|number| {
            let admin = admin.clone();
            let body = json!({
                "prompt": format!("boat {number} of a regatta"), "instance_id": "crowded", "provider": "ideogram",
                "fallback": "none",
            });
            async move { admin.post("/api/image-gen/generate", &body).await }
        })
        .buffer_unordered(ASKED)
        .collect()
        .await;
    let (made, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    for answer in &refused {
        let body = answer.expect_error(429, "rate_limited");
        assert_eq!(body["details"]["source"], "own", "{body}");
        assert_ne!(answer.header("retry-after"), "", "{body}");
    }
    assert_eq!((made.len(), refused.len()), (PICTURES, ASKED - PICTURES));
    let charges = stack.sim().charges().await;
    assert_eq!(charges.len(), PICTURES, "one charge a picture");
    assert!(stack.sim().duplicates().await.is_empty());
}

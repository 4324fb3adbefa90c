//! Ring 0: stored and wire forms that older or newer releases read.

use crate::support::*;
use api_types::*;
use serde_json::{Value, json};

fn columns(bench: &Bench) -> String {
    bench.storage.with(|connection| {
        connection
            .query_row(
                "SELECT sql FROM sqlite_master WHERE name = 'attempts'",
                [],
                |row| row.get(0),
            )
            .unwrap()
    })
}

#[tokio::test]
async fn attempts_table_format_unchanged() {
    let bench = Bench::default();
    let _ = bench.gauges().await;
    assert_eq!(
        columns(&bench),
        "CREATE TABLE attempts (lease_id TEXT PRIMARY KEY, attempt_id TEXT NOT NULL UNIQUE, job_id TEXT NOT NULL, \
attempt_no INTEGER NOT NULL, instance_id TEXT NOT NULL, provider TEXT NOT NULL, state TEXT NOT NULL, \
job_state TEXT NOT NULL, stage TEXT, epoch INTEGER NOT NULL, owned INTEGER NOT NULL, taker TEXT NOT NULL, \
at_ms INTEGER NOT NULL, counted INTEGER NOT NULL, calls INTEGER NOT NULL, images INTEGER NOT NULL, \
tokens INTEGER NOT NULL, work TEXT NOT NULL, model TEXT NOT NULL, org_id TEXT NOT NULL, project_id TEXT, \
key_id TEXT, request_id TEXT NOT NULL, trace TEXT NOT NULL, estimate_usd_micros INTEGER, \
upper_usd_micros INTEGER, price_version TEXT, created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL, \
life_ms INTEGER NOT NULL, run_until_ms INTEGER NOT NULL, holder_ms INTEGER NOT NULL, holder_until_ms INTEGER, \
dispatches INTEGER NOT NULL, cancel_requested INTEGER NOT NULL, probe INTEGER NOT NULL, \
generation INTEGER NOT NULL, config_version INTEGER NOT NULL, image_ids TEXT NOT NULL, job_refs TEXT NOT NULL, \
outcome TEXT, billed TEXT, cost_usd_micros INTEGER, cost_basis TEXT, result TEXT NOT NULL, \
timeline TEXT NOT NULL, version INTEGER NOT NULL, flushed_version INTEGER NOT NULL, flush_due_ms INTEGER, \
settled_ms INTEGER, job TEXT NOT NULL)"
    );
}

#[tokio::test]
async fn meta_rows_format_unchanged() {
    let bench = Bench::default();
    bench.granted(&acquire(1, &limits(10, 4))).await;
    bench.granted(&acquire(2, &limits(10, 4))).await;
    bench.settle(&settle(1, 1, Outcome::Succeeded)).await;
    let mut told = settle(2, 1, Outcome::RateLimited);
    told.observed_max_inflight = Some(3);
    told.retry_after_ms = Some(1_000);
    bench.settle(&told).await;
    let read = |key: &str| -> Value {
        let text: String = bench.storage.with(|connection| {
            connection
                .query_row("SELECT v FROM meta WHERE k = ?1", [key], |row| row.get(0))
                .unwrap()
        });
        serde_json::from_str(&text).unwrap()
    };
    let at_ms = bench.now_ms();
    assert_eq!(read("schema"), json!(1));
    assert_eq!(
        read("identity"),
        json!({ "instance_id": "production", "provider": "ideogram" })
    );
    assert_eq!(
        read("limits"),
        json!({ "config_version": 1, "rpm": 10, "tpm": null, "max_inflight_images": 4, "windows": [] })
    );
    assert_eq!(
        read("stats"),
        json!({ "durations": { "ideogram-3": [3000] }, "outcomes": [0] })
    );
    assert_eq!(
        read("gate"),
        json!({
            "breaker": { "state": { "state": "closed" }, "level": 0, "generation": 1, "last_ms": at_ms, "recent": [[at_ms, false]] },
            "backoff_until_ms": at_ms + 1_000,
            "backoff_level": 0,
            "calibrated": 3,
            "shared": { "base": 1, "at_ms": at_ms },
            "paused": false,
        })
    );
}

#[tokio::test]
async fn stored_json_columns_format_unchanged() {
    let bench = Bench::default();
    bench.granted(&acquire(1, &limits(10, 4))).await;
    bench.settle(&settle(1, 1, Outcome::Succeeded)).await;
    let (result, timeline, image_ids, job): (String, String, String, String) =
        bench.storage.with(|connection| {
            connection
                .query_row(
                    "SELECT result, timeline, image_ids, job FROM attempts",
                    [],
                    |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
                )
                .unwrap()
        });
    assert_eq!(
        result,
        r#"{"images":[{"image_id":"00000005-0000-7000-8000-000000000001","image_url":"","r2_path":"production/default/1_1.png","bucket":"prod-images","size_bytes":10,"dimensions":"1024x1024","format":"png","seed":1,"quality":"ok","sha256":""}],"withheld":0,"warnings":[],"error":null,"generation_ms":3000,"usage":[{"phase":"charge","calls":1,"images":1,"tokens_used":0,"billed":"yes","cost_usd_micros":60000,"work":"image","overrun":false,"price_version":"2026-11-16","latency_ms":0}]}"#
    );
    assert_eq!(
        timeline,
        r#"[{"at":"2025-11-21T10:00:00.000Z","event":"admitted","provider":"ideogram","waited_ms":0},{"at":"2025-11-21T10:00:00.000Z","event":"succeeded"}]"#
    );
    assert_eq!(image_ids, r#"["00000005-0000-7000-8000-000000000001"]"#);
    assert_eq!(job, r#"{"v":1,"prompt":"a lighthouse"}"#);
}

#[tokio::test]
async fn answers_format_unchanged() {
    let bench = Bench::default();
    let limits = limits(1, 4);
    let granted = bench.raw("acquire", &acquire(1, &limits)).await.body;
    assert_eq!(
        granted,
        r#"{"decision":{"granted":{"lease_id":"00000001-0000-7000-8000-000000000001","epoch":1,"probe":false}},"headroom":{"requests":{"limit":1,"remaining":0,"reset_ms":60000},"images":{"limit":4,"remaining":3,"reset_ms":10000}},"stats":{"median_ms":0,"errors_per_mille":0,"inflight_images":1,"breaker_ms":0}}"#
    );
    let limited = bench.raw("acquire", &acquire(2, &limits)).await.body;
    assert!(
        limited.starts_with(
            r#"{"decision":{"limited":{"reason":"requests","retry_after_ms":60000,"estimated":false}},"headroom""#
        ),
        "{limited}"
    );
    let renewed = bench.raw("renew", &renew(1, 1)).await.body;
    assert_eq!(renewed, r#"{"ok":true,"cancel_requested":false}"#);
    let settled = bench
        .raw("settle", &settle(1, 1, Outcome::Succeeded))
        .await
        .body;
    assert_eq!(
        settled,
        r#"{"ok":true,"already":false,"state":"succeeded"}"#
    );
    let lost = bench.raw("renew", &renew(1, 1)).await;
    assert_eq!(lost.status, 409);
    assert!(
        lost.body
            .starts_with(r#"{"error":"lease_lost","message":""#),
        "{}",
        lost.body
    );
}

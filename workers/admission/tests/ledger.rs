//! Ring 2: what the object brings to the real ledger, through the real statements and migrations.

use api_types::*;
use platform::fakes::{FakePorts, World};
use platform::{Database, Statement};
use rate_limiter::{LimiterObject, Tuning};
use serde_json::json;
use std::path::Path;

fn uuid(kind: u32, n: u32) -> String {
    format!("{kind:08x}-0000-7000-8000-{n:012x}")
}

fn job() -> serde_json::Value {
    json!({
        "v": 1, "job_id": uuid(2, 1), "request_id": uuid(4, 1),
        "caller": { "instance_id": "production", "org_id": uuid(3, 1), "project_id": null, "key_id": "4fGh7kQ2mZ0a", "user_id": null },
        "request": { "prompt": "a lighthouse" },
        "candidates": [], "candidate": 0, "attempt_no": 1, "max_attempts": 3, "credential_id": null,
        "image_ids": [uuid(5, 1)], "bucket": "prod-images", "visibility": "private",
        "admitted_at": "2025-11-21T10:00:00.000Z",
    })
}

fn acquire() -> serde_json::Value {
    json!({
        "v": 1, "lease_id": uuid(1, 1), "job_id": uuid(2, 1), "attempt_no": 1,
        "instance_id": "production", "provider": "ideogram", "calls": 1, "images": 1,
        "model": "ideogram-3", "org_id": uuid(3, 1), "request_id": uuid(4, 1),
        "estimate_usd_micros": 60_000, "upper_usd_micros": 80_000, "price_version": "2026-11-16",
        "limits": { "config_version": 1, "rpm": 10, "tpm": null, "max_inflight_images": 10 },
        "run_ms": 900_000, "holder_ms": 60_000, "image_ids": [uuid(5, 1)], "job": job(),
    })
}

#[cfg(test)]
fn settle(outcome: Outcome) -> Settle {
    let found = outcome == Outcome::Succeeded;
    let image = StoredImage {
        image_id: ImageId::parse(&uuid(5, 1)).unwrap(),
        image_url: String::new(),
        r2_path: "production/default/1_image-00000001.png".to_owned(),
        bucket: "prod-images".to_owned(),
        size_bytes: 10,
        dimensions: "1024x1024".to_owned(),
        format: ImageFormat::Png,
        seed: Some(1),
        quality: "ok".to_owned(),
        sha256: String::new(),
        revised_prompt: None,
    };
    Settle {
        v: 1,
        lease_id: LeaseId::parse(&uuid(1, 1)).unwrap(),
        epoch: 1,
        outcome,
        billed: if found { Billed::Yes } else { Billed::Assumed },
        cost_usd_micros: found.then_some(60_000),
        cost_basis: if found {
            CostBasis::Table
        } else {
            CostBasis::Upper
        },
        tokens: None,
        usage: None,
        images: if found { vec![image] } else { Vec::new() },
        withheld: 0,
        warnings: Vec::new(),
        error: None,
        retry_after_ms: None,
        observed_max_inflight: None,
        generation_ms: Some(3_000),
        breaker_failure: None,
        next: Next::Final,
    }
}

#[tokio::test]
async fn an_unknown_attempt_that_is_found_later_is_charged_and_corrected_once() {
    let world = World::manual();
    let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/ledger");
    let ports = FakePorts::migrated(world.clone(), &migrations).unwrap();
    let storage = ports.storage().unwrap();
    let object = || {
        LimiterObject::new(
            storage.clone(),
            ports.database.clone(),
            ports.queue.clone(),
            world.clock.clone(),
            world.random.clone(),
            store::ledger::flush,
            Tuning::default(),
        )
    };
    let limiter = object();
    let send = async |command: &str, body: serde_json::Value| {
        let reply = limiter.handle(command, &body.to_string()).await;
        assert_eq!(reply.status, 200, "{command}: {}", reply.body);
    };
    let one = async |sql: &'static str| {
        let rows = ports.database.query(Statement::new(sql)).await.unwrap();
        format!(
            "{:?}",
            rows.rows.iter().map(|row| row.get("v")).collect::<Vec<_>>()
        )
    };
    send("acquire", acquire()).await;
    send("settle", value(&settle(Outcome::Unknown))).await;
    world.clock.advance(1_000);
    limiter.alarm().await;
    assert_eq!(
        one("SELECT state AS v FROM jobs").await,
        "[Text(\"unknown\")]"
    );
    assert_eq!(
        one("SELECT cost AS v FROM usage_logs").await,
        "[Integer(80000)]"
    );

    send("settle", value(&settle(Outcome::Succeeded))).await;
    world.clock.advance(1_000);
    limiter.alarm().await;
    assert_eq!(
        one("SELECT state AS v FROM jobs").await,
        "[Text(\"succeeded\")]"
    );
    assert_eq!(
        one("SELECT cost AS v FROM usage_logs ORDER BY phase").await,
        "[Integer(80000), Integer(-20000)]"
    );
    assert_eq!(
        one("SELECT SUM(cost) AS v FROM usage_daily").await,
        "[Integer(60000)]"
    );
    assert_eq!(
        one("SELECT SUM(images) AS v FROM usage_daily").await,
        "[Integer(1)]"
    );
    assert_eq!(
        one("SELECT SUM(calls) AS v FROM usage_daily").await,
        "[Integer(1)]"
    );
    assert_eq!(
        one("SELECT COUNT(*) AS v FROM images").await,
        "[Integer(1)]"
    );

    // The mark is lost: a new process flushes the same row again, and nothing is added.
    storage.with(|connection| {
        connection
            .execute(
                "UPDATE attempts SET flushed_version = 0, flush_due_ms = 0",
                [],
            )
            .unwrap();
    });
    object().alarm().await;
    assert_eq!(
        one("SELECT COUNT(*) AS v FROM usage_logs").await,
        "[Integer(2)]"
    );
    assert_eq!(
        one("SELECT SUM(cost) AS v FROM usage_daily").await,
        "[Integer(60000)]"
    );
    assert_eq!(
        one("SELECT COUNT(*) AS v FROM images").await,
        "[Integer(1)]"
    );
}

#[cfg(test)]
fn value(body: &Settle) -> serde_json::Value {
    serde_json::to_value(body).unwrap()
}

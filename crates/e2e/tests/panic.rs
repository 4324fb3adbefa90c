//! Journey: a panic costs one request; the next thousand succeed, and what was in flight goes on.
//!
//! 1. in a worker's fetch event; 2. inside a command of a limiter object, while it decides and while it writes: the object
//!    forgets nothing and counts nothing of it.

use api_types::{AcquireDecision, AcquireReply, LimiterGauges, StateReply};
use e2e::{Answer, Client, Options, Stack};
use futures_util::future::join;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_costs_one_request() {
    let stack = Stack::start(Options {
        probe: true,
        expected_errors: vec!["panic"],
        ..Options::default()
    });
    let admin = stack.admin();
    let slow = admin.clone();
    let in_flight = tokio::spawn(async move {
        slow.post("/api/probe/__probe/contract/clock", &json!({}))
            .await
            .status
    });
    assert_eq!(
        admin
            .post("/api/probe/__probe/panic", &json!({}))
            .await
            .status,
        500
    );
    let statuses: Vec<u16> = stream::iter(0..1_000)
        .map(|_| {
            let admin = admin.clone();
            async move { admin.get("/api/probe/health").await.status }
        })
        .buffer_unordered(32)
        .collect()
        .await;
    assert_eq!(
        statuses.iter().filter(|status| **status == 200).count(),
        1_000
    );
    assert_eq!(
        in_flight.await.expect("joined"),
        200,
        "a request in flight survives another one's panic"
    );
}

/// Attempts that are in flight when the first panic comes.
const IN_FLIGHT: u32 = 2;
/// Attempts that are asked for at the same time as the panics.
const BESIDE: u32 = 50;
const AFTER: u32 = 1_000;
/// One more than all of these.
const LIMIT: u32 = IN_FLIGHT + BESIDE + AFTER + 1;
/// The marks of the probe's storage (`workers/admission/src/panicking.rs`).
const LEASE_THAT_PANICS: &str = "00000000-dead-7000-8000-000000000000";
const MODEL_THAT_PANICS: &str = "panic-while-writing";

async fn command(admin: &Client, command: &str, body: &Value) -> Answer {
    let object = "instance:panics:provider:ideogram";
    let path = format!("/api/probe/__probe/limiter/{object}/{command}");
    admin.post(&path, body).await
}

fn id(kind: u32, number: u32) -> String {
    format!("0199a1c2-{kind:04x}-7000-8000-{number:012x}")
}

fn attempt(number: u32) -> Value {
    json!({
        "v": 1, "lease_id": id(1, number), "job_id": id(2, number), "attempt_no": 1, "instance_id": "panics",
        "provider": "ideogram", "calls": 1, "images": 1, "model": "ideogram-3",
        "org_id": "0198f0a0-0000-7000-8000-000000000001", "request_id": id(3, number),
        "estimate_usd_micros": 60_000, "upper_usd_micros": 60_000, "run_ms": 900_000, "holder_ms": 900_000, "job": {},
        // An hour: a slow machine must not see the window move on.
        "limits": {
            "config_version": 1, "rpm": null, "tpm": null, "max_inflight_images": null,
            "windows": [{"requests": LIMIT, "per_ms": 3_600_000}],
        },
    })
}

/// Asks for these attempts, many at once; the number of grants.
async fn granted(admin: &Client, numbers: std::ops::Range<u32>) -> u32 {
    let decisions: Vec<AcquireDecision> = stream::iter(numbers)
        .map(|number| async move {
            let answer = command(admin, "acquire", &attempt(number)).await;
            answer.read::<AcquireReply>().decision
        })
        .buffer_unordered(32)
        .collect()
        .await;
    let granted = |decision: &&AcquireDecision| matches!(decision, AcquireDecision::Granted { .. });
    let count = decisions.iter().filter(granted).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[expect(clippy::panic, reason = "a helper of a test")]
async fn gauges(admin: &Client) -> Box<LimiterGauges> {
    match command(admin, "state", &json!({})).await.read() {
        StateReply::Gauges(gauges) => gauges,
        other => panic!("{other:?}"),
    }
}

/// The marked attempts, at both places of a command.
async fn panics(admin: &Client) {
    let deciding = ("lease_id", LEASE_THAT_PANICS);
    let writing = ("model", MODEL_THAT_PANICS);
    for (number, (member, mark)) in [(8_001, deciding), (8_002, writing)] {
        let mut marked = attempt(number);
        marked[member] = mark.into();
        let answer = command(admin, "acquire", &marked).await;
        assert!(answer.status >= 500, "{mark}: {}", answer.status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_inside_a_command_of_an_object_costs_that_command() {
    let stack = Stack::start(Options {
        probe: true,
        leaves_jobs: true,
        expected_errors: vec!["panic", "command failed"],
        ..Options::default()
    });
    let admin = stack.admin();
    assert_eq!(granted(&admin, 0..IN_FLIGHT).await, IN_FLIGHT);

    let beside = IN_FLIGHT..IN_FLIGHT + BESIDE;
    let (granted_beside, ()) = join(granted(&admin, beside.clone()), panics(&admin)).await;
    assert_eq!(granted_beside, BESIDE, "others pay nothing for it");
    let known = gauges(&admin).await;
    assert_eq!(known.calls_in_windows, [beside.end], "{known:?}");

    let after = beside.end..beside.end + AFTER;
    assert_eq!(granted(&admin, after.clone()).await, AFTER);
    let known = gauges(&admin).await;
    assert_eq!(known.calls_in_windows, [after.end], "{known:?}");
    assert_eq!(known.open_attempts, after.end, "{known:?}");
    assert_eq!(known.inflight_images, after.end, "{known:?}");

    // What was in flight is still held by whoever held it.
    for number in 0..IN_FLIGHT {
        let alive = json!({"v": 1, "lease_id": id(1, number), "epoch": 1});
        let answer = command(&admin, "renew", &alive).await;
        assert_eq!(answer.json()["ok"], true, "{}", answer.json());
    }
    // Of the commands that panicked nothing is left, not even a half-written row.
    for number in [8_001, 8_002] {
        let asked = json!({"job_id": id(2, number)});
        let found: StateReply = command(&admin, "state", &asked).await.read();
        assert_eq!(found, StateReply::NoJob);
    }
    // Exactly one more fits.
    assert_eq!(granted(&admin, after.end..LIMIT + 20).await, 1);
}

//! Journey: workerd dies by SIGKILL in mid-generation, and clients go away.
//!
//! 1. for each seeded point and provider kind, a generation is started, the runtime is killed at that point and started
//!    again on the same state; 2. every accepted generation ends, and with its picture where the provider's job id had
//!    been recorded; 3. the simulator's ledger shows at most one charge a generation; 4. no place in flight is left
//!    after the leases; 5. a client that disconnects loses nothing, whether its provider makes a job of it or answers in
//!    one exchange.

use api_types::{JobId, JobState};
use e2e::{Client, Options, Stack, asked_for, seeded_point, seeded_points, until};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const KNOBS: [(&str, &str); 5] = [
    ("HOLDER_MS", "3000"),
    ("RENEW_MS", "1000"),
    ("LIMITER_HOLDER_FLOOR_MS", "500"),
    ("LIMITER_HANDOVER_MS", "2000"),
    ("LIMITER_FLUSH_MS", "200"),
];

fn start(client: &Client, prompt: &str, provider: &str) -> tokio::task::JoinHandle<Option<Value>> {
    let client = client.clone();
    let body = json!({"prompt": prompt, "instance_id": "development", "provider": provider, "fallback": "none"});
    tokio::spawn(async move {
        let request = client
            .request("POST", "/api/image-gen/generate")
            .json(&body);
        client
            .try_send(request)
            .await
            .ok()
            .map(|answer| answer.json())
    })
}

/// The ledger holds what the simulator has charged, to the micro-dollar; of what nobody knows, the most that it can cost,
/// whether or not it was charged.
fn books_agree(stack: &Stack, jobs: &[Vec<String>], charges: &[Value]) {
    let charged = |job: &[String]| -> i64 {
        let of_job = charges.iter().filter(|charge| {
            let request_id = charge["request_id"].as_str().unwrap_or_default();
            request_id.starts_with(&job[0])
        });
        of_job
            .filter_map(|charge| charge["usd_micros"].as_i64())
            .sum()
    };
    let mut billed = (0, 0);
    for job in jobs {
        let cost: i64 = job[3].parse().unwrap_or_default();
        if job[1] == "unknown" {
            assert!(cost > 0 && cost >= charged(job), "{job:?}");
        } else {
            billed = (billed.0 + cost, billed.1 + charged(job));
        }
    }
    assert_eq!(
        billed.0, billed.1,
        "billed and charged: {jobs:?} {charges:?}"
    );
    let total: i64 = jobs
        .iter()
        .filter_map(|job| job[3].parse::<i64>().ok())
        .sum();
    let usage = stack.ledger().rows("SELECT sum(cost) FROM usage_logs");
    assert_eq!(usage.concat(), [total.to_string()], "{jobs:?}");
}

/// Generations whose job id at the provider stands in their object.
fn with_provider_job(stack: &Stack) -> Vec<String> {
    let sql = "SELECT job_id FROM attempts WHERE job_refs <> '[]'";
    stack.object_rows(sql).concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_generation_is_lost_or_paid_twice_over_kills() {
    let seed = asked_for("E2E_SEED", 20_261_121);
    let kills = asked_for("E2E_KILLS", 20) as usize;
    println!("seed {seed}, {kills} kills a provider kind");
    let stack = Stack::start(Options {
        vars: KNOBS.to_vec(),
        expected_errors: vec!["outcome_unknown"],
        leaves_jobs: true,
        ..Options::default()
    });
    let admin = stack.admin();
    let mut resumable = BTreeSet::new();
    for provider in ["ideogram", "openai"] {
        for (number, at_ms) in seeded_points(seed, kills, 2_600).into_iter().enumerate() {
            let tag = format!("{provider}-{number}");
            let token = if provider == "openai" {
                " sim:slow=1s"
            } else {
                ""
            };
            let request = start(
                &admin,
                &format!("sim:once={tag}{token} kill at {at_ms}"),
                provider,
            );
            seeded_point(at_ms).await;
            stack.kill_and_restart();
            let _ = request.await;
            // Asked each time, because the object forgets a row some minutes after its end.
            resumable.extend(with_provider_job(&stack));
        }
    }
    // Every attempt that was admitted reaches an end or is shown as unknown; nothing runs for ever.
    until(
        "an end of every job, and a job of every charge",
        120,
        || async {
            admin.sweep(&stack).await;
            let known = stack.ledger().rows("SELECT job_id FROM jobs").concat();
            let charges = stack.sim().charges().await;
            let recorded = charges.iter().all(|charge| {
                let request_id = charge["request_id"].as_str().unwrap_or_default();
                known.iter().any(|job_id| request_id.starts_with(job_id))
            });
            (recorded && stack.ledger().unfinished_jobs().is_empty()).then_some(())
        },
    )
    .await;
    resumable.extend(with_provider_job(&stack));

    let charges = stack.sim().charges().await;
    assert!(
        stack.sim().duplicates().await.is_empty(),
        "{:?}",
        stack.sim().duplicates().await
    );
    let mut by_request = std::collections::BTreeMap::new();
    for charge in &charges {
        *by_request
            .entry(charge["tag"].as_str().unwrap_or_default().to_owned())
            .or_insert(0) += 1;
    }
    assert!(
        by_request.values().all(|count| *count == 1),
        "{by_request:?}"
    );

    // What was charged is in the ledger, as succeeded with its picture or as unknown with its cost.
    let jobs = stack
        .ledger()
        .rows("SELECT job_id, state, provider, cost, images_stored FROM jobs");
    books_agree(&stack, &jobs, &charges);
    for charge in &charges {
        let request_id = charge["request_id"].as_str().unwrap_or_default();
        let job = jobs.iter().find(|job| request_id.starts_with(&job[0]));
        let job = job.unwrap_or_else(|| panic!("charge {charge} has no job"));
        match charge["provider"].as_str() {
            Some("ideogram") if job[1] == "succeeded" => assert_eq!(job[4], "1", "{job:?}"),
            _ => assert!(
                ["succeeded", "unknown"].contains(&job[1].as_str()),
                "{job:?} for {charge}"
            ),
        }
    }
    // A generation whose provider job id had been recorded always ends with its picture: without a resume it were unknown.
    println!("{} generations with a provider job", resumable.len());
    assert!(!resumable.is_empty());
    for job_id in &resumable {
        let job = jobs.iter().find(|job| job[0] == *job_id);
        let job = job.unwrap_or_else(|| panic!("the ledger does not know {job_id}"));
        assert_eq!(
            (job[1].as_str(), job[4].as_str()),
            ("succeeded", "1"),
            "{job:?}"
        );
    }
    let lost = stack
        .ledger()
        .rows("SELECT job_id FROM jobs WHERE state IN ('failed','dead')");
    assert!(lost.is_empty(), "{lost:?}");

    // No place in flight is left: four images at once fit again.
    let answer = until("free places", 100, || async {
        let body = json!({"prompt": "after the storm", "instance_id": "development", "provider": "ideogram", "n": 4, "fallback": "none"});
        let request = admin.request("POST", "/api/image-gen/generate").json(&body);
        admin.try_send(request).await.ok().filter(|answer| answer.status == 200)
    })
    .await;
    assert_eq!(answer.json()["images"].as_array().map(Vec::len), Some(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_disconnects_loses_nothing() {
    let stack = Stack::start(Options {
        vars: KNOBS.to_vec(),
        ..Options::default()
    });
    let admin = stack.admin();
    for (number, after_ms) in [200_u64, 900, 1_800].into_iter().enumerate() {
        let request = start(
            &admin,
            &format!("sim:once=gone-{number} a client that leaves"),
            "ideogram",
        );
        seeded_point(after_ms).await;
        request.abort();
    }
    until("three stored pictures", 90, || async {
        let rows = stack
            .ledger()
            .rows("SELECT count(*) FROM jobs WHERE state = 'succeeded' AND images_stored = 1");
        rows.iter().any(|row| row[0] == "3").then_some(())
    })
    .await;
    assert_eq!(stack.sim().charges().await.len(), 3);
    assert!(stack.sim().duplicates().await.is_empty());
}

/// A client leaves while its provider, which answers in one exchange, is drawing. A quick call is made by the invocation that
/// the client has left, a slow one by the queue consumer from the start (by its quality): that one may take longer than
/// the 30 s that the platform leaves to such an invocation.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_disconnects_from_a_synchronous_provider_loses_nothing() {
    let stack = Stack::start(Options::default());
    let admin = stack.admin();
    let sql =
        |prompt: &str| format!("SELECT job_id, state FROM attempts WHERE job LIKE '%{prompt}%'");
    for (quality, drawing_s) in [("low", 10), ("high", 45)] {
        let tag = format!("sync-{quality}");
        let prompt = format!("sim:once={tag} sim:slow={drawing_s}s a client that leaves");
        let body = json!({
            "prompt": prompt, "instance_id": "development", "provider": "openai", "quality": quality,
            "fallback": "none",
        });
        let request = admin.request("POST", "/api/image-gen/generate").json(&body);
        let client = admin.clone();
        let waiting = tokio::spawn(async move { client.try_send(request).await });
        let paid = || async {
            let charges = stack.sim().charges().await;
            charges.into_iter().find(|it| it["tag"] == tag.as_str())
        };
        // The simulator charges when it begins to draw.
        until("the provider to draw", 60, paid).await;
        assert!(!waiting.is_finished(), "the answer was there already");
        waiting.abort();
        let left = stack.object_rows(&sql(&prompt)).concat();
        assert_eq!(left.get(1).map(String::as_str), Some("held"), "{left:?}");

        let job = admin
            .ended(&JobId::parse(&left[0]).expect("an id"), 90)
            .await;
        assert_eq!(job.state, JobState::Succeeded, "{job:?}");
        let made = job.result.expect("what would have been answered");
        let picture = stack.client("").get(&made.image_url).await;
        assert_eq!(picture.status, 200, "{made:?}");
        assert!(image::load_from_memory(&picture.bytes).is_ok());
        let charge = paid().await.expect("it stays charged");
        assert_eq!(charge["answered"], true, "somebody was there to take it");
        assert_eq!(charge["usd_micros"].as_i64(), made.cost_usd_micros);
    }
    assert_eq!(stack.sim().charges().await.len(), 2);
    assert!(stack.sim().duplicates().await.is_empty());
    let open = "SELECT job_id, state FROM attempts WHERE state <> 'settled'";
    let open = stack.object_rows(open);
    assert!(open.is_empty(), "a lease is left: {open:?}");
}

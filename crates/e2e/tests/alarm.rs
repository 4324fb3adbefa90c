//! Journey: what a killed runtime had in flight is finished by the objects' alarms alone.
//!
//! 1. no cron runs; one generation is known to an asynchronous provider, one is on the wire of a synchronous one; 2. the
//!    runtime is killed and started again on the same state, and nobody asks it for anything but its health; 3. an alarm
//!    wakes a consumer for each: the first gets its picture, the second ends as unknown with the most that it can cost;
//!    4. nothing was sent twice.

use e2e::{Client, Options, Stack, until};
use serde_json::json;

fn start(admin: &Client, provider: &str, prompt: &str) -> tokio::task::JoinHandle<()> {
    let client = admin.clone();
    let body = json!({
        "prompt": prompt, "instance_id": "development", "provider": provider, "fallback": "none",
    });
    tokio::spawn(async move {
        let request = client.request("POST", "/api/image-gen/generate");
        // Nobody is there any more when this would be answered.
        let _ = client.try_send(request.json(&body)).await;
    })
}

/// Waits until the provider's object has written that state of its one attempt.
async fn in_state(stack: &Stack, provider: &str, state: &str) {
    let sql = format!("SELECT state FROM attempts WHERE provider = '{provider}'");
    until(&format!("{provider} to be {state}"), 60, || async {
        let states = stack.object_rows(&sql).concat();
        states.iter().any(|it| it == state).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_alone_finishes_what_a_kill_left() {
    let stack = Stack::start(Options {
        no_crons: true,
        vars: vec![
            ("HOLDER_MS", "3000"),
            ("RENEW_MS", "1000"),
            ("LIMITER_HOLDER_FLOOR_MS", "500"),
            ("LIMITER_FLUSH_MS", "200"),
        ],
        expected_errors: vec!["outcome_unknown"],
        ..Options::default()
    });
    let admin = stack.admin();
    // Both last longer than it takes to see them and to kill, on any machine.
    let polled = start(&admin, "ideogram", "sim:once=polled sim:queue=30s a tower");
    let held = start(&admin, "openai", "sim:once=held sim:slow=300s a bridge");
    in_state(&stack, "ideogram", "submitted").await;
    in_state(&stack, "openai", "held").await;
    until("both charges", 60, || async {
        (stack.sim().charges().await.len() == 2).then_some(())
    })
    .await;
    stack.kill_and_restart();
    let _ = (polled.await, held.await);

    // Files are read here, no request is sent: a request would wake the objects.
    let sql = "SELECT provider, state, images_stored, cost FROM jobs ORDER BY provider";
    let ends = until("both ends in the ledger", 120, || async {
        let rows = stack.ledger().rows(sql);
        let over = |row: &Vec<String>| ["succeeded", "unknown"].contains(&row[1].as_str());
        (rows.len() == 2 && rows.iter().all(over)).then_some(rows)
    })
    .await;
    assert_eq!(ends[0][..3], ["ideogram", "succeeded", "1"], "{ends:?}");
    assert_eq!(ends[1][..2], ["openai", "unknown"], "{ends:?}");
    let charges = stack.sim().charges().await;
    assert_eq!(charges.len(), 2, "{charges:?}");
    for charge in &charges {
        let provider = charge["provider"].as_str().unwrap_or_default();
        let row = ends.iter().find(|row| row[0] == provider);
        let booked = row.and_then(|row| row[3].parse::<i64>().ok());
        let charged = charge["usd_micros"].as_i64();
        assert!(booked >= charged && charged > Some(0), "{charge} {ends:?}");
    }
    let submitted = stack.sim().requests().await;
    let submitted = submitted
        .iter()
        .filter(|request| request["method"] == "POST");
    assert_eq!(submitted.count(), 2, "one submission each");
    assert!(stack.sim().duplicates().await.is_empty());
}

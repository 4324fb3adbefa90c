//! Journey: a panic costs one request; the next thousand succeed, and what was in flight goes on.

use e2e::{Options, Stack};
use futures_util::{StreamExt, stream};
use serde_json::json;

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

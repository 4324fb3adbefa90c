//! Journey: a wake-up that nobody can work on ends in `jobs-dlq`, whose consumer asks the object and is done with it.
//!
//! 1. config-service is away, and a wake-up names an instance of which nobody has a configuration; 2. it is tried as often
//!    as the queue allows, and then goes to `jobs-dlq`; 3. there the object is asked and swept, the message is told as one
//!    ERROR line and never comes again; 4. the queue goes on: the next message is read.

use e2e::{Options, Stack, until};
use serde_json::{Value, json};

const JOB: &str = "0199a1c2-0000-7000-8000-000000000001";
/// What the consumer of `jobs-dlq` says.
const ENDED: &str = "a wake-up ended in the dead-letter queue";
/// What the consumer of `jobs` says of each try.
const AGAIN: &str = "a wake-up is tried again";
/// Deliveries of a message: the first, and `max_retries` of `workers/image-gen/wrangler.jsonc`.
const TRIES: usize = 4;

fn lines(stack: &Stack, message: &str) -> Vec<Value> {
    let mut lines = stack.log_lines();
    lines.retain(|line| line["message"] == message && line["metadata"]["job_id"] == JOB);
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wake_up_that_fails_too_often_is_asked_about_once_and_let_go() {
    let stack = Stack::start(Options {
        outage: true,
        expected_errors: vec![ENDED],
        ..Options::default()
    });
    let admin = stack.admin();
    stack.outage("fail").await;
    let wake_up = json!({
        "v": 1, "object": "instance:never-made:provider:ideogram", "job_id": JOB,
        "lease_id": "0199a1c2-0000-7000-8000-000000000002", "reason": "resume", "hop": 0,
        "request_id": "0199a1c2-0000-7000-8000-000000000003",
    });
    let sent = admin.post("/api/probe/jobs", &wake_up).await;
    assert_eq!(sent.json()["sent"], true, "{}", sent.json());

    let ended = until("the dead letter", 90, || async {
        lines(&stack, ENDED).pop()
    })
    .await;
    assert_eq!(ended["component"], "image-gen", "{ended}");
    assert_eq!(ended["request_id"], wake_up["request_id"], "{ended}");
    assert_eq!(ended["metadata"]["object"], wake_up["object"], "{ended}");
    assert_eq!(ended["metadata"]["swept"], true, "{ended}");
    assert_eq!(lines(&stack, AGAIN).len(), TRIES);

    stack.outage("pass").await;
    // One that nobody understands is kept at once; were the dead letter not acknowledged, it would be back by then.
    let unreadable = admin.post("/api/probe/jobs", &json!({"v": 2})).await;
    assert_eq!(unreadable.json()["sent"], true);
    until("the next message", 60, || async {
        let rejects = stack.ledger().rows("SELECT body FROM queue_rejects");
        (!rejects.is_empty()).then_some(())
    })
    .await;
    assert_eq!(lines(&stack, ENDED).len(), 1);
    assert_eq!(lines(&stack, AGAIN).len(), TRIES);
}

//! Journey: a paused instance takes no new work, and keeps what it has.
//!
//! 1. an instance makes a picture; 2. it is paused: within the 5 s that a verdict lives new work is 403 `instance_paused`,
//!    and stays so; 3. its job, its picture and its models can still be read; 4. it is active again: work is accepted. Nothing
//!    was asked of the provider meanwhile.
#![expect(
    clippy::disallowed_methods,
    reason = "what is measured is real time: how long a verdict goes on being used"
)]

use e2e::{Answer, Client, Options, Stack, until};
use serde_json::json;
use std::time::{Duration, Instant};

const INSTANCE: &str = "/api/config-service/instance/resting";
/// How long a verdict may be used.
const VERDICT_S: u64 = 5;

async fn tell(admin: &Client, what: &str) {
    let version = admin.get(INSTANCE).await.header("etag").to_owned();
    let request = admin.request("POST", &format!("{INSTANCE}/{what}"));
    let request = request.header("if-match", version);
    let request = match what {
        "pause" => request.json(&json!({"reason": "maintenance"})),
        _ => request,
    };
    let answer = admin.send(request).await;
    assert_eq!(answer.status, 200, "{what}: {}", answer.json());
}

async fn draw(client: &Client) -> Answer {
    let body = json!({
        "prompt": "a bench in the shade", "instance_id": "resting", "provider": "openai", "fallback": "none",
    });
    client.post("/api/image-gen/generate", &body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_instance_takes_no_new_work_and_keeps_what_it_has() {
    let stack = Stack::start(Options::default());
    let admin = stack.admin();
    admin
        .make_instance("resting", "sim-ok-resting", json!({}))
        .await;
    let first = draw(&admin).await;
    assert_eq!(first.status, 200, "{}", first.json());
    let first = first.json();

    tell(&admin, "pause").await;
    let began = Instant::now();
    let refused = until("the pause to be seen", 2 * VERDICT_S, || async {
        let asked = began.elapsed();
        let answer = draw(&admin).await;
        if answer.status == 200 {
            assert!(
                asked < Duration::from_secs(VERDICT_S),
                "accepted {asked:?} after"
            );
        }
        (answer.status != 200).then_some(answer)
    })
    .await;
    refused.expect_error(403, "instance_paused");
    draw(&admin).await.expect_error(403, "instance_paused");
    let made = stack.sim().charges().await.len();

    let job = first["job_id"].as_str().unwrap_or_default();
    let job = admin.request("GET", &format!("/api/image-gen/jobs/{job}"));
    let job = admin.send(job.header("x-instance-id", "resting")).await;
    assert_eq!(job.status, 200, "{}", job.json());
    assert_eq!(job.json()["state"], "succeeded");
    let url = first["images"][0]["url"].as_str().unwrap_or_default();
    assert_eq!(admin.get(url).await.status, 200, "{url}");
    draw(&admin).await.expect_error(403, "instance_paused");
    assert_eq!(stack.sim().charges().await.len(), made);

    tell(&admin, "resume").await;
    until("work to be accepted again", 2 * VERDICT_S, || async {
        let answer = draw(&admin).await;
        if answer.status != 200 {
            answer.expect_error(403, "instance_paused");
            return None;
        }
        Some(())
    })
    .await;
    assert_eq!(stack.sim().charges().await.len(), made + 1);
}

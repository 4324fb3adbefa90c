//! Journey: an instance is not deleted while its work runs, which config-service asks image-gen over its binding.
//!
//! 1. a generation waits at its provider; 2. its instance is taken down: new work is refused, and `DELETE` is 409 and
//!    names the job; 3. the provider finishes it: the picture is answered; 4. now `DELETE` is 204.

use e2e::{Answer, Client, Options, Stack, until};
use serde_json::{Value, json};

const INSTANCE: &str = "/api/config-service/instance/leaving";

async fn version(admin: &Client) -> String {
    admin.get(INSTANCE).await.header("etag").to_owned()
}

async fn delete(admin: &Client) -> Answer {
    let request = admin.request("DELETE", INSTANCE);
    let request = request.header("if-match", version(admin).await);
    admin.send(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_with_running_work_is_not_deleted() {
    let stack = Stack::start(Options::default());
    let admin = stack.admin();
    admin
        .make_instance("leaving", "sim-ok-leaving", json!({}))
        .await;
    let client = admin.clone();
    // It stays there until the simulator is told to finish it.
    let body = json!({
        "prompt": "sim:queue=3600s a last picture", "instance_id": "leaving", "provider": "ideogram", "fallback": "none",
    });
    let running = tokio::spawn(async move { client.post("/api/image-gen/generate", &body).await });
    let sql = "SELECT job_id FROM attempts WHERE instance_id = 'leaving' AND state = 'submitted'";
    let job_id = until("the provider to have it", 60, || async {
        stack.object_rows(sql).concat().pop()
    })
    .await;

    let down = admin.request("PUT", &format!("{INSTANCE}/status"));
    let down = down.header("if-match", version(&admin).await);
    let down = admin.send(down.json(&json!({"status": "deleting"}))).await;
    assert_eq!(down.status, 200, "{}", down.json());
    let told = delete(&admin).await.expect_error(409, "not_empty");
    assert_eq!(told["details"]["running"], 1, "{told}");
    assert!(
        told["details"]["jobs"].to_string().contains(&job_id),
        "{told}"
    );

    let jobs = stack.sim().jobs().await;
    let waiting = jobs.iter().find(|job| job["account"] == "leaving");
    let id = waiting.and_then(|job| job["id"].as_str().or(job["job_id"].as_str()));
    let id = id.unwrap_or_else(|| panic!("{jobs:?}"));
    stack
        .sim()
        .post(&format!("jobs/{id}/complete"), &Value::Null)
        .await;
    let answer = running.await.expect("it only asks");
    assert_eq!(answer.status, 200, "{}", answer.json());
    assert_eq!(answer.json()["job_id"], job_id);
    // image-gen counts in the ledger, which hears of an end a moment later.
    until("the instance to go", 60, || async {
        let answer = delete(&admin).await;
        assert!([204, 409].contains(&answer.status), "{}", answer.json());
        (answer.status == 204).then_some(())
    })
    .await;
    admin.get(INSTANCE).await.expect_error(404, "not_found");
}

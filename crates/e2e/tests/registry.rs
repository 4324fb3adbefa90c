//! Journey: the registry of workers and the audit log on the real runtime.
//!
//! The seed has registered every worker of the stack. The sweeper asks each of them through the very gateway that serves
//! us, config-service itself among them, and all are healthy. Many checks at once end: a worker that asks itself over its
//! own gateway does not wait for itself. A worker that is not there becomes unhealthy. The chains of organization and
//! platform can be verified, are sealed by the sweeper, and are whole after a kill.

use e2e::{Client, Options, Stack, until};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::time::Duration;

const WORKERS: [&str; 4] = ["admission", "config-service", "console", "image-gen"];
const SERVICE: &str = "/api/config-service";
/// Longer than anything that ends.
const HANGS: Duration = Duration::from_mins(5);

async fn healths(client: &Client) -> Vec<(String, Value)> {
    let answer = client
        .get(&format!("{SERVICE}/worker?instance_id=platform"))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    let body = answer.json();
    let items = body["items"].as_array().cloned().unwrap_or_default();
    items
        .iter()
        .map(|item| {
            (
                item["name"].as_str().unwrap_or_default().to_owned(),
                item["health"].clone(),
            )
        })
        .collect()
}

async fn sweep(client: &Client) {
    let path = "/cdn-cgi/local/explorer/api/local/scheduled?worker=config-service";
    let request = client
        .request("POST", path)
        .json(&json!({"cron": "* * * * *"}));
    let _ = client.try_send(request).await;
}

async fn verified(client: &Client, org_id: &str) -> Value {
    let answer = client
        .get(&format!("{SERVICE}/audit/verify?org_id={org_id}"))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    let verdict = answer.json();
    assert_eq!(
        (&verdict["ok"], &verdict["complete"]),
        (&json!(true), &json!(true)),
        "{verdict}"
    );
    verdict
}

#[tokio::test(flavor = "multi_thread")]
async fn every_worker_is_registered_checked_and_the_log_can_be_verified() {
    let stack = Stack::start(Options::default());
    let (admin, root) = (stack.admin(), stack.client(&stack.keys().superadmin));
    let names: Vec<String> = healths(&admin)
        .await
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    for worker in WORKERS {
        assert!(
            names.iter().any(|name| name == worker),
            "{worker} is not among {names:?}"
        );
    }

    // A check that got no answer in time on a busy machine is due again half a minute later.
    until("all workers to be healthy by the sweeper", 120, || async {
        sweep(&root).await;
        let all = healths(&admin).await;
        all.iter()
            .all(|(_, health)| health == "healthy")
            .then_some(())
    })
    .await;
    let detail = admin
        .get(&format!("{SERVICE}/worker/config-service"))
        .await
        .json();
    assert_eq!(
        detail["health_detail"]["kek_ids"],
        json!(["k1", "k2"]),
        "{detail}"
    );
    assert_eq!(detail["versions"][0]["git_sha"], detail["git_sha"]);

    // Each check ends, in whatever health: its own limit of 3 s is the product's, and 24 at once on two busy cores may
    // need more. Whoever waited for itself would never end.
    let checks = WORKERS.iter().cycle().take(24).map(|name| {
        let root = root.clone();
        async move {
            let request = root.request("POST", &format!("{SERVICE}/worker/{name}/check"));
            root.send(request.timeout(HANGS)).await
        }
    });
    for answer in join_all(checks).await {
        assert_eq!(answer.status, 200, "{}", answer.json());
    }
    for name in WORKERS {
        until("a good check when nothing else is asked", 60, || async {
            let request = root.request("POST", &format!("{SERVICE}/worker/{name}/check"));
            let worker = root.send(request.timeout(HANGS)).await.json();
            matches!(worker["health"].as_str(), Some("healthy" | "degraded")).then_some(())
        })
        .await;
    }

    let ghost = json!({"version": "1", "git_sha": "a1", "url": "http://127.0.0.1:9"});
    let put = root
        .request("PUT", &format!("{SERVICE}/worker/ghost"))
        .json(&ghost);
    assert_eq!(root.send(put).await.status, 201);
    // The third failure in a row says it; a sweep at the turn of a minute may have been one of them.
    let mut healths = Vec::new();
    for _ in 0..3 {
        let request = root.request("POST", &format!("{SERVICE}/worker/ghost/check"));
        let worker = root.send(request).await.json();
        healths.push(worker["health"].as_str().unwrap_or_default().to_owned());
    }
    let known = healths.iter().filter(|health| *health == "unknown").count();
    assert!(
        healths[known..].iter().all(|health| health == "unhealthy"),
        "{healths:?}"
    );
    assert_eq!(healths[2], "unhealthy", "{healths:?}");

    let org_id = stack.ids()["org_id"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let own = verified(&admin, &org_id).await;
    let platform = verified(&root, "platform").await;
    // The first superadmin, each worker, and the one that is not there.
    assert_eq!(platform["entries"], names.len() + 2, "{platform}");
    let listed = root
        .get(&format!(
            "{SERVICE}/audit?org_id=platform&action=register_worker"
        ))
        .await
        .json();
    assert_eq!(
        listed["items"].as_array().map(Vec::len),
        Some(names.len() + 1),
        "{listed}"
    );
    let sealed = until("the checkpoints of both chains in the log", 60, || async {
        let lines = stack.log_lines();
        let of = |org_id: &str| {
            lines.iter().any(|line| {
                line["metadata"]["event"] == "audit" && line["metadata"]["org_id"] == org_id
            })
        };
        (of("platform") && of(&org_id)).then_some(())
    });
    sealed.await;

    stack.kill_and_restart();
    let after = verified(&admin, &org_id).await;
    assert_eq!(after["head_hash"], own["head_hash"]);
    // One a day, and the journey may see midnight.
    assert!(
        after["checkpoints"]
            .as_u64()
            .is_some_and(|sealed| sealed >= 1),
        "{after}"
    );
    verified(&root, "platform").await;
}

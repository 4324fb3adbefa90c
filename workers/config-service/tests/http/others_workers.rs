//! What workers that an organization registered cannot do: stop the platform's key rotation, take its checks.

use crate::support::*;
use platform::fakes::FakeReply;
use serde_json::{Value, json};

fn worker(instance_id: Option<&str>, url: &str) -> Value {
    json!({"instance_id": instance_id, "version": "1.0.0", "git_sha": "a1", "url": url})
}

async fn put(service: &Service, key: &str, name: &str, body: &Value) {
    let answer = service.put(key, &format!("/worker/{name}"), body).await;
    assert!(answer.status.is_success(), "{}", answer.text());
}

/// Every worker answers its check with those words about keys.
fn say(service: &Service, health: &'static str) {
    let body: Value = serde_json::from_str(health).unwrap();
    service.ports.http.handle(move |_| {
        let body = body.clone();
        async move { FakeReply::json(200, &body) }
    });
}

async fn start(service: &Service) -> (u16, Value) {
    let wanted = json!({"to": "k2"});
    let answer = service.post(ROOT, "/admin/kek-rotation", &wanted).await;
    (answer.status.as_u16(), answer.json())
}

#[tokio::test]
async fn a_worker_of_an_organization_stops_no_key_rotation() {
    let service = Service::with(keyed_settings("k1", &["k1", "k2"]));
    say(
        &service,
        r#"{"status":"ok","git_sha":"a1","kek_ids":["k1"],"old_kek_rows":1}"#,
    );
    let evil = worker(Some("foreign"), "https://evil.example.com");
    put(&service, FOREIGN, "image-gen", &evil).await;
    assert_eq!(service.deps.sweep().await.checked, 1);
    let (status, started) = start(&service).await;
    assert_eq!(status, 201, "{started}");
    assert_eq!(started["lacking_workers"], json!(["image-gen (foreign)"]));
    assert_eq!(started["unasked_workers"], json!([]));
    let service = service.deployed(keyed_settings("k2", &["k1", "k2"]));
    let run = format!(
        "/admin/kek-rotation/{}/run",
        started["rotation_id"].as_str().unwrap()
    );
    let mut done = json!({"state": "running"});
    while done["state"] == "running" {
        done = service.post(ROOT, &run, &json!({})).await.json();
    }
    assert_eq!(done["state"], "done");
    assert!(done["safe_to_remove_after"].is_string(), "{done}");
    service.settle().await;
}

/// What the platform deployed for an instance holds the keys of that instance; whose word it is, the last registration
/// says.
#[tokio::test]
async fn a_worker_that_the_platform_registered_for_an_instance_counts() {
    let service = Service::with(keyed_settings("k1", &["k1", "k2"]));
    say(
        &service,
        r#"{"status":"ok","git_sha":"a1","kek_ids":["k1"],"old_kek_rows":1}"#,
    );
    let body = worker(Some("foreign"), "https://image-gen.foreign.example");
    put(&service, ROOT, "image-gen", &body).await;
    service.deps.sweep().await;
    let (status, refused) = start(&service).await;
    assert_eq!((status, &refused["error"]), (409, &json!("conflict")));
    assert_eq!(
        refused["details"]["workers"],
        json!(["image-gen (foreign)"])
    );
    // The same words by its organization are another registration.
    put(&service, FOREIGN, "image-gen", &body).await;
    let entry = service.last_entry(FOREIGN_LTD).await;
    assert_eq!(
        (&entry["before"], &entry["after"]),
        (
            &json!({"by_platform": true}),
            &json!({"by_platform": false})
        )
    );
    assert_eq!(start(&service).await.0, 201);
    put(&service, ROOT, "image-gen", &body).await;
    let (count, platform) = ("worker_registry WHERE by_platform = 1", 1);
    assert_eq!(service.count(count).await, platform);
    service.settle().await;
}

async fn asked(service: &Service) -> Vec<String> {
    let before = service.ports.http.requests().len();
    service.deps.sweep().await;
    let requests = service.ports.http.requests();
    let urls = requests.iter().skip(before).map(|it| it.url.clone());
    urls.collect()
}

/// A hundred workers that answer nothing new, registered anew each minute, so that they were never checked.
#[tokio::test]
async fn the_workers_of_one_organization_delay_no_check_of_others() {
    let service = Service::new();
    say(&service, r#"{"status":"ok","git_sha":"a1"}"#);
    let own = worker(Some("production"), "https://own.acme.example");
    put(&service, ADMIN, "own", &own).await;
    for name in ["console", "image-gen"] {
        let url = format!("https://{name}.platform.example");
        put(&service, ROOT, name, &worker(None, &url)).await;
    }
    let at = service.deps.now();
    for minute in 0..3 {
        let many = format!(
            "INSERT INTO worker_registry (name, instance_id, version, git_sha, url, registered_at, created_at, org_id) \
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) \
             SELECT 'w' || i, 'foreign', '1', 'a1', 'https://w' || i || '.evil.example', '{at}', '{at}', '{FOREIGN_LTD}' FROM n WHERE true \
             ON CONFLICT (instance_id, name) DO UPDATE SET checked_at = NULL"
        );
        service.run(&many).await;
        let asked = asked(&service).await;
        assert_eq!(asked.len(), 50);
        let position = |host: &str| asked.iter().position(|url| url.contains(host));
        assert!(
            position("console.platform") < Some(2),
            "{minute}: {asked:?}"
        );
        assert!(position("image-gen.platform").is_some_and(|at| at < 2));
        assert!(
            position("own.acme").is_some_and(|at| at < 4),
            "{minute}: {asked:?}"
        );
        service.ports.world.clock.advance(60_000);
    }
    // And the platform's own, however many, leave some checks to others.
    let many = format!(
        "INSERT INTO worker_registry (name, instance_id, version, git_sha, url, registered_at, created_at, by_platform) \
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 80) \
        SELECT 'p' || i, '', '1', 'a1', 'https://p' || i || '.platform.example', '{at}', '{at}', 1 FROM n"
    );
    service.run(&many).await;
    let asked = asked(&service).await;
    let of_platform = asked.iter().filter(|url| url.contains("platform")).count();
    assert_eq!((asked.len(), of_platform), (50, 40));
    service.settle().await;
}

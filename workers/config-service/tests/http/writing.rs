//! The write path: round trips, repetition, faults, audit chain, publication.

use crate::new_instance;
use crate::support::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use platform::fakes::When;
use serde_json::{Value, json};

#[tokio::test]
async fn a_mutation_is_two_round_trips_and_one_put() {
    let service = Service::new();
    service.get(ADMIN, "/session").await;
    service.settle().await;
    let (batches, puts) = (
        service.ports.world.faults.calls("database"),
        service.ports.world.faults.calls("kv.put"),
    );
    service
        .post(ADMIN, "/instance", &new_instance("Staging"))
        .await;
    assert_eq!(service.ports.world.faults.calls("database") - batches, 2);
    assert_eq!(service.ports.world.faults.calls("kv.put") - puts, 1);
    let batches = service.ports.world.faults.calls("database");
    service.get(ADMIN, "/instance/staging").await;
    assert_eq!(service.ports.world.faults.calls("database") - batches, 1);
    service.settle().await;
}

#[tokio::test]
async fn a_repeated_post_is_answered_once_and_shows_its_secret_for_ten_minutes() {
    let service = Service::new();
    let post = async |path: &str, key: &str, body: &Value| {
        service
            .app
            .post(path)
            .key(ADMIN)
            .header("idempotency-key", key)
            .json(body)
            .send()
            .await
    };
    let body = json!({"user_id": USER_USER, "name": "laptop"});
    let first = post("/api-key", "k-1", &body).await;
    let second = post("/api-key", "k-1", &body).await;
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (201, 201));
    assert_eq!(first.json()["api_key"], second.json()["api_key"]);
    assert_eq!(second.header("idempotent-replayed"), "true");
    assert_eq!(second.header("location"), first.header("location"));
    assert_eq!(first.header("idempotent-replayed"), "");
    assert_eq!(service.count("api_keys WHERE name = 'laptop'").await, 1);
    let stored = service
        .row("SELECT response, sealed FROM idempotency")
        .await;
    assert!(stored.flag("sealed") && !stored.text("response").unwrap().contains("sy_"));
    let other = post(
        "/api-key",
        "k-1",
        &json!({"user_id": USER_USER, "name": "other"}),
    )
    .await;
    assert_eq!(other.outcome(), (422, "idempotency_mismatch".into()));
    service.ports.world.clock.advance(600_000);
    assert_eq!(
        post("/api-key", "k-1", &body).await.outcome(),
        (409, "secret_already_shown".into())
    );
    service.ports.world.clock.advance(24 * 3_600_000);
    let next_day = post("/api-key", "k-1", &body).await;
    assert_eq!(next_day.status, 201);
    assert_ne!(next_day.json()["key_id"], first.json()["key_id"]);

    let project = json!({"instance_id": "production", "name": "Once"});
    let first = post("/project", "p", &project).await.json();
    service.ports.world.clock.advance(3_600_000);
    assert_eq!(
        post("/project", "p", &project).await.json()["project_id"],
        first["project_id"]
    );
    assert_eq!(
        post("/project", "q", &project).await.outcome(),
        (409, "conflict".into())
    );
    assert_eq!(
        post("/project", &"k".repeat(256), &project).await.outcome(),
        (400, "invalid_field".into())
    );
    assert_eq!(
        service
            .post(
                USER,
                "/project",
                &json!({"instance_id": "development", "name": "x"})
            )
            .await
            .status,
        201
    );
    service.settle().await;
}

#[tokio::test]
async fn a_repeated_post_is_known_after_a_change_of_the_pepper() {
    let peppers = |current: &str, with_old: bool| {
        let encode = |bytes: [u8; 32]| STANDARD.encode(bytes);
        let mut all = vec![
            ("KEY_PEPPER_CURRENT", current.to_owned()),
            ("KEY_PEPPER_p2", encode([5; 32])),
        ];
        if !with_old {
            all.push(("KEY_PEPPER_p1", String::new()));
        }
        settings_with("test", &all)
    };
    let service = Service::with(peppers("p1", true));
    let post = async |service: &Service, name: &str| {
        let request = service.app.post("/project").key(ADMIN);
        let request = request.header("idempotency-key", "k");
        let body = json!({"instance_id": "production", "name": name});
        request.json(&body).send().await
    };
    let first = post(&service, "Once").await;
    assert_eq!(first.status, 201);
    let service = service.deployed(peppers("p2", true));
    let again = post(&service, "Once").await;
    assert_eq!(again.status, 201, "{}", again.text());
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.json()["project_id"], first.json()["project_id"]);
    let mismatch = (422, "idempotency_mismatch".to_owned());
    assert_eq!(post(&service, "Other").await.outcome(), mismatch);
    // Once the old pepper is gone nobody can say any more that it is the same request.
    service.settle().await;
    let service = service.deployed(peppers("p2", false));
    assert_eq!(post(&service, "Once").await.outcome(), mismatch);
    service.settle().await;
}

#[tokio::test]
async fn change_and_audit_row_are_together_when_the_database_fails() {
    let service = Service::new();
    service.get(ADMIN, "/session").await;
    service.settle().await;
    let faults = &service.ports.world.faults;
    let post = async |name: &str| {
        service
            .post(
                ADMIN,
                "/project",
                &json!({"instance_id": "production", "name": name}),
            )
            .await
    };
    // The write never arrives.
    faults.fail("database", 2, When::Before);
    let lost = post("before").await;
    assert_eq!(lost.outcome(), (503, "database_unavailable".into()));
    assert_eq!(lost.header("x-should-retry"), "true");
    assert_eq!(
        (
            service.count("projects WHERE name = 'before'").await,
            service.count("audit_log").await
        ),
        (0, 0)
    );
    // It arrives and its answer is lost: the audit entry tells.
    faults.fail("database", 2, When::After);
    let done = post("after").await;
    assert_eq!(done.status, 201, "{}", done.text());
    assert_eq!(
        (
            service.count("projects WHERE name = 'after'").await,
            service.count("audit_log").await
        ),
        (1, 1)
    );
    // A read is repeated once.
    faults.fail("database", 1, When::Before);
    assert_eq!(post("read").await.status, 201);
    faults.fail_every("database", When::Before);
    assert_eq!(
        post("down").await.outcome(),
        (503, "database_unavailable".into())
    );
    assert_eq!(
        service.get(ADMIN, "/instance/production").await.outcome(),
        (503, "database_unavailable".into())
    );
    faults.heal_all();
    assert_eq!(post("up").await.status, 201);
    assert_eq!(service.count("audit_log").await, 3);
    service.settle().await;
}

#[tokio::test]
async fn publication_that_fails_is_repeated_and_then_swept() {
    let service = Service::new();
    let faults = &service.ports.world.faults;
    faults.fail("kv.put", 1, When::Before);
    assert_eq!(
        service
            .post(ADMIN, "/instance", &json!({"name": "one"}))
            .await
            .status,
        201
    );
    assert!(service.ports.kv.newest("cfg:v1:one").is_none());
    service.settle().await;
    assert!(service.ports.kv.newest("cfg:v1:one").is_some());
    assert_eq!(
        service
            .row("SELECT published_version AS n FROM instances WHERE instance_id = 'one'")
            .await
            .int("n"),
        Some(1)
    );
    faults.fail_every("kv.put", When::Before);
    assert_eq!(
        service
            .post(ADMIN, "/instance", &json!({"name": "two"}))
            .await
            .status,
        201
    );
    service.settle().await;
    assert_eq!(service.deps.sweep().await.published, 0);
    faults.heal_all();
    // The seed's three are unpublished too.
    let swept = service.deps.sweep().await;
    assert_eq!((swept.published, swept.failed_steps), (4, 0));
    assert!(service.ports.kv.newest("cfg:v1:two").is_some());
    assert_eq!(service.deps.sweep().await.published, 0);
    service.ports.world.clock.advance(12 * 3_600_000 + 1);
    assert_eq!(service.deps.sweep().await.confirmed, 5);
    assert_eq!(service.deps.sweep().await.confirmed, 0);
    // One failing step does not stop the next, nor the other half of its own: the recount is due once a day.
    service.ports.world.clock.advance(12 * 3_600_000);
    service.run("INSERT INTO idempotency (principal, route, key, request_sha256, status, response, created_at, expires_at) VALUES ('p', 'r', 'k', hex(zeroblob(32)), 200, '{}', '2025-01-01T00:00:00.000Z', '2025-01-02T00:00:00.000Z')").await;
    faults.fail("database", 1, When::Before);
    let swept = service.deps.sweep().await;
    assert_eq!(
        (swept.failed_steps, swept.forgotten, swept.recounted),
        (1, 1, 5)
    );
    service.settle().await;
}

#[tokio::test]
async fn the_audit_chain_can_be_recomputed() {
    let service = Service::new();
    service
        .post(
            ADMIN,
            "/project",
            &json!({"instance_id": "production", "name": "one"}),
        )
        .await;
    service.post(ADMIN, "/instance", &new_instance("Two")).await;
    service
        .put(
            ADMIN,
            "/instance/production/provider-key/openai",
            &json!({"api_key": "canary-0123456789-0123456789"}),
        )
        .await;
    let mut prev = auth::chain::FIRST_PREV_HASH.to_owned();
    for seq in 1..=3 {
        let row = service
            .row(&format!(
                "SELECT * FROM audit_log WHERE org_id = '{ACME}' AND seq = {seq}"
            ))
            .await;
        let text = |name: &str| row.text(name).map_or(Value::Null, Value::from);
        let parsed = |name: &str| {
            row.text(name)
                .map_or(Value::Null, |t| serde_json::from_str(t).unwrap())
        };
        let entry = json!({
            "org_id": text("org_id"), "seq": seq, "at": text("at"), "actor": parsed("actor"), "action": text("action"),
            "target_type": text("target_type"), "target_id": text("target_id"), "instance_id": text("instance_id"),
            "before": parsed("before"), "after": parsed("after"), "request_id": text("request_id"), "ip": text("ip"), "prev_hash": prev,
        });
        assert_eq!(row.text("prev_hash"), Some(prev.as_str()));
        prev = auth::chain::entry_hash(&prev, &entry);
        assert_eq!(row.text("hash"), Some(prev.as_str()), "entry {seq}");
        assert!(!entry.to_string().contains("canary"));
    }
    service.settle().await;
}

/// Each round trip takes a while, so that all writers read the same head of the chain.
fn slow() -> Service {
    let service = Service::new();
    service.ports.world.faults.slow("database", 5);
    service
}

/// The places of the chain: 1, 2, 3, .. to the number of changes.
async fn assert_chain(service: &Service, changes: i64) {
    let row = service
        .row("SELECT count(*) AS n, min(seq) AS first, max(seq) AS last, count(DISTINCT seq) AS places FROM audit_log")
        .await;
    let told = ["n", "first", "last", "places"].map(|name| row.int(name).unwrap());
    assert_eq!(told, [changes, 1, changes, changes]);
}

/// A writer either has made his change or is told to come again, and when he does, everybody has.
#[tokio::test]
async fn fifty_parallel_writers_make_a_chain_without_gap() {
    let service = slow();
    let create = async |n: u32| {
        let body = json!({"instance_id": "production", "name": format!("p{n}")});
        service.post(ADMIN, "/project", &body).await
    };
    let mut waiting: Vec<u32> = (0..50).collect();
    let mut done = 0;
    while !waiting.is_empty() {
        let answers = futures_util::future::join_all(waiting.iter().map(|n| create(*n))).await;
        let mut again = Vec::new();
        for (n, answer) in waiting.iter().zip(&answers) {
            if answer.status == 201 {
                done += 1;
            } else {
                assert_eq!(answer.outcome(), (503, "overloaded".into()));
                assert_eq!(answer.header("x-should-retry"), "true");
                again.push(*n);
            }
        }
        // Of those that collide one is always first, in each of their five attempts.
        assert!(waiting.len() - again.len() >= 5.min(waiting.len()));
        assert_chain(&service, done).await;
        let rows = "projects WHERE instance_id = 'production' AND name LIKE 'p%'";
        assert_eq!(service.count(rows).await, done);
        waiting = again;
    }
    assert_eq!(done, 50);
    service.settle().await;
}

/// Of fifty that all have read version 1 one is in time; of fifty that take what is there each makes a version.
#[tokio::test]
async fn fifty_parallel_writers_of_one_row_make_versions_without_gap() {
    let service = slow();
    let path = format!("/project/{FORGE}");
    let rename = async |n: u32, version: &str| {
        let body = json!({"name": format!("n{n}")});
        service
            .at(Method::PATCH, ADMIN, &path, version, Some(&body))
            .await
    };
    let late = (412, "version_mismatch".to_owned());
    let answers = futures_util::future::join_all((0..50).map(|n| rename(n, "\"1\""))).await;
    let (good, bad): (Vec<_>, Vec<_>) = answers.iter().partition(|it| it.status == 200);
    assert_eq!(good.len(), 1);
    assert!(bad.iter().all(|it| it.outcome() == late));
    assert_chain(&service, 1).await;
    let answers = futures_util::future::join_all((50..100).map(|n| rename(n, "*"))).await;
    let (good, bad): (Vec<_>, Vec<_>) = answers.iter().partition(|it| it.status == 200);
    assert!(
        bad.iter()
            .all(|it| it.outcome() == (503, "overloaded".into()))
    );
    assert!(good.len() >= 5);
    let mut versions: Vec<i64> = good
        .iter()
        .map(|it| it.json()["version"].as_i64().unwrap())
        .collect();
    versions.sort_unstable();
    let last = 2 + versions.len() as i64;
    assert_eq!(versions, (3..=last).collect::<Vec<_>>());
    let row = service
        .row(&format!(
            "SELECT version AS n FROM projects WHERE project_id = '{FORGE}'"
        ))
        .await;
    assert_eq!(row.int("n"), Some(last));
    assert_chain(&service, last - 1).await;
    service.settle().await;
}

/// What the sweeper tells of each run, by which it is watched.
#[tokio::test]
async fn a_run_of_the_sweeper_is_one_cron_event_with_its_counts() {
    let service = Service::new();
    let event = async || {
        let before = service.app.lines().len();
        let swept = service.app.within(service.deps.sweep()).await;
        let lines = service.app.lines().split_off(before);
        let mut events = lines
            .into_iter()
            .map(|line| line["metadata"].clone())
            .filter(|metadata| metadata["event"] == "cron");
        let event = events.next().unwrap();
        assert_eq!(events.next(), None);
        (swept, event)
    };
    let (swept, told) = event().await;
    assert_eq!(
        (&told["name"], &told["result"], &told["failed_steps"]),
        (&json!("sweep"), &json!("ok"), &json!(0))
    );
    for (name, count) in [
        ("published", swept.published as u64),
        ("confirmed", swept.confirmed as u64),
        ("forgotten", swept.forgotten),
        ("rotated", swept.rotated as u64),
        ("erased", swept.erased),
        ("checked", swept.checked as u64),
        ("sealed", swept.sealed as u64),
        ("emptied_secrets", swept.emptied_secrets),
        ("removed_sessions", swept.removed_sessions),
        ("rebuilt", swept.rebuilt as u64),
        ("recounted", swept.recounted as u64),
        ("removed", swept.removed as u64),
    ] {
        assert_eq!(told[name], json!(count), "{name}: {told}");
    }
    assert!(swept.published > 0 && swept.recounted > 0);
    service.ports.world.faults.fail("database", 1, When::Before);
    let (_, told) = event().await;
    assert_eq!(
        (&told["result"], &told["failed_steps"]),
        (&json!("failed"), &json!(1))
    );
    service.settle().await;
}

#[tokio::test]
async fn bodies_are_told_wrong_only_to_who_may_ask() {
    let service = Service::new();
    let bad = json!({"nmae": "x"});
    assert_eq!(
        service.post(USER, "/organization", &bad).await.outcome(),
        (403, "role_required".into())
    );
    assert_eq!(
        service.post(ROOT, "/organization", &bad).await.outcome(),
        (400, "unknown_field".into())
    );
    assert_eq!(
        service
            .post(ROOT, "/organization", &json!({"name": "x"}))
            .await
            .outcome()
            .0,
        400
    );
    assert_eq!(
        service
            .post(
                ROOT,
                "/organization",
                &json!({"name": "", "billing_email": "a@b"})
            )
            .await
            .outcome(),
        (400, "invalid_field".into())
    );
    let text = service
        .app
        .post("/organization")
        .key(ROOT)
        .text("text/plain", "x")
        .send()
        .await;
    assert_eq!(text.outcome(), (415, "unsupported_media_type".into()));
    let large = service
        .app
        .post("/organization")
        .key(USER)
        .text("application/json", "x".repeat(300_000))
        .send()
        .await;
    assert_eq!(large.outcome(), (413, "payload_too_large".into()));
    let trailing = service
        .app
        .post("/organization")
        .key(ROOT)
        .text("application/json", "{} {}")
        .send()
        .await;
    assert_eq!(trailing.status, 400);
    assert_eq!(
        service
            .app
            .request(Method::PATCH, "/session")
            .key(ROOT)
            .send()
            .await
            .outcome(),
        (405, "method_not_allowed".into())
    );
    assert_eq!(
        service.get(ROOT, "/nowhere").await.outcome(),
        (404, "not_found".into())
    );
    service.settle().await;
}

/// A repeated key stands for the first answer, also when that changed nothing and the world has changed since.
#[tokio::test]
async fn an_answer_that_changed_nothing_is_repeated_too() {
    let service = Service::new();
    let resume = async |body: &Value| {
        service
            .app
            .post("/instance/development/resume")
            .key(ADMIN)
            .header("idempotency-key", "r-1")
            .json(body)
            .send()
            .await
    };
    // The database takes it and its answer is lost: nobody knows, and the repetition finds it.
    service.ports.world.faults.fail("database", 2, When::After);
    let lost = resume(&json!({})).await;
    assert_eq!(lost.outcome(), (503, "database_unavailable".into()));
    let first = resume(&json!({})).await;
    assert_eq!(first.header("idempotent-replayed"), "true");
    assert_eq!(first.json()["version"], 1, "{}", first.text());
    assert_eq!(service.count("audit_log").await, 0);

    let pause = json!({"reason": "maintenance"});
    let paused = service
        .post(ADMIN, "/instance/development/pause", &pause)
        .await;
    assert_eq!(paused.status, 200, "{}", paused.text());
    let again = resume(&json!({})).await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(
        (&again.json()["paused"], &again.json()["version"]),
        (&json!(false), &json!(1))
    );
    let shown = service.get(ADMIN, "/instance/development").await.json();
    assert_eq!(shown["status"], "paused");
    service.settle().await;
}

//! `/audit`: pages, who may read which chain, verification, checkpoints.
#![expect(clippy::unwrap_used, reason = "helpers of tests may fail loudly")]

use crate::support::*;
use auth::chain::{FIRST_PREV_HASH, entry_hash};
use http::Method;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tracing::instrument::WithSubscriber;

const DAY_MS: u64 = 86_400_000;

/// Some changes of different kinds, six entries in Acme's chain.
async fn changes(service: &Service) {
    let project = |name: &str| json!({"instance_id": "production", "name": name, "settings": {"a": [1.5, -0.0, "é\u{2028}"]}});
    for name in ["one", "two"] {
        assert_eq!(
            service.post(ADMIN, "/project", &project(name)).await.status,
            201
        );
        service.ports.world.clock.advance(60_000);
    }
    let key = json!({"api_key": "canary-0123456789-0123456789"});
    assert_eq!(
        service
            .put(ADMIN, "/instance/production/provider-key/openai", &key)
            .await
            .status,
        201
    );
    let user = json!({"email": "new@acme.example", "role": "user"});
    assert_eq!(service.post(ADMIN, "/user", &user).await.status, 201);
    assert_eq!(
        service.delete(ADMIN, "/api-key/expired00001").await.status,
        200
    );
    let own = json!({"instance_id": "development", "name": "mine"});
    assert_eq!(service.post(USER, "/project", &own).await.status, 201);
}

async fn seqs(service: &Service, key: &str, query: &str) -> Vec<i64> {
    let answer = service.get(key, &format!("/audit{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    let items = answer.json()["items"].as_array().unwrap().clone();
    items
        .iter()
        .map(|item| item["seq"].as_i64().unwrap())
        .collect()
}

async fn verdict(service: &Service, key: &str, query: &str) -> Value {
    let answer = service.get(key, &format!("/audit/verify{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[tokio::test]
async fn entries_are_listed_newest_first_with_hashes_that_can_be_recomputed() {
    let service = Service::new();
    changes(&service).await;
    let answer = service.get(ADMIN, "/audit").await;
    let items = answer.json()["items"].as_array().unwrap().clone();
    assert_eq!(items.len(), 6);
    let mut prev_hash = FIRST_PREV_HASH.to_owned();
    for (seq, item) in (1..).zip(items.iter().rev()) {
        let mut whole = item.clone();
        let hash = whole.as_object_mut().unwrap().shift_remove("hash").unwrap();
        assert_eq!(
            (&item["seq"], &item["prev_hash"]),
            (&json!(seq), &json!(prev_hash))
        );
        assert_eq!(json!(entry_hash(&prev_hash, &whole)), hash);
        prev_hash = hash.as_str().unwrap().to_owned();
    }
    let secret = &items[3];
    assert_eq!(
        (&secret["action"], &secret["target_type"]),
        (&json!("set_provider_key"), &json!("provider_key"))
    );
    assert_eq!(secret["after"]["api_key"], "****6789");
    assert!(!answer.text().contains("canary"));
    assert_eq!(items[0]["actor"]["user_id"], USER_USER);
    service.settle().await;
}

#[tokio::test]
async fn a_list_is_filtered_by_actor_action_target_and_time() {
    let service = Service::new();
    changes(&service).await;
    for (query, want) in [
        (String::new(), vec![6, 5, 4, 3, 2, 1]),
        ("?action=create_project".into(), vec![6, 2, 1]),
        ("?actor=key:4fGh7kQ2mZ0a".into(), vec![5, 4, 3, 2, 1]),
        (format!("?actor={USER_USER}"), vec![6]),
        ("?actor=nobody".into(), vec![]),
        ("?target=project".into(), vec![6, 2, 1]),
        ("?target=provider_key:openai".into(), vec![3]),
        ("?target=provider_key:ideogram".into(), vec![]),
        ("?from=2025-11-21T10:01:00.000Z".into(), vec![6, 5, 4, 3, 2]),
        ("?to=2025-11-21T10:01:00.000Z".into(), vec![2, 1]),
        (
            "?from=2025-11-21T10:01:00Z&to=2025-11-21T10:01:30Z".into(),
            vec![2],
        ),
        (format!("?org_id={ACME}&action=create_user"), vec![4]),
    ] {
        assert_eq!(seqs(&service, ADMIN, &query).await, want, "{query}");
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = service
            .get(ADMIN, &format!("/audit?limit=4{cursor}"))
            .await
            .json();
        seen.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["seq"].as_i64().unwrap()),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, [6, 5, 4, 3, 2, 1]);
    let other = service
        .get(ADMIN, &format!("/audit?limit=4&action=x{cursor}"))
        .await;
    assert_eq!(other.outcome(), (400, "invalid_cursor".into()));
    for bad in [
        "?from=yesterday",
        "?from=2025-11-22T00:00:00Z&to=2025-11-21T00:00:00Z",
        "?from=2024-01-01T00:00:00Z&to=2025-11-21T00:00:00Z",
        "?org_id=acme",
        "?limit=0",
        "?limit=201",
        "?what=1",
        "?cursor=WyJ4IixbXV0",
    ] {
        assert_eq!(
            service.get(ADMIN, &format!("/audit{bad}")).await.status,
            400,
            "{bad}"
        );
    }
    service.settle().await;
}

#[tokio::test]
async fn a_chain_is_read_by_administrators_of_its_organization_and_the_platforms_by_superadmins() {
    let service = Service::new();
    changes(&service).await;
    let worker = json!({"version": "1", "git_sha": "a", "url": "https://w.acme.example"});
    assert_eq!(
        service.put(ROOT, "/worker/console", &worker).await.status,
        201
    );
    for route in ["/audit", "/audit/verify"] {
        for (query, want) in [
            (String::new(), [200, 200, 403, 403, 200]),
            (format!("?org_id={ACME}"), [200, 200, 403, 403, 404]),
            (format!("?org_id={FOREIGN_LTD}"), [200, 404, 404, 404, 200]),
            (format!("?org_id={NOBODY}"), [404, 404, 404, 404, 404]),
            ("?org_id=platform".into(), [200, 403, 403, 403, 403]),
            ("?org_id=x".into(), [400, 400, 403, 403, 400]),
        ] {
            for (key, want) in [ROOT, ADMIN, USER, PROJECT, FOREIGN].into_iter().zip(want) {
                let answer = service.get(key, &format!("{route}{query}")).await;
                assert_eq!(
                    answer.status.as_u16(),
                    want,
                    "{key} {route}{query}: {}",
                    answer.text()
                );
            }
        }
    }
    let platform = service.get(ADMIN, "/audit?org_id=platform").await;
    assert_eq!(platform.json()["details"]["role"], "superadmin");
    // A superadmin's own chain is that of the platform.
    assert_eq!(
        service.get(ROOT, "/audit").await.json()["items"][0]["target_id"],
        "console"
    );
    let minted = service
        .post(
            ADMIN,
            "/api-key",
            &json!({"name": "x", "scopes": ["config:read"]}),
        )
        .await
        .json();
    let reads = minted["api_key"].as_str().unwrap();
    for route in ["/audit", "/audit/verify"] {
        let answer = service.get(reads, route).await;
        assert_eq!(answer.outcome(), (403, "scope_missing".into()));
        assert_eq!(answer.json()["details"]["scope"], "audit:read");
    }
    // The chain of an organization that is gone stays.
    service.ports.database.with(|connection| {
        let whole =
            "PRAGMA foreign_keys = OFF; DELETE FROM organizations; PRAGMA foreign_keys = ON;";
        connection.execute_batch(whole).unwrap();
    });
    assert_eq!(
        seqs(
            &service,
            ROOT,
            &format!("?org_id={ACME}&action=create_user")
        )
        .await,
        [4]
    );
    service.settle().await;
}

#[tokio::test]
async fn whatever_is_changed_removed_or_moved_is_found_and_named() {
    let good = Service::new();
    changes(&good).await;
    let verdict_now = verdict(&good, ADMIN, "").await;
    assert_eq!(
        (&verdict_now["ok"], &verdict_now["complete"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(
        (
            &verdict_now["entries"],
            &verdict_now["to_seq"],
            &verdict_now["head_seq"]
        ),
        (&json!(6), &json!(6), &json!(6))
    );
    let end = good.row("SELECT hash FROM audit_log WHERE seq = 6").await;
    assert_eq!(verdict_now["head_hash"].as_str(), end.text("hash"));
    assert!(good.problems().is_empty());
    good.settle().await;

    let columns = [
        "at",
        "actor",
        "action",
        "target_type",
        "target_id",
        "instance_id",
        "before",
        "after",
        "request_id",
        "ip",
    ];
    let mut cases: Vec<(String, i64, &str)> = Vec::new();
    for (n, column) in columns.into_iter().enumerate() {
        let seq = n as i64 % 6 + 1;
        let value = if ["actor", "before", "after"].contains(&column) {
            "{\"forged\":1}"
        } else {
            "forged"
        };
        cases.push((
            format!("UPDATE audit_log SET {column} = '{value}' WHERE seq = {seq}"),
            seq,
            "hash",
        ));
    }
    cases.push((
        "UPDATE audit_log SET hash = printf('%064d', 1) WHERE seq = 2".into(),
        2,
        "hash",
    ));
    cases.push((
        "UPDATE audit_log SET prev_hash = printf('%064d', 1) WHERE seq = 2".into(),
        2,
        "link",
    ));
    cases.push((
        format!("UPDATE audit_log SET org_id = '{FOREIGN_LTD}' WHERE seq = 4"),
        4,
        "missing",
    ));
    for seq in [1, 3] {
        cases.push((
            format!("DELETE FROM audit_log WHERE seq = {seq}"),
            seq,
            "missing",
        ));
    }
    cases.push((
        "UPDATE audit_log SET seq = 100 WHERE seq = 3; UPDATE audit_log SET seq = 3 WHERE seq = 4; UPDATE audit_log SET seq = 4 WHERE seq = 100".into(),
        3,
        "link",
    ));
    for (sql, seq, fault) in cases {
        let service = Service::new();
        changes(&service).await;
        service.tamper(&sql);
        let found = verdict(&service, ADMIN, "").await;
        assert_eq!(
            (&found["ok"], &found["broken_seq"], &found["fault"]),
            (&json!(false), &json!(seq), &json!(fault)),
            "{sql}"
        );
        assert_eq!(
            (&found["complete"], &found["next_cursor"]),
            (&json!(false), &Value::Null)
        );
        assert!(
            !service.problems().is_empty(),
            "the tests' own look finds it too: {sql}"
        );
        // The list still tells what is there.
        assert!(service.get(ADMIN, "/audit").await.status == 200);
        service.settle().await;
    }
}

/// A chain of that length whose hashes are good, written past the guards.
fn fill(service: &Service, org_id: &str, length: i64) {
    let mut prev_hash = FIRST_PREV_HASH.to_owned();
    service.ports.database.with(|connection| {
        connection.execute_batch("BEGIN").unwrap();
        for seq in 1..=length {
            let (at, request_id) = ("2025-11-20T00:00:00.000Z", format!("r-{org_id}-{seq}"));
            let whole = json!({
                "org_id": org_id, "seq": seq, "at": at, "actor": {}, "action": "a", "target_type": "t", "target_id": "i",
                "instance_id": null, "before": null, "after": {"n": seq}, "request_id": request_id, "ip": null, "prev_hash": prev_hash,
            });
            let hash = entry_hash(&prev_hash, &whole);
            connection
                .execute(
                    "INSERT INTO audit_log (org_id, seq, at, actor, action, target_type, target_id, after, request_id, prev_hash, hash) \
                     VALUES (?1, ?2, ?3, '{}', 'a', 't', 'i', ?4, ?5, ?6, ?7)",
                    (org_id, seq, at, format!("{{\"n\":{seq}}}"), request_id, &prev_hash, &hash),
                )
                .unwrap();
            prev_hash = hash;
        }
        connection.execute_batch("COMMIT").unwrap();
    });
}

#[tokio::test]
async fn a_long_chain_is_walked_over_calls_of_five_thousand_entries() {
    let service = Service::new();
    fill(&service, ACME, 12_100);
    let mut cursor = String::new();
    for (from, to, entries, complete) in [
        (1, 5_000, 5_000, false),
        (5_001, 10_000, 5_000, false),
        (10_001, 12_100, 2_100, true),
    ] {
        let rows_before = service.ports.world.ops.count().d1_rows_read;
        let found = verdict(&service, ADMIN, &cursor).await;
        assert_eq!(
            (&found["from_seq"], &found["to_seq"], &found["entries"]),
            (&json!(from), &json!(to), &json!(entries))
        );
        assert_eq!(
            (&found["ok"], &found["complete"]),
            (&json!(true), &json!(complete))
        );
        let rows_read = service.ports.world.ops.count().d1_rows_read - rows_before;
        assert!(rows_read <= 5_100, "{rows_read} rows read");
        if let Some(next) = found["next_cursor"].as_str() {
            cursor = format!("?cursor={next}");
        }
        assert_eq!(found["next_cursor"].is_null(), complete);
    }
    // A cursor belongs to its chain, and one that was made up finds nothing good.
    let foreign = service
        .get(ROOT, &format!("/audit/verify{cursor}&org_id={FOREIGN_LTD}"))
        .await;
    assert_eq!(foreign.outcome(), (400, "invalid_cursor".into()));
    service.tamper("UPDATE audit_log SET after = '{}' WHERE seq = 11000");
    let found = verdict(&service, ADMIN, &cursor).await;
    assert_eq!(
        (&found["broken_seq"], &found["fault"]),
        (&json!(11_000), &json!("hash"))
    );
    service.settle().await;
}

#[tokio::test]
async fn a_chain_that_ends_with_a_full_call_says_so() {
    let service = Service::new();
    fill(&service, ACME, 5_000);
    let found = verdict(&service, ADMIN, "").await;
    assert_eq!(
        (&found["entries"], &found["ok"]),
        (&json!(5_000), &json!(true))
    );
    // Whether something follows is found by the next call.
    let next = found["next_cursor"].as_str().unwrap();
    let found = verdict(&service, ADMIN, &format!("?cursor={next}")).await;
    assert_eq!(
        (&found["entries"], &found["complete"], &found["to_seq"]),
        (&json!(0), &json!(true), &json!(5_000))
    );
    let empty = Service::new();
    let found = verdict(&empty, ADMIN, "").await;
    assert_eq!(
        (&found["ok"], &found["complete"], &found["head_seq"]),
        (&json!(true), &json!(true), &json!(0))
    );
    service.settle().await;
    empty.settle().await;
}

#[tokio::test]
async fn each_chain_is_sealed_once_a_day_and_told_to_the_log() {
    let service = Service::new();
    changes(&service).await;
    let lines = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&lines);
    let dispatch = logging::dispatch(
        "config-service",
        Some("INFO"),
        service.ports.world.clock.clone(),
        service.ports.world.random.clone(),
        move |_, line| {
            kept.lock()
                .unwrap()
                .push(serde_json::from_str::<Value>(line).unwrap());
        },
    );
    let sweep = async || service.deps.sweep().with_subscriber(dispatch.clone()).await;
    assert_eq!(sweep().await.sealed, 1);
    assert_eq!(sweep().await.sealed, 0);
    service
        .post(
            ADMIN,
            "/project",
            &json!({"instance_id": "production", "name": "later"}),
        )
        .await;
    assert_eq!(sweep().await.sealed, 0, "once a day");
    service.ports.world.clock.advance(DAY_MS);
    assert_eq!(sweep().await.sealed, 1);
    service.ports.world.clock.advance(DAY_MS);
    assert_eq!(sweep().await.sealed, 0, "nothing was added");
    let events: Vec<Value> = lines
        .lock()
        .unwrap()
        .iter()
        .filter(|line| line["metadata"]["event"] == "audit")
        .map(|line| line["metadata"].clone())
        .collect();
    assert_eq!(events.len(), 2);
    let row = service
        .row("SELECT * FROM audit_checkpoints WHERE seq = 6")
        .await;
    assert_eq!(events[0]["seq"], 6);
    for name in ["org_id", "hash", "mac", "pepper_id", "created_at"] {
        assert_eq!(events[0][name].as_str(), row.text(name), "{name}");
    }
    let found = verdict(&service, ADMIN, "").await;
    assert_eq!(
        (
            &found["ok"],
            &found["checkpoints"],
            &found["checkpoints_unproved"]
        ),
        (&json!(true), &json!(2), &json!(0))
    );
    service.settle().await;
}

#[tokio::test]
async fn without_a_pepper_nothing_is_sealed_and_the_step_says_so() {
    let settings = config_service::settings::Settings::read(&[], |_| None);
    let service = Service::with(settings);
    fill(&service, ACME, 1);
    let swept = service.deps.sweep().await;
    assert_eq!((swept.sealed, swept.failed_steps), (0, 1));
    assert_eq!(service.count("audit_checkpoints").await, 0);
}

/// Somebody with the database writes a chain that is good in itself: only the checkpoints betray it.
#[tokio::test]
async fn a_chain_that_was_written_anew_or_cut_off_is_betrayed_by_its_checkpoints() {
    let forge = "DELETE FROM audit_log";
    for (sql, refill, broken_seq, fault) in [
        // Written anew with as many entries.
        (forge, 6, 6, "checkpoint"),
        // Cut off, before and behind the checkpoint.
        ("DELETE FROM audit_log WHERE seq >= 6", 0, 6, "missing"),
        (forge, 0, 1, "missing"),
        // The checkpoint itself was changed.
        (
            "UPDATE audit_checkpoints SET hash = printf('%064d', 1)",
            0,
            6,
            "checkpoint",
        ),
        (
            "UPDATE audit_checkpoints SET mac = printf('%064d', 1)",
            0,
            6,
            "checkpoint",
        ),
        (
            "UPDATE audit_checkpoints SET created_at = '2025-11-21T00:00:00.000Z'",
            0,
            6,
            "checkpoint",
        ),
        (
            "UPDATE audit_checkpoints SET seq = 5, hash = (SELECT hash FROM audit_log WHERE seq = 5)",
            0,
            5,
            "checkpoint",
        ),
    ] {
        let service = Service::new();
        changes(&service).await;
        assert_eq!(service.deps.sweep().await.sealed, 1);
        service.tamper(sql);
        if refill > 0 {
            fill(&service, ACME, refill);
        }
        let found = verdict(&service, ADMIN, "").await;
        assert_eq!(
            (&found["broken_seq"], &found["fault"]),
            (&json!(broken_seq), &json!(fault)),
            "{sql}"
        );
        service.settle().await;
    }
    // A pepper that this deployment does not have any more proves nothing, and is told.
    let service = Service::new();
    changes(&service).await;
    service.deps.sweep().await;
    service.tamper("UPDATE audit_checkpoints SET pepper_id = 'p0'");
    let found = verdict(&service, ADMIN, "").await;
    assert_eq!(
        (&found["ok"], &found["checkpoints_unproved"]),
        (&json!(true), &json!(1))
    );
    service.settle().await;
}

#[tokio::test]
async fn what_is_too_large_for_the_log_is_told_by_its_names() {
    let service = Service::new();
    let settings: serde_json::Map<String, Value> = (0..300)
        .map(|n| (format!("member-{n:0100}"), json!("x".repeat(20))))
        .collect();
    let project = json!({"instance_id": "production", "name": "large", "settings": {"inner": "x".repeat(15_000)}});
    assert_eq!(service.post(ADMIN, "/project", &project).await.status, 201);
    let user = json!({"name": "wide", "config": settings});
    assert_eq!(
        service.post(ADMIN, "/instance", &user).await.status,
        400,
        "unknown members are refused before"
    );
    let entry = service.get(ADMIN, "/audit").await.json()["items"][0].clone();
    assert_eq!(
        entry["after"],
        json!({"_truncated": true, "members": ["name", "settings"]})
    );
    assert_eq!(verdict(&service, ADMIN, "").await["ok"], true);
    service.settle().await;
}

#[tokio::test]
async fn nobody_changes_the_log_by_these_routes() {
    let service = Service::new();
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        for path in ["/audit", "/audit/verify"] {
            let answer = service
                .app
                .request(method.clone(), path)
                .key(ROOT)
                .send()
                .await;
            assert_eq!(answer.outcome(), (405, "method_not_allowed".into()));
        }
    }
    service.settle().await;
}

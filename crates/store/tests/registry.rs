//! The worker registry's SQL on the real migrations: who sees which worker, whose turn it is, what a registration forgets.
#![expect(clippy::unwrap_used, reason = "tests")]

use api_types::{InstanceId, KeyId, Timestamp};
use platform::fakes::SqliteDatabase;
use platform::{Database, Statement};
use serde_json::json;
use std::path::Path;
use store::control::guard::Quota;
use store::control::registry::{self, Health, ListFilter, MAX_VERSIONS, Registration, WorkerRow};

const SEED: &str = include_str!("../fixtures/control_seed.sql");
const NOW: Timestamp = Timestamp(1_763_719_200_000);
const ROOT: &str = "root00000001";
const ADMIN: &str = "4fGh7kQ2mZ0a";
const USER: &str = "user00000001";
const PROJECT: &str = "proj00000001";
const FOREIGN: &str = "fore00000001";

fn seeded() -> SqliteDatabase {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/control");
    let database = SqliteDatabase::from_migrations(&folder).unwrap();
    database.with(|connection| connection.execute_batch(SEED).unwrap());
    database
}

fn instance(id: &str) -> InstanceId {
    InstanceId::parse(id).unwrap()
}

fn key(id: &str) -> KeyId {
    KeyId::parse(id).unwrap()
}

async fn put(database: &SqliteDatabase, place: &str, name: &str, git_sha: &str, now: Timestamp) {
    let instance_id = (!place.is_empty()).then(|| instance(place));
    let capabilities = [format!("{name}.do"), "all.do".to_owned()];
    let new = Registration {
        instance_id: instance_id.as_ref(),
        name,
        version: git_sha,
        git_sha,
        url: "https://worker.example.com",
        openapi_url: None,
        openapi_sha256: None,
        capabilities: &capabilities,
        by_platform: place.is_empty(),
        now,
    };
    database.batch(registry::register(&new)).await.unwrap();
}

async fn row(database: &SqliteDatabase, place: &str, name: &str) -> WorkerRow {
    let instance_id = (!place.is_empty()).then(|| instance(place));
    let rows = database
        .query(registry::one(instance_id.as_ref(), name))
        .await
        .unwrap();
    WorkerRow::read(&rows).unwrap().unwrap()
}

async fn names(database: &SqliteDatabase, statement: Statement) -> Vec<String> {
    let rows = database.query(statement).await.unwrap();
    let place = |row: &WorkerRow| {
        row.instance_id
            .as_ref()
            .map_or("", |id| id.as_str())
            .to_owned()
    };
    WorkerRow::read_all(&rows)
        .unwrap()
        .iter()
        .map(|row| format!("{}/{}", place(row), row.name))
        .collect()
}

async fn everywhere(database: &SqliteDatabase) {
    for (place, name) in [
        ("", "console"),
        ("production", "image-gen"),
        ("development", "image-gen"),
        ("development", "admission"),
        ("foreign", "image-gen"),
    ] {
        put(database, place, name, "a1", NOW).await;
    }
}

#[tokio::test]
async fn a_worker_is_seen_by_who_may_use_its_instance_and_those_of_the_platform_by_all() {
    let database = seeded();
    everywhere(&database).await;
    let all = ListFilter::default();
    for (who, seen) in [
        (
            ROOT,
            vec![
                "/console",
                "development/admission",
                "development/image-gen",
                "foreign/image-gen",
                "production/image-gen",
            ],
        ),
        (
            ADMIN,
            vec![
                "/console",
                "development/admission",
                "development/image-gen",
                "production/image-gen",
            ],
        ),
        (
            USER,
            vec!["/console", "development/admission", "development/image-gen"],
        ),
        (
            PROJECT,
            vec!["/console", "development/admission", "development/image-gen"],
        ),
        (FOREIGN, vec!["/console", "foreign/image-gen"]),
    ] {
        assert_eq!(
            names(&database, registry::list(&key(who), &all, 50)).await,
            seen,
            "{who}"
        );
        // One by one the same.
        for (place, name) in [
            ("", "console"),
            ("production", "image-gen"),
            ("development", "admission"),
            ("foreign", "image-gen"),
        ] {
            let place_id = (!place.is_empty()).then(|| instance(place));
            let statement = registry::for_caller(&key(who), place_id.as_ref(), name);
            let found = !names(&database, statement).await.is_empty();
            assert_eq!(
                found,
                seen.contains(&format!("{place}/{name}").as_str()),
                "{who} {place}/{name}"
            );
        }
    }
    // A key that is restricted to other instances, and an instance that is gone.
    database
        .query(Statement::new(
            "UPDATE api_keys SET instance_ids = '[\"production\"]' WHERE key_id = '4fGh7kQ2mZ0a'",
        ))
        .await
        .unwrap();
    assert_eq!(
        names(&database, registry::list(&key(ADMIN), &all, 50)).await,
        ["/console", "production/image-gen"]
    );
    database
        .query(Statement::new(
            "UPDATE instances SET status = 'deleted' WHERE instance_id = 'production'",
        ))
        .await
        .unwrap();
    assert_eq!(
        names(&database, registry::list(&key(ADMIN), &all, 50)).await,
        ["/console"]
    );
    assert!(
        names(&database, registry::list(&key("000000000000"), &all, 50))
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn a_list_is_filtered_and_goes_on_after_a_line() {
    let database = seeded();
    everywhere(&database).await;
    let list = async |filter: ListFilter, limit| {
        names(&database, registry::list(&key(ROOT), &filter, limit)).await
    };
    let of = |id: &str| ListFilter {
        instance_id: Some(id.into()),
        ..ListFilter::default()
    };
    assert_eq!(list(of("platform"), 9).await, ["/console"]);
    assert_eq!(list(of("production"), 9).await, ["production/image-gen"]);
    assert!(list(of("nowhere"), 9).await.is_empty());
    let can = |name: &str| ListFilter {
        capability: Some(name.into()),
        ..ListFilter::default()
    };
    assert_eq!(
        list(can("admission.do"), 9).await,
        ["development/admission"]
    );
    assert_eq!(list(can("all.do"), 9).await.len(), 5);
    assert!(list(can("all"), 9).await.is_empty());
    let is = |health| ListFilter {
        health: Some(health),
        ..ListFilter::default()
    };
    assert_eq!(list(is(Health::Unknown), 9).await.len(), 5);
    assert!(list(is(Health::Healthy), 9).await.is_empty());
    let after = ListFilter {
        after: ("development".into(), "admission".into()),
        ..ListFilter::default()
    };
    assert_eq!(
        list(after, 2).await,
        ["development/image-gen", "foreign/image-gen"]
    );
}

#[tokio::test]
async fn the_newest_twenty_versions_are_kept() {
    let database = seeded();
    put(&database, "production", "image-gen", "other", NOW).await;
    for n in 0..25 {
        put(&database, "", "image-gen", &format!("v{n}"), NOW.plus_ms(n)).await;
    }
    // Registered again it is the newest, not a second line.
    put(&database, "", "image-gen", "v7", NOW.plus_ms(100)).await;
    let rows = database
        .query(registry::versions(None, "image-gen"))
        .await
        .unwrap();
    let versions: Vec<&str> = rows
        .rows
        .iter()
        .map(|row| row.text("version").unwrap())
        .collect();
    assert_eq!(versions.len(), MAX_VERSIONS);
    assert_eq!(
        (versions[0], versions[1], versions[19]),
        ("v7", "v24", "v5")
    );
    let count = "SELECT count(*) AS n FROM worker_versions";
    let rows = database.query(Statement::new(count)).await.unwrap();
    assert_eq!(
        rows.first().unwrap().int("n"),
        Some(21),
        "another place keeps its own"
    );
}

fn checked(worker: &WorkerRow, health: Health, at: Timestamp) -> WorkerRow {
    WorkerRow {
        health,
        health_since: Some(at),
        health_reason: Some("why".into()),
        health_detail: Some(json!({"kek_ids": ["k1"], "bindings": {"DB": "ok"}})),
        failures: 1,
        checked_at: Some(at),
        ..worker.clone()
    }
}

#[tokio::test]
async fn a_note_about_something_older_changes_nothing() {
    let database = seeded();
    put(&database, "", "console", "a1", NOW).await;
    let asked = row(&database, "", "console").await;
    let first = checked(&asked, Health::Degraded, NOW.plus_ms(1));
    assert_eq!(
        database
            .query(registry::note_check(&first, asked.checked_at))
            .await
            .unwrap()
            .changes,
        1
    );
    let noted = row(&database, "", "console").await;
    assert_eq!(noted, first);
    // Two that had asked at the same time: one counts.
    let second = checked(&asked, Health::Healthy, NOW.plus_ms(2));
    assert_eq!(
        database
            .query(registry::note_check(&second, asked.checked_at))
            .await
            .unwrap()
            .changes,
        0
    );
    // A body that did not come keeps the last one, and its bindings.
    let silent = WorkerRow {
        health_detail: None,
        ..checked(&noted, Health::Degraded, NOW.plus_ms(3))
    };
    assert_eq!(
        database
            .query(registry::note_check(&silent, noted.checked_at))
            .await
            .unwrap()
            .changes,
        1
    );
    let now = row(&database, "", "console").await;
    assert_eq!(now.health_detail, first.health_detail);
    // A registration of another build forgets the health and wins over a check that had asked before.
    put(&database, "", "console", "b2", NOW.plus_ms(4)).await;
    let fresh = row(&database, "", "console").await;
    assert_eq!(
        (fresh.health, fresh.failures, fresh.checked_at),
        (Health::Unknown, 0, None)
    );
    assert_eq!(
        (fresh.health_reason, fresh.health_since),
        (None, Some(NOW.plus_ms(4)))
    );
    assert_eq!(
        fresh.health_detail, first.health_detail,
        "what it said last stays until it is asked"
    );
    let late = checked(&now, Health::Unhealthy, NOW.plus_ms(5));
    assert_eq!(
        database
            .query(registry::note_check(&late, now.checked_at))
            .await
            .unwrap()
            .changes,
        0
    );
    // The same build registered again keeps it.
    let healthy = checked(
        &row(&database, "", "console").await,
        Health::Healthy,
        NOW.plus_ms(6),
    );
    database
        .query(registry::note_check(&healthy, None))
        .await
        .unwrap();
    put(&database, "", "console", "b2", NOW.plus_ms(7)).await;
    assert_eq!(row(&database, "", "console").await.health, Health::Healthy);
}

async fn note(database: &SqliteDatabase, place: &str, name: &str, after_ms: i64) {
    let worker = row(database, place, name).await;
    let checked = checked(&worker, Health::Healthy, NOW.plus_ms(after_ms));
    let note = registry::note_check(&checked, worker.checked_at);
    assert_eq!(database.query(note).await.unwrap().changes, 1);
}

#[tokio::test]
async fn those_of_the_platform_checked_longest_ago_are_due_first() {
    let database = seeded();
    everywhere(&database).await;
    for name in ["admission", "image-gen"] {
        put(&database, "", name, "a1", NOW).await;
    }
    note(&database, "", "image-gen", 0).await;
    note(&database, "", "console", 1).await;
    let due = async |before: i64, limit| {
        let due = registry::due_of_platform(NOW.plus_ms(before), limit);
        names(&database, due).await
    };
    assert_eq!(due(0, 9).await, ["/admission"]);
    assert_eq!(due(2, 9).await, ["/admission", "/image-gen", "/console"]);
    assert_eq!(due(2, 2).await, ["/admission", "/image-gen"]);
    assert_eq!(
        due(1, 9).await,
        ["/admission", "/image-gen"],
        "checked too lately"
    );
    // The order is that of the index, nothing is sorted.
    let plan = database.plan(&registry::due_of_platform(NOW, 50).sql);
    let plan = plan.unwrap().join("\n");
    assert!(
        plan.contains("worker_registry_of_platform") && !plan.contains("TEMP B-TREE"),
        "{plan}"
    );
}

#[tokio::test]
async fn organizations_take_turns_with_those_checked_longest_ago() {
    let database = seeded();
    everywhere(&database).await;
    note(&database, "production", "image-gen", 0).await;
    note(&database, "development", "image-gen", 1).await;
    note(&database, "foreign", "image-gen", 2).await;
    let due = async |before: i64, each, limit| {
        let due = registry::due_of_organizations(NOW.plus_ms(before), each, limit);
        names(&database, due).await
    };
    let in_turn = [
        "development/admission",
        "foreign/image-gen",
        "production/image-gen",
        "development/image-gen",
    ];
    assert_eq!(due(3, 9, 9).await, in_turn);
    assert_eq!(due(3, 9, 3).await, in_turn[..3]);
    assert_eq!(due(3, 1, 9).await, in_turn[..2]);
    assert_eq!(due(0, 9, 9).await, ["development/admission"]);
    let deleted = "UPDATE instances SET status = 'deleted' WHERE instance_id = 'development'";
    database.query(Statement::new(deleted)).await.unwrap();
    let left = ["production/image-gen", "foreign/image-gen"];
    assert_eq!(due(3, 9, 9).await, left);
    // Another registration says whose it is.
    let steal = "UPDATE worker_registry SET by_platform = 1 WHERE instance_id = 'foreign'";
    database.query(Statement::new(steal)).await.unwrap();
    assert_eq!(due(3, 9, 9).await, left[..1]);
    put(&database, "foreign", "image-gen", "b2", NOW).await;
    assert_eq!(
        due(3, 9, 9).await,
        ["foreign/image-gen", "production/image-gen"]
    );
    // Owners and their workers are found by the index, however many one has.
    let plan = database.plan(&registry::due_of_organizations(NOW, 50, 50).sql);
    for line in plan.unwrap() {
        let walks = line.contains("SCAN")
            && ["w", "x", "y", "z"]
                .iter()
                .any(|of| line.contains(&format!("SCAN {of} ")));
        assert!(!walks, "{line}");
    }
}

#[tokio::test]
async fn a_deleted_instance_leaves_no_worker_and_the_number_of_workers_is_bounded() {
    let database = seeded();
    everywhere(&database).await;
    database
        .batch(registry::forget_instance(&instance("development")))
        .await
        .unwrap();
    for table in ["worker_registry", "worker_versions"] {
        let rows = database
            .query(Statement::new(format!("SELECT group_concat(instance_id, ' ') AS places FROM (SELECT instance_id FROM {table} ORDER BY 1)")))
            .await
            .unwrap();
        assert_eq!(
            rows.first().unwrap().text("places"),
            Some(" foreign production"),
            "{table}"
        );
    }
    for n in 1..Quota::Workers.limit() {
        put(&database, "production", &format!("w{n}"), "a", NOW).await;
    }
    let guard = Quota::Workers.guard("production", "");
    assert!(database.batch(vec![guard]).await.is_err());
    database
        .batch(vec![Quota::Workers.guard("foreign", "")])
        .await
        .unwrap();
}

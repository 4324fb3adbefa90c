//! The SQL of provider keys' succession and of a key rotation, on the real migrations.
#![expect(clippy::unwrap_used, reason = "tests")]

use api_types::{Ciphertext, CredentialId, InstanceId, OrgId, ProviderName, RotationId, Timestamp};
use platform::fakes::SqliteDatabase;
use platform::{Database, DbErrorKind, Statement};
use std::path::Path;
use store::control::credentials::{self, CredentialRow, PreviousRow};
use store::control::guard::Violation;
use store::control::kek::{self, Rotation, RotationState, Step};

const SEED: &str = include_str!("../fixtures/control_seed.sql");
const ACME: &str = "0198f0a0-0000-7000-8000-000000000001";
const NOW: Timestamp = Timestamp(1_763_719_200_000);

fn seeded() -> SqliteDatabase {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/control");
    let database = SqliteDatabase::from_migrations(&folder).unwrap();
    database.with(|connection| connection.execute_batch(SEED).unwrap());
    database
}

fn instance(id: &str) -> InstanceId {
    InstanceId::parse(id).unwrap()
}

fn provider() -> ProviderName {
    ProviderName::parse("ideogram").unwrap()
}

fn credential(number: u32) -> CredentialId {
    CredentialId::parse(&format!("0198f0c0-0000-7000-8000-{number:012x}")).unwrap()
}

fn rotation(number: u32) -> RotationId {
    RotationId::parse(&format!("0198f0d0-0000-7000-8000-{number:012x}")).unwrap()
}

fn row(number: u32, of: &str, kek: &str) -> CredentialRow {
    CredentialRow {
        credential_id: credential(number),
        org_id: OrgId::parse(ACME).unwrap(),
        instance_id: instance(of),
        provider: provider(),
        host: "127.0.0.1:8790".into(),
        ciphertext: Ciphertext(format!("v1.{kek}.a{number}.b")),
        last4: String::new(),
        set_at: NOW,
        set_by: "key:x".into(),
        last_used_at: None,
        last_error: None,
        version: i64::from(number),
    }
}

async fn run(database: &SqliteDatabase, statements: Vec<Statement>) {
    database.batch(statements).await.unwrap();
}

async fn steps(database: &SqliteDatabase, number: u32) -> Step {
    let results = database.batch(kek::step(&rotation(number))).await.unwrap();
    Step::read(&results).unwrap().unwrap()
}

#[tokio::test]
async fn three_previous_keys_stay_and_the_oldest_goes_first() {
    let database = seeded();
    let production = instance("production");
    for number in 1..=5 {
        // The later a key was replaced, the sooner this one ends: age counts, not the end.
        let ends = NOW.plus_ms(1_000 - i64::from(number));
        run(
            &database,
            vec![
                credentials::put(&row(number, "production", "k1")),
                credentials::retire(&credential(number), ends),
                credentials::erase_surplus(&production, &provider(), 3, NOW),
            ],
        )
        .await;
    }
    let previous = async |now| {
        let rows = database
            .query(credentials::previous(&production, now))
            .await
            .unwrap();
        let rows = PreviousRow::read_all(&rows).unwrap();
        rows.iter().map(|row| row.version).collect::<Vec<_>>()
    };
    assert_eq!(previous(NOW).await, [5, 4, 3]);
    // One whose time is over neither shows nor takes a place.
    assert_eq!(previous(NOW.plus_ms(996)).await, [3]);
    let surplus = credentials::erase_surplus(&production, &provider(), 3, NOW.plus_ms(996));
    assert_eq!(database.query(surplus).await.unwrap().changes, 2);
    let retired = |ms| credentials::erase_retired(NOW.plus_ms(ms), 500);
    assert_eq!(database.query(retired(996)).await.unwrap().changes, 0);
    assert_eq!(database.query(retired(997)).await.unwrap().changes, 1);
}

#[tokio::test]
async fn a_previous_key_is_found_by_its_id_until_its_time_is_over() {
    let database = seeded();
    let (production, ideogram) = (instance("production"), provider());
    run(
        &database,
        vec![
            credentials::put(&row(1, "production", "k1")),
            credentials::retire(&credential(1), NOW.plus_ms(10)),
            credentials::put(&row(2, "production", "k1")),
        ],
    )
    .await;
    let found = async |id: Option<u32>, now| {
        let id = id.map(credential);
        let one = credentials::one(&production, &ideogram, id.as_ref(), now);
        let rows = database.query(one).await.unwrap();
        let rows = CredentialRow::read_all(&rows).unwrap();
        rows.first().map(|row| row.version)
    };
    assert_eq!(found(Some(1), NOW.plus_ms(9)).await, Some(1));
    assert_eq!(found(Some(1), NOW.plus_ms(10)).await, None);
    assert_eq!(found(Some(2), NOW).await, Some(2));
    // The configuration does not name it, so without an id there is nothing to open.
    assert_eq!(found(None, NOW).await, None);
    let named = "UPDATE instance_effective SET body = json_set(body, '$.providers.ideogram.credential_id', ?1) WHERE instance_id = 'production'";
    run(
        &database,
        vec![Statement::new(named).bind(credential(2).as_str())],
    )
    .await;
    assert_eq!(found(None, NOW).await, Some(2));
    let elsewhere = credentials::one(
        &instance("development"),
        &ideogram,
        Some(&credential(2)),
        NOW,
    );
    assert!(database.query(elsewhere).await.unwrap().rows.is_empty());
}

#[tokio::test]
async fn of_many_words_about_one_key_the_newest_counts() {
    let database = seeded();
    run(
        &database,
        vec![credentials::put(&row(1, "production", "k1"))],
    )
    .await;
    let report = async |items: &[(&str, i64)]| {
        let items: Vec<String> = items
            .iter()
            .map(|(outcome, ms)| {
                let (id, at) = (credential(1), NOW.plus_ms(*ms));
                format!(r#"{{"credential_id":"{id}","outcome":"{outcome}","at":"{at}"}}"#)
            })
            .collect();
        let items = format!("[{}]", items.join(","));
        database
            .query(credentials::report(&items, None))
            .await
            .unwrap();
        let known = Statement::new("SELECT last_error, last_used_at FROM provider_credentials");
        let rows = database.query(known).await.unwrap();
        let row = rows.first().unwrap();
        let used = row.text("last_used_at").and_then(Timestamp::parse);
        (
            row.text("last_error").is_some(),
            used.map(|at| at.ms() - NOW.ms()),
        )
    };
    // About a value that was there before this one.
    assert_eq!(
        report(&[("auth_failed", -1), ("ok", -2)]).await,
        (false, None)
    );
    let many = [("ok", 3), ("auth_failed", 1), ("ok", 9), ("auth_failed", 2)];
    assert_eq!(report(&many).await, (false, Some(9)));
    assert_eq!(report(&[("auth_failed", 8)]).await, (false, Some(9)));
    assert_eq!(
        report(&[("auth_failed", 12), ("ok", 11)]).await,
        (true, Some(11))
    );
    assert_eq!(report(&[("ok", 10)]).await, (true, Some(11)));
    assert_eq!(report(&[("ok", 13)]).await, (false, Some(13)));
    assert_eq!(report(&[("auth_failed", 12)]).await, (false, Some(13)));
}

#[tokio::test]
async fn one_rotation_runs_at_a_time() {
    let database = seeded();
    run(
        &database,
        kek::create(&rotation(1), "k2", false, "key:x", NOW),
    )
    .await;
    let second = database
        .batch(kek::create(&rotation(2), "k3", false, "key:x", NOW))
        .await
        .unwrap_err();
    assert_eq!(second.kind, DbErrorKind::Guard);
    run(
        &database,
        kek::end(&rotation(1), RotationState::Cancelled, NOW),
    )
    .await;
    let again = database
        .batch(kek::end(&rotation(1), RotationState::Done, NOW))
        .await
        .unwrap_err();
    assert_eq!(Violation::of(&again), Some(Violation::Guard));
    let missing = database
        .batch(kek::end(&rotation(9), RotationState::Done, NOW))
        .await
        .unwrap_err();
    assert_eq!(missing.kind, DbErrorKind::Guard);
    run(
        &database,
        kek::create(&rotation(2), "k3", true, "key:x", NOW),
    )
    .await;
    let all = database.query(kek::list(None, 10)).await.unwrap();
    let all = Rotation::read_all(&all).unwrap();
    assert_eq!(
        all.iter()
            .map(|r| (r.to.as_str(), r.state, r.dry_run))
            .collect::<Vec<_>>(),
        [
            ("k3", RotationState::Running, true),
            ("k2", RotationState::Cancelled, false)
        ]
    );
    let older = database
        .query(kek::list(Some(rotation(2).as_str()), 10))
        .await
        .unwrap();
    assert_eq!(Rotation::read_all(&older).unwrap().len(), 1);
}

#[tokio::test]
async fn a_step_reads_the_next_instance_with_old_envelopes_and_nothing_else() {
    let database = seeded();
    let foreign = CredentialRow {
        org_id: OrgId::parse("0198f0a0-0000-7000-8000-000000000002").unwrap(),
        ..row(2, "foreign", "k2")
    };
    run(
        &database,
        vec![
            credentials::put(&row(1, "development", "k1")),
            credentials::retire(&credential(1), NOW.plus_ms(-1)),
            credentials::put(&row(4, "development", "k2")),
            credentials::put(&foreign),
            credentials::put(&row(3, "production", "k0")),
        ],
    )
    .await;
    run(
        &database,
        kek::create(&rotation(1), "k2", false, "key:x", NOW),
    )
    .await;
    let first = steps(&database, 1).await;
    let visited = first.visited.clone().unwrap();
    assert_eq!(visited.instance_id.as_str(), "development");
    assert_eq!(first.head.org_id, ACME);
    let ids: Vec<_> = visited
        .envelopes
        .iter()
        .map(|e| e.credential_id.clone())
        .collect();
    // Also one whose time is over: until it is swept it is there.
    assert_eq!(ids, [credential(1)]);
    assert!(!visited.envelopes[0].is_current && visited.effective.is_some());
    let ids = serde_json::to_string(&ids).unwrap();
    run(
        &database,
        vec![kek::advance(&first.rotation, "development", &ids)],
    )
    .await;
    let second = steps(&database, 1).await;
    assert_eq!(
        second.visited.as_ref().unwrap().instance_id.as_str(),
        "production"
    );
    // It was not rewrapped, so it counts as left alone.
    assert_eq!((second.rotation.done, second.rotation.skipped), (0, 1));
    run(
        &database,
        vec![kek::advance(&second.rotation, "production", "[]")],
    )
    .await;
    let last = steps(&database, 1).await;
    assert_eq!((last.visited, last.remaining), (None, 2));
    assert_eq!(last.head.org_id, "platform");
    run(
        &database,
        vec![kek::guard_last(&rotation(1)), kek::rewind(&rotation(1))],
    )
    .await;
    assert!(steps(&database, 1).await.visited.is_some());
    let early = database
        .query(kek::guard_last(&rotation(1)))
        .await
        .unwrap_err();
    assert_eq!(early.kind, DbErrorKind::Guard);
    assert_eq!(
        Step::read(&database.batch(kek::step(&rotation(7))).await.unwrap()).unwrap(),
        None
    );
}

#[tokio::test]
async fn only_envelopes_that_are_still_what_was_read_are_replaced() {
    let database = seeded();
    run(
        &database,
        vec![
            credentials::put(&row(1, "development", "k1")),
            credentials::put(&row(2, "production", "k1")),
        ],
    )
    .await;
    run(
        &database,
        kek::create(&rotation(1), "k2", false, "key:x", NOW),
    )
    .await;
    let step = steps(&database, 1).await;
    let envelopes = format!(
        r#"[{{"credential_id":"{}","old":"v1.k1.a1.b","new":"v1.k2.c1.b"}},{{"credential_id":"{}","old":"another","new":"v1.k2.c2.b"}}]"#,
        credential(1),
        credential(2)
    );
    let ids = format!(r#"["{}","{}"]"#, credential(1), credential(2));
    run(
        &database,
        vec![
            kek::guard_cursor(&step.rotation),
            kek::rewrap(&envelopes, "k2"),
            kek::advance(&step.rotation, "development", &ids),
        ],
    )
    .await;
    let all = Statement::new(
        "SELECT ciphertext, kek_id, version FROM provider_credentials ORDER BY credential_id",
    );
    let rows = database.query(all).await.unwrap().rows;
    let shown: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row.text("ciphertext"),
                row.text("kek_id"),
                row.int("version"),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            (Some("v1.k2.c1.b"), Some("k2"), Some(1)),
            (Some("v1.k1.a2.b"), Some("k1"), Some(2))
        ]
    );
    let now = steps(&database, 1).await.rotation;
    assert_eq!(
        (now.done, now.skipped, now.cursor.as_str()),
        (1, 1, "development")
    );
    // Whoever read before the cursor moved is refused as a whole.
    let stale = database
        .query(kek::guard_cursor(&step.rotation))
        .await
        .unwrap_err();
    assert_eq!(stale.kind, DbErrorKind::Guard);
}

#[tokio::test]
async fn workers_that_lack_the_key_are_told_from_those_without_keys_and_those_never_asked() {
    let database = seeded();
    let t = NOW.to_string();
    for (name, of, detail) in [
        ("admission", "", Some(r#"{"status":"ok"}"#)),
        (
            "config-service",
            "",
            Some(r#"{"kek_ids":["k1","k2"],"old_kek_rows":0}"#),
        ),
        (
            "image-gen",
            "",
            Some(r#"{"kek_ids":["k1"],"old_kek_rows":3}"#),
        ),
        ("image-gen", "production", Some(r#"{"kek_ids":["k2"]}"#)),
        ("repo-agent", "", None),
    ] {
        let insert = "INSERT INTO worker_registry (name, instance_id, version, git_sha, url, health_detail, registered_at, created_at, by_platform) VALUES (?1, ?2, '1', 'x', 'u', ?3, ?4, ?4, 1)";
        let insert = Statement::new(insert)
            .bind(name)
            .bind(of)
            .bind(detail)
            .bind(&t);
        run(&database, vec![insert]).await;
    }
    let named = async |statement: Statement| {
        let rows = database.query(statement).await.unwrap().rows;
        rows.iter()
            .map(|row| {
                let text = |name| row.text(name).unwrap_or_default().to_owned();
                format!("{}/{}", text("instance_id"), text("name"))
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(named(kek::lacking("k2")).await, ["/image-gen"]);
    assert_eq!(named(kek::lacking("k1")).await, ["production/image-gen"]);
    let all = ["/config-service", "/image-gen", "production/image-gen"];
    let mut lacking = named(kek::lacking("k3")).await;
    lacking.sort();
    assert_eq!(lacking, all);
    assert_eq!(named(kek::unasked()).await, ["/repo-agent"]);
    assert!(named(kek::lacking_elsewhere("k3")).await.is_empty());
    // What organizations registered is named apart, whatever it says of itself.
    let others = "UPDATE worker_registry SET by_platform = 0 WHERE instance_id = 'production' OR health_detail IS NULL";
    run(&database, vec![Statement::new(others)]).await;
    assert!(named(kek::lacking("k1")).await.is_empty());
    assert!(named(kek::unasked()).await.is_empty());
    let elsewhere = named(kek::lacking_elsewhere("k1")).await;
    assert_eq!(elsewhere, ["production/image-gen"]);
    assert!(named(kek::lacking_elsewhere("k2")).await.is_empty());
    let old = database
        .query(kek::count_workers_with_old_rows())
        .await
        .unwrap();
    assert_eq!(old.first().unwrap().int("n"), Some(1));
}

#[tokio::test]
async fn keys_and_rotations_are_found_by_index() {
    let database = seeded();
    let production = instance("production");
    let mut statements = kek::step(&rotation(1));
    statements.extend([
        kek::by_id(&rotation(1)),
        kek::running(),
        credentials::current(&production),
        credentials::previous(&production, NOW),
        credentials::one(&production, &provider(), None, NOW),
        credentials::one(&production, &provider(), Some(&credential(1)), NOW),
        credentials::retire(&credential(1), NOW),
        credentials::erase(&credential(1)),
        credentials::erase_surplus(&production, &provider(), 3, NOW),
        credentials::erase_retired(NOW, 500),
        credentials::count_old_keks("k1"),
        credentials::report("[]", None),
        kek::rewrap("[]", "k2"),
        kek::rewind(&rotation(1)),
        kek::guard_last(&rotation(1)),
    ]);
    for statement in statements {
        for line in database.plan(&statement.sql).unwrap() {
            // What a statement was given as JSON, and the one row of a chain.
            let given = ["json_each", "CONSTANT ROW", "SCAN given", "SCAN c"];
            let scans = line.starts_with("SCAN") && !given.iter().any(|ok| line.contains(ok));
            assert!(!scans, "{line}\n{}", statement.sql);
        }
    }
}

/// Steps of SQLite's machine, which grow with every row that is touched, by index too.
fn machine_steps(database: &SqliteDatabase, statement: &Statement) -> i32 {
    database.with(|connection| {
        let mut prepared = connection.prepare(&statement.sql).unwrap();
        let mut rows = prepared
            .query(rusqlite::params_from_iter(&statement.params))
            .unwrap();
        while rows.next().unwrap().is_some() {}
        drop(rows);
        prepared.get_status(rusqlite::StatementStatus::VmStep)
    })
}

/// Workers that have the key, those that lack it and those that were never asked, `of_each` of each.
fn house(of_each: i64) -> SqliteDatabase {
    let database = seeded();
    for (place, detail) in [
        ("has", Some(r#"{"kek_ids":["k1","k2"],"old_kek_rows":0}"#)),
        ("lacks", Some(r#"{"kek_ids":["k1"],"old_kek_rows":0}"#)),
        ("silent", None),
    ] {
        database.with(|connection| {
            let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) \
                INSERT INTO worker_registry (name, instance_id, version, git_sha, url, health_detail, registered_at, created_at, by_platform) \
                SELECT 'image-gen', ?2 || w.by_platform || '-' || i, '1', 'x', 'u', ?3, ?4, ?4, w.by_platform FROM n CROSS JOIN (SELECT 0 AS by_platform UNION ALL SELECT 1) w";
            connection
                .execute(sql, (of_each, place, detail, NOW.to_string()))
                .unwrap();
        });
    }
    database
}

#[tokio::test]
async fn asking_the_workers_costs_the_same_in_a_large_house() {
    let (few, many) = (house(300), house(3_000));
    for statement in [
        kek::lacking("k1"),
        kek::lacking("k2"),
        kek::unasked(),
        kek::lacking_elsewhere("k2"),
        kek::count_workers_with_old_rows(),
        kek::list(None, 51),
        kek::list(Some(rotation(1).as_str()), 51),
    ] {
        let (few, many) = (
            machine_steps(&few, &statement),
            machine_steps(&many, &statement),
        );
        let sql = &statement.sql;
        assert!(many * 20 <= few * 21, "{few} steps became {many}: {sql}");
    }
    let count = async |statement| many.query(statement).await.unwrap().rows.len();
    assert_eq!(count(kek::lacking("k1")).await, 0);
    assert_eq!(count(kek::lacking("k2")).await as i64, kek::MAX_WORKERS);
    assert_eq!(count(kek::unasked()).await as i64, kek::MAX_WORKERS);
}

//! SQL of keys and sessions on the real migrations: what a statement reads does not grow with the table, guards refuse,
//! sessions follow their parent.
#![expect(clippy::unwrap_used, reason = "tests")]

use api_types::{InstanceId, KeyId, ProjectId, Timestamp};
use platform::fakes::SqliteDatabase;
use platform::{Database, DbErrorKind, Statement};
use std::path::Path;
use store::control::api_keys::{self, KeyView, ListFilter, Narrowed, NewSecret};
use store::control::guard::Quota;
use store::control::resolve::{ChosenBy, KeyRow, chosen, key, project};
use store::control::sessions::{self, NewSession, SessionView};

const SEED: &str = include_str!("../fixtures/control_seed.sql");
const USER: &str = "0198f0a1-0000-7000-8000-000000000002";
const CHAT: &str = "0198f0a2-0000-7000-8000-000000000002";
const ROOT_KEY: &str = "root00000001";
const ADMIN_KEY: &str = "4fGh7kQ2mZ0a";
const USER_KEY: &str = "user00000001";
const PROJECT_KEY: &str = "proj00000001";
const NOW: Timestamp = Timestamp(1_763_719_200_000);
const HOUR_MS: i64 = 3_600_000;

fn seeded() -> SqliteDatabase {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/control");
    let database = SqliteDatabase::from_migrations(&folder).unwrap();
    database.with(|connection| connection.execute_batch(SEED).unwrap());
    database
}

fn id(text: &str) -> KeyId {
    KeyId::parse(text).unwrap()
}

async fn changes(database: &SqliteDatabase, statement: Statement) -> u64 {
    database.query(statement).await.unwrap().changes
}

async fn row(database: &SqliteDatabase, key_id: &str) -> KeyRow {
    let rows = database.query(key(&id(key_id), None)).await.unwrap();
    KeyRow::read(&rows).unwrap().unwrap()
}

fn session<'a>(session_id: &'a KeyId, parent: &'a KeyId, now: Timestamp) -> NewSession<'a> {
    const HASH: &str = "1111111111111111111111111111111111111111111111111111111111111111";
    NewSession {
        session_id,
        parent_key_id: parent,
        label: "Chromium",
        key_hash: HASH,
        pepper_id: "p1",
        last4: "xxxx",
        expires_at: now.plus_ms(12 * HOUR_MS),
        secret_ends_at: None,
        created_by: "key:user00000001",
        now,
    }
}

/// A hundred thousand keys of 5,000 users in 100 organizations with 1,000 instances; the first organization gets none.
fn grow(database: &SqliteDatabase) {
    let t = "'2025-11-21T09:00:00.000Z'";
    let sql = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) \
         INSERT INTO organizations (org_id, name, billing_email, created_at, updated_at) SELECT 'org' || i, 'o', 'a@b', {t}, {t} FROM n; \
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) \
         INSERT INTO instances (instance_id, org_id, name, config, created_at, status, updated_at) \
         SELECT 'inst' || i, 'org' || (1 + i % 100), 'i', '{{}}', {t}, 'active', {t} FROM n; \
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) \
         INSERT INTO users (user_id, email, role, org_id, created_at, updated_at) \
         SELECT 'user' || i, 'u' || i || '@b', 'user', 'org' || (1 + i % 100), {t}, {t} FROM n; \
         INSERT INTO user_instance_access (user_id, instance_id, created_at, granted_by) \
         SELECT u.user_id, i.instance_id, {t}, 's' FROM users u JOIN instances i ON i.org_id = u.org_id WHERE u.user_id LIKE 'user%'; \
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) \
         INSERT INTO api_keys (key_id, user_id, key_hash, last4, pepper_id, scopes, created_by, created_at) \
         SELECT printf('many%08d', i), 'user' || (1 + i % 5000), hex(zeroblob(32)), 'x', 'p1', '[]', 's', '2026-11-21T09:00:00.000Z' FROM n; \
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) \
         INSERT INTO api_keys (key_id, user_id, kind, parent_key_id, key_hash, last4, pepper_id, scopes, expires_at, created_by, created_at) \
         SELECT printf('sess%08d', i), '{USER}', 'session', '{USER_KEY}', hex(zeroblob(32)), 'x', 'p1', '[\"*\"]', {t}, 's', {t} FROM n;"
    );
    database.with(|connection| connection.execute_batch(&sql).unwrap());
}

#[tokio::test]
async fn what_is_read_does_not_grow_with_keys_users_and_instances() {
    let database = seeded();
    let development = InstanceId::parse("development").unwrap();
    let hinted = ChosenBy {
        hint: Some(&development),
        ..ChosenBy::default()
    };
    let own = id("session00001");
    let parent = id(USER_KEY);
    database
        .batch(sessions::create(&session(&own, &parent, NOW)))
        .await
        .unwrap();
    let mut statements = Vec::new();
    for caller in [ADMIN_KEY, USER_KEY, PROJECT_KEY, "session00001"] {
        let caller = id(caller);
        statements.extend([
            key(&caller, None),
            key(&caller, Some(&development)),
            chosen(&caller, hinted),
            chosen(&caller, ChosenBy::default()),
            api_keys::bounds(&caller),
            api_keys::by_id(&caller),
            sessions::by_id(&caller),
            api_keys::list(&caller, &ListFilter::default(), NOW, 51),
            sessions::list(&caller, None, None, NOW, 51),
            sessions::list(&caller, Some(USER), None, NOW, 51),
        ]);
    }
    statements.push(key(&id(ROOT_KEY), Some(&development)));
    statements.push(project(&ProjectId::parse(CHAT).unwrap()));
    statements.extend([
        sessions::surplus(&parent, NOW),
        Quota::UserKeys.count(USER, "t"),
        Quota::ProjectKeys.count(CHAT, "t"),
    ]);
    let steps = |statement: &Statement| database.steps(statement).unwrap();
    let few: Vec<u64> = statements.iter().map(steps).collect();
    grow(&database);
    for (statement, few) in statements.iter().zip(few) {
        assert_eq!(steps(statement), few, "{}", statement.sql);
    }
    // Only a superadmin's list is the platform's: it walks an index up to the page's end.
    let list = api_keys::list(&id(ROOT_KEY), &ListFilter::default(), NOW, 51);
    assert!(steps(&list) < 10_000, "{}", steps(&list));
}

#[tokio::test]
async fn statements_of_keys_and_sessions_search() {
    let database = seeded();
    let (user, other) = (id(USER_KEY), id("session00001"));
    let hash = "0".repeat(64);
    let secret = NewSecret {
        key_id: &user,
        key_hash: &hash,
        pepper_id: "p1",
        last4: "xxxx",
        now: NOW,
    };
    let narrowed = Narrowed {
        key_id: &user,
        name: "x",
        scopes: &[],
        instance_ids: None,
        expires_at: None,
    };
    let mut statements = vec![
        sessions::by_id(&other),
        sessions::list(&user, None, None, NOW, 51),
        sessions::surplus(&user, NOW),
        sessions::end(&other, "s", NOW),
        sessions::delete_ended(NOW, 500),
        api_keys::by_id(&user),
        api_keys::list(&user, &ListFilter::default(), NOW, 51),
        api_keys::bounds(&user),
        api_keys::rotate(&secret, Some(NOW)),
        api_keys::rotate(&secret, None),
        api_keys::replace_unused(&secret),
        api_keys::guard_secret(&user, 1, true),
        api_keys::empty_ended(NOW, 500),
        api_keys::count_old_peppers("p1", NOW),
    ];
    statements.extend(api_keys::narrow(&narrowed));
    statements.extend(sessions::create(&session(&other, &user, NOW)));
    for statement in statements {
        for line in database.plan(&statement.sql).unwrap() {
            let table = line.strip_prefix("SCAN ").unwrap_or_default();
            // What is scanned is a result that is small by itself: one caller, one row to show.
            let harmless = table.is_empty()
                || [
                    "who",
                    "w",
                    "x",
                    "json_each",
                    "CONSTANT ROW",
                    "p VIRTUAL",
                    "guard",
                ]
                .iter()
                .any(|name| table.starts_with(name));
            assert!(harmless, "{line}\n{}", statement.sql);
        }
    }
}

#[tokio::test]
async fn a_session_is_made_in_the_bounds_of_a_parent_that_lives() {
    let database = seeded();
    let (user, first) = (id(USER_KEY), id("session00001"));
    database
        .query(Statement::new(format!(
            "UPDATE api_keys SET scopes = '[\"images:read\"]', instance_ids = '[\"development\"]', expires_at = '{}' WHERE key_id = '{USER_KEY}'",
            NOW.plus_ms(13 * HOUR_MS)
        )))
        .await
        .unwrap();
    let new = session(&first, &user, NOW);
    database.batch(sessions::create(&new)).await.unwrap();
    let made = row(&database, "session00001").await;
    assert_eq!(made.parent_key_id, Some(user.clone()));
    assert_eq!(made.expires_at, Some(NOW.plus_ms(12 * HOUR_MS)));
    assert_eq!(made.scopes, row(&database, USER_KEY).await.scopes);
    assert_eq!(made.parent_scopes, Some(made.scopes.clone()));
    assert_eq!(made.instances.len(), 1);

    // Later than the parent, of a session, of a project's key, of a missing key, of a revoked one.
    let other = id("session00002");
    let refused = async |new: NewSession<'_>| {
        let error = database
            .batch(sessions::create(&new))
            .await
            .expect_err("refused");
        assert_eq!(error.kind, DbErrorKind::Guard);
    };
    refused(NewSession {
        expires_at: NOW.plus_ms(13 * HOUR_MS + 1),
        ..session(&other, &user, NOW)
    })
    .await;
    for parent in ["session00001", PROJECT_KEY, "000000000000", "revoked00001"] {
        refused(session(&other, &id(parent), NOW)).await;
    }
    let count = "SELECT count(*) AS n FROM api_keys WHERE kind = 'session'";
    let rows = database.query(Statement::new(count)).await.unwrap();
    assert_eq!(rows.first().unwrap().int("n"), Some(1));
}

#[tokio::test]
async fn a_session_follows_its_parent_in_the_row_that_is_resolved() {
    let database = seeded();
    let (admin, own) = (id(ADMIN_KEY), id("session00001"));
    database
        .batch(sessions::create(&session(&own, &admin, NOW)))
        .await
        .unwrap();
    assert_eq!(row(&database, "session00001").await.instances.len(), 2);
    // Narrowing copies the bounds down.
    let narrowed = Narrowed {
        key_id: &admin,
        name: "narrow",
        scopes: &[api_types::Scope::ImagesRead],
        instance_ids: Some(&[InstanceId::parse("development").unwrap()]),
        expires_at: Some(NOW.plus_ms(HOUR_MS)),
    };
    database.batch(api_keys::narrow(&narrowed)).await.unwrap();
    let made = row(&database, "session00001").await;
    assert_eq!(made.scopes, [api_types::Scope::ImagesRead]);
    assert_eq!(
        (made.instances.len(), made.expires_at),
        (1, Some(NOW.plus_ms(HOUR_MS)))
    );
    // And a parent that is narrowed past its sessions bounds them too.
    database
        .query(Statement::new(format!(
            "UPDATE api_keys SET instance_ids = '[\"production\"]', scopes = '[]' WHERE key_id = '{ADMIN_KEY}'"
        )))
        .await
        .unwrap();
    for hint in [None, Some(InstanceId::parse("development").unwrap())] {
        let rows = database.query(key(&own, hint.as_ref())).await.unwrap();
        let made = KeyRow::read(&rows).unwrap().unwrap();
        assert!(made.instances.is_empty(), "{hint:?}");
        assert_eq!(made.parent_scopes, Some(Vec::new()));
    }
    assert_eq!(
        changes(&database, api_keys::revoke(&admin, "s", None, NOW)).await,
        2
    );
    assert_eq!(row(&database, "session00001").await.revoked_at, Some(NOW));
    assert_eq!(changes(&database, sessions::end(&own, "s", NOW)).await, 0);
    assert_eq!(changes(&database, sessions::end(&admin, "s", NOW)).await, 0);
}

#[tokio::test]
async fn one_session_too_many_ends_the_oldest_live_one() {
    let database = seeded();
    let user = id(USER_KEY);
    let ids: Vec<KeyId> = (0..22).map(|n| id(&format!("session{n:05}"))).collect();
    for (n, own) in ids.iter().enumerate().take(20) {
        let new = session(own, &user, NOW.plus_ms(n as i64));
        database.batch(sessions::create(&new)).await.unwrap();
    }
    let at = NOW.plus_ms(30);
    let surplus = async || {
        let rows = database.query(sessions::surplus(&user, at)).await.unwrap();
        sessions::read_surplus(&rows).unwrap()
    };
    assert_eq!(surplus().await, ids[..1]);
    // One that ended by itself makes room.
    changes(&database, sessions::end(&ids[5], "s", at)).await;
    assert!(surplus().await.is_empty());
    for own in &ids[20..] {
        database
            .batch(sessions::create(&session(own, &user, at)))
            .await
            .unwrap();
    }
    let live = database
        .query(sessions::list(&user, None, None, at, 51))
        .await
        .unwrap();
    let live = SessionView::read_all(&live).unwrap();
    assert_eq!(live.len(), 20);
    assert!(
        live.iter()
            .all(|it| it.session_id != ids[0] && it.session_id != ids[5])
    );
}

#[tokio::test]
async fn rotating_is_refused_when_the_secret_was_used_meanwhile() {
    let database = seeded();
    let user = id(USER_KEY);
    let hash = "1".repeat(64);
    let secret = NewSecret {
        key_id: &user,
        key_hash: &hash,
        pepper_id: "p2",
        last4: "xxxx",
        now: NOW,
    };
    let before = row(&database, USER_KEY).await;
    let until = NOW.plus_ms(HOUR_MS);
    database
        .batch(vec![
            api_keys::guard_secret(&user, 1, true),
            api_keys::rotate(&secret, Some(until)),
        ])
        .await
        .unwrap();
    let after = row(&database, USER_KEY).await;
    assert_eq!(
        after.previous,
        Some((before.key_hash, "p1".to_owned(), until))
    );
    assert_eq!(
        (after.key_hash.as_str(), after.pepper_id.as_str()),
        (hash.as_str(), "p2")
    );
    assert_eq!(after.secret_first_used_at, None);

    // Read as unused; used by somebody; replaced as if it were not: refused.
    changes(&database, api_keys::record_first_use(&user, NOW)).await;
    for (version, used) in [(2, false), (1, true)] {
        let batch = vec![
            api_keys::guard_secret(&user, version, used),
            api_keys::replace_unused(&secret),
        ];
        assert_eq!(
            database.batch(batch).await.unwrap_err().kind,
            DbErrorKind::Guard
        );
    }
    database
        .batch(vec![
            api_keys::guard_secret(&user, 2, true),
            api_keys::replace_unused(&secret),
        ])
        .await
        .unwrap();
    assert_eq!(row(&database, USER_KEY).await.previous, after.previous);
    let gone = id("000000000000");
    for (key_id, version) in [(&gone, 1), (&id("revoked00001"), 1)] {
        let guard = vec![api_keys::guard_secret(key_id, version, true)];
        assert_eq!(
            database.batch(guard).await.unwrap_err().kind,
            DbErrorKind::Guard
        );
    }
    let shown = KeyView::read(&database.query(api_keys::by_id(&user)).await.unwrap());
    assert_eq!(shown.unwrap().unwrap().secret_version, 3);

    assert_eq!(
        changes(&database, api_keys::empty_ended(until.plus_ms(-1), 10)).await,
        0
    );
    assert_eq!(changes(&database, api_keys::empty_ended(until, 0)).await, 0);
    assert_eq!(
        changes(&database, api_keys::empty_ended(until, 10)).await,
        1
    );
    assert_eq!(row(&database, USER_KEY).await.previous, None);
}

#[tokio::test]
async fn old_peppers_are_counted_for_secrets_that_work() {
    let database = seeded();
    let count = async |pepper: &str, at: Timestamp| {
        let rows = database
            .query(api_keys::count_old_peppers(pepper, at))
            .await
            .unwrap();
        rows.first().unwrap().int("n").unwrap()
    };
    // Nine keys, one revoked, one expired.
    assert_eq!((count("p1", NOW).await, count("p2", NOW).await), (0, 7));
    let all = format!(
        "UPDATE api_keys SET pepper_id = 'p2'; \
         UPDATE api_keys SET prev_key_hash = key_hash, prev_pepper_id = 'p1', prev_expires_at = '{}' WHERE key_id IN ('{USER_KEY}', 'revoked00001')",
        NOW.plus_ms(1)
    );
    database.with(|connection| connection.execute_batch(&all).unwrap());
    assert_eq!(count("p2", NOW).await, 1);
    assert_eq!(count("p2", NOW.plus_ms(1)).await, 0);
}

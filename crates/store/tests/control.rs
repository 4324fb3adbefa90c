//! The control database's SQL on the real migrations: every constraint refuses, guards fail closed, resolving never
//! selects a foreign configuration, growing tables are never scanned.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use api_types::{InstanceId, KeyId, OrgId, ProjectId, Timestamp, UserId};
use platform::fakes::SqliteDatabase;
use platform::{Database, DbErrorKind, SqlValue, Statement};
use std::path::Path;
use store::control::audit::{self, ChainOf, Head};
use store::control::guard::{Quota, Violation};
use store::control::resolve::{
    ChosenBy, ChosenRow, KeyRow, NamedProject, Owner, chosen, key, project,
};
use store::control::{
    access, api_keys, credentials, guard, idempotency, instances, projects, users,
};

const SEED: &str = include_str!("../fixtures/control_seed.sql");
const ACME: &str = "0198f0a0-0000-7000-8000-000000000001";
const USER: &str = "0198f0a1-0000-7000-8000-000000000002";
const ROOT_KEY: &str = "root00000001";
const ADMIN_KEY: &str = "4fGh7kQ2mZ0a";
const USER_KEY: &str = "user00000001";
const PROJECT_KEY: &str = "proj00000001";
const CHAT: &str = "0198f0a2-0000-7000-8000-000000000002";
const FORGE: &str = "0198f0a2-0000-7000-8000-000000000001";
const FOREIGN_PROJECT: &str = "0198f0a2-0000-7000-8000-000000000003";
const NOW: Timestamp = Timestamp(1_763_719_200_000);

fn empty() -> SqliteDatabase {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/control");
    SqliteDatabase::from_migrations(&folder).unwrap()
}

fn seeded() -> SqliteDatabase {
    let database = empty();
    database.with(|connection| connection.execute_batch(SEED).unwrap());
    database
}

fn instance(id: &str) -> InstanceId {
    InstanceId::parse(id).unwrap()
}

fn key_id(id: &str) -> KeyId {
    KeyId::parse(id).unwrap()
}

async fn refused(database: &SqliteDatabase, sql: &str) -> (DbErrorKind, String) {
    let error = database
        .query(Statement::new(sql.to_owned()))
        .await
        .expect_err(sql);
    (error.kind, error.cause)
}

#[tokio::test]
async fn every_constraint_refuses() {
    let database = seeded();
    let t = "'2025-11-21T09:00:00.000Z'";
    let org = format!("'{ACME}'");
    let user = format!("'{USER}'");
    let cases = [
        // CHECK
        format!("UPDATE organizations SET status = 'gone' WHERE org_id = {org}"),
        format!("UPDATE organizations SET version = 0 WHERE org_id = {org}"),
        format!("UPDATE organizations SET name = '' WHERE org_id = {org}"),
        "UPDATE instances SET status = 'broken'".into(),
        "UPDATE instances SET config = '{'".into(),
        "UPDATE instances SET worker_urls = 'x'".into(),
        "UPDATE instances SET self_hosted = 2".into(),
        "UPDATE instances SET config_version = 0".into(),
        "UPDATE instance_effective SET body = '{'".into(),
        "UPDATE instance_effective SET sha256 = 'short'".into(),
        "UPDATE users SET role = 'owner'".into(),
        "UPDATE users SET status = 'asleep'".into(),
        format!("UPDATE users SET role = 'superadmin' WHERE user_id = {user}"),
        format!("UPDATE users SET org_id = NULL WHERE user_id = {user}"),
        "UPDATE users SET email = 'a'".into(),
        "UPDATE projects SET settings = '{'".into(),
        "UPDATE projects SET status = 'gone'".into(),
        format!("UPDATE api_keys SET project_id = '{CHAT}' WHERE key_id = '{USER_KEY}'"),
        format!("UPDATE api_keys SET user_id = NULL WHERE key_id = '{USER_KEY}'"),
        "UPDATE api_keys SET kind = 'session'".into(),
        format!("UPDATE api_keys SET parent_key_id = key_id WHERE key_id = '{USER_KEY}'"),
        "UPDATE api_keys SET kind = 'token'".into(),
        "UPDATE api_keys SET scopes = 'all'".into(),
        "UPDATE api_keys SET instance_ids = 'all'".into(),
        "UPDATE api_keys SET key_hash = 'short'".into(),
        "UPDATE api_keys SET secret_version = 0".into(),
        format!(
            "INSERT INTO provider_credentials (credential_id, org_id, instance_id, provider, slot, host, ciphertext, kek_id, set_at, set_by, created_at) VALUES ('c', {org}, 'production', 'ideogram', 'previous', 'h', 'v1.k1.a.b', 'k1', {t}, 's', {t})"
        ),
        format!(
            "INSERT INTO provider_credentials (credential_id, org_id, instance_id, provider, host, ciphertext, kek_id, set_at, set_by, created_at) VALUES ('c', {org}, 'production', 'ideogram', 'h', 'in the clear', 'k1', {t}, 's', {t})"
        ),
        format!(
            "INSERT INTO price_overrides (price_id, org_id, provider, model, row, valid_from, valid_to, created_by, created_at) VALUES ('p', {org}, 'x', 'y', '{{}}', '2', '1', 's', {t})"
        ),
        format!(
            "INSERT INTO price_overrides (price_id, org_id, provider, model, row, valid_from, created_by, created_at) VALUES ('p', {org}, 'x', 'y', '{{', '2', 's', {t})"
        ),
        format!(
            "INSERT INTO worker_registry (name, version, git_sha, url, health, registered_at, created_at) VALUES ('w', '1', 'x', 'u', 'ill', {t}, {t})"
        ),
        format!(
            "INSERT INTO kek_rotations (rotation_id, to_kek, state, started_by, created_at) VALUES ('r', 'k2', 'paused', 's', {t})"
        ),
        format!(
            "INSERT INTO idempotency (principal, route, key, request_sha256, status, response, created_at, expires_at) VALUES ('p', 'r', '', hex(zeroblob(32)), 200, '{{}}', {t}, {t})"
        ),
        format!(
            "INSERT INTO idempotency (principal, route, key, request_sha256, status, response, created_at, expires_at) VALUES ('p', 'r', 'k', hex(zeroblob(32)), 404, '{{}}', {t}, {t})"
        ),
        // FOREIGN KEY
        format!(
            "INSERT INTO instances (instance_id, org_id, name, config, created_at, status, updated_at) VALUES ('x', 'nobody', 'x', '{{}}', {t}, 'active', {t})"
        ),
        format!(
            "INSERT INTO instance_effective (instance_id, config_version, body, sha256, created_at) VALUES ('x', 1, '{{}}', hex(zeroblob(32)), {t})"
        ),
        format!("UPDATE users SET org_id = 'nobody' WHERE user_id = {user}"),
        format!("INSERT INTO user_instance_access VALUES ({user}, 'nowhere', {t}, 's')"),
        format!("INSERT INTO user_instance_access VALUES ('nobody', 'production', {t}, 's')"),
        "UPDATE projects SET instance_id = 'nowhere'".into(),
        format!("UPDATE api_keys SET user_id = 'nobody' WHERE key_id = '{USER_KEY}'"),
        format!("UPDATE api_keys SET project_id = 'none' WHERE key_id = '{PROJECT_KEY}'"),
        format!(
            "UPDATE api_keys SET kind = 'session', parent_key_id = 'none', expires_at = {t} WHERE key_id = '{USER_KEY}'"
        ),
        format!("DELETE FROM organizations WHERE org_id = {org}"),
        // UNIQUE
        format!(
            "INSERT INTO users (user_id, email, role, org_id, created_at, updated_at) VALUES ('u', 'USER@acme.example', 'user', {org}, {t}, {t})"
        ),
        format!(
            "INSERT INTO users (user_id, email, role, created_at, updated_at) VALUES ('u', 'ROOT@platform.example', 'superadmin', {t}, {t})"
        ),
        format!(
            "INSERT INTO projects (project_id, instance_id, name, created_at, created_by, updated_at) VALUES ('p', 'production', 'CONTENT FORGE', {t}, 's', {t})"
        ),
        format!(
            "INSERT INTO instances (instance_id, org_id, name, config, created_at, status, updated_at) VALUES ('production', {org}, 'x', '{{}}', {t}, 'active', {t})"
        ),
        format!("INSERT INTO user_instance_access VALUES ({user}, 'development', {t}, 's')"),
        format!(
            "INSERT INTO kek_rotations (rotation_id, to_kek, state, started_by, created_at) VALUES ('r', 'k2', 'running', 's', {t}), ('q', 'k3', 'running', 's', {t})"
        ),
    ];
    for sql in cases {
        let (kind, cause) = refused(&database, &sql).await;
        assert_eq!(kind, DbErrorKind::Constraint, "{sql}: {cause}");
    }
    // Not a contradiction: other organization, deleted rows.
    for sql in [
        format!(
            "INSERT INTO users (user_id, email, role, org_id, created_at, updated_at) VALUES ('u', 'user@acme.example', 'user', '0198f0a0-0000-7000-8000-000000000002', {t}, {t})"
        ),
        format!("UPDATE users SET status = 'deleted' WHERE user_id = {user}"),
        format!(
            "INSERT INTO users (user_id, email, role, org_id, created_at, updated_at) VALUES ('v', 'user@acme.example', 'user', {org}, {t}, {t})"
        ),
    ] {
        database.query(Statement::new(sql)).await.unwrap();
    }
}

#[tokio::test]
async fn violations_are_told_apart() {
    let database = seeded();
    let violation = async |statements: Vec<Statement>| {
        Violation::of(&database.batch(statements).await.unwrap_err())
    };
    let user = UserId::parse("0198f0a1-0000-7000-8000-0000000000ff").unwrap();
    let org = OrgId::parse(ACME).unwrap();
    let twin = users::NewUser {
        user_id: &user,
        email: "user@acme.example",
        name: "",
        role: "user",
        org_id: Some(&org),
        now: NOW,
    };
    assert_eq!(
        violation(vec![users::create(&twin)]).await,
        Some(Violation::UserEmail)
    );
    let project_id = ProjectId::parse("0198f0a2-0000-7000-8000-0000000000ff").unwrap();
    let twin = projects::NewProject {
        project_id: &project_id,
        instance_id: &instance("production"),
        name: "content forge",
        settings: "{}",
        created_by: "s",
        now: NOW,
    };
    assert_eq!(
        violation(vec![projects::create(&twin)]).await,
        Some(Violation::ProjectName)
    );
    let entry = entry("platform", 1, &"0".repeat(64), "a");
    database.batch(audit::append(&entry)).await.unwrap();
    assert_eq!(
        violation(audit::append(&entry)).await,
        Some(Violation::AuditHead)
    );
    let answer = answer(NOW);
    let store = || idempotency::store("POST /x", "1", &answer, NOW);
    database.query(store()).await.unwrap();
    assert_eq!(violation(vec![store()]).await, Some(Violation::Idempotency));
    assert_eq!(
        violation(vec![guard::require("SELECT 0", vec![])]).await,
        Some(Violation::Guard)
    );
}

fn entry(org_id: &str, seq: i64, prev_hash: &str, seed: &str) -> audit::Entry {
    audit::Entry {
        org_id: org_id.into(),
        seq,
        at: NOW.to_string(),
        actor: "{}".into(),
        action: "create_user".into(),
        target_type: "user".into(),
        target_id: seed.into(),
        instance_id: None,
        before: None,
        after: None,
        request_id: "r".into(),
        ip: None,
        prev_hash: prev_hash.into(),
        hash: seed.repeat(64),
    }
}

fn answer(at: Timestamp) -> idempotency::StoredAnswer {
    idempotency::StoredAnswer {
        principal: format!("key:{ADMIN_KEY}"),
        request_sha256: "0".repeat(64),
        status: 201,
        response: "{}".into(),
        sealed: false,
        created_at: at,
    }
}

#[tokio::test]
async fn a_guard_over_a_missing_row_refuses_and_nothing_of_the_batch_stays() {
    let database = seeded();
    let missing = instance("nowhere");
    let user = UserId::parse(USER).unwrap();
    let nobody = UserId::parse("0198f0a1-0000-7000-8000-0000000000ff").unwrap();
    let no_key = key_id("000000000000");
    let guards = [
        instances::guard_config_version(&missing, 1),
        instances::guard_config_version(&instance("production"), 2),
        instances::guard_free(&instance("production"), &OrgId::parse(ACME).unwrap(), None),
        instances::guard_free(&missing, &OrgId::parse(ACME).unwrap(), Some(1)),
        access::guard_same_organization(&user, &missing),
        access::guard_same_organization(&user, &instance("foreign")),
        access::guard_same_organization(&nobody, &instance("production")),
        api_keys::guard_active_user(&nobody),
        api_keys::guard_version(&no_key, 1),
        api_keys::guard_version(&key_id(USER_KEY), 2),
    ];
    for guard in guards {
        let write = Statement::new("UPDATE organizations SET name = 'changed'");
        let error = database
            .batch(vec![write, guard.clone()])
            .await
            .unwrap_err();
        assert_eq!(error.kind, DbErrorKind::Guard, "{}", guard.sql);
    }
    let changed = Statement::new("SELECT count(*) AS n FROM organizations WHERE name = 'changed'");
    assert_eq!(
        database
            .query(changed)
            .await
            .unwrap()
            .first()
            .unwrap()
            .int("n"),
        Some(0)
    );
    for guard in [
        instances::guard_config_version(&instance("production"), 1),
        instances::guard_free(&missing, &OrgId::parse(ACME).unwrap(), None),
        access::guard_same_organization(&user, &instance("production")),
        api_keys::guard_version(&key_id(USER_KEY), 1),
        Quota::Instances.guard(ACME, ""),
    ] {
        database.batch(vec![guard]).await.unwrap();
    }
}

#[tokio::test]
async fn a_quota_holds_in_the_batch_that_would_break_it() {
    let database = seeded();
    let now = NOW.to_string();
    let mint = |n: usize| {
        Statement::new("INSERT INTO api_keys (key_id, user_id, key_hash, last4, pepper_id, scopes, created_by, created_at) VALUES (?1, ?2, ?3, 'x', 'p1', '[]', 's', ?4)")
            .bind(format!("quota{n:07}"))
            .bind(USER)
            .bind("0".repeat(64))
            .bind(&now)
    };
    for n in 1..20 {
        database
            .batch(vec![Quota::UserKeys.guard(USER, &now), mint(n)])
            .await
            .unwrap();
    }
    let error = database
        .batch(vec![Quota::UserKeys.guard(USER, &now), mint(20)])
        .await
        .unwrap_err();
    assert_eq!(error.kind, DbErrorKind::Guard);
    database
        .query(api_keys::revoke(&key_id("quota0000001"), "s", None, NOW))
        .await
        .unwrap();
    database
        .batch(vec![Quota::UserKeys.guard(USER, &now), mint(20)])
        .await
        .unwrap();
    let own = Quota::UserKeys.count_of_owner(&key_id(USER_KEY), &now);
    assert_eq!(
        database.query(own).await.unwrap().first().unwrap().int("n"),
        Some(20)
    );
    let users = Quota::Users.count_in(None, &key_id(ADMIN_KEY));
    assert_eq!(
        database
            .query(users)
            .await
            .unwrap()
            .first()
            .unwrap()
            .int("n"),
        Some(2)
    );
}

#[tokio::test]
async fn the_audit_log_is_append_only_and_a_chain_has_no_gap() {
    let database = seeded();
    let admin = key_id(ADMIN_KEY);
    let head = async |chain: &ChainOf| {
        Head::read(&database.query(audit::head(chain, &admin)).await.unwrap()).unwrap()
    };
    let empty = head(&ChainOf::Caller).await;
    assert_eq!(
        (empty.org_id.as_str(), empty.seq, empty.hash),
        (ACME, 0, None)
    );
    let first = entry(ACME, 1, &"0".repeat(64), "a");
    database.batch(audit::append(&first)).await.unwrap();
    for chain in [
        ChainOf::Instance(instance("production")),
        ChainOf::User(UserId::parse(USER).unwrap()),
        ChainOf::Project(ProjectId::parse(CHAT).unwrap()),
        ChainOf::Key(key_id(PROJECT_KEY)),
        ChainOf::Organization(OrgId::parse(ACME).unwrap()),
    ] {
        let head = head(&chain).await;
        assert_eq!((head.org_id.as_str(), head.seq), (ACME, 1), "{chain:?}");
    }
    assert_eq!(
        head(&ChainOf::Key(key_id(ROOT_KEY))).await.org_id,
        "platform"
    );
    assert_eq!(head(&ChainOf::Platform).await.seq, 0);
    // A writer whose predecessor is not what he read is refused.
    let wrong = entry(ACME, 2, &"0".repeat(64), "b");
    assert_eq!(
        database
            .batch(audit::append(&wrong))
            .await
            .unwrap_err()
            .kind,
        DbErrorKind::Guard
    );
    let skipped = entry(ACME, 3, &"a".repeat(64), "b");
    assert_eq!(
        database
            .batch(audit::append(&skipped))
            .await
            .unwrap_err()
            .kind,
        DbErrorKind::Guard
    );
    database
        .batch(audit::append(&entry(ACME, 2, &"a".repeat(64), "b")))
        .await
        .unwrap();
    for sql in ["UPDATE audit_log SET action = 'x'", "DELETE FROM audit_log"] {
        let (_, cause) = refused(&database, sql).await;
        assert!(cause.contains("audit_log_is_append_only"), "{cause}");
    }
}

#[tokio::test]
async fn a_key_row_tells_owner_and_choices() {
    let database = seeded();
    let read = async |id: &str, hint: Option<&str>| {
        let hint = hint.map(instance);
        let rows = database
            .query(key(&key_id(id), hint.as_ref()))
            .await
            .unwrap();
        KeyRow::read(&rows).unwrap()
    };
    let names = |row: &KeyRow| {
        row.instances
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    let admin = read(ADMIN_KEY, None).await.unwrap();
    assert_eq!(names(&admin), ["development", "production"]);
    assert!(admin.owner_active && !admin.instances_more);
    assert_eq!(names(&read(ROOT_KEY, None).await.unwrap()).len(), 3);
    assert_eq!(names(&read(USER_KEY, None).await.unwrap()), ["development"]);
    let project = read(PROJECT_KEY, None).await.unwrap();
    assert_eq!(names(&project), ["development"]);
    assert!(matches!(project.owner, Owner::Project { .. }));
    assert!(read("000000000000", None).await.is_none());
    for (id, hint, want) in [
        (ADMIN_KEY, "production", 1),
        (ADMIN_KEY, "foreign", 0),
        (ADMIN_KEY, "nowhere", 0),
        (ROOT_KEY, "foreign", 1),
        (USER_KEY, "development", 1),
        (USER_KEY, "production", 0),
        (PROJECT_KEY, "development", 1),
        (PROJECT_KEY, "production", 0),
    ] {
        assert_eq!(
            names(&read(id, Some(hint)).await.unwrap()).len(),
            want,
            "{id} {hint}"
        );
    }
    for sql in [
        "UPDATE api_keys SET instance_ids = '[\"production\"]' WHERE key_id = '4fGh7kQ2mZ0a'",
        "UPDATE organizations SET status = 'suspended' WHERE name = 'Foreign Ltd.'",
        "UPDATE users SET status = 'disabled' WHERE email = 'user@acme.example'",
    ] {
        database.query(Statement::new(sql)).await.unwrap();
    }
    assert_eq!(names(&read(ADMIN_KEY, None).await.unwrap()), ["production"]);
    assert!(!read("fore00000001", None).await.unwrap().owner_active);
    assert!(!read(USER_KEY, None).await.unwrap().owner_active);
}

/// Four principals, each with: no hint, own, sibling, foreign, missing instance, own project, foreign project.
#[tokio::test]
async fn a_foreign_configuration_is_never_selected() {
    let database = seeded();
    let none: Option<(&str, bool)> = None;
    for (who, want) in [
        (
            ROOT_KEY,
            [
                none,
                Some(("development", true)),
                Some(("production", true)),
                Some(("foreign", true)),
                None,
                Some(("development", true)),
                Some(("foreign", true)),
            ],
        ),
        (
            ADMIN_KEY,
            [
                none,
                Some(("development", true)),
                Some(("production", true)),
                Some(("foreign", false)),
                None,
                Some(("development", true)),
                Some(("foreign", false)),
            ],
        ),
        (
            USER_KEY,
            [
                Some(("development", true)),
                Some(("development", true)),
                Some(("production", false)),
                Some(("foreign", false)),
                None,
                Some(("development", true)),
                Some(("foreign", false)),
            ],
        ),
        (
            PROJECT_KEY,
            [
                Some(("development", true)),
                Some(("development", true)),
                Some(("production", false)),
                Some(("foreign", false)),
                None,
                Some(("development", true)),
                Some(("foreign", false)),
            ],
        ),
    ] {
        let hints = [
            (None, None),
            (Some("development"), None),
            (Some("production"), None),
            (Some("foreign"), None),
            (Some("nowhere"), None),
            (None, Some(CHAT)),
            (None, Some(FOREIGN_PROJECT)),
        ];
        for ((hint, named), want) in hints.into_iter().zip(want) {
            let (hint, named) = (
                hint.map(instance),
                named.map(|id| ProjectId::parse(id).unwrap()),
            );
            let by = ChosenBy {
                hint: hint.as_ref(),
                project: named.as_ref(),
                ..ChosenBy::default()
            };
            let rows = database.query(chosen(&key_id(who), by)).await.unwrap();
            if want.is_none_or(|(_, allowed)| !allowed) {
                let body = rows.first().and_then(|row| row.text("body"));
                assert_eq!(body, None, "{who} {hint:?} {named:?}");
            }
            let row = ChosenRow::read(&rows).unwrap();
            let got = row
                .as_ref()
                .map(|row| (row.instance_id.as_str(), row.allowed));
            assert_eq!(got, want, "{who} {hint:?} {named:?}");
            if let Some(row) = row.filter(|row| row.allowed) {
                assert_eq!(row.config.unwrap().instance_id, row.instance_id);
            }
        }
    }
}

#[tokio::test]
async fn a_held_configuration_does_not_come_back() {
    let database = seeded();
    let development = instance("development");
    let ask = |version| ChosenBy {
        have: Some((&development, version)),
        ..ChosenBy::default()
    };
    let user = key_id(USER_KEY);
    let same = ChosenRow::read(&database.query(chosen(&user, ask(1))).await.unwrap())
        .unwrap()
        .unwrap();
    assert_eq!((same.config_version, same.config), (1, None));
    let older = ChosenRow::read(&database.query(chosen(&user, ask(0))).await.unwrap())
        .unwrap()
        .unwrap();
    assert!(older.config.is_some());
    let production = instance("production");
    let other = ChosenBy {
        have: Some((&production, 1)),
        ..ChosenBy::default()
    };
    let other = ChosenRow::read(&database.query(chosen(&user, other)).await.unwrap())
        .unwrap()
        .unwrap();
    assert!(other.config.is_some());
}

#[tokio::test]
async fn a_deployed_set_is_the_choice_after_hints_and_projects() {
    let database = seeded();
    let production = instance("production");
    let by = ChosenBy {
        deployed: Some(&production),
        ..ChosenBy::default()
    };
    let row = ChosenRow::read(
        &database
            .query(chosen(&key_id(ADMIN_KEY), by))
            .await
            .unwrap(),
    )
    .unwrap()
    .unwrap();
    assert_eq!(row.instance_id, production);
    let forge = ProjectId::parse(FORGE).unwrap();
    let named = NamedProject::read(
        &database
            .query(project(&key_id(ADMIN_KEY), Some(&forge)))
            .await
            .unwrap(),
    )
    .unwrap()
    .unwrap();
    assert_eq!(named.instance_id, production);
    let own = NamedProject::read(
        &database
            .query(project(&key_id(PROJECT_KEY), None))
            .await
            .unwrap(),
    )
    .unwrap()
    .unwrap();
    assert_eq!(own.project_id.as_str(), CHAT);
    assert!(
        NamedProject::read(
            &database
                .query(project(&key_id(USER_KEY), None))
                .await
                .unwrap()
        )
        .unwrap()
        .is_none()
    );
}

#[tokio::test]
async fn deleted_instances_are_nowhere() {
    let database = seeded();
    database
        .query(Statement::new(
            "UPDATE instances SET status = 'deleted' WHERE instance_id = 'development'",
        ))
        .await
        .unwrap();
    let development = instance("development");
    let by = ChosenBy {
        hint: Some(&development),
        ..ChosenBy::default()
    };
    for who in [ROOT_KEY, ADMIN_KEY, USER_KEY, PROJECT_KEY] {
        assert!(
            ChosenRow::read(&database.query(chosen(&key_id(who), by)).await.unwrap())
                .unwrap()
                .is_none()
        );
    }
    let key = KeyRow::read(
        &database
            .query(key(&key_id(PROJECT_KEY), None))
            .await
            .unwrap(),
    )
    .unwrap()
    .unwrap();
    assert!(!key.owner_active);
}

#[tokio::test]
async fn a_tombstone_is_taken_over_with_rising_versions() {
    let database = seeded();
    database.query(Statement::new("UPDATE instances SET status = 'deleted', version = 7, config_version = 9 WHERE instance_id = 'production'")).await.unwrap();
    let (production, org) = (instance("production"), OrgId::parse(ACME).unwrap());
    let new = instances::NewInstance {
        instance_id: &production,
        org_id: &org,
        name: "Again",
        config: "{}",
        status: "deploying",
        now: NOW,
    };
    let batch = vec![
        instances::guard_free(&production, &org, Some(7)),
        instances::create(&new),
    ];
    database.batch(batch).await.unwrap();
    let rows = database.query(instances::taken(&production)).await.unwrap();
    let row = rows.first().unwrap();
    assert_eq!(
        (
            row.int("version"),
            row.int("config_version"),
            row.text("status")
        ),
        (Some(8), Some(10), Some("deploying"))
    );
}

#[tokio::test]
async fn the_first_use_and_a_new_hash_are_written_once() {
    let database = seeded();
    database
        .query(Statement::new(
            "UPDATE api_keys SET secret_first_used_at = NULL",
        ))
        .await
        .unwrap();
    let user = key_id(USER_KEY);
    assert_eq!(
        database
            .query(api_keys::record_first_use(&user, NOW))
            .await
            .unwrap()
            .changes,
        1
    );
    assert_eq!(
        database
            .query(api_keys::record_first_use(&user, NOW))
            .await
            .unwrap()
            .changes,
        0
    );
    assert_eq!(
        database
            .query(api_keys::record_use(&user, NOW))
            .await
            .unwrap()
            .changes,
        0
    );
    assert_eq!(
        database
            .query(api_keys::record_use(&user, NOW.plus_ms(1)))
            .await
            .unwrap()
            .changes,
        1
    );
    let row = KeyRow::read(&database.query(key(&user, None)).await.unwrap())
        .unwrap()
        .unwrap();
    let rehash = || api_keys::rehash(&user, &row.key_hash, &"1".repeat(64), "p2");
    assert_eq!(database.query(rehash()).await.unwrap().changes, 1);
    assert_eq!(database.query(rehash()).await.unwrap().changes, 0);
    let old = database
        .query(api_keys::count_old_peppers("p2"))
        .await
        .unwrap();
    assert_eq!(old.first().unwrap().int("n"), Some(7));
}

#[tokio::test]
async fn an_older_report_changes_nothing() {
    let database = seeded();
    let t = NOW.to_string();
    let id = "0198f0c0-0000-7000-8000-000000000001";
    let insert = format!(
        "INSERT INTO provider_credentials (credential_id, org_id, instance_id, provider, host, ciphertext, kek_id, set_at, set_by, created_at) VALUES ('{id}', '{ACME}', 'production', 'ideogram', 'h', 'v1.k1.a.b', 'k1', '{t}', 's', '{t}')"
    );
    database.query(Statement::new(insert)).await.unwrap();
    let report = |outcome: &str, at: Timestamp| {
        format!(r#"[{{"credential_id":"{id}","outcome":"{outcome}","at":"{at}"}}]"#)
    };
    let error = async || {
        let statement = Statement::new("SELECT last_error, last_used_at FROM provider_credentials");
        let row = database
            .query(statement)
            .await
            .unwrap()
            .first()
            .unwrap()
            .clone();
        (
            row.text("last_error").map(str::to_owned),
            row.text("last_used_at").map(str::to_owned),
        )
    };
    let put = async |items: String, only: Option<&str>| {
        let only = only.map(instance);
        database
            .query(credentials::report(&items, only.as_ref()))
            .await
            .unwrap()
            .changes
    };
    assert_eq!(
        put(report("auth_failed", NOW.plus_ms(2)), Some("development")).await,
        0
    );
    assert_eq!(
        put(report("auth_failed", NOW.plus_ms(2)), Some("production")).await,
        1
    );
    put(report("ok", NOW), None).await;
    assert_eq!(
        error().await,
        (Some("auth_failed".into()), Some(NOW.to_string()))
    );
    put(report("ok", NOW.plus_ms(3)), None).await;
    assert_eq!(error().await, (None, Some(NOW.plus_ms(3).to_string())));
}

#[tokio::test]
async fn ended_answers_are_removed_in_bounds() {
    let database = seeded();
    for n in 0..7 {
        let ends = NOW.plus_ms(n);
        database
            .query(idempotency::store(
                "POST /x",
                &n.to_string(),
                &answer(NOW),
                ends,
            ))
            .await
            .unwrap();
    }
    assert_eq!(
        database
            .query(idempotency::delete_expired(NOW.plus_ms(4), 3))
            .await
            .unwrap()
            .changes,
        3
    );
    assert_eq!(
        database
            .query(idempotency::delete_expired(NOW.plus_ms(4), 3))
            .await
            .unwrap()
            .changes,
        2
    );
    assert_eq!(
        database
            .query(idempotency::delete_expired(NOW.plus_ms(4), 3))
            .await
            .unwrap()
            .changes,
        0
    );
    let principal = format!("key:{ADMIN_KEY}");
    assert_eq!(
        database
            .query(idempotency::forget_ended(&principal, "POST /x", "6", NOW))
            .await
            .unwrap()
            .changes,
        0
    );
    let stored = database
        .query(idempotency::stored(&key_id(ADMIN_KEY), "POST /x", "6"))
        .await
        .unwrap();
    assert_eq!(
        idempotency::StoredAnswer::read(&stored).unwrap(),
        Some(answer(NOW))
    );
}

#[tokio::test]
async fn growing_tables_are_never_scanned() {
    let database = seeded();
    let user = key_id(USER_KEY);
    let production = instance("production");
    let filter = api_keys::ListFilter::default();
    let growing = [
        "audit_log",
        "idempotency",
        "api_keys",
        "SCAN k",
        "SCAN a ",
        "SCAN m",
    ];
    let statements = [
        key(&user, None),
        key(&user, Some(&production)),
        chosen(&user, ChosenBy::default()),
        project(&user, None),
        audit::head(&ChainOf::Caller, &user),
        audit::head(&ChainOf::Key(user.clone()), &user),
        audit::hash_at(ACME, 1),
        audit::append(&entry(ACME, 2, "x", "a")).remove(0),
        idempotency::stored(&user, "r", "k"),
        idempotency::delete_expired(NOW, 500),
        idempotency::forget_ended("p", "r", "k", NOW),
        api_keys::by_id(&user),
        api_keys::list(&user, &filter, NOW, 51),
        api_keys::grantable(&user, &[]),
        api_keys::restriction(&user),
        api_keys::record_use(&user, NOW),
        api_keys::rehash(&user, "a", "b", "p"),
        api_keys::count_old_peppers("p1"),
        Quota::UserKeys.count(USER, "t"),
        Quota::ProjectKeys.count(CHAT, "t"),
        Quota::UserKeys.guard(USER, "t"),
        users::by_id(&UserId::parse(USER).unwrap()),
        users::of_key(&user),
        instances::for_caller(&user, &production),
        instances::effective(&production, None),
        access::in_organization(None, &user, &[]),
    ];
    for statement in statements {
        for line in database.plan(&statement.sql).unwrap() {
            let scans = line.starts_with("SCAN") && growing.iter().any(|name| line.contains(name));
            assert!(!scans, "{line}\n{}", statement.sql);
        }
    }
    // A revocation finds the key's sessions by their parent.
    let plan = database
        .plan(&api_keys::revoke(&user, "s", None, NOW).sql)
        .unwrap()
        .join("\n");
    assert!(!plan.contains("SCAN"), "{plan}");
}

#[tokio::test]
async fn reading_costs_the_same_with_many_rows() {
    let database = seeded();
    let read = async |database: &SqliteDatabase| {
        let production = instance("development");
        let by = ChosenBy {
            hint: Some(&production),
            ..ChosenBy::default()
        };
        let user = key_id(USER_KEY);
        let batch = vec![
            key(&user, Some(&production)),
            chosen(&user, by),
            project(&user, None),
        ];
        let results = database.batch(batch).await.unwrap();
        results.iter().map(|rows| rows.rows_read).sum::<u64>()
    };
    let few = read(&database).await;
    let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) \
        INSERT INTO api_keys (key_id, user_id, key_hash, last4, pepper_id, scopes, created_by, created_at) \
        SELECT printf('many%08d', i), ?1, ?2, 'x', 'p1', '[]', 's', '2025-11-21T09:00:00.000Z' FROM n";
    database
        .query(Statement::new(many).bind(USER).bind("0".repeat(64)))
        .await
        .unwrap();
    assert_eq!(read(&database).await, few);
    assert!(few <= 12, "{few}");
}

#[tokio::test]
async fn lists_are_filtered_by_what_the_caller_may_see() {
    let database = seeded();
    let seen = async |who: &str| {
        let rows = database
            .query(instances::list(
                &key_id(who),
                &instances::ListFilter::default(),
                10,
            ))
            .await
            .unwrap();
        let lines = instances::InstanceSummary::read_all(&rows).unwrap();
        let keys = database
            .query(api_keys::list(
                &key_id(who),
                &api_keys::ListFilter::default(),
                NOW,
                50,
            ))
            .await
            .unwrap();
        (
            lines.len(),
            api_keys::KeyView::read_all(&keys).unwrap().len(),
        )
    };
    assert_eq!(seen(ROOT_KEY).await, (3, 9));
    assert_eq!(seen(ADMIN_KEY).await, (2, 5));
    assert_eq!(seen(USER_KEY).await, (1, 1));
    assert_eq!(seen(PROJECT_KEY).await, (1, 1));
    let filter = api_keys::ListFilter {
        status: Some("revoked".into()),
        ..Default::default()
    };
    let rows = database
        .query(api_keys::list(&key_id(ADMIN_KEY), &filter, NOW, 50))
        .await
        .unwrap();
    assert_eq!(
        api_keys::KeyView::read_all(&rows).unwrap()[0]
            .key_id
            .as_str(),
        "revoked00001"
    );
    let mut after = None;
    let mut pages = Vec::new();
    loop {
        let filter = api_keys::ListFilter {
            after: after.clone(),
            ..Default::default()
        };
        let rows = database
            .query(api_keys::list(&key_id(ROOT_KEY), &filter, NOW, 2))
            .await
            .unwrap();
        let page = api_keys::KeyView::read_all(&rows).unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.created_at.to_string(), last.key_id.to_string()));
        pages.extend(page.iter().map(|key| key.key_id.clone()));
    }
    pages.dedup();
    assert_eq!(pages.len(), 9);
    let filter = instances::ListFilter {
        q: Some("PROD".into()),
        ..Default::default()
    };
    let rows = database
        .query(instances::list(&key_id(ROOT_KEY), &filter, 10))
        .await
        .unwrap();
    assert_eq!(rows.rows.len(), 1);
    assert_eq!(
        rows.rows[0].get("instance_id"),
        &SqlValue::Text("production".into())
    );
}

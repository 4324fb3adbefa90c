//! Every constraint of the schema refuses, and says which one it is.

use crate::support::*;
use api_types::{OrgId, ProjectId, UserId};
use platform::{Database, DbErrorKind, Statement};
use store::control::audit;
use store::control::guard::Violation;
use store::control::{guard, idempotency, projects, users};

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

/// What no constraint of a table can say: rows that stay, and two columns that must agree.
#[tokio::test]
async fn every_trigger_refuses() {
    let database = seeded();
    let t = "2025-11-21T09:00:00.000Z";
    // A provider of its own, so that nothing else is in the way.
    let credential = |id: &str, ciphertext: &str, kek_id: &str| {
        format!(
            "INSERT INTO provider_credentials (credential_id, org_id, instance_id, provider, host, ciphertext, kek_id, set_at, set_by, created_at) \
             VALUES ('{id}', '{ACME}', 'production', '{id}', 'h', '{ciphertext}', '{kek_id}', '{t}', 's', '{t}')"
        )
    };
    let hash = "0".repeat(64);
    let entry = entry("platform", 1, &hash, "a");
    database.batch(audit::append(&entry)).await.unwrap();
    for sql in [
        credential("c", "v1.k1.a.b", "k1"),
        format!(
            "INSERT INTO audit_checkpoints (org_id, seq, hash, mac, pepper_id, created_at) VALUES ('platform', 1, '{hash}', '{hash}', 'p1', '{t}')"
        ),
    ] {
        database.query(Statement::new(sql)).await.unwrap();
    }
    let (log, checkpoints, key) = (
        "audit_log_is_append_only",
        "audit_checkpoints_are_append_only",
        "provider_credentials_name_their_key",
    );
    for (sql, name) in [
        ("UPDATE audit_log SET action = 'x'".to_owned(), log),
        ("DELETE FROM audit_log".to_owned(), log),
        (
            "UPDATE audit_checkpoints SET pepper_id = 'p0'".to_owned(),
            checkpoints,
        ),
        ("DELETE FROM audit_checkpoints".to_owned(), checkpoints),
        (credential("d", "v1.k1.a.b", "k2"), key),
        (credential("d", "v1.k12.a.b", "k1"), key),
        (credential("d", "v1.k1", "k1"), key),
        (
            "UPDATE provider_credentials SET kek_id = 'k2'".to_owned(),
            key,
        ),
        (
            "UPDATE provider_credentials SET ciphertext = 'v1.k2.a.b'".to_owned(),
            key,
        ),
    ] {
        let (_, cause) = refused(&database, &sql).await;
        assert!(cause.contains(name), "{sql}: {cause}");
    }
    // Both together are how a key moves.
    let moved = "UPDATE provider_credentials SET ciphertext = 'v1.k2.a.b', kek_id = 'k2'";
    database.query(Statement::new(moved)).await.unwrap();
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

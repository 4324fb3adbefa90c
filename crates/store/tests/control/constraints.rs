//! Triggers refuse, and what the store makes of a refusal. The constraints themselves: `schema`.

use crate::support::*;
use api_types::{OrgId, ProjectId, UserId};
use platform::{Database, DbErrorKind, Statement};
use store::control::audit;
use store::control::guard::Violation;
use store::control::{guard, idempotency, projects, users};

/// Deleted rows and other organizations take no name away.
#[tokio::test]
async fn what_only_looks_like_a_contradiction_is_accepted() {
    let database = seeded();
    let t = "'2025-11-21T09:00:00.000Z'";
    for sql in [
        format!(
            "INSERT INTO users (user_id, email, role, org_id, created_at, updated_at) VALUES ('u', 'user@acme.example', 'user', '{FOREIGN_LTD}', {t}, {t})"
        ),
        format!("UPDATE users SET status = 'deleted' WHERE user_id = '{USER}'"),
        format!(
            "INSERT INTO users (user_id, email, role, org_id, created_at, updated_at) VALUES ('v', 'user@acme.example', 'user', '{ACME}', {t}, {t})"
        ),
    ] {
        database.query(Statement::new(sql)).await.unwrap();
    }
    // What is referred to stays.
    let sql = format!("DELETE FROM organizations WHERE org_id = '{ACME}'");
    let (kind, cause) = refused(&database, &sql).await;
    assert_eq!(kind, DbErrorKind::Constraint, "{cause}");
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

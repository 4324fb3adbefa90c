//! What is written: guards fail closed, quotas hold, chains have no gap, repeating changes nothing.

use crate::support::*;
use api_types::{OrgId, ProjectId, Timestamp, UserId};
use platform::{Database, DbErrorKind, Statement};
use store::control::audit::{self, ChainOf, Head};
use store::control::guard::Quota;
use store::control::resolve::{KeyRow, key};
use store::control::{access, api_keys, credentials, idempotency, instances};

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
        .query(api_keys::count_old_peppers("p2", NOW))
        .await
        .unwrap();
    assert_eq!(old.first().unwrap().int("n"), Some(6));
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

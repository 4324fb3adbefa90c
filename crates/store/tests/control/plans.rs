//! Growing tables are never scanned.

use crate::support::*;
use api_types::{ProjectId, UserId};
use platform::fakes::SqliteDatabase;
use platform::{Database, Statement};
use store::control::audit::{self, ChainOf};
use store::control::guard::Quota;
use store::control::resolve::{ChosenBy, chosen, key, project};
use store::control::{access, api_keys, idempotency, instances, users};

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
        project(&ProjectId::parse(CHAT).unwrap()),
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
        api_keys::bounds(&user),
        api_keys::record_use(&user, NOW),
        api_keys::rehash(&user, "a", "b", "p"),
        api_keys::count_old_peppers("p1", NOW),
        Quota::UserKeys.count(USER, "t"),
        Quota::ProjectKeys.count(CHAT, "t"),
        Quota::UserKeys.guard(USER, "t"),
        users::by_id(&UserId::parse(USER).unwrap()),
        users::of_key(&user),
        instances::for_caller(&user, &production),
        instances::effective(&production, None),
        access::standing(&UserId::parse(USER).unwrap(), None, &user, &[]),
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
        let batch = vec![key(&user, Some(&production)), chosen(&user, by)];
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

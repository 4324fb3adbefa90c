//! Organizations, users, access and projects: what is written, and what refuses it.

use crate::support::*;
use platform::fakes::SqliteDatabase;
use platform::{Database, DbErrorKind, Statement};
use store::control::guard::Quota;
use store::control::organizations::{self, Content, OrganizationRow};
use store::control::projects;
use store::control::users;
use store::control::{access, api_keys};

async fn run(database: &SqliteDatabase, sql: &str) {
    database
        .query(Statement::new(sql.to_owned()))
        .await
        .unwrap();
}

async fn passes(database: &SqliteDatabase, guard: Statement) -> bool {
    match database.batch(vec![guard]).await {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.kind, DbErrorKind::Guard, "{error:?}");
            false
        }
    }
}

#[tokio::test]
async fn guards_over_missing_and_changed_rows_refuse() {
    let database = seeded();
    run(
        &database,
        &format!("UPDATE organizations SET deleted_at = '2025-11-21T09:00:00.000Z' WHERE org_id = '{FOREIGN_LTD}'"),
    )
    .await;
    run(
        &database,
        &format!("UPDATE users SET status = 'deleted' WHERE user_id = '{FOREIGN_USER}'"),
    )
    .await;
    run(
        &database,
        &format!("UPDATE projects SET status = 'deleted' WHERE project_id = '{FORGE}'"),
    )
    .await;
    let nobody = user(NOBODY);
    for guard in [
        organizations::guard_version(&org(ACME), 2),
        organizations::guard_version(&org(NOBODY), 1),
        organizations::guard_version(&org(FOREIGN_LTD), 1),
        organizations::guard_empty(&org(ACME)),
        users::guard_version(&user(USER), 2),
        users::guard_version(&nobody, 1),
        users::guard_version(&user(FOREIGN_USER), 1),
        users::guard_administered_without(&nobody),
        users::guard_administered_without(&user(ADMIN_USER)),
        users::guard_administered_without(&user(ROOT_USER)),
        projects::guard_version(&project(CHAT), 2),
        projects::guard_version(&project(FORGE), 1),
        projects::guard_version(&project(NOBODY), 1),
        access::guard_each_in_organization(&user(USER), &instances(&["production", "foreign"])),
        access::guard_each_in_organization(&user(USER), &instances(&["nowhere"])),
        access::guard_each_in_organization(&nobody, &instances(&["production"])),
        access::guard_each_in_organization(&user(FOREIGN_USER), &instances(&["foreign"])),
    ] {
        let sql = guard.sql.clone();
        assert!(!passes(&database, guard).await, "{sql}");
    }
    for guard in [
        organizations::guard_version(&org(ACME), 1),
        organizations::guard_empty(&org(NOBODY)),
        users::guard_version(&user(USER), 1),
        users::guard_administered_without(&user(USER)),
        projects::guard_version(&project(CHAT), 1),
        access::guard_each_in_organization(&user(USER), &instances(&["production", "development"])),
        access::guard_each_in_organization(&user(USER), &[]),
        access::guard_room_in_each(&instances(&["production", "development"])),
    ] {
        let sql = guard.sql.clone();
        assert!(passes(&database, guard).await, "{sql}");
    }
}

#[tokio::test]
async fn the_last_active_administrator_is_known() {
    let database = seeded();
    let told = async |id: &str| {
        let told = rows(&database, users::administered_without(&user(id))).await;
        let told = told.first().is_some_and(|row| row.flag("administered"));
        let guard = users::guard_administered_without(&user(id));
        assert_eq!(passes(&database, guard).await, told, "{id}");
        told
    };
    assert!(!told(ADMIN_USER).await);
    assert!(!told(ROOT_USER).await);
    assert!(told(USER).await);
    // A disabled colleague does not count, and a disabled administrator is nobody's last.
    run(
        &database,
        &format!("UPDATE users SET role = 'admin', status = 'disabled' WHERE user_id = '{USER}'"),
    )
    .await;
    assert!(!told(ADMIN_USER).await);
    assert!(told(USER).await);
    run(
        &database,
        &format!("UPDATE users SET status = 'active' WHERE user_id = '{USER}'"),
    )
    .await;
    assert!(told(ADMIN_USER).await);
    run(
        &database,
        &format!("UPDATE users SET status = 'deleted' WHERE user_id = '{USER}'"),
    )
    .await;
    assert!(!told(ADMIN_USER).await);
    // An administrator of another organization does not count either; a suspended organization needs none.
    run(
        &database,
        &format!("UPDATE organizations SET status = 'suspended' WHERE org_id = '{ACME}'"),
    )
    .await;
    assert!(told(ADMIN_USER).await);
    assert!(!told(ROOT_USER).await);
    run(&database, "INSERT INTO users (user_id, email, role, created_at, updated_at) VALUES ('0198f0a1-0000-7000-8000-0000000000aa', 'root2@platform.example', 'superadmin', '2025-11-21T09:00:00.000Z', '2025-11-21T09:00:00.000Z')").await;
    assert!(told(ROOT_USER).await);
}

#[tokio::test]
async fn a_deleted_organization_is_nowhere_and_its_row_stays() {
    let database = seeded();
    let acme = org(ACME);
    let content = Content::read(&rows(&database, organizations::content(&acme)).await).unwrap();
    assert_eq!((content.instances, content.users), (2, 2));
    run(&database, "UPDATE instances SET status = 'deleted'").await;
    assert!(!passes(&database, organizations::guard_empty(&acme)).await);
    run(
        &database,
        &format!("UPDATE users SET status = 'deleted' WHERE org_id = '{ACME}'"),
    )
    .await;
    let batch = vec![
        organizations::guard_version(&acme, 1),
        organizations::guard_empty(&acme),
        organizations::delete(&acme, NOW),
    ];
    database.batch(batch).await.unwrap();
    for statement in [
        organizations::by_id(&acme),
        organizations::named_or_own(Some(&acme), &key(ROOT_KEY)),
        organizations::named_or_own(None, &key(ADMIN_KEY)),
    ] {
        assert_eq!(
            OrganizationRow::read(&rows(&database, statement).await).unwrap(),
            None
        );
    }
    let list = organizations::list(&key(ROOT_KEY), &organizations::ListFilter::default(), 10);
    assert_eq!(
        OrganizationRow::read_all(&rows(&database, list).await)
            .unwrap()
            .len(),
        1
    );
    let left = row(
        &database,
        &format!("SELECT status, version FROM organizations WHERE org_id = '{ACME}'"),
    )
    .await;
    assert_eq!(
        (left.text("status"), left.int("version")),
        (Some("suspended"), Some(2))
    );
    let counted = rows(&database, Quota::Organizations.count("", "")).await;
    assert_eq!(counted.first().unwrap().int("n"), Some(1));
}

#[tokio::test]
async fn a_standing_tells_wanted_granted_foreign_and_out_of_reach() {
    let database = seeded();
    let told = async |id: &str, caller: &str, wanted: &[&str]| {
        let statement = access::standing(&user(id), None, &key(caller), &instances(wanted));
        let standing = access::Standing::read_all(&rows(&database, statement).await).unwrap();
        standing
            .iter()
            .map(|x| {
                (
                    x.instance_id.to_string(),
                    x.wanted,
                    x.granted,
                    x.inside,
                    x.reached,
                    x.users,
                )
            })
            .collect::<Vec<_>>()
    };
    let line = |id: &str, wanted, granted, inside, reached, users| {
        (id.to_owned(), wanted, granted, inside, reached, users)
    };
    assert_eq!(
        told(USER, ADMIN_KEY, &["production", "foreign", "nowhere"]).await,
        [
            line("development", false, true, true, true, 0),
            line("foreign", true, false, false, true, 0),
            line("nowhere", true, false, false, true, 0),
            line("production", true, false, true, true, 0),
        ]
    );
    // A user that does not exist yet: the organization is the caller's.
    assert_eq!(
        told(NOBODY, ADMIN_KEY, &["development", "foreign"]).await,
        [
            line("development", true, false, true, true, 1),
            line("foreign", true, false, false, true, 0),
        ]
    );
    // A superadmin has none.
    assert_eq!(
        told(ROOT_USER, ROOT_KEY, &["production"]).await,
        [line("production", true, false, false, true, 0)]
    );
    run(
        &database,
        "UPDATE api_keys SET instance_ids = '[\"development\"]' WHERE key_id = '4fGh7kQ2mZ0a'",
    )
    .await;
    assert_eq!(
        told(USER, ADMIN_KEY, &["production"]).await,
        [
            line("development", false, true, true, true, 0),
            line("production", true, false, true, false, 0),
        ]
    );
}

#[tokio::test]
async fn grants_are_replaced_as_one_set_and_repeating_changes_nothing() {
    let database = seeded();
    let both = instances(&["development", "production"]);
    let grant = || access::grant_each(&user(USER), &both, "key:x", NOW);
    assert_eq!(rows(&database, grant()).await.changes, 1);
    assert_eq!(rows(&database, grant()).await.changes, 0);
    let kept = row(
        &database,
        "SELECT granted_by FROM user_instance_access WHERE instance_id = 'development'",
    )
    .await;
    assert_eq!(kept.text("granted_by"), Some("seed"));
    let revoke = || access::revoke_each(&user(USER), &instances(&["development", "nowhere"]));
    assert_eq!(rows(&database, revoke()).await.changes, 1);
    assert_eq!(rows(&database, revoke()).await.changes, 0);
    assert_eq!(
        rows(&database, access::revoke(&user(USER), &both[1]))
            .await
            .changes,
        1
    );
    assert_eq!(
        rows(&database, access::revoke_all(&user(FOREIGN_USER)))
            .await
            .changes,
        1
    );
}

#[tokio::test]
async fn an_instance_with_five_hundred_users_has_no_room_for_one_more() {
    let database = seeded();
    let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 499) \
        INSERT INTO users (user_id, email, role, org_id, created_at, updated_at) \
        SELECT printf('0198f0a1-0000-7000-8000-1%011d', i), printf('u%d@acme.example', i), 'user', '0198f0a0-0000-7000-8000-000000000001', '2025-11-21T09:00:00.000Z', '2025-11-21T09:00:00.000Z' FROM n";
    run(&database, many).await;
    run(&database, "INSERT INTO user_instance_access SELECT user_id, 'production', '2025-11-21T09:00:00.000Z', 's' FROM users WHERE email LIKE 'u%@acme.example' AND email <> 'user@acme.example'").await;
    let wanted = instances(&["development", "production"]);
    assert!(passes(&database, access::guard_room_in_each(&wanted)).await);
    run(
        &database,
        &format!(
            "INSERT INTO user_instance_access VALUES ('{ADMIN_USER}', 'production', '2025-11-21T09:00:00.000Z', 's')"
        ),
    )
    .await;
    assert!(!passes(&database, access::guard_room_in_each(&wanted)).await);
    assert!(passes(&database, access::guard_room_in_each(&wanted[..1])).await);
    let standing = access::standing(&user(USER), None, &key(ADMIN_KEY), &wanted);
    let standing = access::Standing::read_all(&rows(&database, standing).await).unwrap();
    assert_eq!((standing[0].users, standing[1].users), (0, 500));
}

#[tokio::test]
async fn ending_a_user_or_a_project_ends_its_keys_and_sessions_only() {
    let database = seeded();
    run(&database, "INSERT INTO api_keys (key_id, user_id, kind, parent_key_id, expires_at, key_hash, last4, pepper_id, scopes, created_by, created_at) \
        SELECT 'sess00000001', user_id, 'session', key_id, '2099-01-01T00:00:00.000Z', key_hash, 'x', 'p1', '[]', 's', '2025-11-21T09:00:00.000Z' FROM api_keys WHERE key_id = 'user00000001'").await;
    let ended = rows(
        &database,
        api_keys::revoke_of_user(&user(USER), "key:x", "user deleted", NOW),
    )
    .await;
    assert_eq!(ended.changes, 2);
    let ended = rows(
        &database,
        api_keys::revoke_of_project(&project(CHAT), "key:x", "project deleted", NOW),
    )
    .await;
    assert_eq!(ended.changes, 1);
    let live = row(
        &database,
        "SELECT count(*) AS n FROM api_keys WHERE revoked_at IS NULL",
    )
    .await;
    // root, admin, expired, and the three of the other organization.
    assert_eq!(live.int("n"), Some(6));
}

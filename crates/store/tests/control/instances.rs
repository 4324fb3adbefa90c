//! The life of an instance: edits, pauses, its end, deployments.

use crate::support::*;
use api_types::{OrgId, Timestamp};
use platform::{Database, DbErrorKind, Statement};
use serde_json::json;
use store::control::deployments::{self, Deployment};
use store::control::instances::{self, InstanceRow};
use store::control::lifecycle::{self, Unremoved};

#[tokio::test]
async fn deployments_are_checked_and_one_runs_at_a_time() {
    let database = seeded();
    let t = NOW.to_string();
    let insert = |id: &str, account: &str, status: &str, lease: &str| {
        format!(
            "INSERT INTO deployments (deployment_id, account_id, instance_id, status, actor, source, plan, lease_expires_at, created_at) \
             VALUES ('{id}', '{account}', 'production', '{status}', 'a', 'cli', '{{}}', {lease}, '{t}')"
        )
    };
    let lease = format!("'{}'", NOW.plus_ms(600_000));
    run(&database, &insert("d1", "a", "running", &lease)).await;
    for bad in [
        insert("d2", "a", "running", &lease),
        insert("d2", "b", "running", "NULL"),
        insert("d2", "b", "lost", &lease),
        "UPDATE deployments SET plan = '{'".into(),
        "UPDATE deployments SET journal = '{'".into(),
        "UPDATE deployments SET anchor = '{'".into(),
        "UPDATE deployments SET secrets_mark = '{'".into(),
        "UPDATE deployments SET result = '{'".into(),
    ] {
        let error = database.query(Statement::new(bad.clone())).await;
        assert_eq!(
            error.expect_err(&bad).kind,
            DbErrorKind::Constraint,
            "{bad}"
        );
    }
    run(&database, &insert("d2", "b", "running", &lease)).await;
    run(&database, &insert("d3", "a", "failed", "NULL")).await;
    let production = instance("production");
    let running = async |at: Timestamp| {
        let rows = database.query(deployments::running(&production, at)).await;
        rows.unwrap().first().unwrap().int("n").unwrap()
    };
    assert_eq!(running(NOW).await, 2);
    // A lease that has ended is nobody at work.
    assert_eq!(running(NOW.plus_ms(600_000)).await, 0);
    let page = async |after: Option<(&str, &str)>| {
        let rows = database
            .query(deployments::list(&production, after, 2))
            .await
            .unwrap();
        let lines = Deployment::read_all(&rows).unwrap();
        let ids: Vec<String> = lines.into_iter().map(|line| line.deployment_id).collect();
        ids
    };
    assert_eq!(page(None).await, ["d3", "d2"]);
    assert_eq!(page(Some((&t, "d2"))).await, ["d1"]);
    let plan = database
        .plan(&deployments::list(&production, None, 2).sql)
        .unwrap()
        .join("\n");
    assert!(plan.contains("deployments_by_instance"), "{plan}");
    assert!(!plan.contains("SCAN") && !plan.contains("TEMP"), "{plan}");
}

#[tokio::test]
async fn an_edit_raises_both_versions_and_its_guards_hold() {
    let database = seeded();
    let production = instance("production");
    let edited = instances::Edited {
        name: "New",
        config: r#"{"environment":"x"}"#,
        worker_urls: r#"{"image_gen":"https://a.example.com"}"#,
        self_hosted: true,
    };
    let batch = vec![
        instances::guard_version(&production, 1),
        instances::edit(&production, edited, NOW),
    ];
    database.batch(batch.clone()).await.unwrap();
    let again = database.batch(batch).await.unwrap_err();
    assert_eq!(again.kind, DbErrorKind::Guard);
    let rows = database
        .query(instances::for_caller(&key_id(ADMIN_KEY), &production))
        .await
        .unwrap();
    let row = InstanceRow::read(&rows).unwrap().unwrap();
    assert_eq!((row.version, row.config_version), (2, 2));
    assert_eq!((row.name.as_str(), row.self_hosted), ("New", true));
    assert_eq!(row.config, json!({"environment": "x"}));
    assert_eq!(row.worker_urls["image_gen"], "https://a.example.com");
    assert_eq!(row.updated_at, Some(NOW));
    for guard in [
        instances::guard_version(&instance("nowhere"), 1),
        instances::guard_status(&instance("nowhere"), 1, "active"),
        instances::guard_status(&production, 2, "deleting"),
        instances::guard_status(&production, 1, "active"),
    ] {
        let refused = database.batch(vec![guard]).await.unwrap_err();
        assert_eq!(refused.kind, DbErrorKind::Guard);
    }
}

#[tokio::test]
async fn a_pause_and_its_override_are_kept() {
    let database = seeded();
    let production = instance("production");
    let read = async || {
        let rows = database.query(lifecycle::for_worker(&production)).await;
        InstanceRow::read(&rows.unwrap()).unwrap().unwrap()
    };
    let pause = lifecycle::pause(&production, "cost_guard", NOW);
    database.query(pause).await.unwrap();
    let row = read().await;
    assert_eq!(json!(row.status), "paused");
    assert_eq!(row.paused_reason.as_deref(), Some("cost_guard"));
    assert_eq!((row.paused_at, row.version), (Some(NOW), 2));
    let until = NOW.plus_ms(HOUR);
    for (wanted, kept) in [(Some(until), until), (None, until)] {
        database
            .query(lifecycle::resume(&production, wanted, NOW.plus_ms(1)))
            .await
            .unwrap();
        let row = read().await;
        assert_eq!(json!(row.status), "active");
        assert_eq!((row.paused_reason, row.paused_at), (None, None));
        assert_eq!(row.pause_override_until, Some(kept));
    }
    database
        .query(lifecycle::pause(&production, "x", NOW))
        .await
        .unwrap();
    database
        .query(lifecycle::set_status(&production, "deleting", NOW))
        .await
        .unwrap();
    let row = read().await;
    assert_eq!(
        (json!(row.status), row.paused_reason),
        (json!("deleting"), None)
    );
    assert_eq!(row.version, 6);
}

#[tokio::test]
async fn burying_ends_everything_of_that_instance_and_nothing_else() {
    let database = seeded();
    let development = instance("development");
    let t = NOW.to_string();
    for (n, of) in [(1, "development"), (2, "production")] {
        run(&database, &format!(
            "INSERT INTO provider_credentials (credential_id, org_id, instance_id, provider, host, ciphertext, kek_id, set_at, set_by, created_at) \
             VALUES ('0198f0c0-0000-7000-8000-00000000000{n}', '{ACME}', '{of}', 'ideogram', 'h', 'v1.k1.a.b', 'k1', '{t}', 's', '{t}')"
        )).await;
        run(&database, &format!(
            "INSERT INTO worker_registry (name, instance_id, version, git_sha, url, registered_at, created_at) VALUES ('image-gen', '{of}', '1', 'x', 'u', '{t}', '{t}')"
        )).await;
    }
    add(
        &database,
        &price(1, Some("development"), NOW.plus_ms(-HOUR), None),
    )
    .await;
    add(&database, &price(2, Some("development"), NOW, None)).await;
    add(
        &database,
        &price(3, Some("development"), NOW.plus_ms(HOUR), None),
    )
    .await;
    add(
        &database,
        &price(4, Some("production"), NOW.plus_ms(-HOUR), None),
    )
    .await;
    add(&database, &price(5, None, NOW.plus_ms(-HOUR), None)).await;
    let bury = |version| lifecycle::bury(&development, version, "key:x", NOW);
    // Neither an instance that lives nor another version of it.
    let refused = database.batch(bury(1)).await.unwrap_err();
    assert_eq!(refused.kind, DbErrorKind::Guard);
    let deleting = lifecycle::set_status(&development, "deleting", NOW.plus_ms(-HOUR));
    database.query(deleting).await.unwrap();
    assert_eq!(
        database.batch(bury(1)).await.unwrap_err().kind,
        DbErrorKind::Guard
    );
    database.batch(bury(2)).await.unwrap();
    let row = run(
        &database,
        "SELECT * FROM instances WHERE instance_id = 'development'",
    )
    .await;
    assert_eq!(row.text("status"), Some("deleted"));
    assert_eq!(
        (row.text("config"), row.text("worker_urls")),
        (Some("{}"), Some("{}"))
    );
    assert_eq!(
        (row.int("version"), row.int("config_version")),
        (Some(3), Some(2))
    );
    assert_eq!(row.text("deleted_at"), Some(t.as_str()));
    for gone in [
        "instance_effective WHERE instance_id = 'development'",
        "provider_credentials WHERE instance_id = 'development'",
        "user_instance_access WHERE instance_id = 'development'",
        "projects WHERE instance_id = 'development' AND status = 'active'",
        "worker_registry WHERE instance_id = 'development'",
        "api_keys WHERE key_id = 'proj00000001' AND revoked_at IS NULL",
        "price_overrides WHERE instance_id = 'development' AND (valid_to IS NULL OR valid_from >= valid_to)",
    ] {
        assert_eq!(count(&database, gone).await, 0, "{gone}");
    }
    for kept in [
        "instance_effective WHERE instance_id = 'production'",
        "provider_credentials WHERE instance_id = 'production'",
        "projects WHERE instance_id = 'production' AND status = 'active'",
        "worker_registry WHERE instance_id = 'production'",
        "user_instance_access WHERE instance_id = 'foreign'",
        "api_keys WHERE key_id = 'fproj0000001' AND revoked_at IS NULL",
        "api_keys WHERE key_id = 'user00000001' AND revoked_at IS NULL",
        "price_overrides WHERE instance_id = 'development' AND valid_to = '2025-11-21T10:00:00.000Z'",
        "price_overrides WHERE instance_id = 'production' AND valid_to IS NULL",
        "price_overrides WHERE instance_id IS NULL AND valid_to IS NULL",
    ] {
        assert_eq!(count(&database, kept).await, 1, "{kept}");
    }
    assert_eq!(
        database.batch(bury(3)).await.unwrap_err().kind,
        DbErrorKind::Guard
    );
    for statement in bury(2) {
        for line in database.plan(&statement.sql).unwrap() {
            let growing = ["api_keys", "projects", "price_overrides", "provider_cred"];
            let scan = line.starts_with("SCAN") && growing.iter().any(|name| line.contains(name));
            assert!(!scan, "{line}\n{}", statement.sql);
        }
    }
}

#[tokio::test]
async fn a_tombstone_counts_as_published_only_when_its_copy_is_gone() {
    let database = seeded();
    let development = instance("development");
    run(&database, "UPDATE instances SET published_version = 1, status = 'deleting' WHERE instance_id = 'development'").await;
    database
        .batch(lifecycle::bury(&development, 1, "key:x", NOW))
        .await
        .unwrap();
    let unremoved = async |before: Timestamp| {
        let rows = database.query(lifecycle::unremoved(before, 10)).await;
        Unremoved::read_all(&rows.unwrap()).unwrap()
    };
    // A put that was on its way notes nothing, and is told that the instance is gone.
    let batch = vec![
        instances::mark_published(&development, 9, NOW),
        lifecycle::buried(&development),
    ];
    let results = database.batch(batch).await.unwrap();
    assert_eq!((results[0].changes, results[1].rows.len()), (0, 1));
    let alive = database
        .query(lifecycle::buried(&instance("production")))
        .await;
    assert!(alive.unwrap().rows.is_empty());
    assert!(unremoved(NOW.plus_ms(-1)).await.is_empty());
    let found = unremoved(NOW).await;
    assert_eq!(found.len(), 1);
    // An instance made anew meanwhile is left alone.
    let new = instances::NewInstance {
        instance_id: &development,
        org_id: &org(ACME),
        name: "Again",
        config: "{}",
        status: "active",
        now: NOW,
    };
    let mut batch = vec![instances::create(&new), found[0].mark()];
    let results = database.batch(batch.split_off(0)).await.unwrap();
    assert_eq!(results[1].changes, 0);
    run(
        &database,
        "UPDATE instances SET status = 'deleting' WHERE instance_id = 'development'",
    )
    .await;
    let version = run(
        &database,
        "SELECT version FROM instances WHERE instance_id = 'development'",
    )
    .await;
    let version = version.int("version").unwrap();
    database
        .batch(lifecycle::bury(&development, version, "key:x", NOW))
        .await
        .unwrap();
    let found = unremoved(NOW).await;
    assert_eq!(database.query(found[0].mark()).await.unwrap().changes, 1);
    assert!(unremoved(NOW).await.is_empty());
    let rows = database.query(instances::unpublished(10)).await.unwrap();
    assert_eq!(rows.rows.len(), 2);
    let plan = database.plan(&lifecycle::unremoved(NOW, 1).sql).unwrap();
    assert!(plan.join("").contains("instances_unpublished"), "{plan:?}");
}

#[tokio::test]
async fn scopes_of_budgets_are_known_inside_the_organization_only() {
    let database = seeded();
    let asked: Vec<String> = [
        format!("project:{CHAT}"),
        format!("project:{FORGE}"),
        "project:0198f0a2-0000-7000-8000-000000000003".to_owned(),
        format!("key:{USER_KEY}"),
        format!("key:{PROJECT_KEY}"),
        "key:fore00000001".to_owned(),
        "key:root00000001".to_owned(),
        "key:000000000000".to_owned(),
        "instance".to_owned(),
    ]
    .into();
    let known = async |of: Option<&str>, org_id: Option<&OrgId>| {
        let of = of.map(instance);
        let statement = instances::known_scopes(of.as_ref(), org_id, &key_id(ADMIN_KEY), &asked);
        for line in database.plan(&statement.sql).unwrap() {
            let growing = ["api_keys", "projects", "SCAN k", "SCAN p", "SCAN q"];
            let scan = line.starts_with("SCAN") && growing.iter().any(|name| line.contains(name));
            assert!(!scan, "{line}");
        }
        instances::read_scopes(&database.query(statement).await.unwrap()).unwrap()
    };
    let keys = [format!("key:{USER_KEY}"), format!("key:{PROJECT_KEY}")];
    let mut here = vec![format!("project:{CHAT}")];
    here.extend(keys.clone());
    assert_eq!(known(Some("development"), None).await, here);
    // Of an instance that does not exist yet: the caller's organization, or the named one.
    assert_eq!(known(Some("nowhere"), None).await, keys);
    assert_eq!(
        known(None, Some(&org(FOREIGN_LTD))).await,
        ["key:fore00000001"]
    );
}

//! Organizations: listed, changed by two, suspended, emptied and deleted.

use crate::edits::edit;
use crate::support::*;
use http::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn an_organization_is_shown_and_told_again_only_when_it_changed() {
    let service = Service::new();
    let body = json!({"name": "New Inc.", "billing_email": "b@new.example"});
    let made = service.post(ROOT, "/organization", &body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let path = made.header("location").to_owned();
    let shown = service.get(ROOT, &path).await;
    let mut expected = made.json();
    expected["request_id"] = shown.json()["request_id"].clone();
    assert_eq!(shown.json(), expected);
    assert_eq!(shown.header("etag"), "\"1\"");
    for (tag, status) in [("\"1\"", 304), ("W/\"1\"", 304), ("\"2\"", 200)] {
        let again = service
            .app
            .get(&path)
            .key(ROOT)
            .header("if-none-match", tag);
        assert_eq!(again.send().await.status, status, "{tag}");
    }
    let names = async |key: &str, query: &str| {
        let list = service.get(key, &format!("/organization{query}")).await;
        let items = list.json()["items"].as_array().cloned().unwrap_or_default();
        let name = |item: &Value| item["name"].as_str().unwrap().to_owned();
        items.iter().map(name).collect::<Vec<_>>()
    };
    // Newest first; who is no superadmin sees the own one, whatever is asked.
    assert_eq!(
        names(ROOT, "").await,
        ["New Inc.", "Foreign Ltd.", "Acme Corp."]
    );
    assert_eq!(names(ADMIN, "").await, ["Acme Corp."]);
    assert_eq!(names(USER, "?q=corp").await, ["Acme Corp."]);
    assert_eq!(names(USER, "?q=foreign").await, Vec::<String>::new());
    assert_eq!(names(ROOT, "?q=NEW.example").await, ["New Inc."]);
    assert_eq!(names(ROOT, "?status=suspended").await, Vec::<String>::new());
    let page = service.get(ROOT, "/organization?limit=2").await.json();
    let cursor = page["next_cursor"].as_str().unwrap().to_owned();
    assert_eq!(
        names(ROOT, &format!("?limit=2&cursor={cursor}")).await,
        ["Acme Corp."]
    );
    for (query, code) in [
        (format!("?status=active&cursor={cursor}"), "invalid_cursor"),
        ("?cursor=x".to_owned(), "invalid_cursor"),
        ("?limit=0".to_owned(), "invalid_field"),
        ("?status=gone".to_owned(), "invalid_field"),
        ("?page=2".to_owned(), "unknown_field"),
    ] {
        let answer = service.get(ROOT, &format!("/organization{query}")).await;
        assert_eq!(answer.outcome(), (400, code.into()), "{query}");
    }
    // A cursor of another list is none of this one.
    let other = service.get(ROOT, &format!("/user?cursor={cursor}")).await;
    assert_eq!(other.outcome(), (400, "invalid_cursor".into()));
    service.settle().await;
}

#[tokio::test]
async fn two_editors_meet_and_the_second_merges() {
    let service = Service::new();
    let path = format!("/organization/{ACME}");
    let patch = async |tag: &str, body: Value| {
        edit(
            &service,
            ADMIN,
            Method::PATCH,
            &path,
            Some(tag),
            Some(&body),
        )
        .await
    };
    let first = patch("\"1\"", json!({"name": "Acme Inc."})).await;
    assert_eq!(
        (first.status.as_u16(), first.header("etag")),
        (200, "\"2\"")
    );
    assert_eq!(first.json()["updated_at"], json!(service.deps.now()));
    let late = patch("\"1\"", json!({"billing_email": "pay@acme.example"})).await;
    assert_eq!(late.outcome(), (412, "version_mismatch".into()));
    let details = late.json()["details"].clone();
    assert_eq!(details["current_version"], 2);
    assert_eq!(details["current"]["name"], "Acme Inc.");
    assert_eq!(details["current"]["version"], 2);
    let merged = patch("\"2\"", json!({"billing_email": "pay@acme.example"}))
        .await
        .json();
    assert_eq!(
        (&merged["name"], &merged["version"]),
        (&json!("Acme Inc."), &json!(3))
    );
    // Nothing new: the same version and no entry.
    let same = patch("\"3\"", json!({"name": " Acme Inc. ", "status": "active"})).await;
    assert_eq!((same.status.as_u16(), same.header("etag")), (200, "\"3\""));
    assert_eq!(service.count("audit_log").await, 2);
    let row = service
        .row("SELECT action, actor, before, after, target_type FROM audit_log ORDER BY seq DESC")
        .await;
    assert_eq!(row.text("action"), Some("update_organization"));
    assert_eq!(
        row.text("before"),
        Some(r#"{"billing_email":"billing@acme.example"}"#)
    );
    assert_eq!(
        row.text("after"),
        Some(r#"{"billing_email":"pay@acme.example"}"#)
    );
    assert!(!row.text("actor").unwrap().contains("any_version"));
    assert_eq!(patch("*", json!({"name": "A"})).await.status, 200);
    let row = service
        .row("SELECT actor FROM audit_log ORDER BY seq DESC")
        .await;
    assert!(row.text("actor").unwrap().contains("any_version"));
    service.settle().await;
}

#[tokio::test]
async fn a_suspended_organization_has_only_orphaned_keys() {
    let service = Service::new();
    let path = format!("/organization/{ACME}");
    let suspend = json!({"status": "suspended"});
    let own = edit(
        &service,
        ADMIN,
        Method::PATCH,
        &path,
        Some("\"1\""),
        Some(&suspend),
    )
    .await;
    assert_eq!(own.outcome(), (403, "role_required".into()));
    assert_eq!(own.json()["details"]["role"], "superadmin");
    service.run("INSERT INTO api_keys (key_id, user_id, kind, parent_key_id, expires_at, key_hash, last4, pepper_id, scopes, created_by, created_at) \
        SELECT 'sess00000001', user_id, 'session', key_id, '2099-01-01T00:00:00.000Z', key_hash, 'x', pepper_id, scopes, 's', created_at FROM api_keys WHERE key_id = '4fGh7kQ2mZ0a'").await;
    let done = edit(
        &service,
        ROOT,
        Method::PATCH,
        &path,
        Some("\"1\""),
        Some(&suspend),
    )
    .await;
    assert_eq!(done.json()["status"], "suspended", "{}", done.text());
    for key in [ADMIN, USER, PROJECT] {
        let refused = service.get(key, "/session").await;
        assert_eq!(refused.outcome(), (401, "auth_failed".into()), "{key}");
        assert_eq!(refused.json()["details"]["reason"], "orphaned", "{key}");
        let verdict = service
            .resolve("image-gen", &ask(key, Some("development")))
            .await;
        assert_eq!(verdict.outcome(), (401, "auth_failed".into()), "{key}");
    }
    assert_eq!(service.get(FOREIGN, "/session").await.status, 200);
    let key = service.get(ROOT, "/api-key/4fGh7kQ2mZ0a").await;
    assert_eq!(key.json()["state"], "orphaned");
    let listed = service
        .get(ROOT, "/organization?status=suspended")
        .await
        .json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    let active = json!({"status": "active"});
    let back = edit(
        &service,
        ROOT,
        Method::PATCH,
        &path,
        Some("\"2\""),
        Some(&active),
    )
    .await;
    assert_eq!(back.status, 200);
    assert_eq!(service.get(ADMIN, "/session").await.status, 200);
    service.settle().await;
}

#[tokio::test]
async fn an_organization_is_deleted_when_it_is_empty() {
    let service = Service::new();
    let path = format!("/organization/{FOREIGN_LTD}");
    let delete = async |path: &str, version: &str| {
        edit(&service, ROOT, Method::DELETE, path, Some(version), None).await
    };
    let full = delete(&path, "\"1\"").await;
    assert_eq!(full.outcome(), (409, "not_empty".into()));
    assert_eq!(full.json()["details"], json!({"instances": 1, "users": 2}));
    service
        .run("UPDATE instances SET status = 'deleted' WHERE instance_id = 'foreign'")
        .await;
    let (admin, user) = (
        "/user/0198f0a1-0000-7000-8000-000000000003",
        format!("/user/{FOREIGN_USER}"),
    );
    assert_eq!(delete(&user, "\"1\"").await.status, 204);
    // While it is active it needs an administrator; suspended it can be emptied.
    assert_eq!(
        delete(admin, "\"1\"").await.outcome(),
        (409, "last_admin".into())
    );
    let suspend = json!({"status": "suspended"});
    let suspended = edit(
        &service,
        ROOT,
        Method::PATCH,
        &path,
        Some("\"1\""),
        Some(&suspend),
    )
    .await;
    assert_eq!(suspended.status, 200);
    assert_eq!(delete(admin, "\"1\"").await.status, 204);
    let gone = delete(&path, "\"2\"").await;
    assert_eq!((gone.status.as_u16(), gone.body.len()), (204, 0));
    for answer in [
        service.get(ROOT, &path).await,
        delete(&path, "\"3\"").await,
        edit(
            &service,
            ROOT,
            Method::PATCH,
            &path,
            Some("\"3\""),
            Some(&suspend),
        )
        .await,
        service
            .post(
                ROOT,
                "/user",
                &json!({"email": "n@b", "role": "user", "org_id": FOREIGN_LTD}),
            )
            .await,
        service
            .post(
                ROOT,
                "/instance",
                &json!({"name": "x", "org_id": FOREIGN_LTD}),
            )
            .await,
    ] {
        assert_eq!(answer.outcome(), (404, "not_found".into()));
    }
    let list = service.get(ROOT, "/organization").await.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    // The id of its instance never passes to somebody else: what was made in it is filed under that id.
    let taken = service
        .post(
            ADMIN,
            "/instance",
            &json!({"instance_id": "foreign", "name": "x"}),
        )
        .await;
    assert_eq!(taken.outcome(), (409, "conflict".into()));
    let chain = service
        .count(&format!("audit_log WHERE org_id = '{FOREIGN_LTD}'"))
        .await;
    assert_eq!(chain, 4);
    service.settle().await;
}

#[tokio::test]
async fn racers_do_not_pass_the_limit_of_organizations_together() {
    let service = Service::new();
    service.run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 997) INSERT INTO organizations (org_id, name, billing_email, created_at, updated_at) \
        SELECT printf('0198f0a0-0000-7000-8000-1%011d', i), 'o', 'a@b', '2025-11-21T09:00:00.000Z', '2025-11-21T09:00:00.000Z' FROM n").await;
    service.ports.world.faults.slow("database", 5);
    let body = json!({"name": "Last", "billing_email": "a@b"});
    let posts = (0..3).map(|_| service.post(ROOT, "/organization", &body));
    let answers = futures_util::future::join_all(posts).await;
    let mut statuses: Vec<u16> = answers
        .iter()
        .map(|answer| answer.status.as_u16())
        .collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409]);
    let over = answers.iter().find(|answer| answer.status == 409).unwrap();
    assert_eq!(
        over.json()["details"],
        json!({"limit": 1000, "current": 1000})
    );
    assert_eq!(service.count("organizations").await, 1_000);
    service.settle().await;
}

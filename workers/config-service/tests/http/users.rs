//! Users: listed, changed by two, disabled, deleted; the last administrator.
#![expect(clippy::unwrap_used, reason = "tests")]

use crate::edits::edit;
use crate::support::*;
use http::Method;
use middleware::testing::TestResponse;
use serde_json::{Value, json};

async fn patch(service: &Service, key: &str, user: &str, tag: &str, body: Value) -> TestResponse {
    let path = format!("/user/{user}");
    edit(service, key, Method::PATCH, &path, Some(tag), Some(&body)).await
}

async fn delete(service: &Service, key: &str, user: &str, tag: &str) -> TestResponse {
    let path = format!("/user/{user}");
    edit(service, key, Method::DELETE, &path, Some(tag), None).await
}

/// A user with a key of its own.
async fn newcomer(service: &Service, body: &Value) -> (String, String) {
    let made = service.post(ROOT, "/user", body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let user_id = made.json()["user_id"].as_str().unwrap().to_owned();
    let minted = service
        .post(ROOT, "/api-key", &json!({"user_id": user_id, "name": "k"}))
        .await;
    (
        user_id,
        minted.json()["api_key"].as_str().unwrap().to_owned(),
    )
}

#[tokio::test]
async fn a_user_is_shown_with_what_it_may_do_and_when_it_was_seen() {
    let service = Service::new();
    let made = service
        .post(ADMIN, "/user", &json!({"email": "n@acme.example", "role": "user", "instance_ids": ["production", "development", "production"]}))
        .await;
    assert_eq!(made.status, 201, "{}", made.text());
    let path = made.header("location").to_owned();
    let shown = service.get(ADMIN, &path).await;
    let mut expected = made.json();
    expected["request_id"] = shown.json()["request_id"].clone();
    assert_eq!(shown.json(), expected);
    assert_eq!(expected["instances"], json!(["development", "production"]));
    let made = service
        .post(
            ADMIN,
            "/user",
            &json!({"email": "m@acme.example", "role": "admin"}),
        )
        .await;
    let shown = service.get(ADMIN, made.header("location")).await.json();
    assert_eq!(made.json()["instances"], shown["instances"]);
    assert_eq!(shown["instances"], json!(["development", "production"]));
    // What is used raises no version, so a known version is no reason for silence.
    let seen = async || {
        let request = service.app.get(&format!("/user/{USER_USER}")).key(ADMIN);
        let answer = request.header("if-none-match", "\"1\"").send().await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("etag")),
            (200, "\"1\"")
        );
        answer.json()["last_seen_at"].clone()
    };
    assert_eq!(seen().await, Value::Null);
    service.get(USER, "/session").await;
    service.settle().await;
    assert_eq!(seen().await, json!(service.deps.now()));
    service.settle().await;
}

#[tokio::test]
async fn lists_of_users_are_those_whom_the_caller_administers() {
    let service = Service::new();
    for n in 0..3 {
        // Ids are in the order of time to the millisecond.
        service.ports.world.clock.advance(1);
        service
            .post(
                ADMIN,
                "/user",
                &json!({"email": format!("n{n}@acme.example"), "role": "user"}),
            )
            .await;
    }
    patch(
        &service,
        ADMIN,
        USER_USER,
        "\"1\"",
        json!({"status": "disabled"}),
    )
    .await;
    let list = async |key: &str, query: &str| {
        let list = service.get(key, &format!("/user{query}")).await;
        assert_eq!(list.status, 200, "{}", list.text());
        let items = list.json()["items"].as_array().cloned().unwrap_or_default();
        let email = |item: &Value| item["email"].as_str().unwrap().to_owned();
        (items.iter().map(email).collect::<Vec<_>>(), list.json())
    };
    let (emails, body) = list(ADMIN, "").await;
    assert_eq!(
        emails,
        [
            "n2@acme.example",
            "n1@acme.example",
            "n0@acme.example",
            "user@acme.example",
            "admin@acme.example"
        ]
    );
    let user = &body["items"][3];
    assert_eq!(
        (&user["keys"], &user["instances"], &user["status"]),
        (&json!(1), &json!(["development"]), &json!("disabled"))
    );
    // The revoked and the expired key of the seed do not count.
    assert_eq!(body["items"][4]["keys"], 1);
    assert_eq!(
        list(ADMIN, "?status=disabled").await.0,
        ["user@acme.example"]
    );
    assert_eq!(list(ADMIN, "?role=admin").await.0, ["admin@acme.example"]);
    assert_eq!(list(ADMIN, "?q=N1").await.0, ["n1@acme.example"]);
    assert!(
        list(ADMIN, &format!("?org_id={FOREIGN_LTD}"))
            .await
            .0
            .is_empty()
    );
    assert_eq!(
        list(ROOT, &format!("?org_id={FOREIGN_LTD}")).await.0.len(),
        2
    );
    assert_eq!(
        list(ROOT, "?role=superadmin").await.0,
        ["root@platform.example"]
    );
    assert_eq!(list(ROOT, "").await.0.len(), 8);
    let mut cursor = String::new();
    let mut pages = Vec::new();
    loop {
        let (emails, body) = list(ADMIN, &format!("?limit=2{cursor}")).await;
        pages.extend(emails);
        let Some(next) = body["next_cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(pages, emails);
    let other = service
        .get(ADMIN, &format!("/user?role=user{cursor}"))
        .await;
    assert_eq!(other.outcome(), (400, "invalid_cursor".into()));
    for query in ["?org_id=x", "?role=owner", "?status=deleted"] {
        let answer = service.get(ADMIN, &format!("/user{query}")).await;
        assert_eq!(answer.outcome(), (400, "invalid_field".into()), "{query}");
        // Told only to who may ask.
        assert_eq!(
            service.get(PROJECT, &format!("/user{query}")).await.status,
            403
        );
    }
    service.settle().await;
}

#[tokio::test]
async fn two_editors_of_a_user_meet_and_the_second_merges() {
    let service = Service::new();
    let first = patch(&service, ADMIN, USER_USER, "\"1\"", json!({"name": "Una"})).await;
    assert_eq!(
        (first.status.as_u16(), first.header("etag")),
        (200, "\"2\"")
    );
    let late = patch(&service, ROOT, USER_USER, "\"1\"", json!({"role": "admin"})).await;
    assert_eq!(late.outcome(), (412, "version_mismatch".into()));
    assert_eq!(late.json()["details"]["current_version"], 2);
    assert_eq!(late.json()["details"]["current"]["name"], "Una");
    let merged = patch(&service, ROOT, USER_USER, "\"2\"", json!({"role": "admin"})).await;
    let shown = service.get(ADMIN, &format!("/user/{USER_USER}")).await;
    let mut expected = merged.json();
    expected["request_id"] = shown.json()["request_id"].clone();
    assert_eq!(shown.json(), expected);
    assert_eq!(
        (&expected["name"], &expected["role"]),
        (&json!("Una"), &json!("admin"))
    );
    // Another role, other instances and permissions: in the answer already.
    assert_eq!(expected["instances"], json!(["development", "production"]));
    assert!(
        expected["permissions"]
            .as_array()
            .unwrap()
            .contains(&json!("config:write"))
    );
    let same = patch(
        &service,
        ROOT,
        USER_USER,
        "\"3\"",
        json!({"role": "admin", "name": "Una"}),
    )
    .await;
    assert_eq!((same.status.as_u16(), same.header("etag")), (200, "\"3\""));
    // Null takes the name away.
    let nameless = patch(&service, ROOT, USER_USER, "\"3\"", json!({"name": null})).await;
    assert_eq!(nameless.json()["name"], "");
    let same = patch(&service, ROOT, USER_USER, "\"4\"", json!({"name": null})).await;
    assert_eq!(same.header("etag"), "\"4\"");
    assert_eq!(service.count("audit_log").await, 3);
    let row = service
        .row("SELECT before, after FROM audit_log WHERE seq = 2")
        .await;
    assert_eq!(
        (row.text("before"), row.text("after")),
        (Some(r#"{"role":"user"}"#), Some(r#"{"role":"admin"}"#))
    );
    service.settle().await;
}

#[tokio::test]
async fn nobody_changes_his_own_role_or_ends_himself() {
    let service = Service::new();
    for body in [json!({"role": "user"}), json!({"status": "disabled"})] {
        let own = patch(&service, ADMIN, ADMIN_USER, "\"1\"", body).await;
        assert_eq!(own.outcome(), (409, "conflict".into()));
    }
    assert_eq!(
        delete(&service, ADMIN, ADMIN_USER, "\"1\"").await.outcome(),
        (409, "conflict".into())
    );
    assert_eq!(
        delete(&service, ROOT, ROOT_USER, "\"1\"").await.outcome(),
        (409, "conflict".into())
    );
    let renamed = patch(
        &service,
        ADMIN,
        ADMIN_USER,
        "\"1\"",
        json!({"name": "Ada", "role": "admin"}),
    )
    .await;
    assert_eq!(renamed.json()["name"], "Ada");
    // Between organization and platform nobody moves, and only a superadmin may think of it.
    let up = json!({"role": "superadmin"});
    assert_eq!(
        patch(&service, ADMIN, USER_USER, "\"1\"", up.clone())
            .await
            .outcome(),
        (403, "role_required".into())
    );
    assert_eq!(
        patch(&service, ROOT, USER_USER, "\"1\"", up)
            .await
            .outcome(),
        (409, "conflict".into())
    );
    let (second, _) = newcomer(
        &service,
        &json!({"email": "r2@platform.example", "role": "superadmin"}),
    )
    .await;
    let down = patch(&service, ROOT, &second, "\"1\"", json!({"role": "admin"})).await;
    assert_eq!(down.outcome(), (409, "conflict".into()));
    service.settle().await;
}

#[tokio::test]
async fn the_last_active_administrator_stays() {
    let service = Service::new();
    for body in [json!({"role": "user"}), json!({"status": "disabled"})] {
        let refused = patch(&service, ROOT, ADMIN_USER, "\"1\"", body).await;
        assert_eq!(refused.outcome(), (409, "last_admin".into()));
    }
    assert_eq!(
        delete(&service, ROOT, ADMIN_USER, "\"1\"").await.outcome(),
        (409, "last_admin".into())
    );
    // A disabled second one does not count; an active one does.
    patch(
        &service,
        ROOT,
        USER_USER,
        "\"1\"",
        json!({"role": "admin", "status": "disabled"}),
    )
    .await;
    assert_eq!(
        delete(&service, ROOT, ADMIN_USER, "\"1\"").await.outcome(),
        (409, "last_admin".into())
    );
    patch(
        &service,
        ROOT,
        USER_USER,
        "\"2\"",
        json!({"status": "active"}),
    )
    .await;
    assert_eq!(
        delete(&service, ROOT, ADMIN_USER, "\"1\"").await.status,
        204
    );
    assert_eq!(
        delete(&service, ROOT, USER_USER, "\"3\"").await.outcome(),
        (409, "last_admin".into())
    );
    assert_eq!(service.get(USER, "/session").await.json()["role"], "admin");
    service.settle().await;
}

#[tokio::test]
async fn two_administrators_who_remove_each_other_leave_one() {
    for (body, first_key, first) in [
        (
            json!({"email": "b@acme.example", "role": "admin", "org_id": ACME}),
            ADMIN,
            ADMIN_USER,
        ),
        (
            json!({"email": "b@platform.example", "role": "superadmin"}),
            ROOT,
            ROOT_USER,
        ),
    ] {
        let service = Service::new();
        let (second, second_key) = newcomer(&service, &body).await;
        service.get(&second_key, "/session").await;
        service.settle().await;
        service.ports.world.faults.slow("database", 5);
        let (one, other) = futures_util::join!(
            delete(&service, first_key, &second, "\"1\""),
            delete(&service, &second_key, first, "\"1\""),
        );
        let mut statuses = [one.status.as_u16(), other.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [204, 401], "{} {}", one.text(), other.text());
        let role = body["role"].as_str().unwrap();
        let org = body["org_id"].as_str().unwrap_or_default();
        let left = format!(
            "users WHERE role = '{role}' AND coalesce(org_id, '') = '{org}' AND status = 'active'"
        );
        assert_eq!(service.count(&left).await, 1);
        service.settle().await;
    }
}

#[tokio::test]
async fn a_disabled_user_has_only_orphaned_keys() {
    let service = Service::new();
    let done = patch(
        &service,
        ADMIN,
        USER_USER,
        "\"1\"",
        json!({"status": "disabled"}),
    )
    .await;
    assert_eq!(done.json()["status"], "disabled");
    let refused = service.get(USER, "/session").await;
    assert_eq!(refused.outcome(), (401, "auth_failed".into()));
    assert_eq!(refused.json()["details"]["reason"], "orphaned");
    let verdict = service.resolve("image-gen", &ask(USER, None)).await;
    assert_eq!(verdict.outcome(), (401, "auth_failed".into()));
    let minted = service
        .post(
            ADMIN,
            "/api-key",
            &json!({"user_id": USER_USER, "name": "k"}),
        )
        .await;
    assert_eq!(minted.outcome(), (409, "conflict".into()));
    patch(
        &service,
        ADMIN,
        USER_USER,
        "\"2\"",
        json!({"status": "active"}),
    )
    .await;
    assert_eq!(service.get(USER, "/session").await.status, 200);
    service.settle().await;
}

#[tokio::test]
async fn deleting_a_user_ends_keys_sessions_and_access_and_frees_the_email() {
    let service = Service::new();
    service.run("INSERT INTO api_keys (key_id, user_id, kind, parent_key_id, expires_at, key_hash, last4, pepper_id, scopes, created_by, created_at) \
        SELECT 'sess00000001', user_id, 'session', key_id, '2099-01-01T00:00:00.000Z', key_hash, 'x', pepper_id, scopes, 's', created_at FROM api_keys WHERE key_id = 'user00000001'").await;
    let gone = delete(&service, ADMIN, USER_USER, "\"1\"").await;
    assert_eq!((gone.status.as_u16(), gone.body.len()), (204, 0));
    let of_user = format!(
        "api_keys WHERE user_id = '{USER_USER}' AND revoked_at = '{}' AND revoked_by = 'key:4fGh7kQ2mZ0a' AND revoke_reason = 'user deleted'",
        service.deps.now()
    );
    assert_eq!(service.count(&of_user).await, 2);
    assert_eq!(
        service
            .count(&format!(
                "user_instance_access WHERE user_id = '{USER_USER}'"
            ))
            .await,
        0
    );
    let refused = service.get(USER, "/session").await;
    assert_eq!(refused.json()["details"]["reason"], "revoked");
    let instance = service.get(ADMIN, "/instance/development").await.json();
    assert_eq!(instance["authorized_users"], json!([]));
    for answer in [
        service.get(ADMIN, &format!("/user/{USER_USER}")).await,
        delete(&service, ADMIN, USER_USER, "\"2\"").await,
        patch(
            &service,
            ADMIN,
            USER_USER,
            "\"2\"",
            json!({"status": "active"}),
        )
        .await,
        service
            .put(
                ADMIN,
                &format!("/user/{USER_USER}/instance/production"),
                &json!({}),
            )
            .await,
        service
            .post(
                ADMIN,
                "/api-key",
                &json!({"user_id": USER_USER, "name": "k"}),
            )
            .await,
    ] {
        assert_eq!(answer.outcome(), (404, "not_found".into()));
    }
    let row = service
        .row("SELECT action, before, after FROM audit_log")
        .await;
    assert_eq!(row.text("action"), Some("delete_user"));
    let before: Value = serde_json::from_str(row.text("before").unwrap()).unwrap();
    assert_eq!(before["instance_ids"], json!(["development"]));
    let again = service
        .post(
            ADMIN,
            "/user",
            &json!({"email": "USER@acme.example", "role": "user"}),
        )
        .await;
    assert_eq!(again.status, 201, "{}", again.text());
    assert_eq!(again.json()["instances"], json!([]));
    service.settle().await;
}

#[tokio::test]
async fn a_new_user_gets_instances_all_or_none() {
    let service = Service::new();
    let post = async |key: &str, ids: Value| {
        let body = json!({"email": "n@acme.example", "role": "user", "instance_ids": ids});
        service.post(key, "/user", &body).await
    };
    assert_eq!(
        post(ADMIN, json!(["production", "foreign"]))
            .await
            .outcome(),
        (404, "not_found".into())
    );
    assert_eq!(
        post(ADMIN, json!(["production", "nowhere"]))
            .await
            .outcome(),
        (404, "not_found".into())
    );
    let many: Vec<String> = (0..101).map(|n| format!("i{n}")).collect();
    assert_eq!(
        post(ADMIN, json!(many)).await.outcome(),
        (400, "invalid_field".into())
    );
    let narrow = service
        .post(
            ADMIN,
            "/api-key",
            &json!({"name": "narrow", "instance_ids": ["development"]}),
        )
        .await;
    let narrow = narrow.json()["api_key"].as_str().unwrap().to_owned();
    assert_eq!(
        post(&narrow, json!(["production"])).await.outcome(),
        (403, "forbidden".into())
    );
    service.run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) INSERT INTO users (user_id, email, role, org_id, created_at, updated_at) \
        SELECT printf('0198f0a1-0000-7000-8000-1%011d', i), printf('u%d@acme.example', i), 'user', '0198f0a0-0000-7000-8000-000000000001', '2025-11-21T09:00:00.000Z', '2025-11-21T09:00:00.000Z' FROM n").await;
    service.run("INSERT INTO user_instance_access SELECT user_id, 'production', created_at, 's' FROM users WHERE user_id LIKE '0198f0a1-0000-7000-8000-1%'").await;
    let full = post(ADMIN, json!(["development", "production"])).await;
    assert_eq!(full.outcome(), (409, "quota_reached".into()));
    assert_eq!(
        full.json()["details"],
        json!({"limit": 500, "current": 500, "instance_id": "production"})
    );
    assert_eq!(
        service.count("users WHERE email = 'n@acme.example'").await,
        0
    );
    assert_eq!(post(&narrow, json!(["development"])).await.status, 201);
    service.settle().await;
}

#[tokio::test]
async fn racers_do_not_pass_the_limit_of_users_together() {
    let service = Service::new();
    service.run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 997) INSERT INTO users (user_id, email, role, org_id, created_at, updated_at) \
        SELECT printf('0198f0a1-0000-7000-8000-1%011d', i), printf('u%d@acme.example', i), 'user', '0198f0a0-0000-7000-8000-000000000001', '2025-11-21T09:00:00.000Z', '2025-11-21T09:00:00.000Z' FROM n").await;
    service.ports.world.faults.slow("database", 5);
    let bodies: Vec<Value> = (0..3)
        .map(|n| json!({"email": format!("r{n}@acme.example"), "role": "user"}))
        .collect();
    let posts = bodies.iter().map(|body| service.post(ADMIN, "/user", body));
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
    // Deleted ones make room.
    service.ports.world.faults.heal_all();
    assert_eq!(
        delete(&service, ADMIN, USER_USER, "\"1\"").await.status,
        204
    );
    let next = json!({"email": "next@acme.example", "role": "user"});
    assert_eq!(service.post(ADMIN, "/user", &next).await.status, 201);
    service.settle().await;
}

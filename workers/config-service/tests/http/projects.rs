//! Projects: listed, changed by two, deleted; what keys of projects see.
#![expect(clippy::unwrap_used, reason = "tests")]

use crate::edits::edit;
use crate::support::*;
use http::Method;
use middleware::testing::TestResponse;
use serde_json::{Value, json};

async fn patch(service: &Service, key: &str, id: &str, tag: &str, body: Value) -> TestResponse {
    let path = format!("/project/{id}");
    edit(service, key, Method::PATCH, &path, Some(tag), Some(&body)).await
}

async fn names(service: &Service, key: &str, query: &str) -> Vec<String> {
    let list = service.get(key, &format!("/project{query}")).await;
    assert_eq!(list.status, 200, "{}", list.text());
    let items = list.json()["items"].as_array().cloned().unwrap_or_default();
    let name = |item: &Value| item["name"].as_str().unwrap().to_owned();
    items.iter().map(name).collect()
}

#[tokio::test]
async fn a_project_is_shown_and_told_again_only_when_it_changed() {
    let service = Service::new();
    let body = json!({"instance_id": "development", "name": "Fresh", "settings": {"tone": "dry"}});
    let made = service.post(USER, "/project", &body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(made.json()["created_by"], "key:user00000001");
    let path = made.header("location").to_owned();
    let shown = service.get(USER, &path).await;
    let mut expected = made.json();
    expected["request_id"] = shown.json()["request_id"].clone();
    assert_eq!(shown.json(), expected);
    for (tag, status) in [("\"1\"", 304), ("\"2\"", 200)] {
        let again = service
            .app
            .get(&path)
            .key(USER)
            .header("if-none-match", tag);
        assert_eq!(again.send().await.status, status, "{tag}");
    }
    service.settle().await;
}

#[tokio::test]
async fn lists_of_projects_are_those_whom_the_caller_may_use() {
    let service = Service::new();
    for (n, instance) in ["production", "development", "production"]
        .iter()
        .enumerate()
    {
        let body = json!({"instance_id": instance, "name": format!("n{n}"), "settings": {"large": "x".repeat(9_000)}});
        // Ids are in the order of time to the millisecond.
        service.ports.world.clock.advance(1);
        service.post(ADMIN, "/project", &body).await;
    }
    let all = ["n2", "n1", "n0", "Website Chat", "Content Forge"];
    assert_eq!(names(&service, ADMIN, "").await, all);
    assert_eq!(names(&service, USER, "").await, ["n1", "Website Chat"]);
    assert_eq!(
        names(&service, ROOT, "").await,
        [
            "n2",
            "n1",
            "n0",
            "Foreign Project",
            "Website Chat",
            "Content Forge"
        ]
    );
    assert_eq!(
        names(&service, ADMIN, "?instance_id=production").await,
        ["n2", "n0", "Content Forge"]
    );
    assert!(
        names(&service, USER, "?instance_id=production")
            .await
            .is_empty()
    );
    assert!(
        names(&service, ADMIN, "?instance_id=foreign")
            .await
            .is_empty()
    );
    assert!(
        names(&service, ADMIN, "?instance_id=nowhere")
            .await
            .is_empty()
    );
    assert_eq!(
        names(&service, ROOT, "?instance_id=foreign").await,
        ["Foreign Project"]
    );
    assert_eq!(
        names(&service, ROOT, &format!("?org_id={FOREIGN_LTD}")).await,
        ["Foreign Project"]
    );
    assert!(
        names(&service, ADMIN, &format!("?org_id={FOREIGN_LTD}"))
            .await
            .is_empty()
    );
    assert_eq!(names(&service, ADMIN, "?q=FORGE").await, ["Content Forge"]);
    let page = service.get(ADMIN, "/project?limit=3").await.json();
    // Settings are read one by one.
    assert_eq!(page["items"][0].get("settings"), None);
    let cursor = page["next_cursor"].as_str().unwrap().to_owned();
    assert_eq!(
        names(&service, ADMIN, &format!("?limit=3&cursor={cursor}")).await,
        all[3..]
    );
    let other = service
        .get(ADMIN, &format!("/project?q=x&cursor={cursor}"))
        .await;
    assert_eq!(other.outcome(), (400, "invalid_cursor".into()));
    for query in ["?instance_id=../x", "?org_id=x"] {
        let answer = service.get(ADMIN, &format!("/project{query}")).await;
        assert_eq!(answer.outcome(), (400, "invalid_field".into()), "{query}");
    }
    service.settle().await;
}

#[tokio::test]
async fn two_editors_of_a_project_meet_and_the_second_merges() {
    let service = Service::new();
    let first = patch(
        &service,
        ADMIN,
        CHAT,
        "\"1\"",
        json!({"settings": {"tone": "dry", "size": {"w": 1, "h": 2}}}),
    )
    .await;
    assert_eq!(
        (first.status.as_u16(), first.header("etag")),
        (200, "\"2\"")
    );
    let late = patch(&service, USER, CHAT, "\"1\"", json!({"name": "Chat"})).await;
    assert_eq!(late.outcome(), (412, "version_mismatch".into()));
    assert_eq!(late.json()["details"]["current"]["settings"]["tone"], "dry");
    assert_eq!(late.json()["details"]["current_version"], 2);
    let merged = patch(
        &service,
        USER,
        CHAT,
        "\"2\"",
        json!({"name": "Chat", "settings": {"tone": null, "size": {"h": 3}}}),
    )
    .await;
    assert_eq!(merged.json()["settings"], json!({"size": {"w": 1, "h": 3}}));
    assert_eq!(merged.json()["name"], "Chat");
    let shown = service.get(USER, &format!("/project/{CHAT}")).await.json();
    assert_eq!(
        (&shown["settings"], &shown["version"]),
        (&json!({"size": {"w": 1, "h": 3}}), &json!(3))
    );
    for same in [
        json!({}),
        json!({"name": "Chat"}),
        json!({"settings": {"size": {"w": 1}, "tone": null}}),
    ] {
        let same = patch(&service, USER, CHAT, "\"3\"", same).await;
        assert_eq!((same.status.as_u16(), same.header("etag")), (200, "\"3\""));
    }
    assert_eq!(service.count("audit_log").await, 2);
    let row = service
        .row("SELECT before, after FROM audit_log WHERE seq = 2")
        .await;
    assert_eq!(
        row.text("before"),
        Some(r#"{"name":"Website Chat","settings":{"size":{"h":2},"tone":"dry"}}"#)
    );
    assert_eq!(
        row.text("after"),
        Some(r#"{"name":"Chat","settings":{"size":{"h":3}}}"#)
    );
    let cleared = patch(&service, USER, CHAT, "\"3\"", json!({"settings": null})).await;
    assert_eq!(cleared.json()["settings"], json!({}));
    service.settle().await;
}

#[tokio::test]
async fn settings_are_bounded_as_a_whole_not_only_the_patch() {
    let service = Service::new();
    let half = "x".repeat(9_000);
    let first = patch(
        &service,
        ADMIN,
        CHAT,
        "\"1\"",
        json!({"settings": {"a": half}}),
    )
    .await;
    assert_eq!(first.status, 200, "{}", first.text());
    let second = patch(
        &service,
        ADMIN,
        CHAT,
        "\"2\"",
        json!({"settings": {"b": half}}),
    )
    .await;
    assert_eq!(second.outcome(), (400, "invalid_field".into()));
    assert_eq!(second.json()["details"]["field"], "settings");
    let swapped = patch(
        &service,
        ADMIN,
        CHAT,
        "\"2\"",
        json!({"settings": {"a": null, "b": half}}),
    )
    .await;
    assert_eq!(swapped.status, 200, "{}", swapped.text());
    // The log of a large change names its members instead.
    let exact = "x".repeat(16 * 1024 - r#"{"b":""}"#.len());
    let most = patch(
        &service,
        ADMIN,
        CHAT,
        "\"3\"",
        json!({"settings": {"b": exact}}),
    )
    .await;
    assert_eq!(most.status, 200, "{}", most.text());
    let row = service
        .row("SELECT after FROM audit_log WHERE seq = 3")
        .await;
    assert!(row.text("after").unwrap().contains("_truncated"));
    service.settle().await;
}

#[tokio::test]
async fn a_name_is_free_again_when_its_project_is_deleted() {
    let service = Service::new();
    let body = json!({"instance_id": "development", "name": "Second"});
    let second = service.post(ADMIN, "/project", &body).await.json();
    let second = second["project_id"].as_str().unwrap().to_owned();
    let taken = patch(
        &service,
        ADMIN,
        &second,
        "\"1\"",
        json!({"name": "website chat"}),
    )
    .await;
    assert_eq!(taken.outcome(), (409, "conflict".into()));
    let path = format!("/project/{CHAT}");
    let gone = edit(&service, ADMIN, Method::DELETE, &path, Some("\"1\""), None).await;
    assert_eq!(
        (gone.status.as_u16(), gone.body.len()),
        (204, 0),
        "{}",
        gone.text()
    );
    let renamed = patch(
        &service,
        ADMIN,
        &second,
        "\"1\"",
        json!({"name": "Website Chat"}),
    )
    .await;
    assert_eq!(renamed.status, 200, "{}", renamed.text());
    // Its label is hidden everywhere, its keys are revoked, its row stays.
    assert_eq!(
        names(&service, ADMIN, "?instance_id=development").await,
        ["Website Chat"]
    );
    for answer in [
        service.get(ADMIN, &path).await,
        edit(&service, ADMIN, Method::DELETE, &path, Some("\"2\""), None).await,
        patch(&service, ADMIN, CHAT, "\"2\"", json!({"name": "Back"})).await,
        service
            .post(ADMIN, "/api-key", &json!({"project_id": CHAT, "name": "k"}))
            .await,
    ] {
        assert_eq!(answer.outcome(), (404, "not_found".into()));
    }
    let mut hinted = ask(ADMIN, Some("development"));
    hinted["project_hint"] = json!(CHAT);
    assert_eq!(
        service.resolve("image-gen", &hinted).await.outcome(),
        (404, "not_found".into())
    );
    let refused = service.get(PROJECT, "/session").await;
    assert_eq!(refused.json()["details"]["reason"], "revoked");
    let row = service
        .row("SELECT revoke_reason, revoked_by FROM api_keys WHERE key_id = 'proj00000001'")
        .await;
    assert_eq!(
        (row.text("revoke_reason"), row.text("revoked_by")),
        (Some("project deleted"), Some("key:4fGh7kQ2mZ0a"))
    );
    assert_eq!(
        service
            .count(&format!(
                "projects WHERE project_id = '{CHAT}' AND status = 'deleted'"
            ))
            .await,
        1
    );
    service.settle().await;
}

#[tokio::test]
async fn a_project_key_sees_and_changes_its_own_project_only() {
    let service = Service::new();
    let sibling = service
        .post(
            ADMIN,
            "/project",
            &json!({"instance_id": "development", "name": "Sibling"}),
        )
        .await
        .json();
    let sibling = sibling["project_id"].as_str().unwrap().to_owned();
    let minted = service
        .post(
            ADMIN,
            "/api-key",
            &json!({"project_id": CHAT, "name": "k", "scopes": ["config:read", "images:write"]}),
        )
        .await;
    let key = minted.json()["api_key"].as_str().unwrap().to_owned();
    assert_eq!(names(&service, &key, "").await, ["Website Chat"]);
    assert_eq!(names(&service, &key, "?q=sib").await, Vec::<String>::new());
    assert_eq!(
        service.get(&key, &format!("/project/{CHAT}")).await.status,
        200
    );
    for (id, status) in [
        (sibling.as_str(), 403),
        (FORGE, 403),
        (FOREIGN_PROJECT, 404),
    ] {
        assert_eq!(
            service.get(&key, &format!("/project/{id}")).await.status,
            status,
            "{id}"
        );
        let refused = patch(&service, &key, id, "\"1\"", json!({"name": "Mine"})).await;
        assert_eq!(refused.status, status, "{id}");
    }
    let own = patch(
        &service,
        &key,
        CHAT,
        "\"1\"",
        json!({"settings": {"by": "key"}}),
    )
    .await;
    assert_eq!(own.status, 200, "{}", own.text());
    let path = format!("/project/{CHAT}");
    let refused = edit(&service, &key, Method::DELETE, &path, Some("\"2\""), None).await;
    assert_eq!(refused.outcome(), (403, "forbidden".into()));
    service.settle().await;
}

#[tokio::test]
async fn a_restricted_key_of_an_administrator_reaches_projects_of_its_instances_only() {
    let service = Service::new();
    let body = json!({"name": "narrow", "instance_ids": ["development"]});
    let minted = service.post(ADMIN, "/api-key", &body).await;
    let key = minted.json()["api_key"].as_str().unwrap().to_owned();
    assert_eq!(names(&service, &key, "").await, ["Website Chat"]);
    let (chat, forge) = (format!("/project/{CHAT}"), format!("/project/{FORGE}"));
    assert_eq!(service.get(&key, &chat).await.status, 200);
    for answer in [
        service.get(&key, &forge).await,
        patch(&service, &key, FORGE, "\"1\"", json!({"name": "Mine"})).await,
        edit(&service, &key, Method::DELETE, &forge, Some("\"1\""), None).await,
    ] {
        assert_eq!(answer.outcome(), (403, "forbidden".into()));
        assert!(!answer.text().contains("Content Forge"));
    }
    assert_eq!(
        service.get(ADMIN, &forge).await.json()["name"],
        "Content Forge"
    );
    let gone = edit(&service, &key, Method::DELETE, &chat, Some("\"1\""), None).await;
    assert_eq!(gone.status, 204);
    service.settle().await;
}

#[tokio::test]
async fn racers_do_not_pass_the_limit_of_projects_together() {
    let service = Service::new();
    service.run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 998) INSERT INTO projects (project_id, instance_id, name, created_at, created_by, updated_at) \
        SELECT printf('0198f0a2-0000-7000-8000-1%011d', i), 'production', printf('p%d', i), '2025-11-21T09:00:00.000Z', 's', '2025-11-21T09:00:00.000Z' FROM n").await;
    service.ports.world.faults.slow("database", 5);
    let bodies: Vec<Value> = (0..3)
        .map(|n| json!({"instance_id": "production", "name": format!("r{n}")}))
        .collect();
    let posts = bodies
        .iter()
        .map(|body| service.post(ADMIN, "/project", body));
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
    assert_eq!(
        service
            .count("projects WHERE instance_id = 'production' AND status = 'active'")
            .await,
        1_000
    );
    service.settle().await;
}

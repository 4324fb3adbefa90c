//! Sessions: short-lived keys that act as another key.
#![expect(clippy::unwrap_used, reason = "tests")]

use crate::support::*;
use http::Method;
use platform::fakes::When;
use serde_json::{Value, json};

const HOUR_MS: i64 = 3_600_000;

struct Session {
    key: String,
    id: String,
    expires_at: Value,
}

async fn open(service: &Service, key: &str) -> Session {
    let answer = service
        .post(key, "/session", &json!({"label": "Chromium on Linux"}))
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let body = answer.json();
    Session {
        key: body["key"].as_str().unwrap().to_owned(),
        id: body["session_id"].as_str().unwrap().to_owned(),
        expires_at: body["expires_at"].clone(),
    }
}

/// Why a key is refused, or an empty text when it is not.
async fn refusal(service: &Service, key: &str) -> String {
    let answer = service.get(key, "/session").await;
    if answer.status == 200 {
        return String::new();
    }
    assert_eq!(answer.outcome(), (401, "auth_failed".into()));
    let reason = answer.json()["details"]["reason"].clone();
    reason.as_str().unwrap().to_owned()
}

async fn mint(service: &Service, key: &str, body: &Value) -> (String, String) {
    let minted = service.post(key, "/api-key", body).await;
    assert_eq!(minted.status, 201, "{}", minted.text());
    let text = |name: &str| minted.json()[name].as_str().unwrap().to_owned();
    (text("api_key"), text("key_id"))
}

#[tokio::test]
async fn a_session_acts_as_its_parent_for_twelve_hours() {
    let service = Service::new();
    let now = service.deps.now();
    let answer = service
        .post(ADMIN, "/session", &json!({"label": " Chromium on Linux "}))
        .await;
    let body = answer.json();
    assert_eq!(answer.status, 201, "{body}");
    assert_eq!(answer.header("cache-control"), "no-store");
    let id = body["session_id"].as_str().unwrap();
    assert_eq!(answer.header("location"), format!("/session/{id}"));
    let ends = now.plus_ms(12 * HOUR_MS);
    assert_eq!(body["expires_at"], json!(ends));
    let key = body["key"].as_str().unwrap();
    assert_eq!(auth::key::parse(key).unwrap().key_id.as_str(), id);

    let parent = service.get(ADMIN, "/session").await.json();
    assert_eq!(
        (&parent["session"], &parent["kind"]),
        (&Value::Null, &json!("user_key"))
    );
    let mut own = service.get(key, "/session").await;
    assert_eq!(own.header("x-key-expires"), ends.to_string());
    let document = own.json();
    assert_eq!(document["kind"], "session");
    assert_eq!(document["key_id"], "4fGh7kQ2mZ0a");
    assert_eq!(document["principal"], "key:4fGh7kQ2mZ0a");
    assert_eq!(document["key"]["key_id"], id);
    assert_eq!(document["organization"]["name"], "Acme Corp.");
    assert_eq!(
        document["session"],
        json!({
            "session_id": id, "label": "Chromium on Linux", "key_id": "4fGh7kQ2mZ0a", "user_id": ADMIN_USER,
            "created_at": now, "last_used_at": null, "expires_at": ends, "current": true,
        })
    );
    for same in [
        "role",
        "user",
        "organization",
        "permissions",
        "instances",
        "key_id",
    ] {
        assert_eq!(document[same], parent[same], "{same}");
    }
    assert_eq!(
        document["instances"][1],
        json!({"instance_id": "production", "name": "Production", "environment": "production", "status": "active"})
    );
    // Its work is the parent's, and the audit log says through which session it was done.
    let project = json!({"instance_id": "production", "name": "by session"});
    assert_eq!(service.post(key, "/project", &project).await.status, 201);
    let row = service
        .row("SELECT actor FROM audit_log ORDER BY seq DESC LIMIT 1")
        .await;
    let actor: Value = serde_json::from_str(row.text("actor").unwrap()).unwrap();
    assert_eq!(
        (&actor["principal"], &actor["session_id"]),
        (&json!("key:4fGh7kQ2mZ0a"), &json!(id))
    );
    service.ports.world.clock.advance(12 * HOUR_MS as u64 - 1);
    own = service.get(key, "/session").await;
    assert_eq!(own.status, 200);
    service.ports.world.clock.advance(1);
    assert_eq!(refusal(&service, key).await, "expired");
    assert_eq!(refusal(&service, ADMIN).await, "");
    service.settle().await;
}

#[tokio::test]
async fn a_session_dies_with_its_parent() {
    let service = Service::new();
    let soon = service.deps.now().plus_ms(HOUR_MS);
    let (short, _) = mint(
        &service,
        ADMIN,
        &json!({"name": "short", "expires_at": soon}),
    )
    .await;
    let session = open(&service, &short).await;
    assert_eq!(session.expires_at, json!(soon));
    service.ports.world.clock.advance(HOUR_MS as u64);
    assert_eq!(refusal(&service, &session.key).await, "expired");

    let (key, key_id) = mint(&service, ADMIN, &json!({"name": "revoked"})).await;
    let session = open(&service, &key).await;
    assert_eq!(refusal(&service, &session.key).await, "");
    let path = format!("/api-key/{key_id}");
    assert_eq!(service.delete(ADMIN, &path).await.status, 200);
    assert_eq!(refusal(&service, &session.key).await, "revoked");
    let resolved = service
        .resolve("image-gen", &ask(&session.key, Some("production")))
        .await;
    assert_eq!(resolved.outcome(), (401, "auth_failed".into()));

    let session = open(&service, USER).await;
    service
        .run(&format!(
            "UPDATE users SET status = 'disabled' WHERE user_id = '{USER_USER}'"
        ))
        .await;
    assert_eq!(refusal(&service, &session.key).await, "orphaned");
    service.settle().await;
}

#[tokio::test]
async fn a_session_is_bounded_by_its_parent_at_every_moment() {
    let service = Service::new();
    let (key, key_id) = mint(
        &service,
        ADMIN,
        &json!({"name": "narrow", "scopes": ["config:read", "keys:write"], "instance_ids": ["development", "production"]}),
    )
    .await;
    let session = open(&service, &key).await;
    let bounds = async || {
        let own = service.get(&session.key, "/session").await.json();
        let ask = json!({"v": 1, "credential": session.key, "need": "principal"});
        let verdict = service.resolve("image-gen", &ask).await.json();
        assert_eq!(own["permissions"], verdict["auth"]["permissions"]);
        (
            own["permissions"].clone(),
            verdict["auth"]["instances"].clone(),
        )
    };
    let (permissions, instances) = bounds().await;
    assert_eq!(permissions, json!(["config:read", "keys:write"]));
    assert_eq!(instances, json!(["development", "production"]));
    // Whatever narrows the parent narrows the session in the same moment, without touching the session's row.
    service
        .run(&format!(
            "UPDATE api_keys SET scopes = '[\"config:read\"]', instance_ids = '[\"development\"]' WHERE key_id = '{key_id}'"
        ))
        .await;
    let (permissions, instances) = bounds().await;
    assert_eq!(
        (permissions, instances),
        (json!(["config:read"]), json!(["development"]))
    );
    service.settle().await;
}

#[tokio::test]
async fn only_a_users_key_opens_a_session() {
    let service = Service::new();
    let session = open(&service, USER).await;
    let before = service.count("api_keys").await;
    for key in [&session.key, PROJECT] {
        // Told before anything about the body.
        for body in [json!({"label": "x"}), json!({"lable": "x"})] {
            let refused = service.post(key, "/session", &body).await;
            assert_eq!(
                refused.outcome(),
                (403, "forbidden".into()),
                "{}",
                refused.text()
            );
        }
    }
    assert_eq!(service.count("api_keys").await, before);
    for (body, code) in [
        (json!({"lable": "x"}), "unknown_field"),
        (json!({"label": ""}), "invalid_field"),
        (json!({"label": "x".repeat(201)}), "invalid_field"),
        (json!({"label": "line\nbreak"}), "invalid_field"),
        (json!({"label": 1}), "invalid_field"),
        (json!([]), "invalid_field"),
    ] {
        let refused = service.post(USER, "/session", &body).await;
        assert_eq!(refused.outcome(), (400, code.into()), "{body}");
    }
    let unnamed = service.post(USER, "/session", &json!({})).await;
    assert_eq!(
        (unnamed.status.as_u16(), &unnamed.json()["label"]),
        (201, &json!(""))
    );
    service.settle().await;
}

#[tokio::test]
async fn the_twenty_first_live_session_ends_the_oldest() {
    let service = Service::new();
    let mut sessions = Vec::new();
    for _ in 0..20 {
        sessions.push(open(&service, USER).await);
        service.ports.world.clock.advance(1);
    }
    // Ended ones do not count, and other keys have their own.
    let ended = open(&service, ADMIN).await;
    let path = format!("/session/{}", ended.id);
    assert_eq!(service.delete(ADMIN, &path).await.status, 204);
    assert_eq!(refusal(&service, &sessions[0].key).await, "");
    sessions.push(open(&service, USER).await);
    assert_eq!(refusal(&service, &sessions[0].key).await, "revoked");
    for session in &sessions[1..] {
        assert_eq!(refusal(&service, &session.key).await, "");
    }
    let row = service
        .row("SELECT after FROM audit_log ORDER BY seq DESC LIMIT 1")
        .await;
    let after: Value = serde_json::from_str(row.text("after").unwrap()).unwrap();
    assert_eq!(after["ended"], json!([sessions[0].id]));
    let list = service.get(USER, "/session/list").await.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 20);
    assert_eq!(list["items"][0]["session_id"], sessions[20].id);
    service.settle().await;
}

#[tokio::test]
async fn racing_sign_ins_stay_within_the_limit() {
    let service = Service::new();
    service.ports.world.faults.slow("database", 5);
    let body = json!({});
    let races = (0..30).map(|_| service.post(USER, "/session", &body));
    let answers = futures_util::future::join_all(races).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    assert!(made >= 5, "{made}");
    let live = service
        .count("api_keys WHERE kind = 'session' AND revoked_at IS NULL")
        .await;
    assert_eq!(live, (made as i64).min(20));
    // A sign-in that races with the end of its key leaves no living session behind.
    let opens = (0..8).map(|_| service.post(USER, "/session", &body));
    let (_, ended) = futures_util::future::join(
        futures_util::future::join_all(opens),
        service.delete(ADMIN, "/api-key/user00000001"),
    )
    .await;
    let again = service.delete(ADMIN, "/api-key/user00000001").await;
    assert!([200, 503].contains(&ended.status.as_u16()) && again.status == 200);
    let live = service
        .count("api_keys WHERE parent_key_id = 'user00000001' AND revoked_at IS NULL")
        .await;
    assert_eq!(live, 0);
    service.settle().await;
}

#[tokio::test]
async fn sessions_are_listed_for_their_owner_and_for_administrators() {
    let service = Service::new();
    let first = open(&service, USER).await;
    service.ports.world.clock.advance(1);
    let second = open(&service, USER).await;
    let third = open(&service, ADMIN).await;
    let ids = async |key: &str, query: &str| -> Vec<String> {
        let answer = service.get(key, &format!("/session/list{query}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let items = answer.json()["items"].clone();
        let items = items.as_array().unwrap().iter();
        items
            .map(|item| item["session_id"].as_str().unwrap().to_owned())
            .collect()
    };
    let of_user = format!("?user_id={USER_USER}");
    let both = vec![second.id.clone(), first.id.clone()];
    assert_eq!(ids(USER, "").await, both);
    assert_eq!(ids(&second.key, "").await, both);
    assert_eq!(ids(USER, &of_user).await, both);
    assert_eq!(ids(ADMIN, "").await, std::slice::from_ref(&third.id));
    assert_eq!(ids(ADMIN, &of_user).await, both);
    assert_eq!(ids(ROOT, &of_user).await, both);
    assert!(ids(ROOT, "").await.is_empty());
    // A list is filtered, never refused: foreign, others', missing.
    assert!(ids(FOREIGN, &of_user).await.is_empty());
    assert!(
        ids(USER, &format!("?user_id={ADMIN_USER}"))
            .await
            .is_empty()
    );
    assert!(ids(ADMIN, &format!("?user_id={NOBODY}")).await.is_empty());
    let project = service.get(PROJECT, "/session/list").await;
    assert_eq!(project.outcome(), (403, "forbidden".into()));
    let items = service.get(&second.key, "/session/list").await.json()["items"].clone();
    assert_eq!(
        (&items[0]["current"], &items[1]["current"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(items[1]["key_id"], "user00000001");

    let page = service.get(USER, "/session/list?limit=1").await.json();
    let cursor = page["next_cursor"].as_str().unwrap();
    assert_eq!(
        ids(USER, &format!("?limit=1&cursor={cursor}")).await,
        std::slice::from_ref(&first.id)
    );
    for wrong in ["?limit=0", "?cursor=x", "?users=1"] {
        assert_eq!(
            service
                .get(USER, &format!("/session/list{wrong}"))
                .await
                .status,
            400,
            "{wrong}"
        );
    }
    let other = format!("/session/list{of_user}&cursor={cursor}");
    assert_eq!(
        service.get(USER, &other).await.outcome(),
        (400, "invalid_cursor".into())
    );

    service
        .delete(USER, &format!("/session/{}", second.id))
        .await;
    assert_eq!(ids(USER, "").await, std::slice::from_ref(&first.id));
    service.ports.world.clock.advance(12 * HOUR_MS as u64);
    assert!(ids(USER, "").await.is_empty());
    service.settle().await;
}

#[tokio::test]
async fn ending_a_session_is_final_and_repeatable() {
    let service = Service::new();
    let (mine, others) = (open(&service, USER).await, open(&service, ADMIN).await);
    let path = format!("/session/{}", mine.id);
    let entries = service.count("audit_log").await;
    assert_eq!(service.delete(&mine.key, &path).await.status, 204);
    assert_eq!(refusal(&service, &mine.key).await, "revoked");
    assert_eq!(refusal(&service, USER).await, "");
    assert_eq!(service.delete(USER, &path).await.status, 204);
    assert_eq!(service.delete(ADMIN, &path).await.status, 204);
    assert_eq!(service.count("audit_log").await, entries + 1);

    let id = "0199a1c2-0000-7000-8000-000000000001";
    let end = async |key: &str, session: &str| {
        let before = service.ports.world.ops.count().d1_queries;
        let request = service
            .app
            .request(Method::DELETE, &format!("/session/{session}"));
        let answer = request.key(key).header("x-request-id", id).send().await;
        let queries = service.ports.world.ops.count().d1_queries - before;
        (answer.status.as_u16(), answer.text(), queries)
    };
    service.get(FOREIGN, "/session").await;
    service.settle().await;
    let missing = end(FOREIGN, "000000000000").await;
    assert_eq!(missing.0, 404);
    assert_eq!(end(FOREIGN, &others.id).await, missing);
    // A key is not a session, and a session is not a key.
    assert_eq!(end(ADMIN, "user00000001").await.1, missing.1);
    assert_eq!(
        service
            .delete(ADMIN, &format!("/api-key/{}", others.id))
            .await
            .status,
        404
    );
    assert_eq!(
        service
            .get(ADMIN, &format!("/api-key/{}", others.id))
            .await
            .status,
        404
    );
    let keys = service.get(ADMIN, "/api-key?limit=200").await.text();
    assert!(!keys.contains(&others.id) && !keys.contains(&mine.id));
    for (key, status) in [(USER, 403), (PROJECT, 403), (ROOT, 204)] {
        assert_eq!(end(key, &others.id).await.0, status, "{key}");
    }
    assert_eq!(refusal(&service, &others.key).await, "revoked");
    let old = open(&service, USER).await;
    service.ports.world.clock.advance(12 * HOUR_MS as u64);
    assert_eq!(end(USER, &old.id).await.0, 204);
    let shown = service.get(ADMIN, "/session/not-an-id").await;
    assert_eq!(shown.outcome(), (405, "method_not_allowed".into()));
    service.settle().await;
}

#[tokio::test]
async fn a_session_mints_nothing_beyond_its_parent() {
    let service = Service::new();
    let soon = service.deps.now().plus_ms(30 * 24 * HOUR_MS);
    let (key, _) = mint(
        &service,
        ADMIN,
        &json!({"name": "bounded", "expires_at": soon, "instance_ids": ["development"], "scopes": ["keys:write", "images:read"]}),
    )
    .await;
    let session = open(&service, &key).await;
    let good = json!({"name": "x", "expires_at": soon, "instance_ids": ["development"], "scopes": ["images:read"]});
    for (member, value, outcome) in [
        ("expires_at", Value::Null, (403, "forbidden")),
        ("expires_at", json!(soon.plus_ms(1)), (403, "forbidden")),
        ("instance_ids", Value::Null, (403, "forbidden")),
        ("instance_ids", json!(["production"]), (403, "forbidden")),
        ("scopes", json!(["images:write"]), (403, "scope_missing")),
        ("scopes", Value::Null, (403, "scope_missing")),
    ] {
        let mut body = good.clone();
        body[member] = value;
        let refused = service.post(&session.key, "/api-key", &body).await;
        assert_eq!(
            refused.outcome(),
            (outcome.0, outcome.1.to_owned()),
            "{body}"
        );
    }
    // The session's own end in twelve hours does not bind what its person makes.
    assert_eq!(
        service.post(&session.key, "/api-key", &good).await.status,
        201
    );
    service.settle().await;
}

#[tokio::test]
async fn a_lost_sign_in_is_nothing_or_one_session() {
    let service = Service::new();
    service.get(USER, "/session").await;
    service.settle().await;
    let faults = &service.ports.world.faults;
    let sessions = async || service.count("api_keys WHERE kind = 'session'").await;
    faults.fail("database", 2, When::Before);
    let lost = service.post(USER, "/session", &json!({})).await;
    assert_eq!(lost.outcome(), (503, "database_unavailable".into()));
    assert_eq!((sessions().await, service.count("audit_log").await), (0, 0));
    faults.fail("database", 2, When::After);
    let session = open(&service, USER).await;
    assert_eq!(refusal(&service, &session.key).await, "");
    assert_eq!((sessions().await, service.count("audit_log").await), (1, 1));
    let path = format!("/session/{}", session.id);
    faults.fail("database", 2, When::After);
    assert_eq!(service.delete(USER, &path).await.status, 204);
    assert_eq!(service.count("audit_log").await, 2);
    assert_eq!(faults.pending(), 0);

    let post = async || {
        let request = service.app.post("/session").key(USER);
        let request = request.header("idempotency-key", "once").json(&json!({}));
        request.send().await
    };
    let (first, second) = (post().await, post().await);
    assert_eq!(first.json()["key"], second.json()["key"]);
    assert_eq!(second.header("idempotent-replayed"), "true");
    let stored = service
        .row("SELECT response, sealed FROM idempotency")
        .await;
    assert!(stored.flag("sealed") && !stored.text("response").unwrap().contains("sy_"));
    assert_eq!(sessions().await, 2);
    service.ports.world.clock.advance(600_000);
    assert_eq!(post().await.outcome(), (409, "secret_already_shown".into()));
    service.settle().await;
}

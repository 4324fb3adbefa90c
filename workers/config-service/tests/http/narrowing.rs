//! `PATCH /api-key/{key_id}`: another name, or less than before.
#![expect(clippy::unwrap_used, reason = "tests")]

use crate::support::*;
use http::Method;
use middleware::testing::TestResponse;
use platform::fakes::When;
use serde_json::{Value, json};

const DAY_MS: i64 = 86_400_000;

async fn patch(
    service: &Service,
    by: &str,
    key_id: &str,
    version: &str,
    body: &Value,
) -> TestResponse {
    let path = format!("/api-key/{key_id}");
    let request = service.app.request(Method::PATCH, &path).key(by);
    let request = match version {
        "" => request,
        version => request.header("if-match", version),
    };
    request.json(body).send().await
}

async fn mint(service: &Service, body: &Value) -> (String, String) {
    let minted = service.post(ADMIN, "/api-key", body).await.json();
    let text = |name: &str| minted[name].as_str().unwrap().to_owned();
    (text("key_id"), text("api_key"))
}

#[tokio::test]
async fn a_key_and_its_sessions_are_narrowed_at_once() {
    let service = Service::new();
    let end = service.deps.now().plus_ms(3 * DAY_MS);
    let (id, key) = mint(&service, &json!({"name": "wide"})).await;
    let session = service.post(&key, "/session", &json!({})).await.json();
    let session = session["key"].as_str().unwrap();
    for caller in [key.as_str(), session] {
        assert_eq!(
            service.get(caller, "/instance/production").await.status,
            200
        );
    }
    let narrowed = patch(
        &service,
        ADMIN,
        &id,
        "\"1\"",
        &json!({"name": " narrow ", "scopes": ["config:read", "images:read"], "instance_ids": ["development"], "expires_at": end}),
    )
    .await;
    let body = narrowed.json();
    assert_eq!(
        (narrowed.status.as_u16(), narrowed.header("etag")),
        (200, "\"2\""),
        "{body}"
    );
    assert_eq!(
        (
            &body["name"],
            &body["scopes"],
            &body["instance_ids"],
            &body["expires_at"],
            &body["state"],
            &body["version"]
        ),
        (
            &json!("narrow"),
            &json!(["config:read", "images:read"]),
            &json!(["development"]),
            &json!(end),
            &json!("expiring"),
            &json!(2)
        )
    );
    let mut shown = service.get(ADMIN, &format!("/api-key/{id}")).await.json();
    shown["request_id"] = body["request_id"].clone();
    shown["last_used_at"] = body["last_used_at"].clone();
    shown["secret_first_used_at"] = body["secret_first_used_at"].clone();
    assert_eq!(shown, body);
    for caller in [key.as_str(), session] {
        let read = service.get(caller, "/instance/development").await;
        assert_eq!(read.status, 200);
        assert!(!read.header("x-key-expires").is_empty());
        assert_eq!(
            service.get(caller, "/instance/production").await.outcome(),
            (403, "forbidden".into())
        );
        let items = service.get(caller, "/instance").await.json()["items"].clone();
        assert_eq!(items.as_array().unwrap().len(), 1);
        let created = service
            .post(
                caller,
                "/project",
                &json!({"instance_id": "development", "name": "x"}),
            )
            .await;
        assert_eq!(created.outcome(), (403, "scope_missing".into()));
        let verdict = service
            .resolve("image-gen", &ask(caller, Some("production")))
            .await;
        assert_eq!(verdict.outcome(), (403, "forbidden".into()));
    }
    let row = service
        .row("SELECT before, after FROM audit_log ORDER BY seq DESC LIMIT 1")
        .await;
    let member = |name: &str| serde_json::from_str::<Value>(row.text(name).unwrap()).unwrap();
    assert_eq!(member("before")["scopes"], json!(["*"]));
    assert_eq!(member("after")["instance_ids"], json!(["development"]));

    // An earlier end takes the session with it.
    let sooner = service.deps.now().plus_ms(1_000);
    assert_eq!(
        patch(
            &service,
            ADMIN,
            &id,
            "\"2\"",
            &json!({"expires_at": sooner})
        )
        .await
        .status,
        200
    );
    service.ports.world.clock.advance(1_000);
    for caller in [key.as_str(), session] {
        let refused = service.get(caller, "/session").await;
        assert_eq!(refused.json()["details"]["reason"], "expired");
    }
    service.settle().await;
}

#[tokio::test]
async fn more_than_before_is_refused() {
    let service = Service::new();
    let end = service.deps.now().plus_ms(30 * DAY_MS);
    let bounds = json!({"name": "k", "scopes": ["images:read", "images:write"], "instance_ids": ["development"], "expires_at": end});
    let (id, _) = mint(&service, &bounds).await;
    for (field, value) in [
        ("scopes", json!(["images:read", "tasks:read"])),
        ("scopes", json!(["*"])),
        ("instance_ids", json!(["development", "production"])),
        ("instance_ids", json!(["production"])),
        ("instance_ids", Value::Null),
        ("expires_at", json!(end.plus_ms(1))),
        ("expires_at", Value::Null),
    ] {
        let refused = patch(&service, ADMIN, &id, "*", &json!({field: value})).await;
        assert_eq!(
            refused.outcome(),
            (409, "conflict".into()),
            "{field} {value}"
        );
        assert_eq!(refused.json()["details"]["field"], field);
        assert!(refused.json()["hint"].as_str().unwrap().contains("Mint"));
    }
    // What changes nothing is neither an entry nor a version.
    let entries = service.count("audit_log").await;
    for same in [json!({}), bounds] {
        let unchanged = patch(&service, ADMIN, &id, "\"1\"", &same).await;
        assert_eq!(
            (unchanged.status.as_u16(), unchanged.header("etag")),
            (200, "\"1\"")
        );
    }
    assert_eq!(service.count("audit_log").await, entries);
    // `*` holds every scope, no instances means all.
    let fewer = json!({"scopes": ["audit:read"], "instance_ids": ["production"]});
    assert_eq!(
        patch(&service, ADMIN, "4fGh7kQ2mZ0a", "*", &fewer)
            .await
            .status,
        200
    );
    service.settle().await;
}

#[tokio::test]
async fn wrong_patches_change_nothing() {
    let service = Service::new();
    let now = service.deps.now();
    for (body, code) in [
        (json!({"org_id": ACME}), "unknown_field"),
        (json!({"key_hash": "x"}), "unknown_field"),
        (json!({"version": 2}), "read_only_field"),
        (json!({"created_by": "key:me"}), "read_only_field"),
        (json!({"user_id": ADMIN_USER}), "read_only_field"),
        (json!({"state": "active"}), "read_only_field"),
        (json!({"name": ""}), "invalid_field"),
        (json!({"name": null}), "invalid_field"),
        (json!({"scopes": []}), "invalid_field"),
        (json!({"scopes": null}), "invalid_field"),
        (json!({"scopes": ["images:paint"]}), "invalid_field"),
        (json!({"instance_ids": []}), "invalid_field"),
        (json!({"instance_ids": ["../x"]}), "invalid_field"),
        (
            json!({"instance_ids": vec!["development"; 101]}),
            "invalid_field",
        ),
        (json!({"expires_at": now}), "invalid_field"),
        (
            json!({"expires_at": now.plus_ms(6 * 365 * DAY_MS)}),
            "invalid_field",
        ),
        (json!({"expires_at": "tomorrow"}), "invalid_field"),
        (json!([]), "invalid_field"),
        (json!("x"), "invalid_field"),
    ] {
        // Told before what is said about the version.
        let refused = patch(&service, ADMIN, "user00000001", "", &body).await;
        assert_eq!(
            refused.outcome(),
            (400, code.into()),
            "{body}: {}",
            refused.text()
        );
    }
    for (version, outcome) in [
        ("", (428, "precondition_required")),
        ("\"2\"", (412, "version_mismatch")),
        ("W/\"1\"", (412, "version_mismatch")),
        ("1", (400, "invalid_field")),
    ] {
        let refused = patch(
            &service,
            ADMIN,
            "user00000001",
            version,
            &json!({"name": "x"}),
        )
        .await;
        assert_eq!(
            refused.outcome(),
            (outcome.0, outcome.1.to_owned()),
            "{version}"
        );
        if outcome.0 == 412 {
            let details = &refused.json()["details"];
            assert_eq!(
                (&details["current_version"], &details["current"]["name"]),
                (&json!(1), &json!("user@acme.example"))
            );
        }
    }
    for (ids, status) in [(json!(["foreign"]), 404), (json!(["nowhere"]), 404)] {
        let refused = patch(
            &service,
            ADMIN,
            "user00000001",
            "*",
            &json!({"instance_ids": ids}),
        )
        .await;
        assert_eq!(refused.status.as_u16(), status);
    }
    let sibling = patch(
        &service,
        USER,
        "user00000001",
        "*",
        &json!({"instance_ids": ["production"]}),
    )
    .await;
    assert_eq!(sibling.outcome(), (403, "forbidden".into()));
    for ended in ["revoked00001", "expired00001"] {
        let refused = patch(&service, ADMIN, ended, "*", &json!({"name": "x"})).await;
        assert_eq!(refused.outcome(), (409, "conflict".into()), "{ended}");
    }
    assert_eq!(service.count("audit_log").await, 0);
    assert_eq!(
        patch(
            &service,
            ADMIN,
            "user00000001",
            "\"7\", \"1\"",
            &json!({"name": "x"})
        )
        .await
        .status,
        200
    );
    service.settle().await;
}

#[tokio::test]
async fn who_may_narrow_which_key() {
    let service = Service::new();
    for (key_id, want) in [
        ("user00000001", [200, 200, 200, 403, 404]),
        ("4fGh7kQ2mZ0a", [200, 200, 403, 403, 404]),
        ("proj00000001", [200, 200, 403, 403, 404]),
        ("fuser0000001", [200, 404, 404, 404, 200]),
        ("root00000001", [200, 404, 404, 404, 404]),
        ("000000000000", [404, 404, 404, 404, 404]),
    ] {
        for (by, want) in [ROOT, ADMIN, USER, PROJECT, FOREIGN].iter().zip(want) {
            let answer = patch(&service, by, key_id, "*", &json!({"name": by[3..15]})).await;
            assert_eq!(
                answer.status.as_u16(),
                want,
                "{key_id} by {by}: {}",
                answer.text()
            );
        }
    }
    let (_, reader) = mint(
        &service,
        &json!({"name": "reader", "scopes": ["images:read"]}),
    )
    .await;
    let refused = patch(
        &service,
        &reader,
        "user00000001",
        "*",
        &json!({"name": "x"}),
    )
    .await;
    assert_eq!(refused.outcome(), (403, "scope_missing".into()));
    assert_eq!(refused.json()["details"]["scope"], "keys:write");
    let mut seen = Vec::new();
    for key_id in ["fore00000001", "000000000000"] {
        let before = service.ports.world.ops.count().d1_queries;
        let path = format!("/api-key/{key_id}");
        let request = service.app.request(Method::PATCH, &path).key(ADMIN);
        let request = request.header("x-request-id", "0199a1c2-0000-7000-8000-000000000001");
        let answer = request.json(&json!({"nmae": 1})).send().await;
        let queries = service.ports.world.ops.count().d1_queries - before;
        seen.push((answer.status, answer.text(), queries));
    }
    assert_eq!(seen[0], seen[1]);
    service.settle().await;
}

#[tokio::test]
async fn of_two_editors_one_is_told_what_is_there_now() {
    let service = Service::new();
    service.ports.world.faults.slow("database", 5);
    let (one, two) = (json!({"name": "one"}), json!({"scopes": ["images:read"]}));
    let (first, second) = futures_util::future::join(
        patch(&service, ADMIN, "user00000001", "\"1\"", &one),
        patch(&service, ADMIN, "user00000001", "\"1\"", &two),
    )
    .await;
    let mut statuses = [first.status.as_u16(), second.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
    let late = if first.status == 412 { &first } else { &second };
    assert_eq!(late.json()["details"]["current_version"], 2);
    let merged = patch(
        &service,
        ADMIN,
        "user00000001",
        "\"2\"",
        &json!({"name": "one", "scopes": ["images:read"]}),
    )
    .await;
    assert_eq!(merged.json()["version"], 3);

    // A narrowing that races with revoking never brings the key back.
    let (id, key) = mint(&service, &json!({"name": "raced"})).await;
    let path = format!("/api-key/{id}");
    let (narrowed, revoked) = futures_util::future::join(
        patch(
            &service,
            ADMIN,
            &id,
            "*",
            &json!({"scopes": ["images:read"]}),
        ),
        service.delete(ADMIN, &path),
    )
    .await;
    assert_eq!(revoked.status, 200);
    assert!([200, 409].contains(&narrowed.status.as_u16()));
    assert_eq!(service.get(&key, "/session").await.status, 401);
    service.settle().await;
}

#[tokio::test]
async fn a_fault_leaves_the_key_as_it_was_or_as_it_is_wanted() {
    let service = Service::new();
    service.get(ADMIN, "/session").await;
    service.settle().await;
    let faults = &service.ports.world.faults;
    let narrow = json!({"scopes": ["images:read"]});
    faults.fail("database", 2, When::Before);
    let lost = patch(&service, ADMIN, "user00000001", "\"1\"", &narrow).await;
    assert_eq!(lost.outcome(), (503, "database_unavailable".into()));
    assert_eq!(service.count("api_keys WHERE version > 1").await, 0);
    faults.fail("database", 2, When::After);
    let done = patch(&service, ADMIN, "user00000001", "\"1\"", &narrow).await;
    assert_eq!(
        (done.status.as_u16(), &done.json()["version"]),
        (200, &json!(2))
    );
    assert_eq!(service.count("audit_log").await, 1);
    assert_eq!(faults.pending(), 0);
    service.settle().await;
}

//! API keys: minting, listing, revoking.

use crate::support::*;
use serde_json::{Value, json};

#[tokio::test]
async fn a_key_that_ends_mints_no_key_that_outlives_it() {
    let service = Service::new();
    let end = "2026-11-30T00:00:00.000Z";
    let short = service
        .post(
            ADMIN,
            "/api-key",
            &json!({"name": "contractor", "expires_at": end}),
        )
        .await;
    assert_eq!(short.status, 201, "{}", short.json());
    let key = short.json()["api_key"].as_str().unwrap().to_owned();
    for wanted in [
        json!({"name": "for ever"}),
        json!({"name": "longer", "expires_at": "2026-12-01T00:00:00.000Z"}),
    ] {
        let refused = service.post(&key, "/api-key", &wanted).await;
        assert_eq!(refused.status, 403, "{}", refused.json());
        assert!(refused.json()["hint"].as_str().unwrap().contains(end));
    }
    let allowed = json!({"name": "as long", "expires_at": end});
    assert_eq!(service.post(&key, "/api-key", &allowed).await.status, 201);
    service.settle().await;
}

#[tokio::test]
async fn nobody_mints_instances_beyond_his_own() {
    let service = Service::new();
    let mint = async |key: &str, ids: Value| {
        let answer = service
            .post(key, "/api-key", &json!({"name": "x", "instance_ids": ids}))
            .await;
        (
            answer.outcome(),
            answer.json()["api_key"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        )
    };
    assert_eq!(
        mint(USER, json!(["production"])).await.0,
        (403, "forbidden".into())
    );
    assert_eq!(mint(USER, json!(["foreign"])).await.0.0, 404);
    assert_eq!(mint(ADMIN, json!(["nowhere"])).await.0.0, 404);
    assert_eq!(
        mint(ADMIN, json!([])).await.0,
        (400, "invalid_field".into())
    );
    let (outcome, narrow) = mint(ADMIN, json!(["development"])).await;
    assert_eq!(outcome.0, 201);
    assert_eq!(
        service.get(&narrow, "/instance/development").await.status,
        200
    );
    assert_eq!(
        service.get(&narrow, "/instance/production").await.status,
        403
    );
    assert_eq!(
        service
            .put(
                &narrow,
                "/instance/production/provider-key/openai",
                &json!({"api_key": "x"})
            )
            .await
            .status,
        403
    );
    assert_eq!(
        service.get(&narrow, "/instance").await.json()["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        mint(&narrow, Value::Null).await.0,
        (403, "forbidden".into())
    );
    assert_eq!(mint(&narrow, json!(["production"])).await.0.0, 403);
    assert_eq!(mint(&narrow, json!(["development"])).await.0.0, 201);
    service.settle().await;
}

/// A scope beyond the role would sleep in the key until its owner is promoted, also where its maker's own key is narrow.
#[tokio::test]
async fn no_scope_is_minted_for_a_later_role() {
    let service = Service::new();
    let mint = async |key: &str, scopes: Value| {
        let body = json!({"name": "x", "user_id": USER_USER, "scopes": scopes});
        service.post(key, "/api-key", &body).await
    };
    for scopes in [
        json!(["config:write"]),
        json!(["images:read", "audit:read"]),
    ] {
        let refused = mint(USER, scopes.clone()).await;
        assert_eq!(refused.outcome(), (403, "scope_missing".into()), "{scopes}");
    }
    let narrow = json!(["keys:write", "images:read"]);
    let narrow = mint(USER, narrow).await.json();
    let narrow = narrow["api_key"].as_str().unwrap();
    assert_eq!(mint(narrow, json!(["config:write"])).await.status, 403);
    assert_eq!(mint(narrow, json!(["images:read"])).await.status, 201);
    // Who has it may give it, and it counts when the role does.
    let given = mint(ADMIN, json!(["config:write", "config:read"])).await;
    assert_eq!(given.status, 201, "{}", given.text());
    service.settle().await;
}

#[tokio::test]
async fn revoking_is_final_and_repeatable() {
    let service = Service::new();
    let now = service.deps.now();
    let first = service
        .delete(ADMIN, "/api-key/user00000001?reason=lost")
        .await;
    assert_eq!(first.status, 200, "{}", first.text());
    assert_eq!(first.json()["revoked_at"], json!(now));
    assert_eq!(first.json()["effective_by"], json!(now.plus_ms(5_000)));
    let used = service.get(USER, "/session").await;
    assert_eq!(used.outcome(), (401, "auth_failed".into()));
    assert_eq!(used.json()["details"]["reason"], "revoked");
    service.ports.world.clock.advance(60_000);
    let again = service.delete(ADMIN, "/api-key/user00000001").await;
    assert_eq!(again.json()["revoked_at"], json!(now));
    assert_eq!(service.count("audit_log").await, 1);
    assert_eq!(
        service.get(ADMIN, "/api-key/user00000001").await.json()["state"],
        "revoked"
    );
    let list = service.get(ADMIN, "/api-key?status=revoked").await.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
    assert_eq!(
        service.get(ADMIN, "/api-key?status=gone").await.outcome(),
        (400, "invalid_field".into())
    );
    assert_eq!(
        service.get(ADMIN, "/api-key?cursor=x").await.outcome(),
        (400, "invalid_cursor".into())
    );
    let page = service.get(ADMIN, "/api-key?limit=1").await.json();
    let cursor = page["next_cursor"].as_str().unwrap();
    assert_eq!(
        service
            .get(ADMIN, &format!("/api-key?limit=1&cursor={cursor}"))
            .await
            .status,
        200
    );
    assert_eq!(
        service
            .get(ADMIN, &format!("/api-key?status=active&cursor={cursor}"))
            .await
            .outcome(),
        (400, "invalid_cursor".into())
    );
    service.settle().await;
}

fn sorted(mut ids: Vec<&str>) -> Vec<&str> {
    ids.sort_unstable();
    ids
}

/// Each key is in the state that its row says, and the filter finds it by the same word.
#[tokio::test]
async fn states_and_filters_tell_the_same() {
    let service = Service::new();
    let now = service.deps.now();
    let day = 86_400_000;
    for (id, set) in [
        (
            "root00000001",
            format!("expires_at = '{}'", now.plus_ms(7 * day)),
        ),
        (
            "4fGh7kQ2mZ0a",
            format!("expires_at = '{}'", now.plus_ms(7 * day + 1)),
        ),
        (
            "user00000001",
            format!(
                "prev_key_hash = key_hash, prev_pepper_id = 'p1', prev_expires_at = '{}', expires_at = '{}'",
                now.plus_ms(1),
                now.plus_ms(day)
            ),
        ),
        (
            "proj00000001",
            format!("prev_key_hash = key_hash, prev_pepper_id = 'p1', prev_expires_at = '{now}'"),
        ),
        ("fuser0000001", format!("expires_at = '{now}'")),
    ] {
        service
            .run(&format!("UPDATE api_keys SET {set} WHERE key_id = '{id}'"))
            .await;
    }
    service.run("UPDATE projects SET status = 'deleted' WHERE project_id = '0198f0a2-0000-7000-8000-000000000003'").await;
    let all = [
        ("root00000001", "expiring"),
        ("4fGh7kQ2mZ0a", "active"),
        ("user00000001", "rotating"),
        ("proj00000001", "active"),
        ("fore00000001", "active"),
        ("revoked00001", "revoked"),
        ("expired00001", "expired"),
        ("fuser0000001", "expired"),
        ("fproj0000001", "orphaned"),
    ];
    for (id, state) in all {
        let shown = service.get(ROOT, &format!("/api-key/{id}")).await.json();
        assert_eq!(shown["state"], state, "{id}");
    }
    let ids = async |key: &str, query: &str| {
        let list = service
            .get(key, &format!("/api-key?limit=200{query}"))
            .await;
        assert_eq!(list.status, 200, "{}", list.text());
        let mut ids: Vec<String> = list.json()["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["key_id"].as_str().unwrap().to_owned())
            .collect();
        ids.sort();
        ids
    };
    for state in [
        "active", "rotating", "expiring", "expired", "revoked", "orphaned",
    ] {
        let want = all.iter().filter(|(_, is)| *is == state).map(|(id, _)| *id);
        let found = ids(ROOT, &format!("&status={state}")).await;
        assert_eq!(found, sorted(want.collect()), "{state}");
    }
    let of_admin = sorted(vec!["4fGh7kQ2mZ0a", "revoked00001", "expired00001"]);
    let own = format!("&user_id={ADMIN_USER}");
    for (key, query, want) in [
        (ROOT, own.as_str(), of_admin.clone()),
        (ADMIN, own.as_str(), of_admin),
        (USER, own.as_str(), vec![]),
        (FOREIGN, own.as_str(), vec![]),
        (
            ADMIN,
            &format!("&user_id={USER_USER}"),
            vec!["user00000001"],
        ),
        (ADMIN, &format!("&project_id={CHAT}"), vec!["proj00000001"]),
        (
            ADMIN,
            &format!("&project_id={CHAT}&user_id={USER_USER}"),
            vec![],
        ),
        (ADMIN, &format!("&project_id={FOREIGN_PROJECT}"), vec![]),
        (USER, "", vec!["user00000001"]),
        (PROJECT, "", vec!["proj00000001"]),
        (
            PROJECT,
            &format!("&project_id={CHAT}"),
            vec!["proj00000001"],
        ),
    ] {
        assert_eq!(ids(key, query).await, want, "{key} {query}");
    }
    service.settle().await;
    // Unused is counted from the last use, or from the making of a key that was never used.
    service
        .run(&format!(
            "UPDATE api_keys SET created_at = '{}', last_used_at = NULL",
            now.plus_ms(-90 * day)
        ))
        .await;
    service.run(&format!("UPDATE api_keys SET last_used_at = '{now}' WHERE key_id IN ('user00000001', 'root00000001')")).await;
    assert_eq!(ids(ROOT, "&unused_days=89").await.len(), 7);
    assert!(ids(ROOT, "&unused_days=90").await.is_empty());
    for wrong in [
        "unused_days=3651",
        "unused_days=-1",
        "status=ended",
        "state=active",
    ] {
        assert_eq!(
            service.get(ROOT, &format!("/api-key?{wrong}")).await.status,
            400,
            "{wrong}"
        );
    }
    service.settle().await;
}

#[tokio::test]
async fn a_page_ends_where_the_next_begins_for_every_caller() {
    let service = Service::new();
    for n in 0..7 {
        let owner = if n % 2 == 0 {
            json!({"user_id": USER_USER})
        } else {
            json!({"project_id": CHAT})
        };
        let mut body = json!({"name": format!("k{n}")});
        body.as_object_mut()
            .unwrap()
            .extend(owner.as_object().unwrap().clone());
        assert_eq!(service.post(ADMIN, "/api-key", &body).await.status, 201);
        // Two share a millisecond.
        service.ports.world.clock.advance(u64::from(n % 3 != 0));
    }
    for (key, want) in [(ROOT, 16), (ADMIN, 12), (USER, 5), (PROJECT, 1)] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = service
                .get(key, &format!("/api-key?limit=2{cursor}"))
                .await
                .json();
            for item in page["items"].as_array().unwrap() {
                seen.push((item["created_at"].to_string(), item["key_id"].to_string()));
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let mut sorted = seen.clone();
        sorted.sort();
        sorted.reverse();
        sorted.dedup();
        assert_eq!((seen.len(), &seen), (want, &sorted), "{key}");
    }
    service.settle().await;
}

#[tokio::test]
async fn a_session_does_not_revoke_the_key_it_acts_as() {
    let service = Service::new();
    let session = service.post(ADMIN, "/session", &json!({})).await.json();
    let session = session["key"].as_str().unwrap();
    let refused = service.delete(session, "/api-key/4fGh7kQ2mZ0a").await;
    assert_eq!(refused.outcome(), (409, "conflict".into()));
    assert_eq!(service.get(ADMIN, "/session").await.status, 200);
    assert_eq!(
        service
            .delete(session, "/api-key/user00000001")
            .await
            .status,
        200
    );
    // A key ends itself: whoever finds a leaked one can do the right thing with it.
    assert_eq!(
        service.delete(ADMIN, "/api-key/4fGh7kQ2mZ0a").await.status,
        200
    );
    for key in [ADMIN, session] {
        assert_eq!(
            service.get(key, "/session").await.outcome(),
            (401, "auth_failed".into())
        );
    }
    service.settle().await;
}

/// config-service holds no verdict: what was revoked is refused by the very next request.
#[tokio::test]
async fn revoking_takes_effect_at_once_here_however_often_the_key_was_used() {
    let service = Service::new();
    for _ in 0..3 {
        assert_eq!(service.get(USER, "/session").await.status, 200);
        assert_eq!(
            service.resolve("image-gen", &ask(USER, None)).await.status,
            200
        );
    }
    let revoked = service.delete(ADMIN, "/api-key/user00000001").await;
    assert_eq!(revoked.status, 200);
    assert_eq!(
        service.get(USER, "/session").await.outcome(),
        (401, "auth_failed".into())
    );
    assert_eq!(
        service
            .resolve("image-gen", &ask(USER, None))
            .await
            .outcome(),
        (401, "auth_failed".into())
    );
    service.settle().await;
}

#[tokio::test]
async fn a_stated_version_is_held_when_a_key_is_revoked() {
    let service = Service::new();
    let revoke = async |version: &str| {
        let request = service
            .app
            .request(http::Method::DELETE, "/api-key/user00000001");
        request.key(ADMIN).header("if-match", version).send().await
    };
    assert_eq!(
        revoke("\"2\"").await.outcome(),
        (412, "version_mismatch".into())
    );
    let details = revoke("\"2\"").await.json()["details"].clone();
    assert_eq!(details["current_version"], 1);
    assert_eq!(details["current"]["state"], "active");
    assert_eq!(revoke("1").await.outcome(), (400, "invalid_field".into()));
    assert_eq!(revoke("\"1\"").await.status, 200);
    let reason = service
        .delete(
            ADMIN,
            &format!("/api-key/proj00000001?reason={}", "x".repeat(201)),
        )
        .await;
    assert_eq!(reason.outcome(), (400, "invalid_field".into()));
    service.settle().await;
}

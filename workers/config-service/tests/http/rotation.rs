//! `POST /api-key/{key_id}/rotate`: two secrets for a while, and never none.
#![expect(clippy::unwrap_used, reason = "tests")]

use crate::support::*;
use api_types::Timestamp;
use middleware::testing::TestResponse;
use platform::fakes::When;
use serde_json::{Value, json};

const DAY_MS: u64 = 86_400_000;
const OF_USER: &str = "/api-key/user00000001";

async fn rotate(service: &Service, by: &str, key_id: &str, body: Value) -> TestResponse {
    let path = format!("/api-key/{key_id}/rotate");
    service.post(by, &path, &body).await
}

/// Rotates and gives the new key.
async fn rotated(service: &Service, by: &str, key_id: &str, body: Value) -> String {
    let answer = rotate(service, by, key_id, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["api_key"].as_str().unwrap().to_owned()
}

async fn works(service: &Service, key: &str) -> bool {
    let answer = service.get(key, "/session").await;
    assert!(
        [200, 401].contains(&answer.status.as_u16()),
        "{}",
        answer.text()
    );
    answer.status == 200
}

/// A key of the administrator: id and text.
async fn mint(service: &Service, body: Value) -> (String, String) {
    let minted = service.post(ADMIN, "/api-key", &body).await.json();
    let text = |name: &str| minted[name].as_str().unwrap().to_owned();
    (text("key_id"), text("api_key"))
}

#[tokio::test]
async fn both_secrets_work_until_the_old_one_ends_and_its_answers_say_so() {
    let service = Service::new();
    let now = service.deps.now();
    let ends = now.plus_ms(DAY_MS as i64);
    let answer = rotate(&service, ADMIN, "user00000001", json!({})).await;
    let body = answer.json();
    assert_eq!(answer.status, 200, "{body}");
    assert_eq!(
        (answer.header("etag"), answer.header("cache-control")),
        ("\"2\"", "no-store")
    );
    assert_eq!(
        (
            &body["key_id"],
            &body["secret_version"],
            &body["previous_expires_at"],
            &body["version"]
        ),
        (&json!("user00000001"), &json!(2), &json!(ends), &json!(2))
    );
    let new = body["api_key"].as_str().unwrap();
    assert_eq!(body["last4"], new[61..]);
    assert_eq!(
        auth::key::parse(new).unwrap().key_id.as_str(),
        "user00000001"
    );

    let by_old = service.get(USER, "/session").await;
    assert_eq!(
        (by_old.status.as_u16(), by_old.header("x-key-expires")),
        (200, ends.to_string().as_str())
    );
    // Refusals carry it too: who sees only those must learn it as well.
    let refused = service.get(USER, "/instance/production").await;
    assert_eq!(
        (refused.status.as_u16(), refused.header("x-key-expires")),
        (403, ends.to_string().as_str())
    );
    let by_new = service.get(new, "/session").await;
    assert_eq!(
        (by_new.status.as_u16(), by_new.header("x-key-expires")),
        (200, "")
    );
    for (key, secret, end) in [
        (USER, "previous", json!(ends)),
        (new, "current", Value::Null),
    ] {
        let verdict = service.resolve("image-gen", &ask(key, None)).await.json();
        assert_eq!(
            verdict["auth"]["key"],
            json!({"key_id": "user00000001", "secret": secret, "expires_at": end})
        );
    }
    let shown = service.get(ADMIN, OF_USER).await.json();
    assert_eq!(
        (
            &shown["state"],
            &shown["prev_expires_at"],
            &shown["last4"],
            &shown["rotated_at"]
        ),
        (
            &json!("rotating"),
            &json!(ends),
            &body["last4"],
            &json!(now)
        )
    );
    service.ports.world.clock.advance(DAY_MS - 1);
    assert!(works(&service, USER).await && works(&service, new).await);
    service.ports.world.clock.advance(1);
    assert!(!works(&service, USER).await && works(&service, new).await);
    let shown = service.get(ADMIN, OF_USER).await.json();
    assert_eq!(
        (&shown["state"], &shown["prev_expires_at"]),
        (&json!("active"), &Value::Null)
    );
    service.settle().await;
}

#[tokio::test]
async fn the_overlap_is_what_the_caller_says_within_a_week_and_the_life_of_the_key() {
    let service = Service::new();
    for wrong in [
        json!({"overlap_s": 604_801}),
        json!({"overlap_s": -1}),
        json!({"overlap_s": 1.5}),
        json!({"overlap_s": "60"}),
        json!({"overlap_s": null}),
        json!({"force": 1}),
    ] {
        let refused = rotate(&service, ADMIN, "user00000001", wrong.clone()).await;
        assert_eq!(refused.outcome(), (400, "invalid_field".into()), "{wrong}");
    }
    let refused = rotate(&service, ADMIN, "user00000001", json!({"overlap": 1})).await;
    assert_eq!(refused.outcome(), (400, "unknown_field".into()));
    assert_eq!(service.count("audit_log").await, 0);

    let now = service.deps.now();
    let new = rotated(&service, ADMIN, "user00000001", json!({"overlap_s": 0})).await;
    assert!(!works(&service, USER).await && works(&service, &new).await);
    let row = service.row("SELECT prev_key_hash, prev_pepper_id, prev_expires_at FROM api_keys WHERE key_id = 'user00000001'").await;
    assert!(
        ["prev_key_hash", "prev_pepper_id", "prev_expires_at"]
            .iter()
            .all(|name| row.text(name).is_none())
    );

    let week = rotate(
        &service,
        ADMIN,
        "user00000001",
        json!({"overlap_s": 604_800}),
    )
    .await;
    assert_eq!(
        week.json()["previous_expires_at"],
        json!(now.plus_ms(7 * DAY_MS as i64))
    );
    let soon = now.plus_ms(3_600_000);
    let (id, _) = mint(&service, json!({"name": "short", "expires_at": soon})).await;
    let short = rotate(&service, ADMIN, &id, json!({})).await;
    assert_eq!(short.json()["previous_expires_at"], json!(soon));
    service.settle().await;
}

#[tokio::test]
async fn a_lost_answer_is_not_a_lost_key() {
    let service = Service::new();
    let ends = service.deps.now().plus_ms(DAY_MS as i64);
    let lost = rotated(&service, ADMIN, "user00000001", json!({})).await;
    service.ports.world.clock.advance(3_600_000);
    // Again, with another overlap: the unused secret goes, the old one and its end stay.
    let again = rotate(
        &service,
        ADMIN,
        "user00000001",
        json!({"overlap_s": 0, "force": true}),
    )
    .await;
    assert_eq!(
        (
            &again.json()["previous_expires_at"],
            &again.json()["secret_version"]
        ),
        (&json!(ends), &json!(3))
    );
    let new = again.json()["api_key"].as_str().unwrap().to_owned();
    assert!(works(&service, USER).await);
    assert!(!works(&service, &lost).await);
    // From its first use on, the new secret is somebody's.
    assert!(works(&service, &new).await);
    let refused = rotate(&service, ADMIN, "user00000001", json!({})).await;
    assert_eq!(refused.outcome(), (409, "rotation_in_progress".into()));
    assert_eq!(
        refused.json()["details"]["previous_expires_at"],
        json!(ends)
    );
    assert!(refused.json()["hint"].as_str().unwrap().contains("force"));
    let forced = rotated(&service, ADMIN, "user00000001", json!({"force": true})).await;
    assert!(!works(&service, USER).await);
    assert!(works(&service, &new).await && works(&service, &forced).await);
    // After the overlap nothing has to be forced.
    service.ports.world.clock.advance(DAY_MS);
    let next = rotated(&service, ADMIN, "user00000001", json!({})).await;
    assert!(!works(&service, &new).await);
    assert!(works(&service, &forced).await && works(&service, &next).await);
    service.settle().await;
}

#[tokio::test]
async fn a_first_secret_that_waits_for_its_first_use_gets_its_overlap() {
    let service = Service::new();
    let (id, first) = mint(&service, json!({"name": "deployed tomorrow"})).await;
    let second = rotated(&service, ADMIN, &id, json!({})).await;
    assert!(works(&service, &first).await && works(&service, &second).await);
    service.settle().await;
}

#[tokio::test]
async fn a_project_key_rotates_itself_and_nothing_else() {
    let service = Service::new();
    let minted = service
        .post(
            ADMIN,
            "/api-key",
            &json!({"project_id": CHAT, "name": "robot"}),
        )
        .await
        .json();
    let (id, first) = (
        minted["key_id"].as_str().unwrap(),
        minted["api_key"].as_str().unwrap(),
    );
    // The rotation itself is the first use of the secret: it is not taken for unused.
    let second = rotated(&service, first, id, json!({"overlap_s": 60})).await;
    assert!(works(&service, first).await);
    // The answer was lost: the old secret asks again.
    let third = rotated(&service, first, id, json!({})).await;
    assert!(!works(&service, &second).await);
    assert!(works(&service, &third).await && works(&service, first).await);
    // With the new secret in use, the previous one cannot take the key over, not even by force.
    for force in [false, true] {
        let refused = rotate(&service, first, id, json!({"force": force})).await;
        assert_eq!(refused.outcome(), (409, "rotation_in_progress".into()));
        assert!(
            refused.json()["hint"]
                .as_str()
                .unwrap()
                .contains("current secret")
        );
    }
    let fourth = rotated(&service, &third, id, json!({"force": true})).await;
    assert!(!works(&service, first).await);
    assert!(works(&service, &third).await && works(&service, &fourth).await);

    for (other, status) in [
        ("proj00000001", 403),
        ("user00000001", 403),
        ("fproj0000001", 404),
        ("000000000000", 404),
    ] {
        let refused = rotate(&service, &fourth, other, json!({})).await;
        assert_eq!(refused.status.as_u16(), status, "{other}");
    }
    // Reading and rotating are all that it may do with itself.
    let path = format!("/api-key/{id}");
    assert_eq!(service.get(&fourth, &path).await.status, 200);
    let request = service.app.request(http::Method::PATCH, &path).key(&fourth);
    let patched = request
        .header("if-match", "*")
        .json(&json!({"name": "x"}))
        .send()
        .await;
    assert_eq!(patched.outcome(), (403, "scope_missing".into()));
    assert_eq!(
        service.delete(&fourth, &path).await.outcome(),
        (403, "scope_missing".into())
    );
    service.settle().await;
}

#[tokio::test]
async fn who_may_rotate_which_key() {
    let service = Service::new();
    for (key_id, want) in [
        ("proj00000001", [200, 200, 403, 200, 404]),
        ("fuser0000001", [200, 404, 404, 404, 200]),
        ("000000000000", [404, 404, 404, 404, 404]),
        // From here on they have the previous secret of their own keys, which gives no other key that outlives it.
        ("user00000001", [200, 200, 200, 403, 404]),
        ("4fGh7kQ2mZ0a", [200, 200, 403, 403, 404]),
        ("root00000001", [200, 404, 404, 404, 404]),
    ] {
        for (by, want) in [ROOT, ADMIN, USER, PROJECT, FOREIGN].iter().zip(want) {
            let answer = rotate(&service, by, key_id, json!({})).await;
            assert_eq!(
                answer.status.as_u16(),
                want,
                "{key_id} by {by}: {}",
                answer.text()
            );
        }
    }
    let id = "0199a1c2-0000-7000-8000-000000000001";
    let mut seen = Vec::new();
    for key_id in ["fore00000001", "000000000000"] {
        let before = service.ports.world.ops.count().d1_queries;
        let path = format!("/api-key/{key_id}/rotate");
        let request = service
            .app
            .post(&path)
            .key(ADMIN)
            .header("x-request-id", id);
        let answer = request.json(&json!({"overlap_s": "wrong"})).send().await;
        let queries = service.ports.world.ops.count().d1_queries - before;
        seen.push((answer.status, answer.text(), queries));
    }
    assert_eq!(seen[0], seen[1]);
    service.settle().await;
}

#[tokio::test]
async fn nobody_gets_a_secret_of_a_key_that_can_do_more_than_his_own() {
    let service = Service::new();
    let soon = service.deps.now().plus_ms(10 * DAY_MS as i64);
    for (narrow, outcome) in [
        (
            json!({"name": "scopes", "scopes": ["keys:write", "images:read"]}),
            (403, "scope_missing"),
        ),
        (
            json!({"name": "instances", "instance_ids": ["development"]}),
            (403, "forbidden"),
        ),
        (
            json!({"name": "ends", "expires_at": soon}),
            (403, "forbidden"),
        ),
    ] {
        let (id, key) = mint(&service, narrow.clone()).await;
        for wide in ["4fGh7kQ2mZ0a", "user00000001"] {
            let refused = rotate(&service, &key, wide, json!({})).await;
            // A user's `*` is within the scopes of an administrator, so only the other bounds stop this one.
            assert_eq!(
                refused.outcome(),
                (outcome.0, outcome.1.to_owned()),
                "{narrow} {wide}"
            );
        }
        // The same bounds, or less, are no more than its own; and a key is its own measure.
        let (same, _) = mint(&service, narrow).await;
        rotated(&service, &key, &same, json!({})).await;
        let next = rotated(&service, &key, &id, json!({})).await;
        let session = service.post(&next, "/session", &json!({})).await.json();
        rotated(
            &service,
            session["key"].as_str().unwrap(),
            &id,
            json!({"force": true}),
        )
        .await;
    }
    let (_, restricted) = mint(
        &service,
        json!({"name": "dev", "instance_ids": ["development"]}),
    )
    .await;
    rotated(&service, &restricted, "proj00000001", json!({})).await;
    let elsewhere = service
        .post(
            ADMIN,
            "/api-key",
            &json!({"project_id": FORGE, "name": "elsewhere"}),
        )
        .await
        .json();
    let refused = rotate(
        &service,
        &restricted,
        elsewhere["key_id"].as_str().unwrap(),
        json!({}),
    )
    .await;
    assert_eq!(refused.outcome(), (403, "forbidden".into()));
    let (_, reader) = mint(
        &service,
        json!({"name": "reader", "scopes": ["images:read"]}),
    )
    .await;
    let refused = rotate(&service, &reader, "user00000001", json!({})).await;
    assert_eq!(refused.json()["details"]["scope"], "keys:write");
    service.settle().await;
}

#[tokio::test]
async fn a_key_that_has_ended_gets_no_secret() {
    let service = Service::new();
    let state = async |key_id: &str| {
        let refused = rotate(&service, ADMIN, key_id, json!({})).await;
        assert_eq!(refused.outcome(), (409, "conflict".into()));
        refused.json()["details"]["state"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(state("revoked00001").await, "revoked");
    assert_eq!(state("expired00001").await, "expired");
    service
        .run(&format!(
            "UPDATE users SET status = 'disabled' WHERE user_id = '{USER_USER}'"
        ))
        .await;
    assert_eq!(state("user00000001").await, "orphaned");
    assert_eq!(service.count("audit_log").await, 0);
    service.settle().await;
}

#[tokio::test]
async fn racing_rotations_leave_the_old_secret_and_one_new_one() {
    let service = Service::new();
    service.ports.world.faults.slow("database", 5);
    let races = (0..6).map(|_| rotate(&service, ADMIN, "user00000001", json!({})));
    let answers = futures_util::future::join_all(races).await;
    let mut made = Vec::new();
    for answer in &answers {
        match answer.status.as_u16() {
            200 => made.push(answer.json()["api_key"].as_str().unwrap().to_owned()),
            status => assert_eq!(status, 503, "{}", answer.text()),
        }
    }
    assert!(made.len() > 1, "{}", made.len());
    let mut good = 0;
    for key in &made {
        good += u32::from(works(&service, key).await);
    }
    assert_eq!(good, 1);
    assert!(works(&service, USER).await);
    assert_eq!(service.count("audit_log").await, made.len() as i64);
    service.settle().await;
}

#[tokio::test]
async fn a_fault_leaves_the_old_secret_or_the_new_one_and_the_answer_can_be_asked_again() {
    let service = Service::new();
    service.get(ADMIN, "/session").await;
    service.settle().await;
    let faults = &service.ports.world.faults;
    faults.fail("database", 2, When::Before);
    let lost = rotate(&service, ADMIN, "user00000001", json!({})).await;
    assert_eq!(lost.outcome(), (503, "database_unavailable".into()));
    assert_eq!(service.count("audit_log").await, 0);
    assert_eq!(
        service.get(ADMIN, OF_USER).await.json()["secret_version"],
        1
    );
    faults.fail("database", 2, When::After);
    let new = rotated(&service, ADMIN, "user00000001", json!({})).await;
    assert!(works(&service, &new).await && works(&service, USER).await);
    assert_eq!(faults.pending(), 0);

    let post = async |key_id: &str| {
        let request = service
            .app
            .post(&format!("/api-key/{key_id}/rotate"))
            .key(ADMIN);
        let request = request.header("idempotency-key", "once").json(&json!({}));
        request.send().await
    };
    let (first, second) = (post("proj00000001").await, post("proj00000001").await);
    assert_eq!(first.json()["api_key"], second.json()["api_key"]);
    assert_eq!(
        (second.header("idempotent-replayed"), second.header("etag")),
        ("true", "\"2\"")
    );
    // The same word for another key is another request.
    assert_eq!(post("4fGh7kQ2mZ0a").await.status, 200);
    let stored = service
        .row("SELECT count(*) AS n FROM idempotency WHERE sealed = 1 AND response NOT LIKE '%sy_%'")
        .await;
    assert_eq!(stored.int("n"), Some(2));
    service.ports.world.clock.advance(600_000);
    assert_eq!(
        post("proj00000001").await.outcome(),
        (409, "secret_already_shown".into())
    );
    service.settle().await;
}

#[tokio::test]
async fn a_previous_secret_opens_no_session_that_outlives_it() {
    let service = Service::new();
    let ends = service.deps.now().plus_ms(600_000);
    rotated(&service, ADMIN, "user00000001", json!({"overlap_s": 600})).await;
    let session = service.post(USER, "/session", &json!({})).await.json();
    assert_eq!(session["expires_at"], json!(ends));
    // Replacing a secret that was never used leaves the previous one alone, and so its session.
    let key = session["key"].as_str().unwrap();
    rotated(&service, ADMIN, "user00000001", json!({"overlap_s": 0})).await;
    assert!(works(&service, key).await);
    service.settle().await;
}

#[tokio::test]
async fn the_sweeper_empties_previous_secrets_whose_time_is_over() {
    let service = Service::new();
    rotated(&service, ADMIN, "user00000001", json!({"overlap_s": 60})).await;
    rotated(&service, ADMIN, "proj00000001", json!({"overlap_s": 120})).await;
    let kept = async || {
        service
            .count("api_keys WHERE prev_key_hash IS NOT NULL")
            .await
    };
    service.ports.world.clock.advance(59_999);
    assert_eq!(
        (service.deps.sweep().await.emptied_secrets, kept().await),
        (0, 2)
    );
    service.ports.world.clock.advance(1);
    assert_eq!(
        (service.deps.sweep().await.emptied_secrets, kept().await),
        (1, 1)
    );
    let row = service.row("SELECT prev_pepper_id, prev_expires_at, version FROM api_keys WHERE key_id = 'user00000001'").await;
    assert!(row.text("prev_pepper_id").is_none() && row.text("prev_expires_at").is_none());
    assert_eq!(row.int("version"), Some(2));
    // A sweep that fails is repeated by the next one.
    service.ports.world.clock.advance(60_000);
    let faults = &service.ports.world.faults;
    faults.fail_every("database", When::Before);
    let failed = service.deps.sweep().await;
    assert!(failed.failed_steps > 2 && failed.emptied_secrets == 0);
    faults.heal("database");
    assert_eq!(
        (service.deps.sweep().await.emptied_secrets, kept().await),
        (1, 0)
    );
    service.settle().await;
}

#[tokio::test]
async fn sessions_that_ended_long_ago_are_removed_in_bounds() {
    let service = Service::new();
    let open = async || service.post(USER, "/session", &json!({})).await.json();
    let (old, key) = (open().await, open().await);
    service
        .delete(
            USER,
            &format!("/session/{}", old["session_id"].as_str().unwrap()),
        )
        .await;
    assert_eq!(
        key["expires_at"],
        json!(service.deps.now().plus_ms(43_200_000))
    );
    service
        .ports
        .world
        .clock
        .advance(43_200_000 + 30 * DAY_MS - 1);
    let young = open().await;
    assert_eq!(service.deps.sweep().await.removed_sessions, 0);
    service.ports.world.clock.advance(1);
    assert_eq!(service.deps.sweep().await.removed_sessions, 2);
    assert_eq!(service.count("api_keys WHERE kind = 'session'").await, 1);
    assert!(works(&service, young["key"].as_str().unwrap()).await);
    let many = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 501) \
         INSERT INTO api_keys (key_id, user_id, kind, parent_key_id, key_hash, last4, pepper_id, scopes, expires_at, created_by, created_at) \
         SELECT printf('sess%08d', i), '{USER_USER}', 'session', 'user00000001', hex(zeroblob(32)), 'x', 'p1', '[]', '{}', 's', '{}' FROM n",
        Timestamp(0),
        Timestamp(0)
    );
    service.run(&many).await;
    assert_eq!(service.deps.sweep().await.removed_sessions, 500);
    assert_eq!(service.deps.sweep().await.removed_sessions, 1);
    service.settle().await;
}

//! What a secret that is ending may still make, and what a rotation ends: whoever has a leaked secret must be out.

use crate::support::*;
use middleware::testing::TestResponse;
use serde_json::{Value, json};

const OF_USER: &str = "user00000001";

async fn rotate(service: &Service, by: &str, key_id: &str, body: Value) -> TestResponse {
    let path = format!("/api-key/{key_id}/rotate");
    service.post(by, &path, &body).await
}

async fn rotated(service: &Service, by: &str, key_id: &str, overlap_s: u32) -> String {
    let answer = rotate(service, by, key_id, json!({"overlap_s": overlap_s})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["api_key"].as_str().unwrap().to_owned()
}

async fn session(service: &Service, by: &str) -> String {
    let opened = service.post(by, "/session", &json!({})).await;
    assert_eq!(opened.status, 201, "{}", opened.text());
    opened.json()["key"].as_str().unwrap().to_owned()
}

async fn works(service: &Service, key: &str) -> bool {
    service.get(key, "/session").await.status == 200
}

/// By itself, and through sessions that it opened before and after it was replaced.
#[tokio::test]
async fn a_secret_that_ends_makes_nothing_that_outlives_it() {
    let service = Service::new();
    let second = json!({"name": "second"});
    let other = service.post(USER, "/api-key", &second).await;
    let other = other.json()["key_id"].as_str().unwrap().to_owned();
    let before = session(&service, USER).await;
    let new = rotated(&service, ADMIN, OF_USER, 60).await;
    let after = session(&service, USER).await;
    let ends = service.deps.now().plus_ms(60_000);
    for caller in [USER, before.as_str(), after.as_str()] {
        for wanted in [
            json!({"name": "for ever"}),
            json!({"name": "later", "expires_at": ends.plus_ms(1)}),
        ] {
            let mint = service.post(caller, "/api-key", &wanted).await;
            assert_eq!(mint.outcome(), (403, "forbidden".into()), "{caller}");
        }
        let as_long = json!({"name": "as long", "expires_at": ends});
        let mint = service.post(caller, "/api-key", &as_long).await;
        assert_eq!(mint.status, 201, "{}", mint.text());
        let another = rotate(&service, caller, &other, json!({})).await;
        assert_eq!(another.outcome(), (403, "forbidden".into()), "{caller}");
    }
    // The new secret is bounded by nothing, nor is a session of it.
    let fresh = session(&service, &new).await;
    for caller in [new.as_str(), fresh.as_str()] {
        let own = json!({"name": "own"});
        let mint = service.post(caller, "/api-key", &own).await;
        assert_eq!(mint.status, 201);
    }
    service.ports.world.clock.advance(60_000);
    for caller in [USER, before.as_str(), after.as_str()] {
        assert!(!works(&service, caller).await, "{caller}");
    }
    assert!(works(&service, &new).await && works(&service, &fresh).await);
    service.settle().await;
}

/// A session that a thief opened with the old secret neither goes on nor gets the new secret replaced for itself.
#[tokio::test]
async fn rotating_a_leaked_key_throws_the_thief_out() {
    let service = Service::new();
    let thief = session(&service, USER).await;
    let new = rotated(&service, ADMIN, OF_USER, 0).await;
    assert!(!works(&service, &thief).await && !works(&service, USER).await);
    let again = rotate(&service, &thief, OF_USER, json!({})).await;
    assert_eq!(again.outcome(), (401, "auth_failed".into()));
    assert!(works(&service, &new).await);
    service.settle().await;
}

#[tokio::test]
async fn a_session_of_the_previous_secret_gets_no_new_one() {
    let service = Service::new();
    let before = session(&service, USER).await;
    let new = rotated(&service, ADMIN, OF_USER, 3_600).await;
    let after = session(&service, USER).await;
    for used in [false, true] {
        if used {
            assert!(works(&service, &new).await);
        }
        for caller in [&before, &after] {
            for body in [json!({}), json!({"force": true})] {
                let refused = rotate(&service, caller, OF_USER, body).await;
                assert_eq!(refused.outcome(), (409, "rotation_in_progress".into()));
            }
        }
    }
    // Ending the previous secret now ends its sessions now.
    assert!(works(&service, &before).await && works(&service, &after).await);
    let forced = json!({"force": true, "overlap_s": 3_600});
    let forced = rotate(&service, &new, OF_USER, forced).await;
    assert_eq!(forced.status, 200, "{}", forced.text());
    assert!(!works(&service, &before).await && !works(&service, &after).await);
    assert!(works(&service, &new).await);
    service.settle().await;
}

/// Who rotates his key from the console stays signed in there, and may lose the answer; other places are signed out when
/// the old secret ends.
#[tokio::test]
async fn the_session_that_rotates_goes_on() {
    let service = Service::new();
    let (here, elsewhere) = (session(&service, USER).await, session(&service, USER).await);
    rotated(&service, &here, OF_USER, 60).await;
    let new = rotated(&service, &here, OF_USER, 60).await;
    service.ports.world.clock.advance(60_000);
    assert!(works(&service, &here).await && !works(&service, &elsewhere).await);
    let own = json!({"name": "own"});
    let mint = service.post(&here, "/api-key", &own).await;
    assert_eq!(mint.status, 201);
    // A longer overlap than a session's life takes nothing from it.
    let third = session(&service, &new).await;
    let rows = async || {
        let sql = "SELECT max(expires_at) AS at FROM api_keys WHERE kind = 'session'";
        service.row(sql).await.text("at").unwrap().to_owned()
    };
    let until = rows().await;
    rotated(&service, &new, OF_USER, 604_800).await;
    assert!(works(&service, &third).await);
    assert_eq!(rows().await, until);
    // Sessions of other keys have nothing to do with it.
    let admin = session(&service, ADMIN).await;
    rotated(&service, ADMIN, OF_USER, 0).await;
    assert!(works(&service, &admin).await);
    service.settle().await;
}

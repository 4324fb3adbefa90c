//! Signing in, asking who it is, signing out: on a control plane that answers, refuses, hangs, and loses its answers.

use crate::house::{Answer, BASE, BUILD, House, KEY, OWN_PAGE, Plan, minted};
use http::Method;
use platform::SendPhase;
use platform::fakes::{FakeReply, World};
use serde_json::{Value, json};

const ORG: &str = "0198f0a0-0000-7000-8000-000000000001";
const USER: &str = "0198f0a1-0000-7000-8000-000000000001";
const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";

/// config-service's document, as it stands in `docs/api/sessions.md`.
fn who_am_i(session: &Value) -> Value {
    json!({
        "principal": "key:4fGh7kQ2mZ0a", "kind": "session", "role": "admin",
        "user": {"user_id": USER, "email": "admin@acme.example", "org_id": ORG},
        "organization": {"org_id": ORG, "name": "Acme Corp."},
        "project_id": null, "key_id": "4fGh7kQ2mZ0a",
        "key": {"key_id": "8Kq2mZ0a4fGh", "secret": "current", "expires_at": "2026-11-27T22:00:00.000Z"},
        "session": session,
        "permissions": ["*"],
        "instances": [{"instance_id": "production", "name": "Production", "environment": "production", "status": "active"}],
        "instances_more": false, "request_id": "x",
    })
}

fn details() -> Value {
    json!({
        "session_id": "8Kq2mZ0a4fGh", "label": "Chromium on Linux", "key_id": "4fGh7kQ2mZ0a", "user_id": USER,
        "created_at": "2026-11-27T10:00:00.000Z", "last_used_at": null,
        "expires_at": "2026-11-27T22:00:00.000Z", "current": true,
    })
}

fn opened(key: &str) -> FakeReply {
    FakeReply::json(
        201,
        &json!({
            "key": key, "session_id": "8Kq2mZ0a4fGh", "label": "x", "created_at": "2026-11-27T10:00:00.000Z",
            "expires_at": "2026-11-27T22:00:00.000Z", "request_id": "x",
        }),
    )
}

fn refusal(status: u16, code: &str, details: &Value) -> FakeReply {
    let body = json!({
        "error": code, "message": "m", "hint": "h", "details": details, "docs": "d", "request_id": "r",
    });
    FakeReply::json(status, &body)
}

async fn sign_in(house: &House, key: &str) -> Answer {
    let mut headers = OWN_PAGE.to_vec();
    headers.extend([("user-agent", AGENT), ("cf-connecting-ip", "203.0.113.7")]);
    let body = json!({"api_key": key});
    house
        .send(Method::POST, "/auth/session", &headers, Some(body))
        .await
}

async fn with_session(house: &House, method: Method, key: &str) -> Answer {
    let cookie = format!("theme=dark; sy_session_8787={key}");
    let mut headers = OWN_PAGE.to_vec();
    headers.push(("cookie", &cookie));
    house.send(method, "/auth/session", &headers, None).await
}

fn cleared(answer: &Answer) -> bool {
    answer.header("set-cookie") == "sy_session_8787=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"
}

/// Nothing of a key stands in the body or in a log line.
fn nothing_leaked(house: &House, answer: &Answer, keys: &[&str]) {
    let lines = serde_json::to_string(&house.lines()).unwrap();
    for key in keys {
        assert!(!answer.text().contains(key), "{}", answer.text());
        assert!(!lines.contains(key), "{lines}");
    }
}

#[tokio::test]
async fn a_key_becomes_a_session_in_the_cookie_and_is_forgotten() {
    let house = House::local();
    let session = minted(&house.world);
    let session = session.expose();
    house.config().reply(opened(session));
    house
        .config()
        .reply(FakeReply::json(200, &who_am_i(&details())));
    let answer = sign_in(&house, KEY).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        answer.json(),
        json!({
            "principal": {
                "user_id": USER, "email": "admin@acme.example", "role": "admin", "org_id": ORG,
                "org_name": "Acme Corp.", "key_id": "4fGh7kQ2mZ0a", "permissions": ["*"],
                "instances": [{"instance_id": "production", "name": "Production", "environment": "production", "status": "active"}],
                "instances_more": false,
            },
            "session": {
                "session_id": "8Kq2mZ0a4fGh", "created_at": "2026-11-27T10:00:00.000Z",
                "expires_at": "2026-11-27T22:00:00.000Z",
            },
            "environment": "local", "git_sha": BUILD, "simulator": true,
        })
    );
    assert_eq!(
        answer.header("set-cookie"),
        format!("sy_session_8787={session}; Path=/; HttpOnly; SameSite=Strict; Max-Age=43200")
    );
    assert_eq!(answer.header("cache-control"), "no-store");

    let sent = house.config().requests();
    assert_eq!(sent.len(), 2);
    let shown: Vec<_> = sent
        .iter()
        .map(|it| (it.method.as_str(), it.url.as_str()))
        .collect();
    let url = "http://config-service/session";
    assert_eq!(shown, [("POST", url), ("GET", url)]);
    assert_eq!(sent[0].headers["authorization"], format!("Bearer {KEY}"));
    assert_eq!(
        sent[1].headers["authorization"],
        format!("Bearer {session}")
    );
    assert_eq!(
        serde_json::from_slice::<Value>(&sent[0].body).unwrap(),
        json!({"label": "Chromium on Linux"})
    );
    for request in &sent {
        assert_eq!(request.headers["cf-connecting-ip"], "203.0.113.7");
        assert_eq!(
            request.headers["x-request-id"],
            answer.header("x-request-id")
        );
        assert!(!request.headers.contains_key("cookie"));
        assert!(!request.headers.contains_key("origin"));
    }
    nothing_leaked(&house, &answer, &[KEY, session]);
}

#[tokio::test]
async fn the_cookie_follows_the_environment() {
    let mut plan = Plan::default();
    plan.gateway.public_origins = vec!["https://console.acme.example".to_owned()];
    let deployed = House::new(plan);
    for origin in ["https://console.example", "https://console.acme.example"] {
        let session = minted(&deployed.world);
        deployed.config().reply(opened(session.expose()));
        let mut who = who_am_i(&details());
        who["organization"] = Value::Null;
        deployed.config().reply(FakeReply::json(200, &who));
        let headers = [("origin", origin), ("x-switchyard-console", "1")];
        let body = Some(json!({"api_key": KEY}));
        let url = "https://console.example/auth/session";
        let answer = deployed.send(Method::POST, url, &headers, body).await;
        let cookie = format!(
            "__Host-sy_session={}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=43200",
            session.expose()
        );
        assert_eq!(answer.header("set-cookie"), cookie, "{origin}");
        assert_eq!(answer.json()["environment"], "production");
        assert_eq!(answer.json()["simulator"], false);
        // A superadmin has no organization.
        assert!(answer.json()["principal"]["org_id"].is_null());
    }
}

#[tokio::test]
async fn a_malformed_key_or_body_costs_no_call() {
    let house = House::local();
    let typo = KEY.replace("akblb", "akblc");
    for (body, status, code) in [
        (json!({"api_key": typo}), 401, "auth_failed"),
        (json!({"api_key": ""}), 401, "auth_failed"),
        (json!({"api_key": format!("{KEY} ")}), 401, "auth_failed"),
        (json!({"api_key": "sy_".repeat(100)}), 401, "auth_failed"),
        (
            json!({"api_key": "x".repeat(10_000)}),
            413,
            "payload_too_large",
        ),
        (json!({"api_key": 1}), 400, "invalid_field"),
        (json!({"api_key": KEY, "label": "x"}), 400, "unknown_field"),
        (json!({}), 400, "invalid_field"),
        (json!([KEY]), 400, "invalid_field"),
    ] {
        let answer = house
            .send(Method::POST, "/auth/session", &OWN_PAGE, Some(body))
            .await;
        assert_eq!(answer.outcome(), (status, code.to_owned()));
        assert_eq!(answer.header("set-cookie"), "");
        nothing_leaked(&house, &answer, &[KEY, &typo]);
    }
    let mut form = OWN_PAGE.to_vec();
    form.push(("content-type", "application/x-www-form-urlencoded"));
    form.push(("content-length", "5"));
    let answer = house.send(Method::POST, "/auth/session", &form, None).await;
    assert_ne!(answer.status, 200);
    assert!(house.config().requests().is_empty());
}

#[tokio::test]
async fn what_the_control_plane_refuses_is_told_in_words_that_help() {
    for (reply, status, code, reason) in [
        (
            refusal(401, "auth_failed", &json!({"reason": "revoked"})),
            401,
            "auth_failed",
            "revoked",
        ),
        (
            refusal(401, "auth_failed", &json!({"reason": "unknown"})),
            401,
            "auth_failed",
            "unknown",
        ),
        (refusal(403, "forbidden", &json!({})), 403, "forbidden", ""),
        (
            refusal(429, "too_many_auth_failures", &json!({})),
            429,
            "too_many_auth_failures",
            "",
        ),
        (
            refusal(503, "database_unavailable", &json!({})),
            503,
            "config_unavailable",
            "",
        ),
        (
            refusal(409, "conflict", &json!({})),
            503,
            "config_unavailable",
            "",
        ),
        (
            FakeReply::bytes(400, "text/html", "<html>"),
            503,
            "config_unavailable",
            "",
        ),
    ] {
        let house = House::local();
        house.config().reply(reply);
        let answer = sign_in(&house, KEY).await;
        assert_eq!(answer.outcome(), (status, code.to_owned()));
        let told = answer.json()["details"]["reason"]
            .as_str()
            .unwrap_or("")
            .to_owned();
        assert_eq!(told, reason);
        assert_eq!(answer.header("set-cookie"), "");
        assert_eq!(house.config().requests().len(), 1);
        if status == 403 {
            assert!(answer.json()["hint"].as_str().unwrap().contains("/play"));
        }
        if status == 429 || status == 503 {
            assert_ne!(answer.header("retry-after"), "", "{code}");
        }
        nothing_leaked(&house, &answer, &[KEY]);
    }
}

#[tokio::test]
async fn a_control_plane_that_is_down_slow_or_odd_signs_nobody_in() {
    let odd_key = opened("sy_not_a_key; Domain=evil");
    for reply in [
        FakeReply::failure(SendPhase::NotSent, "no such worker"),
        FakeReply::failure(SendPhase::MaybeSent, "Network connection lost."),
        FakeReply::json(201, &json!({})).delayed(60_000),
        FakeReply::json(201, &json!({"key": KEY})).cut_after(4),
        FakeReply::bytes(201, "application/json", vec![b' '; 400_000]),
        FakeReply::status(500),
    ] {
        let house = House::local();
        house.config().reply(reply);
        let answer = sign_in(&house, KEY).await;
        assert_eq!(answer.outcome(), (503, "config_unavailable".to_owned()));
        assert_eq!(answer.header("set-cookie"), "");
        assert_eq!(house.config().requests().len(), 1, "never repeated");
        nothing_leaked(&house, &answer, &[KEY]);
    }
    for reply in [FakeReply::json(201, &json!({})), odd_key] {
        let house = House::local();
        house.config().reply(reply);
        let answer = sign_in(&house, KEY).await;
        assert_eq!(answer.outcome(), (500, "internal_error".to_owned()));
        assert_eq!(answer.header("set-cookie"), "");
    }
    let unbound = House::new(Plan::local().without("CONFIG_SERVICE"));
    let answer = sign_in(&unbound, KEY).await;
    assert_eq!(answer.outcome(), (503, "config_unavailable".to_owned()));
}

/// The session exists and nobody holds it: it ends by itself, and a second try makes another one.
#[tokio::test]
async fn an_answer_lost_after_the_session_was_made_leaves_nothing_in_the_browser() {
    let house = House::local();
    let (first, second) = (minted(&house.world), minted(&house.world));
    let lost = FakeReply::failure(SendPhase::MaybeSent, "Network connection lost.");
    house.config().reply(opened(first.expose()));
    house.config().reply(lost);
    let answer = sign_in(&house, KEY).await;
    assert_eq!(answer.outcome(), (503, "config_unavailable".to_owned()));
    assert_eq!(answer.header("set-cookie"), "");
    nothing_leaked(&house, &answer, &[KEY, first.expose()]);

    house.config().reply(opened(second.expose()));
    house
        .config()
        .reply(FakeReply::json(200, &who_am_i(&details())));
    let again = sign_in(&house, KEY).await;
    assert_eq!(again.status, 200);
    assert!(again.header("set-cookie").contains(second.expose()));
    assert_eq!(house.config().requests().len(), 4);

    // The second answer may be wrong instead of missing.
    for (reply, status) in [
        (refusal(401, "auth_failed", &json!({})), 503),
        (FakeReply::json(200, &who_am_i(&Value::Null)), 500),
        (FakeReply::json(200, &json!({"role": "admin"})), 500),
    ] {
        house.config().reply(opened(first.expose()));
        house.config().reply(reply);
        let answer = sign_in(&house, KEY).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("set-cookie"), "");
    }
}

#[tokio::test]
async fn who_is_signed_in_is_asked_with_the_session_alone() {
    let house = House::local();
    house
        .config()
        .reply(FakeReply::json(200, &who_am_i(&details())));
    let answer = with_session(&house, Method::GET, KEY).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["principal"]["email"], "admin@acme.example");
    assert_eq!(answer.header("set-cookie"), "");
    let sent = house.config().requests().remove(0);
    assert_eq!(sent.headers["authorization"], format!("Bearer {KEY}"));
    nothing_leaked(&house, &answer, &[KEY]);
}

#[tokio::test]
async fn without_a_living_session_the_cookie_is_cleared() {
    let house = House::local();
    let absent = house.get("/auth/session").await;
    assert_eq!(absent.outcome(), (401, "auth_failed".to_owned()));
    assert_eq!(absent.json()["details"]["reason"], "missing");
    assert!(cleared(&absent));
    let typo = KEY.replace("akblb", "akblc");
    assert!(cleared(&with_session(&house, Method::GET, &typo).await));
    assert!(house.config().requests().is_empty());

    house
        .config()
        .reply(refusal(401, "auth_failed", &json!({"reason": "expired"})));
    let ended = with_session(&house, Method::GET, KEY).await;
    assert_eq!(ended.outcome(), (401, "auth_failed".to_owned()));
    assert_eq!(ended.json()["details"]["reason"], "expired");
    assert!(cleared(&ended));

    // A long-lived key in the cookie is no session.
    house
        .config()
        .reply(FakeReply::json(200, &who_am_i(&Value::Null)));
    let key = with_session(&house, Method::GET, KEY).await;
    assert_eq!(key.json()["details"]["reason"], "not_a_session");
    assert!(cleared(&key));
}

#[tokio::test]
async fn an_outage_signs_nobody_out() {
    let house = House::local();
    for (reply, code) in [
        (FakeReply::status(503), "config_unavailable"),
        (
            FakeReply::json(200, &json!({})).delayed(60_000),
            "config_unavailable",
        ),
        (
            refusal(429, "too_many_auth_failures", &json!({})),
            "too_many_auth_failures",
        ),
    ] {
        house.config().reply(reply);
        let answer = with_session(&house, Method::GET, KEY).await;
        assert_eq!(answer.outcome().1, code);
        assert_eq!(answer.header("set-cookie"), "");
    }
}

#[tokio::test]
async fn signing_out_ends_the_session_and_can_be_repeated() {
    let house = House::local();
    for reply in [
        FakeReply::status(204),
        refusal(401, "auth_failed", &json!({"reason": "revoked"})),
        refusal(404, "not_found", &json!({})),
    ] {
        house.config().reply(reply);
        let answer = with_session(&house, Method::DELETE, KEY).await;
        assert_eq!(answer.status, 204);
        assert!(cleared(&answer));
        let sent = house.config().requests().pop().unwrap();
        assert_eq!(sent.method, Method::DELETE);
        assert_eq!(sent.url, "http://config-service/session/4fGh7kQ2mZ0a");
        assert_eq!(sent.headers["authorization"], format!("Bearer {KEY}"));
    }
    let calls = house.config().requests().len();
    let nobody = house
        .send(Method::DELETE, "/auth/session", &OWN_PAGE, None)
        .await;
    assert_eq!(nobody.status, 204);
    assert!(cleared(&nobody));
    assert_eq!(house.config().requests().len(), calls);
}

#[tokio::test]
async fn a_session_that_could_not_be_ended_is_told_and_leaves_the_browser() {
    let house = House::local();
    for reply in [
        FakeReply::failure(SendPhase::MaybeSent, "Network connection lost."),
        FakeReply::status(204).delayed(60_000),
        FakeReply::status(503),
        refusal(429, "too_many_auth_failures", &json!({})),
    ] {
        house.config().reply(reply);
        let answer = with_session(&house, Method::DELETE, KEY).await;
        assert_eq!(answer.status, 202);
        assert_eq!(answer.json(), json!({"ended": false}));
        assert!(cleared(&answer));
    }
    let warned = house
        .lines()
        .iter()
        .filter(|it| it["level"] == "WARN")
        .count();
    assert_eq!(warned, 4, "{:?}", house.lines());
}

#[tokio::test]
async fn another_site_signs_nobody_in_or_out() {
    let house = House::local();
    let attacks: [&[(&str, &str)]; 7] = [
        &[],
        &[("origin", BASE)],
        &[("x-switchyard-console", "1")],
        &[
            ("origin", "http://evil.example"),
            ("x-switchyard-console", "1"),
        ],
        &[("origin", "null"), ("x-switchyard-console", "1")],
        &[("origin", BASE), ("x-switchyard-console", "yes")],
        &[
            ("origin", BASE),
            ("x-switchyard-console", "1"),
            ("sec-fetch-site", "same-site"),
        ],
    ];
    let cookie = format!("sy_session_8787={KEY}");
    let bearer = format!("Bearer {KEY}");
    let mut refused = 0;
    for attack in attacks {
        for method in [Method::POST, Method::DELETE] {
            for extra in [
                ("x-extra", "1"),
                ("cookie", &cookie),
                ("authorization", &bearer),
            ] {
                let mut headers = attack.to_vec();
                headers.push(extra);
                let body = (method == Method::POST).then(|| json!({"api_key": KEY}));
                let answer = house
                    .send(method.clone(), "/auth/session", &headers, body)
                    .await;
                assert_eq!(
                    answer.outcome(),
                    (403, "csrf_rejected".to_owned()),
                    "{method} {headers:?}"
                );
                assert_eq!(answer.header("set-cookie"), "");
                refused += 1;
            }
        }
    }
    let read = [("sec-fetch-site", "cross-site"), ("cookie", &cookie)];
    let answer = house.send(Method::GET, "/auth/session", &read, None).await;
    assert_eq!(answer.outcome(), (403, "csrf_rejected".to_owned()));
    assert!(house.config().requests().is_empty());
    let warned = house
        .lines()
        .iter()
        .filter(|it| it["level"] == "WARN" && it.to_string().contains("csrf_rejected"))
        .count();
    assert_eq!(warned, refused + 1, "one line each");
}

#[test]
fn the_fakes_make_keys_of_the_right_form() {
    let world = World::auto();
    assert!(auth::key::parse(minted(&world).expose()).is_ok());
    assert!(auth::key::parse(KEY).is_ok());
}

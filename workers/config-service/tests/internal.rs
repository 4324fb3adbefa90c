//! Verdicts, configurations and sealed keys for other workers, and the shield against guessing.

mod support;

use http::Method;
use platform::fakes::When;
use serde_json::{Value, json};
use support::*;

#[tokio::test]
async fn internal_routes_are_nowhere_without_props() {
    let service = Service::new();
    let routes = [
        (Method::POST, "/internal/v1/resolve", Some(ask(ADMIN, None))),
        (Method::GET, "/internal/v1/config/production", None),
        (
            Method::GET,
            "/internal/v1/credentials/production/ideogram",
            None,
        ),
        (
            Method::POST,
            "/internal/v1/credentials/report",
            Some(json!({"items": []})),
        ),
    ];
    for (method, path, body) in &routes {
        let id = "0199a1c2-0000-7000-8000-000000000001";
        let unknown = service
            .app
            .get("/internal/v1/unknown")
            .header("x-request-id", id)
            .send()
            .await;
        let mut request = service
            .app
            .request(method.clone(), path)
            .key(ADMIN)
            .header("x-request-id", id)
            .header("x-caller", "image-gen")
            .header("cf-props", "{\"caller\":\"image-gen\"}");
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await;
        assert_eq!(
            (answer.status.as_u16(), answer.text()),
            (404, unknown.text()),
            "{path}"
        );
        let stranger = service
            .app
            .request(method.clone(), path)
            .from_worker("admission")
            .send()
            .await;
        assert_eq!(stranger.status, 404);
    }
    // Workers that open no keys get none, not even sealed.
    for caller in ["telemetry", "console"] {
        let answer = service
            .app
            .get("/internal/v1/credentials/production/ideogram")
            .from_worker(caller)
            .send()
            .await;
        assert_eq!(answer.status, 404);
    }
    service.settle().await;
}

#[tokio::test]
async fn a_verdict_brings_caller_and_configuration_in_one_batch() {
    let service = Service::new();
    service
        .put(
            ADMIN,
            "/instance/development/provider-key/ideogram",
            &json!({"api_key": "ide-live-canary-0123456789f2c9"}),
        )
        .await;
    service.settle().await;
    let before = service.ports.world.faults.calls("database");
    let answer = service.resolve("image-gen", &ask(USER, None)).await;
    assert_eq!(service.ports.world.faults.calls("database") - before, 1);
    let body = answer.json();
    assert_eq!(answer.status, 200, "{body}");
    assert_eq!(body["v"], 1);
    assert_eq!(body["auth"]["principal"], "key:user00000001");
    assert_eq!(body["auth"]["kind"], "user_key");
    assert_eq!(body["auth"]["role"], "user");
    assert_eq!(body["auth"]["user"]["email"], "user@acme.example");
    assert_eq!(body["auth"]["instances"], json!(["development"]));
    assert_eq!(
        body["instance"],
        json!({"instance_id": "development", "status": "active", "config_version": 2})
    );
    assert_eq!(body["project"], Value::Null);
    let sealed = body["config"]["api_keys"]["ideogram"].as_str().unwrap();
    assert!(sealed.starts_with("v1.k1."));
    serde_json::from_value::<api_types::ResolveReply>(body.clone()).unwrap();
    let for_console = service.resolve("console", &ask(USER, None)).await.json();
    assert_eq!(for_console["config"]["api_keys"], json!({}));
    // A held version brings no body.
    let mut held = ask(USER, Some("development"));
    held["have"] = json!({"instance_id": "development", "config_version": 2});
    let same = service.resolve("image-gen", &held).await.json();
    assert_eq!(
        (
            same["config"].clone(),
            same["instance"]["config_version"].clone()
        ),
        (Value::Null, json!(2))
    );
    // The envelope opens with what the credential route says it is bound to.
    let credential = service
        .app
        .get("/internal/v1/credentials/development/ideogram")
        .from_worker("image-gen")
        .send()
        .await
        .json();
    let text = |name: &str| credential[name].as_str().unwrap().to_owned();
    let context = auth::envelope::CredentialContext {
        org_id: api_types::OrgId::parse(&text("org_id")).unwrap(),
        instance_id: api_types::InstanceId::parse("development").unwrap(),
        provider: api_types::ProviderName::parse("ideogram").unwrap(),
        credential_id: api_types::CredentialId::parse(&text("credential_id")).unwrap(),
        host: text("host"),
    };
    assert_eq!(context.host, "127.0.0.1:8790");
    let opened = service
        .deps
        .settings
        .keks()
        .unwrap()
        .open(&context, &api_types::Ciphertext(sealed.to_owned()))
        .unwrap();
    assert_eq!(*opened, br#"{"api_key":"ide-live-canary-0123456789f2c9"}"#);
    let by_id = format!(
        "/internal/v1/credentials/development/ideogram?credential_id={}",
        context.credential_id
    );
    assert_eq!(
        service
            .app
            .get(&by_id)
            .from_worker("repo-agent")
            .send()
            .await
            .json(),
        credential
    );
    for missing in [
        "/internal/v1/credentials/development/openai",
        "/internal/v1/credentials/production/ideogram",
    ] {
        assert_eq!(
            service
                .app
                .get(missing)
                .from_worker("image-gen")
                .send()
                .await
                .status,
            404
        );
    }
    service.settle().await;
}

/// Four principals by hints, with what each is answered.
#[tokio::test]
async fn the_instance_is_chosen_or_the_refusal_says_why() {
    let service = Service::new();
    let none: (Option<&str>, Option<&str>) = (None, None);
    let hints = [
        none,
        (Some("development"), None),
        (Some("production"), None),
        (Some("foreign"), None),
        (Some("nowhere"), None),
        (None, Some(CHAT)),
        (None, Some(FORGE)),
        (None, Some(FOREIGN_PROJECT)),
        (Some("production"), Some(CHAT)),
        (Some("development"), Some(CHAT)),
    ];
    let missing = "404 not_found";
    let required = "400 instance_required";
    let mismatch = "400 project_mismatch";
    for (key, want) in [
        (
            ROOT,
            [
                required,
                "development",
                "production",
                "foreign",
                missing,
                "development",
                "production",
                "foreign",
                mismatch,
                "development",
            ],
        ),
        (
            ADMIN,
            [
                required,
                "development",
                "production",
                missing,
                missing,
                "development",
                "production",
                missing,
                mismatch,
                "development",
            ],
        ),
        (
            USER,
            [
                "development",
                "development",
                "403 forbidden",
                missing,
                missing,
                "development",
                "403 forbidden",
                missing,
                "403 forbidden",
                "development",
            ],
        ),
        (
            PROJECT,
            [
                "development",
                "development",
                "403 forbidden",
                missing,
                missing,
                "development",
                "403 forbidden",
                missing,
                "403 forbidden",
                "development",
            ],
        ),
    ] {
        for ((instance, project), want) in hints.into_iter().zip(want) {
            let mut body = ask(key, instance);
            body["project_hint"] = json!(project);
            let answer = service.resolve("image-gen", &body).await;
            let got = match answer.json()["instance"]["instance_id"].as_str() {
                Some(id) => id.to_owned(),
                None => format!("{} {}", answer.outcome().0, answer.outcome().1),
            };
            assert_eq!(got, want, "{key} {instance:?} {project:?}");
            if answer.status != 200 {
                assert!(!answer.text().contains("config"), "{}", answer.text());
            }
        }
    }
    let list = service.resolve("image-gen", &ask(ADMIN, None)).await.json();
    assert_eq!(
        list["details"]["instances"],
        json!(["development", "production"])
    );
    assert_eq!(list["details"]["more"], false);
    let bad = service
        .resolve("image-gen", &ask(ADMIN, Some("../x")))
        .await;
    assert_eq!(bad.outcome(), (400, "invalid_field".into()));
    let project = json!({"v": 1, "credential": USER, "need": "project"});
    assert_eq!(
        service.resolve("image-gen", &project).await.outcome(),
        (400, "project_required".into())
    );
    let own = json!({"v": 1, "credential": PROJECT, "need": "project"});
    let own = service.resolve("image-gen", &own).await.json();
    assert_eq!(
        own["project"],
        json!({"project_id": CHAT, "name": "Website Chat"})
    );
    let principal = json!({"v": 1, "credential": ADMIN, "need": "principal"});
    let principal = service.resolve("image-gen", &principal).await.json();
    assert_eq!(
        (
            principal["instance"].clone(),
            principal["auth"]["instances"].as_array().unwrap().len()
        ),
        (Value::Null, 2)
    );
    service.settle().await;
}

#[tokio::test]
async fn wrong_keys_are_refused_without_telling_more_than_the_secret_proves() {
    let service = Service::new();
    let resolve = async |key: &str| {
        let answer = service
            .resolve("image-gen", &ask(key, Some("production")))
            .await;
        (
            answer.outcome(),
            answer.json()["details"]["reason"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        )
    };
    let refused = |reason: &str| ((401, "auth_failed".to_owned()), reason.to_owned());
    let before = service.ports.world.ops.count().d1_queries;
    for malformed in [
        "",
        "sy_",
        &ADMIN[1..],
        &ADMIN.to_lowercase(),
        &format!("{ADMIN}x"),
        &"x".repeat(10_240),
    ] {
        assert_eq!(resolve(malformed).await, refused("malformed"));
        assert_eq!(
            service.get(malformed, "/session").await.outcome(),
            (401, "auth_failed".into())
        );
    }
    assert_eq!(service.ports.world.ops.count().d1_queries, before);
    assert_eq!(resolve(&tampered(ADMIN)).await, refused("unknown"));
    assert_eq!(resolve(&tampered(REVOKED)).await, refused("unknown"));
    assert_eq!(resolve(REVOKED).await, refused("revoked"));
    assert_eq!(resolve(EXPIRED).await, refused("expired"));
    service
        .run("UPDATE users SET status = 'disabled' WHERE email = 'user@acme.example'")
        .await;
    assert_eq!(resolve(USER).await, refused("orphaned"));
    service
        .run("UPDATE organizations SET status = 'suspended'")
        .await;
    assert_eq!(resolve(ADMIN).await, refused("orphaned"));
    assert_eq!(resolve(ROOT).await.0.0, 200);
    let none = service.app.get("/session").send().await;
    assert_eq!(none.outcome(), (401, "auth_failed".into()));
    assert_eq!(none.header("www-authenticate"), "Bearer");
    let unknown = service.get(&tampered(ADMIN), "/session").await;
    assert_eq!(unknown.json()["details"]["reason"], "unknown");
    service.settle().await;
}

#[tokio::test]
async fn a_guessers_address_is_blocked_and_the_owner_elsewhere_is_not() {
    let service = Service::new();
    let wrong = tampered(ADMIN);
    let from = async |key: &str, ip: &str| {
        let mut body = ask(key, Some("production"));
        body["client_ip"] = json!(ip);
        service.resolve("image-gen", &body).await
    };
    for _ in 0..10 {
        assert_eq!(from(&wrong, "203.0.113.9").await.status, 401);
    }
    let over = from(&wrong, "203.0.113.9").await;
    assert_eq!(over.outcome(), (429, "too_many_auth_failures".into()));
    assert_eq!(over.header("retry-after"), "60");
    let before = service.ports.world.ops.count().d1_queries;
    assert_eq!(from(ADMIN, "203.0.113.9").await.status, 429);
    let public = service
        .app
        .get("/session")
        .key(ADMIN)
        .header("cf-connecting-ip", "203.0.113.9")
        .send()
        .await;
    assert_eq!(public.status, 429);
    assert_eq!(service.ports.world.ops.count().d1_queries, before);
    assert_eq!(from(ADMIN, "203.0.113.10").await.status, 200);
    service.ports.world.clock.advance(60_000);
    assert_eq!(from(ADMIN, "203.0.113.9").await.status, 200);
    service.settle().await;
}

#[tokio::test]
async fn using_a_key_is_recorded_first_at_once_then_once_a_minute() {
    let service = Service::new();
    service
        .run("UPDATE api_keys SET secret_first_used_at = NULL")
        .await;
    let used = async || {
        let row = service.row("SELECT secret_first_used_at AS f, last_used_at AS l FROM api_keys WHERE key_id = 'user00000001'").await;
        (
            row.text("f").map(str::to_owned),
            row.text("l").map(str::to_owned),
        )
    };
    let start = service.deps.now();
    service.resolve("image-gen", &ask(USER, None)).await;
    assert_eq!(
        used().await,
        (Some(start.to_string()), Some(start.to_string()))
    );
    service.settle().await;
    service.ports.world.clock.advance(59_000);
    service.resolve("image-gen", &ask(USER, None)).await;
    service.settle().await;
    assert_eq!(used().await.1, Some(start.to_string()));
    service.ports.world.clock.advance(1_000);
    service.resolve("image-gen", &ask(USER, None)).await;
    assert_eq!(used().await.1, Some(start.to_string()));
    service.settle().await;
    assert_eq!(used().await.1, Some(start.plus_ms(60_000).to_string()));
}

#[tokio::test]
async fn a_key_under_an_older_pepper_is_hashed_anew_at_its_next_use() {
    let service = Service::with(second_pepper(true));
    assert_eq!(
        service.app.get("/health").send().await.json()["old_pepper_rows"],
        7
    );
    assert_eq!(
        service.resolve("image-gen", &ask(USER, None)).await.status,
        200
    );
    service.settle().await;
    let row = service
        .row("SELECT pepper_id FROM api_keys WHERE key_id = 'user00000001'")
        .await;
    assert_eq!(row.text("pepper_id"), Some("p2"));
    assert_eq!(
        service.resolve("image-gen", &ask(USER, None)).await.status,
        200
    );
    service.ports.world.clock.advance(60_000);
    assert_eq!(
        service.app.get("/health").send().await.json()["old_pepper_rows"],
        6
    );
    service.settle().await;
}

/// Settings with two peppers, or with the new one alone.
fn second_pepper(with_old: bool) -> config_service::settings::Settings {
    use base64::Engine as _;
    let encode = |bytes: [u8; 32]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let (old, new) = (encode(std::array::from_fn(|i| i as u8)), encode([5; 32]));
    let mut names = vec!["KEY_PEPPER_p2".to_owned()];
    if with_old {
        names.push("KEY_PEPPER_p1".to_owned());
    }
    config_service::settings::Settings::read(&names, move |name| match name {
        "KEK_CURRENT" => Some("k1".to_owned()),
        "KEY_PEPPER_CURRENT" => Some("p2".to_owned()),
        "KEY_PEPPER_p1" => Some(old.clone()),
        "KEK_k1" | "KEY_PEPPER_p2" => Some(new.clone()),
        _ => None,
    })
}

#[tokio::test]
async fn an_old_pepper_may_go_when_no_secret_that_works_needs_it() {
    let service = Service::with(second_pepper(true));
    let old_rows = async || {
        service.ports.world.clock.advance(60_000);
        service.app.get("/health").send().await.json()["old_pepper_rows"].clone()
    };
    // A rotated key is hashed under the new pepper, its previous secret under the old one.
    let rotate = service
        .post(
            ADMIN,
            "/api-key/user00000001/rotate",
            &json!({"overlap_s": 600}),
        )
        .await;
    assert_eq!(rotate.status, 200, "{}", rotate.text());
    service.settle().await;
    // ADMIN was hashed anew by its use.
    for key in [ROOT, PROJECT, FOREIGN] {
        assert_eq!(service.get(key, "/session").await.status, 200);
    }
    for unused in ["fuser0000001", "fproj0000001"] {
        service.delete(ROOT, &format!("/api-key/{unused}")).await;
    }
    service.settle().await;
    assert_eq!(old_rows().await, 1);
    assert_eq!(service.get(USER, "/session").await.status, 200);
    service.ports.world.clock.advance(600_000);
    assert_eq!(old_rows().await, 0);

    let service = service.deployed(second_pepper(false));
    for key in [ROOT, ADMIN, PROJECT, FOREIGN] {
        assert_eq!(service.get(key, "/session").await.status, 200);
    }
    // Keys that ended under it are refused like unknown ones, not with a fault of ours.
    for key in [REVOKED, EXPIRED] {
        let refused = service.get(key, "/session").await;
        assert_eq!(refused.outcome(), (401, "auth_failed".into()));
        assert_eq!(refused.json()["details"]["reason"], "unknown");
    }
    service.settle().await;
}

#[tokio::test]
async fn a_new_hash_never_overwrites_a_new_secret() {
    let service = Service::with(second_pepper(true));
    // The use is answered; its new hash waits in the background while the key gets another secret.
    assert_eq!(service.get(USER, "/session").await.status, 200);
    let rotated = service
        .post(ADMIN, "/api-key/user00000001/rotate", &json!({}))
        .await
        .json();
    service.settle().await;
    let new = rotated["api_key"].as_str().unwrap();
    assert_eq!(service.get(new, "/session").await.status, 200);
    assert_eq!(service.get(USER, "/session").await.status, 200);
    service.settle().await;
    let row = service
        .row("SELECT pepper_id, prev_pepper_id FROM api_keys WHERE key_id = 'user00000001'")
        .await;
    assert_eq!(
        (row.text("pepper_id"), row.text("prev_pepper_id")),
        (Some("p2"), Some("p1"))
    );
}

#[tokio::test]
async fn a_served_copy_is_confirmed_in_kv_once_in_240_seconds() {
    let service = Service::new();
    let puts = || service.ports.world.faults.calls("kv.put");
    service.resolve("image-gen", &ask(USER, None)).await;
    service.resolve("image-gen", &ask(USER, None)).await;
    service.settle().await;
    assert_eq!(puts(), 1);
    assert!(service.ports.kv.newest("cfg:v1:development").is_some());
    service.ports.world.clock.advance(239_999);
    service.resolve("image-gen", &ask(USER, None)).await;
    service.settle().await;
    assert_eq!(puts(), 1);
    service.ports.world.clock.advance(1);
    // A KV that fails is not the caller's trouble.
    service.ports.world.faults.fail("kv.put", 1, When::Before);
    assert_eq!(
        service.resolve("image-gen", &ask(USER, None)).await.status,
        200
    );
    service.settle().await;
    assert_eq!(puts(), 2);
}

#[tokio::test]
async fn configurations_are_read_without_a_caller() {
    let service = Service::new();
    let get = async |path: &str| service.app.get(path).from_worker("image-gen").send().await;
    let full = get("/internal/v1/config/production").await;
    assert_eq!(full.status, 200);
    let config: api_types::InstanceConfig = serde_json::from_value(full.json()).unwrap();
    assert_eq!(
        (config.instance_id.as_str(), config.config_version),
        ("production", 1)
    );
    let same = get("/internal/v1/config/production?have=1").await;
    assert_eq!((same.status.as_u16(), same.body.len()), (304, 0));
    assert_eq!(
        get("/internal/v1/config/production?have=0").await.status,
        200
    );
    assert_eq!(
        get("/internal/v1/config/nowhere").await.outcome(),
        (404, "not_found".into())
    );
    service.settle().await;
}

#[tokio::test]
async fn reports_about_keys_are_shown_and_forgotten_when_the_key_is_replaced() {
    let service = Service::new();
    let path = "/instance/production/provider-key/ideogram";
    service
        .put(
            ADMIN,
            path,
            &json!({"api_key": "ide-live-canary-0123456789f2c9"}),
        )
        .await;
    let id = service
        .row("SELECT credential_id AS id FROM provider_credentials")
        .await
        .text("id")
        .unwrap()
        .to_owned();
    let report = async |items: Value| {
        service
            .app
            .post("/internal/v1/credentials/report")
            .from_worker("image-gen")
            .json(&json!({"items": items}))
            .send()
            .await
            .status
            .as_u16()
    };
    let at = service.deps.now();
    assert_eq!(
        report(json!([{"credential_id": id, "outcome": "auth_failed", "at": at}])).await,
        204
    );
    let state = async || {
        service
            .get(ADMIN, "/instance/production/provider-key")
            .await
            .json()["items"][0]
            .clone()
    };
    assert_eq!(
        (
            state().await["state"].clone(),
            state().await["last_error"].clone()
        ),
        (json!("failing"), json!("auth_failed"))
    );
    // The list tells it too; what workers get does not depend on reports.
    let listed = async || {
        let list = service.get(ADMIN, "/instance").await.json();
        let items = list["items"].as_array().unwrap().iter();
        let found = items.filter(|it| it["instance_id"] == "production");
        found.map(|it| it["key_states"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(listed().await, [json!({"ideogram": "failing"})]);
    let copy = service.copy("production").unwrap()["config"].clone();
    assert_eq!(copy["providers"]["ideogram"]["credential_state"], "set");
    let replaced = service
        .app
        .request(Method::PUT, path)
        .key(ADMIN)
        .header("if-match", "*")
        .json(&json!({"api_key": "ide-live-canary-0123456789f2ca"}))
        .send()
        .await;
    assert_eq!(replaced.json()["state"], "set");
    assert_eq!(state().await["state"], "set");
    assert_eq!(listed().await, [json!({"ideogram": "set"})]);
    assert_eq!(report(json!([])).await, 204);
    let many: Vec<Value> = (0..101)
        .map(|_| json!({"credential_id": id, "outcome": "ok", "at": at}))
        .collect();
    assert_eq!(report(json!(many)).await, 400);
    assert_eq!(
        report(json!([{"credential_id": id, "outcome": "perhaps", "at": at}])).await,
        400
    );
    service.settle().await;
}

#[tokio::test]
async fn the_database_failing_is_503_and_a_read_is_tried_twice() {
    let service = Service::new();
    service.resolve("image-gen", &ask(USER, None)).await;
    service.settle().await;
    service.ports.world.faults.fail("database", 1, When::Before);
    assert_eq!(
        service.resolve("image-gen", &ask(USER, None)).await.status,
        200
    );
    let before = service.ports.world.faults.calls("database");
    service
        .ports
        .world
        .faults
        .fail_every("database", When::Before);
    assert_eq!(
        service
            .resolve("image-gen", &ask(USER, None))
            .await
            .outcome(),
        (503, "database_unavailable".into())
    );
    assert_eq!(service.ports.world.faults.calls("database") - before, 2);
    service.settle().await;
}

//! Provider keys.

use crate::support::*;
use http::Method;
use middleware::testing::TestResponse;
use platform::fakes::When;
use serde_json::{Value, json};

#[tokio::test]
async fn users_see_no_part_of_a_provider_key() {
    let service = Service::new();
    let put = service
        .put(
            ADMIN,
            "/instance/development/provider-key/ideogram",
            &json!({"api_key": "ide-live-canary-0123456789f2c9"}),
        )
        .await;
    assert_eq!(put.status, 201, "{}", put.text());
    let shown = service.get(USER, "/instance/development").await;
    assert_eq!(shown.json()["api_keys"], json!({"ideogram": "****"}));
    assert_eq!(shown.json()["authorized_users"], json!([USER_USER]));
    let shown = service.get(ADMIN, "/instance/development").await;
    assert_eq!(shown.json()["api_keys"], json!({"ideogram": "****f2c9"}));
    service.settle().await;
}

#[tokio::test]
async fn provider_keys_are_replaced_with_the_version_that_was_read() {
    let service = Service::new();
    let path = "/instance/production/provider-key/ideogram";
    let put = async |if_match: Option<&str>, key: &str| {
        let mut request = service
            .app
            .request(Method::PUT, path)
            .key(ADMIN)
            .json(&json!({"api_key": key, "webhook_secret": "whsec-canary"}));
        if let Some(tag) = if_match {
            request = request.header("if-match", tag);
        }
        request.send().await
    };
    let first = put(None, "ide-live-canary-0000000001").await;
    assert_eq!(
        (first.status.as_u16(), first.header("etag")),
        (201, "\"1\"")
    );
    assert_eq!(first.json()["state"], "set");
    assert_eq!(first.json()["last4"], "0001");
    assert_eq!(
        put(None, "x").await.outcome(),
        (428, "precondition_required".into())
    );
    let stale = put(Some("\"7\""), "x").await;
    assert_eq!(stale.outcome(), (412, "version_mismatch".into()));
    assert_eq!(stale.json()["details"]["current_version"], 1);
    assert_eq!(stale.json()["details"]["current"]["last4"], "0001");
    assert_eq!(
        put(Some("8"), "x").await.outcome(),
        (400, "invalid_field".into())
    );
    assert_eq!(put(Some("W/\"1\""), "x").await.outcome().0, 412);
    let second = put(Some("\"1\""), "ide-live-canary-0000000002").await;
    assert_eq!(
        (second.status.as_u16(), second.header("etag")),
        (200, "\"2\"")
    );
    assert_eq!(
        put(Some("*"), "ide-live-canary-0000000003").await.status,
        200
    );
    let row = service
        .row("SELECT config_version, version FROM instances WHERE instance_id = 'production'")
        .await;
    assert_eq!(
        (row.int("config_version"), row.int("version")),
        (Some(4), Some(1))
    );
    assert_eq!(service.count("provider_credentials").await, 1);
    let list = service
        .get(ADMIN, "/instance/production/provider-key")
        .await
        .json();
    assert_eq!(list["items"][0]["last4"], "0003");
    assert_eq!(list["items"][0]["version"], 3);
    let unknown = service
        .put(
            ADMIN,
            "/instance/production/provider-key/nobody",
            &json!({"api_key": "x"}),
        )
        .await;
    assert_eq!(unknown.outcome(), (400, "invalid_field".into()));
    let bad = service
        .put(ADMIN, path, &json!({"api_key": "x", "key": "y"}))
        .await;
    assert_eq!(bad.outcome(), (400, "unknown_field".into()));
    service.settle().await;
}

const PATH: &str = "/instance/production/provider-key/ideogram";
const ROTATE: &str = "/instance/production/provider-key/ideogram/rotate";

fn named(number: u32) -> String {
    format!("ide-live-canary-{number:010}")
}

async fn set(service: &Service, number: u32) -> TestResponse {
    service
        .app
        .request(Method::PUT, PATH)
        .key(ADMIN)
        .header("if-match", "*")
        .json(&json!({"api_key": named(number)}))
        .send()
        .await
}

async fn rotate(service: &Service, number: u32, keep: Option<i64>) -> TestResponse {
    let mut body = json!({"api_key": named(number)});
    if let Some(keep) = keep {
        body["keep_previous_s"] = json!(keep);
    }
    service.post(ADMIN, ROTATE, &body).await
}

async fn line(service: &Service) -> Value {
    let list = service
        .get(ADMIN, "/instance/production/provider-key")
        .await;
    list.json()["items"][0].clone()
}

/// What a worker gets for an id, opened; the status when it gets nothing.
async fn opened(service: &Service, credential_id: Option<&str>) -> Result<String, u16> {
    let query = credential_id.map_or(String::new(), |id| format!("?credential_id={id}"));
    let path = format!("/internal/v1/credentials/production/ideogram{query}");
    let answer = service.app.get(&path).from_worker("image-gen").send().await;
    if answer.status != 200 {
        return Err(answer.status.as_u16());
    }
    let body = answer.json();
    let text = |name: &str| body[name].as_str().unwrap().to_owned();
    let context = auth::envelope::CredentialContext {
        org_id: api_types::OrgId::parse(&text("org_id")).unwrap(),
        instance_id: api_types::InstanceId::parse(&text("instance_id")).unwrap(),
        provider: api_types::ProviderName::parse(&text("provider")).unwrap(),
        credential_id: api_types::CredentialId::parse(&text("credential_id")).unwrap(),
        host: text("host"),
    };
    let keks = service.deps.settings.keks().unwrap();
    let sealed = api_types::Ciphertext(text("ciphertext"));
    let plain = keks.open(&context, &sealed).unwrap();
    let plain = auth::envelope::ProviderSecretPlain::from_json(&plain).unwrap();
    Ok(plain.api_key.expose().to_owned())
}

/// The id that workers' configuration names.
async fn current_id(service: &Service) -> Option<String> {
    let row = service
        .row("SELECT json_extract(body, '$.providers.ideogram.credential_id') AS id FROM instance_effective WHERE instance_id = 'production'")
        .await;
    row.text("id").map(str::to_owned)
}

#[tokio::test]
async fn a_rotated_key_stays_readable_by_its_id_for_the_jobs_submitted_under_it() {
    let service = Service::new();
    set(&service, 1).await;
    let old = current_id(&service).await.unwrap();
    let start = service.deps.now();
    let answer = rotate(&service, 2, Some(3_600)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("etag"), "\"2\"");
    let shown = answer.json();
    assert_eq!(shown["previous_until"], json!(start.plus_ms(3_600_000)));
    assert_eq!(
        (&shown["state"], &shown["last4"]),
        (&json!("set"), &json!("0002"))
    );
    assert_eq!(
        line(&service).await["previous_until"],
        shown["previous_until"]
    );
    let new = current_id(&service).await.unwrap();
    assert_ne!(old, new);
    assert_eq!(opened(&service, None).await.unwrap(), named(2));
    assert_eq!(opened(&service, Some(&new)).await.unwrap(), named(2));
    assert_eq!(opened(&service, Some(&old)).await.unwrap(), named(1));
    let row = service
        .row("SELECT action, before, after FROM audit_log ORDER BY seq DESC LIMIT 1")
        .await;
    assert_eq!(row.text("action"), Some("rotate_provider_key"));
    assert!(row.text("before").unwrap().contains("****0001"));
    assert!(row.text("after").unwrap().contains("previous_until"));
    // Its time over, it is nobody's; the sweeper removes the bytes.
    service.ports.world.clock.advance(3_599_999);
    assert!(opened(&service, Some(&old)).await.is_ok());
    assert_eq!(service.deps.sweep().await.erased, 0);
    service.ports.world.clock.advance(1);
    assert_eq!(opened(&service, Some(&old)).await, Err(404));
    assert_eq!(line(&service).await["previous_until"], Value::Null);
    assert_eq!(service.deps.sweep().await.erased, 1);
    assert_eq!(service.count("provider_credentials").await, 1);
    assert_eq!(opened(&service, None).await.unwrap(), named(2));
    service.settle().await;
}

#[tokio::test]
async fn three_previous_keys_at_most_then_the_oldest_is_erased() {
    let service = Service::new();
    set(&service, 0).await;
    let mut ids = Vec::new();
    for number in 1..=5 {
        ids.push(current_id(&service).await.unwrap());
        // The oldest has the latest end, and goes all the same.
        let keep = 604_800 - i64::from(number);
        assert_eq!(rotate(&service, number, Some(keep)).await.status, 200);
    }
    let previous = service.count("provider_credentials WHERE slot = 'previous'");
    assert_eq!(previous.await, 3);
    for (at, id) in ids.iter().enumerate() {
        let want = if at < 2 {
            Err(404)
        } else {
            Ok(named(at as u32))
        };
        assert_eq!(opened(&service, Some(id)).await, want, "{at}");
    }
    let until = service.deps.now().plus_ms((604_800 - 3) * 1_000);
    assert_eq!(line(&service).await["previous_until"], json!(until));
    assert_eq!(line(&service).await["version"], 6);
    // Zero seconds: gone with the answer; the older ones keep their time.
    let last = current_id(&service).await.unwrap();
    let answer = rotate(&service, 6, Some(0)).await;
    assert_eq!(answer.json()["previous_until"], json!(until));
    assert_eq!(opened(&service, Some(&last)).await, Err(404));
    assert_eq!(service.count("provider_credentials").await, 4);
    // A day where nobody says otherwise, and a PUT replaces at once and keeps the id.
    let before = service.deps.now().plus_ms(86_400_000);
    rotate(&service, 7, None).await;
    let ends = service
        .row("SELECT retire_at FROM provider_credentials WHERE slot = 'previous' ORDER BY version DESC")
        .await;
    assert_eq!(ends.text("retire_at"), Some(before.to_string().as_str()));
    let id = current_id(&service).await;
    assert_eq!(set(&service, 8).await.status, 200);
    assert_eq!(current_id(&service).await, id);
    assert_eq!(opened(&service, id.as_deref()).await.unwrap(), named(8));
    service.settle().await;
}

#[tokio::test]
async fn a_deleted_key_leaves_the_configuration_at_once_and_its_value_stays_a_day_or_goes_now() {
    let service = Service::new();
    let delete = async |query: &str, tag: Option<&str>| {
        let path = format!("{PATH}{query}");
        let mut request = service.app.request(Method::DELETE, &path).key(ADMIN);
        if let Some(tag) = tag {
            request = request.header("if-match", tag);
        }
        request.send().await
    };
    set(&service, 1).await;
    let id = current_id(&service).await.unwrap();
    let stale = delete("", Some("\"7\"")).await;
    assert_eq!(stale.outcome(), (412, "version_mismatch".into()));
    for bad in ["?now=perhaps", "?soon=true"] {
        assert_eq!(delete(bad, None).await.status, 400, "{bad}");
    }
    assert_eq!(opened(&service, None).await.unwrap(), named(1));
    let gone = delete("", Some("\"1\"")).await;
    let until = service.deps.now().plus_ms(86_400_000);
    assert_eq!(gone.status, 200, "{}", gone.text());
    assert_eq!(
        gone.json(),
        json!({
            "provider": "ideogram", "state": "missing", "last4": null, "set_at": null, "set_by": null,
            "previous_until": until, "last_used_at": null, "last_error": null, "version": null,
            "request_id": gone.json()["request_id"],
        })
    );
    assert_eq!(current_id(&service).await, None);
    assert_eq!(opened(&service, None).await, Err(404));
    assert_eq!(opened(&service, Some(&id)).await.unwrap(), named(1));
    assert_eq!(line(&service).await["state"], "missing");
    let audited = service.count("audit_log").await;
    assert_eq!(
        delete("", None).await.json()["previous_until"],
        json!(until)
    );
    assert_eq!(service.count("audit_log").await, audited);
    // A new first key stands above the old ones.
    let again = service
        .put(ADMIN, PATH, &json!({"api_key": named(2)}))
        .await;
    assert_eq!(
        (again.status.as_u16(), again.header("etag")),
        (201, "\"2\"")
    );
    let at_once = delete("?now=true", None).await;
    assert_eq!(at_once.status, 200);
    assert_eq!(at_once.json()["previous_until"], Value::Null);
    assert_eq!(service.count("provider_credentials").await, 0);
    assert_eq!(opened(&service, Some(&id)).await, Err(404));
    // What an earlier delete had left goes too; then there is nothing to do.
    set(&service, 3).await;
    delete("", None).await;
    let version = async || {
        let sql = "SELECT config_version AS n FROM instances WHERE instance_id = 'production'";
        service.row(sql).await.int("n")
    };
    let before = version().await;
    assert_eq!(delete("?now=true", None).await.status, 200);
    assert_eq!(service.count("provider_credentials").await, 0);
    assert_eq!(version().await, before);
    let audited = service.count("audit_log").await;
    assert_eq!(delete("?now=true", None).await.status, 200);
    assert_eq!(service.count("audit_log").await, audited);
    let unknown = "/instance/production/provider-key/nobody";
    assert_eq!(
        service.delete(ADMIN, unknown).await.outcome(),
        (400, "invalid_field".into())
    );
    service.settle().await;
}

#[tokio::test]
async fn values_that_are_no_provider_keys_are_refused_by_set_and_rotate_alike() {
    let service = Service::new();
    set(&service, 1).await;
    let audited = service.count("audit_log").await;
    let long = "x".repeat(8_200);
    let cases = [
        (json!({"api_key": ""}), "api_key"),
        (json!({"api_key": "   "}), "api_key"),
        (json!({"api_key": "a\u{0}b"}), "api_key"),
        (json!({"api_key": "line\nbreak"}), "api_key"),
        (json!({"api_key": ADMIN}), "api_key"),
        (json!({"api_key": &ADMIN[..60]}), "api_key"),
        (json!({"api_key": long}), "api_key"),
        (json!({"api_key": 7}), "api_key"),
        (json!({"webhook_secret": "x"}), "api_key"),
        (json!({"api_key": "x", "account": "a\tb"}), "account"),
        (json!({"api_key": "x", "account": ""}), "account"),
        (
            json!({"api_key": "x", "webhook_secret": ADMIN}),
            "webhook_secret",
        ),
        (
            json!({"api_key": "x", "webhook_secret": ""}),
            "webhook_secret",
        ),
    ];
    for (body, field) in cases {
        let put = service
            .app
            .request(Method::PUT, PATH)
            .key(ADMIN)
            .header("if-match", "*")
            .json(&body)
            .send()
            .await;
        let rotated = service.post(ADMIN, ROTATE, &body).await;
        for answer in [put, rotated] {
            assert_eq!(answer.outcome(), (400, "invalid_field".into()), "{body}");
            assert_eq!(answer.json()["details"]["field"], field, "{body}");
            assert!(!answer.text().contains(ADMIN) && answer.body.len() < 1_000);
        }
    }
    for keep in [json!(-1), json!(604_801), json!("a day"), json!(1.5)] {
        let body = json!({"api_key": named(2), "keep_previous_s": keep});
        let answer = service.post(ADMIN, ROTATE, &body).await;
        assert_eq!(answer.outcome(), (400, "invalid_field".into()), "{keep}");
        assert_eq!(answer.json()["details"]["field"], "keep_previous_s");
    }
    let extra = json!({"api_key": named(2), "keep": 1});
    assert_eq!(
        service.post(ADMIN, ROTATE, &extra).await.outcome(),
        (400, "unknown_field".into())
    );
    let of = |provider: &str| format!("/instance/production/provider-key/{provider}/rotate");
    let body = json!({"api_key": named(2)});
    assert_eq!(
        service.post(ADMIN, &of("nobody"), &body).await.outcome(),
        (400, "invalid_field".into())
    );
    // An adapter that has no key yet has nothing to rotate.
    assert_eq!(
        service.post(ADMIN, &of("openai"), &body).await.outcome(),
        (404, "not_found".into())
    );
    assert_eq!(service.count("audit_log").await, audited);
    assert_eq!(opened(&service, None).await.unwrap(), named(1));
    service.settle().await;
}

#[tokio::test]
async fn keys_under_20_characters_show_none_of_them() {
    let service = Service::new();
    for (key, last4) in [
        ("0123456789012345678", ""),
        ("01234567890123456789", "6789"),
        ("ääääääääääääääääääää", "ääää"),
    ] {
        let answer = service
            .app
            .request(Method::PUT, PATH)
            .key(ADMIN)
            .header("if-match", "*")
            .json(&json!({"api_key": key}))
            .send()
            .await;
        assert_eq!(answer.json()["last4"], last4, "{key}");
        assert_eq!(line(&service).await["last4"], last4);
    }
    service.settle().await;
}

#[tokio::test]
async fn a_moved_base_url_takes_the_key_out_of_use_until_it_is_entered_again() {
    let service = Service::new();
    set(&service, 1).await;
    let old = current_id(&service).await.unwrap();
    service
        .run("UPDATE instances SET config = json_set(config, '$.providers.ideogram.base_url', 'http://127.0.0.1:9999/ideogram') WHERE instance_id = 'production'")
        .await;
    assert_eq!(line(&service).await["state"], "host_changed");
    // Whatever changes the configuration next leaves the key out of it.
    let openai = "/instance/production/provider-key/openai";
    let other = service.put(ADMIN, openai, &json!({"api_key": "x"})).await;
    assert_eq!(other.status, 201, "{}", other.text());
    let held = service
        .resolve("image-gen", &ask(ADMIN, Some("production")))
        .await
        .json()["config"]
        .clone();
    assert_eq!(
        held["providers"]["ideogram"]["credential_state"],
        "host_changed"
    );
    assert_eq!(held["api_keys"].get("ideogram"), None);
    assert_eq!(opened(&service, None).await, Err(404));
    // A job that was submitted before knows its id and polls at the old host.
    assert_eq!(opened(&service, Some(&old)).await.unwrap(), named(1));
    // A rotation enters a key for the new host; the old one keeps its own.
    let rotated = rotate(&service, 2, None).await;
    assert_eq!(rotated.json()["state"], "set");
    assert_eq!(opened(&service, None).await.unwrap(), named(2));
    let hosts = service
        .row("SELECT group_concat(host, ' ') AS hosts FROM (SELECT host FROM provider_credentials WHERE provider = 'ideogram' ORDER BY version)")
        .await;
    assert_eq!(hosts.text("hosts"), Some("127.0.0.1:8790 127.0.0.1:9999"));
    service.settle().await;
}

#[tokio::test]
async fn a_refused_key_is_failing_with_its_times_until_it_works_or_is_rotated() {
    let service = Service::new();
    set(&service, 1).await;
    let id = current_id(&service).await.unwrap();
    let at = |ms: i64| service.deps.now().plus_ms(ms);
    let report = async |id: &str, items: &[(&str, i64)]| {
        let items: Vec<Value> = items
            .iter()
            .map(|(outcome, ms)| json!({"credential_id": id, "outcome": outcome, "at": at(*ms)}))
            .collect();
        let answer = service
            .app
            .post("/internal/v1/credentials/report")
            .from_worker("image-gen")
            .json(&json!({"items": items}))
            .send()
            .await;
        assert_eq!(answer.status, 204);
        line(&service).await
    };
    let failing = report(&id, &[("ok", 1), ("auth_failed", 3), ("ok", 2)]).await;
    assert_eq!(failing["state"], "failing");
    assert_eq!(failing["last_error"], "auth_failed");
    assert_eq!(failing["last_used_at"], json!(at(2)));
    let well = report(&id, &[("ok", 4)]).await;
    assert_eq!(
        (&well["state"], &well["last_error"]),
        (&json!("set"), &Value::Null)
    );
    assert_eq!(report(&id, &[("auth_failed", 5)]).await["state"], "failing");
    rotate(&service, 2, None).await;
    // What is said about the old key is not said about the new one.
    let now = report(&id, &[("auth_failed", 9)]).await;
    assert_eq!(
        (&now["state"], &now["last_used_at"]),
        (&json!("set"), &Value::Null)
    );
    service.settle().await;
}

#[tokio::test]
async fn rotating_and_deleting_is_for_administrators_with_the_scope() {
    let service = Service::new();
    let body = json!({"api_key": "0123456789"});
    for instance in ["development", "foreign"] {
        let path = format!("/instance/{instance}/provider-key/openai");
        assert_eq!(service.put(ROOT, &path, &body).await.status, 201);
    }
    for (instance, want) in [
        ("development", [200, 200, 403, 403]),
        ("production", [404, 404, 403, 403]),
        ("foreign", [200, 404, 404, 404]),
        ("nowhere", [404, 404, 404, 404]),
    ] {
        let path = format!("/instance/{instance}/provider-key/openai");
        for (key, want) in [ROOT, ADMIN, USER, PROJECT].iter().zip(want) {
            let rotated = service.post(key, &format!("{path}/rotate"), &body).await;
            assert_eq!(rotated.status.as_u16(), want, "{path} {}", rotated.text());
            // In `production` there is no key, and nothing to do is no mistake.
            let want = if instance == "production" && want == 404 {
                200
            } else {
                want
            };
            let deleted = service.delete(key, &path).await;
            assert_eq!(deleted.status.as_u16(), want, "{path} {}", deleted.text());
            if want == 200 && instance != "production" {
                service.put(ROOT, &path, &body).await;
            }
        }
    }
    let narrow = json!({"name": "n", "scopes": ["config:read", "config:write"]});
    let narrow = service.post(ADMIN, "/api-key", &narrow).await.json();
    let narrow = narrow["api_key"].as_str().unwrap();
    for answer in [
        service.post(narrow, ROTATE, &body).await,
        service.delete(narrow, PATH).await,
    ] {
        assert_eq!(answer.outcome(), (403, "scope_missing".into()));
        assert_eq!(answer.json()["details"]["scope"], "secrets:write");
    }
    let id = "0199a1c2-0000-7000-8000-000000000001";
    let send = async |method: Method, path: &str| {
        let request = service.app.request(method, path).key(ADMIN);
        let request = request.header("x-request-id", id).json(&body);
        let answer = request.send().await;
        (answer.status.as_u16(), answer.text())
    };
    for (method, rest) in [(Method::POST, "/rotate"), (Method::DELETE, "")] {
        let of = |instance: &str| format!("/instance/{instance}/provider-key/openai{rest}");
        let foreign = send(method.clone(), &of("foreign")).await;
        assert_eq!(foreign, send(method, &of("nowhere")).await);
        assert_eq!(foreign.0, 404);
    }
    service.settle().await;
}

#[tokio::test]
async fn a_repeated_rotation_is_the_same_one_and_a_lost_answer_loses_nothing() {
    let service = Service::new();
    set(&service, 1).await;
    let send = async |number: u32| {
        service
            .app
            .post(ROTATE)
            .key(ADMIN)
            .header("idempotency-key", "once")
            .json(&json!({"api_key": named(number)}))
            .send()
            .await
    };
    // The database does it and its answer is lost: the audit entry tells.
    let calls = service.ports.world.faults.calls("database");
    service.ports.world.faults.fail("database", 2, When::After);
    let first = send(2).await;
    assert_eq!(first.status, 200, "{}", first.text());
    assert!(service.ports.world.faults.calls("database") > calls + 2);
    let again = send(2).await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.json()["version"], first.json()["version"]);
    assert_eq!(
        send(3).await.outcome(),
        (422, "idempotency_mismatch".into())
    );
    assert_eq!(service.count("provider_credentials").await, 2);
    assert_eq!(opened(&service, None).await.unwrap(), named(2));
    // Nothing of the body can be guessed from what is kept of it.
    let kept = service
        .row("SELECT request_sha256 AS hash FROM idempotency")
        .await;
    let body = json!({"api_key": named(2)});
    let body = auth::chain::canonical_json(&body);
    for guess in [body.clone(), format!("production ideogram {body}")] {
        let guess = auth::chain::sha256_hex(guess.as_bytes());
        assert_ne!(kept.text("hash"), Some(guess.as_str()));
    }
    // It does nothing and says so.
    service.ports.world.faults.fail("database", 2, When::Before);
    assert_eq!(rotate(&service, 4, None).await.status, 503);
    assert_eq!(opened(&service, None).await.unwrap(), named(2));
    assert_eq!(service.count("audit_log").await, 2);
    service.settle().await;
}

#[tokio::test]
async fn rotations_at_the_same_time_are_one_after_the_other() {
    let service = Service::new();
    set(&service, 0).await;
    let answers = futures_util::future::join_all((1..=3).map(|n| rotate(&service, n, None))).await;
    let versions: std::collections::BTreeSet<i64> = answers
        .iter()
        .map(|answer| answer.json()["version"].as_i64().unwrap())
        .collect();
    assert_eq!(versions, [2, 3, 4].into());
    assert_eq!(
        service
            .count("provider_credentials WHERE slot = 'current'")
            .await,
        1
    );
    assert_eq!(
        service
            .count("provider_credentials WHERE slot = 'previous'")
            .await,
        3
    );
    assert_eq!(service.count("audit_log").await, 4);
    service.settle().await;
}

//! Rotations of the key-encryption key: every route and its special answers. Crashes are in `tests/kek.rs`.

use crate::support::*;
use http::Method;
use serde_json::{Value, json};

pub(crate) const ADMIN_PATH: &str = "/admin/kek-rotation";

/// Both keys are deployed and new values are sealed under `current`.
pub(crate) fn with_keys(current: &str) -> Service {
    Service::with(keyed_settings(current, &["k1", "k2"]))
}

pub(crate) async fn set(service: &Service, instance: &str, provider: &str, key: &str) {
    let answer = service
        .app
        .request(
            Method::PUT,
            &format!("/instance/{instance}/provider-key/{provider}"),
        )
        .key(ROOT)
        .header("if-match", "*")
        .json(&json!({"api_key": key}))
        .send()
        .await;
    assert!(answer.status.is_success(), "{}", answer.text());
}

pub(crate) async fn start(service: &Service, to: &str) -> String {
    let answer = service.post(ROOT, ADMIN_PATH, &json!({"to": to})).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["rotation_id"].as_str().unwrap().to_owned()
}

async fn order(service: &Service, id: &str, verb: &str) -> middleware::testing::TestResponse {
    let path = format!("{ADMIN_PATH}/{id}/{verb}");
    service.app.post(&path).key(ROOT).send().await
}

pub(crate) async fn run(service: &Service, id: &str) -> Value {
    let answer = order(service, id, "run").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

pub(crate) async fn newest(service: &Service) -> Value {
    service.get(ROOT, ADMIN_PATH).await.json()["items"][0].clone()
}

/// Provider keys by the key that they are sealed under.
async fn under(service: &Service, kek: &str) -> i64 {
    service
        .count(&format!("provider_credentials WHERE kek_id = '{kek}'"))
        .await
}

#[tokio::test]
async fn all_keys_move_to_the_new_key_and_stay_readable() {
    let service = with_keys("k1");
    for (instance, key) in [
        ("production", "pppp"),
        ("development", "dddd"),
        ("foreign", "ffff"),
    ] {
        set(&service, instance, "ideogram", key).await;
    }
    let rotate = "/instance/production/provider-key/ideogram/rotate";
    service
        .post(ADMIN, rotate, &json!({"api_key": "new p"}))
        .await;
    // A deployment makes the new key the current one; then old values are counted and can be moved.
    let service = service.deployed(keyed_settings("k2", &["k1", "k2"]));
    let health = service.app.get("/health").send().await.json();
    assert_eq!(
        (&health["kek_ids"], &health["old_kek_rows"]),
        (&json!(["k1", "k2"]), &json!(4))
    );
    let started = service.post(ROOT, ADMIN_PATH, &json!({"to": "k2"})).await;
    assert_eq!(
        (started.status.as_u16(), started.header("location")),
        (201, ADMIN_PATH)
    );
    let shown = started.json();
    assert_eq!(
        (
            &shown["state"],
            &shown["to"],
            &shown["dry_run"],
            &shown["unasked_workers"]
        ),
        (&json!("running"), &json!("k2"), &json!(false), &json!([]))
    );
    assert_eq!(newest(&service).await["remaining"], 4);
    let id = shown["rotation_id"].as_str().unwrap();
    let done = run(&service, id).await;
    assert_eq!(done["state"], "done", "{done}");
    assert_eq!(
        (
            &done["done"],
            &done["skipped"],
            &done["failed"],
            &done["steps"],
            &done["remaining"]
        ),
        (&json!(4), &json!(0), &json!(0), &json!(4), &Value::Null)
    );
    assert_eq!(
        (under(&service, "k1").await, under(&service, "k2").await),
        (0, 4)
    );
    let end = service.deps.now();
    assert_eq!(done["ended_at"], json!(end));
    assert_eq!(done["safe_to_remove_after"], json!(end.plus_ms(86_400_000)));
    // Workers get the new envelopes, published, and the new key alone opens them.
    let only_new = service.deployed(keyed_settings("k2", &["k2"]));
    let keks = only_new.deps.settings.keks().unwrap();
    for (instance, key) in [
        ("production", "new p"),
        ("development", "dddd"),
        ("foreign", "ffff"),
    ] {
        let body = service
            .resolve("image-gen", &ask(ROOT, Some(instance)))
            .await
            .json()["config"]
            .clone();
        let credential = service
            .app
            .get(&format!("/internal/v1/credentials/{instance}/ideogram"))
            .from_worker("image-gen")
            .send()
            .await
            .json();
        assert_eq!(body["api_keys"]["ideogram"], credential["ciphertext"]);
        let sealed: api_types::Ciphertext =
            serde_json::from_value(credential["ciphertext"].clone()).unwrap();
        let context = auth::envelope::CredentialContext {
            org_id: serde_json::from_value(credential["org_id"].clone()).unwrap(),
            instance_id: api_types::InstanceId::parse(instance).unwrap(),
            provider: api_types::ProviderName::parse("ideogram").unwrap(),
            credential_id: serde_json::from_value(credential["credential_id"].clone()).unwrap(),
            host: credential["host"].as_str().unwrap().to_owned(),
        };
        let opened = keks.open(&context, &sealed).unwrap();
        assert_eq!(*opened, json!({"api_key": key}).to_string().into_bytes());
        let kept = service
            .ports
            .kv
            .newest(&format!("cfg:v1:{instance}"))
            .unwrap();
        assert!(kept.contains(&sealed.0), "{instance} is not published");
    }
    let unpublished = service.count("instances WHERE published_version < config_version");
    assert_eq!(unpublished.await, 0);
    // The version that editors hold is the same: nothing that they see has changed.
    let lines = service
        .get(ADMIN, "/instance/production/provider-key")
        .await
        .json();
    assert_eq!(lines["items"][0]["version"], 2);
    service.ports.world.clock.advance(60_000);
    let health = service.app.get("/health").send().await.json();
    assert_eq!(health["old_kek_rows"], 0);
    service.settle().await;
}

#[tokio::test]
async fn every_change_stands_in_the_chain_of_its_organization() {
    let service = with_keys("k1");
    set(&service, "production", "ideogram", "p").await;
    set(&service, "foreign", "ideogram", "f").await;
    let id = start(&service, "k2").await;
    run(&service, &id).await;
    let entry = async |chain: &str| {
        let sql = format!(
            "SELECT action, actor, target_type, target_id, before, after FROM audit_log WHERE org_id = '{chain}' ORDER BY seq DESC LIMIT 1"
        );
        let row = service.row(&sql).await;
        let text = |name| row.text(name).unwrap_or_default().to_owned();
        [
            "action",
            "actor",
            "target_type",
            "target_id",
            "before",
            "after",
        ]
        .map(text)
    };
    let [action, actor, kind, target, before, after] = entry(ACME).await;
    assert_eq!(
        (action.as_str(), kind.as_str(), target.as_str()),
        ("run_kek_rotation", "instance", "production")
    );
    assert!(actor.contains("key:root00000001"), "{actor}");
    assert_eq!(before, r#"{"kek_ids":["k1"]}"#);
    assert_eq!(
        after,
        format!(r#"{{"kek_ids":["k2"],"provider_keys":1,"rotation_id":"{id}"}}"#)
    );
    assert_eq!(entry(FOREIGN_LTD).await[3], "foreign");
    let [action, _, kind, target, before, after] = entry("platform").await;
    assert_eq!(
        (action.as_str(), kind.as_str(), target),
        ("run_kek_rotation", "kek_rotation", id)
    );
    assert_eq!(before, r#"{"state":"running"}"#);
    assert_eq!(after, r#"{"done":2,"failed":0,"skipped":0,"state":"done"}"#);
    let started =
        service.count("audit_log WHERE action = 'start_kek_rotation' AND org_id = 'platform'");
    assert_eq!(started.await, 1);
    service.settle().await;
}

#[tokio::test]
async fn the_sweeper_takes_twenty_steps_a_minute_and_says_so() {
    let service = with_keys("k1");
    for number in 0..23 {
        let body = json!({"name": format!("i{number}"), "org_id": ACME, "config": {"api_keys": {"openai": "x"}}});
        assert_eq!(service.post(ROOT, "/instance", &body).await.status, 201);
    }
    service.settle().await;
    let id = start(&service, "k2").await;
    let first = service.deps.sweep().await;
    assert_eq!((first.rotated, first.failed_steps), (20, 0));
    assert_eq!(
        (under(&service, "k1").await, under(&service, "k2").await),
        (3, 20)
    );
    assert_eq!(newest(&service).await["remaining"], 3);
    // Three instances and the end.
    assert_eq!(service.deps.sweep().await.rotated, 4);
    assert_eq!(service.deps.sweep().await.rotated, 0);
    assert_eq!(newest(&service).await["state"], "done");
    let actor = service
        .row("SELECT actor FROM audit_log WHERE action = 'run_kek_rotation' LIMIT 1")
        .await;
    assert_eq!(
        actor.text("actor"),
        Some(r#"{"principal":"system:config-service"}"#)
    );
    let again = run(&service, &id).await;
    assert_eq!(
        (&again["steps"], &again["state"]),
        (&json!(0), &json!("done"))
    );
    service.settle().await;
}

#[tokio::test]
async fn a_dry_run_opens_everything_and_changes_nothing() {
    let service = with_keys("k1");
    set(&service, "production", "ideogram", "p").await;
    set(&service, "production", "openai", "o").await;
    set(&service, "foreign", "ideogram", "f").await;
    service
        .run("UPDATE provider_credentials SET host = 'elsewhere' WHERE instance_id = 'foreign'")
        .await;
    let state = async || {
        let keys = "SELECT group_concat(ciphertext) AS a FROM (SELECT ciphertext FROM provider_credentials ORDER BY credential_id)";
        let instances = "SELECT group_concat(config_version || body) AS a FROM (SELECT * FROM instance_effective ORDER BY instance_id)";
        (
            service.row(keys).await,
            service.row(instances).await,
            service.count("audit_log").await,
        )
    };
    let started = service
        .post(ROOT, ADMIN_PATH, &json!({"to": "k2", "dry_run": true}))
        .await
        .json();
    let before = state().await;
    let id = started["rotation_id"].as_str().unwrap();
    let done = run(&service, id).await;
    assert_eq!(
        (
            &done["state"],
            &done["done"],
            &done["failed"],
            &done["dry_run"]
        ),
        (&json!("failed"), &json!(2), &json!(1), &json!(true))
    );
    assert_eq!(done["unopened"][0]["instance_id"], "foreign");
    assert_eq!(done["safe_to_remove_after"], Value::Null);
    let after = state().await;
    assert_eq!((&before.0, &before.1), (&after.0, &after.1));
    // Only its end is told.
    assert_eq!(after.2, before.2 + 1);
    service.settle().await;
}

#[tokio::test]
async fn a_rotation_that_cannot_be_is_refused_before_anything_is_written() {
    let service = with_keys("k1");
    for (body, code, field) in [
        (json!({"to": "k3"}), "invalid_field", "to"),
        (json!({"to": ""}), "invalid_field", "to"),
        (json!({"to": 2}), "invalid_field", "to"),
        (json!({}), "invalid_field", "to"),
        (
            json!({"to": "k2", "dry_run": "yes"}),
            "invalid_field",
            "dry_run",
        ),
        (json!({"to": "k2", "force": true}), "unknown_field", "force"),
    ] {
        let answer = service.post(ROOT, ADMIN_PATH, &body).await;
        assert_eq!(answer.outcome(), (400, code.into()), "{body}");
        assert_eq!(answer.json()["details"]["field"], field, "{body}");
    }
    let unknown = service.post(ROOT, ADMIN_PATH, &json!({"to": "k3"})).await;
    assert!(unknown.text().contains("k1, k2"), "{}", unknown.text());
    let registered = async |name: &str, of: &str, detail: &str| {
        service
            .run(&format!(
                "INSERT INTO worker_registry (name, instance_id, version, git_sha, url, health_detail, registered_at, created_at, by_platform) \
                 VALUES ('{name}', '{of}', '1', 'x', 'u', {detail}, 't', 't', 1)"
            ))
            .await;
    };
    registered("console", "", "'{\"status\":\"ok\"}'").await;
    registered("image-gen", "", "'{\"kek_ids\":[\"k1\",\"k2\"]}'").await;
    registered("image-gen", "production", "'{\"kek_ids\":[\"k1\"]}'").await;
    registered("repo-agent", "", "NULL").await;
    let lacking = service.post(ROOT, ADMIN_PATH, &json!({"to": "k2"})).await;
    assert_eq!(lacking.outcome(), (409, "conflict".into()));
    assert_eq!(
        lacking.json()["details"]["workers"],
        json!(["image-gen (production)"])
    );
    assert_eq!(service.count("kek_rotations").await, 0);
    assert_eq!(service.count("audit_log").await, 0);
    service
        .run("UPDATE worker_registry SET health_detail = '{\"kek_ids\":[\"k2\"],\"old_kek_rows\":1}' WHERE instance_id = 'production'")
        .await;
    let started = service.post(ROOT, ADMIN_PATH, &json!({"to": "k2"})).await;
    assert_eq!(started.json()["unasked_workers"], json!(["repo-agent"]));
    let second = service.post(ROOT, ADMIN_PATH, &json!({"to": "k2"})).await;
    assert_eq!(second.outcome(), (409, "conflict".into()));
    let id = started.json()["rotation_id"].clone();
    assert_eq!(second.json()["details"]["rotation_id"], id);
    // While a worker tells of values under the old key, the old key must stay.
    let service = service.deployed(keyed_settings("k2", &["k1", "k2"]));
    let done = run(&service, id.as_str().unwrap()).await;
    assert_eq!(
        (&done["state"], &done["safe_to_remove_after"]),
        (&json!("done"), &Value::Null)
    );
    service
        .run("UPDATE worker_registry SET health_detail = '{\"kek_ids\":[\"k2\"],\"old_kek_rows\":0}' WHERE instance_id = 'production'")
        .await;
    assert!(newest(&service).await["safe_to_remove_after"].is_string());
    // And while new values are sealed under another one.
    let back = service.deployed(keyed_settings("k1", &["k1", "k2"]));
    assert_eq!(newest(&back).await["safe_to_remove_after"], Value::Null);
    service.settle().await;
}

#[tokio::test]
async fn keys_that_cannot_be_opened_are_counted_named_and_left_and_the_rest_is_moved() {
    let service = with_keys("k1");
    set(
        &service,
        "production",
        "ideogram",
        "ide-live-canary-0123456789",
    )
    .await;
    set(&service, "production", "openai", "o").await;
    set(&service, "development", "ideogram", "d").await;
    let broken = service
        .row("SELECT credential_id AS id, ciphertext AS text FROM provider_credentials WHERE instance_id = 'production' AND provider = 'ideogram'")
        .await;
    let id = broken.text("id").unwrap().to_owned();
    let sealed = broken.text("text").unwrap().replacen("v1.k1.", "v1.k0.", 1);
    service
        .run(&format!("UPDATE provider_credentials SET ciphertext = '{sealed}', kek_id = 'k0' WHERE credential_id = '{id}'"))
        .await;
    let rotation = start(&service, "k2").await;
    let ended = run(&service, &rotation).await;
    assert_eq!(
        (&ended["state"], &ended["done"], &ended["failed"]),
        (&json!("failed"), &json!(2), &json!(1))
    );
    assert_eq!(
        ended["unopened"],
        json!([{"instance_id": "production", "credential_id": id, "kek_id": "k0"}])
    );
    assert_eq!(ended["safe_to_remove_after"], Value::Null);
    let still = service
        .row(&format!(
            "SELECT ciphertext FROM provider_credentials WHERE credential_id = '{id}'"
        ))
        .await;
    assert_eq!(still.text("ciphertext"), Some(sealed.as_str()));
    let lines: Vec<Value> = service
        .app
        .lines()
        .into_iter()
        .filter(|line| line["level"] == "ERROR")
        .collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    let told: Vec<&String> = lines[0]["metadata"].as_object().unwrap().keys().collect();
    assert_eq!(
        told,
        ["credential_id", "kek_id", "trace_id"],
        "{}",
        lines[0]
    );
    assert_eq!(lines[0]["metadata"]["credential_id"], json!(id));
    assert!(!lines[0].to_string().contains(&sealed[10..40]));
    // Entered again it is well, and the next rotation finds nothing to do.
    set(&service, "production", "ideogram", "again").await;
    let service = service.deployed(keyed_settings("k2", &["k1", "k2"]));
    let rotation = start(&service, "k2").await;
    let ended = run(&service, &rotation).await;
    assert_eq!(
        (&ended["state"], &ended["done"]),
        (&json!("done"), &json!(1))
    );
    service.settle().await;
}

#[tokio::test]
async fn a_cancelled_rotation_stays_where_it_is_and_a_later_one_does_the_rest() {
    let service = with_keys("k1");
    for number in 0..21 {
        let body = json!({"name": format!("i{number}"), "org_id": ACME, "config": {"api_keys": {"openai": "x"}}});
        service.post(ROOT, "/instance", &body).await;
    }
    let first = start(&service, "k2").await;
    assert_eq!(run(&service, &first).await["remaining"], 1);
    let cancelled = order(&service, &first, "cancel").await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.text());
    assert_eq!(
        (&cancelled.json()["state"], &cancelled.json()["done"]),
        (&json!("cancelled"), &json!(20))
    );
    let audited = service.count("audit_log").await;
    assert_eq!(order(&service, &first, "cancel").await.status, 200);
    assert_eq!(service.count("audit_log").await, audited);
    assert_eq!(service.deps.sweep().await.rotated, 0);
    let nothing = run(&service, &first).await;
    assert_eq!(
        (&nothing["steps"], &nothing["state"]),
        (&json!(0), &json!("cancelled"))
    );
    assert_eq!(
        (under(&service, "k1").await, under(&service, "k2").await),
        (1, 20)
    );
    service.ports.world.clock.advance(1);
    let second = start(&service, "k2").await;
    assert_eq!(run(&service, &second).await["done"], 1);
    let late = order(&service, &second, "cancel").await;
    assert_eq!(late.outcome(), (409, "invalid_transition".into()));
    assert_eq!(
        late.json()["details"],
        json!({"from": "done", "to": "cancelled", "allowed": []})
    );
    // Newest first, in pages.
    let page = service
        .get(ROOT, "/admin/kek-rotation?limit=1")
        .await
        .json();
    assert_eq!(page["items"][0]["rotation_id"], json!(second));
    let cursor = page["next_cursor"].as_str().unwrap();
    let next = service
        .get(
            ROOT,
            &format!("/admin/kek-rotation?limit=1&cursor={cursor}"),
        )
        .await
        .json();
    assert_eq!(next["items"][0]["rotation_id"], json!(first));
    assert_eq!(next["next_cursor"], Value::Null);
    for (query, code) in [
        ("cursor=x", "invalid_cursor"),
        ("limit=0", "invalid_field"),
        ("state=done", "unknown_field"),
    ] {
        let answer = service
            .get(ROOT, &format!("/admin/kek-rotation?{query}"))
            .await;
        assert_eq!(answer.outcome(), (400, code.into()), "{query}");
    }
    service.settle().await;
}

#[tokio::test]
async fn a_value_that_was_sealed_behind_the_cursor_is_not_forgotten() {
    // The old key is still the current one, as while a deployment is on its way.
    let service = with_keys("k1");
    for number in 10..31 {
        let body = json!({"name": format!("i{number}"), "org_id": ACME, "config": {"api_keys": {"openai": "x"}}});
        service.post(ROOT, "/instance", &body).await;
    }
    let id = start(&service, "k2").await;
    assert_eq!(run(&service, &id).await["done"], 20);
    set(&service, "i10", "openai", "entered meanwhile").await;
    assert_eq!(under(&service, "k1").await, 2);
    let done = run(&service, &id).await;
    assert_eq!(
        (&done["state"], &done["done"]),
        (&json!("done"), &json!(22))
    );
    assert_eq!(under(&service, "k1").await, 0);
    service.settle().await;
}

#[tokio::test]
async fn what_a_deleted_instance_left_is_moved_without_bringing_it_back() {
    let service = with_keys("k1");
    set(&service, "production", "ideogram", "p").await;
    service.settle().await;
    service
        .run("UPDATE instances SET status = 'deleted' WHERE instance_id = 'production'")
        .await;
    let puts = service.ports.world.faults.calls("kv.put");
    let id = start(&service, "k2").await;
    assert_eq!(run(&service, &id).await["state"], "done");
    let row = service
        .row("SELECT config_version AS n FROM instances WHERE instance_id = 'production'")
        .await;
    assert_eq!((row.int("n"), under(&service, "k2").await), (Some(2), 1));
    assert_eq!(service.ports.world.faults.calls("kv.put"), puts);
    service.settle().await;
}

#[tokio::test]
async fn rotations_are_for_superadmins_with_the_scope() {
    let service = with_keys("k1");
    let narrow = json!({"name": "n", "scopes": ["config:write", "secrets:write"]});
    let narrow = service.post(ROOT, "/api-key", &narrow).await.json();
    let narrow = narrow["api_key"].as_str().unwrap();
    let id = start(&service, "k2").await;
    let of = |verb: &str| format!("{ADMIN_PATH}/{id}/{verb}");
    let routes = [
        (Method::POST, ADMIN_PATH.to_owned()),
        (Method::GET, ADMIN_PATH.to_owned()),
        (Method::POST, of("run")),
        (Method::POST, of("cancel")),
    ];
    for (method, path) in &routes {
        let send = async |key: &str| {
            let request = service.app.request(method.clone(), path).key(key);
            // A body that is wrong is told only to who may ask.
            request.json(&json!({"nonsense": true})).send().await
        };
        for key in [ADMIN, USER, FOREIGN] {
            assert_eq!(
                send(key).await.outcome(),
                (403, "role_required".into()),
                "{path}"
            );
        }
        assert_eq!(send(PROJECT).await.outcome().0, 403, "{path}");
        let scope = send(narrow).await;
        assert_eq!(scope.outcome(), (403, "scope_missing".into()), "{path}");
        assert_eq!(scope.json()["details"]["scope"], "platform:write");
        let nobody = service.app.request(method.clone(), path).send().await;
        assert_eq!(nobody.status, 401);
    }
    let missing = "0198f0d0-0000-7000-8000-0000000000ff";
    for verb in ["run", "cancel"] {
        assert_eq!(
            order(&service, missing, verb).await.outcome(),
            (404, "not_found".into())
        );
        assert_eq!(
            order(&service, "x", verb).await.outcome(),
            (400, "invalid_field".into())
        );
    }
    service.settle().await;
}

#[tokio::test]
async fn a_start_is_repeated_by_its_key_and_two_at_once_make_one() {
    let service = with_keys("k1");
    let send = async |key: &str, to: &str| {
        service
            .app
            .post(ADMIN_PATH)
            .key(ROOT)
            .header("idempotency-key", key)
            .json(&json!({"to": to}))
            .send()
            .await
    };
    let first = send("a", "k2").await;
    let again = send("a", "k2").await;
    assert_eq!(
        (again.status.as_u16(), again.header("idempotent-replayed")),
        (201, "true")
    );
    assert_eq!(first.json()["rotation_id"], again.json()["rotation_id"]);
    assert_eq!(
        send("a", "k1").await.outcome(),
        (422, "idempotency_mismatch".into())
    );
    let id = first.json()["rotation_id"].as_str().unwrap().to_owned();
    order(&service, &id, "cancel").await;
    let racers = futures_util::future::join_all(["b", "c", "d"].map(|key| send(key, "k2"))).await;
    let mut statuses: Vec<u16> = racers.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409]);
    assert_eq!(
        service.count("kek_rotations WHERE state = 'running'").await,
        1
    );
    service.settle().await;
}

#[tokio::test]
async fn without_the_keys_nothing_starts_and_sealed_answers_are_told_unreadable() {
    let service = with_keys("k1");
    let mint = async |service: &Service| {
        service
            .app
            .post("/api-key")
            .key(ADMIN)
            .header("idempotency-key", "mint")
            .json(&json!({"name": "n"}))
            .send()
            .await
    };
    assert_eq!(mint(&service).await.status, 201);
    // The old key may go only a day after the rotation; stored answers live shorter than that.
    let both = service.deployed(keyed_settings("k2", &["k1", "k2"]));
    assert_eq!(mint(&both).await.header("idempotent-replayed"), "true");
    let too_early = service.deployed(keyed_settings("k2", &["k2"]));
    assert_eq!(
        mint(&too_early).await.outcome(),
        (500, "decryption_failed".into())
    );
    let none = service.deployed(keyed_settings("k3", &[]));
    let answer = none.post(ROOT, ADMIN_PATH, &json!({"to": "k2"})).await;
    assert_eq!(answer.outcome(), (500, "internal_error".into()));
    assert!(!answer.text().contains("KEK_k3"));
    let set = none
        .put(
            ADMIN,
            "/instance/production/provider-key/ideogram",
            &json!({"api_key": "x"}),
        )
        .await;
    assert_eq!(set.outcome(), (500, "internal_error".into()));
    assert_eq!(none.app.get("/health").send().await.status, 503);
    assert_eq!(none.get(ROOT, ADMIN_PATH).await.status, 200);
    service.settle().await;
}

//! `PATCH /instance/{instance_id}`: merging, versions, every kind of mistake.

use crate::support::*;
use http::Method;
use middleware::testing::TestResponse;
use platform::fakes::When;
use serde_json::{Value, json};

const PATH: &str = "/instance/production";

async fn patch(service: &Service, version: &str, body: &Value) -> TestResponse {
    service
        .at(Method::PATCH, ADMIN, PATH, version, Some(body))
        .await
}

fn pointers(answer: &TestResponse) -> Vec<String> {
    answer.json()["details"]["problems"]
        .as_array()
        .map(|problems| {
            let pointer = |problem: &Value| problem["pointer"].as_str().unwrap().to_owned();
            problems.iter().map(pointer).collect()
        })
        .unwrap_or_default()
}

#[tokio::test]
async fn a_patch_merges_is_published_and_audited_with_what_changed() {
    let service = Service::new();
    let change = json!({"name": "Main", "config": {
        "environment": null, "rate_limits": {"ideogram": {"rpm": 100}}, "routing": {"default_model": "ideogram-3"},
    }});
    let answer = patch(&service, "\"1\"", &change).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("etag"), "\"2\"");
    let body = answer.json();
    assert_eq!(
        (&body["name"], &body["version"]),
        (&json!("Main"), &json!(2))
    );
    assert_eq!(body["config_version"], 2);
    assert_eq!(body["environment"], Value::Null);
    assert_eq!(body["rate_limits"]["ideogram"]["rpm"], 100);
    assert_eq!(body["rate_limits"]["ideogram"]["max_inflight_images"], 10);
    assert_eq!(body["protected"], true);
    assert_eq!(body["status"], "active");
    let copy = service.copy("production").unwrap();
    assert_eq!(copy["config_version"], 2);
    assert_eq!(copy["config"]["rate_limits"]["ideogram"]["rpm"], 100);
    let entry = service.last_entry(ACME).await;
    assert_eq!(entry["action"], "update_instance");
    assert_eq!(entry["target_id"], "production");
    assert_eq!(
        entry["before"],
        json!({"name": "Production", "config": {"environment": "production", "rate_limits": {"ideogram": {"rpm": 500}}}})
    );
    assert_eq!(
        entry["after"],
        json!({"name": "Main", "config": {"rate_limits": {"ideogram": {"rpm": 100}}, "routing": {"default_model": "ideogram-3"}}})
    );
    let mut shown = service.get(ADMIN, PATH).await.json();
    shown["request_id"] = body["request_id"].clone();
    assert_eq!(shown, body);
    // The other media type of patches.
    let other = service
        .app
        .request(Method::PATCH, PATH)
        .key(ADMIN)
        .header("if-match", "\"2\"")
        .text("application/merge-patch+json", r#"{"name":"Again"}"#)
        .send()
        .await;
    assert_eq!(other.json()["name"], "Again");
    service.settle().await;
}

#[tokio::test]
async fn a_patch_that_changes_nothing_leaves_no_trace() {
    let service = Service::new();
    let puts = service.ports.world.faults.calls("kv.put");
    for same in [
        json!({}),
        json!({"name": "Production"}),
        json!({"config": {"environment": "production", "cdn_base_url": null}}),
    ] {
        let answer = patch(&service, "\"1\"", &same).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("etag"), "\"1\"");
        assert_eq!(answer.json()["name"], "Production");
    }
    assert_eq!(service.count("audit_log").await, 0);
    assert_eq!(service.ports.world.faults.calls("kv.put"), puts);
    // A version is asked for all the same.
    assert_eq!(
        patch(&service, "\"9\"", &json!({})).await.outcome(),
        (412, "version_mismatch".into())
    );
    service.settle().await;
}

#[tokio::test]
async fn of_two_editors_the_later_one_is_told_and_merges() {
    let service = Service::new();
    let base = service.get(ADMIN, PATH).await.json();
    let version = format!("\"{}\"", base["version"]);
    let mine = json!({"config": {"sync_timeout_ms": 60_000}});
    let theirs = json!({"config": {"quality_check": "strict"}});
    assert_eq!(patch(&service, &version, &theirs).await.status, 200);
    let late = patch(&service, &version, &mine).await;
    assert_eq!(late.outcome(), (412, "version_mismatch".into()));
    let details = late.json()["details"].clone();
    assert_eq!(details["current_version"], 2);
    assert_eq!(details["current"]["quality_check"], "strict");
    assert_eq!(details["current"]["version"], 2);
    let merged = patch(&service, "\"2\"", &mine).await.json();
    assert_eq!(
        (&merged["sync_timeout_ms"], &merged["quality_check"]),
        (&json!(60_000), &json!("strict"))
    );
    // Both at the same moment: the database lets one pass.
    service.ports.world.faults.slow("database", 5);
    let (first, second) = futures_util::future::join(
        patch(&service, "\"3\"", &json!({"name": "A"})),
        patch(&service, "\"3\"", &json!({"name": "B"})),
    )
    .await;
    let mut statuses = [first.status.as_u16(), second.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
    service.settle().await;
}

#[tokio::test]
async fn the_version_is_compared_strongly() {
    let service = Service::new();
    let name = |name: &str| json!({ "name": name });
    for (version, outcome) in [
        ("", (428, "precondition_required")),
        ("1", (400, "invalid_field")),
        ("W/\"1\"", (412, "version_mismatch")),
        ("\"8\"", (412, "version_mismatch")),
    ] {
        let answer = patch(&service, version, &name("x")).await;
        assert_eq!(answer.outcome(), (outcome.0, outcome.1.into()), "{version}");
    }
    assert_eq!(service.count("audit_log").await, 0);
    assert_eq!(
        patch(&service, "\"7\", \"1\"", &name("y")).await.status,
        200
    );
    assert_eq!(patch(&service, "*", &name("z")).await.status, 200);
    let entry = service.last_entry(ACME).await;
    assert_eq!(entry["actor"]["any_version"], true);
    service.settle().await;
}

#[tokio::test]
async fn derived_and_unknown_members_are_refused_with_the_route_that_sets_them() {
    let service = Service::new();
    for (body, code, field, route) in [
        (
            json!({"org_id": FOREIGN_LTD}),
            "read_only_field",
            "org_id",
            "",
        ),
        (json!({"version": 9}), "read_only_field", "version", ""),
        (
            json!({"instance_id": "x"}),
            "read_only_field",
            "instance_id",
            "",
        ),
        (
            json!({"created_at": "x"}),
            "read_only_field",
            "created_at",
            "",
        ),
        (
            json!({"status": "active"}),
            "read_only_field",
            "status",
            "PUT /instance/{instance_id}/status",
        ),
        (
            json!({"paused_reason": "x"}),
            "read_only_field",
            "paused_reason",
            "POST /instance/{instance_id}/pause",
        ),
        (
            json!({"api_keys": {}}),
            "read_only_field",
            "api_keys",
            "PUT /instance/{instance_id}/provider-key",
        ),
        (
            json!({"config": {"api_keys": {"openai": "x"}}}),
            "read_only_field",
            "api_keys",
            "PUT /instance/{instance_id}/provider-key",
        ),
        (
            json!({"config": {"worker_urls": {}}}),
            "read_only_field",
            "worker_urls",
            "PUT /instance/{instance_id}/worker-urls",
        ),
        (
            json!({"config": {"authorized_users": []}}),
            "read_only_field",
            "authorized_users",
            "PUT /user/",
        ),
        (
            json!({"config": {"config_version": 3}}),
            "read_only_field",
            "config_version",
            "",
        ),
        (
            json!({"config": {"providers": {"ideogram": {"credential_state": "set"}}}}),
            "read_only_field",
            "providers.ideogram.credential_state",
            "PUT /instance/{instance_id}/provider-key",
        ),
        (json!({"key_hash": "x"}), "unknown_field", "key_hash", ""),
        (
            json!({"created_by": "x"}),
            "unknown_field",
            "created_by",
            "",
        ),
        (
            json!({"rate_limits": {}}),
            "unknown_field",
            "rate_limits",
            "",
        ),
        (
            json!({"config": {"budgest": []}}),
            "unknown_field",
            "budgest",
            "",
        ),
        (
            json!({"config": {"providers": {"ideogram": {"tiemout_ms": 1}}}}),
            "unknown_field",
            "providers.ideogram.tiemout_ms",
            "",
        ),
    ] {
        let answer = patch(&service, "\"1\"", &body).await;
        assert_eq!(answer.outcome(), (400, code.into()), "{body}");
        let details = answer.json()["details"].clone();
        assert_eq!(details["field"], field, "{body}");
        let told = details["route"].as_str().unwrap_or("");
        assert!(
            told.starts_with(route) && told.is_empty() == route.is_empty(),
            "{told}"
        );
    }
    assert_eq!(service.count("audit_log").await, 0);
    let row = service
        .row("SELECT version FROM instances WHERE instance_id = 'production'")
        .await;
    assert_eq!(row.int("version"), Some(1));
    service.settle().await;
}

#[tokio::test]
async fn all_problems_of_a_patch_come_in_one_answer() {
    let service = Service::new();
    let many: serde_json::Map<String, Value> = (0..41)
        .map(|n| (format!("p{n}"), json!({"adapter": "openai"})))
        .collect();
    let told = async |config: Value| {
        let answer = patch(&service, "\"1\"", &json!({ "config": config })).await;
        (answer.outcome(), pointers(&answer))
    };
    for (config, code, pointer) in [
        (json!({"providers": many}), "invalid_config", "/providers"),
        (
            json!({"providers": {"openai": {"base_url": "http://169.254.169.254"}}}),
            "invalid_config",
            "/providers/openai/base_url",
        ),
        (
            json!({"providers": {"openai": {"base_url": "https://[::ffff:7f00:1]/"}}}),
            "invalid_config",
            "/providers/openai/base_url",
        ),
        (
            json!({"providers": {"openai": {"base_url": "https://user@host.example.com"}}}),
            "invalid_config",
            "/providers/openai/base_url",
        ),
        (
            json!({"providers": {"openai": {"base_url": "https://2130706433"}}}),
            "invalid_config",
            "/providers/openai/base_url",
        ),
        (
            json!({"providers": {"openai": {"base_url": "https://0177.0.0.1"}}}),
            "invalid_config",
            "/providers/openai/base_url",
        ),
        (
            json!({"providers": {"openai": {"prices": [{"model": "x", "unit": "image", "usd_micros": 0, "from": "2026-01-01", "basis": "exact"}]}}}),
            "invalid_config",
            "/providers/openai/prices/0/free",
        ),
        (
            json!({"providers": {"openai": {"default_model": "nothing"}}}),
            "invalid_config",
            "/providers/openai/default_model",
        ),
        (
            json!({"routing": {"default_provider": "ideogram"}}),
            "invalid_config",
            "/routing/default_provider",
        ),
        (
            json!({"rate_limits": {"ideogram": {"rpm": "many"}}}),
            "invalid_field",
            "/rate_limits/ideogram/rpm",
        ),
        (json!({"budgets": {}}), "invalid_field", "/budgets"),
        (
            json!({"budgets": [{"scope": "key:fore00000001", "period": "day", "limit_usd_micros": 1}]}),
            "invalid_config",
            "/budgets/0/scope",
        ),
        (
            json!({"budgets": [{"scope": format!("project:{CHAT}"), "period": "day", "limit_usd_micros": 1}]}),
            "invalid_config",
            "/budgets/0/scope",
        ),
    ] {
        let (outcome, found) = told(config.clone()).await;
        assert_eq!(outcome, (400, code.into()), "{config} {found:?}");
        assert_eq!(found, [pointer], "{config}");
    }
    // What a patch itself disables is named on both sides.
    let both = told(json!({"providers": {"ideogram": {"enabled": false}}, "routing": {"default_provider": "ideogram"}})).await;
    assert_eq!(
        both.1,
        [
            "/routing/default_provider",
            "/providers/ideogram/enabled",
            "/routing/default_provider"
        ]
    );
    let mixed = json!({"status": "active", "nmae": 1, "name": "", "config": {
        "r2_bucket": "X", "rate_limits": {"ideogram": {"rpm": "many"}, "openai": {"rpm": 0}}, "queue": {"depth": 1},
    }});
    let answer = patch(&service, "\"1\"", &mixed).await;
    assert_eq!(answer.outcome(), (400, "read_only_field".into()));
    assert_eq!(
        pointers(&answer),
        [
            "/status",
            "/nmae",
            "/queue/depth",
            "/name",
            "/rate_limits/ideogram/rpm",
            "/rate_limits/openai/rpm",
            "/r2_bucket"
        ]
    );
    assert_eq!(service.count("audit_log").await, 0);
    service.settle().await;
}

#[tokio::test]
async fn what_is_no_patch_at_all_is_refused() {
    let service = Service::new();
    for (body, code) in [
        (json!([]), "invalid_request"),
        (json!("x"), "invalid_request"),
        (json!({"config": []}), "invalid_field"),
        (json!({"config": null}), "invalid_field"),
        (json!({"config": "x"}), "invalid_field"),
        (json!({"name": null}), "invalid_field"),
        (json!({"name": "x".repeat(201)}), "invalid_field"),
    ] {
        let answer = patch(&service, "\"1\"", &body).await;
        assert_eq!(answer.outcome(), (400, code.into()), "{body}");
    }
    for (text, outcome) in [
        (
            r#"{"config":{"sync_timeout_ms":NaN}}"#,
            (400, "invalid_request"),
        ),
        (
            r#"{"config":{"sync_timeout_ms":1e400}}"#,
            (400, "invalid_request"),
        ),
        (r#"{"name":"a","name":"b"}"#, (400, "invalid_field")),
        ("", (400, "invalid_request")),
    ] {
        let answer = service
            .app
            .request(Method::PATCH, PATH)
            .key(ADMIN)
            .header("if-match", "\"1\"")
            .text("application/json", text)
            .send()
            .await;
        assert_eq!(answer.outcome(), (outcome.0, outcome.1.into()), "{text}");
    }
    let large = json!({"config": {"repo_agent": {"planner": "x".repeat(66_000)}}});
    assert_eq!(
        patch(&service, "\"1\"", &large).await.outcome(),
        (413, "payload_too_large".into())
    );
    let plain = service
        .app
        .request(Method::PATCH, PATH)
        .key(ADMIN)
        .text("text/plain", "{}")
        .send()
        .await;
    assert_eq!(plain.status, 415);
    // Who is too late hears of mistakes of form first, and of the rules only on what he has seen.
    let form = json!({"nmae": 1});
    assert_eq!(patch(&service, "\"9\"", &form).await.status, 400);
    let rule = json!({"config": {"r2_bucket": "X"}});
    assert_eq!(patch(&service, "\"9\"", &rule).await.status, 412);
    assert_eq!(service.count("audit_log").await, 0);
    service.settle().await;
}

#[tokio::test]
async fn a_bucket_in_use_is_changed_by_the_deploy_tool_only() {
    let service = Service::new();
    let other = json!({"config": {"r2_bucket": "other-images"}});
    let refused = patch(&service, "\"1\"", &other).await;
    assert_eq!(refused.outcome(), (409, "deploy_managed".into()));
    assert_eq!(refused.json()["details"]["field"], "config.r2_bucket");
    let removed = json!({"config": {"r2_bucket": null}});
    assert_eq!(patch(&service, "\"1\"", &removed).await.status, 409);
    // A run that lost its lease is not at work.
    let run = |id: &str, lease: &str| {
        format!(
            "INSERT INTO deployments (deployment_id, account_id, instance_id, status, actor, source, lease_expires_at, created_at) \
             VALUES ('{id}', '{id}', 'production', 'running', 'a', 'cli', '{lease}', '2025-11-21T09:00:00.000Z')"
        )
    };
    service.run(&run("d1", "2025-11-21T09:10:00.000Z")).await;
    assert_eq!(patch(&service, "\"1\"", &other).await.status, 409);
    service.run(&run("d2", "2025-11-21T10:10:00.000Z")).await;
    let moved = patch(&service, "\"1\"", &other).await;
    assert_eq!(moved.status, 200, "{}", moved.text());
    // One that is not deployed yet has no images.
    service.run("DELETE FROM deployments").await;
    service
        .run("UPDATE instances SET status = 'deploying'")
        .await;
    assert_eq!(patch(&service, "\"2\"", &removed).await.status, 200);
    // And one that had none gets its first.
    service.run("UPDATE instances SET status = 'active'").await;
    assert_eq!(patch(&service, "\"3\"", &other).await.status, 200);
    service.settle().await;
}

#[tokio::test]
async fn a_key_stays_behind_when_its_provider_moves_to_another_host() {
    let service = Service::new();
    let path = format!("{PATH}/provider-key/ideogram");
    let key = json!({"api_key": "ide-live-canary-0123456789f2c9"});
    assert_eq!(service.put(ADMIN, &path, &key).await.status, 201);
    let default = json!({"config": {"routing": {"default_provider": "ideogram"}}});
    assert_eq!(patch(&service, "\"1\"", &default).await.status, 200);
    let state = async || {
        let copy = service.copy("production").unwrap()["config"].clone();
        let told = copy["providers"]["ideogram"]["credential_state"].clone();
        (copy["api_keys"]["ideogram"].is_string(), told)
    };
    assert_eq!(state().await, (true, json!("set")));
    let to = |host: &str| json!({"config": {"providers": {"ideogram": {"base_url": format!("http://{host}/ideogram")}}}});
    let moved = patch(&service, "\"2\"", &to("127.0.0.1:9999")).await;
    assert_eq!(moved.status, 200, "{}", moved.text());
    assert_eq!(
        moved.json()["providers"]["ideogram"]["credential_state"],
        "host_changed"
    );
    assert_eq!(state().await, (false, json!("host_changed")));
    patch(&service, "\"3\"", &to("127.0.0.1:8790")).await;
    assert_eq!(state().await, (true, json!("set")));
    service.settle().await;
}

#[tokio::test]
async fn private_hosts_outside_of_local_stacks_need_a_superadmins_mark() {
    let service = Service::with(settings("production"));
    let private = json!({"config": {"providers": {"openai": {"base_url": "http://127.0.0.1:1", "allow_private_host": true}}}});
    let admin = async |version: &str, body: &Value| {
        service
            .at(
                Method::PATCH,
                FOREIGN,
                "/instance/foreign",
                version,
                Some(body),
            )
            .await
            .outcome()
    };
    service
        .run("UPDATE instances SET config = '{}' WHERE instance_id = 'foreign'")
        .await;
    assert_eq!(
        admin("\"1\"", &private).await,
        (400, "invalid_config".into())
    );
    let mark = json!({"self_hosted": true});
    assert_eq!(admin("\"1\"", &mark).await, (403, "role_required".into()));
    let marked = service
        .at(
            Method::PATCH,
            ROOT,
            "/instance/foreign",
            "\"1\"",
            Some(&mark),
        )
        .await;
    assert_eq!(marked.json()["self_hosted"], true, "{}", marked.text());
    assert_eq!(admin("\"2\"", &private).await.0, 200);
    // The mark cannot go while it is needed.
    let unmark = json!({"self_hosted": false});
    let refused = service
        .at(
            Method::PATCH,
            ROOT,
            "/instance/foreign",
            "\"3\"",
            Some(&unmark),
        )
        .await;
    assert_eq!(refused.outcome(), (400, "invalid_config".into()));
    service.settle().await;
}

#[tokio::test]
async fn an_edit_is_whole_when_the_database_fails() {
    let service = Service::new();
    service.get(ADMIN, "/session").await;
    service.settle().await;
    let faults = &service.ports.world.faults;
    let (batches, puts) = (faults.calls("database"), faults.calls("kv.put"));
    patch(&service, "\"1\"", &json!({"name": "two"})).await;
    assert_eq!(faults.calls("database") - batches, 2);
    assert_eq!(faults.calls("kv.put") - puts, 1);
    service.settle().await;
    faults.fail("database", 2, When::Before);
    let lost = patch(&service, "\"2\"", &json!({"name": "lost"})).await;
    assert_eq!(lost.outcome(), (503, "database_unavailable".into()));
    assert_eq!(service.count("audit_log").await, 1);
    faults.fail("database", 2, When::After);
    let done = patch(&service, "\"2\"", &json!({"name": "done"})).await;
    assert_eq!((done.status.as_u16(), done.header("etag")), (200, "\"3\""));
    let row = service
        .row("SELECT i.name, i.config_version, e.config_version AS body_version FROM instances i JOIN instance_effective e ON e.instance_id = i.instance_id WHERE i.instance_id = 'production'")
        .await;
    assert_eq!(row.text("name"), Some("done"));
    assert_eq!(
        (row.int("config_version"), row.int("body_version")),
        (Some(3), Some(3))
    );
    assert_eq!(service.count("audit_log").await, 2);
    assert_eq!(service.copy("production").unwrap()["config_version"], 3);
    // KV fails: the verdict names the version at once, the copy follows.
    faults.fail_every("kv.put", When::Before);
    assert_eq!(
        patch(&service, "\"3\"", &json!({"name": "kv"}))
            .await
            .status,
        200
    );
    service.settle().await;
    assert_eq!(service.copy("production").unwrap()["config_version"], 3);
    let verdict = service
        .resolve("image-gen", &ask(ADMIN, Some("production")))
        .await;
    assert_eq!(verdict.json()["instance"]["config_version"], 4);
    faults.heal_all();
    service.settle().await;
    service.deps.sweep().await;
    assert_eq!(service.copy("production").unwrap()["config_version"], 4);
    service.settle().await;
}

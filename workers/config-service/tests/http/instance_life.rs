//! The life of an instance: deployed, paused, taken down, deleted.

use crate::new_instance;
use crate::support::*;
use http::Method;
use middleware::testing::TestResponse;
use platform::SendPhase;
use platform::fakes::{FakeReply, When};
use serde_json::{Value, json};

async fn set_status(service: &Service, id: &str, version: &str, status: &str) -> TestResponse {
    let body = json!({ "status": status });
    service
        .at(
            Method::PUT,
            ADMIN,
            &format!("/instance/{id}/status"),
            version,
            Some(&body),
        )
        .await
}

async fn delete(service: &Service, key: &str, version: &str) -> TestResponse {
    service
        .at(Method::DELETE, key, "/instance/development", version, None)
        .await
}

fn running(running: u64, unknown: u64) -> FakeReply {
    let job = json!({
        "job_id": "0199a1c2-0000-7000-8000-000000000001", "state": "running", "provider": "ideogram",
        "created_at": "2025-11-21T10:00:00.000Z",
    });
    let jobs: Vec<Value> = (0..running.min(1)).map(|_| job.clone()).collect();
    FakeReply::json(
        200,
        &json!({"v": 1, "instance_id": "development", "running": running, "unknown": unknown, "jobs": jobs}),
    )
}

#[tokio::test]
async fn an_instance_becomes_active_when_its_workers_are_known() {
    let service = Service::with(settings("production"));
    let made = service
        .post(ADMIN, "/instance", &new_instance("Staging"))
        .await;
    assert_eq!(made.json()["status"], "deploying");
    let early = set_status(&service, "staging", "\"1\"", "active").await;
    assert_eq!(early.outcome(), (409, "invalid_transition".into()));
    assert_eq!(
        early.json()["details"],
        json!({"from": "deploying", "to": "active", "allowed": ["deleting"], "missing": "worker_urls"})
    );
    let urls = json!({"image_gen": "https://image-gen-staging.acme.workers.dev"});
    let path = "/instance/staging/worker-urls";
    assert_eq!(
        service
            .at(Method::PUT, ADMIN, path, "\"1\"", Some(&urls))
            .await
            .status,
        200
    );
    // A deploy that is repeated may take them away again: it is not active yet.
    assert_eq!(
        service
            .at(Method::PUT, ADMIN, path, "\"2\"", Some(&json!({})))
            .await
            .status,
        200
    );
    assert_eq!(
        service
            .at(Method::PUT, ADMIN, path, "\"3\"", Some(&urls))
            .await
            .status,
        200
    );
    let work = service
        .resolve("image-gen", &ask(ADMIN, Some("staging")))
        .await
        .json();
    assert_eq!(work["instance"]["status"], "deploying");
    let active = set_status(&service, "staging", "\"4\"", "active").await;
    assert_eq!(active.status, 200, "{}", active.text());
    assert_eq!(active.header("etag"), "\"5\"");
    assert_eq!(active.json()["status"], "active");
    let again = set_status(&service, "staging", "\"5\"", "active").await;
    assert_eq!(
        (again.status.as_u16(), again.header("etag")),
        (200, "\"5\"")
    );
    let work = service
        .resolve("image-gen", &ask(ADMIN, Some("staging")))
        .await
        .json();
    assert_eq!(work["instance"]["status"], "active");
    // The status is no part of what workers hold.
    assert_eq!(work["instance"]["config_version"], 4);
    for (version, status) in [("\"5\"", "deleting"), ("\"6\"", "active")] {
        assert_eq!(
            set_status(&service, "staging", version, status)
                .await
                .status,
            200
        );
    }
    let entry = service.last_entry(ACME).await;
    assert_eq!(entry["action"], "set_instance_status");
    assert_eq!(
        (&entry["before"], &entry["after"]),
        (&json!({"status": "deleting"}), &json!({"status": "active"}))
    );
    service.settle().await;
}

#[tokio::test]
async fn other_transitions_are_refused_with_what_is_allowed() {
    let service = Service::new();
    for (from, to, allowed) in [
        ("deploying", "paused", json!(["active", "deleting"])),
        ("deploying", "deleted", json!(["active", "deleting"])),
        ("active", "paused", json!(["deleting"])),
        ("active", "deploying", json!(["deleting"])),
        ("paused", "active", json!(["deleting"])),
        ("deleting", "paused", json!(["active"])),
        ("deleting", "deleted", json!(["active"])),
    ] {
        service
            .run(&format!("UPDATE instances SET status = '{from}'"))
            .await;
        let answer = set_status(&service, "development", "\"1\"", to).await;
        assert_eq!(
            answer.outcome(),
            (409, "invalid_transition".into()),
            "{from} {to}"
        );
        assert_eq!(
            answer.json()["details"],
            json!({"from": from, "to": to, "allowed": allowed})
        );
    }
    service.run("UPDATE instances SET status = 'active'").await;
    for (body, code) in [
        (json!({"status": "gone"}), "invalid_field"),
        (json!({}), "invalid_field"),
        (json!({"status": "deleting", "x": 1}), "unknown_field"),
    ] {
        let path = "/instance/development/status";
        let answer = service
            .at(Method::PUT, ADMIN, path, "\"1\"", Some(&body))
            .await;
        assert_eq!(answer.outcome(), (400, code.into()), "{body}");
    }
    let late = set_status(&service, "development", "\"7\"", "deleting").await;
    assert_eq!(late.outcome(), (412, "version_mismatch".into()));
    assert_eq!(late.json()["details"]["current"]["status"], "active");
    assert_eq!(
        set_status(&service, "development", "", "deleting")
            .await
            .status,
        428
    );
    let protected = set_status(&service, "production", "\"1\"", "deleting").await;
    assert_eq!(protected.outcome(), (409, "protected".into()));
    assert_eq!(service.count("audit_log").await, 0);
    service.settle().await;
}

#[tokio::test]
async fn a_pause_by_people_ends_when_people_say_so() {
    let service = Service::new();
    let post = async |action: &str, body: &Value| {
        service
            .post(ADMIN, &format!("/instance/development/{action}"), body)
            .await
    };
    let paused = post("pause", &json!({"reason": "maintenance"})).await;
    assert_eq!(paused.status, 200, "{}", paused.text());
    let body = paused.json();
    assert_eq!(
        (&body["paused"], &body["status"]),
        (&json!(true), &json!("paused"))
    );
    assert_eq!(body["paused_reason"], "maintenance");
    assert_eq!(paused.header("etag"), "\"2\"");
    let verdict = service.resolve("image-gen", &ask(USER, None)).await.json();
    assert_eq!(verdict["instance"]["status"], "paused");
    let shown = service.get(ADMIN, "/instance/development").await.json();
    assert_eq!(
        (&shown["status"], &shown["paused_reason"]),
        (&json!("paused"), &json!("maintenance"))
    );
    let again = post("pause", &json!({"reason": "other"})).await.json();
    assert_eq!(
        (&again["paused_reason"], &again["version"]),
        (&json!("maintenance"), &json!(2))
    );
    let resumed = post("resume", &json!({})).await.json();
    assert_eq!(
        (&resumed["paused"], &resumed["status"]),
        (&json!(false), &json!("active"))
    );
    // Nobody has looked at the cost, so the guard may act.
    assert_eq!(resumed["pause_override_until"], Value::Null);
    let entry = service.last_entry(ACME).await;
    assert_eq!(
        entry["before"],
        json!({"status": "paused", "paused_reason": "maintenance"})
    );
    assert_eq!(
        entry["after"],
        json!({"status": "active", "paused_reason": null})
    );
    assert_eq!(post("resume", &json!({})).await.json()["version"], 3);
    for (body, code) in [
        (json!({}), "invalid_field"),
        (json!({"reason": ""}), "invalid_field"),
        (json!({"reason": "x", "y": 1}), "unknown_field"),
    ] {
        assert_eq!(post("pause", &body).await.outcome(), (400, code.into()));
    }
    for (status, action, allowed) in [
        ("deploying", "pause", json!(["active", "deleting"])),
        ("deleting", "pause", json!(["active"])),
        ("deploying", "resume", json!(["active", "deleting"])),
        ("deleting", "resume", json!(["active"])),
    ] {
        service
            .run(&format!("UPDATE instances SET status = '{status}'"))
            .await;
        let refused = post(action, &json!({"reason": "x"})).await;
        assert_eq!(refused.outcome(), (409, "invalid_transition".into()));
        assert_eq!(
            refused.json()["details"]["allowed"],
            allowed,
            "{status} {action}"
        );
    }
    service.settle().await;
}

#[tokio::test]
async fn the_cost_guard_pauses_until_an_administrator_overrules_it_for_the_day() {
    let service = Service::new();
    let guard = async |key: &str| {
        let mut request = service
            .app
            .post("/instance/development/pause")
            .from_worker("telemetry")
            .json(&json!({"reason": "cost_guard"}));
        if !key.is_empty() {
            request = request.header("idempotency-key", key);
        }
        request.send().await
    };
    let first = guard("cost-guard:development:2025-11-21").await;
    assert_eq!(first.status, 200, "{}", first.text());
    assert_eq!(first.json()["paused"], true);
    let entry = service.last_entry(ACME).await;
    assert_eq!(entry["actor"], json!({"principal": "system:telemetry"}));
    assert_eq!(entry["action"], "pause_instance");
    let again = guard("cost-guard:development:2025-11-21").await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.json()["version"], 2);
    let verdict = service.resolve("image-gen", &ask(USER, None)).await.json();
    assert_eq!(verdict["instance"]["status"], "paused");
    let resumed = service
        .post(ADMIN, "/instance/development/resume", &json!({}))
        .await
        .json();
    assert_eq!(resumed["pause_override_until"], "2025-11-22T00:00:00.000Z");
    let overruled = guard("").await;
    assert_eq!(overruled.status, 200);
    let body = overruled.json();
    assert_eq!(
        (&body["paused"], &body["override_until"]),
        (&json!(false), &json!("2025-11-22T00:00:00.000Z"))
    );
    assert_eq!(
        service.get(ADMIN, "/instance/development").await.json()["status"],
        "active"
    );
    // Of people the override says nothing.
    let by_hand = service
        .post(
            ADMIN,
            "/instance/development/pause",
            &json!({"reason": "x"}),
        )
        .await
        .json();
    assert_eq!(by_hand["paused"], true);
    service
        .post(ADMIN, "/instance/development/resume", &json!({}))
        .await;
    assert_eq!(guard("").await.json()["paused"], false);
    service.ports.world.clock.advance(14 * 3_600_000);
    assert_eq!(guard("").await.json()["paused"], true);
    service.settle().await;
}

#[tokio::test]
async fn only_the_worker_that_is_named_pauses_and_nothing_else() {
    let service = Service::new();
    let body = json!({"reason": "cost_guard"});
    let pause = |caller: &str| {
        let request = service.app.post("/instance/development/pause");
        request.from_worker(caller).json(&body)
    };
    // Another worker, no binding at all, another route: who shows no key is nobody.
    assert_eq!(
        pause("image-gen").send().await.outcome(),
        (401, "auth_failed".into())
    );
    let nobody = service
        .app
        .post("/instance/development/pause")
        .json(&body)
        .send()
        .await;
    assert_eq!(nobody.outcome(), (401, "auth_failed".into()));
    let resume = service
        .app
        .post("/instance/development/resume")
        .from_worker("telemetry")
        .json(&json!({}));
    assert_eq!(resume.send().await.outcome(), (401, "auth_failed".into()));
    // A key is a key, whoever forwards it.
    let forwarded = pause("telemetry").key(USER).send().await;
    assert_eq!(forwarded.outcome(), (403, "role_required".into()));
    let other = pause("telemetry").of_instance("production").send().await;
    assert_eq!(other.outcome(), (404, "not_found".into()));
    let missing = service
        .app
        .post("/instance/nowhere/pause")
        .from_worker("telemetry")
        .json(&body);
    assert_eq!(missing.send().await.outcome(), (404, "not_found".into()));
    let reason = service
        .app
        .post("/instance/development/pause")
        .from_worker("telemetry");
    let reason = reason.json(&json!({"reason": "bored"})).send().await;
    assert_eq!(reason.outcome(), (400, "invalid_field".into()));
    assert_eq!(service.count("audit_log").await, 0);
    let own = pause("telemetry").of_instance("development").send().await;
    assert_eq!(own.json()["paused"], true, "{}", own.text());
    service.settle().await;
}

#[tokio::test]
async fn an_instance_goes_when_nothing_runs_and_leaves_a_tombstone() {
    let service = Service::new();
    let key = json!({"api_key": "ide-live-canary-0123456789f2c9"});
    service
        .put(ADMIN, "/instance/development/provider-key/ideogram", &key)
        .await;
    let price = json!({"instance_id": "development", "provider": "openai", "model": "x", "row": {"unit": "image", "usd_micros": 5, "basis": "exact"}});
    assert_eq!(service.post(ADMIN, "/price", &price).await.status, 201);
    let early = delete(&service, ADMIN, "\"1\"").await;
    assert_eq!(early.outcome(), (409, "invalid_transition".into()));
    assert_eq!(
        early.json()["details"],
        json!({"from": "active", "to": "deleted", "allowed": ["deleting"]})
    );
    assert_eq!(
        set_status(&service, "development", "\"1\"", "deleting")
            .await
            .status,
        200
    );
    assert_eq!(delete(&service, ADMIN, "").await.status, 428);
    assert_eq!(
        delete(&service, ADMIN, "\"1\"").await.outcome(),
        (412, "version_mismatch".into())
    );
    assert!(service.ports.service.requests().is_empty());
    // Work may start as long as a verdict lives, so image-gen is asked only after that.
    let down_at = service.deps.now();
    service.ports.service.reply(running(2, 1));
    let busy = delete(&service, ADMIN, "\"2\"").await;
    assert_eq!(busy.outcome(), (409, "not_empty".into()));
    assert!(service.deps.now().ms() - down_at.ms() >= 6_000);
    let details = busy.json()["details"].clone();
    assert_eq!(
        (&details["running"], &details["unknown"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(
        details["jobs"][0]["job_id"],
        "0199a1c2-0000-7000-8000-000000000001"
    );
    let asked = service.ports.service.requests().pop().unwrap();
    assert!(asked.url.ends_with("/internal/v1/running/development"));
    assert!(asked.headers.contains_key("x-request-id"));
    assert_eq!(
        service.count("instances WHERE status = 'deleting'").await,
        1
    );
    service.ports.service.reply(running(0, 0));
    let before = service.deps.now();
    let gone = delete(&service, ADMIN, "\"2\"").await;
    assert_eq!(
        (gone.status.as_u16(), gone.body.len()),
        (204, 0),
        "{}",
        gone.text()
    );
    assert_eq!(service.deps.now(), before);
    assert_eq!(service.copy("development"), None);
    for left in [
        "provider_credentials WHERE instance_id = 'development'",
        "user_instance_access WHERE instance_id = 'development'",
        "projects WHERE instance_id = 'development' AND status = 'active'",
        "instance_effective WHERE instance_id = 'development'",
        "price_overrides WHERE instance_id = 'development' AND valid_to IS NULL",
        "instances WHERE instance_id = 'development' AND config <> '{}'",
    ] {
        assert_eq!(service.count(left).await, 0, "{left}");
    }
    let entry = service.last_entry(ACME).await;
    assert_eq!(entry["action"], "delete_instance");
    assert_eq!(
        entry["after"],
        json!({"status": "deleted", "unknown_jobs": 0})
    );
    let project = service.resolve("image-gen", &ask(PROJECT, None)).await;
    assert_eq!(project.outcome(), (401, "auth_failed".into()));
    assert_eq!(project.json()["details"]["reason"], "revoked");
    for key in [ROOT, ADMIN] {
        assert_eq!(service.get(key, "/instance/development").await.status, 404);
        assert_eq!(delete(&service, key, "\"3\"").await.status, 404);
    }
    let config = service
        .app
        .get("/internal/v1/config/development")
        .from_worker("image-gen");
    assert_eq!(config.send().await.status, 404);
    // Its organization may use the id again; versions rise, so that old copies stay old.
    let again = service
        .post(ADMIN, "/instance", &new_instance("Development"))
        .await;
    assert_eq!(
        (again.status.as_u16(), again.header("etag")),
        (201, "\"4\"")
    );
    assert_eq!(again.json()["config_version"], 4);
    assert_eq!(again.json()["providers"]["ideogram"]["prices"], json!([]));
    service.settle().await;
}

#[tokio::test]
async fn nothing_goes_without_the_word_of_image_gen() {
    let service = Service::new();
    assert_eq!(
        set_status(&service, "development", "\"1\"", "deleting")
            .await
            .status,
        200
    );
    let elsewhere = json!({"v": 1, "instance_id": "production", "running": 0, "jobs": []});
    for reply in [
        FakeReply::failure(SendPhase::MaybeSent, "Network connection lost."),
        FakeReply::status(404),
        FakeReply::json(500, &json!({})),
        FakeReply::json(200, &json!({"v": 1})),
        FakeReply::bytes(200, "text/html", "<html>"),
        FakeReply::json(200, &elsewhere),
    ] {
        service.ports.service.reply(reply);
        let answer = delete(&service, ADMIN, "\"2\"").await;
        assert_eq!(answer.outcome(), (503, "ledger_unavailable".into()));
        assert_eq!(answer.header("x-should-retry"), "true");
    }
    assert_eq!(
        service.count("instances WHERE status = 'deleting'").await,
        1
    );
    assert_eq!(service.count("audit_log").await, 1);
    // Jobs without outcome do not run any more; some stay so for ever.
    service.ports.service.reply(running(2, 2));
    assert_eq!(delete(&service, ADMIN, "\"2\"").await.status, 204);
    assert_eq!(service.last_entry(ACME).await["after"]["unknown_jobs"], 2);
    service.settle().await;
}

#[tokio::test]
async fn where_image_gen_is_not_bound_a_deployed_instance_is_for_the_deploy_tool() {
    let service = Service::unbound();
    service
        .run("UPDATE instances SET status = 'deleting', worker_urls = '{\"image_gen\":\"https://a.example.com\"}' WHERE instance_id = 'development'")
        .await;
    let refused = delete(&service, ADMIN, "\"1\"").await;
    assert_eq!(refused.outcome(), (409, "deploy_managed".into()));
    assert_eq!(delete(&service, ROOT, "\"1\"").await.status, 204);
    // One that never had workers never had work.
    service
        .run("UPDATE instances SET status = 'deleting' WHERE instance_id = 'production'")
        .await;
    let own = service
        .at(Method::DELETE, ADMIN, "/instance/production", "\"1\"", None)
        .await;
    assert_eq!(own.status, 204, "{}", own.text());
    service.settle().await;
}

#[tokio::test]
async fn a_change_while_work_is_counted_saves_the_instance() {
    let service = Service::new();
    assert_eq!(
        set_status(&service, "development", "\"1\"", "deleting")
            .await
            .status,
        200
    );
    let database = service.ports.database.clone();
    service.ports.service.handle(move |_| {
        let back = "UPDATE instances SET status = 'deleting', version = version + 2 WHERE instance_id = 'development'";
        database.with(|connection| connection.execute_batch(back).unwrap());
        async { running(0, 0) }
    });
    let answer = delete(&service, ADMIN, "*").await;
    assert_eq!(answer.outcome(), (409, "conflict".into()));
    assert_eq!(
        service.count("instances WHERE status = 'deleting'").await,
        1
    );
    service.settle().await;
}

#[tokio::test]
async fn a_deletion_is_whole_when_the_database_fails() {
    let service = Service::new();
    assert_eq!(
        set_status(&service, "development", "\"1\"", "deleting")
            .await
            .status,
        200
    );
    service.ports.service.handle(|_| async { running(0, 0) });
    // Two reads, then the write.
    let faults = &service.ports.world.faults;
    faults.fail("database", 3, When::Before);
    assert_eq!(
        delete(&service, ADMIN, "\"2\"").await.outcome(),
        (503, "database_unavailable".into())
    );
    assert_eq!(
        service
            .count("user_instance_access WHERE instance_id = 'development'")
            .await,
        1
    );
    faults.fail("database", 3, When::After);
    assert_eq!(delete(&service, ADMIN, "\"2\"").await.status, 204);
    assert_eq!(
        service
            .count("user_instance_access WHERE instance_id = 'development'")
            .await,
        0
    );
    assert_eq!(service.count("audit_log").await, 2);
    assert_eq!(faults.pending(), 0);
    service.settle().await;
}

#[tokio::test]
async fn a_copy_that_was_on_its_way_does_not_come_back() {
    let service = Service::new();
    service.ports.service.handle(|_| async { running(0, 0) });
    assert_eq!(
        set_status(&service, "development", "\"1\"", "deleting")
            .await
            .status,
        200
    );
    // An isolate that serves the configuration confirms its copy after the answer.
    service.resolve("image-gen", &ask(USER, None)).await;
    assert!(service.ports.background.pending() > 0);
    assert_eq!(delete(&service, ADMIN, "\"2\"").await.status, 204);
    assert_eq!(service.copy("development"), None);
    let puts = service.ports.world.faults.calls("kv.put");
    service.settle().await;
    assert_eq!(service.ports.world.faults.calls("kv.put"), puts + 1);
    assert_eq!(service.copy("development"), None);
    // One whose isolate died between its put and the note of it: the sweeper removes the copy once more, later.
    let copy = json!({"v": 1}).to_string();
    let kv = &service.ports.kv;
    platform::KvStore::put(kv, "cfg:v1:development", &copy, None)
        .await
        .unwrap();
    let swept = service.deps.sweep().await;
    assert_eq!((swept.removed, swept.failed_steps), (0, 0));
    service.ports.world.clock.advance(60_000);
    // While KV fails, nothing is noted.
    service
        .ports
        .world
        .faults
        .fail_every("kv.delete", When::Before);
    assert_eq!(service.deps.sweep().await.removed, 0);
    service.ports.world.faults.heal_all();
    assert_eq!(service.deps.sweep().await.removed, 1);
    assert_eq!(service.copy("development"), None);
    for _ in 0..3 {
        service.ports.world.clock.advance(13 * 3_600_000);
        let swept = service.deps.sweep().await;
        assert_eq!((swept.removed, swept.failed_steps), (0, 0));
        assert_eq!(service.copy("development"), None);
    }
    service.settle().await;
}

#[tokio::test]
async fn a_removal_that_fails_is_made_up_by_the_sweeper() {
    let service = Service::new();
    service.ports.service.handle(|_| async { running(0, 0) });
    service.deps.sweep().await;
    assert!(service.copy("development").is_some());
    assert_eq!(
        set_status(&service, "development", "\"1\"", "deleting")
            .await
            .status,
        200
    );
    service
        .ports
        .world
        .faults
        .fail_every("kv.delete", When::Before);
    assert_eq!(delete(&service, ADMIN, "\"2\"").await.status, 204);
    assert!(service.copy("development").is_some());
    service.ports.world.faults.heal_all();
    service.ports.world.clock.advance(60_000);
    assert_eq!(service.deps.sweep().await.removed, 1);
    assert_eq!(service.copy("development"), None);
    service.settle().await;
}

//! `/worker`: registering, the catalog, checks and what they mean.
#![expect(clippy::unwrap_used, reason = "helpers of tests may fail loudly")]

use crate::support::*;
use http::Method;
use platform::SendPhase;
use platform::fakes::{FakeReply, When};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

fn image_gen(git_sha: &str) -> Value {
    json!({
        "version": "1.4.0", "git_sha": git_sha, "url": "https://image-gen.acme.example/",
        "openapi_url": "https://image-gen.acme.example/openapi.json",
        "openapi_sha256": "a".repeat(64), "capabilities": ["image.generate", "image.jobs"],
    })
}

fn of(instance_id: &str, git_sha: &str) -> Value {
    let mut body = image_gen(git_sha);
    body["instance_id"] = instance_id.into();
    body
}

async fn names(service: &Service, key: &str, query: &str) -> Vec<String> {
    let answer = service.get(key, &format!("/worker{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let items = answer.json()["items"].clone();
    let place = |item: &Value| item["instance_id"].as_str().unwrap_or("-").to_owned();
    items
        .as_array()
        .unwrap()
        .iter()
        .map(|item| format!("{}/{}", place(item), item["name"].as_str().unwrap()))
        .collect()
}

async fn worker(service: &Service, path: &str) -> Value {
    service.get(ROOT, path).await.json()
}

#[tokio::test]
async fn a_registration_is_made_changed_and_repeated() {
    let service = Service::new();
    let made = service
        .put(ADMIN, "/worker/image-gen", &of("production", "a1"))
        .await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(
        made.header("location"),
        "/worker/image-gen?instance_id=production"
    );
    let body = made.json();
    assert_eq!(
        body["url"], "https://image-gen.acme.example",
        "no slash at the end"
    );
    assert_eq!(
        (&body["health"], &body["instance_id"]),
        (&json!("unknown"), &json!("production"))
    );
    let again = service
        .put(ADMIN, "/worker/image-gen", &of("production", "a1"))
        .await;
    assert_eq!(again.status, 200);
    assert_eq!(
        service.count("audit_log").await,
        1,
        "a repetition is no change"
    );
    service.ports.world.clock.advance(60_000);
    let mut newer = of("production", "b2");
    newer["version"] = "1.5.0".into();
    assert_eq!(
        service.put(ADMIN, "/worker/image-gen", &newer).await.status,
        200
    );
    let entry = service.row("SELECT * FROM audit_log WHERE seq = 2").await;
    assert_eq!(entry.text("action"), Some("register_worker"));
    assert_eq!(
        (entry.text("target_type"), entry.text("target_id")),
        (Some("worker"), Some("image-gen"))
    );
    assert_eq!(entry.text("instance_id"), Some("production"));
    assert_eq!(
        entry.text("before"),
        Some(r#"{"git_sha":"a1","version":"1.4.0"}"#)
    );
    assert_eq!(
        entry.text("after"),
        Some(r#"{"git_sha":"b2","version":"1.5.0"}"#)
    );
    let detail = service
        .get(ADMIN, "/worker/image-gen?instance_id=production")
        .await
        .json();
    let versions = detail["versions"].as_array().unwrap();
    assert_eq!(versions.len(), 2);
    assert_eq!(
        (&versions[0]["version"], &versions[1]["git_sha"]),
        (&json!("1.5.0"), &json!("a1"))
    );
    // A worker of the platform is another one, and its entry stands in the platform's chain.
    let platform = service
        .put(ROOT, "/worker/image-gen", &image_gen("a1"))
        .await;
    assert_eq!(
        (platform.status.as_u16(), platform.header("location")),
        (201, "/worker/image-gen")
    );
    assert_eq!(
        service.count("audit_log WHERE org_id = 'platform'").await,
        1
    );
    assert_eq!(service.count("worker_registry").await, 2);
    service.settle().await;
}

#[tokio::test]
async fn administrators_register_for_their_instances_and_superadmins_for_the_platform() {
    let service = Service::new();
    for (body, want) in [
        (of("production", "a1"), [201, 200, 403, 403, 404]),
        (of("development", "a1"), [201, 200, 403, 403, 404]),
        (of("foreign", "a1"), [201, 404, 404, 404, 200]),
        (of("nowhere", "a1"), [404, 404, 404, 404, 404]),
        (image_gen("a1"), [201, 403, 403, 403, 403]),
        (of("No Slug", "a1"), [400, 400, 403, 403, 400]),
    ] {
        for (key, want) in [ROOT, ADMIN, USER, PROJECT, FOREIGN].into_iter().zip(want) {
            let answer = service.put(key, "/worker/image-gen", &body).await;
            assert_eq!(
                answer.status.as_u16(),
                want,
                "{key} {body}: {}",
                answer.text()
            );
        }
    }
    let platform = service
        .put(ADMIN, "/worker/console", &image_gen("a1"))
        .await;
    assert_eq!(platform.outcome(), (403, "role_required".into()));
    assert_eq!(platform.json()["details"]["role"], "superadmin");
    // Checks are as registrations.
    for (path, want) in [
        (
            "/worker/image-gen/check?instance_id=production",
            [200, 200, 403, 403, 404],
        ),
        (
            "/worker/image-gen/check?instance_id=foreign",
            [200, 404, 404, 404, 200],
        ),
        (
            "/worker/image-gen/check?instance_id=nowhere",
            [404, 404, 404, 404, 404],
        ),
        (
            "/worker/nobody/check?instance_id=production",
            [404, 404, 403, 403, 404],
        ),
        ("/worker/image-gen/check", [200, 403, 403, 403, 403]),
        ("/worker/nobody/check", [404, 403, 403, 403, 403]),
        (
            "/worker/image-gen/check?instance_id=No",
            [400, 400, 403, 403, 400],
        ),
        ("/worker/image-gen/check?x=1", [400, 400, 403, 403, 400]),
    ] {
        for (key, want) in [ROOT, ADMIN, USER, PROJECT, FOREIGN].into_iter().zip(want) {
            let answer = service.app.post(path).key(key).send().await;
            assert_eq!(
                answer.status.as_u16(),
                want,
                "{key} {path}: {}",
                answer.text()
            );
        }
    }
    // A scope that only reads is not enough, and a key of other instances neither.
    let mint = async |body: Value| {
        let answer = service.post(ADMIN, "/api-key", &body).await.json();
        answer["api_key"].as_str().unwrap().to_owned()
    };
    let reads = mint(json!({"name": "reads", "scopes": ["config:read"]})).await;
    let narrow = mint(json!({"name": "narrow", "instance_ids": ["development"]})).await;
    let check = "/worker/image-gen/check?instance_id=production";
    for (key, code) in [(&reads, "scope_missing"), (&narrow, "forbidden")] {
        let put = service
            .put(key, "/worker/image-gen", &of("production", "c3"))
            .await;
        assert_eq!(put.outcome(), (403, code.into()));
        let asked = service.app.post(check).key(key).send().await;
        assert_eq!(asked.outcome(), (403, code.into()));
    }
    service.settle().await;
}

#[tokio::test]
async fn the_catalog_shows_the_platform_and_what_the_caller_may_use() {
    let service = Service::new();
    for place in ["production", "development", "foreign"] {
        service
            .put(ROOT, "/worker/image-gen", &of(place, "a1"))
            .await;
    }
    service.put(ROOT, "/worker/console", &image_gen("a1")).await;
    let all = [
        "-/console",
        "development/image-gen",
        "foreign/image-gen",
        "production/image-gen",
    ];
    assert_eq!(names(&service, ROOT, "").await, all);
    assert_eq!(
        names(&service, ADMIN, "").await,
        ["-/console", "development/image-gen", "production/image-gen"]
    );
    for key in [USER, PROJECT] {
        assert_eq!(
            names(&service, key, "").await,
            ["-/console", "development/image-gen"]
        );
    }
    assert_eq!(
        names(&service, FOREIGN, "").await,
        ["-/console", "foreign/image-gen"]
    );
    assert_eq!(
        names(&service, USER, "?instance_id=platform").await,
        ["-/console"]
    );
    for query in [
        "?instance_id=production",
        "?instance_id=foreign",
        "?instance_id=nowhere",
    ] {
        assert!(names(&service, USER, query).await.is_empty(), "{query}");
    }
    assert_eq!(
        names(&service, ADMIN, "?capability=image.jobs&health=unknown")
            .await
            .len(),
        3
    );
    assert!(names(&service, ADMIN, "?health=healthy").await.is_empty());
    assert_eq!(
        service.get(ADMIN, "/worker?health=ill").await.outcome().0,
        400
    );
    let page = service.get(ADMIN, "/worker?limit=2").await.json();
    let cursor = page["next_cursor"].as_str().unwrap();
    assert_eq!(
        names(&service, ADMIN, &format!("?limit=2&cursor={cursor}")).await,
        ["production/image-gen"]
    );
    let other = service
        .get(
            ADMIN,
            &format!("/worker?limit=2&capability=x&cursor={cursor}"),
        )
        .await;
    assert_eq!(other.outcome(), (400, "invalid_cursor".into()));
    // Foreign, sibling and missing get the same bytes for the same queries.
    let mut seen = Vec::new();
    for path in [
        "/worker/image-gen?instance_id=foreign",
        "/worker/image-gen?instance_id=production",
        "/worker/image-gen?instance_id=nowhere",
        "/worker/nobody",
        "/worker/nobody?instance_id=development",
    ] {
        let before = service.ports.world.ops.count().d1_queries;
        let id = "0199a1c2-0000-7000-8000-000000000001";
        let answer = service
            .app
            .get(path)
            .key(USER)
            .header("x-request-id", id)
            .send()
            .await;
        assert_eq!(answer.status, 404, "{path}");
        seen.push((
            answer.text(),
            service.ports.world.ops.count().d1_queries - before,
        ));
    }
    // The first request also noted that the key was used.
    assert!(
        seen[1..].iter().all(|it| *it == seen[1]) && seen[0].0 == seen[1].0,
        "{seen:?}"
    );
    for key in [ROOT, ADMIN, USER, PROJECT, FOREIGN] {
        assert_eq!(service.get(key, "/worker/console").await.status, 200);
    }
    assert_eq!(service.get(USER, "/worker/Console").await.outcome().0, 400);
    service.settle().await;
}

#[tokio::test]
async fn what_is_no_registration_is_refused() {
    let service = Service::with(settings("production"));
    let long = format!("https://a.example.com/{}", "x".repeat(500));
    let many: Vec<String> = (0..51).map(|n| format!("c{n}")).collect();
    for (field, value) in [
        ("url", json!("http://image-gen.acme.example")),
        ("url", json!("https://127.0.0.1:8787")),
        ("url", json!("https://169.254.169.254")),
        ("url", json!("https://[::ffff:7f00:1]/")),
        ("url", json!("https://user@acme.example")),
        ("url", json!("https://acme.example?x=1")),
        ("url", json!("acme.example")),
        ("url", json!(long)),
        ("openapi_url", json!("http://acme.example/openapi.json")),
        ("openapi_url", json!("https://10.0.0.1/openapi.json")),
        ("openapi_sha256", json!("A".repeat(64))),
        ("openapi_sha256", json!("a".repeat(63))),
        ("version", json!("")),
        ("version", json!("1 2")),
        ("git_sha", json!("x".repeat(65))),
        ("capabilities", json!(["Image"])),
        ("capabilities", json!([""])),
        ("capabilities", json!(["x".repeat(41)])),
        ("capabilities", json!(["a", "a"])),
        ("capabilities", json!(many)),
        ("capabilities", json!("image.generate")),
    ] {
        let mut body = of("production", "a1");
        body[field] = value.clone();
        let answer = service.put(ADMIN, "/worker/image-gen", &body).await;
        assert_eq!(
            answer.outcome(),
            (400, "invalid_field".into()),
            "{field} {value}"
        );
        let named = answer.json()["details"]["field"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(named.starts_with(field), "{field} {value}: {named}");
    }
    let mut body = of("production", "a1");
    body["health"] = "healthy".into();
    let unknown = service.put(ADMIN, "/worker/image-gen", &body).await;
    assert_eq!(unknown.outcome(), (400, "unknown_field".into()));
    for name in ["Image", "-a", "x".repeat(41).as_str()] {
        let answer = service
            .put(ADMIN, &format!("/worker/{name}"), &of("production", "a1"))
            .await;
        assert_eq!(answer.outcome(), (400, "invalid_field".into()), "{name}");
    }
    assert_eq!(service.count("worker_registry").await, 0);
    // Loopback is for local stacks.
    let local = Service::new();
    let mut body = image_gen("a1");
    body["url"] = "http://127.0.0.1:8787/api/image-gen".into();
    assert_eq!(
        local.put(ROOT, "/worker/image-gen", &body).await.status,
        201
    );
    service.settle().await;
    local.settle().await;
}

#[tokio::test]
async fn an_instance_has_at_most_fifty_workers() {
    let service = Service::new();
    for n in 0..50 {
        let answer = service
            .put(ADMIN, &format!("/worker/w{n}"), &of("production", "a1"))
            .await;
        assert_eq!(answer.status, 201);
    }
    let full = service
        .put(ADMIN, "/worker/w50", &of("production", "a1"))
        .await;
    assert_eq!(full.outcome(), (409, "quota_reached".into()));
    assert_eq!(full.json()["details"]["limit"], 50);
    assert_eq!(
        service
            .put(ADMIN, "/worker/w0", &of("production", "b2"))
            .await
            .status,
        200
    );
    assert_eq!(
        service
            .put(ADMIN, "/worker/w0", &of("development", "b2"))
            .await
            .status,
        201
    );
    service.settle().await;
}

fn healthy(git_sha: &str) -> FakeReply {
    FakeReply::json(
        200,
        &json!({"status": "ok", "git_sha": git_sha, "bindings": {"DB": "ok", "LOG_SINK": "absent"}, "kek_ids": ["k1"]}),
    )
}

async fn check(service: &Service, reply: FakeReply) -> Value {
    service.ports.http.reply(reply);
    let answer = service
        .app
        .post("/worker/image-gen/check")
        .key(ROOT)
        .send()
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(service.ports.http.unused(), 0);
    answer.json()
}

#[tokio::test]
async fn a_check_asks_once_without_redirects_and_tells_what_it_found() {
    let service = Service::new();
    service
        .put(ROOT, "/worker/image-gen", &image_gen("a1"))
        .await;
    let large = FakeReply::bytes(
        200,
        "application/json",
        format!("{{\"x\":\"{}\"}}", "x".repeat(65_536)),
    );
    for (reply, health, reason) in [
        (healthy("a1"), "healthy", Value::Null),
        (
            healthy("b2"),
            "degraded",
            json!("another build answers than is registered"),
        ),
        (
            healthy("a1").delayed(2_100),
            "degraded",
            json!("took 2100 ms"),
        ),
        (
            FakeReply::json(200, &json!({"bindings": {"DB": "error"}})),
            "degraded",
            json!("binding DB is not ok"),
        ),
        (healthy("a1"), "healthy", Value::Null),
        (
            FakeReply::status(302).header("location", "https://elsewhere.example"),
            "healthy",
            json!("status 302"),
        ),
        (
            FakeReply::bytes(200, "text/html", "<html>"),
            "healthy",
            json!("the body is no JSON object"),
        ),
        (healthy("a1"), "healthy", Value::Null),
        (large, "healthy", json!("the body is over 65536 bytes")),
        (
            healthy("a1").cut_after(5),
            "healthy",
            json!("the body broke off"),
        ),
        (healthy("a1"), "healthy", Value::Null),
        (
            FakeReply::failure(SendPhase::MaybeSent, "Network connection lost."),
            "healthy",
            json!("no connection"),
        ),
        (
            healthy("a1").delayed(3_500),
            "healthy",
            json!("no answer within 3000 ms"),
        ),
    ] {
        let found = check(&service, reply).await;
        assert_eq!(
            (&found["health"], &found["health_reason"]),
            (&json!(health), &reason)
        );
        // What it said last stays, whatever came since.
        assert!(found["health_detail"].is_object());
    }
    let asked = service.ports.http.requests();
    assert_eq!(asked.len(), 13, "each check is one request");
    for request in asked {
        assert_eq!(
            (request.method, request.url.as_str()),
            (Method::GET, "https://image-gen.acme.example/health")
        );
        assert!(
            request.headers.is_empty() && request.body.is_empty() && request.timeout_ms == 3_000
        );
    }
    let ids = service
        .row(
            "SELECT json_extract(health_detail, '$.kek_ids') AS ids, bindings FROM worker_registry",
        )
        .await;
    assert_eq!(ids.text("ids"), Some(r#"["k1"]"#));
    assert_eq!(
        ids.text("bindings"),
        Some(r#"{"DB":"ok","LOG_SINK":"absent"}"#)
    );
    assert_eq!(
        service.count("audit_log").await,
        1,
        "an observation is no change"
    );
    service.settle().await;
}

#[tokio::test]
async fn three_failures_make_it_unhealthy_and_two_good_checks_healthy_again() {
    let service = Service::new();
    service
        .put(ROOT, "/worker/image-gen", &image_gen("a1"))
        .await;
    let mut since = Value::Null;
    for (reply, health, moved) in [
        (FakeReply::status(503), "unknown", false),
        (FakeReply::status(503), "unknown", false),
        (FakeReply::status(503), "unhealthy", true),
        (FakeReply::status(503), "unhealthy", false),
        (healthy("b2"), "unhealthy", false),
        (healthy("a1"), "unhealthy", false),
        (FakeReply::status(500), "unhealthy", false),
        (healthy("a1"), "unhealthy", false),
        (healthy("a1"), "healthy", true),
    ] {
        service.ports.world.clock.advance(1_000);
        let found = check(&service, reply).await;
        assert_eq!(found["health"], health);
        assert_eq!(found["health_since"] != since && !since.is_null(), moved);
        since = found["health_since"].clone();
    }
    let gauges: Vec<(Value, Value, Value)> = service
        .app
        .lines()
        .into_iter()
        .filter(|line| line["metadata"]["event"] == "gauge")
        .map(|line| {
            let metadata = &line["metadata"];
            (
                metadata["name"].clone(),
                metadata["label"].clone(),
                metadata["value"].clone(),
            )
        })
        .collect();
    let gauge = |value: i64| {
        (
            json!("worker_unhealthy"),
            json!("platform/image-gen"),
            json!(value),
        )
    };
    assert_eq!(gauges, [gauge(1), gauge(0)]);
    // A new build starts anew and keeps what the old one said.
    service
        .put(ROOT, "/worker/image-gen", &image_gen("c3"))
        .await;
    let fresh = worker(&service, "/worker/image-gen").await;
    assert_eq!(
        (&fresh["health"], &fresh["checked_at"]),
        (&json!("unknown"), &Value::Null)
    );
    assert_eq!(fresh["health_detail"]["kek_ids"], json!(["k1"]));
    service.settle().await;
}

#[tokio::test]
async fn a_url_that_may_not_be_called_any_more_is_not_called() {
    let service = Service::with(settings("production"));
    service
        .put(ROOT, "/worker/image-gen", &image_gen("a1"))
        .await;
    service
        .run("UPDATE worker_registry SET url = 'http://169.254.169.254/latest'")
        .await;
    let answer = service
        .app
        .post("/worker/image-gen/check")
        .key(ROOT)
        .send()
        .await;
    assert_eq!(answer.json()["health_reason"], "the URL must be https");
    assert!(service.ports.http.requests().is_empty());
    service.settle().await;
}

#[tokio::test]
async fn the_sweeper_asks_fifty_a_minute_four_at_a_time_the_oldest_first() {
    let service = Service::new();
    for n in 0..60 {
        let place = if n < 30 { "production" } else { "development" };
        let mut body = of(place, "a1");
        body["url"] = format!("https://w{n}.acme.example").into();
        service.put(ADMIN, &format!("/worker/w{n}"), &body).await;
    }
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let clock = service.ports.world.clock.clone();
    let (counted, peak) = (Arc::clone(&now), Arc::clone(&most));
    service.ports.http.handle(move |_| {
        let (now, most, clock) = (Arc::clone(&counted), Arc::clone(&peak), clock.clone());
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            platform::Clock::sleep(&clock, 100).await;
            now.fetch_sub(1, Ordering::Relaxed);
            healthy("a1")
        }
    });
    let swept = service.deps.sweep().await;
    assert_eq!((swept.checked, swept.failed_steps), (50, 0));
    assert_eq!(most.load(Ordering::Relaxed), 4);
    let first: Vec<String> = service
        .ports
        .http
        .requests()
        .iter()
        .map(|it| it.url.clone())
        .collect();
    // The ten that had no turn come first now; those checked a moment ago rest.
    assert_eq!(service.deps.sweep().await.checked, 10);
    let second = &service.ports.http.requests()[50..];
    assert!(second.iter().all(|it| !first.contains(&it.url)));
    assert_eq!(service.deps.sweep().await.checked, 0);
    assert_eq!(
        service
            .count("worker_registry WHERE health = 'healthy'")
            .await,
        60
    );
    service.ports.world.clock.advance(60_000);
    assert_eq!(service.deps.sweep().await.checked, 50);
    let third: Vec<String> = service.ports.http.requests()[60..]
        .iter()
        .map(|it| it.url.clone())
        .collect();
    assert!(
        third.iter().all(|url| first.contains(url)),
        "the oldest of all"
    );
    service.settle().await;
}

#[tokio::test]
async fn a_failing_check_stops_neither_the_others_nor_the_next_step() {
    let service = Service::new();
    service
        .put(ROOT, "/worker/image-gen", &image_gen("a1"))
        .await;
    service.put(ROOT, "/worker/console", &image_gen("a1")).await;
    service
        .ports
        .http
        .handle(|_| async { FakeReply::failure(SendPhase::MaybeSent, "gone") });
    let swept = service.deps.sweep().await;
    assert_eq!((swept.checked, swept.sealed, swept.failed_steps), (2, 1, 0));
    // D1 is away while results are noted: the step fails, the next one is made.
    service.ports.world.clock.advance(86_400_000);
    service
        .put(ROOT, "/worker/image-gen", &image_gen("b2"))
        .await;
    let faults = service.ports.world.faults.clone();
    let asked = Arc::new(AtomicBool::new(false));
    let (once, away) = (Arc::clone(&asked), faults.clone());
    service.ports.http.handle(move |_| {
        // What follows the answers is the note of them, which is tried twice.
        if !once.swap(true, Ordering::Relaxed) {
            away.fail("database", 1, When::Before);
            away.fail("database", 2, When::Before);
        }
        async { FakeReply::failure(SendPhase::MaybeSent, "gone") }
    });
    let swept = service.deps.sweep().await;
    assert_eq!(
        (swept.failed_steps, swept.sealed, faults.pending()),
        (1, 1, 0)
    );
    service.settle().await;
}

//! The console's own routes in process: pages, redirects, health, and what every answer carries.

use crate::house::{BASE, BUILD, House, KEY, Plan, page};
use console::{assets, headers};
use http::Method;
use platform::SendPhase;
use platform::fakes::FakeReply;
use serde_json::json;

fn without(binding: &str) -> House {
    House::new(Plan::local().without(binding))
}

#[tokio::test]
async fn health_reports_bindings_files_and_workers() {
    let house = House::local();
    house.healthy();
    let answer = house.get("/health").await;
    assert_eq!(answer.status, 200);
    let up = json!({"status": "ok", "version": "0.1.0", "git_sha": "ff00ff0"});
    assert_eq!(
        answer.json(),
        json!({
            "status": "ok", "version": env!("CARGO_PKG_VERSION"), "version_id": null, "git_sha": BUILD,
            "assets_hash": "5f3a",
            "bindings": {"CONFIG_SERVICE": "ok", "IMAGE_GEN": "ok", "ADMISSION": "ok", "ASSETS": "ok"},
            "workers": {"config-service": up, "image-gen": up, "admission": up},
        })
    );
    let sent = house.config().requests().remove(0);
    assert_eq!(sent.headers["x-request-id"], answer.header("x-request-id"));
    assert_eq!(house.assets.requests()[0].method, Method::HEAD);
}

#[tokio::test]
async fn a_sick_worker_is_reported_and_a_missing_binding_is_our_own_failure() {
    let sick = House::local();
    sick.assets.reply(page());
    sick.config().reply(FakeReply::json(
        503,
        &json!({"status": "degraded", "version": "1", "git_sha": "x"}),
    ));
    sick.service("IMAGE_GEN").reply(FakeReply::failure(
        SendPhase::MaybeSent,
        "connection refused",
    ));
    sick.service("ADMISSION")
        .reply(FakeReply::bytes(200, "text/html", "<html>"));
    let answer = sick.get("/health").await;
    assert_eq!(answer.status, 200);
    let body = answer.json();
    assert_eq!(body["workers"]["config-service"]["status"], "degraded");
    assert_eq!(body["workers"]["image-gen"]["status"], "unreachable");
    assert_eq!(body["workers"]["admission"]["status"], "unreachable");

    for (binding, status) in [("CONFIG_SERVICE", 503), ("ASSETS", 503), ("IMAGE_GEN", 200)] {
        let house = without(binding);
        house.healthy();
        let answer = house.get("/health").await;
        assert_eq!(answer.status, status, "{binding}");
        assert_eq!(answer.json()["bindings"][binding], "absent", "{binding}");
    }
}

#[tokio::test]
async fn health_names_the_workers_of_each_instance() {
    let plan = Plan::local().without("IMAGE_GEN").with("IMAGE_GEN__EU_1");
    let house = House::new(plan);
    house.healthy();
    let answer = house.get("/health").await;
    let body = answer.json();
    assert_eq!(answer.status, 200, "{body}");
    assert_eq!(body["bindings"]["IMAGE_GEN__EU_1"], "ok", "{body}");
    assert_eq!(body["workers"]["image-gen-eu-1"]["status"], "ok", "{body}");
    assert!(body["bindings"]["IMAGE_GEN"].is_null(), "{body}");
    assert!(body["workers"]["image-gen"].is_null(), "{body}");
}

#[tokio::test]
async fn an_incomplete_bundle_is_our_own_failure() {
    for reply in [
        FakeReply::status(404),
        FakeReply::failure(SendPhase::MaybeSent, "internal error"),
        FakeReply::bytes(200, "text/html", "no tag"),
    ] {
        let house = House::local();
        house.healthy();
        let assets = &house.assets;
        assert_eq!(assets.unused(), 1);
        house.get("/play").await;
        assets.reply(reply);
        let answer = house.get("/health").await;
        assert_eq!(answer.status, 503);
        assert_eq!(answer.json()["bindings"]["ASSETS"], "failed");
        assert!(answer.json()["assets_hash"].is_null());
    }
}

#[tokio::test]
async fn a_worker_that_hangs_does_not_hold_health() {
    let house = House::local();
    house.assets.reply(page());
    for service in house.services.values() {
        service.reply(FakeReply::json(200, &json!({})).delayed(60_000));
    }
    let answer = house.get("/health").await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json()["workers"]["image-gen"]["status"],
        "unreachable"
    );
}

#[tokio::test]
async fn every_address_of_the_application_is_its_page() {
    let house = House::local();
    let mut paths: Vec<String> = assets::pages().iter().map(|it| format!("/{it}")).collect();
    paths.extend(["/", "/admin/instances", "/play?instance=development"].map(Into::into));
    for path in paths {
        house.assets.reply(page());
        let answer = house.get(&path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.text(), "<!doctype html>", "{path}");
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(answer.header("cache-control"), "no-cache", "{path}");
        assert_eq!(answer.header("etag"), "\"5f3a\"", "{path}");
        assert_eq!(answer.header("cf-cache-status"), "", "{path}");
        let asked = house.assets.requests().pop().unwrap();
        assert_eq!(asked.url, "http://assets/", "{path}");
    }
}

#[tokio::test]
async fn a_page_that_the_client_has_is_not_sent_again() {
    let house = House::local();
    let has = [("if-none-match", "\"5f3a\"")];
    house
        .assets
        .reply(FakeReply::status(304).header("etag", "\"5f3a\""));
    let answer = house.send(Method::GET, "/login", &has, None).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (304, 0));
    assert_eq!(answer.header("etag"), "\"5f3a\"");
    let asked = house.assets.requests().remove(0);
    assert_eq!(asked.headers["if-none-match"], "\"5f3a\"");
    house.assets.reply(page());
    let answer = house.send(Method::HEAD, "/login", &[], None).await;
    assert_eq!(answer.status, 200);
    assert_eq!(house.assets.requests()[1].method, Method::HEAD);
}

#[tokio::test]
async fn without_the_bundle_a_page_says_so() {
    let house = House::local();
    for reply in [
        FakeReply::status(404),
        FakeReply::status(307),
        FakeReply::failure(SendPhase::MaybeSent, "internal error"),
        FakeReply::bytes(200, "text/html", vec![b'x'; 300_000]),
        page().cut_after(3),
    ] {
        house.assets.reply(reply);
        let answer = house.get("/play").await;
        assert_eq!(answer.outcome(), (502, "upstream_unavailable".to_owned()));
        assert_eq!(answer.json()["details"]["worker"], "ASSETS");
    }
    let bare = without("ASSETS");
    assert_eq!(bare.get("/play").await.status, 502);
}

#[tokio::test]
async fn earlier_addresses_lead_to_the_pages_that_replaced_them() {
    let house = House::local();
    for (path, to) in [
        ("/testing-gui", "/play"),
        ("/testing-gui?instance=a&x=%20", "/play?instance=a&x=%20"),
        ("/admin-panel", "/admin/instances"),
    ] {
        let answer = house.get(path).await;
        assert_eq!(answer.status, 308, "{path}");
        assert_eq!(answer.header("location"), to, "{path}");
    }
}

#[tokio::test]
async fn a_file_is_passed_on_with_what_the_store_says_of_it() {
    let house = House::local();
    let script = || {
        FakeReply::bytes(200, "text/javascript", "let x;")
            .header("etag", "\"77\"")
            .header("cache-control", "public, max-age=31536000, immutable")
            .header("cf-cache-status", "HIT")
            .header("set-cookie", "x=1")
    };
    house.assets.reply(script());
    let url = "/assets/index-5f3a.js?x=1";
    let answer = house.get(url).await;
    assert_eq!(
        (answer.status.as_u16(), answer.text().as_str()),
        (200, "let x;")
    );
    for (name, value) in [
        ("content-type", "text/javascript"),
        ("etag", "\"77\""),
        ("cache-control", "public, max-age=31536000, immutable"),
        ("cf-cache-status", ""),
        ("set-cookie", ""),
        ("x-switchyard-build", BUILD),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    house.assets.reply(script());
    let cookie = format!("sy_session_8787={KEY}");
    let pairs = [
        ("cookie", cookie.as_str()),
        ("authorization", "Bearer x"),
        ("if-none-match", "\"77\""),
    ];
    house.send(Method::HEAD, url, &pairs, None).await;
    let asked = house.assets.requests();
    let shown: Vec<_> = asked
        .iter()
        .map(|it| (it.method.as_str(), it.url.as_str()))
        .collect();
    let stored = "http://assets/assets/index-5f3a.js?x=1";
    assert_eq!(shown, [("GET", stored), ("HEAD", stored)]);
    assert_eq!(asked[1].headers.len(), 1, "{:?}", asked[1].headers);
    assert_eq!(asked[1].headers["if-none-match"], "\"77\"");

    house
        .assets
        .reply(FakeReply::status(304).header("etag", "\"77\""));
    let answer = house.get(url).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("etag")),
        (304, "\"77\"")
    );
    house
        .assets
        .reply(FakeReply::status(307).header("location", "/"));
    let answer = house.get("/index.html").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("location")),
        (307, "/")
    );
    // Files are many, and nobody wants a line for each.
    assert!(house.lines().is_empty(), "{:?}", house.lines());
}

#[tokio::test]
async fn a_file_can_only_be_read_and_the_store_can_fail() {
    let house = House::local();
    for (stored, status, code, allow) in [
        (200, 405, "method_not_allowed", "GET,HEAD"),
        (404, 404, "not_found", ""),
        (500, 502, "upstream_unavailable", ""),
    ] {
        house.assets.reply(FakeReply::status(stored));
        let answer = house.send(Method::POST, "/theme.js", &[], None).await;
        assert_eq!(answer.outcome(), (status, code.to_owned()), "{stored}");
        assert_eq!(answer.header("allow"), allow, "{stored}");
        assert_eq!(house.assets.requests().pop().unwrap().method, Method::HEAD);
    }
    house
        .assets
        .reply(FakeReply::failure(SendPhase::MaybeSent, "gone"));
    assert_eq!(house.get("/theme.js").await.status, 502);
    assert_eq!(without("ASSETS").get("/theme.js").await.status, 502);
}

#[tokio::test]
async fn an_address_of_no_document_is_the_documents_own_page_with_404() {
    let house = House::local();
    house.assets.reply(FakeReply::status(404));
    house
        .assets
        .reply(FakeReply::bytes(200, "text/html", "<h1>No such page</h1>"));
    let answer = house.get("/docs/nope").await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.text(), "<h1>No such page</h1>");
    assert_eq!(answer.header("cache-control"), "no-store");
    let asked = house.assets.requests().pop().unwrap();
    assert!(asked.url.ends_with("/docs/404"), "{}", asked.url);

    // A bundle without that page keeps the body that programs read.
    house.assets.reply(FakeReply::status(404));
    house.assets.reply(FakeReply::status(404));
    let answer = house.get("/docs/nope").await;
    assert_eq!(answer.outcome(), (404, "not_found".to_owned()));
}

#[tokio::test]
async fn other_paths_and_methods_are_errors_and_never_the_page() {
    let house = House::local();
    for (method, path) in [
        (Method::GET, "/nope"),
        (Method::POST, "/nope"),
        (Method::GET, "/api"),
        (Method::GET, "/assets/index-0ld.js"),
        (Method::GET, "/openapi/nope.json"),
        (Method::GET, "/internal/v1/resolve"),
        (Method::GET, "/auth"),
    ] {
        house.assets.reply(FakeReply::status(404));
        let answer = house.send(method, path, &[], None).await;
        assert_eq!(answer.outcome(), (404, "not_found".to_owned()), "{path}");
    }
    let asked = house.assets.requests().len();
    for (method, path, status, code, allow) in [
        (Method::GET, "/auth/nope", 404, "not_found", ""),
        (Method::POST, "/", 405, "method_not_allowed", "GET,HEAD"),
        (Method::PUT, "/play", 405, "method_not_allowed", "GET,HEAD"),
        (
            Method::POST,
            "/testing-gui",
            405,
            "method_not_allowed",
            "GET,HEAD",
        ),
        (
            Method::DELETE,
            "/health",
            405,
            "method_not_allowed",
            "GET,HEAD",
        ),
    ] {
        let answer = house.send(method, path, &[], None).await;
        assert_eq!(answer.outcome(), (status, code.to_owned()), "{path}");
        assert_eq!(answer.header("allow"), allow, "{path}");
    }
    assert_eq!(house.assets.requests().len(), asked);
}

#[tokio::test]
async fn mcp_says_which_worker_it_needs() {
    let house = House::local();
    let cookie = format!("sy_session_8787={KEY}");
    for path in ["/mcp", "/.well-known/oauth-protected-resource"] {
        for method in [Method::GET, Method::POST] {
            let pairs = [("cookie", cookie.as_str())];
            let answer = house.send(method, path, &pairs, None).await;
            assert_eq!(answer.outcome(), (404, "not_found".to_owned()), "{path}");
            assert_eq!(answer.json()["details"]["worker"], "task-master");
        }
    }
    assert!(house.assets.requests().is_empty());
}

#[tokio::test]
async fn the_security_headers_and_the_build_are_on_every_answer() {
    let house = House::new(Plan::default());
    for path in [
        "/play",
        "/theme.js",
        "/testing-gui",
        "/health",
        "/openapi.json",
        "/auth/session",
        "/api/nope/x",
    ] {
        for scheme in ["http", "https"] {
            house.healthy();
            let answer = house
                .get(&format!("{scheme}://console.example{path}"))
                .await;
            for (name, value) in headers::SECURITY {
                assert_eq!(answer.header(name), value, "{path}");
            }
            assert_eq!(answer.header("x-switchyard-build"), BUILD, "{path}");
            let transport = answer.header("strict-transport-security");
            assert_eq!(!transport.is_empty(), scheme == "https", "{path}");
            for (name, _) in &answer.headers {
                let name = name.as_str();
                assert!(!name.starts_with("access-control-"), "{path}: {name}");
            }
        }
    }
}

#[tokio::test]
async fn a_local_console_is_not_served_under_a_foreign_name() {
    let house = House::local();
    for path in [
        "/",
        "/play",
        "/theme.js",
        "/health",
        "/mcp",
        "/auth/session",
        "/api/image-gen/health",
    ] {
        let foreign = [("host", "rebound.example:8787")];
        let answer = house.send(Method::GET, path, &foreign, None).await;
        assert_eq!(
            answer.outcome(),
            (403, "origin_refused".to_owned()),
            "{path}"
        );
    }
    let deployed = House::new(Plan::default());
    let answer = deployed.get(&format!("{BASE}/api/image-gen/health")).await;
    assert!(answer.forward.is_some());
}

//! Journey: the console's worker on the real runtime, as a browser and as what pretends to be one.
//!
//! 1. the printed key signs in: the cookie and its flags, the session over the gateway to config-service and image-gen,
//!    a picture with `ETag` and `Range`; 2. what does not come from the console's own pages is refused; 3. the session
//!    ends with its key, within 5 s everywhere; 4. every answer has the security headers of the one table: page, deep
//!    link, file, API, error; files are kept and asked for as they should; 5. foreign hosts get nothing, not even a file;
//!    6. paths that would lead behind the gateway lead nowhere; bodies over the caps of workers are refused.
#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "helpers of a test fail it; what is measured is real time: how long the session of a revoked key is accepted"
)]

use e2e::{Answer, Browser, Options, Stack, raw, until};
use serde_json::json;
use std::time::{Duration, Instant};

/// How long a verdict may be used.
const VERDICT: Duration = Duration::from_secs(5);
const SESSION: &str = "/auth/session";

/// What the store puts on files and the worker on everything, as it is committed: the rules for `/*`.
fn table() -> Vec<(String, String)> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../workers/console/_headers"
    );
    let text = std::fs::read_to_string(path).expect("the committed file");
    let rules = text
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with(' '));
    rules
        .filter_map(|line| line.trim().split_once(": "))
        .filter(|(name, _)| *name != "cache-control")
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn port(stack: &Stack) -> String {
    let port = stack.base_url().rsplit(':').next().unwrap_or_default();
    port.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_signs_in_and_its_session_works_until_the_key_ends() {
    let stack = Stack::start(Options::default());
    let admin = stack.admin();
    let minted = admin
        .post("/api/config-service/api-key", &json!({"name": "browser"}))
        .await
        .json();
    let text = |name: &str| minted[name].as_str().unwrap_or_default().to_owned();
    let (key_id, key) = (text("key_id"), text("api_key"));

    let (browser, answer) = Browser::sign_in(&admin, stack.base_url(), &key).await;
    let cookie = answer.header("set-cookie").to_owned();
    let (name, rest) = cookie.split_once('=').unwrap_or_default();
    let (value, flags) = rest.split_once("; ").unwrap_or_default();
    assert_eq!(name, format!("sy_session_{}", port(&stack)));
    assert!(value.starts_with("sy_") && value != key);
    assert_eq!(
        flags, "Path=/; HttpOnly; SameSite=Strict; Max-Age=43200",
        "without Secure, which loopback over http cannot have"
    );
    assert_eq!(answer.header("cache-control"), "no-store");
    let body = answer.json();
    assert_eq!(body["principal"]["role"], "admin", "{body}");
    assert_eq!(body["principal"]["key_id"], json!(key_id), "{body}");
    for secret in [key.as_str(), value] {
        assert!(!body.to_string().contains(secret), "{body}");
    }
    let known = browser.get(SESSION).await;
    assert_eq!((known.status, known.json()), (200, body));

    // Over the gateway: config-service, a picture, the picture again.
    let listed = browser.get("/api/config-service/session/list").await;
    assert_eq!(listed.json()["items"][0]["key_id"], json!(key_id));
    let prompt = json!({"prompt": "a lighthouse at dawn", "instance_id": "development"});
    let made = browser.post("/api/image-gen/generate", &prompt).await;
    assert_eq!(made.status, 200, "{}", made.json());
    let path = made.json()["r2_path"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    a_picture_over_the_gateway(&browser, &path).await;

    let misspelt = browser
        .signed_out()
        .post(SESSION, &json!({"api_key": "sy_4fGh7kQ2mZ0a_no"}))
        .await;
    misspelt.expect_error(401, "auth_failed");

    ends_with_its_key(&stack, &browser, &key_id).await;
}

/// A file that a page shows by its address alone.
async fn a_picture_over_the_gateway(browser: &Browser, r2_path: &str) {
    let url = format!("/api/image-gen/images/{r2_path}?__instance=development");
    let picture = browser.get(&url).await;
    assert_eq!(picture.status, 200, "{}", picture.json());
    assert_eq!(picture.header("content-type"), "image/png");
    assert_eq!(picture.header("x-content-type-options"), "nosniff");
    assert_eq!(
        picture.header("content-security-policy"),
        "default-src 'none'; sandbox"
    );
    assert_eq!(picture.header("content-disposition"), "");
    assert_eq!(picture.header("server"), "");
    let etag = picture.header("etag").to_owned();
    assert!(etag.starts_with('"'), "{etag}");

    let ask = |name: &'static str, value: &str| browser.bare("GET", &url).header(name, value);
    let same = browser.send(ask("if-none-match", &etag)).await;
    assert_eq!((same.status, same.bytes.len()), (304, 0));
    assert_eq!(
        same.header("content-security-policy"),
        "default-src 'none'; sandbox",
        "a browser would put it onto the picture that it has"
    );
    let part = browser.send(ask("range", "bytes=1-3")).await;
    assert_eq!((part.status, part.bytes.as_slice()), (206, &b"PNG"[..]));
    assert_eq!(
        part.header("content-range"),
        format!("bytes 1-3/{}", picture.bytes.len())
    );
    let nobody = browser.signed_out().get(&url).await;
    nobody.expect_error(401, "auth_failed");
}

async fn ends_with_its_key(stack: &Stack, browser: &Browser, key_id: &str) {
    let admin = stack.admin();
    let models = "/api/image-gen/v1/models?__instance=development";
    assert_eq!(browser.get(models).await.status, 200);
    let path = format!("/api/config-service/api-key/{key_id}");
    let revoked = admin.send(admin.request("DELETE", &path)).await;
    let ended = Instant::now();
    assert_eq!(revoked.status, 200, "{}", revoked.json());
    let gone = browser.get(SESSION).await;
    let refused = gone.expect_error(401, "auth_failed");
    assert_eq!(refused["details"]["reason"], "revoked");
    let cleared = gone.header("set-cookie");
    assert!(cleared.ends_with("Max-Age=0"), "{cleared}");
    until("image-gen to refuse the session", 10, || async {
        let asked = Instant::now();
        let status = browser.get(models).await.status;
        assert!(status == 401 || asked < ended + VERDICT, "{status}");
        (status == 401).then_some(())
    })
    .await;
    // Signing out of what has ended is no failure.
    let out = browser.send(browser.write("DELETE", SESSION)).await;
    assert_eq!(out.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_consoles_own_pages_use_its_cookie() {
    let stack = Stack::start(Options::default());
    let base = stack.base_url();
    let keys = "/api/config-service/api-key";
    let (browser, _) = Browser::sign_in(&stack.admin(), base, &stack.keys().admin).await;
    let refuse = async |request: reqwest::RequestBuilder| {
        let answer = browser.send(request).await;
        answer.expect_error(403, "csrf_rejected");
        assert_eq!(answer.header("set-cookie"), "");
    };
    let body = json!({"name": "stolen"});
    let own = |path| browser.write("POST", path).json(&body);
    for path in [keys, SESSION] {
        // Without one of the words, and with another site's.
        refuse(browser.bare("POST", path).json(&body)).await;
        let post = || browser.bare("POST", path).json(&body);
        refuse(post().header("x-switchyard-console", "1")).await;
        refuse(post().header("origin", base)).await;
        // The development server rewrites what names its own host, so the same host over https is asked in ring 3 only.
        for origin in [
            "http://evil.example",
            "null",
            &format!("http://localhost:{}", port(&stack)),
        ] {
            let post = post().header("x-switchyard-console", "1");
            refuse(post.header("origin", origin)).await;
        }
        let cross = post()
            .header("origin", base)
            .header("x-switchyard-console", "1")
            .header("sec-fetch-site", "cross-site");
        refuse(cross).await;
    }
    refuse(browser.bare("DELETE", SESSION)).await;
    for site in ["cross-site", "same-site"] {
        let get = browser.bare("GET", "/api/config-service/session");
        refuse(get.header("sec-fetch-site", site)).await;
    }
    let socket = |origin: &str| {
        let cookie = format!("cookie: {}", browser.cookie);
        let origin = format!("origin: {origin}");
        raw(
            base,
            &[
                "GET /api/image-gen/health HTTP/1.1",
                &cookie,
                &origin,
                "connection: Upgrade",
                "upgrade: websocket",
                "sec-websocket-version: 13",
                "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
            ],
        )
    };
    let foreign = socket("http://evil.example");
    assert_eq!(foreign.status, 403, "{}", foreign.head);
    assert!(foreign.body.contains("csrf_rejected"), "{}", foreign.body);

    // None of it made a key; the page's own request does, and a key of one's own needs no page.
    let minted = browser.send(own(keys)).await;
    assert_eq!(minted.status, 201, "{}", minted.json());
    let with_key = stack.admin();
    let foreign = with_key
        .request("POST", keys)
        .header("origin", "http://evil.example")
        .header("cookie", &browser.cookie)
        .json(&body);
    let answer = with_key.send(foreign).await;
    assert_eq!(answer.status, 201, "{}", answer.json());
    assert_eq!(answer.header("access-control-allow-origin"), "");
    let names = stack
        .control()
        .rows("SELECT count(*) FROM api_keys WHERE name = 'stolen'");
    assert_eq!(names, [["2"]]);
    let preflight = with_key
        .with_key("")
        .request("OPTIONS", "/api/image-gen/generate")
        .header("origin", "http://evil.example")
        .header("access-control-request-method", "POST");
    let answer = with_key.send(preflight).await;
    for (name, _) in &answer.headers {
        assert!(!name.as_str().starts_with("access-control-"), "{name}");
    }
}

fn secured(answer: &Answer, what: &str) {
    let table = table();
    assert_eq!(table.len(), 7, "{table:?}");
    for (name, value) in table {
        let sent: Vec<_> = answer.headers.get_all(&name).iter().collect();
        assert_eq!(sent, [value.as_str()], "{name} of {what}");
    }
    assert_ne!(answer.header("x-switchyard-build"), "", "{what}");
    // Over http it would be ignored, and says nothing about https.
    assert_eq!(answer.header("strict-transport-security"), "", "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_of_this_origin_is_its_own() {
    let stack = Stack::start(Options::default());
    let base = stack.base_url();
    let anonymous = stack.client("");
    let page = anonymous.get("/").await;
    let html = String::from_utf8_lossy(&page.bytes).into_owned();
    let script = html.split("/assets/").nth(1).expect("a script");
    let script = format!("/assets/{}", script.split('"').next().unwrap_or_default());
    let refused = anonymous.get("/nope").await.json();
    let docs = refused["docs"].as_str().unwrap_or_default().to_owned();
    let (path, code) = docs.split_once('#').expect("a page and a code");
    let explained = anonymous.get(path).await;
    assert!(explained.header("content-type").starts_with("text/html"));
    let explained = String::from_utf8_lossy(&explained.bytes).into_owned();
    assert!(explained.contains(&format!("<h2 id=\"{code}\">")), "{docs}");
    let immutable = "public, max-age=31536000, immutable";
    for (path, status, kept) in [
        ("/", 200, "no-cache"),
        ("/admin/instances/development", 200, "no-cache"),
        (&script, 200, immutable),
        ("/theme.js", 200, "no-cache"),
        ("/openapi/image-gen.json", 200, "no-cache"),
        ("/docs/errors", 200, "no-cache"),
        ("/docs/errors.md", 200, "no-cache"),
        ("/docs/errors/rate_limited", 200, "no-cache"),
        ("/docs/errors/no_such_code", 404, "no-store"),
        ("/docs/api/", 200, "no-cache"),
        ("/testing-gui", 308, ""),
        ("/health", 200, "no-store"),
        ("/api/config-service/health", 200, "no-store"),
        ("/api/config-service/session", 401, "no-store"),
        ("/api/nope/x", 404, "no-store"),
        ("/auth/session", 401, "no-store"),
        ("/assets/index-0ld.js", 404, "no-store"),
        ("/docs/nope", 404, "no-store"),
        ("/nope", 404, "no-store"),
        ("/mcp", 404, "no-store"),
    ] {
        let answer = anonymous.get(path).await;
        assert_eq!(answer.status, status, "{path}");
        secured(&answer, path);
        if !kept.is_empty() {
            assert_eq!(answer.header("cache-control"), kept, "{path}");
        }
        if status >= 400 && path.starts_with("/docs/") {
            // The documents' own page: who follows a link reads it.
            assert!(answer.header("content-type").starts_with("text/html"));
        } else if status >= 400 {
            assert!(!answer.json()["error"].is_null(), "{path}");
        }
        // What is served must be what a client may keep and ask for again.
        let etag = answer.header("etag").to_owned();
        if status == 200 && kept != "no-store" {
            let again = anonymous
                .request("GET", path)
                .header("if-none-match", &etag);
            let again = anonymous.send(again).await;
            assert_eq!((again.status, again.bytes.len()), (304, 0), "{path} {etag}");
            secured(&again, path);
            assert_eq!(again.header("cache-control"), kept, "{path}");
            let head = anonymous.send(anonymous.request("HEAD", path)).await;
            assert_eq!((head.status, head.header("etag")), (200, etag.as_str()));
        }
    }
    let deep = anonymous.get("/play").await;
    assert_eq!(
        (deep.bytes.as_slice(), deep.header("etag")),
        (page.bytes.as_slice(), page.header("etag"))
    );
    let mcp = anonymous.get("/mcp").await.expect_error(404, "not_found");
    assert_eq!(mcp["details"]["worker"], "task-master");

    for path in ["/", "/play", "/theme.js", &script, "/health"] {
        let answer = anonymous.post(path, &json!({})).await;
        answer.expect_error(405, "method_not_allowed");
        assert_eq!(answer.header("allow"), "GET,HEAD", "{path}");
        secured(&answer, path);
    }

    // A name of somebody else that leads here gets nothing at all.
    for path in [
        "/",
        "/play",
        "/theme.js",
        &script,
        "/health",
        "/api/image-gen/health",
    ] {
        for host in ["evil.example", &format!("evil.example:{}", port(&stack))] {
            let request = anonymous.request("GET", path).header("host", host);
            let answer = anonymous.send(request).await;
            answer.expect_error(403, "origin_refused");
            secured(&answer, path);
        }
    }
    for host in ["localhost", "127.0.0.1"] {
        let host = format!("{host}:{}", port(&stack));
        let request = anonymous.request("GET", "/theme.js").header("host", host);
        assert_eq!(anonymous.send(request).await.status, 200);
    }

    nothing_behind_the_gateway(base);
    bodies_have_caps(&stack).await;
}

fn nothing_behind_the_gateway(base: &str) {
    for path in [
        "/api/config-service/internal/v1/resolve",
        "/api/config-service/INTERNAL/v1/resolve",
        "/api/config-service/%69nternal/v1/resolve",
        "/api/config-service/./internal/v1/resolve",
        "/api/config-service/%2e/internal/v1/resolve",
        "/api/config-service/x/../internal/v1/resolve",
        "/api/config-service/x/%2e%2e/internal/v1/resolve",
        "/api/config-service//internal/v1/resolve",
        "/api/config-service/%2finternal/v1/resolve",
        "/api/config-service/..%2fconfig-service/internal/v1/resolve",
        "/api/config-service\\internal\\v1\\resolve",
        "/api//config-service/internal/v1/resolve",
        "/api/admission/acquire",
        "/internal/v1/resolve",
        "/assets/../api/config-service/internal/v1/resolve",
        "/assets/%2e%2e/%2e%2e/wrangler.jsonc",
        "/_headers",
        "/.assetsignore",
    ] {
        for method in ["GET", "POST"] {
            let line = format!("{method} {path} HTTP/1.1");
            let answer = raw(base, &[&line, "content-length: 0"]);
            let refused = ["not_found", "invalid_request"]
                .iter()
                .any(|code| answer.body.contains(&format!("\"error\":\"{code}\"")));
            assert!(
                matches!(answer.status, 400 | 404) && refused,
                "{line}: {} {}",
                answer.status,
                answer.body
            );
            // Refused by the gateway: a worker's answer would say as which it was asked.
            assert_eq!(answer.header("set-cookie"), "", "{line}");
        }
    }
}

async fn bodies_have_caps(stack: &Stack) {
    let admin = stack.admin();
    // A worker's own cap, behind a gateway that lets it through.
    let long = json!({"prompt": "x".repeat(1024 * 1024), "instance_id": "development"});
    let answer = admin.post("/api/image-gen/generate", &long).await;
    answer.expect_error(413, "payload_too_large");
    let key = json!({"api_key": "x".repeat(8 * 1024)});
    let sign_in = admin.with_key("").request("POST", SESSION).json(&key);
    let sign_in = sign_in
        .header("origin", stack.base_url())
        .header("x-switchyard-console", "1");
    let answer = admin.send(sign_in).await;
    answer.expect_error(413, "payload_too_large");
}

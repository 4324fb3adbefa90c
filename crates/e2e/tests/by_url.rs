//! Journey: an instance whose image-gen is not bound to the console but registered with a URL, as in a deployment.
//!
//! 1. the console loses its binding: a request must name its instance, and one without the worker is 503; 2. the URL of
//!    a server of ours: what of a request arrives there and what of its answer comes back, a body of 20 MiB, an event
//!    stream, a socket in both directions, an answer that points elsewhere; 3. a URL outside of `WORKER_HOSTS` gets
//!    nothing; 4. the URL of a second workerd, which has the same control plane: pictures with a key and with a session.

#![expect(
    clippy::expect_used,
    reason = "helpers of a test: what is not there fails it"
)]

use e2e::{Answer, Browser, Client, Frame, Options, Stack, Upstream, open, until};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;

const URLS: &str = "/api/config-service/instance/development/worker-urls";
const IMAGE_GEN: &str = "/api/image-gen";
/// Larger than any body that a worker takes, smaller than the gateway's cap.
const LARGE: usize = 20 * 1024 * 1024;

/// Takes the binding of image-gen away from the console that runs.
async fn unbind(stack: &Stack) {
    let path = stack.rendered("console").join("wrangler.jsonc");
    let text = std::fs::read_to_string(&path).expect("rendered");
    let mut config: Value = serde_json::from_str(&text).expect("JSON");
    let services = config["services"].as_array_mut().expect("bindings");
    services.retain(|service| service["binding"] != "IMAGE_GEN");
    config["vars"]["WORKER_HOSTS"] = json!("127.0.0.1, workers.example");
    std::fs::write(&path, config.to_string()).expect("written");
    let anonymous = stack.client("");
    until("the console to be without its binding", 120, || async {
        let request = anonymous.request("GET", "/health");
        let answer = anonymous.try_send(request).await.ok()?;
        let absent = answer.json()["bindings"]["IMAGE_GEN"] == "absent";
        (answer.status == 200 && absent).then_some(())
    })
    .await;
}

async fn register(admin: &Client, url: &str) {
    let put = admin.request("PUT", URLS).header("if-match", "*");
    let answer = admin.send(put.json(&json!({"image_gen": url}))).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
}

/// A request of a caller whose memory of the registry is still empty: each has its own.
async fn fresh(admin: &Client) -> Client {
    let minted = admin
        .post("/api/config-service/api-key", &json!({"name": "fresh"}))
        .await
        .json();
    admin.with_key(minted["api_key"].as_str().unwrap_or_default())
}

async fn named(client: &Client, method: &str, path: &str) -> Answer {
    let request = client.request(method, &format!("{IMAGE_GEN}{path}"));
    client
        .send(request.header("x-instance-id", "development"))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registered_url_serves_what_is_not_bound() {
    let stack = Stack::start(Options {
        expected_errors: vec![
            "worker_not_deployed",
            "upstream_refused",
            "upstream_unavailable",
        ],
        ..Options::default()
    });
    let admin = stack.admin();
    unbind(&stack).await;

    let answer = admin.get(&format!("{IMAGE_GEN}/v1/models")).await;
    let refused = answer.expect_error(400, "instance_required");
    let names = &refused["details"]["instances"];
    let all = names.as_array().cloned().unwrap_or_default();
    assert!(all.contains(&json!("development")), "{refused}");
    let nobody = stack.client("");
    let answer = nobody.get(&format!("{IMAGE_GEN}/v1/models")).await;
    answer.expect_error(401, "auth_failed");
    let missing = named(&admin, "GET", "/v1/models").await;
    let missing = missing.expect_error(503, "worker_not_deployed");
    assert_eq!(missing["details"]["instance_id"], "development");
    // Another organization's instance, and one that there is not: the same answer.
    let mut told = Vec::new();
    for instance in ["foreign", "never-made"] {
        let path = format!("{IMAGE_GEN}/v1/models?__instance={instance}");
        let mut body = admin.get(&path).await.expect_error(404, "not_found");
        body["request_id"] = Value::Null;
        told.push(body);
    }
    assert_eq!(told[0], told[1]);

    let upstream = Upstream::start();
    register(&admin, &upstream.url()).await;
    let (browser, _) = Browser::sign_in(&admin, stack.base_url(), &stack.keys().admin).await;
    what_arrives(&stack, &browser, &upstream).await;
    large_bodies(&admin, &upstream).await;
    a_stream(&stack, &browser, &upstream).await;
    sockets(&stack, &browser, &upstream).await;

    let before = upstream.seen().len();
    for url in [
        upstream.url().replace("127.0.0.1", "localhost"),
        "https://workers.example.evil.example".to_owned(),
        "http://workers.example".to_owned(),
    ] {
        register(&admin, &url).await;
        let caller = fresh(&admin).await;
        let answer = named(&caller, "GET", "/v1/models").await;
        let body = answer.expect_error(502, "upstream_refused");
        assert!(!body.to_string().contains("evil"), "{body}");
    }
    assert_eq!(upstream.seen().len(), before, "no key left");
    // Nobody listens there.
    register(&admin, "http://127.0.0.1:9").await;
    let caller = fresh(&admin).await;
    let answer = named(&caller, "GET", "/v1/models").await;
    let gone = answer.expect_error(502, "upstream_unavailable");
    assert_eq!(
        gone["details"],
        json!({"worker": "image-gen", "instance_id": "development"})
    );
    assert_eq!(gone["retry_after_ms"], 2_000);
}

/// The head of a request, and of its answer.
async fn what_arrives(stack: &Stack, browser: &Browser, upstream: &Upstream) {
    let cookie = format!("cookie: theme=dark; {}", browser.cookie);
    let origin = format!("origin: {}", stack.base_url());
    let lines = [
        "GET /api/image-gen/echo?a=1&__instance=development HTTP/1.1",
        &cookie,
        &origin,
        "referer: http://127.0.0.1/play",
        "sec-fetch-site: same-origin",
        "sec-fetch-mode: cors",
        "x-switchyard-console: 1",
        "keep-alive: timeout=5",
        "te: trailers",
        "trailer: x-sum",
        "proxy-authorization: Basic eDp5",
        "proxy-connection: keep-alive",
        "connection: close",
        "x-request-id: 0199a1c2-0000-7000-8000-000000000001",
        "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "range: bytes=0-1",
        "if-none-match: \"x\"",
        "idempotency-key: k",
        "prefer: respond-async",
        "last-event-id: 7",
    ];
    let answer = e2e::raw(stack.base_url(), &lines);
    assert_eq!(answer.status, 200, "{} {}", answer.head, answer.body);
    let seen = upstream.seen().pop().expect("arrived");
    assert_eq!(seen.line, "GET /echo?a=1 HTTP/1.1");
    let host = stack.base_url().trim_start_matches("http://");
    let session = browser.cookie.split_once('=').map_or("", |(_, key)| key);
    for (name, value) in [
        ("authorization", format!("Bearer {session}").as_str()),
        ("x-instance-id", "development"),
        ("x-forwarded-host", host),
        ("x-forwarded-proto", "http"),
        ("x-request-id", "0199a1c2-0000-7000-8000-000000000001"),
        ("range", "bytes=0-1"),
        ("if-none-match", "\"x\""),
        ("idempotency-key", "k"),
        ("prefer", "respond-async"),
        ("last-event-id", "7"),
        ("host", upstream.url().trim_start_matches("http://")),
    ] {
        assert_eq!(seen.header(name), value, "{name} of {seen:?}");
    }
    let trace = seen.header("traceparent");
    assert!(
        trace.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-")
            && !trace.contains("00f067aa0ba902b7"),
        "{trace}"
    );
    let kept_back = [
        "cookie",
        "origin",
        "x-switchyard-console",
        "keep-alive",
        "te",
        "trailer",
        "proxy-authorization",
        "proxy-connection",
        "upgrade",
    ];
    for (name, value) in &seen.headers {
        let name = name.as_str();
        assert!(!kept_back.contains(&name), "{name}: {value}");
        assert!(!name.starts_with("sec-"), "{name}: {value}");
    }

    for (name, value) in [
        ("set-cookie", ""),
        ("server", ""),
        ("keep-alive", ""),
        ("access-control-allow-origin", ""),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("content-disposition", ""),
    ] {
        assert_eq!(answer.header(name), value, "{name}: {}", answer.head);
    }
    let html = browser
        .get(&format!("{IMAGE_GEN}/html?__instance=development"))
        .await;
    assert_eq!(html.header("content-disposition"), "attachment");
    assert_eq!(
        html.header("content-security-policy"),
        "default-src 'none'; sandbox"
    );
    // Where an answer points is the client's business; no key goes there from here.
    let moved = browser
        .get(&format!("{IMAGE_GEN}/moved?__instance=development"))
        .await;
    assert_eq!((moved.status, moved.header("location")), (302, "/stolen"));
    let lines = upstream.seen().into_iter().map(|seen| seen.line);
    assert!(lines.into_iter().all(|line| !line.contains("stolen")));
}

async fn large_bodies(admin: &Client, upstream: &Upstream) {
    let body: Vec<u8> = (0..LARGE).map(|at| (at % 251) as u8).collect();
    let path = format!("{IMAGE_GEN}/upload");
    let caller = fresh(admin).await;
    let request = caller
        .request("POST", &path)
        .header("x-instance-id", "development")
        .body(body.clone());
    let answer = caller.send(request).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    let seen = upstream.seen().pop().expect("arrived");
    assert_eq!(seen.line, "POST /upload HTTP/1.1");
    assert!(seen.body == body, "{} bytes arrived", seen.body.len());
}

/// Opens something that stays open, as the page would.
fn opened(stack: &Stack, browser: &Browser, path: &str, more: &[&str]) -> BufReader<TcpStream> {
    let line = format!("GET {IMAGE_GEN}{path}?__instance=development HTTP/1.1");
    let host = format!("host: {}", stack.base_url().trim_start_matches("http://"));
    let cookie = format!("cookie: {}", browser.cookie);
    let origin = format!("origin: {}", stack.base_url());
    let mut lines = vec![line.as_str(), &host, &cookie, &origin];
    lines.extend(more);
    BufReader::new(open(stack.base_url(), &lines))
}

/// Reads lines up to one that holds the text, and answers all of them.
fn read_to(reader: &mut impl BufRead, text: &str) -> String {
    let mut read = String::new();
    loop {
        let mut line = String::new();
        let bytes = reader.read_line(&mut line).expect("in time");
        assert!(bytes > 0, "ended before {text:?}: {read}");
        read.push_str(&line);
        if line.trim_end().contains(text) {
            return read;
        }
    }
}

/// The first event is read before the second is made; who leaves ends it at its source.
async fn a_stream(stack: &Stack, browser: &Browser, upstream: &Upstream) {
    let mut events = opened(stack, browser, "/stream", &["accept: text/event-stream"]);
    let head = read_to(&mut events, "event 1").to_ascii_lowercase();
    assert!(head.contains("content-type: text/event-stream"), "{head}");
    assert!(!head.contains("event 2"), "{head}");
    upstream.release();
    read_to(&mut events, "event 2");
    assert!(upstream.ended().is_empty(), "{:?}", upstream.ended());
    drop(events);
    // The local runtime learns that a client has left when it next writes to it.
    until("the stream to end at its source", 30, || async {
        upstream.release();
        upstream
            .ended()
            .contains(&"stream left".to_owned())
            .then_some(())
    })
    .await;
}

fn upgraded(stack: &Stack, browser: &Browser) -> BufReader<TcpStream> {
    let more = [
        "connection: Upgrade",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    let mut socket = opened(stack, browser, "/socket", &more);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let bytes = socket.read_line(&mut head).expect("in time");
        assert!(bytes > 0, "{head}");
    }
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    socket
}

/// Texts in both directions, and a close from each side with its code.
async fn sockets(stack: &Stack, browser: &Browser, upstream: &Upstream) {
    let say = |socket: &BufReader<TcpStream>, frame: &Frame| {
        frame.write(socket.get_ref(), true).expect("sent");
    };
    let mut socket = upgraded(stack, browser);
    let seen = upstream.seen().pop().expect("arrived");
    assert_eq!((seen.header("cookie"), seen.header("origin")), ("", ""));
    assert!(seen.header("authorization").starts_with("Bearer sy_"));
    for text in ["hello", "again"] {
        say(&socket, &Frame::text(text));
        assert_eq!(Frame::read(&mut socket).expect("echoed"), Frame::text(text));
    }
    say(&socket, &Frame::close(4001));
    until("our close to arrive", 30, || async {
        let ended = upstream.ended();
        ended.contains(&"socket 4001 done".to_owned()).then_some(())
    })
    .await;
    let mut socket = upgraded(stack, browser);
    say(&socket, &Frame::text("close me"));
    let closed = Frame::read(&mut socket).expect("closed");
    assert_eq!((closed.opcode, closed.code()), (Frame::CLOSE, 4002));
    say(&socket, &Frame::close(4002));
    let mut rest = Vec::new();
    let ended = socket.read_to_end(&mut rest);
    // The local runtime sends the close once more; nothing else may follow, and the connection ends.
    let mut again = Vec::new();
    Frame::close(4002).write(&mut again, false).expect("a list");
    assert!(ended.is_ok(), "{ended:?}");
    assert!(rest.is_empty() || rest == again, "{rest:?}");
}

/// Two systems on one control plane, as far as that can be had on one machine: the second starts with a copy of the first
/// one's control database and secrets.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_workerd_makes_pictures_for_a_key_and_for_a_session() {
    let (stack, second) = (
        Stack::start(Options::default()),
        Stack::start(Options::default()),
    );
    let admin = stack.admin();
    let base = stack.base_url();
    let (browser, _) = Browser::sign_in(&admin, base, &stack.keys().admin).await;
    // The second does not know the first one's key yet.
    let key_there = second.client(&stack.keys().admin);
    let stranger = key_there.get("/api/config-service/session").await;
    stranger.expect_error(401, "auth_failed");
    second.while_paused(|| {
        second.control().become_copy_of(&stack.control());
        for worker in ["config-service", "image-gen"] {
            let file = |stack: &Stack| stack.rendered(worker).join(".dev.vars");
            std::fs::copy(file(&stack), file(&second)).expect("secrets");
        }
    });
    unbind(&stack).await;
    register(&admin, &format!("{}/api/image-gen", second.base_url())).await;

    let body = json!({"prompt": "a bridge between two shores"});
    let path = "/api/image-gen/generate?__instance=development";
    let with_key = admin.post(path, &body).await;
    let with_session = browser.post(path, &body).await;
    for made in [&with_key, &with_session] {
        let told = || {
            let text = String::from_utf8_lossy(&made.bytes).into_owned();
            format!("{:?} {text}", made.headers)
        };
        assert_eq!(made.status, 200, "{}", told());
        let told = told();
        let made = made.json();
        let url = made["image_url"].as_str().unwrap_or_default();
        assert!(url.starts_with(second.base_url()), "{told}");
        let shown = made["r2_path"].as_str().unwrap_or_default();
        let shown = format!("{IMAGE_GEN}/images/{shown}?__instance=development");
        let picture = browser.get(&shown).await;
        assert_eq!(picture.status, 200, "{}", picture.json());
        assert!(picture.bytes.starts_with(b"\x89PNG"));
        assert_eq!(picture.bytes, second.client("").get(url).await.bytes);
        browser
            .signed_out()
            .get(&shown)
            .await
            .expect_error(401, "auth_failed");
    }
    // One place has made them, and it is not the one that was asked.
    until("both charges at the second", 30, || async {
        let charges = "SELECT count(*) FROM usage_logs WHERE phase = 'charge'";
        let rows = second.ledger().rows(charges);
        rows.iter().any(|row| row[0] == "2").then_some(())
    })
    .await;
    let jobs = stack.ledger().rows("SELECT count(*) FROM jobs");
    assert!(jobs.iter().all(|row| row[0] == "0"), "{jobs:?}");
}

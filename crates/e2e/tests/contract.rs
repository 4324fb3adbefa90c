//! Journey: each port keeps its contract on the real runtime; the same functions run against the fakes in `platform`.
//!
//! 1. every port but the HTTP client, with the same promises over a service binding to the probe itself; 2. the HTTP client,
//!    whose other side is a server of ours; 3. the words with which the runtime refuses or fails a call: only they tell what
//!    was certainly not sent (`docs/decisions/0006`).

use e2e::{Client, Options, Stack, Upstream};
use serde_json::{Value, json};
use std::net::TcpListener;

async fn keeps(admin: &Client, port: &str, peers: &Value) {
    let path = format!("/api/probe/__probe/contract/{port}");
    let answer = admin.post(&path, peers).await;
    let text = String::from_utf8_lossy(&answer.bytes);
    assert_eq!(answer.status, 200, "{port}: {text}");
    assert_eq!(answer.json()["kept"], true, "{port}: {text}");
}

/// A port that was free a moment ago: nobody listens.
fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").ok();
    let address = listener.and_then(|listener| listener.local_addr().ok());
    address.map_or(9, |address| address.port())
}

#[tokio::test]
async fn the_ports_keep_their_contracts_on_the_real_runtime() {
    let stack = Stack::start(Options {
        probe: true,
        ..Options::default()
    });
    let admin = stack.admin();
    for port in [
        "clock",
        "random",
        "kv",
        "objects",
        "database",
        "queue",
        "actors",
        "storage",
        "background",
        "service",
    ] {
        keeps(&admin, port, &json!({})).await;
    }

    let upstream = Upstream::start();
    let refused = format!("http://127.0.0.1:{}/", closed_port());
    let unknown = "http://no-such-host.invalid/";
    let hangs_up = format!("{}/hangs-up", upstream.peer());
    let peers = json!({
        "base": upstream.peer(), "refused": refused, "unknown": unknown, "hangs_up": hangs_up,
    });
    keeps(&admin, "http_client", &peers).await;
    let seen = upstream.seen();
    assert!(
        seen.iter()
            .any(|seen| seen.line == "POST /peer/hangs-up HTTP/1.1"),
        "{seen:?}"
    );

    for (url, not_sent, words) in [
        ("not a url", true, "Invalid URL"),
        ("ftp://peer.test/", true, "Fetch API cannot load"),
        // The next two say the same though only one of them was sent, and the third says nothing: none of them counts.
        (refused.as_str(), false, "Network connection lost."),
        (hangs_up.as_str(), false, "Network connection lost."),
        (unknown, false, "internal error"),
    ] {
        let request = admin.request("POST", "/api/probe/__probe/send");
        let told = admin.send(request.body(url.to_owned())).await.json();
        assert_eq!(told["not_sent"], not_sent, "{url}: {told}");
        assert_eq!(told["timed_out"], false, "{url}: {told}");
        let cause = told["cause"].as_str().unwrap_or_default();
        assert!(cause.starts_with(words), "{url}: {told}");
    }
}

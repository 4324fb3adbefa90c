//! The contract of the HTTP client, to the outside and over a service binding that the probe has to itself, and
//! `/__probe/peer/..`, the other side of that.
//!
//! In scope: which peers there are, and how ours answers. Out of scope: everything else of the probe (`probe`).

use axum::body::Body;
use futures_util::stream;
use http::{HeaderMap, Response, StatusCode};
use platform::Clock;
use platform::contract::{self, Verdict};
use platform_workers::{WorkerClock, WorkerPorts};
use serde::Deserialize;

/// The binding of the probe to itself.
const PEER: &str = "PEER";

/// The contract of the HTTP client, over a service binding.
pub(crate) async fn keeps_contract(ports: &WorkerPorts) -> Verdict {
    let service = ports.service(PEER).map_err(|error| error.to_string())?;
    // A binding leads to one worker: there is no host that refuses, is unknown or hangs up.
    let peers = contract::HttpPeers {
        base: "http://peer/__probe/peer".to_owned(),
        refused: None,
        unknown: None,
        hangs_up: None,
    };
    contract::http_client(&service, &peers).await
}

/// The same to the outside. Body: `{"base","refused"?,"unknown"?,"hangs_up"?}`, the peers that the test has started.
pub(crate) async fn outside_keeps_contract(ports: &WorkerPorts, body: &str) -> Verdict {
    #[derive(Deserialize)]
    struct Peers {
        base: String,
        refused: Option<String>,
        unknown: Option<String>,
        hangs_up: Option<String>,
    }
    let peers: Peers = serde_json::from_str(body).map_err(|error| error.to_string())?;
    let peers = contract::HttpPeers {
        base: peers.base,
        refused: peers.refused,
        unknown: peers.unknown,
        hangs_up: peers.hangs_up,
    };
    contract::http_client(&ports.http(), &peers).await
}

/// Answers as `HttpPeers` says.
pub(crate) async fn peer(what: &str, headers: &HeaderMap, body: String) -> Response<Body> {
    let answer = Response::builder();
    let answered = match what {
        "echo" => {
            let answer = answer
                .header("set-cookie", "a=1")
                .header("set-cookie", "b=2");
            match headers.get("x-echo") {
                Some(echo) => answer.header("x-echo", echo),
                None => answer,
            }
            .body(Body::from(body))
        }
        "redirect" => answer
            .status(StatusCode::FOUND)
            .header("location", "/__probe/peer/echo")
            .body(Body::empty()),
        "slow" => {
            WorkerClock.sleep(LATE_MS).await;
            answer.body(Body::from("late"))
        }
        "drip" => answer.body(drip()),
        "cut" => answer.header("content-length", "10").body(cut()),
        _ => answer.status(StatusCode::NOT_FOUND).body(Body::from("no")),
    };
    answered.unwrap_or_default()
}

/// How long what is late lets wait, in milliseconds.
const LATE_MS: u64 = 5_000;

/// `a` at once, `b` late.
fn drip() -> Body {
    Body::from_stream(stream::unfold(0, |step| async move {
        let text = match step {
            0 => "a",
            1 => {
                WorkerClock.sleep(LATE_MS).await;
                "b"
            }
            _ => return None,
        };
        Some((Ok::<_, std::io::Error>(text), step + 1))
    }))
}

fn cut() -> Body {
    let broken = std::io::Error::other("cut by the probe");
    Body::from_stream(stream::iter([Ok("abc"), Err(broken)]))
}

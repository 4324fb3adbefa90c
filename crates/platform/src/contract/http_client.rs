//! Promises of the HTTP client.

use super::{Verdict, equal, holds, refusal, step};
use crate::{HttpClient, HttpRequest, ReplyError, SendPhase, collect};
use bytes::Bytes;

/// Where the other sides of the exchange are.
///
/// `base` answers: `POST /echo` 200 with the request's body and its header `x-echo`, and two `set-cookie`;
/// `GET /redirect` 302 to `/echo`; `GET /missing` 404 with body `no`; `GET /slow` after 5 s;
/// `GET /drip` its head at once, `a`, and the rest after 5 s; `GET /cut` announces 10 bytes and breaks after `abc`.
#[derive(Clone, Debug)]
pub struct HttpPeers {
    /// URL without a slash at the end.
    pub base: String,
    /// URL of a port on which nobody listens.
    pub refused: Option<String>,
    /// URL of a host that does not exist.
    pub unknown: Option<String>,
    /// URL of a host that takes the request and closes without an answer.
    pub hangs_up: Option<String>,
}

fn request(method: http::Method, url: String, body: &'static str, timeout_ms: u64) -> HttpRequest {
    let mut headers = http::HeaderMap::new();
    headers.insert("x-echo", http::HeaderValue::from_static("one, two"));
    HttpRequest {
        method,
        url,
        headers,
        body: Bytes::from_static(body.as_bytes()),
        timeout_ms,
    }
}

/// Exchanges with the peers; takes a few seconds.
pub async fn http_client(client: &impl HttpClient, peers: &HttpPeers) -> Verdict {
    let get = |path: &str, timeout_ms| {
        let url = format!("{}{path}", peers.base);
        client.send(request(http::Method::GET, url, "", timeout_ms))
    };
    let url = format!("{}/echo", peers.base);
    let post = request(http::Method::POST, url, "ä{}", 3_000);
    let reply = step("echo", client.send(post).await)?;
    equal("the status comes back", &reply.status, &200)?;
    let echoed = reply.headers.get("x-echo").and_then(|v| v.to_str().ok());
    equal("headers go and come", &echoed, &Some("one, two"))?;
    let cookies = reply.headers.get_all("set-cookie").iter().count();
    equal("headers of one name stay apart", &cookies, &2)?;
    let body = step("body", collect(reply.body, 100).await)?;
    equal("the body goes and comes", &&body[..], &"ä{}".as_bytes())?;

    let reply = step("redirect", get("/redirect", 3_000).await)?;
    equal("redirects are not followed", &reply.status, &302)?;
    let location = reply.headers.contains_key("location");
    holds("a redirect says where to", location)?;
    let reply = step("missing", get("/missing", 3_000).await)?;
    equal("an error status is an answer", &reply.status, &404)?;
    let body = step("body", collect(reply.body, 100).await)?;
    equal("with its body", &&body[..], &&b"no"[..])?;

    let late = get("/slow", 500).await;
    let late = refusal("the deadline ends a slow answer", late)?;
    holds("the deadline is known as such", late.timed_out)?;
    let maybe = SendPhase::MaybeSent;
    equal("a slow answer may have been sent", &late.phase, &maybe)?;
    let reply = step("drip", get("/drip", 800).await)?;
    let body = refusal(
        "the deadline covers the body",
        collect(reply.body, 100).await,
    )?;
    holds("and breaks it", matches!(body, ReplyError::Broken(_)))?;
    let reply = step("cut", get("/cut", 3_000).await)?;
    let body = refusal("a cut body is an error", collect(reply.body, 100).await)?;
    holds("and broken", matches!(body, ReplyError::Broken(_)))?;

    // Where nobody listens or no such name exists, no byte can leave; but the platform need not say so.
    let cases = [
        (Some("not a url"), Some(SendPhase::NotSent)),
        (Some("ftp://peer.test/"), Some(SendPhase::NotSent)),
        (peers.refused.as_deref(), None),
        (peers.unknown.as_deref(), None),
        (peers.hangs_up.as_deref(), Some(maybe)),
    ];
    for (url, phase) in cases {
        let Some(url) = url else { continue };
        let sent = request(http::Method::POST, url.to_owned(), "{}", 3_000);
        let failure = refusal(&format!("{url} does not answer"), client.send(sent).await)?;
        let promise = format!("{url}: {}", failure.cause);
        equal(&promise, &failure.phase, &phase.unwrap_or(failure.phase))?;
        holds("which is not our deadline", !failure.timed_out)?;
    }
    Ok(())
}

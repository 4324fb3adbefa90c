//! Journey: what only workers of the house may ask config-service.
//!
//! 1. `/internal/..` asked over a binding without props, as public HTTP comes in, is 404 like any path that there is not,
//!    whatever key and headers say; 2. the same requests over a binding with props are answered; 3. config-service's public
//!    routes do not care. What the gateway refuses before it forwards is `console`'s journey.

use e2e::{Answer, Client, Options, Stack};

/// Method, path, body, and the status for a worker of the house.
const INTERNAL: [(&str, &str, &str, u16); 4] = [
    ("POST", "/internal/v1/resolve", "{}", 400),
    ("GET", "/internal/v1/config/development", "", 200),
    (
        "GET",
        "/internal/v1/credentials/development/ideogram",
        "",
        200,
    ),
    (
        "POST",
        "/internal/v1/credentials/report",
        r#"{"items":[]}"#,
        204,
    ),
];

async fn ask(client: &Client, way: &str, (method, path, body): (&str, &str, &str)) -> Answer {
    let request = client
        .request(method, &format!("/api/probe/{way}{path}"))
        .header("x-caller", "image-gen")
        .header("cf-worker", "image-gen")
        .header("x-switchyard-props", r#"{"caller":"image-gen"}"#);
    let request = match body {
        "" => request,
        _ => request
            .header("content-type", "application/json")
            .body(body.to_owned()),
    };
    client.send(request).await
}

#[tokio::test]
async fn internal_routes_are_not_there_for_callers_without_props() {
    let stack = Stack::start(Options {
        outage: true,
        ..Options::default()
    });
    let root = stack.client(&stack.keys().superadmin);
    let unknown = ask(&root, "bare", ("GET", "/no-such-route", "")).await;
    let unknown = unknown.expect_error(404, "not_found");
    for (method, path, body, status) in INTERNAL {
        let refused = ask(&root, "bare", (method, path, body)).await;
        let refused = refused.expect_error(404, "not_found");
        assert_eq!(refused["message"], unknown["message"], "{path}");
        assert_eq!(refused["details"], unknown["details"], "{path}");
        let answered = ask(&root, "caller", (method, path, body)).await;
        let text = String::from_utf8_lossy(&answered.bytes);
        assert_eq!(answered.status, status, "{path}: {text}");
    }
    for way in ["bare", "caller"] {
        let own = ask(&root, way, ("GET", "/session", "")).await;
        assert_eq!(own.status, 200, "{way}: {}", own.json());
    }
}

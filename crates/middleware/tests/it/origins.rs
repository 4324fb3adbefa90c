//! Other origins: none, or exactly those of the list, and never with cookies.

use crate::worker::House;
use http::Method;
use middleware::testing::TestResponse;
use serde_json::json;

const LISTED: &str = "https://console.example.com";

fn cors_headers(answer: &TestResponse) -> Vec<String> {
    let names = answer.headers.keys().map(ToString::to_string);
    names
        .filter(|name| name.starts_with("access-control-"))
        .collect()
}

async fn preflight(house: &House, path: &str, origin: &str) -> TestResponse {
    house
        .app
        .request(Method::OPTIONS, path)
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization")
        .send()
        .await
}

#[tokio::test]
async fn without_a_list_no_browser_is_told_anything() {
    let house = House::new();
    let refused = preflight(&house, "/generate", LISTED).await;
    assert_eq!(refused.outcome(), (405, "method_not_allowed".into()));
    assert_eq!(refused.header("allow"), "POST");
    let read = house
        .app
        .get("/health")
        .header("origin", LISTED)
        .send()
        .await;
    for answer in [refused, read] {
        assert_eq!(cors_headers(&answer), Vec::<String>::new());
        assert_eq!(answer.header("vary"), "");
    }
}

#[tokio::test]
async fn a_listed_origin_may_ask_and_read_also_what_went_wrong() {
    let house = House::open_to(&["https://other.example", LISTED]);
    let asked = preflight(&house, "/generate", LISTED).await;
    assert_eq!((asked.status.as_u16(), asked.body.len()), (204, 0));
    assert_eq!(asked.header("access-control-allow-origin"), LISTED);
    assert_eq!(asked.header("access-control-max-age"), "600");
    for (name, wanted) in [
        ("access-control-allow-methods", "POST"),
        ("access-control-allow-headers", "authorization"),
        ("access-control-allow-headers", "idempotency-key"),
    ] {
        let mut listed = asked.header(name).split(", ");
        assert!(
            listed.any(|it| it == wanted),
            "{name}: {}",
            asked.header(name)
        );
    }
    let sent = json!({"prompt": "x"});
    let post = || {
        house
            .app
            .post("/generate")
            .header("origin", LISTED)
            .json(&sent)
    };
    for (answer, status) in [
        (post().key(&house.key).send().await, 200),
        (post().send().await, 401),
        (
            house.app.get("/nope").header("origin", LISTED).send().await,
            404,
        ),
        (
            house
                .app
                .get("/broken")
                .header("origin", LISTED)
                .send()
                .await,
            500,
        ),
    ] {
        assert_eq!(answer.status.as_u16(), status);
        assert_eq!(answer.header("access-control-allow-origin"), LISTED);
        assert_eq!(answer.header("vary"), "origin");
        assert!(
            answer
                .header("access-control-expose-headers")
                .contains("x-request-id")
        );
        assert_eq!(answer.header("access-control-allow-credentials"), "");
    }
    assert_eq!(asked.header("access-control-allow-credentials"), "");
}

#[tokio::test]
async fn every_other_origin_is_answered_as_if_there_were_no_list() {
    let house = House::open_to(&[LISTED]);
    for origin in [
        "https://console.example.com.evil.example",
        "https://console.example.com:443",
        "http://console.example.com",
        "HTTPS://CONSOLE.EXAMPLE.COM",
        "null",
        "",
    ] {
        let refused = preflight(&house, "/generate", origin).await;
        assert_eq!(
            refused.outcome(),
            (405, "method_not_allowed".into()),
            "{origin}"
        );
        let read = house
            .app
            .get("/health")
            .header("origin", origin)
            .send()
            .await;
        assert_eq!(read.status, 200);
        for answer in [refused, read] {
            assert_eq!(cors_headers(&answer), Vec::<String>::new(), "{origin}");
            // A cache must not give this answer to the origin that is listed.
            assert_eq!(answer.header("vary"), "origin");
        }
    }
    // Without the header that makes it a preflight, OPTIONS is a method like any other.
    let plain = house
        .app
        .request(Method::OPTIONS, "/generate")
        .header("origin", LISTED);
    assert_eq!(
        plain.send().await.outcome(),
        (405, "method_not_allowed".into())
    );
}

#[tokio::test]
async fn a_preflight_does_not_tell_an_internal_route_from_none() {
    let house = House::open_to(&[LISTED]);
    let seen = async |path: &str| {
        let mut answer = preflight(&house, path, LISTED).await;
        for name in ["x-request-id", "traceparent"] {
            answer.headers.remove(name);
        }
        (answer.status, answer.headers, answer.body)
    };
    assert_eq!(
        seen("/internal/v1/resolve").await,
        seen("/internal/v1/nothing").await
    );
}

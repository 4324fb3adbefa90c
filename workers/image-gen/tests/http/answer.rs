//! What the tests expect of an answer.

use errors::Code;
use middleware::testing::TestResponse;
use serde_json::Value;

/// Status, code, hint and request id are there; gives the details.
pub(crate) fn refused(response: &TestResponse, status: u16, code: Code) -> Value {
    let body = response.json();
    assert_eq!(
        response.outcome(),
        (status, code.as_str().to_owned()),
        "{}",
        response.text()
    );
    assert!(body["hint"].as_str().is_some_and(|hint| !hint.is_empty()));
    assert_eq!(body["request_id"], response.header("x-request-id"));
    assert_eq!(
        response.header("x-should-retry"),
        code.retryable().to_string()
    );
    body["details"].clone()
}

/// 200; gives the body.
pub(crate) fn ok(response: &TestResponse) -> Value {
    assert_eq!(response.status.as_u16(), 200, "{}", response.text());
    response.json()
}

//! What the tests expect of an answer.

use api_types::{JobError, JobView};
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
    if status == 502 {
        assert!(has_kind(&body["details"]), "{}", response.text());
    }
    body["details"].clone()
}

/// The job, whose error is as whole as that of an answer.
pub(crate) fn told_in_full(job: JobView) -> JobView {
    let is_502 = |error: &&JobError| error.code.status() == 502;
    if let Some(error) = job.error.as_ref().filter(is_502) {
        assert!(has_kind(&error.details), "{error:?}");
    }
    job
}

/// Every 502 says of which kind it is.
fn has_kind(details: &Value) -> bool {
    details["kind"]
        .as_str()
        .is_some_and(|kind| !kind.is_empty())
}

/// 200; gives the body.
pub(crate) fn ok(response: &TestResponse) -> Value {
    assert_eq!(response.status.as_u16(), 200, "{}", response.text());
    response.json()
}

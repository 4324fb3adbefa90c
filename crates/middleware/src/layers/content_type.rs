//! Layer 7: bodies are JSON.

use axum::body::HttpBody;
use axum::extract::Request;
use errors::{Code, Error, Result};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, Method};

/// Whether the headers declare JSON (`application/json` or `application/merge-patch+json`).
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(str::trim)
        .is_some_and(|kind| {
            kind.eq_ignore_ascii_case("application/json")
                || kind.eq_ignore_ascii_case("application/merge-patch+json")
        })
}

pub(crate) fn unsupported() -> Error {
    Error::new(Code::UnsupportedMediaType, "The body must be JSON.")
}

/// # Errors
/// 415 `unsupported_media_type` for a body that is not declared as JSON.
pub(crate) fn check(request: &Request) -> Result<()> {
    let headers = request.headers();
    let no_body = matches!(*request.method(), Method::GET | Method::HEAD)
        || request.body().is_end_stream()
        || headers
            .get(CONTENT_LENGTH)
            .is_some_and(|length| length == "0");
    if no_body || is_json(headers) {
        Ok(())
    } else {
        Err(unsupported())
    }
}

//! The answers of a worker that lacks a binding, a variable or a secret: 503 with a cause, instead of the runtime's bare 500.
//!
//! In scope: their bodies. Out of scope: finding out what is missing (`bindings`).

use axum::body::Body;
use errors::{Code, Error, ErrorBody};
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;

/// Until a missing part may be there, in milliseconds: somebody has to deploy it.
const RETRY_AFTER_MS: u64 = 30_000;

/// 503 for a request to that path. `GET /health` names what is missing; names are no secrets, values are not in it.
pub fn answer(path: &str, missing: &[String], request_id: &str) -> Response<Body> {
    let text = if path == "/health" {
        json!({
            "status": "unhealthy",
            "worker": "image-gen",
            "version": env!("CARGO_PKG_VERSION"),
            "missing": missing,
        })
        .to_string()
    } else {
        let error = Error::new(
            Code::WorkerNotDeployed,
            "This worker is not set up; GET /health names what is missing.",
        )
        .with_retry_after_ms(RETRY_AFTER_MS);
        json!(ErrorBody::new(&error, request_id)).to_string()
    };
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE.as_str(), "application/json"),
        (header::CACHE_CONTROL.as_str(), "no-store"),
        (header::RETRY_AFTER.as_str(), "30"),
        ("x-should-retry", "true"),
    ] {
        if let Ok(name) = http::HeaderName::try_from(name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert("x-request-id", id);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use serde_json::Value;

    fn body(response: Response<Body>) -> Value {
        let bytes = axum::body::to_bytes(response.into_body(), 10_000);
        serde_json::from_slice(&bytes.now_or_never().unwrap().unwrap()).unwrap()
    }

    #[test]
    fn a_worker_without_its_parts_says_so() {
        let missing = ["URL_SIGNING_KEYS".to_owned(), "IMAGES".to_owned()];
        let response = answer("/generate", &missing, "r1");
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "30");
        assert_eq!(response.headers()["x-should-retry"], "true");
        assert_eq!(response.headers()["x-request-id"], "r1");
        let told = body(response);
        assert_eq!(told["error"], "worker_not_deployed");
        assert_eq!(told["request_id"], "r1");
        assert!(!told.to_string().contains("URL_SIGNING_KEYS"));

        let response = answer("/health", &missing, "r1");
        assert_eq!(response.status(), 503);
        let told = body(response);
        assert_eq!(told["status"], "unhealthy");
        assert_eq!(told["missing"], json!(["URL_SIGNING_KEYS", "IMAGES"]));
    }
}

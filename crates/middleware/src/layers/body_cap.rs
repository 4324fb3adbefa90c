//! Layer 6: bodies have a largest size, by `Content-Length` before reading, then by counting.

use crate::extract::BodyCap;
use crate::routes::RouteMark;
use axum::body::{Body, HttpBody};
use axum::extract::Request;
use errors::{Code, Error, Result};
use http::header::CONTENT_LENGTH;
use http_body_util::Limited;

pub(crate) fn too_large(max_bytes: usize) -> Error {
    Error::new(
        Code::PayloadTooLarge,
        format!("The body is larger than {max_bytes} bytes."),
    )
    .with_detail("max_bytes", max_bytes)
}

/// # Errors
/// 413 `payload_too_large`.
pub(crate) fn check(mark: &RouteMark, mut request: Request) -> Result<Request> {
    let max_bytes = mark.body_cap_bytes;
    let declared = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<u64>().ok());
    let known = request.body().size_hint().lower();
    if known.max(declared.unwrap_or(0)) > max_bytes as u64 {
        return Err(too_large(max_bytes));
    }
    request.extensions_mut().insert(BodyCap(max_bytes));
    Ok(request.map(|body| Body::new(Limited::new(body, max_bytes))))
}

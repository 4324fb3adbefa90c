//! Layer 3: every error becomes the body that callers know, and is logged once.
//!
//! In scope: the house's shape, OpenAI's shape, answers that a library wrote as plain text. Out of scope: status and
//! headers that follow from the code (`errors`).

use crate::context::Context;
use axum::body::Body;
use axum::response::Response;
use errors::{Code, Error, ErrorBody};
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use http::{HeaderValue, StatusCode, Uri};
use serde_json::{Value, json};

/// The shape of error bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Native,
    OpenAi,
}

pub(crate) async fn unknown_route() -> Error {
    Error::not_found("route")
}

pub(crate) async fn method_not_allowed(uri: Uri) -> Error {
    // An internal path must look like no route at all, also with a wrong method.
    if uri.path().starts_with("/internal/") {
        return Error::not_found("route");
    }
    Error::new(Code::MethodNotAllowed, "This method is not served here.")
}

/// What an answer that some library wrote as plain text means.
fn foreign_error(response: &Response) -> Option<Error> {
    let status = response.status();
    let plain = response
        .headers()
        .get(CONTENT_TYPE)
        .is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !plain || !(status.is_client_error() || status.is_server_error()) {
        return None;
    }
    Some(match status.as_u16() {
        404 => Error::not_found("route"),
        405 => Error::new(Code::MethodNotAllowed, "This method is not served here."),
        413 => Error::new(Code::PayloadTooLarge, "The body is too large."),
        415 => Error::new(Code::UnsupportedMediaType, "The body must be JSON."),
        400..500 => Error::new(Code::InvalidRequest, "The request is malformed."),
        _ => Error::internal(format!("a library answered {status}")),
    })
}

fn log(error: &Error) {
    let (code, message) = (error.code.as_str(), error.public.as_str());
    let internal = (!error.internal.is_empty()).then_some(error.internal.as_str());
    if error.code.status() >= 500 {
        tracing::error!(code, internal, "{message}");
    } else if internal.is_some() {
        tracing::warn!(code, internal, "{message}");
    } else {
        tracing::info!(code, "{message}");
    }
}

pub(crate) fn render(
    mut response: Response,
    context: &Context,
    style: Style,
    head: bool,
) -> Response {
    let error = response
        .extensions_mut()
        .remove::<Error>()
        .or_else(|| foreign_error(&response));
    let Some(mut error) = error else {
        return response;
    };
    log(&error);
    // A member's name or an id of the caller may be a misplaced key: no answer repeats one.
    error.public = logging::redact_tokens(&error.public);
    logging::redact_tokens_value(&mut error.details);
    let (status, body) = match style {
        Style::Native => native(&error, context.request_id()),
        Style::OpenAi => openai(&error),
    };
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    if status != StatusCode::METHOD_NOT_ALLOWED {
        headers.remove(ALLOW);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in error.headers() {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    *response.body_mut() = if head {
        Body::empty()
    } else {
        Body::from(body)
    };
    response.extensions_mut().insert(error);
    response
}

fn native(error: &Error, request_id: &str) -> (StatusCode, String) {
    let status = StatusCode::from_u16(error.code.status());
    let body = serde_json::to_string(&ErrorBody::new(error, request_id));
    (
        status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        body.unwrap_or_default(),
    )
}

/// OpenAI's shape: its SDKs decide by status, `code` and `type`.
fn openai(error: &Error) -> (StatusCode, String) {
    let (status, code) = match error.code {
        Code::AuthFailed => (401, "invalid_api_key"),
        Code::BudgetExceeded => (429, "insufficient_quota"),
        Code::RejectedBySafety => (400, "moderation_blocked"),
        Code::OptionUnsupported => (400, "unsupported_parameter"),
        code => (code.status(), code.as_str()),
    };
    let kind = match (error.code, status) {
        (Code::BudgetExceeded, _) => "insufficient_quota",
        (Code::RejectedBySafety, _) => "image_generation_user_error",
        (_, 429) => "rate_limit_error",
        (_, 403) => "permission_error",
        (_, 500..) => "server_error",
        _ => "invalid_request_error",
    };
    let param = error.details.get("field").cloned().unwrap_or(Value::Null);
    let body =
        json!({"error": {"message": error.public, "type": kind, "param": param, "code": code}});
    (
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        body.to_string(),
    )
}

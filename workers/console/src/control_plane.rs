//! One call of config-service as somebody: what signing in and the registry of instances have in common.
//!
//! In scope: the call, its bounds, the answer's form. Out of scope: what an answer means (modules `session`, `registry`).

use crate::state::Deps;
use api_types::Secret;
use axum::body::Bytes;
use errors::{Code, Error, Result};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method};
use middleware::Context;
use platform::{HttpClient, HttpRequest, Ports, collect};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A control plane that does not answer in this time does not answer, in milliseconds.
const TIMEOUT_MS: u64 = 10_000;
/// Largest answer that is read, in bytes: 100 instances are a tenth of it.
const MAX_BYTES: u64 = 256 * 1024;
/// The worker that keeps keys, sessions and instances.
const CONFIG_SERVICE: &str = "config-service";

/// An answer below 500.
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

impl Told {
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Error::internal(format!("config-service's answer: {error}")))
    }
}

pub(crate) fn unavailable(cause: String) -> Error {
    Error::new(
        Code::ConfigUnavailable,
        "The control plane does not answer.",
    )
    .with_internal(cause)
    .with_retry_after_ms(2_000)
}

/// `Authorization` of that key.
pub(crate) fn bearer(key: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// One call with that identity, never repeated.
///
/// # Errors
/// 503 `config_unavailable` when it is not bound, does not answer, or fails.
pub(crate) async fn ask<P: Ports>(
    deps: &Deps<P>,
    context: &Context,
    authorization: Option<HeaderValue>,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Told> {
    let service = deps
        .service(CONFIG_SERVICE)
        .ok_or_else(|| unavailable("the binding of config-service is missing".to_owned()))?;
    let mut headers = HeaderMap::new();
    let mut put = |name: &'static str, text: &str| {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    };
    put("x-request-id", context.request_id());
    put("traceparent", &context.call().traceparent);
    if let Some(address) = context.client_ip() {
        // Guesses are counted against who guesses, not against the console.
        put("cf-connecting-ip", address);
    }
    if let Some(authorization) = authorization {
        headers.insert(AUTHORIZATION, authorization);
    }
    if body.is_some() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    let response = service
        .send(HttpRequest {
            method,
            url: format!("http://{CONFIG_SERVICE}{path}"),
            headers,
            body: body.map(|body| body.to_string().into()).unwrap_or_default(),
            timeout_ms: TIMEOUT_MS,
        })
        .await
        .map_err(|failure| unavailable(failure.cause))?;
    let status = response.status;
    let body = collect(response.body, MAX_BYTES)
        .await
        .map_err(|error| unavailable(format!("{error:?}")))?;
    if status >= 500 {
        return Err(unavailable(format!("config-service answered {status}")));
    }
    Ok(Told { status, body })
}

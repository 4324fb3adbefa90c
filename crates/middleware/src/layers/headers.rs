//! Layer 4: headers that every answer has.

use crate::context::Context;
use axum::response::Response;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, HeaderName, X_CONTENT_TYPE_OPTIONS};
use platform::Clock;
use std::fmt::Write;

pub(crate) fn apply(mut response: Response, context: &Context, clock: &impl Clock) -> Response {
    let headers = response.headers_mut();
    let mut set = |name: &'static str, text: &str| {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    set("x-request-id", context.request_id());
    set("traceparent", &context.call().traceparent);
    let facts = context.facts();
    if let Some(age_ms) = facts.config_age_ms {
        set("x-config-age-ms", &age_ms.to_string());
    }
    if let Some(at) = facts.key_expires {
        set("x-key-expires", &at.to_string());
    }
    let mut timing = String::new();
    for part in &facts.timings {
        let _infallible = write!(timing, "{};dur={}, ", part.name, part.ms.max(0));
    }
    let total = clock.now_ms().saturating_sub(context.started_ms()).max(0);
    let _infallible = write!(timing, "total;dur={total}");
    set("server-timing", &timing);
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

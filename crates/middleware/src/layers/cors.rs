//! Layer 5: which other origins a browser may call from. None, unless the deployment lists them; never with cookies.
//!
//! In scope: preflight requests and the headers of answers (Fetch standard, CORS protocol). Out of scope: refusing
//! requests. The protocol tells browsers what they may read; who may do what is decided by the key.

use axum::body::Body;
use axum::response::Response;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
    VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
const REQUEST_HEADERS: &str = "authorization, content-type, idempotency-key, if-match, if-none-match, prefer, range, \
     traceparent, tracestate, x-instance-id, x-project-id, x-request-id";
const ANSWER_HEADERS: &str = "content-range, etag, idempotent-replayed, location, retry-after, retry-after-ms, \
     server-timing, traceparent, x-config-age-ms, x-key-expires, x-request-id, x-should-retry";
/// How long browsers remember a preflight, in seconds.
const MAX_AGE_S: &str = "600";

/// The origins in `ALLOWED_ORIGINS`: exact origins with commas between them. What is none (`*`, a path, another scheme)
/// is the error: a list that is half understood would open less or more than was meant.
///
/// # Errors
/// The entry that is no origin.
pub fn parse_origins(text: &str) -> Result<Vec<String>, String> {
    text.split(',')
        .map(str::trim)
        .filter(|origin| !origin.is_empty())
        .map(|origin| {
            let rest = origin
                .strip_prefix("https://")
                .or_else(|| origin.strip_prefix("http://"));
            let host = |host: &str| {
                !host.is_empty()
                    && host.bytes().all(|b| {
                        b.is_ascii_lowercase() || b.is_ascii_digit() || b".-:[]".contains(&b)
                    })
            };
            if rest.is_some_and(host) {
                Ok(origin.to_owned())
            } else {
                Err(origin.to_owned())
            }
        })
        .collect()
}

/// The caller's origin, if it is one of the list.
fn allowed<'a>(headers: &'a HeaderMap, origins: &[String]) -> Option<&'a HeaderValue> {
    let origin = headers.get(ORIGIN)?;
    let listed = origins
        .iter()
        .any(|listed| listed.as_bytes() == origin.as_bytes());
    listed.then_some(origin)
}

/// The answer to a preflight request of a listed origin; `None` for everything else, which the router answers.
pub(crate) fn preflight(
    method: &Method,
    headers: &HeaderMap,
    origins: &[String],
) -> Option<Response> {
    let asks = method == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    if !asks {
        return None;
    }
    allowed(headers, origins)?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let answer = response.headers_mut();
    for (name, value) in [
        (ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS),
        (ACCESS_CONTROL_MAX_AGE, MAX_AGE_S),
    ] {
        answer.insert(name, HeaderValue::from_static(value));
    }
    Some(response)
}

/// Tells a browser of a listed origin that its page may read the answer.
pub(crate) fn apply(mut response: Response, sent: &HeaderMap, origins: &[String]) -> Response {
    if origins.is_empty() {
        return response;
    }
    let headers = response.headers_mut();
    // Also where the origin is not listed: a cache must not hand one origin's answer to another.
    headers.append(VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = allowed(sent, origins) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(
            ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(ANSWER_HEADERS),
        );
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_origins_are_origins() {
        let origins =
            parse_origins(" https://a.example , http://127.0.0.1:3000,,https://[::1]:8").unwrap();
        assert_eq!(
            origins,
            [
                "https://a.example",
                "http://127.0.0.1:3000",
                "https://[::1]:8"
            ]
        );
        assert_eq!(parse_origins("").unwrap(), Vec::<String>::new());
        for bad in [
            "*",
            "null",
            "a.example",
            "https://a.example/",
            "https://*.example",
            "https://",
            "ftp://a.example",
            "https://A.example",
            "https://user@a.example",
        ] {
            let list = format!("https://good.example, {bad}");
            assert_eq!(parse_origins(&list).unwrap_err(), bad);
        }
    }
}

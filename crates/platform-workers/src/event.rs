//! The fetch event's request and response, to and from the types that services use.

use crate::{http_client, js, streams};
use axum::body::Body;
use http_body::Body as _;
use http_body_util::BodyExt;
use js_sys::Array;
use platform::NativeBody;
use std::fmt::Write as _;
use wasm_bindgen::{JsCast, JsValue};
use worker::Result;

/// Statuses whose answers must not have a body.
const WITHOUT_BODY: [u16; 4] = [101, 204, 205, 304];

/// The request of a fetch event, its body as a stream.
pub fn request(raw: web_sys::Request) -> Result<http::Request<Body>> {
    let url = raw.url();
    let strict = percent_encoded(&url);
    let raw = if strict == url {
        raw
    } else {
        js::construct("Request", &[JsValue::from_str(&strict), raw.into()])?.unchecked_into()
    };
    let request = worker::request_from_wasm(raw)?;
    Ok(request.map(Body::new))
}

/// The response of a fetch event. A [`NativeBody`] among the extensions passes to the client past our memory.
pub async fn respond(response: http::Response<Body>) -> Result<web_sys::Response> {
    // An upgrade carries its socket among the extensions, which only `worker` knows how to hand over.
    if response.extensions().get::<worker::WebSocket>().is_some() {
        return worker::response_to_wasm(response);
    }
    let (mut parts, body) = response.into_parts();
    let native = parts.extensions.remove::<NativeBody>();
    let body = match native
        .as_ref()
        .and_then(|body| body.0.downcast_ref::<JsValue>())
    {
        _ if WITHOUT_BODY.contains(&parts.status.as_u16()) => JsValue::NULL,
        Some(native) => native.clone(),
        None => body_value(body).await?,
    };
    if native.is_some() {
        // The router counted the empty body that stands in for the native one.
        parts.headers.remove(http::header::CONTENT_LENGTH);
    }
    let headers = Array::new();
    for (name, value) in &parts.headers {
        headers.push(&http_client::header(name, value));
    }
    let init = js::object(&[
        ("status", JsValue::from(parts.status.as_u16())),
        ("headers", headers.into()),
        // What is encoded already (`Content-Encoding`) must not be encoded again.
        ("encodeBody", encode_body(&parts.headers)),
    ])?;
    Ok(js::construct("Response", &[body, init])?.unchecked_into())
}

/// The runtime's URL standard leaves characters alone that RFC 3986, and so the `http` crate, does not have: encoded,
/// they are a path like any other instead of a failed event.
fn percent_encoded(url: &str) -> String {
    url.chars()
        .fold(String::with_capacity(url.len()), |mut strict, c| {
            match c {
                '|' | '`' | '^' | '{' | '}' | '\\' | '"' | '<' | '>' => {
                    let _ = write!(strict, "%{:02X}", u32::from(c));
                }
                other => strict.push(other),
            }
            strict
        })
}

fn encode_body(headers: &http::HeaderMap) -> JsValue {
    if headers.contains_key(http::header::CONTENT_ENCODING) {
        JsValue::from_str("manual")
    } else {
        JsValue::UNDEFINED
    }
}

/// A body of known size is in memory already and becomes one array, so that the answer has its length.
async fn body_value(body: Body) -> Result<JsValue> {
    match body.size_hint().exact() {
        None => Ok(streams::readable(body)),
        Some(0) => Ok(JsValue::NULL),
        Some(_) => {
            let broken = |error: axum::Error| worker::Error::RustError(error.to_string());
            let bytes = body.collect().await.map_err(broken)?.to_bytes();
            Ok(streams::array(&bytes))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_url_of_the_runtime_becomes_one_of_rfc_3986() {
        let url = "https://a.example/x%7C|`^{}/y?q=<\"z\">";
        let strict = percent_encoded(url);
        assert_eq!(
            strict,
            "https://a.example/x%7C%7C%60%5E%7B%7D/y?q=%3C%22z%22%3E"
        );
        assert!(strict.parse::<http::Uri>().is_ok());
        assert_eq!(percent_encoded(&strict), strict);
    }
}

//! Executes a forward: one call of a service binding, body and answer streamed past our memory, never repeated.
//!
//! In scope: the runtime's request and response objects. Out of scope: what is forwarded (module `gateway`), which
//! headers change (module `headers`).

use crate::gateway::{Forward, Head};
use crate::headers::{answer_changes, kept_from_worker};
use crate::state::Deps;
use axum::body::Body;
use errors::{Code, Error};
use http::{HeaderMap, HeaderValue, Request};
use middleware::Context;
use platform::Ports;
use worker::js_sys::{Array, Function, Reflect};
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::wasm_bindgen_futures::JsFuture;
use worker::{Env, web_sys};

/// The headers of the runtime's request.
pub(crate) fn headers(raw: &web_sys::Request) -> HeaderMap {
    HeaderMap::from(&worker::Headers(raw.headers()))
}

/// What a forwarded request carries besides its own headers.
pub(crate) struct Sent {
    context: Context,
    host: String,
    secure: bool,
    removed: Vec<String>,
}

impl Sent {
    pub(crate) fn new<P: Ports>(head: &Head, deps: &Deps<P>) -> Self {
        Self {
            context: Context::open(&head.headers, &deps.clock, &deps.random),
            host: head.host.clone(),
            secure: head.secure,
            removed: head
                .headers
                .keys()
                .map(|name| name.as_str().to_owned())
                .filter(|name| kept_from_worker(name))
                .collect(),
        }
    }

    /// For the answer to a failed forward: the same ids as the worker may have logged.
    pub(crate) fn into_request(self, mut head: Head) -> Request<Body> {
        if let Ok(id) = HeaderValue::from_str(self.context.request_id()) {
            head.headers.insert("x-request-id", id);
        }
        head.into_request()
    }
}

fn unavailable(forward: &Forward, thrown: &JsValue) -> Error {
    let worker = forward.target.worker;
    let cause = thrown.dyn_ref::<worker::js_sys::Error>().map_or_else(
        || format!("{thrown:?}"),
        |error| String::from(error.message()),
    );
    Error::new(
        Code::UpstreamUnavailable,
        format!("The worker {worker} did not answer."),
    )
    .with_internal(cause)
    .with_detail("worker", worker)
    .with_retry_after_ms(2_000)
}

/// Sends it.
///
/// # Errors
/// 502 `upstream_unavailable` when the binding is missing or throws.
pub(crate) async fn send(
    raw: &web_sys::Request,
    forward: &Forward,
    sent: &Sent,
    env: &Env,
    git_sha: &str,
) -> Result<web_sys::Response, Error> {
    let exchange = exchange(raw, forward, sent, env, git_sha).await;
    exchange.map_err(|thrown| unavailable(forward, &thrown))
}

async fn exchange(
    raw: &web_sys::Request,
    forward: &Forward,
    sent: &Sent,
    env: &Env,
    git_sha: &str,
) -> Result<web_sys::Response, JsValue> {
    let url = format!("http://{}{}", forward.target.worker, forward.path_and_query);
    // A request as the initializer of another one: method, headers, body, redirect mode and signal carry over.
    let request = web_sys::Request::new_with_str_and_init(&url, raw.unchecked_ref())?;
    let headers = request.headers();
    for name in &sent.removed {
        headers.delete(name)?;
    }
    headers.set("x-request-id", sent.context.request_id())?;
    headers.set("traceparent", &sent.context.call().traceparent)?;
    headers.set("x-forwarded-host", &sent.host)?;
    let scheme = if sent.secure { "https" } else { "http" };
    headers.set("x-forwarded-proto", scheme)?;

    let binding = Reflect::get(env, &JsValue::from_str(forward.target.binding))?;
    let fetch: Function = Reflect::get(&binding, &JsValue::from_str("fetch"))?.dyn_into()?;
    let promise = Reflect::apply(&fetch, &binding, &Array::of1(&request))?;
    let promise = worker::js_sys::Promise::resolve(&promise);
    let answer: web_sys::Response = JsFuture::from(promise).await?.dyn_into()?;
    if answer.status() == 101 {
        // An upgrade carries its socket; a copy would lose it.
        return Ok(answer);
    }
    // The answer of a fetch has fixed headers; a copy around the same body has not.
    let copy = web_sys::Response::new_with_opt_readable_stream_and_init(
        answer.body().as_ref(),
        answer.unchecked_ref(),
    )?;
    let headers = copy.headers();
    let content_type = headers.get("content-type")?;
    let has_cache_control = headers.has("cache-control")?;
    for (name, value) in answer_changes(
        content_type.as_deref(),
        has_cache_control,
        sent.secure,
        git_sha,
    ) {
        match value {
            Some(value) => headers.set(name, &value)?,
            None => headers.delete(name)?,
        }
    }
    Ok(copy)
}

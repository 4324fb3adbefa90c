//! Executes a forward: one call over a binding or of a URL, body and answer streamed past our memory, never repeated.
//!
//! In scope: the runtime's request and response objects. Out of scope: what is forwarded (module `gateway`), which
//! headers change (module `headers`).

use crate::gateway::Forward;
use crate::head::Head;
use crate::headers::{Answered, Changes, answer_changes, request_changes};
use crate::registry::To;
use api_types::InstanceId;
use axum::body::Body;
use errors::{Code, Error};
use http::{HeaderMap, HeaderValue, Request};
use middleware::Context;
use worker::js_sys::{Array, Function, Reflect};
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::wasm_bindgen_futures::JsFuture;
use worker::{Env, web_sys};

/// The headers of the runtime's request.
pub(crate) fn headers(raw: &web_sys::Request) -> HeaderMap {
    HeaderMap::from(&worker::Headers(raw.headers()))
}

/// The instance that the client's own header names.
fn named(head: &Head) -> Option<InstanceId> {
    InstanceId::parse(head.text("x-instance-id")?).ok()
}

/// What a forwarded request carries besides its own headers.
pub(crate) struct Sent {
    context: Context,
    instance: Option<InstanceId>,
    secure: bool,
    changes: Changes<String>,
}

impl Sent {
    pub(crate) fn new(head: &Head, forward: &Forward, context: Context) -> Self {
        Self {
            changes: request_changes(head, forward, context.call()),
            context,
            instance: forward.instance.clone().or_else(|| named(head)),
            secure: head.secure,
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

fn unavailable(forward: &Forward, sent: &Sent, thrown: &JsValue) -> Error {
    let worker = forward.target.worker;
    let cause = thrown.dyn_ref::<worker::js_sys::Error>().map_or_else(
        || format!("{thrown:?}"),
        |error| String::from(error.message()),
    );
    let error = Error::new(
        Code::UpstreamUnavailable,
        format!("The worker {worker} did not answer."),
    )
    .with_internal(cause)
    .with_detail("worker", worker)
    .with_retry_after_ms(2_000);
    match &sent.instance {
        Some(instance) => error.with_detail("instance_id", instance.as_str()),
        None => error,
    }
}

/// Sends it.
///
/// # Errors
/// 502 `upstream_unavailable` when the binding is missing or throws, or nobody answers at the URL.
pub(crate) async fn send(
    raw: &web_sys::Request,
    forward: &Forward,
    to: &To,
    sent: &Sent,
    env: &Env,
    git_sha: &str,
) -> Result<web_sys::Response, Error> {
    let exchange = exchange(raw, forward, to, sent, env, git_sha).await;
    exchange.map_err(|thrown| unavailable(forward, sent, &thrown))
}

async fn exchange(
    raw: &web_sys::Request,
    forward: &Forward,
    to: &To,
    sent: &Sent,
    env: &Env,
    git_sha: &str,
) -> Result<web_sys::Response, JsValue> {
    let (fetcher, base) = match to {
        To::Binding(name) => {
            let binding = Reflect::get(env, &JsValue::from_str(name))?;
            (binding, format!("http://{}", forward.target.worker))
        }
        To::Url(base) => (worker::js_sys::global().into(), base.clone()),
    };
    let url = format!("{base}{}", forward.path_and_query);
    // A request as the initializer of another one: method, headers, body, signal and redirect mode carry over. The last
    // is `manual` for what a client sent: keys are not carried on to where an answer points.
    let request = web_sys::Request::new_with_str_and_init(&url, raw.unchecked_ref())?;
    apply(&request.headers(), &sent.changes)?;

    let fetch: Function = Reflect::get(&fetcher, &JsValue::from_str("fetch"))?.dyn_into()?;
    let promise = Reflect::apply(&fetch, &fetcher, &Array::of1(&request))?;
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
    let disposition = headers.get("content-disposition")?;
    let answered = Answered {
        content_type: content_type.as_deref(),
        disposition: disposition.as_deref(),
        has_body: answer.body().is_some(),
        has_cache_control: headers.has("cache-control")?,
    };
    apply(&headers, &answer_changes(answered, sent.secure, git_sha))?;
    Ok(copy)
}

fn apply<N: AsRef<str>>(headers: &web_sys::Headers, changes: &Changes<N>) -> Result<(), JsValue> {
    for (name, value) in changes {
        match value {
            Some(value) => headers.set(name.as_ref(), value)?,
            None => headers.delete(name.as_ref())?,
        }
    }
    Ok(())
}

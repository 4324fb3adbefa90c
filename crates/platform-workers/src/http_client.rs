//! `fetch`: to the outside and over service bindings.

use crate::{js, streams};
use js_sys::{Array, Reflect};
use platform::{HttpClient, HttpRequest, HttpResponse, Ops, SendFailure, SendPhase};
use std::future::Future;
use wasm_bindgen::{JsCast, JsValue};
use worker::send::SendFuture;

/// The only texts that prove that nothing was sent, each produced on workerd: refusals before the call.
///
/// A refused connection is not among them: it says `Network connection lost.`, as does a peer that took the whole
/// request and hung up. An unknown name and a failed TLS handshake say `internal error; reference = ..`, as does
/// anything else that workerd has no words for.
const NOT_SENT: [&str; 2] = ["Invalid URL", "Fetch API cannot load"];

/// Encodings that workerd undoes, leaving headers that speak of the encoded bytes.
const DECODED: [&[u8]; 2] = [b"gzip", b"br"];

/// The outside.
#[derive(Clone, Debug)]
pub struct WorkerHttp {
    ops: Ops,
}

impl WorkerHttp {
    pub(crate) fn new(ops: Ops) -> Self {
        Self { ops }
    }
}

impl HttpClient for WorkerHttp {
    fn send(
        &self,
        request: HttpRequest,
    ) -> impl Future<Output = Result<HttpResponse, SendFailure>> + Send {
        self.ops.add_subrequests(1);
        SendFuture::new(async move { exchange(&js_sys::global(), request, "http").await })
    }
}

/// Another worker.
#[derive(Clone, Debug)]
pub struct WorkerService {
    fetcher: JsValue,
    ops: Ops,
}

impl WorkerService {
    pub(crate) fn new(fetcher: JsValue, ops: Ops) -> Self {
        Self { fetcher, ops }
    }
}

impl HttpClient for WorkerService {
    fn send(
        &self,
        request: HttpRequest,
    ) -> impl Future<Output = Result<HttpResponse, SendFailure>> + Send {
        self.ops.add_service_calls(1);
        SendFuture::new(async move { exchange(&self.fetcher, request, "service").await })
    }
}

async fn exchange(
    target: &JsValue,
    request: HttpRequest,
    port: &'static str,
) -> Result<HttpResponse, SendFailure> {
    // What fails while the request is built has certainly not been sent.
    let init = init(&request).map_err(|thrown| SendFailure {
        phase: SendPhase::NotSent,
        timed_out: false,
        cause: js::text(&thrown),
    })?;
    let url = JsValue::from_str(&request.url);
    drop(request);
    let response = js::ask(target, "fetch", &[url, init]).await;
    let response = response.map_err(|thrown| failure(&thrown))?;
    let mut headers = headers(&js::peek(&response, "headers"));
    let encoding = headers.get(http::header::CONTENT_ENCODING);
    if encoding.is_some_and(|encoding| DECODED.contains(&encoding.as_bytes())) {
        headers.remove(http::header::CONTENT_ENCODING);
        headers.remove(http::header::CONTENT_LENGTH);
    }
    Ok(HttpResponse {
        status: js::number(&response, "status") as u16,
        headers,
        body: streams::read(&js::peek(&response, "body"), port),
    })
}

fn init(request: &HttpRequest) -> Result<JsValue, JsValue> {
    let headers = Array::new();
    for (name, value) in &request.headers {
        headers.push(&header(name, value));
    }
    let body = if request.body.is_empty() {
        JsValue::UNDEFINED
    } else {
        streams::array(&request.body)
    };
    let class = js::get(&js_sys::global(), "AbortSignal")?;
    let timeout_ms = JsValue::from_f64(request.timeout_ms as f64);
    js::object(&[
        ("method", JsValue::from_str(request.method.as_str())),
        ("headers", headers.into()),
        ("body", body),
        ("redirect", JsValue::from_str("manual")),
        ("signal", js::call(&class, "timeout", &[timeout_ms])?),
    ])
}

fn failure(thrown: &JsValue) -> SendFailure {
    let cause = js::text(thrown);
    let timed_out = js::error_name(thrown) == "TimeoutError";
    let refused = !timed_out && NOT_SENT.iter().any(|text| cause.starts_with(text));
    SendFailure {
        phase: if refused {
            SendPhase::NotSent
        } else {
            SendPhase::MaybeSent
        },
        timed_out,
        cause,
    }
}

/// A pair for the constructor of `Headers`.
pub(crate) fn header(name: &http::HeaderName, value: &http::HeaderValue) -> JsValue {
    let value = String::from_utf8_lossy(value.as_bytes());
    let pair = [JsValue::from_str(name.as_str()), JsValue::from_str(&value)];
    pair.iter().collect::<Array>().into()
}

/// The headers of an answer, each `Set-Cookie` for itself; what is not a header in Rust's eyes is left out.
pub(crate) fn headers(headers: &JsValue) -> http::HeaderMap {
    let mut map = http::HeaderMap::new();
    let Ok(entries) = js::call(headers, "entries", &[]) else {
        return map;
    };
    let class = js::peek(&js_sys::global(), "Array");
    let Ok(pairs) = js::call(&class, "from", &[entries]) else {
        return map;
    };
    for pair in pairs.unchecked_into::<Array>().iter() {
        let text = |index| {
            let value = Reflect::get_u32(&pair, index).ok();
            value.and_then(|value| value.as_string())
        };
        let (Some(name), Some(value)) = (text(0), text(1)) else {
            continue;
        };
        let name = name.parse::<http::HeaderName>();
        let value = http::HeaderValue::from_bytes(value.as_bytes());
        if let (Ok(name), Ok(value)) = (name, value) {
            map.append(name, value);
        }
    }
    map
}

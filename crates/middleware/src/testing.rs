//! A worker's router in a test: requests in, answers and log lines out.

pub mod matrix;
pub mod misplaced;
mod raw;

use crate::app::App;
use crate::extract::Props;
use crate::state::AppState;
use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};

/// The worker under test. Log lines of its requests are kept.
#[derive(Clone)]
pub struct TestApp<D> {
    app: App<D>,
    lines: Arc<Mutex<Vec<Value>>>,
    dispatch: tracing::Dispatch,
}

/// One answer, read to its end.
#[derive(Clone, Debug)]
pub struct TestResponse {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: bytes::Bytes,
}

impl TestResponse {
    /// The body as JSON; `Null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Headers and body as one text: all that was sent.
    pub fn whole(&self) -> Vec<u8> {
        let mut text = format!("{:?}\n", self.headers).into_bytes();
        text.extend(&self.body);
        text
    }

    /// A header as text; empty when missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("")
    }

    /// Status and `error` member, the two things most tests compare.
    pub fn outcome(&self) -> (u16, String) {
        let code = self.json()["error"].as_str().unwrap_or("").to_owned();
        (self.status.as_u16(), code)
    }
}

impl<D: AppState> TestApp<D> {
    /// Around a worker.
    pub fn new(app: App<D>, deps: &D) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        let this = Self::read_by(app, deps, move |line| {
            let line = serde_json::from_str(line).unwrap_or(Value::Null);
            kept.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(line);
        });
        Self { lines, ..this }
    }

    /// Around a worker whose log lines are read as they are written and are not kept.
    pub fn read_by(app: App<D>, deps: &D, read: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let dispatch = logging::dispatch(
            deps.service(),
            Some("DEBUG"),
            deps.clock().clone(),
            deps.random().clone(),
            move |_, line| read(line),
        );
        Self {
            app,
            lines: Arc::default(),
            dispatch,
        }
    }

    /// The same worker, its events and spans written as they come, without redaction: what a leak would look like.
    #[must_use]
    pub fn unredacted(&self, read: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self {
            app: self.app.clone(),
            lines: Arc::default(),
            dispatch: tracing::Dispatch::new(raw::Raw::new(read)),
        }
    }

    /// Other work of the worker, such as a sweep: its log lines go where those of requests go.
    pub async fn within<F: Future>(&self, work: F) -> F::Output {
        use tracing::instrument::WithSubscriber;
        work.with_subscriber(self.dispatch.clone()).await
    }

    /// A request to that path.
    pub fn request(&self, method: Method, path: &str) -> TestRequest<'_, D> {
        TestRequest {
            app: self,
            method,
            path: path.to_owned(),
            headers: HeaderMap::new(),
            body: Body::empty(),
            props: None,
        }
    }

    /// `GET`.
    pub fn get(&self, path: &str) -> TestRequest<'_, D> {
        self.request(Method::GET, path)
    }

    /// `POST`.
    pub fn post(&self, path: &str) -> TestRequest<'_, D> {
        self.request(Method::POST, path)
    }

    /// Sends a request and reads the answer.
    pub async fn answer(&self, request: Request<Body>) -> TestResponse {
        use tracing::instrument::WithSubscriber;
        let response = self
            .app
            .handle(request)
            .with_subscriber(self.dispatch.clone())
            .await;
        let (parts, body) = response.into_parts();
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => format!("broken body: {error}").into(),
        };
        TestResponse {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    /// The log lines so far.
    pub fn lines(&self) -> Vec<Value> {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The `metadata` of the `request` events so far.
    pub fn request_events(&self) -> Vec<Value> {
        self.lines()
            .into_iter()
            .filter_map(|line| line.get("metadata").cloned())
            .filter(|metadata| metadata["event"] == "request")
            .collect()
    }
}

/// One request that is being put together.
pub struct TestRequest<'a, D> {
    app: &'a TestApp<D>,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Body,
    props: Option<Props>,
}

impl<D: AppState> TestRequest<'_, D> {
    /// Adds a header (a second one of the same name is kept too).
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_bytes(value.as_bytes()),
        ) {
            self.headers.append(name, value);
        }
        self
    }

    /// `Authorization: Bearer`.
    #[must_use]
    pub fn key(self, api_key: &str) -> Self {
        self.header("authorization", &format!("Bearer {api_key}"))
    }

    /// A JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.text("application/json", body.to_string())
    }

    /// Any body with its type.
    #[must_use]
    pub fn text(self, content_type: &str, body: impl Into<Body>) -> Self {
        let mut this = self.header("content-type", content_type);
        this.body = body.into();
        this
    }

    /// As if another worker called by its service binding.
    #[must_use]
    pub fn from_worker(mut self, caller: &str) -> Self {
        self.props = Some(Props {
            caller: Some(caller.to_owned()),
            instance_id: None,
        });
        self
    }

    /// The calling worker serves that instance only.
    #[must_use]
    pub fn of_instance(mut self, instance_id: &str) -> Self {
        let caller = self.props.take().and_then(|props| props.caller);
        self.props = Some(Props::new(caller, Some(instance_id)));
        self
    }

    /// Sends it and reads the answer.
    ///
    /// # Panics
    /// When the path is not a URI or the body breaks: a mistake in the test.
    pub async fn send(self) -> TestResponse {
        let mut request = Request::new(self.body);
        *request.method_mut() = self.method;
        *request.headers_mut() = self.headers;
        if let Ok(uri) = self.path.parse() {
            *request.uri_mut() = uri;
        }
        if let Some(props) = self.props {
            request.extensions_mut().insert(props);
        }
        self.app.answer(request).await
    }
}

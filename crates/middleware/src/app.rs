//! The chain of layers around a worker's router.
//!
//! Outermost first:
//! 1. `context`: request id, trace context, start time. 2. `access_log`: one `request` event. 3. `render`: every error
//!    becomes the JSON body, logged once. 4. `headers`: those that every answer has. 5. `cors`: none, or the listed
//!    origins.
//!
//! Then the router, and around each handler (`layers::guard`):
//! 6. `body_cap`. 7. `content_type`. 8. `internal`. 9. `auth`. 10. `resolve`. 11. `status`. 12. `permit`.

use crate::context::Context;
use crate::layers::{access_log::AccessLog, cors, headers, render};
use crate::state::AppState;
use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use errors::{Code, Error};
use http::header::ALLOW;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use tower::ServiceExt;
use tracing::Instrument;
use tracing::field::Empty;

/// A worker, ready to answer.
#[derive(Clone)]
pub struct App<D> {
    router: Router,
    deps: D,
    openai_prefix: Option<&'static str>,
}

impl<D: AppState> App<D> {
    pub(crate) fn new(router: Router, deps: D, openai_prefix: Option<&'static str>) -> Self {
        Self {
            router,
            deps,
            openai_prefix,
        }
    }

    /// Answers one request. Never fails: every failure is an answer.
    pub async fn handle(&self, request: Request<Body>) -> Response<Body> {
        self.enter(request, None).await
    }

    /// Answers with that error, through the same layers: for shells that decide before the router does.
    pub async fn refuse(&self, request: Request<Body>, error: Error) -> Response<Body> {
        self.enter(request, Some(error)).await
    }

    async fn enter(&self, mut request: Request<Body>, refusal: Option<Error>) -> Response<Body> {
        let context = Context::open(request.headers(), self.deps.clock(), self.deps.random());
        request.extensions_mut().insert(context.clone());
        let span = tracing::info_span!(
            "request",
            request_id = context.request_id(),
            trace_id = context.trace_id(),
            instance_id = Empty,
            user_id = Empty,
        );
        self.answer(request, context, refusal)
            .instrument(span)
            .await
    }

    async fn answer(
        &self,
        request: Request<Body>,
        context: Context,
        refusal: Option<Error>,
    ) -> Response<Body> {
        let log = AccessLog::start(&self.deps, &context, request.method());
        let head = request.method() == Method::HEAD;
        let style = match self.openai_prefix {
            Some(prefix) if request.uri().path().starts_with(prefix) => render::Style::OpenAi,
            _ => render::Style::Native,
        };
        let origins = self.deps.allowed_origins();
        let sent = if origins.is_empty() {
            HeaderMap::new()
        } else {
            request.headers().clone()
        };
        let preflight = cors::preflight(request.method(), &sent, origins);
        let response = match (refusal, preflight) {
            (Some(error), _) => error.into_response(),
            (None, Some(answer)) => answer,
            (None, None) => self.route(request).await,
        };
        let response = cors::apply(response, &sent, origins);
        let response = headers::apply(response, &context, self.deps.clock());
        let response = render::render(response, &context, style, head);
        log.finish(response.status(), response.extensions().get::<Error>());
        response
    }

    /// The router. TRACE and CONNECT are never meant for an application: they are 405 everywhere, also where the router
    /// would say 404.
    async fn route(&self, request: Request<Body>) -> Response<Body> {
        let never = matches!(*request.method(), Method::TRACE | Method::CONNECT);
        let internal = request.uri().path().starts_with("/internal/");
        let response = match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        if !never {
            return response;
        }
        let allow = response.headers().get(ALLOW).filter(|_| !internal);
        // RFC 9110 10.2.1: an empty list says that nothing is served here.
        let allow = allow.cloned().unwrap_or(HeaderValue::from_static(""));
        let mut refused =
            Error::new(Code::MethodNotAllowed, "This method is not served.").into_response();
        refused.headers_mut().insert(ALLOW, allow);
        refused
    }
}

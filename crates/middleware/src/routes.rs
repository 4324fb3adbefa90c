//! The route table: no route without its operation.
//!
//! In scope: declaring routes and their marks, the guard around each handler. Out of scope: what the layers do.

use crate::app::App;
use crate::layers;
use crate::state::AppState;
use auth::permission::Operation;
use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use errors::Error;
use http::Method;
use std::future::Future;
use std::pin::Pin;

/// Largest body unless the table says otherwise, in bytes.
pub(crate) const DEFAULT_BODY_CAP_BYTES: usize = 1024 * 1024;

/// One row of the table.
#[derive(Clone, Debug)]
pub struct RouteMark {
    /// Who may call it, what is resolved, whether it starts work.
    pub operation: &'static Operation,
    /// Its method; GET also serves HEAD.
    pub method: Method,
    /// Its path template.
    pub path: &'static str,
    /// Its largest body, in bytes.
    pub body_cap_bytes: usize,
}

/// The routes of one worker. Unknown paths are 404, wrong methods 405 with `Allow`, both as JSON errors.
pub struct Routes<D> {
    router: Router<D>,
    marks: Vec<RouteMark>,
    body_cap_bytes: usize,
    openai_prefix: Option<&'static str>,
}

impl<D: AppState> Default for Routes<D> {
    fn default() -> Self {
        Self::new()
    }
}

impl<D: AppState> Routes<D> {
    /// No routes yet.
    pub fn new() -> Self {
        Self {
            router: Router::new(),
            marks: Vec::new(),
            body_cap_bytes: DEFAULT_BODY_CAP_BYTES,
            openai_prefix: None,
        }
    }

    /// Largest body of the routes that follow, in bytes.
    #[must_use]
    pub fn body_cap(mut self, bytes: usize) -> Self {
        self.body_cap_bytes = bytes;
        self
    }

    /// Errors under this prefix are written in OpenAI's shape.
    #[must_use]
    pub fn openai_errors_under(mut self, prefix: &'static str) -> Self {
        self.openai_prefix = Some(prefix);
        self
    }

    /// Adds a route. An operation without a line in `auth::permission` does not exist, so no route can lack one.
    #[must_use]
    pub fn route<H, T>(
        mut self,
        operation: &'static Operation,
        method: Method,
        path: &'static str,
        handler: H,
    ) -> Self
    where
        H: Handler<T, D>,
        T: 'static,
    {
        let mark = RouteMark {
            operation,
            method,
            path,
            body_cap_bytes: self.body_cap_bytes,
        };
        let filter = match mark.method {
            Method::POST => MethodFilter::POST,
            Method::PUT => MethodFilter::PUT,
            Method::PATCH => MethodFilter::PATCH,
            Method::DELETE => MethodFilter::DELETE,
            Method::HEAD => MethodFilter::HEAD,
            _ => MethodFilter::GET,
        };
        let guarded = Guarded {
            handler,
            mark: mark.clone(),
        };
        self.router = self.router.route(path, on(filter, guarded));
        self.marks.push(mark);
        self
    }

    /// The table, for tests and for the OpenAPI document.
    pub fn marks(&self) -> &[RouteMark] {
        &self.marks
    }

    /// The worker, ready to answer.
    pub fn into_app(self, deps: D) -> App<D> {
        let router = self
            .router
            .method_not_allowed_fallback(layers::render::method_not_allowed)
            .fallback(layers::render::unknown_route)
            .with_state(deps.clone());
        App::new(router, deps, self.openai_prefix)
    }
}

/// A handler behind layers 6 to 12.
#[derive(Clone)]
pub struct Guarded<H> {
    handler: H,
    mark: RouteMark,
}

impl<H, T, D> Handler<T, D> for Guarded<H>
where
    H: Handler<T, D>,
    T: 'static,
    D: AppState,
{
    type Future = Pin<Box<dyn Future<Output = Response> + Send>>;

    fn call(self, request: Request, state: D) -> Self::Future {
        Box::pin(async move {
            match layers::guard(&state, &self.mark, request).await {
                Ok(request) => self.handler.call(request, state).await,
                Err(error) => Error::into_response(error),
            }
        })
    }
}

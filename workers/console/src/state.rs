//! What the console is made of: ports, bound workers, its own description. No state and no secret.

use crate::gateway::Gateway;
use crate::routes;
use axum::body::Body;
use errors::Error;
use http::{Request, Response};
use lookup::NoSource;
use middleware::{App, AppState};
use platform::{Ops, Ports};

/// A bound worker.
#[derive(Clone, Debug)]
pub struct Upstream<S> {
    /// Its name, as in `/api/<name>/..`.
    pub worker: &'static str,
    /// The binding it is reached by.
    pub binding: &'static str,
    /// The binding; `None` when it is missing.
    pub service: Option<S>,
}

/// Dependencies of one event.
#[derive(Clone)]
pub struct Deps<P: Ports> {
    /// Time.
    pub clock: P::Clock,
    /// Randomness.
    pub random: P::Random,
    /// The event's counter.
    pub ops: Ops,
    /// The bound workers, in the order of the first page.
    pub upstreams: Vec<Upstream<P::Service>>,
    /// What the gateway decides by.
    pub gateway: Gateway,
    /// Commit that this was built from.
    pub git_sha: String,
}

impl<P: Ports> AppState for Deps<P> {
    type Ports = P;
    type Source = NoSource;

    fn service(&self) -> &'static str {
        "console"
    }

    fn clock(&self) -> &P::Clock {
        &self.clock
    }

    fn random(&self) -> &P::Random {
        &self.random
    }

    fn ops(&self) -> Ops {
        self.ops.clone()
    }
}

/// The part of the console that answers by itself.
pub struct Console<P: Ports> {
    app: App<Deps<P>>,
}

impl<P: Ports> Console<P> {
    /// Its routes over those dependencies.
    pub fn new(deps: Deps<P>) -> Self {
        Self {
            app: routes::routes().into_app(deps),
        }
    }

    /// An own route, or 404.
    pub async fn own(&self, request: Request<Body>) -> Response<Body> {
        self.app.handle(request).await
    }

    /// A rejected or failed request.
    pub async fn refuse(&self, request: Request<Body>, error: Error) -> Response<Body> {
        self.app.refuse(request, error).await
    }
}

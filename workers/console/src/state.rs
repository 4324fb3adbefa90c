//! What the console is made of: ports, bound workers, files, its own description. No state and no secret.

use crate::assets;
use crate::gateway::{self, Decision, Forward, Gateway, WORKERS};
use crate::head::Head;
use crate::registry::{self, Known, To};
use crate::routes;
use axum::body::Body;
use errors::{Code, Error, Result};
use http::header::{ALLOW, HeaderValue};
use http::{Request, Response, Uri};
use lookup::NoSource;
use middleware::{App, AppState, Context};
use platform::{Ops, Ports};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A bound worker.
#[derive(Clone, Debug)]
pub struct Upstream<S> {
    /// Its name: as in `/api/<name>/..`, with the instance behind it where it is an instance's own.
    pub worker: String,
    /// The binding it is reached by.
    pub binding: String,
    /// The binding; `None` when it is missing.
    pub service: Option<S>,
    /// Whether nothing works without it.
    pub needed: bool,
}

/// Every worker that is bound: the one of all instances, and each instance's own. One that serves no instance's work is
/// listed also where it is missing, and so is the other where nothing stands in for it.
pub fn upstreams<S>(
    bindings: &BTreeSet<String>,
    service: impl Fn(&str) -> Option<S>,
) -> Vec<Upstream<S>> {
    let mut found = Vec::new();
    for target in WORKERS {
        let own: Vec<_> = bindings
            .iter()
            .filter_map(|binding| Some((binding, target.instance_of(binding)?)))
            .map(|(binding, instance)| Upstream {
                worker: format!("{}-{instance}", target.worker),
                service: service(binding),
                binding: binding.clone(),
                needed: false,
            })
            .collect();
        if own.is_empty() || bindings.contains(target.binding) {
            found.push(Upstream {
                worker: target.worker.to_owned(),
                binding: target.binding.to_owned(),
                service: service(target.binding),
                needed: !target.of_instance,
            });
        }
        found.extend(own);
    }
    found
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
    /// The bound workers.
    pub upstreams: Vec<Upstream<P::Service>>,
    /// The application's files; `None` when the binding is missing.
    pub assets: Option<P::Service>,
    /// What the gateway decides by.
    pub gateway: Gateway,
    /// Where workers that are not bound answer.
    pub known: Arc<Known>,
    /// `local`, `test`, `development`, `staging` or `production`.
    pub environment: String,
    /// Whether provider-sim stands in for the providers.
    pub simulator: bool,
    /// Commit that this was built from.
    pub git_sha: String,
}

impl<P: Ports> Deps<P> {
    /// The binding of that worker.
    pub(crate) fn service(&self, worker: &str) -> Option<&P::Service> {
        let upstream = self.upstreams.iter().find(|it| it.worker == worker)?;
        upstream.service.as_ref()
    }
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
    deps: Deps<P>,
}

impl<P: Ports> Console<P> {
    /// Its routes over those dependencies.
    pub fn new(deps: Deps<P>) -> Self {
        Self {
            app: routes::routes().into_app(deps.clone()),
            deps,
        }
    }

    /// What happens to a request.
    pub fn decide(&self, head: &Head) -> Decision {
        gateway::decide(head, &self.deps.gateway)
    }

    /// Where a forward goes.
    ///
    /// # Errors
    /// There is no way to a worker that serves the request.
    pub async fn locate(&self, context: &Context, head: &Head, forward: &Forward) -> Result<To> {
        registry::locate(&self.deps, context, head, forward).await
    }

    /// An own route, or 404.
    pub async fn own(&self, request: Request<Body>) -> Response<Body> {
        self.app.handle(request).await
    }

    /// A page of the application: `/` serves all of them, so one row of the table and of the metrics stands for all.
    pub async fn page(&self, mut request: Request<Body>) -> Response<Body> {
        *request.uri_mut() = Uri::from_static("/");
        self.app.handle(request).await
    }

    /// A file of the application, unlogged as they are many; 404 where there is none, 405 for what cannot be asked of it.
    pub async fn file(&self, head: Head) -> Response<Body> {
        match assets::file(&self.deps, &head).await {
            Ok(response) => response,
            Err(error) => {
                let wrong_method = error.code == Code::MethodNotAllowed;
                let mut response = self.app.refuse(head.into_request(), error).await;
                if wrong_method {
                    let allow = HeaderValue::from_static("GET,HEAD");
                    response.headers_mut().insert(ALLOW, allow);
                }
                response
            }
        }
    }

    /// A rejected or failed request.
    pub async fn refuse(&self, request: Request<Body>, error: Error) -> Response<Body> {
        self.app.refuse(request, error).await
    }
}

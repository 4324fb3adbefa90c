//! `GET /health`: the console's own state and that of the workers it is bound to.

use crate::state::{Deps, Upstream};
use axum::Json;
use axum::extract::State;
use futures_util::future::join_all;
use http::{HeaderMap, Method, StatusCode};
use middleware::Context;
use platform::{Clock, HttpClient, HttpRequest, Ports, collect};
use serde_json::{Map, Value, json};

/// A worker that does not answer in this time counts as unreachable, in milliseconds.
const TIMEOUT_MS: u64 = 3_000;
/// Largest `/health` body that is read, in bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// What one bound worker says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WorkerHealth {
    pub(crate) worker: &'static str,
    pub(crate) binding: &'static str,
    /// `ok`, `degraded`, `unreachable`, `absent`.
    pub(crate) status: &'static str,
    pub(crate) version: Option<String>,
    pub(crate) git_sha: Option<String>,
    pub(crate) took_ms: i64,
}

/// Asks all of them at once.
pub(crate) async fn ask_all<P: Ports>(deps: &Deps<P>, context: &Context) -> Vec<WorkerHealth> {
    let asked = deps.upstreams.iter().map(|it| ask(deps, it, context));
    join_all(asked).await
}

async fn ask<P: Ports>(
    deps: &Deps<P>,
    upstream: &Upstream<P::Service>,
    context: &Context,
) -> WorkerHealth {
    let mut health = WorkerHealth {
        worker: upstream.worker,
        binding: upstream.binding,
        status: "absent",
        version: None,
        git_sha: None,
        took_ms: 0,
    };
    let Some(service) = &upstream.service else {
        return health;
    };
    health.status = "unreachable";
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("x-request-id", context.request_id()),
        ("traceparent", &context.call().traceparent),
    ] {
        if let Ok(value) = value.parse() {
            headers.insert(name, value);
        }
    }
    let started_ms = deps.clock.now_ms();
    let sent = service
        .send(HttpRequest {
            method: Method::GET,
            url: format!("http://{}/health", upstream.worker),
            headers,
            body: axum::body::Bytes::new(),
            timeout_ms: TIMEOUT_MS,
        })
        .await;
    let response = match sent {
        Ok(response) => response,
        Err(failure) => {
            tracing::warn!(worker = upstream.worker, cause = %failure.cause, "a bound worker did not answer");
            return health;
        }
    };
    let status = response.status;
    let body = collect(response.body, MAX_BYTES).await.ok();
    health.took_ms = deps.clock.now_ms().saturating_sub(started_ms);
    let Some(Value::Object(body)) = body.and_then(|body| serde_json::from_slice(&body).ok()) else {
        return health;
    };
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(Into::into);
    health.version = text("version");
    health.git_sha = text("git_sha");
    health.status = if status == 200 { "ok" } else { "degraded" };
    health
}

/// Steps: 1. every binding is there, else 503. 2. each worker is asked; its state is reported and changes nothing.
pub(crate) async fn health<P: Ports>(
    State(deps): State<Deps<P>>,
    context: Context,
) -> (StatusCode, Json<Value>) {
    let workers = ask_all(&deps, &context).await;
    let mut bindings = Map::new();
    let mut described = Map::new();
    for worker in &workers {
        let bound = if worker.status == "absent" {
            "absent"
        } else {
            "ok"
        };
        bindings.insert(worker.binding.to_owned(), bound.into());
        described.insert(
            worker.worker.to_owned(),
            json!({"status": worker.status, "version": worker.version, "git_sha": worker.git_sha}),
        );
    }
    let complete = bindings.values().all(|bound| bound == "ok");
    let (status, word) = if complete {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "degraded")
    };
    let body = json!({
        "status": word,
        "version": env!("CARGO_PKG_VERSION"),
        "version_id": null,
        "git_sha": deps.git_sha,
        "bindings": bindings,
        "workers": described,
    });
    (status, Json(body))
}

//! `GET /health`: the console's own state, its files, and that of the workers it is bound to.

use crate::assets;
use crate::state::{Deps, Upstream};
use axum::Json;
use axum::extract::State;
use futures_util::future::{join, join_all};
use http::{HeaderMap, Method, StatusCode};
use middleware::Context;
use platform::{HttpClient, HttpRequest, Ports, collect};
use serde_json::{Map, Value, json};

/// A worker that does not answer in this time counts as unreachable, in milliseconds.
const TIMEOUT_MS: u64 = 3_000;
/// Largest `/health` body that is read, in bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// What one bound worker says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WorkerHealth {
    pub(crate) worker: String,
    pub(crate) binding: String,
    /// Whether nothing works without it.
    pub(crate) needed: bool,
    /// `ok`, `degraded`, `unreachable`, `absent`.
    pub(crate) status: &'static str,
    pub(crate) version: Option<String>,
    pub(crate) git_sha: Option<String>,
}

/// Asks all of them at once.
pub(crate) async fn ask_all<P: Ports>(deps: &Deps<P>, context: &Context) -> Vec<WorkerHealth> {
    let asked = deps.upstreams.iter().map(|it| ask(it, context));
    join_all(asked).await
}

async fn ask<S: HttpClient>(upstream: &Upstream<S>, context: &Context) -> WorkerHealth {
    let mut health = WorkerHealth {
        worker: upstream.worker.clone(),
        binding: upstream.binding.clone(),
        needed: upstream.needed,
        status: "absent",
        version: None,
        git_sha: None,
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
            tracing::warn!(worker = upstream.worker.as_str(), cause = %failure.cause, "a bound worker did not answer");
            return health;
        }
    };
    let status = response.status;
    let body = collect(response.body, MAX_BYTES).await.ok();
    let Some(Value::Object(body)) = body.and_then(|body| serde_json::from_slice(&body).ok()) else {
        return health;
    };
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(Into::into);
    health.version = text("version");
    health.git_sha = text("git_sha");
    health.status = if status == 200 { "ok" } else { "degraded" };
    health
}

/// Steps: 1. what is needed is bound and the application's page can be read, else 503: workers of instances may be
/// reached by their URLs instead. 2. each worker is asked; its state is reported and changes nothing.
pub(crate) async fn health<P: Ports>(
    State(deps): State<Deps<P>>,
    context: Context,
) -> (StatusCode, Json<Value>) {
    let (workers, assets_hash) =
        join(ask_all(&deps, &context), assets::version(&deps, &context)).await;
    let needed = |it: &WorkerHealth| it.status != "absent" || !it.needed;
    let bound = workers.iter().all(needed);
    let mut bindings = Map::new();
    let mut described = Map::new();
    for worker in &workers {
        let bound = if worker.status == "absent" {
            "absent"
        } else {
            "ok"
        };
        bindings.insert(worker.binding.clone(), bound.into());
        described.insert(
            worker.worker.clone(),
            json!({"status": worker.status, "version": worker.version, "git_sha": worker.git_sha}),
        );
    }
    let assets = match (&deps.assets, &assets_hash) {
        (None, _) => "absent",
        (Some(_), None) => "failed",
        (Some(_), Some(_)) => "ok",
    };
    bindings.insert(assets::BINDING.to_owned(), assets.into());
    let complete = bound && assets == "ok";
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
        "assets_hash": assets_hash,
        "bindings": bindings,
        "workers": described,
    });
    (status, Json(body))
}

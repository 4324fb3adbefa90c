//! The routes of admission: its own description and nothing else.

use crate::deps::Deps;
use auth::permission::admission;
use axum::extract::State;
use axum::response::IntoResponse;
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use middleware::Routes;
use platform::Ports;
use serde_json::{Map, Value, json};

/// The description that clients are generated from.
pub const OPENAPI: &str = include_str!("openapi.json");

/// The table.
pub fn routes<P: Ports>() -> Routes<Deps<P>> {
    Routes::new()
        .route(&admission::HEALTH, Method::GET, "/health", health::<P>)
        .route(&admission::OPENAPI, Method::GET, "/openapi.json", openapi)
}

/// Answers `GET /health`: 200 when every binding is there, else 503 naming what is absent.
async fn health<P: Ports>(State(deps): State<Deps<P>>) -> impl IntoResponse {
    let health = &deps.health;
    let complete = health.bindings.values().all(|there| *there);
    let bindings: Map<String, Value> = health
        .bindings
        .iter()
        .map(|(name, there)| {
            let word = if *there { "ok" } else { "absent" };
            ((*name).to_owned(), json!(word))
        })
        .collect();
    let body = json!({
        "status": if complete { "ok" } else { "degraded" },
        "version": env!("CARGO_PKG_VERSION"),
        "version_id": health.version_id,
        "git_sha": health.git_sha,
        "bindings": bindings,
    });
    let status = if complete {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, axum::Json(body))
}

/// Answers `GET /openapi.json`: 200.
async fn openapi() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], OPENAPI)
}

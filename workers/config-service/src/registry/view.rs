//! A worker as it is shown.

use serde_json::{Value, json};
use store::control::registry::WorkerRow;

/// A line of the catalog.
pub(super) fn shown(worker: &WorkerRow) -> Value {
    json!({
        "name": worker.name, "instance_id": worker.instance_id, "version": worker.version,
        "git_sha": worker.git_sha, "url": worker.url, "openapi_url": worker.openapi_url,
        "openapi_sha256": worker.openapi_sha256, "capabilities": worker.capabilities,
        "health": worker.health, "health_since": worker.health_since,
        "health_reason": worker.health_reason, "checked_at": worker.checked_at,
        "registered_at": worker.registered_at,
    })
}

/// The same with the worker's own last answer.
pub(super) fn with_detail(worker: &WorkerRow) -> Value {
    let mut value = shown(worker);
    if let Some(members) = value.as_object_mut() {
        let detail = worker.health_detail.clone().unwrap_or_default();
        members.insert("health_detail".into(), detail);
    }
    value
}

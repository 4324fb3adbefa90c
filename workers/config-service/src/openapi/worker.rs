//! `/worker` in the document.

use super::entry::{CHANGE, Entry, FIELDS, PAGE, ROLE, get, post, put};
use super::shape::{list_of, object, or_null, reference, slug, strict, text, texts, time};
use auth::permission::config_service as op;
use errors::Code;
use serde_json::{Value, json};

// An operation and what belongs to it, line by line, so that the table can be read as one.
#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    get(&op::LIST_WORKERS, "/worker", "The catalog: workers of the platform and of the instances that the caller may use.")
        .gives(200, "WorkerList").paged().asks(&["instance_id", "capability", "health"]).may(&[PAGE, &[Code::ScopeMissing]]),
    get(&op::GET_WORKER, "/worker/{name}", "One worker with its last answer and its last 20 versions.")
        .gives(200, "WorkerDetail").asks(&["instance_id"]).may(&[&[Code::InvalidField, Code::NotFound]]),
    put(&op::REGISTER_WORKER, "/worker/{name}", "Registers a worker, or what is new about it; 201 for a new one.")
        .takes("RegisterWorker").gives(200, "Worker").may(&[FIELDS, CHANGE, &[Code::QuotaReached]]),
    post(&op::CHECK_WORKER, "/worker/{name}/check", "Checks the health of a worker now.")
        .gives(200, "CheckedWorker").asks(&["instance_id"]).may(&[ROLE, &[Code::InvalidField, Code::NotFound]]),
];

pub(super) fn schemas() -> Value {
    let url = || json!({"type": "string", "format": "uri", "maxLength": 500});
    let digest = || json!({"type": ["string", "null"], "pattern": "^[0-9a-f]{64}$"});
    let worker = [
        ("name", slug()),
        ("instance_id", or_null("string")),
        ("version", text()),
        ("git_sha", text()),
        ("url", url()),
        ("openapi_url", or_null("string")),
        ("openapi_sha256", digest()),
        ("capabilities", texts()),
        (
            "health",
            json!({"enum": ["unknown", "healthy", "degraded", "unhealthy"]}),
        ),
        ("health_since", or_null("string")),
        ("health_reason", or_null("string")),
        ("checked_at", or_null("string")),
        ("registered_at", time()),
    ];
    let checked: Vec<(&str, Value)> = worker
        .iter()
        .cloned()
        .chain([("health_detail", or_null("object"))])
        .collect();
    let detail: Vec<(&str, Value)> = checked
        .iter()
        .cloned()
        .chain([(
            "versions",
            json!({"type": "array", "maxItems": 20, "items": reference("WorkerVersion")}),
        )])
        .collect();
    json!({
        "RegisterWorker": strict(&[
            ("instance_id?", json!({"type": ["string", "null"]})), ("version", text()), ("git_sha", text()), ("url", url()),
            ("openapi_url?", or_null("string")), ("openapi_sha256?", digest()),
            ("capabilities?", json!({"type": "array", "maxItems": 50, "items": {"type": "string", "pattern": "^[a-z0-9.]{1,40}$"}})),
        ]),
        "Worker": object(&worker),
        "CheckedWorker": object(&checked),
        "WorkerDetail": object(&detail),
        "WorkerVersion": object(&[("version", text()), ("git_sha", text()), ("registered_at", time())]),
        "WorkerList": list_of("Worker"),
    })
}

//! `/worker` in the document.

use super::shape::{list_of, object, or_null, reference, slug, strict, text, texts, time};
use super::{Entry, LIST};
use auth::permission::config_service as op;
use errors::Code;
use serde_json::{Value, json};

const REGISTER: &[Code] = &[
    Code::InvalidField,
    Code::UnknownField,
    Code::AuthFailed,
    Code::Forbidden,
    Code::RoleRequired,
    Code::ScopeMissing,
    Code::NotFound,
    Code::QuotaReached,
    Code::PayloadTooLarge,
    Code::UnsupportedMediaType,
    Code::TooManyAuthFailures,
    Code::DatabaseUnavailable,
    Code::Overloaded,
];
const GET: &[Code] = &[
    Code::InvalidField,
    Code::AuthFailed,
    Code::NotFound,
    Code::TooManyAuthFailures,
    Code::DatabaseUnavailable,
];
const CHECK: &[Code] = &[
    Code::InvalidField,
    Code::AuthFailed,
    Code::Forbidden,
    Code::RoleRequired,
    Code::ScopeMissing,
    Code::NotFound,
    Code::TooManyAuthFailures,
    Code::DatabaseUnavailable,
];

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        operation: &op::LIST_WORKERS,
        method: "get",
        path: "/worker",
        summary: "The catalog: workers of the platform and of the instances that the caller may use.",
        body: None,
        answer: (200, Some("WorkerList")),
        query: &["instance_id", "capability", "health", "limit", "cursor"],
        errors: LIST,
    },
    Entry {
        operation: &op::GET_WORKER,
        method: "get",
        path: "/worker/{name}",
        summary: "One worker with its last answer and its last 20 versions.",
        body: None,
        answer: (200, Some("WorkerDetail")),
        query: &["instance_id"],
        errors: GET,
    },
    Entry {
        operation: &op::REGISTER_WORKER,
        method: "put",
        path: "/worker/{name}",
        summary: "Registers a worker, or what is new about it; 201 for a new one.",
        body: Some("RegisterWorker"),
        answer: (200, Some("Worker")),
        query: &[],
        errors: REGISTER,
    },
    Entry {
        operation: &op::CHECK_WORKER,
        method: "post",
        path: "/worker/{name}/check",
        summary: "Checks the health of a worker now.",
        body: None,
        answer: (200, Some("CheckedWorker")),
        query: &["instance_id"],
        errors: CHECK,
    },
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

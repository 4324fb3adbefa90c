//! `/admin/kek-rotation` in the document.

use super::Entry;
use super::shape::{list_of, object, or_null, slug, strict, text, time, uuid};
use auth::permission::config_service as op;
use errors::Code;
use serde_json::{Value, json};

const START: &[Code] = &[
    Code::InvalidField,
    Code::UnknownField,
    Code::AuthFailed,
    Code::Forbidden,
    Code::RoleRequired,
    Code::ScopeMissing,
    Code::Conflict,
    Code::PayloadTooLarge,
    Code::UnsupportedMediaType,
    Code::IdempotencyMismatch,
    Code::TooManyAuthFailures,
    Code::InternalError,
    Code::DatabaseUnavailable,
    Code::Overloaded,
];
const LIST: &[Code] = &[
    Code::InvalidField,
    Code::InvalidCursor,
    Code::AuthFailed,
    Code::Forbidden,
    Code::RoleRequired,
    Code::ScopeMissing,
    Code::TooManyAuthFailures,
    Code::DatabaseUnavailable,
];
const RUN: &[Code] = &[
    Code::InvalidField,
    Code::AuthFailed,
    Code::Forbidden,
    Code::RoleRequired,
    Code::ScopeMissing,
    Code::NotFound,
    Code::TooManyAuthFailures,
    Code::InternalError,
    Code::DatabaseUnavailable,
    Code::Overloaded,
];
const CANCEL: &[Code] = &[
    Code::InvalidField,
    Code::AuthFailed,
    Code::Forbidden,
    Code::RoleRequired,
    Code::ScopeMissing,
    Code::NotFound,
    Code::InvalidTransition,
    Code::IdempotencyMismatch,
    Code::TooManyAuthFailures,
    Code::DatabaseUnavailable,
    Code::Overloaded,
];

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        operation: &op::START_KEK_ROTATION,
        method: "post",
        path: "/admin/kek-rotation",
        summary: "Starts moving all stored provider keys to another key-encryption key. 409 while registered workers lack it: details.workers names at most 100 of them.",
        body: Some("StartKekRotation"),
        answer: (201, Some("StartedKekRotation")),
        query: &[],
        errors: START,
    },
    Entry {
        operation: &op::LIST_KEK_ROTATION,
        method: "get",
        path: "/admin/kek-rotation",
        summary: "The key rotations, newest first, and when the old key may go.",
        body: None,
        answer: (200, Some("KekRotationList")),
        query: &["limit", "cursor"],
        errors: LIST,
    },
    Entry {
        operation: &op::RUN_KEK_ROTATION,
        method: "post",
        path: "/admin/kek-rotation/{rotation_id}/run",
        summary: "Takes 20 steps now, an instance each; repeatable.",
        body: None,
        answer: (200, Some("RunKekRotation")),
        query: &[],
        errors: RUN,
    },
    Entry {
        operation: &op::CANCEL_KEK_ROTATION,
        method: "post",
        path: "/admin/kek-rotation/{rotation_id}/cancel",
        summary: "Ends a running key rotation where it stands; repeatable.",
        body: None,
        answer: (200, Some("KekRotation")),
        query: &[],
        errors: CANCEL,
    },
];

fn count() -> Value {
    json!({"type": "integer", "minimum": 0})
}

/// The members of a rotation, and further ones.
fn rotation(further: &[(&str, Value)]) -> Value {
    let unopened = object(&[
        ("instance_id", slug()),
        ("credential_id", uuid()),
        ("kek_id", text()),
        ("row_kek_id?", text()),
    ]);
    let mut members = vec![
        ("rotation_id", uuid()),
        ("to", text()),
        (
            "state",
            json!({"enum": ["running", "done", "cancelled", "failed"]}),
        ),
        ("dry_run", json!({"type": "boolean"})),
        ("done", count()),
        ("skipped", count()),
        ("failed", count()),
        ("unopened", json!({"type": "array", "items": unopened})),
        ("remaining", or_null("integer")),
        ("started_by", text()),
        ("created_at", time()),
        ("ended_at", or_null("string")),
        ("safe_to_remove_after", or_null("string")),
    ];
    members.extend_from_slice(further);
    object(&members)
}

pub(super) fn schemas() -> Value {
    json!({
        "StartKekRotation": strict(&[("to", text()), ("dry_run?", json!({"type": "boolean", "default": false}))]),
        "StartedKekRotation": rotation(&[("unasked_workers", json!({
            "type": "array", "items": {"type": "string"}, "maxItems": 100,
            "description": "Workers of the platform whose health nobody knows yet; at most 100 are named.",
        })), ("lacking_workers", json!({
            "type": "array", "items": {"type": "string"}, "maxItems": 100,
            "description": "Workers that organizations registered and that say they lack the key; at most 100 are named.",
        }))]),
        "KekRotation": rotation(&[]),
        "KekRotationList": list_of("KekRotation"),
        "RunKekRotation": rotation(&[("steps", count())]),
    })
}

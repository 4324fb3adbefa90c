//! `/admin/kek-rotation` in the document.

use super::entry::{CHANGE, Entry, FIELDS, PAGE, ROLE, get, post};
use super::shape::{list_of, object, or_null, slug, strict, text, time, uuid};
use auth::permission::config_service as op;
use errors::Code;
use serde_json::{Value, json};

// An operation and what belongs to it, line by line, so that the table can be read as one.
#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    post(&op::START_KEK_ROTATION, "/admin/kek-rotation", "Starts moving all stored provider keys to another key-encryption key. 409 while registered workers lack it: details.workers names at most 100 of them.")
        .takes("StartKekRotation").gives(201, "StartedKekRotation").may(&[FIELDS, ROLE, &[Code::Conflict, Code::InternalError, Code::Overloaded]]),
    get(&op::LIST_KEK_ROTATION, "/admin/kek-rotation", "The key rotations, newest first, and when the old key may go.")
        .gives(200, "KekRotationList").paged().may(&[PAGE, ROLE]),
    post(&op::RUN_KEK_ROTATION, "/admin/kek-rotation/{rotation_id}/run", "Takes 20 steps now, an instance each; repeatable.")
        .gives(200, "RunKekRotation").may(&[CHANGE, &[Code::InvalidField, Code::InternalError]]),
    post(&op::CANCEL_KEK_ROTATION, "/admin/kek-rotation/{rotation_id}/cancel", "Ends a running key rotation where it stands; repeatable.")
        .gives(200, "KekRotation").may(&[CHANGE, &[Code::InvalidField, Code::InvalidTransition]]),
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

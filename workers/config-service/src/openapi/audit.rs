//! `/audit` in the document.

use super::entry::{Entry, PAGE, ROLE, get};
use super::shape::{any, list_of, object, or_null, text, time, uuid};
use auth::permission::config_service as op;
use errors::Code;
use serde_json::{Value, json};

// An operation and what belongs to it, line by line, so that the table can be read as one.
#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    get(&op::LIST_AUDIT, "/audit", "The entries of one chain with their hashes, newest first.")
        .gives(200, "AuditList").paged().asks(&["org_id", "actor", "action", "target", "from", "to"]).may(&[PAGE, ROLE, &[Code::NotFound]]),
    get(&op::VERIFY_AUDIT, "/audit/verify", "Walks a chain over at most 5,000 entries and names the first broken place.")
        .gives(200, "AuditVerdict").asks(&["org_id", "cursor"]).may(&[PAGE, ROLE, &[Code::NotFound]]),
];

pub(super) fn schemas() -> Value {
    let hash = || json!({"type": "string", "pattern": "^[0-9a-f]{64}$"});
    let count = || json!({"type": "integer", "minimum": 0});
    json!({
        "AuditEntry": object(&[
            ("org_id", text()), ("seq", json!({"type": "integer", "minimum": 1})), ("at", time()), ("actor", any()), ("action", text()),
            ("target_type", text()), ("target_id", text()), ("instance_id", or_null("string")), ("before", or_null("object")),
            ("after", or_null("object")), ("request_id", text()), ("ip", or_null("string")), ("prev_hash", hash()), ("hash", hash()),
        ]),
        "AuditList": list_of("AuditEntry"),
        "AuditVerdict": object(&[
            ("org_id", text()), ("ok", json!({"type": "boolean"})), ("complete", json!({"type": "boolean"})), ("from_seq", count()),
            ("to_seq", count()), ("head_seq", count()), ("entries", count()), ("checkpoints", count()), ("checkpoints_unproved", count()),
            ("broken_seq", or_null("integer")), ("fault", json!({"enum": ["missing", "link", "hash", "checkpoint", null]})),
            ("head_hash", or_null("string")), ("next_cursor", or_null("string")), ("request_id", uuid()),
        ]),
    })
}

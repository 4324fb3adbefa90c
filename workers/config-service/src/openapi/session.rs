//! `/session` in the document.

use super::entry::{Entry, FIELDS, PAGE, delete, get, post};
use super::shape::{
    any, list_of, object, or_null, reference, role, scopes, strict, text, time, uuid,
};
use auth::permission::config_service as op;
use errors::Code;
use serde_json::{Value, json};

// An operation and what belongs to it, line by line, so that the table can be read as one.
#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    get(&op::WHO_AM_I, "/session", "Who calls, with role, permissions and instances.")
        .gives(200, "Principal"),
    post(&op::CREATE_SESSION, "/session", "Opens a session of 12 hours that acts as the presented key; its key is shown once.")
        .takes("CreateSession").gives(201, "OpenedSession").may(&[FIELDS, &[Code::Forbidden, Code::SecretAlreadyShown, Code::Overloaded]]),
    get(&op::LIST_SESSIONS, "/session/list", "The caller's live sessions, newest first; with user_id those of a user of the organization.")
        .gives(200, "SessionList").paged().asks(&["user_id"]).may(&[PAGE, &[Code::Forbidden]]),
    delete(&op::END_SESSION, "/session/{session_id}", "Ends a session; repeatable.")
        .gives_nothing().may(&[&[Code::Forbidden, Code::RoleRequired, Code::NotFound, Code::Overloaded]]),
];

pub(super) fn schemas() -> Value {
    json!({
        "Principal": object(&[
            ("principal", text()), ("kind", json!({"enum": ["user_key", "project_key", "session"]})), ("role", role()),
            ("user", or_null("object")), ("organization", or_null("object")), ("project_id", or_null("string")),
            ("key_id", or_null("string")), ("key", any()),
            ("session", json!({"anyOf": [reference("Session"), {"type": "null"}]})),
            ("permissions", scopes()), ("instances", json!({"type": "array", "items": any()})), ("instances_more", json!({"type": "boolean"})),
            ("request_id", uuid()),
        ]),
        "CreateSession": strict(&[("label?", json!({"type": ["string", "null"], "maxLength": 200}))]),
        "OpenedSession": object(&[
            ("key", json!({"type": "string", "readOnly": true})), ("session_id", text()), ("label", text()),
            ("created_at", time()), ("expires_at", time()),
        ]),
        "Session": object(&[
            ("session_id", text()), ("label", text()), ("key_id", text()), ("user_id", uuid()), ("created_at", time()),
            ("last_used_at", or_null("string")), ("expires_at", time()), ("current", json!({"type": "boolean"})),
        ]),
        "SessionList": list_of("Session"),
    })
}

//! `/session` in the document.

use super::Entry;
use super::shape::{
    any, list_of, object, or_null, reference, role, scopes, strict, text, time, uuid,
};
use auth::permission::config_service as op;
use errors::Code;
use serde_json::{Value, json};

const OPEN: &[Code] = &[
    Code::InvalidField,
    Code::UnknownField,
    Code::AuthFailed,
    Code::Forbidden,
    Code::SecretAlreadyShown,
    Code::PayloadTooLarge,
    Code::UnsupportedMediaType,
    Code::IdempotencyMismatch,
    Code::TooManyAuthFailures,
    Code::DatabaseUnavailable,
    Code::Overloaded,
];
const LIST: &[Code] = &[
    Code::InvalidField,
    Code::InvalidCursor,
    Code::AuthFailed,
    Code::Forbidden,
    Code::TooManyAuthFailures,
    Code::DatabaseUnavailable,
];
const END: &[Code] = &[
    Code::AuthFailed,
    Code::Forbidden,
    Code::RoleRequired,
    Code::NotFound,
    Code::TooManyAuthFailures,
    Code::DatabaseUnavailable,
    Code::Overloaded,
];
pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        operation: &op::WHO_AM_I,
        method: "get",
        path: "/session",
        summary: "Who calls, with role, permissions and instances.",
        body: None,
        answer: (200, Some("Principal")),
        query: &[],
        errors: &[
            Code::AuthFailed,
            Code::TooManyAuthFailures,
            Code::DatabaseUnavailable,
        ],
    },
    Entry {
        operation: &op::CREATE_SESSION,
        method: "post",
        path: "/session",
        summary: "Opens a session of 12 hours that acts as the presented key; its key is shown once.",
        body: Some("CreateSession"),
        answer: (201, Some("OpenedSession")),
        query: &[],
        errors: OPEN,
    },
    Entry {
        operation: &op::LIST_SESSIONS,
        method: "get",
        path: "/session/list",
        summary: "The caller's live sessions, newest first; with user_id those of a user of the organization.",
        body: None,
        answer: (200, Some("SessionList")),
        query: &["user_id", "limit", "cursor"],
        errors: LIST,
    },
    Entry {
        operation: &op::END_SESSION,
        method: "delete",
        path: "/session/{session_id}",
        summary: "Ends a session; repeatable.",
        body: None,
        answer: (204, None),
        query: &[],
        errors: END,
    },
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

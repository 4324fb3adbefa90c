//! `/user` in the document.

use super::shape::{
    list_of, object, or_null, role, scopes, slug, strict, text, texts, time, uuid, version,
};
use super::{Entry, READ, WRITE};
use auth::permission::config_service as op;
use errors::Code;
use serde_json::{Value, json};

const EDIT_USER: &[Code] = &[
    Code::InvalidField,
    Code::UnknownField,
    Code::ReadOnlyField,
    Code::AuthFailed,
    Code::Forbidden,
    Code::RoleRequired,
    Code::ScopeMissing,
    Code::NotFound,
    Code::Conflict,
    Code::LastAdmin,
    Code::VersionMismatch,
    Code::PayloadTooLarge,
    Code::UnsupportedMediaType,
    Code::PreconditionRequired,
    Code::TooManyAuthFailures,
    Code::DatabaseUnavailable,
    Code::Overloaded,
];

const END_USER: &[Code] = &[
    Code::InvalidField,
    Code::AuthFailed,
    Code::Forbidden,
    Code::RoleRequired,
    Code::ScopeMissing,
    Code::NotFound,
    Code::Conflict,
    Code::LastAdmin,
    Code::VersionMismatch,
    Code::PreconditionRequired,
    Code::TooManyAuthFailures,
    Code::DatabaseUnavailable,
    Code::Overloaded,
];

/// Of a list that only administrators ask for.
pub(super) const LIST_AS_ADMIN: &[Code] = &[
    Code::InvalidField,
    Code::InvalidCursor,
    Code::AuthFailed,
    Code::Forbidden,
    Code::RoleRequired,
    Code::ScopeMissing,
    Code::TooManyAuthFailures,
    Code::DatabaseUnavailable,
];

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        operation: &op::LIST_USERS,
        method: "get",
        path: "/user",
        summary: "The users whom the caller administers, newest first.",
        body: None,
        answer: (200, Some("UserList")),
        query: &["org_id", "role", "status", "q", "limit", "cursor"],
        errors: LIST_AS_ADMIN,
    },
    Entry {
        operation: &op::CREATE_USER,
        method: "post",
        path: "/user",
        summary: "Creates a user.",
        body: Some("CreateUser"),
        answer: (201, Some("User")),
        query: &[],
        errors: WRITE,
    },
    Entry {
        operation: &op::GET_USER,
        method: "get",
        path: "/user/{user_id}",
        summary: "One user with what the user may do.",
        body: None,
        answer: (200, Some("User")),
        query: &[],
        errors: READ,
    },
    Entry {
        operation: &op::UPDATE_USER,
        method: "patch",
        path: "/user/{user_id}",
        summary: "Changes name, role or status of a user.",
        body: Some("UpdateUser"),
        answer: (200, Some("User")),
        query: &[],
        errors: EDIT_USER,
    },
    Entry {
        operation: &op::DELETE_USER,
        method: "delete",
        path: "/user/{user_id}",
        summary: "Deletes a user; keys, sessions and access end with it.",
        body: None,
        answer: (204, None),
        query: &[],
        errors: END_USER,
    },
];

pub(super) fn schemas() -> Value {
    let status = || json!({"enum": ["active", "disabled"]});
    json!({
        "CreateUser": strict(&[
            ("email", json!({"type": "string", "maxLength": 254})), ("name?", or_null("string")), ("role", role()), ("org_id?", uuid()),
            ("instance_ids?", json!({"type": "array", "items": slug()})),
        ]),
        "UpdateUser": strict(&[("name?", or_null("string")), ("role?", role()), ("status?", status())]),
        "User": object(&[
            ("user_id", uuid()), ("email", text()), ("name", text()), ("role", role()), ("org_id", or_null("string")),
            ("status", status()), ("instances", texts()), ("permissions", scopes()), ("version", version()),
            ("created_at", time()), ("updated_at", time()), ("last_seen_at", or_null("string")),
        ]),
        "UserLine": object(&[
            ("user_id", uuid()), ("email", text()), ("name", text()), ("role", role()), ("org_id", or_null("string")),
            ("status", status()), ("instances", texts()), ("keys", json!({"type": "integer"})), ("version", version()),
            ("created_at", time()), ("updated_at", time()), ("last_seen_at", or_null("string")),
        ]),
        "UserList": list_of("UserLine"),
    })
}

//! Who may use which instance in the document.

use super::Entry;
use super::shape::{list_of, object, slug, strict, text, time, uuid};
use super::user::LIST_AS_ADMIN;
use auth::permission::config_service as op;
use errors::Code;
use serde_json::{Value, json};

const GRANT: &[Code] = &[
    Code::InvalidField,
    Code::AuthFailed,
    Code::Forbidden,
    Code::RoleRequired,
    Code::ScopeMissing,
    Code::NotFound,
    Code::QuotaReached,
    Code::TooManyAuthFailures,
    Code::DatabaseUnavailable,
    Code::Overloaded,
];

const REPLACE: &[Code] = &[
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

const REVOKE: &[Code] = &[
    Code::InvalidField,
    Code::AuthFailed,
    Code::Forbidden,
    Code::RoleRequired,
    Code::ScopeMissing,
    Code::NotFound,
    Code::TooManyAuthFailures,
    Code::DatabaseUnavailable,
    Code::Overloaded,
];

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        operation: &op::LIST_ACCESS,
        method: "get",
        path: "/access",
        summary: "The grants that the caller administers: newest users first, then by instance.",
        body: None,
        answer: (200, Some("AccessList")),
        query: &["org_id", "user_id", "instance_id", "limit", "cursor"],
        errors: LIST_AS_ADMIN,
    },
    Entry {
        operation: &op::REPLACE_ACCESS,
        method: "put",
        path: "/user/{user_id}/instance",
        summary: "Replaces the instances that a user may use, all or nothing; repeatable.",
        body: Some("ReplaceAccess"),
        answer: (200, Some("ReplacedAccess")),
        query: &[],
        errors: REPLACE,
    },
    Entry {
        operation: &op::GRANT_ACCESS,
        method: "put",
        path: "/user/{user_id}/instance/{instance_id}",
        summary: "Gives a user access to an instance; repeatable.",
        body: None,
        answer: (204, None),
        query: &[],
        errors: GRANT,
    },
    Entry {
        operation: &op::REVOKE_ACCESS,
        method: "delete",
        path: "/user/{user_id}/instance/{instance_id}",
        summary: "Takes a user's access to an instance away; repeatable.",
        body: None,
        answer: (204, None),
        query: &[],
        errors: REVOKE,
    },
];

pub(super) fn schemas() -> Value {
    let slugs = || json!({"type": "array", "items": slug()});
    json!({
        "ReplaceAccess": strict(&[("instance_ids", json!({"type": "array", "items": slug(), "maxItems": 100}))]),
        "ReplacedAccess": object(&[("added", slugs()), ("removed", slugs())]),
        "Access": object(&[
            ("user_id", uuid()), ("instance_id", slug()), ("granted_by", text()), ("created_at", time()),
        ]),
        "AccessList": list_of("Access"),
    })
}

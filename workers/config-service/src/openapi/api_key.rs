//! `/api-key` in the document.

use super::Entry;
use super::shape::{list_of, object, or_null, scopes, slug, strict, text, time, uuid, version};
use super::{LIST, READ};
use auth::permission::config_service as op;
use errors::Code;
use serde_json::{Value, json};

const MINT: &[Code] = &[
    Code::InvalidField,
    Code::UnknownField,
    Code::AuthFailed,
    Code::Forbidden,
    Code::RoleRequired,
    Code::ScopeMissing,
    Code::NotFound,
    Code::Conflict,
    Code::QuotaReached,
    Code::SecretAlreadyShown,
    Code::PayloadTooLarge,
    Code::UnsupportedMediaType,
    Code::IdempotencyMismatch,
    Code::TooManyAuthFailures,
    Code::DatabaseUnavailable,
    Code::Overloaded,
];
const NARROW: &[Code] = &[
    Code::InvalidField,
    Code::UnknownField,
    Code::ReadOnlyField,
    Code::AuthFailed,
    Code::Forbidden,
    Code::RoleRequired,
    Code::ScopeMissing,
    Code::NotFound,
    Code::Conflict,
    Code::VersionMismatch,
    Code::PayloadTooLarge,
    Code::UnsupportedMediaType,
    Code::PreconditionRequired,
    Code::TooManyAuthFailures,
    Code::DatabaseUnavailable,
    Code::Overloaded,
];
const ROTATE: &[Code] = &[
    Code::InvalidField,
    Code::UnknownField,
    Code::AuthFailed,
    Code::Forbidden,
    Code::RoleRequired,
    Code::ScopeMissing,
    Code::NotFound,
    Code::Conflict,
    Code::RotationInProgress,
    Code::SecretAlreadyShown,
    Code::PayloadTooLarge,
    Code::UnsupportedMediaType,
    Code::IdempotencyMismatch,
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
    Code::Conflict,
    Code::VersionMismatch,
    Code::TooManyAuthFailures,
    Code::DatabaseUnavailable,
    Code::Overloaded,
];
pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        operation: &op::LIST_API_KEYS,
        method: "get",
        path: "/api-key",
        summary: "The keys that the caller may see, newest first.",
        body: None,
        answer: (200, Some("ApiKeyList")),
        query: &[
            "user_id",
            "project_id",
            "status",
            "unused_days",
            "limit",
            "cursor",
        ],
        errors: LIST,
    },
    Entry {
        operation: &op::CREATE_API_KEY,
        method: "post",
        path: "/api-key",
        summary: "Mints a key; its secret is shown once.",
        body: Some("CreateApiKey"),
        answer: (201, Some("MintedApiKey")),
        query: &[],
        errors: MINT,
    },
    Entry {
        operation: &op::GET_API_KEY,
        method: "get",
        path: "/api-key/{key_id}",
        summary: "One key, without its secret.",
        body: None,
        answer: (200, Some("ApiKey")),
        query: &[],
        errors: READ,
    },
    Entry {
        operation: &op::UPDATE_API_KEY,
        method: "patch",
        path: "/api-key/{key_id}",
        summary: "Renames or narrows a key and its sessions; a merge patch.",
        body: Some("UpdateApiKey"),
        answer: (200, Some("ApiKey")),
        query: &[],
        errors: NARROW,
    },
    Entry {
        operation: &op::ROTATE_API_KEY,
        method: "post",
        path: "/api-key/{key_id}/rotate",
        summary: "Gives a key a new secret, shown once; the old one works for overlap_s seconds.",
        body: Some("RotateApiKey"),
        answer: (200, Some("RotatedApiKey")),
        query: &[],
        errors: ROTATE,
    },
    Entry {
        operation: &op::REVOKE_API_KEY,
        method: "delete",
        path: "/api-key/{key_id}",
        summary: "Revokes a key for good; repeatable.",
        body: None,
        answer: (200, Some("RevokedApiKey")),
        query: &["reason"],
        errors: REVOKE,
    },
];

pub(super) fn schemas() -> Value {
    json!({
        "CreateApiKey": strict(&[
            ("user_id?", uuid()), ("project_id?", uuid()), ("name", text()), ("scopes?", scopes()),
            ("instance_ids?", json!({"type": ["array", "null"], "items": slug()})), ("expires_at?", or_null("string")),
        ]),
        "MintedApiKey": object(&[
            ("key_id", text()), ("api_key", json!({"type": "string", "readOnly": true})), ("shown_once", json!({"const": true})), ("last4", text()),
            ("name", text()), ("user_id", or_null("string")), ("project_id", or_null("string")), ("scopes", scopes()),
            ("instance_ids", or_null("array")), ("expires_at", or_null("string")), ("version", version()), ("created_at", time()),
        ]),
        "ApiKey": object(&[
            ("key_id", text()), ("name", text()), ("last4", text()), ("user_id", or_null("string")), ("project_id", or_null("string")),
            ("scopes", scopes()), ("instance_ids", or_null("array")), ("created_by", text()), ("created_at", time()),
            ("last_used_at", or_null("string")), ("expires_at", or_null("string")),
            ("state", json!({"enum": ["active", "rotating", "expiring", "expired", "revoked", "orphaned"]})),
            ("secret_version", version()), ("secret_first_used_at", or_null("string")), ("rotated_at", or_null("string")),
            ("prev_expires_at", or_null("string")), ("revoked_at", or_null("string")), ("version", version()),
        ]),
        "UpdateApiKey": strict(&[
            ("name?", text()), ("scopes?", scopes()), ("instance_ids?", json!({"type": ["array", "null"], "items": slug()})),
            ("expires_at?", or_null("string")),
        ]),
        "RotateApiKey": strict(&[
            ("overlap_s?", json!({"type": "integer", "minimum": 0, "maximum": 604_800, "default": 86_400})),
            ("force?", json!({"type": "boolean", "default": false})),
        ]),
        "RotatedApiKey": object(&[
            ("key_id", text()), ("api_key", json!({"type": "string", "readOnly": true})), ("shown_once", json!({"const": true})), ("last4", text()),
            ("secret_version", version()), ("previous_expires_at", or_null("string")), ("version", version()),
        ]),
        "ApiKeyList": list_of("ApiKey"),
        "RevokedApiKey": object(&[("key_id", text()), ("revoked_at", time()), ("effective_by", time())]),
    })
}

//! `/instance/{instance_id}/provider-key` in the document.

use super::Entry;
use super::READ;
use super::shape::{object, or_null, reference, secret, slug, strict};
use auth::permission::config_service as op;
use errors::Code;
use serde_json::{Value, json};

const WRITE_KEY: &[Code] = &[
    Code::InvalidField,
    Code::UnknownField,
    Code::AuthFailed,
    Code::RoleRequired,
    Code::Forbidden,
    Code::ScopeMissing,
    Code::NotFound,
    Code::VersionMismatch,
    Code::PreconditionRequired,
    Code::PayloadTooLarge,
    Code::UnsupportedMediaType,
    Code::TooManyAuthFailures,
    Code::DatabaseUnavailable,
    Code::Overloaded,
];
const ROTATE_KEY: &[Code] = &[
    Code::InvalidField,
    Code::UnknownField,
    Code::AuthFailed,
    Code::RoleRequired,
    Code::Forbidden,
    Code::ScopeMissing,
    Code::NotFound,
    Code::PayloadTooLarge,
    Code::UnsupportedMediaType,
    Code::IdempotencyMismatch,
    Code::TooManyAuthFailures,
    Code::DatabaseUnavailable,
    Code::Overloaded,
];
const DELETE_KEY: &[Code] = &[
    Code::InvalidField,
    Code::UnknownField,
    Code::AuthFailed,
    Code::RoleRequired,
    Code::Forbidden,
    Code::ScopeMissing,
    Code::NotFound,
    Code::VersionMismatch,
    Code::TooManyAuthFailures,
    Code::DatabaseUnavailable,
    Code::Overloaded,
];
pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        operation: &op::LIST_PROVIDER_KEYS,
        method: "get",
        path: "/instance/{instance_id}/provider-key",
        summary: "The provider keys of an instance, without their values.",
        body: None,
        answer: (200, Some("ProviderKeyList")),
        query: &[],
        errors: READ,
    },
    Entry {
        operation: &op::SET_PROVIDER_KEY,
        method: "put",
        path: "/instance/{instance_id}/provider-key/{provider}",
        summary: "Sets or replaces a provider key at once (200 when one existed).",
        body: Some("SetProviderKey"),
        answer: (201, Some("ProviderKey")),
        query: &[],
        errors: WRITE_KEY,
    },
    Entry {
        operation: &op::ROTATE_PROVIDER_KEY,
        method: "post",
        path: "/instance/{instance_id}/provider-key/{provider}/rotate",
        summary: "Replaces a provider key; the old one stays for the jobs submitted under it.",
        body: Some("RotateProviderKey"),
        answer: (200, Some("ProviderKey")),
        query: &[],
        errors: ROTATE_KEY,
    },
    Entry {
        operation: &op::DELETE_PROVIDER_KEY,
        method: "delete",
        path: "/instance/{instance_id}/provider-key/{provider}",
        summary: "Takes a provider key out of use; its value stays a day, or goes now; repeatable.",
        body: None,
        answer: (200, Some("ProviderKey")),
        query: &["now"],
        errors: DELETE_KEY,
    },
];

pub(super) fn schemas() -> Value {
    json!({
        "SetProviderKey": strict(&[("api_key", secret()), ("account?", or_null("string")), ("webhook_secret?", secret())]),
        "RotateProviderKey": strict(&[
            ("api_key", secret()), ("account?", or_null("string")), ("webhook_secret?", secret()),
            ("keep_previous_s?", json!({"type": ["integer", "null"], "minimum": 0, "maximum": 604_800, "default": 86_400})),
        ]),
        "ProviderKey": object(&[
            ("provider", slug()), ("state", json!({"enum": ["set", "missing", "host_changed", "failing"]})), ("last4", or_null("string")),
            ("set_at", or_null("string")), ("set_by", or_null("string")), ("previous_until", or_null("string")),
            ("last_used_at", or_null("string")), ("last_error", or_null("string")), ("version", or_null("integer")),
        ]),
        "ProviderKeyList": object(&[("items", json!({"type": "array", "items": reference("ProviderKey")}))]),
    })
}

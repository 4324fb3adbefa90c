//! `/organization` in the document, and the codes of changing and ending what has a version.

use super::shape::{list_of, object, strict, text, time, uuid, version};
use super::{Entry, READ, WRITE};
use auth::permission::config_service as op;
use errors::Code;
use serde_json::{Value, json};

/// Of a PATCH.
pub(super) const EDIT: &[Code] = &[
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

/// Of a DELETE.
pub(super) const END: &[Code] = &[
    Code::InvalidField,
    Code::AuthFailed,
    Code::Forbidden,
    Code::RoleRequired,
    Code::ScopeMissing,
    Code::NotFound,
    Code::VersionMismatch,
    Code::PreconditionRequired,
    Code::TooManyAuthFailures,
    Code::DatabaseUnavailable,
    Code::Overloaded,
];

const END_ORGANIZATION: &[Code] = &[
    Code::InvalidField,
    Code::AuthFailed,
    Code::Forbidden,
    Code::RoleRequired,
    Code::ScopeMissing,
    Code::NotFound,
    Code::NotEmpty,
    Code::VersionMismatch,
    Code::PreconditionRequired,
    Code::TooManyAuthFailures,
    Code::DatabaseUnavailable,
    Code::Overloaded,
];

const LIST_OWN: &[Code] = &[
    Code::InvalidField,
    Code::InvalidCursor,
    Code::AuthFailed,
    Code::Forbidden,
    Code::ScopeMissing,
    Code::TooManyAuthFailures,
    Code::DatabaseUnavailable,
];

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        operation: &op::LIST_ORGANIZATIONS,
        method: "get",
        path: "/organization",
        summary: "The organizations that the caller may see, newest first.",
        body: None,
        answer: (200, Some("OrganizationList")),
        query: &["status", "q", "limit", "cursor"],
        errors: LIST_OWN,
    },
    Entry {
        operation: &op::CREATE_ORGANIZATION,
        method: "post",
        path: "/organization",
        summary: "Creates an organization.",
        body: Some("CreateOrganization"),
        answer: (201, Some("Organization")),
        query: &[],
        errors: WRITE,
    },
    Entry {
        operation: &op::GET_ORGANIZATION,
        method: "get",
        path: "/organization/{org_id}",
        summary: "One organization.",
        body: None,
        answer: (200, Some("Organization")),
        query: &[],
        errors: READ,
    },
    Entry {
        operation: &op::UPDATE_ORGANIZATION,
        method: "patch",
        path: "/organization/{org_id}",
        summary: "Changes an organization; a superadmin suspends it, which stops all of its keys.",
        body: Some("UpdateOrganization"),
        answer: (200, Some("Organization")),
        query: &[],
        errors: EDIT,
    },
    Entry {
        operation: &op::DELETE_ORGANIZATION,
        method: "delete",
        path: "/organization/{org_id}",
        summary: "Deletes an empty organization.",
        body: None,
        answer: (204, None),
        query: &[],
        errors: END_ORGANIZATION,
    },
];

pub(super) fn schemas() -> Value {
    let status = || json!({"enum": ["active", "suspended"]});
    json!({
        "CreateOrganization": strict(&[("name", text()), ("billing_email", text())]),
        "UpdateOrganization": strict(&[("name?", text()), ("billing_email?", text()), ("status?", status())]),
        "Organization": object(&[
            ("org_id", uuid()), ("name", text()), ("billing_email", text()), ("status", status()),
            ("version", version()), ("created_at", time()), ("updated_at", time()),
        ]),
        "OrganizationList": list_of("Organization"),
    })
}

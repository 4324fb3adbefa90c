//! `/organization` in the document, and the codes of changing and ending what has a version.

use super::entry::{CHANGE, EDITED, Entry, FIELDS, PAGE, READ, VERSION, delete, get, patch, post};
use super::shape::{list_of, object, strict, text, time, uuid, version};
use auth::permission::config_service as op;
use errors::Code;
use serde_json::{Value, json};

// An operation and what belongs to it, line by line, so that the table can be read as one.
#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    get(&op::LIST_ORGANIZATIONS, "/organization", "The organizations that the caller may see, newest first.")
        .gives(200, "OrganizationList").paged().asks(&["status", "q"]).may(&[PAGE, &[Code::Forbidden, Code::ScopeMissing]]),
    post(&op::CREATE_ORGANIZATION, "/organization", "Creates an organization.")
        .takes("CreateOrganization").gives(201, "Organization").may(&[FIELDS, CHANGE, &[Code::Conflict, Code::QuotaReached]]),
    get(&op::GET_ORGANIZATION, "/organization/{org_id}", "One organization.")
        .gives(200, "Organization").may(&[READ]),
    patch(&op::UPDATE_ORGANIZATION, "/organization/{org_id}", "Changes an organization; a superadmin suspends it, which stops all of its keys.")
        .takes("UpdateOrganization").gives(200, "Organization").may(&[EDITED, CHANGE, VERSION, &[Code::Conflict]]),
    delete(&op::DELETE_ORGANIZATION, "/organization/{org_id}", "Deletes an empty organization.")
        .gives_nothing().may(&[CHANGE, VERSION, &[Code::InvalidField, Code::NotEmpty]]),
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

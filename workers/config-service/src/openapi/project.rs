//! `/project` in the document.

use super::entry::{CHANGE, EDITED, Entry, FIELDS, PAGE, READ, VERSION, delete, get, patch, post};
use super::shape::{any, list_of, object, or_null, slug, strict, text, time, uuid, version};
use auth::permission::config_service as op;
use errors::Code;
use serde_json::{Value, json};

// An operation and what belongs to it, line by line, so that the table can be read as one.
#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    get(&op::LIST_PROJECTS, "/project", "The projects that the caller may use, newest first, without their settings.")
        .gives(200, "ProjectList").paged().asks(&["org_id", "instance_id", "q"]).may(&[PAGE, &[Code::ScopeMissing]]),
    post(&op::CREATE_PROJECT, "/project", "Creates a project in an instance.")
        .takes("CreateProject").gives(201, "Project").may(&[FIELDS, CHANGE, &[Code::Conflict, Code::QuotaReached]]),
    get(&op::GET_PROJECT, "/project/{project_id}", "One project with its settings.")
        .gives(200, "Project").may(&[READ]),
    patch(&op::UPDATE_PROJECT, "/project/{project_id}", "Changes name or settings of a project; settings are merged member by member.")
        .takes("UpdateProject").gives(200, "Project").may(&[EDITED, CHANGE, VERSION, &[Code::Conflict]]),
    delete(&op::DELETE_PROJECT, "/project/{project_id}", "Deletes a project and revokes its keys.")
        .gives_nothing().may(&[CHANGE, VERSION, &[Code::InvalidField]]),
];

pub(super) fn schemas() -> Value {
    let status = || json!({"enum": ["active"]});
    json!({
        "CreateProject": strict(&[("instance_id", slug()), ("name", text()), ("settings?", any())]),
        "UpdateProject": strict(&[("name?", text()), ("settings?", or_null("object"))]),
        "Project": object(&[
            ("project_id", uuid()), ("instance_id", slug()), ("name", text()), ("settings", any()), ("status", status()),
            ("created_by", text()), ("version", version()), ("created_at", time()), ("updated_at", time()),
        ]),
        "ProjectLine": object(&[
            ("project_id", uuid()), ("instance_id", slug()), ("org_id", uuid()), ("name", text()), ("status", status()),
            ("created_by", text()), ("version", version()), ("created_at", time()), ("updated_at", time()),
        ]),
        "ProjectList": list_of("ProjectLine"),
    })
}

//! `/project` in the document.

use super::organization::{EDIT, END};
use super::shape::{any, list_of, object, or_null, slug, strict, text, time, uuid, version};
use super::{Entry, LIST, READ, WRITE};
use auth::permission::config_service as op;
use serde_json::{Value, json};

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        operation: &op::LIST_PROJECTS,
        method: "get",
        path: "/project",
        summary: "The projects that the caller may use, newest first, without their settings.",
        body: None,
        answer: (200, Some("ProjectList")),
        query: &["org_id", "instance_id", "q", "limit", "cursor"],
        errors: LIST,
    },
    Entry {
        operation: &op::CREATE_PROJECT,
        method: "post",
        path: "/project",
        summary: "Creates a project in an instance.",
        body: Some("CreateProject"),
        answer: (201, Some("Project")),
        query: &[],
        errors: WRITE,
    },
    Entry {
        operation: &op::GET_PROJECT,
        method: "get",
        path: "/project/{project_id}",
        summary: "One project with its settings.",
        body: None,
        answer: (200, Some("Project")),
        query: &[],
        errors: READ,
    },
    Entry {
        operation: &op::UPDATE_PROJECT,
        method: "patch",
        path: "/project/{project_id}",
        summary: "Changes name or settings of a project; settings are merged member by member.",
        body: Some("UpdateProject"),
        answer: (200, Some("Project")),
        query: &[],
        errors: EDIT,
    },
    Entry {
        operation: &op::DELETE_PROJECT,
        method: "delete",
        path: "/project/{project_id}",
        summary: "Deletes a project and revokes its keys.",
        body: None,
        answer: (204, None),
        query: &[],
        errors: END,
    },
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

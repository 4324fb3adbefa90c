//! `/user` in the document.

use super::entry::{
    CHANGE, EDITED, Entry, FIELDS, PAGE, READ, ROLE, VERSION, delete, get, patch, post,
};
use super::shape::{
    list_of, object, or_null, role, scopes, slug, strict, text, texts, time, uuid, version,
};
use auth::permission::config_service as op;
use errors::Code;
use serde_json::{Value, json};

// An operation and what belongs to it, line by line, so that the table can be read as one.
#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    get(&op::LIST_USERS, "/user", "The users whom the caller administers, newest first.")
        .gives(200, "UserList").paged().asks(&["org_id", "role", "status", "q"]).may(&[PAGE, ROLE]),
    post(&op::CREATE_USER, "/user", "Creates a user.")
        .takes("CreateUser").gives(201, "User").may(&[FIELDS, CHANGE, &[Code::Conflict, Code::QuotaReached]]),
    get(&op::GET_USER, "/user/{user_id}", "One user with what the user may do.")
        .gives(200, "User").may(&[READ]),
    patch(&op::UPDATE_USER, "/user/{user_id}", "Changes name, role or status of a user.")
        .takes("UpdateUser").gives(200, "User").may(&[EDITED, CHANGE, VERSION, &[Code::Conflict, Code::LastAdmin]]),
    delete(&op::DELETE_USER, "/user/{user_id}", "Deletes a user; keys, sessions and access end with it.")
        .gives_nothing().may(&[CHANGE, VERSION, &[Code::InvalidField, Code::Conflict, Code::LastAdmin]]),
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

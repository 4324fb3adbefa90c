//! Who may use which instance in the document.

use super::entry::{CHANGE, Entry, FIELDS, PAGE, ROLE, delete, get, put};
use super::shape::{list_of, object, slug, strict, text, time, uuid};
use auth::permission::config_service as op;
use errors::Code;
use serde_json::{Value, json};

// An operation and what belongs to it, line by line, so that the table can be read as one.
#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    get(&op::LIST_ACCESS, "/access", "The grants that the caller administers: newest users first, then by instance.")
        .gives(200, "AccessList").paged().asks(&["org_id", "user_id", "instance_id"]).may(&[PAGE, ROLE]),
    put(&op::REPLACE_ACCESS, "/user/{user_id}/instance", "Replaces the instances that a user may use, all or nothing; repeatable.")
        .takes("ReplaceAccess").gives(200, "ReplacedAccess").may(&[FIELDS, CHANGE, &[Code::QuotaReached]]),
    put(&op::GRANT_ACCESS, "/user/{user_id}/instance/{instance_id}", "Gives a user access to an instance; repeatable.")
        .gives_nothing().may(&[CHANGE, &[Code::InvalidField, Code::QuotaReached]]),
    delete(&op::REVOKE_ACCESS, "/user/{user_id}/instance/{instance_id}", "Takes a user's access to an instance away; repeatable.")
        .gives_nothing().may(&[CHANGE, &[Code::InvalidField]]),
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

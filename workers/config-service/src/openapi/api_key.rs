//! `/api-key` in the document.

use super::entry::{CHANGE, EDITED, Entry, FIELDS, PAGE, READ, VERSION, delete, get, patch, post};
use super::shape::{list_of, object, or_null, scopes, slug, strict, text, time, uuid, version};
use auth::permission::config_service as op;
use errors::Code;
use serde_json::{Value, json};

// An operation and what belongs to it, line by line, so that the table can be read as one.
#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    get(&op::LIST_API_KEYS, "/api-key", "The keys that the caller may see, newest first.")
        .gives(200, "ApiKeyList").paged().asks(&["user_id", "project_id", "status", "unused_days"]).may(&[PAGE, &[Code::ScopeMissing]]),
    post(&op::CREATE_API_KEY, "/api-key", "Mints a key; its secret is shown once.")
        .takes("CreateApiKey").gives(201, "MintedApiKey").may(&[FIELDS, CHANGE, &[Code::Conflict, Code::QuotaReached, Code::SecretAlreadyShown]]),
    get(&op::GET_API_KEY, "/api-key/{key_id}", "One key, without its secret.")
        .gives(200, "ApiKey").may(&[READ]),
    patch(&op::UPDATE_API_KEY, "/api-key/{key_id}", "Renames or narrows a key and its sessions; a merge patch.")
        .takes("UpdateApiKey").gives(200, "ApiKey").may(&[EDITED, CHANGE, VERSION, &[Code::Conflict]]),
    post(&op::ROTATE_API_KEY, "/api-key/{key_id}/rotate", "Gives a key a new secret, shown once; the old one works for overlap_s seconds.")
        .takes("RotateApiKey").gives(200, "RotatedApiKey").may(&[FIELDS, CHANGE, &[Code::Conflict, Code::RotationInProgress, Code::SecretAlreadyShown]]),
    delete(&op::REVOKE_API_KEY, "/api-key/{key_id}", "Revokes a key for good; repeatable.")
        .gives(200, "RevokedApiKey").asks(&["reason"]).may(&[CHANGE, &[Code::InvalidField, Code::Conflict, Code::VersionMismatch]]),
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

//! `/instance/{instance_id}/provider-key` in the document.

use super::entry::{Entry, FIELDS, READ, VERSION, delete, get, post, put};
use super::shape::{object, or_null, reference, secret, slug, strict};
use auth::permission::config_service as op;
use errors::Code;
use serde_json::{Value, json};

// An operation and what belongs to it, line by line, so that the table can be read as one.
#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    get(&op::LIST_PROVIDER_KEYS, "/instance/{instance_id}/provider-key", "The provider keys of an instance, without their values.")
        .gives(200, "ProviderKeyList").may(&[READ]),
    put(&op::SET_PROVIDER_KEY, "/instance/{instance_id}/provider-key/{provider}", "Sets or replaces a provider key at once (200 when one existed).")
        .takes("SetProviderKey").gives(201, "ProviderKey").may(&[FIELDS, &[Code::RoleRequired, Code::Overloaded], READ, VERSION]),
    post(&op::ROTATE_PROVIDER_KEY, "/instance/{instance_id}/provider-key/{provider}/rotate", "Replaces a provider key; the old one stays for the jobs submitted under it.")
        .takes("RotateProviderKey").gives(200, "ProviderKey").may(&[FIELDS, &[Code::RoleRequired, Code::Overloaded], READ]),
    delete(&op::DELETE_PROVIDER_KEY, "/instance/{instance_id}/provider-key/{provider}", "Takes a provider key out of use; its value stays a day, or goes now; repeatable.")
        .gives(200, "ProviderKey").asks(&["now"]).may(&[FIELDS, &[Code::RoleRequired, Code::VersionMismatch, Code::Overloaded], READ]),
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

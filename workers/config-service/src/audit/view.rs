//! An audit entry as it is shown and as it is hashed: all of its columns, JSON as JSON.

use serde_json::{Value, json};
use store::control::audit::Entry;

/// JSON of a column; `None` when it is none.
fn parsed(text: Option<&str>) -> Option<Value> {
    text.map_or(Some(Value::Null), |text| serde_json::from_str(text).ok())
}

/// What the entry's hash covers: everything but the hash. `None` when a column that should be JSON is not.
pub(super) fn hashed(entry: &Entry) -> Option<Value> {
    Some(json!({
        "org_id": entry.org_id, "seq": entry.seq, "at": entry.at, "actor": parsed(Some(&entry.actor))?,
        "action": entry.action, "target_type": entry.target_type, "target_id": entry.target_id,
        "instance_id": entry.instance_id, "before": parsed(entry.before.as_deref())?,
        "after": parsed(entry.after.as_deref())?, "request_id": entry.request_id, "ip": entry.ip,
        "prev_hash": entry.prev_hash,
    }))
}

/// A line of the list: the same, with the hash.
pub(super) fn shown(entry: &Entry) -> Value {
    let mut value = hashed(entry).unwrap_or_default();
    if let Some(members) = value.as_object_mut() {
        members.insert("hash".into(), entry.hash.clone().into());
    }
    value
}

//! The hash chain of the audit log: each entry's hash covers the one before it.

use crate::hash::hex;
use ring::digest;
use serde_json::Value;

/// `prev_hash` of the first entry of a chain.
pub const FIRST_PREV_HASH: &str =
    "0000000000000000000000000000000000000000000000000000000000000000";

/// JSON with sorted member names and no spaces.
pub fn canonical_json(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(members) => {
            let mut names: Vec<&String> = members.keys().collect();
            names.sort();
            text.push('{');
            for (index, name) in names.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                text.push_str(&Value::String(name.clone()).to_string());
                text.push(':');
                write_canonical(members.get(name).unwrap_or(&Value::Null), text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_canonical(item, text);
            }
            text.push(']');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

/// Hex SHA-256 of `prev_hash`, a newline and the canonical JSON of the entry without its own hash.
pub fn entry_hash(prev_hash: &str, entry: &Value) -> String {
    let text = format!("{prev_hash}\n{}", canonical_json(entry));
    hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}

/// Hex SHA-256 of bytes, for fingerprints.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn member_order_does_not_matter_and_any_change_does() {
        let a = json!({"b":1,"a":{"y":[1,2],"x":"é\n"}});
        let b = json!({"a":{"x":"é\n","y":[1,2]},"b":1});
        assert_eq!(canonical_json(&a), r#"{"a":{"x":"é\n","y":[1,2]},"b":1}"#);
        assert_eq!(
            entry_hash(FIRST_PREV_HASH, &a),
            entry_hash(FIRST_PREV_HASH, &b)
        );
        assert_ne!(
            entry_hash(FIRST_PREV_HASH, &a),
            entry_hash(FIRST_PREV_HASH, &json!({"b":2,"a":{}}))
        );
        assert_ne!(
            entry_hash(FIRST_PREV_HASH, &a),
            entry_hash(&entry_hash(FIRST_PREV_HASH, &a), &a)
        );
    }
}

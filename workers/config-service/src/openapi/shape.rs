//! The forms that schemas are made of.

use serde_json::{Map, Value, json};

pub(super) fn text() -> Value {
    json!({"type": "string"})
}

pub(super) fn uuid() -> Value {
    json!({"type": "string", "format": "uuid"})
}

pub(super) fn time() -> Value {
    json!({"type": "string", "format": "date-time"})
}

pub(super) fn version() -> Value {
    json!({"type": "integer", "minimum": 1})
}

pub(super) fn slug() -> Value {
    json!({"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"})
}

pub(super) fn texts() -> Value {
    json!({"type": "array", "items": {"type": "string"}})
}

pub(super) fn any() -> Value {
    json!({"type": "object"})
}

pub(super) fn role() -> Value {
    json!({"enum": ["user", "admin", "superadmin"]})
}

pub(super) fn status() -> Value {
    json!({"enum": ["deploying", "active", "paused", "deleting"]})
}

pub(super) fn deployment_status() -> Value {
    json!({"enum": ["running", "succeeded", "failed", "rolled_back", "rollback_blocked"]})
}

pub(super) fn scopes() -> Value {
    let all = api_types::Scope::ALL.iter();
    let all: Vec<&str> = all.map(|scope| scope.as_str()).collect();
    json!({"type": "array", "items": {"enum": all}})
}

/// A value that goes in and never comes out.
pub(super) fn secret() -> Value {
    json!({"type": "string", "writeOnly": true, "minLength": 1})
}

pub(super) fn or_null(kind: &str) -> Value {
    json!({"type": [kind, "null"]})
}

/// Schema of an object: members in the order given, those ending in `?` optional.
pub(super) fn object(members: &[(&str, Value)]) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, schema) in members {
        let bare = name.trim_end_matches('?');
        if bare.len() == name.len() {
            required.push(bare);
        }
        properties.insert(bare.to_owned(), schema.clone());
    }
    json!({"type": "object", "properties": properties, "required": required})
}

/// The same, refusing other members.
pub(super) fn strict(members: &[(&str, Value)]) -> Value {
    let mut schema = object(members);
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("additionalProperties".into(), false.into());
    }
    schema
}

/// A page of a list.
pub(super) fn list_of(name: &str) -> Value {
    object(&[
        ("items", json!({"type": "array", "items": reference(name)})),
        (
            "next_cursor",
            json!({
                "type": ["string", "null"],
                "description": "Where the next page begins, null at the end. A page may be short and not be the last.",
            }),
        ),
    ])
}

pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

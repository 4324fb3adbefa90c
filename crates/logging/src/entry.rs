//! One log line: its wire shape and its limits.
//!
//! In scope: members, order, cutting. Out of scope: where the values come from (module `layer`), redaction.

use crate::redact::{redact, redact_value};
use api_types::Timestamp;
use serde_json::{Map, Value, json};

/// Severity, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// `DEBUG`
    Debug,
    /// `INFO`
    Info,
    /// `WARN`
    Warn,
    /// `ERROR`
    Error,
}

impl Level {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        }
    }

    /// The level of that word, in any case.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Debug, Self::Info, Self::Warn, Self::Error]
            .into_iter()
            .find(|level| level.as_str().eq_ignore_ascii_case(word))
    }
}

const MAX_MESSAGE_BYTES: usize = 1_000;
const MAX_METADATA_BYTES: usize = 8 * 1024;
const MAX_TEXT_BYTES: usize = 2_000;
const MAX_DEPTH: usize = 4;
const MAX_KEYS: usize = 40;

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) timestamp: Timestamp,
    pub(crate) level: Level,
    pub(crate) message: String,
    pub(crate) request_id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) user_id: Option<String>,
    pub(crate) component: &'static str,
    pub(crate) metadata: Map<String, Value>,
}

/// Cuts at a character's border.
fn cut(text: &mut String, max_bytes: usize) -> bool {
    if text.len() <= max_bytes {
        return false;
    }
    let mut end = max_bytes;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    true
}

/// Bounds depth, members and texts; counts the members seen so far.
fn bound(value: &mut Value, depth: usize, keys: &mut usize) -> bool {
    match value {
        Value::String(text) => cut(text, MAX_TEXT_BYTES),
        Value::Array(_) | Value::Object(_) if depth >= MAX_DEPTH => {
            *value = Value::String("..".to_owned());
            true
        }
        Value::Array(items) => {
            let mut cut_any = items.len() > MAX_KEYS;
            items.truncate(MAX_KEYS);
            for item in items {
                cut_any |= bound(item, depth + 1, keys);
            }
            cut_any
        }
        Value::Object(members) => bound_members(members, depth, keys),
        _ => false,
    }
}

fn bound_members(members: &mut Map<String, Value>, depth: usize, keys: &mut usize) -> bool {
    let mut cut_any = false;
    members.retain(|_, value| {
        *keys += 1;
        let keep = *keys <= MAX_KEYS;
        cut_any |= !keep;
        if keep {
            cut_any |= bound(value, depth + 1, keys);
        }
        keep
    });
    cut_any
}

impl Entry {
    /// The line: redacted first, then cut, so that no half of a secret stays.
    pub(crate) fn render(mut self) -> String {
        let mut message = redact(&self.message);
        let mut truncated = cut(&mut message, MAX_MESSAGE_BYTES);
        let mut metadata = Value::Object(std::mem::take(&mut self.metadata));
        redact_value(&mut metadata);
        let mut keys = 0;
        truncated |= bound(&mut metadata, 0, &mut keys);
        if truncated && let Value::Object(members) = &mut metadata {
            members.insert("_truncated".to_owned(), Value::Bool(true));
        }
        let mut line = Map::new();
        let mut put = |name: &str, value: Value| line.insert(name.to_owned(), value);
        put("timestamp", json!(self.timestamp));
        put("level", self.level.as_str().into());
        put("message", message.into());
        put("request_id", redact(&self.request_id).into());
        if let Some(instance_id) = self.instance_id {
            put("instance_id", redact(&instance_id).into());
        }
        if let Some(user_id) = self.user_id {
            put("user_id", redact(&user_id).into());
        }
        put("component", self.component.into());
        if metadata.as_object().is_some_and(|it| !it.is_empty()) {
            put("metadata", metadata);
        }
        let mut line = Value::Object(line);
        let mut text = line.to_string();
        // A line that is short as a whole has short metadata: the usual case is written once.
        if text.len() > MAX_METADATA_BYTES
            && let Some(Value::Object(members)) = line.get_mut("metadata")
            && shorten(members)
        {
            text = line.to_string();
        }
        text
    }
}

/// Takes out the largest members until the rest fits, so that the small ones, which say what happened, stay.
fn shorten(members: &mut Map<String, Value>) -> bool {
    let mut any = false;
    while serde_json::to_string(&members).map_or(0, |text| text.len()) > MAX_METADATA_BYTES {
        any = true;
        let largest = members
            .iter()
            .max_by_key(|(_, value)| value.to_string().len())
            .map(|(name, _)| name.clone());
        match largest {
            Some(name) => members.shift_remove(&name),
            None => break,
        };
    }
    if any {
        members.insert("_truncated".to_owned(), Value::Bool(true));
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(message: &str, metadata: &Value) -> Entry {
        Entry {
            timestamp: Timestamp(1_763_719_203_240),
            level: Level::Info,
            message: message.to_owned(),
            request_id: "0199a1c2".to_owned(),
            instance_id: Some("production".to_owned()),
            user_id: None,
            component: "image-gen",
            metadata: metadata.as_object().cloned().unwrap(),
        }
    }

    #[test]
    fn line_format_unchanged() {
        let line = entry("image generated", &json!({"event": "usage", "images": 2})).render();
        assert_eq!(
            line,
            r#"{"timestamp":"2025-11-21T10:00:03.240Z","level":"INFO","message":"image generated","request_id":"0199a1c2","instance_id":"production","component":"image-gen","metadata":{"event":"usage","images":2}}"#
        );
    }

    #[test]
    fn a_line_is_bounded_in_every_direction() {
        let wide: Map<String, Value> = (0..200).map(|n| (format!("k{n}"), json!(n))).collect();
        let mut deep = json!(1);
        for _ in 0..50 {
            deep = json!({ "d": deep });
        }
        let long = "ä".repeat(5_000);
        for metadata in [
            json!({ "wide": wide }),
            json!({ "deep": deep }),
            json!({ "long": long }),
            json!({ "items": vec![long.clone(); 30] }),
            Value::Object(wide.clone()),
        ] {
            let line = entry(&long, &metadata).render();
            assert!(line.len() < 1_000 + 8 * 1024 + 400, "{}", line.len());
            let value: Value = serde_json::from_str(&line).unwrap();
            assert!(value["message"].as_str().unwrap().len() <= 1_000);
            assert_eq!(value["metadata"]["_truncated"], true);
        }
    }
}

//! Reads the JSON log lines out of the runtime's output.

use serde_json::Value;
use std::path::Path;

pub(crate) fn read(path: &Path) -> Vec<Value> {
    let mut texts = Vec::new();
    if path.is_dir() {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        texts.extend(entries.filter_map(|entry| std::fs::read(entry.path()).ok()));
    } else if let Ok(text) = std::fs::read(path) {
        texts.push(text);
    }
    let mut lines = Vec::new();
    for text in texts {
        for line in String::from_utf8_lossy(&text).lines() {
            // The runtime may put its own prefix before a line of ours.
            if let Some(start) = line.find("{\"timestamp\"")
                && let Some(Ok(value)) = line.get(start..).map(|rest| {
                    serde_json::Deserializer::from_str(rest)
                        .into_iter::<Value>()
                        .next()
                        .unwrap_or(Ok(Value::Null))
                })
            {
                lines.push(value);
            }
        }
    }
    lines
}

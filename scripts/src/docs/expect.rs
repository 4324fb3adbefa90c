//! Compares what a block printed with what its document says. Pure.
//!
//! `"[uuid]"` stands for any UUID, `"[time]"` for any time, `"..."` for any value. `"..."` as the last item of a list
//! stands for any further items, as the name of a member for any further members.

use serde_json::Value;

const ANY: &str = "...";

/// The only JSON value in a text.
pub(super) fn printed(text: &str) -> Result<Value, String> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    match (values.next(), values.next()) {
        (Some(Ok(value)), None) => Ok(value),
        (None, _) => Err("it printed nothing".to_owned()),
        _ => Err("it printed something else than one JSON value".to_owned()),
    }
}

/// Where and how a value differs; `None` if it does not.
pub(super) fn difference(expected: &Value, got: &Value) -> Option<String> {
    differs("", expected, got)
}

fn differs(place: &str, expected: &Value, got: &Value) -> Option<String> {
    let is = |good: bool| {
        let name = if place.is_empty() { "/" } else { place };
        (!good).then(|| format!("{name}: expected {expected}, got {got}"))
    };
    match (expected, got) {
        (Value::String(text), _) if text == ANY => None,
        (Value::String(text), Value::String(got)) if text == "[uuid]" => {
            is(api_types::is_uuid(got))
        }
        (Value::String(text), Value::String(got)) if text == "[time]" => {
            is(api_types::Timestamp::parse(got).is_some())
        }
        (Value::Array(items), Value::Array(others)) => {
            let open = items.last().and_then(Value::as_str) == Some(ANY);
            let fixed = if open { items.len() - 1 } else { items.len() };
            if others.len() < fixed || (!open && others.len() > fixed) {
                return is(false);
            }
            let mut pairs = items.iter().take(fixed).zip(others).enumerate();
            pairs.find_map(|(at, (item, other))| differs(&format!("{place}/{at}"), item, other))
        }
        (Value::Object(members), Value::Object(others)) => {
            let open = members.contains_key(ANY);
            let extra = others.keys().find(|name| !members.contains_key(*name));
            if let Some(name) = extra.filter(|_| !open) {
                return Some(format!("{place}/{name}: not expected"));
            }
            let named = members.iter().filter(|(name, _)| *name != ANY);
            named.into_iter().find_map(|(name, member)| {
                let place = format!("{place}/{name}");
                match others.get(name) {
                    Some(other) => differs(&place, member, other),
                    None => Some(format!("{place}: missing")),
                }
            })
        }
        _ => is(expected == got),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn wildcards_stand_for_what_they_say() {
        let expected = json!({"id": "[uuid]", "at": "[time]", "any": "...", "list": [1, "..."], "n": 1.5, "...": "..."});
        let good = json!({"id": "0199a1c2-0000-7000-8000-000000000001", "at": "2026-11-21T10:00:00.000Z", "any": [{}], "list": [1, 2, 3], "n": 1.5, "more": null});
        assert_eq!(difference(&expected, &good), None);
        for (name, value, place) in [
            ("id", json!("x"), "/id"),
            ("id", json!(1), "/id"),
            ("at", json!("yesterday"), "/at"),
            ("list", json!([]), "/list"),
            ("list", json!([2]), "/list/0"),
            ("n", json!(2), "/n"),
        ] {
            let mut bad = good.clone();
            bad[name] = value;
            let found = difference(&expected, &bad).unwrap();
            assert!(found.starts_with(&format!("{place}:")), "{found}");
        }
        let mut bad = good;
        bad.as_object_mut().unwrap().remove("any");
        assert_eq!(difference(&expected, &bad).unwrap(), "/any: missing");
    }

    #[test]
    fn without_a_wildcard_nothing_more_may_come() {
        assert_eq!(
            difference(&json!({"a": 1}), &json!({"a": 1, "b": 2})).unwrap(),
            "/b: not expected"
        );
        assert!(difference(&json!([1]), &json!([1, 2])).is_some());
        assert!(difference(&json!("..."), &json!(null)).is_none());
        assert!(difference(&json!(1), &json!("1")).is_some());
    }

    #[test]
    fn exactly_one_value_is_printed() {
        assert_eq!(printed(" {\"a\":1}\n"), Ok(json!({"a": 1})));
        for bad in ["", "{} {}", "{}x", "text"] {
            assert!(printed(bad).is_err(), "{bad}");
        }
    }
}

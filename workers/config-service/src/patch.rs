//! JSON merge patch (RFC 7396): what a PATCH makes of a value.
//!
//! In scope: merging, which members may be named, and which changed. Out of scope: whether the result is good.

use errors::{Code, Error, Result};
use serde_json::{Map, Value, json};

/// The hint about a member that is shown and never set.
pub(crate) const SET_BY_NOBODY: &str = "Leave it out: no route sets it.";

/// What people may name in the PATCH of a resource.
pub(crate) struct Members {
    /// What they edit.
    pub editable: &'static [&'static str],
    /// What the answers show beside it, each with the route that sets it, if there is one.
    pub read_only: &'static [(&'static str, Option<&'static str>)],
}

impl Members {
    /// Checks that a patch is an object that names nothing else. A null for an unknown member would else pass unseen.
    ///
    /// # Errors
    /// 400 `invalid_field`, `read_only_field`, `unknown_field`.
    pub(crate) fn check(&self, patch: &Value) -> Result<()> {
        let Value::Object(patch) = patch else {
            return Err(Error::invalid_field("body", "must be an object"));
        };
        for name in patch.keys() {
            if self.editable.contains(&name.as_str()) {
                continue;
            }
            let known = self.read_only.iter().find(|(known, _)| *known == name);
            return Err(match known {
                Some((_, Some(route))) => read_only(name).with_detail("route", *route),
                Some((_, None)) => read_only(name).with_hint(SET_BY_NOBODY),
                None => Error::new(
                    Code::UnknownField,
                    format!("{name}: there is no such member"),
                )
                .with_detail("field", name.as_str())
                .with_detail("allowed", json!(self.editable)),
            });
        }
        Ok(())
    }
}

fn read_only(name: &str) -> Error {
    Error::new(
        Code::ReadOnlyField,
        format!("{name} cannot be changed here."),
    )
    .with_detail("field", name)
}

/// `target` after `patch`: null removes, objects merge, everything else replaces.
pub(crate) fn merge(target: &Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else {
        return patch.clone();
    };
    let mut merged = target.as_object().cloned().unwrap_or_default();
    for (name, change) in patch {
        if change.is_null() {
            // Keeps the order of the others.
            merged.shift_remove(name);
        } else {
            let old = merged.get(name).unwrap_or(&Value::Null);
            let new = merge(old, change);
            merged.insert(name.clone(), new);
        }
    }
    Value::Object(merged)
}

/// The members that differ, as they were and as they are: what the audit log shows. Objects are compared member by
/// member, so that a large configuration leaves a small entry.
pub(crate) fn changes(before: &Value, after: &Value) -> (Value, Value) {
    let empty = Map::new();
    let (old, new) = (
        before.as_object().unwrap_or(&empty),
        after.as_object().unwrap_or(&empty),
    );
    let (mut was, mut is) = (Map::new(), Map::new());
    for name in old
        .keys()
        .chain(new.keys().filter(|name| !old.contains_key(*name)))
    {
        let (before, after) = (old.get(name), new.get(name));
        match (before, after) {
            (Some(Value::Object(_)), Some(Value::Object(_))) if before != after => {
                let (inner_was, inner_is) = changes(
                    before.unwrap_or(&Value::Null),
                    after.unwrap_or(&Value::Null),
                );
                was.insert(name.clone(), inner_was);
                is.insert(name.clone(), inner_is);
            }
            _ if before != after => {
                if let Some(before) = before {
                    was.insert(name.clone(), before.clone());
                }
                if let Some(after) = after {
                    is.insert(name.clone(), after.clone());
                }
            }
            _ => {}
        }
    }
    (Value::Object(was), Value::Object(is))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The examples of appendix A of RFC 7396.
    #[test]
    fn the_examples_of_the_standard_hold() {
        for (target, patch, result) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (
                json!({"a":"b","b":"c"}),
                json!({"a":null}),
                json!({"b":"c"}),
            ),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
            (
                json!({"a":{"b":"c"}}),
                json!({"a":{"b":"d","c":null}}),
                json!({"a":{"b":"d"}}),
            ),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a":"b"}), json!(["c"]), json!(["c"])),
            (json!({"a":"foo"}), json!(null), json!(null)),
            (json!({"a":"foo"}), json!("bar"), json!("bar")),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!([1, 2]), json!({"a":"b","c":null}), json!({"a":"b"})),
            (
                json!({}),
                json!({"a":{"bb":{"ccc":null}}}),
                json!({"a":{"bb":{}}}),
            ),
        ] {
            assert_eq!(merge(&target, &patch), result, "{target} {patch}");
        }
    }

    #[test]
    fn what_people_do_not_edit_is_refused_even_as_null() {
        let members = Members {
            editable: &["name"],
            read_only: &[("version", None), ("instances", Some("PUT /instances"))],
        };
        let code = |patch: Value| members.check(&patch).map_err(|error| error.code);
        assert_eq!(code(json!({"name": "x"})), Ok(()));
        assert_eq!(code(json!({})), Ok(()));
        assert_eq!(
            code(json!({"name": "x", "version": 1})),
            Err(Code::ReadOnlyField)
        );
        assert_eq!(code(json!({"key_hash": null})), Err(Code::UnknownField));
        assert_eq!(code(json!(["name"])), Err(Code::InvalidField));
        let route = members.check(&json!({"instances": []})).unwrap_err();
        assert_eq!(route.details["route"], "PUT /instances");
    }

    #[test]
    fn only_changed_members_are_told() {
        let before = json!({"a": 1, "b": {"x": 1, "y": 2}, "gone": true});
        let after = json!({"a": 1, "b": {"x": 1, "y": 3}, "new": [1]});
        assert_eq!(
            changes(&before, &after),
            (
                json!({"b": {"y": 2}, "gone": true}),
                json!({"b": {"y": 3}, "new": [1]})
            )
        );
        assert_eq!(changes(&before, &before), (json!({}), json!({})));
    }
}

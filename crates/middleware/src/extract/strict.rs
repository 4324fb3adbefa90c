//! JSON as it should be: one value, valid UTF-8, no member twice, at most 32 levels deep.
//!
//! In scope: the text. Out of scope: what the members mean (module `explain`).

use errors::{Code, Error, Result};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::RefCell;
use std::fmt;

/// Deepest nesting of arrays and objects.
const MAX_DEPTH: usize = 32;

/// Parses the whole text.
///
/// # Errors
/// 400 `invalid_request`; 400 `invalid_field` naming a member that stands twice.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| Error::new(Code::InvalidRequest, "The body is not valid UTF-8."))?;
    if text.trim().is_empty() {
        return Err(Error::new(
            Code::InvalidRequest,
            "The body is empty; send a JSON object.",
        ));
    }
    let problem = RefCell::new(None);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let seed = Node {
        depth: 0,
        path: String::new(),
        problem: &problem,
    };
    let parsed = seed
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value));
    parsed.map_err(|error| {
        problem.into_inner().unwrap_or_else(|| {
            // Line and column only: serde's words may repeat the body.
            Error::new(
                Code::InvalidRequest,
                format!(
                    "The body is not valid JSON (line {}, column {}).",
                    error.line(),
                    error.column()
                ),
            )
        })
    })
}

struct Node<'a> {
    depth: usize,
    path: String,
    problem: &'a RefCell<Option<Error>>,
}

impl Node<'_> {
    fn inner(&self, path: String) -> Node<'_> {
        Node {
            depth: self.depth + 1,
            path,
            problem: self.problem,
        }
    }

    fn too_deep<E: serde::de::Error>(&self) -> Option<E> {
        (self.depth >= MAX_DEPTH).then(|| {
            *self.problem.borrow_mut() = Some(Error::new(
                Code::InvalidRequest,
                format!("The body is nested deeper than {MAX_DEPTH} levels."),
            ));
            E::custom("too deep")
        })
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        if let Some(error) = self.too_deep() {
            return Err(error);
        }
        let mut list = Vec::new();
        while let Some(item) =
            items.next_element_seed(self.inner(format!("{}[{}]", self.path, list.len())))?
        {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        if let Some(error) = self.too_deep() {
            return Err(error);
        }
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let path = super::explain::join(&self.path, &name);
            if map.contains_key(&name) {
                *self.problem.borrow_mut() =
                    Some(Error::invalid_field(&path, "must not stand twice"));
                return Err(serde::de::Error::custom("member twice"));
            }
            let value = members.next_value_seed(self.inner(path))?;
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_is_not_one_clean_value() {
        for (text, code) in [
            ("", Code::InvalidRequest),
            ("  ", Code::InvalidRequest),
            ("{", Code::InvalidRequest),
            ("{} {}", Code::InvalidRequest),
            ("{}x", Code::InvalidRequest),
            ("{\"a\":NaN}", Code::InvalidRequest),
            ("{\"a\":1e400}", Code::InvalidRequest),
            ("{'a':1}", Code::InvalidRequest),
            ("{\"a\":1,}", Code::InvalidRequest),
            ("{\"a\":1,\"a\":2}", Code::InvalidField),
            ("{\"a\":1,\"\\u0061\":2}", Code::InvalidField),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap_err().code, code, "{text}");
        }
        assert_eq!(
            parse(b"{\"a\":\"\xff\"}").unwrap_err().code,
            Code::InvalidRequest
        );
    }

    #[test]
    fn names_the_place_of_a_member_that_stands_twice() {
        let error = parse(br#"{"a":[{"b":{"c":1,"c":2}}]}"#).unwrap_err();
        assert_eq!(error.details["field"], "a[0].b.c");
    }

    #[test]
    fn thirty_two_levels_are_the_deepest() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse(nested(32).as_bytes()).is_ok());
        assert!(parse(nested(33).as_bytes()).is_err());
        assert!(parse(nested(100_000).as_bytes()).is_err());
        let object = format!("{}1{}", "{\"a\":".repeat(33), "}".repeat(33));
        assert!(parse(object.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn never_panics_and_agrees_with_serde_on_what_it_takes(text in "[\\[\\]{}\",:0-9a-c. eE+-]{0,60}") {
            if let Ok(value) = parse(text.as_bytes()) {
                prop_assert_eq!(value, serde_json::from_str::<Value>(&text).unwrap());
            }
        }
    }
}

//! Checks a JSON body against a vendor's fields.
//!
//! In scope: unknown and missing fields, types, enums, ranges. Not in scope: rules between fields, and how
//! a vendor words its refusal.

use serde_json::{Map, Value};

/// What a field may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// Text of this many Unicode scalar values.
    Text {
        min: usize,
        max: usize,
    },
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number.
    Whole {
        min: i64,
        max: i64,
    },
    Flag,
    /// A list of texts of eight hexadecimal digits.
    HexCodes,
    Object,
    /// `https` to a public host.
    PublicUrl,
}

/// A field of a contract.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) nullable: bool,
}

/// A field that must not be null.
pub(crate) const fn field(name: &'static str, shape: Shape) -> Field {
    Field {
        name,
        shape,
        nullable: false,
    }
}

/// A field that may be null.
pub(crate) const fn nullable(name: &'static str, shape: Shape) -> Field {
    Field {
        name,
        shape,
        nullable: true,
    }
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    Unknown,
    Missing,
    /// Another JSON type is due.
    Type(&'static str),
    /// None of the allowed values.
    Value(String),
    TooShort(usize),
    TooLong(usize),
    TooSmall(i64),
    TooLarge(i64),
    /// A rule between fields, or one that only this vendor has.
    Rule(String),
}

/// A field and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) field: String,
    pub(crate) problem: Problem,
}

impl Fault {
    pub(crate) fn new(field: impl Into<String>, problem: Problem) -> Self {
        Self {
            field: field.into(),
            problem,
        }
    }

    pub(crate) fn rule(field: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(field, Problem::Rule(text.into()))
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let field = &self.field;
        match &self.problem {
            Problem::Unknown => write!(out, "unknown field '{field}'"),
            Problem::Missing => write!(out, "missing field '{field}'"),
            Problem::Type(due) => write!(out, "'{field}' must be {due}"),
            Problem::Value(allowed) => write!(out, "'{field}' must be one of: {allowed}"),
            Problem::TooShort(min) => write!(out, "'{field}' must have at least {min} characters"),
            Problem::TooLong(max) => write!(out, "'{field}' must have at most {max} characters"),
            Problem::TooSmall(min) => write!(out, "'{field}' must be at least {min}"),
            Problem::TooLarge(max) => write!(out, "'{field}' must be at most {max}"),
            Problem::Rule(text) => out.write_str(text),
        }
    }
}

/// Fields of the body that the contract does not have.
pub(crate) fn unknown(body: &Map<String, Value>, fields: &[&[Field]]) -> Vec<String> {
    body.keys()
        .filter(|name| {
            !fields
                .iter()
                .copied()
                .flatten()
                .any(|field| field.name == *name)
        })
        .cloned()
        .collect()
}

/// The first thing that is wrong: unknown fields, then missing ones, then each field in the contract's order.
pub(crate) fn check(
    body: &Map<String, Value>,
    fields: &[&[Field]],
    required: &[&str],
) -> Result<(), Fault> {
    if let Some(name) = unknown(body, fields).into_iter().next() {
        return Err(Fault::new(name, Problem::Unknown));
    }
    if let Some(name) = required.iter().find(|name| !body.contains_key(**name)) {
        return Err(Fault::new(*name, Problem::Missing));
    }
    for field in fields.iter().copied().flatten() {
        match body.get(field.name) {
            None => {}
            Some(Value::Null) if field.nullable => {}
            Some(value) => check_value(field.shape, value)
                .map_err(|problem| Fault::new(field.name, problem))?,
        }
    }
    Ok(())
}

fn check_value(shape: Shape, value: &Value) -> Result<(), Problem> {
    match shape {
        Shape::Text { min, max } => {
            let length = value
                .as_str()
                .ok_or(Problem::Type("a string"))?
                .chars()
                .count();
            if length < min {
                return Err(Problem::TooShort(min));
            }
            if length > max {
                return Err(Problem::TooLong(max));
            }
        }
        Shape::Word(words) => {
            let word = value.as_str().ok_or(Problem::Type("a string"))?;
            if !words.contains(&word) {
                return Err(Problem::Value(words.join(", ")));
            }
        }
        Shape::Whole { min, max } => {
            let number = value.as_i64().ok_or(Problem::Type("an integer"))?;
            if number < min {
                return Err(Problem::TooSmall(min));
            }
            if number > max {
                return Err(Problem::TooLarge(max));
            }
        }
        Shape::Flag => {
            value.as_bool().ok_or(Problem::Type("a boolean"))?;
        }
        Shape::HexCodes => {
            let codes = value
                .as_array()
                .ok_or(Problem::Type("an array of strings"))?;
            let sound = codes.iter().all(|code| {
                code.as_str().is_some_and(|code| {
                    code.len() == 8 && code.bytes().all(|byte| byte.is_ascii_hexdigit())
                })
            });
            if !sound {
                return Err(Problem::Type("an array of strings of 8 hexadecimal digits"));
            }
        }
        Shape::Object => {
            value.as_object().ok_or(Problem::Type("an object"))?;
        }
        Shape::PublicUrl => {
            let text = value.as_str().ok_or(Problem::Type("a string"))?;
            if !is_public(text) {
                return Err(Problem::Type("an https URL of a public host"));
            }
        }
    }
    Ok(())
}

fn is_public(text: &str) -> bool {
    let Ok(url) = url::Url::parse(text) else {
        return false;
    };
    let public = match url.host() {
        Some(url::Host::Domain(name)) => name
            .rsplit_once('.')
            .is_some_and(|(_, last)| !matches!(last, "local" | "localhost")),
        Some(url::Host::Ipv4(address)) => {
            !(address.is_loopback()
                || address.is_private()
                || address.is_link_local()
                || address.is_unspecified())
        }
        Some(url::Host::Ipv6(address)) => {
            !(address.is_loopback() || address.is_unspecified() || address.is_unique_local())
        }
        None => false,
    };
    url.scheme() == "https" && public
}

/// `WxH` as numbers.
pub(crate) fn size(text: &str) -> Option<(u32, u32)> {
    let (width, height) = text.split_once('x')?;
    Some((width.parse().ok()?, height.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const FIELDS: &[Field] = &[
        field("prompt", Shape::Text { min: 1, max: 3 }),
        field("n", Shape::Whole { min: 1, max: 8 }),
        field("speed", Shape::Word(&["slow", "fast"])),
        nullable("private", Shape::Flag),
        field("codes", Shape::HexCodes),
        field("palette", Shape::Object),
        field("hook", Shape::PublicUrl),
    ];

    fn problem(body: &Value) -> Option<Problem> {
        check(body.as_object().unwrap(), &[FIELDS], &["prompt"])
            .err()
            .map(|fault| fault.problem)
    }

    #[test]
    fn a_sound_body_passes() {
        let body = json!({"prompt": "äöü", "n": 8, "speed": "fast", "private": null, "codes": ["00ffAA11"],
            "palette": {}, "hook": "https://example.com/x"});
        assert_eq!(problem(&body), None);
    }

    #[test]
    fn each_mistake_has_its_own_problem() {
        let cases = [
            (json!({"prompt": "a", "x": 1}), Problem::Unknown),
            (json!({}), Problem::Missing),
            (json!({"prompt": 1}), Problem::Type("a string")),
            (json!({"prompt": null}), Problem::Type("a string")),
            (json!({"prompt": ""}), Problem::TooShort(1)),
            (json!({"prompt": "abcd"}), Problem::TooLong(3)),
            (json!({"prompt": "a", "n": 0}), Problem::TooSmall(1)),
            (json!({"prompt": "a", "n": 9}), Problem::TooLarge(8)),
            (
                json!({"prompt": "a", "n": 1.5}),
                Problem::Type("an integer"),
            ),
            (
                json!({"prompt": "a", "speed": "warp"}),
                Problem::Value("slow, fast".into()),
            ),
            (
                json!({"prompt": "a", "private": "yes"}),
                Problem::Type("a boolean"),
            ),
            (
                json!({"prompt": "a", "palette": []}),
                Problem::Type("an object"),
            ),
        ];
        for (body, due) in cases {
            assert_eq!(problem(&body), Some(due), "{body}");
        }
        assert!(problem(&json!({"prompt": "a", "codes": ["0"]})).is_some());
    }

    #[test]
    fn webhooks_need_https_and_a_public_host() {
        for wrong in [
            "http://example.com",
            "https://localhost/x",
            "https://127.0.0.1/",
            "https://10.0.0.1/",
            "https://[::1]/",
            "x",
        ] {
            assert!(
                problem(&json!({"prompt": "a", "hook": wrong})).is_some(),
                "{wrong}"
            );
        }
    }
}

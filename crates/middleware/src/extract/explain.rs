//! Turns serde's words into our errors: which member, which rule, what it may have meant.
//!
//! In scope: naming the member by its path and the rule it breaks. Values are never repeated: they may be secrets.

use errors::{Code, Error};

/// The path of a member inside another: `a.b`.
pub(crate) fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() || parent == "." {
        name.to_owned()
    } else {
        format!("{parent}.{name}")
    }
}

/// The texts between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Rust's type names in words that callers know.
fn in_words(expected: &str) -> String {
    let whole = [
        "u8", "u16", "u32", "u64", "usize", "i8", "i16", "i32", "i64", "isize",
    ];
    let expected = expected.trim();
    if whole.contains(&expected) {
        return if expected.starts_with('u') {
            "a whole number, 0 or more".to_owned()
        } else {
            "a whole number".to_owned()
        };
    }
    match expected {
        "f32" | "f64" => "a number".to_owned(),
        "a sequence" | "sequence" => "an array".to_owned(),
        "a map" | "map" | "object" => "an object".to_owned(),
        "unit" | "null" => "null".to_owned(),
        "a boolean" | "a string" => expected.to_owned(),
        "string" => "a string".to_owned(),
        _ if expected.starts_with("struct ") => "an object".to_owned(),
        _ if expected.starts_with("a string")
            || expected.starts_with("string or map")
            || expected.starts_with("enum")
            || expected.starts_with("variant") =>
        {
            "one of the documented values".to_owned()
        }
        _ => expected.to_owned(),
    }
}

/// Levenshtein distance, for names of at most 40 characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(40).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().take(40).enumerate() {
        let mut diagonal = i;
        let mut last = i + 1;
        for (right, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let substituted = diagonal + usize::from(left != *right);
            diagonal = *cell;
            last = substituted.min(*cell + 1).min(last + 1);
            *cell = last;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

/// The error that serde's message stands for. `path` is the place that was being read; `root` names the whole.
pub(crate) fn explain(path: &str, message: &str, root: &str) -> Error {
    let at = if path.is_empty() || path == "." {
        root
    } else {
        path
    };
    let expected = message
        .split_once(", expected ")
        .map_or("", |(_, expected)| expected);
    let names = quoted(message);
    if message.starts_with("unknown field") {
        return unknown_field(path, &names);
    }
    if message.starts_with("missing field") {
        let name = names.first().copied().unwrap_or("?");
        return Error::invalid_field(&join(path, name), "is required");
    }
    if message.starts_with("duplicate field") {
        return Error::invalid_field(at, "must not stand twice");
    }
    if message.starts_with("unknown variant") {
        // The first name is the caller's own word.
        let allowed: Vec<&str> = names.into_iter().skip(1).collect();
        return Error::invalid_field(at, format!("must be one of {}", allowed.join(", ")))
            .with_detail("allowed", allowed);
    }
    if ["invalid type", "invalid value", "invalid length"]
        .iter()
        .any(|start| message.starts_with(start))
    {
        return Error::invalid_field(at, format!("must be {}", in_words(expected)));
    }
    if message.starts_with("must ") || message.starts_with("is ") {
        return Error::invalid_field(at, message);
    }
    Error::invalid_field(at, "has not the documented form").with_internal(message)
}

fn unknown_field(path: &str, names: &[&str]) -> Error {
    let (unknown, allowed) = names.split_first().unwrap_or((&"?", &[]));
    // Depending on the type, the path ends with the unknown name already.
    let ends_with_it = path == *unknown || path.ends_with(&format!(".{unknown}"));
    let field = if ends_with_it {
        path.to_owned()
    } else {
        join(path, unknown)
    };
    let nearest = allowed
        .iter()
        .map(|name| (distance(unknown, name), *name))
        .filter(|(steps, name)| *steps <= 2 && *steps < name.len())
        .min();
    let error = Error::new(
        Code::UnknownField,
        format!("{field}: there is no such member"),
    )
    .with_detail("field", field)
    .with_detail("allowed", allowed.to_vec());
    match nearest {
        Some((_, name)) => error
            .with_detail("did_you_mean", name)
            .with_hint(format!("Did you mean {name}?")),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_levenshtein() {
        for (a, b, steps) in [
            ("prompt", "prompt", 0),
            ("promt", "prompt", 1),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("size", "seize", 1),
        ] {
            assert_eq!(distance(a, b), steps, "{a} {b}");
            assert_eq!(distance(b, a), steps, "{b} {a}");
        }
    }

    #[test]
    fn values_of_the_caller_are_never_repeated() {
        for message in [
            "invalid type: string \"sekret\", expected u32",
            "invalid value: string \"sekret\", expected a colour",
            "unknown variant `sekret`, expected one of `a`, `b`",
            "the parser of colours says sekret",
        ] {
            let error = explain("a.b", message, "body");
            assert_eq!(error.details["field"], "a.b");
            assert!(!error.public.contains("sekret"), "{error}");
            assert!(!error.details.to_string().contains("sekret"), "{error}");
        }
    }
}

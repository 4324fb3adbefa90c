//! Members of `provider_options`: which ones a model takes, and whether their values fit its schema.
//!
//! In scope: the few keywords of JSON Schema that the data files use. Out of scope: a validator for any schema.

use crate::capability::Model;
use crate::options::Unfit;
use api_types::ImageOptions;
use serde_json::Value;

/// Members that decide how the platform talks to a vendor, and how many images are paid.
const RESERVED: [&str; 6] = [
    "webhook_url",
    "webhook",
    "async",
    "stream",
    "n",
    "response_format",
];

/// Whether a member is the platform's own.
pub(crate) fn is_reserved(key: &str) -> bool {
    RESERVED.contains(&key)
}

/// Checks the members against the model's schemas.
pub(crate) fn check(model: &Model, options: &ImageOptions) -> Result<(), Unfit> {
    for (key, value) in &options.provider_options {
        let field = format!("provider_options.{key}");
        let Some(schema) = model.passthrough.get(key) else {
            let known: Vec<&str> = model.passthrough.keys().map(String::as_str).collect();
            let allowed = if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            };
            return Err(Unfit::Unsupported {
                option: field,
                allowed: format!("{} takes {allowed}", model.id),
            });
        };
        if let Err(rule) = fits(schema, value) {
            return Err(Unfit::Invalid { field, rule });
        }
    }
    let given = |key: &String| options.provider_options.contains_key(key);
    if let Some(first) = model
        .needs
        .first()
        .filter(|_| !model.needs.iter().any(given))
    {
        return Err(Unfit::Unsupported {
            option: format!("provider_options.{first}"),
            allowed: format!(
                "{} draws nothing without {}",
                model.id,
                model.needs.join(" or ")
            ),
        });
    }
    let preset = options
        .style
        .as_ref()
        .is_some_and(|style| model.style_presets.contains(style));
    if preset && options.provider_options.contains_key("style_codes") {
        return Err(Unfit::Invalid {
            field: "provider_options.style_codes".to_owned(),
            rule: "excludes a style preset".to_owned(),
        });
    }
    Ok(())
}

fn fits(schema: &Value, value: &Value) -> Result<(), String> {
    if let Some(kind) = schema.get("type").and_then(Value::as_str) {
        let ok = match kind {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            _ => value.is_number(),
        };
        if !ok {
            return Err(format!("must be of type {kind}"));
        }
    }
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
        && !allowed.contains(value)
    {
        return Err("must be one of the listed values".to_owned());
    }
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    if let Some(number) = value.as_f64()
        && (bound("minimum").is_some_and(|least| number < least)
            || bound("maximum").is_some_and(|most| number > most))
    {
        return Err("is out of range".to_owned());
    }
    if let Some(text) = value.as_str() {
        let length = text.chars().count() as f64;
        if bound("minLength").is_some_and(|least| length < least)
            || bound("maxLength").is_some_and(|most| length > most)
        {
            return Err("has the wrong length".to_owned());
        }
    }
    if let Some(items) = value.as_array() {
        if bound("maxItems").is_some_and(|most| items.len() as f64 > most) {
            return Err("has too many items".to_owned());
        }
        if let Some(schema) = schema.get("items") {
            items.iter().try_for_each(|item| fits(schema, item))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_keyword_refuses_what_breaks_it() {
        let table = [
            (json!({"type":"object"}), json!({}), json!([])),
            (json!({"type":"boolean"}), json!(true), json!("true")),
            (
                json!({"type":"integer","minimum":0,"maximum":100}),
                json!(100),
                json!(101),
            ),
            (json!({"type":"integer"}), json!(1), json!(1.5)),
            (json!({"enum":["x1"]}), json!("x1"), json!("x2")),
            (
                json!({"type":"array","maxItems":1,"items":{"type":"string","minLength":8,"maxLength":8}}),
                json!(["00aa11bb"]),
                json!(["0"]),
            ),
            (
                json!({"type":"array","maxItems":1}),
                json!([1]),
                json!([1, 2]),
            ),
        ];
        for (schema, good, bad) in table {
            assert!(fits(&schema, &good).is_ok(), "{schema} {good}");
            assert!(fits(&schema, &bad).is_err(), "{schema} {bad}");
        }
    }
}

//! The rules of a generation request that need no I/O: all broken ones are told in one answer.
//!
//! In scope: ranges and forms. Out of scope: what a model can do (`plan`), who may ask (middleware).

use api_types::{Fallback, GenerateRequest, InstanceConfig, OnLimit, ProviderName, is_slug};
use errors::{Code, Error, Result};
use logging::holds_credential;
use serde_json::{Value, json};

const MAX_PROMPT_CHARS: usize = 32_000;
const MAX_TEXT_CHARS: usize = 32_000;
const MAX_STYLE_CHARS: usize = 100;
const MAX_MODEL_CHARS: usize = 200;
const MAX_IMAGES: u32 = 10;
const MAX_SEED: u32 = 2_147_483_647;
const MAX_SIDE: u32 = 16_384;
const TIMEOUT_MS: std::ops::RangeInclusive<u32> = 1_000..=900_000;
const MAX_FILENAME: usize = 80;
const MAX_TAGS: usize = 10;
const MAX_TAG_CHARS: usize = 40;
const MAX_FALLBACKS: usize = 4;
const MAX_PROVIDER_OPTIONS: usize = 50;

/// What holds a key is not stored, logged or sent to a provider: see decision 0012.
const CREDENTIAL_RULE: &str = "must not hold an API key or another credential";

struct Problems(Vec<(String, String)>);

impl Problems {
    fn check(&mut self, good: bool, field: &str, rule: &str) {
        if !good {
            self.0.push((field.to_owned(), rule.to_owned()));
        }
    }
}

fn chars(text: &str) -> usize {
    text.chars().count()
}

/// Two numbers without leading zeros around `separator`.
fn pair(text: &str, separator: char) -> Option<(u32, u32)> {
    let number = |text: &str| {
        let plain =
            text.len() <= 6 && !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| text.parse().ok()).flatten()
    };
    let (a, b) = text.split_once(separator)?;
    Some((number(a)?, number(b)?))
}

/// Whether it is a model as a request may write it: `model` or `provider/model`.
fn is_model(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_MODEL_CHARS
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-/:@".contains(&b))
}

fn any_text(value: &Value, is: &impl Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => is(text),
        Value::Array(items) => items.iter().any(|item| any_text(item, is)),
        Value::Object(members) => members
            .iter()
            .any(|(name, item)| is(name) || any_text(item, is)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Refuses a text that would be stored with a credential in it.
///
/// # Errors
/// 400 `invalid_field`, which does not repeat it.
pub fn refuse_credential(field: &str, text: &str) -> Result<()> {
    if holds_credential(text) {
        return Err(credential(field));
    }
    Ok(())
}

fn credential(field: &str) -> Error {
    Error::invalid_field(field, CREDENTIAL_RULE).with_hint(
        "Take the key out of details.field and send the request again; nothing was stored or sent to a provider.",
    )
}

/// No text of a request that is stored may hold a key.
fn credentials(request: &GenerateRequest) -> Result<()> {
    let members = serde_json::to_value(request).unwrap_or(Value::Null);
    let members = members.as_object().into_iter().flatten();
    for (field, value) in members {
        if any_text(value, &holds_credential) {
            return Err(credential(field));
        }
    }
    Ok(())
}

/// Checks the request against the rules and against the names that the instance knows.
///
/// # Errors
/// 400 `invalid_field` with the first broken rule in `details.field`, `details.rule` and all in `details.problems`;
/// 400 `unknown_bucket`; 400 `invalid_request` for what this release refuses instead of ignoring.
pub fn validate(
    request: &GenerateRequest,
    config: &InstanceConfig,
    has_bucket: impl Fn(&str) -> bool,
) -> Result<()> {
    let mut p = Problems(Vec::new());
    texts(&mut p, request);
    numbers(&mut p, request);
    names(&mut p, request, config);
    if let Some((field, rule)) = p.0.first() {
        let problems: Vec<_> =
            p.0.iter()
                .map(|(field, rule)| json!({"field": field, "rule": rule}))
                .collect();
        return Err(Error::invalid_field(field, rule.clone()).with_detail("problems", problems));
    }
    credentials(request)?;
    if request.on_limit == Some(OnLimit::Queue) {
        return Err(Error::new(
            Code::InvalidRequest,
            "Waiting in the provider's queue is not available yet.",
        )
        .with_hint("Send on_limit \"reject\" or leave it out, and obey Retry-After.")
        .with_detail("field", "on_limit"));
    }
    if let Some(bucket) = &request.bucket {
        let storage = &config.edited.storage;
        let configured =
            config.edited.r2_bucket.as_ref() == Some(bucket) || storage.r2_buckets.contains(bucket);
        if !configured || !has_bucket(bucket) {
            return Err(Error::new(
                Code::UnknownBucket,
                "The instance has no bucket of that name.",
            )
            .with_detail("field", "bucket"));
        }
    }
    Ok(())
}

fn texts(p: &mut Problems, request: &GenerateRequest) {
    let prompt = chars(&request.prompt);
    p.check(
        (1..=MAX_PROMPT_CHARS).contains(&prompt) && !request.prompt.contains('\0'),
        "prompt",
        "must be 1 to 32,000 characters without NUL",
    );
    p.check(
        !request.prompt.trim().is_empty() || prompt == 0,
        "prompt",
        "must say something",
    );
    if let Some(text) = &request.negative_prompt {
        p.check(
            chars(text) <= MAX_TEXT_CHARS && !text.contains('\0'),
            "negative_prompt",
            "must be at most 32,000 characters without NUL",
        );
    }
    if let Some(text) = &request.style {
        p.check(
            (1..=MAX_STYLE_CHARS).contains(&chars(text)),
            "style",
            "must be 1 to 100 characters",
        );
    }
    if let Some(name) = &request.filename {
        let plain = name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        p.check(
            (1..=MAX_FILENAME).contains(&name.len()) && plain,
            "filename",
            "must be 1 to 80 of A-Z, a-z, 0-9, dot, underscore and hyphen",
        );
    }
    let tags = &request.tags;
    p.check(
        tags.len() <= MAX_TAGS
            && tags
                .iter()
                .all(|tag| (1..=MAX_TAG_CHARS).contains(&chars(tag))),
        "tags",
        "must be at most 10 of 1 to 40 characters",
    );
}

fn numbers(p: &mut Problems, request: &GenerateRequest) {
    p.check(
        request.n.is_none_or(|n| (1..=MAX_IMAGES).contains(&n)),
        "n",
        "must be 1 to 10",
    );
    p.check(
        request
            .seed
            .is_none_or(|seed| (1..=MAX_SEED).contains(&seed)),
        "seed",
        "must be 1 to 2,147,483,647",
    );
    p.check(
        request.size.is_none() || request.aspect_ratio.is_none(),
        "aspect_ratio",
        "excludes size",
    );
    if let Some(size) = &request.size {
        p.check(
            pair(size, 'x').is_some_and(|(w, h)| w <= MAX_SIDE && h <= MAX_SIDE),
            "size",
            "must be WIDTHxHEIGHT in pixels, such as 1024x1024",
        );
    }
    if let Some(ratio) = &request.aspect_ratio {
        p.check(
            pair(ratio, ':').is_some_and(|(w, h)| w <= 100 && h <= 100),
            "aspect_ratio",
            "must be W:H, such as 16:9",
        );
    }
    p.check(
        request.max_cost_usd_micros.is_none_or(|cost| cost >= 0),
        "max_cost_usd_micros",
        "must be 0 or more",
    );
    p.check(
        request.timeout_ms.is_none_or(|ms| TIMEOUT_MS.contains(&ms)),
        "timeout_ms",
        "must be 1,000 to 900,000",
    );
    p.check(
        request.provider_options.len() <= MAX_PROVIDER_OPTIONS,
        "provider_options",
        "must have at most 50 members",
    );
}

fn names(p: &mut Problems, request: &GenerateRequest, config: &InstanceConfig) {
    if let Some(provider) = &request.provider {
        p.check(
            is_slug(provider),
            "provider",
            "must be a provider's name or auto",
        );
    }
    if let Some(model) = &request.model {
        p.check(
            is_model(model),
            "model",
            "must be a model, provider/model or auto",
        );
    }
    if let Some(Fallback::List(list)) = &request.fallback {
        p.check(
            list.len() <= MAX_FALLBACKS,
            "fallback",
            "must be auto, none or at most 4 of provider/model",
        );
        for entry in list {
            let known = entry.split_once('/').is_some_and(|(provider, model)| {
                is_model(model)
                    && ProviderName::parse(provider)
                        .is_ok_and(|name| config.edited.providers.contains_key(&name))
            });
            p.check(
                known,
                "fallback",
                "each entry must be provider/model of a provider of the instance",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> InstanceConfig {
        serde_json::from_value(json!({
            "instance_id": "production", "org_id": "0199a1c2-0000-7000-8000-000000000001", "config_version": 1,
            "r2_bucket": "prod-images", "storage": {"r2_buckets": ["dev-images", "elsewhere"]},
            "providers": {"ideogram": {}}
        }))
        .unwrap()
    }

    fn check(body: serde_json::Value) -> Result<()> {
        let mut body = body;
        if body.get("prompt").is_none() {
            body["prompt"] = json!("a cat");
        }
        let request: GenerateRequest = serde_json::from_value(body).unwrap();
        validate(&request, &config(), |name| name != "elsewhere")
    }

    #[test]
    fn every_field_has_its_range() {
        for (field, bad) in [
            ("prompt", json!("")),
            ("prompt", json!(" \n")),
            ("prompt", json!("a\u{0}b")),
            ("prompt", json!("x".repeat(32_001))),
            ("n", json!(0)),
            ("n", json!(11)),
            ("seed", json!(0)),
            ("seed", json!(2_147_483_648_u32)),
            ("size", json!("0x10")),
            ("size", json!("1024")),
            ("size", json!("1024x+5")),
            ("size", json!("99999x1")),
            ("aspect_ratio", json!("16x9")),
            ("aspect_ratio", json!("0:9")),
            ("timeout_ms", json!(999)),
            ("timeout_ms", json!(900_001)),
            ("max_cost_usd_micros", json!(-1)),
            ("filename", json!("a/b")),
            ("filename", json!("x".repeat(81))),
            ("tags", json!(["x".repeat(41)])),
            ("tags", json!(vec!["t"; 11])),
            ("provider", json!("Ideogram")),
            ("model", json!("a b")),
            ("fallback", json!(["nobody/model"])),
            ("fallback", json!(["ideogram"])),
            ("fallback", json!(vec!["ideogram/m"; 5])),
            ("style", json!("")),
            ("negative_prompt", json!("\u{0}")),
        ] {
            let mut body = json!({"prompt": "a cat"});
            body[field] = bad.clone();
            let error = check(body).unwrap_err();
            assert_eq!(error.code, Code::InvalidField, "{field} {bad}");
            assert_eq!(error.details["field"], field, "{bad}");
        }
    }

    #[test]
    fn good_values_pass() {
        for good in [
            json!({"n": 10, "seed": 1, "size": "1024x768", "timeout_ms": 1_000, "filename": "My_cat-1.png"}),
            json!({"aspect_ratio": "16:9", "provider": "auto", "model": "ideogram/ideogram-3", "tags": ["a", "b"]}),
            json!({"fallback": ["ideogram/ideogram-3"], "bucket": "dev-images", "max_cost_usd_micros": 0}),
            json!({"fallback": "none", "on_limit": "reject", "bucket": "prod-images"}),
        ] {
            assert_eq!(check(good.clone()), Ok(()), "{good}");
        }
    }

    #[test]
    fn all_problems_come_in_one_answer() {
        let error = check(json!({"n": 0, "size": "1x1", "aspect_ratio": "1:1"})).unwrap_err();
        let fields: Vec<&str> = error.details["problems"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|problem| problem["field"].as_str())
            .collect();
        assert_eq!(fields, ["n", "aspect_ratio"]);
    }

    #[test]
    fn what_is_not_there_yet_is_refused_and_not_ignored() {
        let error = check(json!({"on_limit": "queue"})).unwrap_err();
        assert_eq!(error.code, Code::InvalidRequest);
        assert_eq!(error.details["field"], "on_limit");
        for later in ["dry_run", "priority", "webhook"] {
            let mut body = json!({"prompt": "a cat"});
            body[later] = json!(true);
            assert!(
                serde_json::from_value::<GenerateRequest>(body).is_err(),
                "{later}"
            );
        }
    }

    #[test]
    fn no_member_may_hold_a_key() {
        let key = "sy_4fGh7kQ2mZ0a_3AHOVcjqx4BIPWdkry5CJQXelsz6DKRYfmt07ELSZgn0akblb";
        let foreign = format!("sk-{}", "canary0123456789");
        let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl";
        for (field, value) in [
            ("prompt", json!(format!("a cat with {key} on its collar"))),
            ("prompt", json!(format!("draw this:\n{foreign}"))),
            ("prompt", json!(format!("token={jwt}"))),
            (
                "prompt",
                json!("from https://user:pass@example.com/cat.png"),
            ),
            ("prompt", json!(format!("Authorization: Bearer {key}"))),
            ("negative_prompt", json!(key)),
            ("style", json!(foreign)),
            ("filename", json!(key)),
            ("tags", json!(["fine", foreign])),
            ("model", json!(format!("ideogram/{foreign}"))),
            (
                "provider_options",
                json!({"color_palette": {"name": [key]}}),
            ),
        ] {
            let mut body = json!({"prompt": "a cat"});
            body[field] = value;
            let error = check(body.clone()).unwrap_err();
            assert_eq!(error.code, Code::InvalidField, "{body}");
            assert_eq!(error.details["field"], field, "{body}");
            assert_eq!(error.details["rule"], CREDENTIAL_RULE, "{body}");
            assert!(
                error
                    .hint
                    .is_some_and(|hint| hint.contains("details.field"))
            );
        }
    }

    #[test]
    fn prose_about_keys_is_no_key() {
        for prompt in [
            "a basic composition, the bearer of news, an Authorization: Basic explained",
            "a flag bearer stands before a pallbearer",
            "sk-8 skates, a task-oriented robot, a sy_ sign, an api_key=secret poster",
            "https://example.com/cat.png at 10:30, user@example.com",
        ] {
            assert_eq!(check(json!({"prompt": prompt})), Ok(()), "{prompt}");
        }
    }

    #[test]
    fn only_configured_buckets_can_be_named() {
        for bucket in ["other", "elsewhere"] {
            assert_eq!(
                check(json!({"bucket": bucket})).unwrap_err().code,
                Code::UnknownBucket
            );
        }
    }
}

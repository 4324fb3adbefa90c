//! `docs/schemas/instance.schema.json` says what the code says: the same members, and the same judgement on every edge
//! of every range, word, list and type.
#![expect(clippy::unwrap_used, reason = "tests")]

use api_types::{
    EditableConfig, Problem, ProviderSettings, Timestamp, ValidateContext, config_schema,
    unknown_members, validate_config,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

const NOW: Timestamp = Timestamp(1_763_719_200_000);
const PROJECT: &str = "0198f0a2-0000-7000-8000-000000000001";
/// Added by config-service, edited by nobody.
const DERIVED: [&str; 2] = ["credential_id", "credential_state"];

/// A good configuration that has every member.
fn sample() -> Value {
    json!({
        "rate_limits": {"ideogram": {"rpm": 500, "tpm": 1, "max_inflight_images": 10, "windows": [{"requests": 5, "per_ms": 1_000}]}},
        "r2_bucket": "prod-images", "environment": "production", "protected": true, "location_hint": "weur",
        "cdn_base_url": "https://cdn.example.com",
        "providers": {"ideogram": {
            "adapter": "ideogram", "enabled": true, "base_url": "https://api.ideogram.ai", "api_version": "v1", "account": "a",
            "default_model": "m", "allowed_models": ["m"], "allow_private_host": true, "extra_result_hosts": ["a.example"],
            "extra_api_hosts": ["b.example"], "extra_headers": {"cf-aig-cache-ttl": "0"}, "webhook": "off", "timeout_ms": 120_000,
            "models": [{}], "prices": [{}],
        }},
        "routing": {
            "default_provider": "ideogram", "default_model": "m", "fallback": ["ideogram/m"], "optimize": "balanced",
            "fallback_on_safety": false, "max_attempts": 3, "unknown_price": "refuse", "models": ["m"],
        },
        "queue": {"on_limit": "reject", "max_depth": 10, "max_depth_project": 5, "max_wait_s": 60, "weights": {PROJECT: 1}},
        "budgets": [{"scope": "instance", "period": "day", "limit_usd_micros": 1}],
        "storage": {
            "r2_buckets": ["more-images"], "visibility": "private", "url_ttl_s": 60, "retention_days": 1, "keep_last": 1,
            "max_bytes": 1, "projects": {PROJECT: {"retention_days": 1, "keep_last": 1, "max_bytes": 1}},
        },
        "sync_timeout_ms": 120_000, "quality_check": "warn", "webhook_hosts": ["hooks.example.com"],
        "logging": {"level": "INFO", "retention_days": 30, "debug_until": NOW, "prompts": false},
        "cost_guard": {"daily_usd_micros": 1, "monthly_usd_micros": 1, "action": "pause", "d1_rows_written_daily": 1},
        "repo_agent": {
            "max_concurrent": 1, "max_per_user": 1, "max_waiting": 0, "wall_ms": 60_000, "repeats": 1, "llm_usd_micros": 0,
            "retention_days": 1, "allow_test_network": false, "allow_ci_files": false, "planner": "llm",
            "allowed_hosts": ["github.com"],
        },
    })
}

/// What the code says: problems, among them those of form.
fn judged(config: &Value) -> Vec<Problem> {
    let form = |pointer: String, rule: &str| Problem {
        pointer,
        rule: rule.to_owned(),
    };
    let parsed: EditableConfig = match serde_json::from_value(config.clone()) {
        Ok(parsed) => parsed,
        Err(error) => return vec![form(String::new(), &error.to_string())],
    };
    let again = serde_json::to_value(&parsed).unwrap();
    let unknown = unknown_members(config, &again).into_iter();
    let mut problems: Vec<Problem> = unknown.map(|at| form(at, "unknown")).collect();
    let context = ValidateContext {
        local: true,
        self_hosted: false,
        now: NOW,
    };
    problems.extend(validate_config(&parsed, context));
    problems
}

/// The sample with that value there.
fn with(pointer: &str, value: Value) -> Value {
    let mut config = sample();
    *config.pointer_mut(pointer).unwrap() = value;
    config
}

/// Every member of the sample with its schema.
fn walk(schema: &Value, value: &Value, at: &str, found: &mut Vec<(String, Value)>) {
    found.push((at.to_owned(), schema.clone()));
    let alternatives = schema["anyOf"].as_array();
    if let Some(list) = alternatives.and_then(|all| all.iter().find(|it| it["type"] == "array")) {
        walk(list, value, at, found);
    }
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let own = &schema["properties"][name];
                let schema = if own.is_null() {
                    &schema["additionalProperties"]
                } else {
                    own
                };
                walk(schema, member, &format!("{at}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(&schema["items"], item, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

fn nodes() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    walk(&config_schema(), &sample(), "", &mut found);
    found
}

fn types(schema: &Value) -> BTreeSet<String> {
    match &schema["type"] {
        Value::String(one) => BTreeSet::from([one.clone()]),
        Value::Array(all) => all
            .iter()
            .map(|it| it.as_str().unwrap().to_owned())
            .collect(),
        _ => BTreeSet::new(),
    }
}

#[test]
fn the_kept_schema_is_the_one_of_the_code() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schemas/instance.schema.json");
    let mut text = serde_json::to_string_pretty(&config_schema()).unwrap();
    text.push('\n');
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == text,
        "docs/schemas/instance.schema.json is old: UPDATE_SCHEMA=1 cargo test -p api-types --test schema"
    );
}

#[test]
fn the_sample_is_good_and_has_every_member_of_schema_and_code() {
    assert_eq!(judged(&sample()), Vec::<Problem>::new());
    let mut missing = Vec::new();
    for (at, schema) in nodes() {
        let value = sample().pointer(&at).unwrap().clone();
        let properties = schema["properties"].as_object().into_iter().flatten();
        for (name, _) in properties {
            if value.get(name).is_none() {
                missing.push(format!("the sample lacks {at}/{name}"));
            }
        }
    }
    // What the code knows, from its own defaults; the sections that it keeps as they come tell what they know.
    let mut code = serde_json::to_value(EditableConfig::default()).unwrap();
    let provider = serde_json::to_value(ProviderSettings::default()).unwrap();
    code["providers"]["ideogram"] = provider;
    for (at, schema) in nodes() {
        let members = code.pointer(&at).and_then(Value::as_object);
        for (name, _) in members.into_iter().flatten() {
            let there = &schema["properties"][name];
            let derived = DERIVED.contains(&name.as_str());
            if there.is_null() != derived && schema["additionalProperties"] == false {
                missing.push(format!("the schema lacks {at}/{name}"));
            }
        }
    }
    for section in ["logging", "cost_guard", "repo_agent"] {
        let problems = judged(&with(&format!("/{section}"), json!({"?": 1})));
        let rule = &problems[0].rule;
        let (_, known) = rule.split_once("known are ").unwrap();
        let known: BTreeSet<&str> = known.split(", ").collect();
        let schema = config_schema();
        let members = schema["properties"][section]["properties"].as_object();
        let described: BTreeSet<&str> = members.unwrap().keys().map(String::as_str).collect();
        assert_eq!(known, described, "{section}");
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn every_edge_of_the_schema_is_an_edge_of_the_code() {
    let mut broken = Vec::new();
    let mut edges = 0;
    let mut expect = |at: &str, value: Value, good: bool| {
        edges += 1;
        let found = judged(&with(at, value.clone()));
        let shown: String = value.to_string().chars().take(60).collect();
        if found.is_empty() != good {
            broken.push(format!("{at} = {shown} should be good: {good}; {found:?}"));
        }
    };
    for (at, schema) in nodes() {
        if at.is_empty() {
            continue;
        }
        let is = types(&schema);
        if is.contains("integer") {
            let (min, max) = (&schema["minimum"], &schema["maximum"]);
            let (min, max) = (min.as_i64().unwrap(), max.as_i64().unwrap());
            for (value, good) in [(min - 1, false), (min, true), (max, true), (max + 1, false)] {
                expect(&at, json!(value), good);
            }
            expect(&at, json!(min as f64 + 0.5), false);
        }
        if let Some(words) = schema["enum"].as_array() {
            for word in words.iter().filter(|word| **word != "DEBUG") {
                // A provider of another adapter has the default's rules too.
                expect(&at, word.clone(), true);
            }
            expect(&at, json!("no such word"), false);
        }
        if let Some(max) = schema["maxItems"].as_u64() {
            let item = sample().pointer(&format!("{at}/0")).unwrap().clone();
            let many = vec![item; usize::try_from(max).unwrap() + 1];
            expect(&at, json!(many), false);
        }
        if let Some(max) = schema["maxLength"].as_u64() {
            let long = "x".repeat(usize::try_from(max).unwrap() + 1);
            expect(&at, json!(long), false);
            expect(&at, json!(""), false);
        }
        if let Some(pattern) = schema["pattern"].as_str() {
            let host = pattern.starts_with("^[^*");
            expect(&at, json!(if host { "a/b" } else { "!" }), false);
        }
        let wrong = if is.contains("string") || !schema["enum"].is_null() {
            json!(7)
        } else {
            json!("text")
        };
        // Rows of models and prices are judged by the adapters (`provider_adapters::check_config`).
        let row = at.contains("/models/") || at.contains("/prices/");
        if !is.is_empty() && (!row || at.starts_with("/routing")) {
            expect(&at, wrong, false);
        }
        // Null where the schema allows it, and nowhere else.
        let null = is.contains("null")
            || schema["enum"]
                .as_array()
                .is_some_and(|all| all.contains(&Value::Null));
        if schema["anyOf"].is_null() && !row {
            expect(&at, Value::Null, null);
        }
        if schema["additionalProperties"] == false {
            let mut value = sample().pointer(&at).unwrap().clone();
            value["no_such_member"] = json!(1);
            expect(&at, value, false);
        }
        for name in schema["required"].as_array().into_iter().flatten() {
            let mut value = sample().pointer(&at).unwrap().clone();
            value
                .as_object_mut()
                .unwrap()
                .remove(name.as_str().unwrap());
            expect(&at, value, false);
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(edges > 300, "{edges}");
}

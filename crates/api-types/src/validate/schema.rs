//! The configuration's form as JSON Schema, for who checks it before sending: the console, editors of instance files.
//!
//! In scope: members, types, words, ranges, lengths. Out of scope: what needs more than one member or the world outside
//! (which provider is there, whether a host is public); only [`super::validate_config`] judges those. The tests hold the
//! two together.

use super::sections::MAX_USD_MICROS;
use super::{ADAPTERS, LOCATION_HINTS};
use serde_json::{Map, Value, json};

/// JSON Schema (2020-12) of what people edit of an instance: `config` of `POST` and `PATCH /instance`.
pub fn config_schema() -> Value {
    let mut schema = closed(&[
        (
            "rate_limits",
            named(closed(&[
                ("rpm", maybe(integer(1, 6_000))),
                ("tpm", maybe(integer(1, 100_000_000))),
                ("max_inflight_images", maybe(integer(1, 1_000))),
                ("windows", list(4, window())),
            ])),
        ),
        ("r2_bucket", maybe(bucket())),
        (
            "environment",
            maybe(json!({"type": "string", "minLength": 1, "maxLength": 40})),
        ),
        ("protected", flag()),
        ("location_hint", words(LOCATION_HINTS, true)),
        ("cdn_base_url", maybe(url())),
        ("providers", at_most(40, named(provider()))),
        ("routing", routing()),
        (
            "queue",
            closed(&[
                ("on_limit", words(&["reject", "queue"], false)),
                ("max_depth", integer(1, 10_000)),
                ("max_depth_project", integer(1, 10_000)),
                ("max_wait_s", integer(60, 86_400)),
                ("weights", named(integer(1, 100))),
            ]),
        ),
        ("budgets", list(100, budget())),
        ("storage", storage()),
        ("sync_timeout_ms", maybe(integer(1_000, 900_000))),
        ("quality_check", words(&["off", "warn", "strict"], false)),
        ("webhook_hosts", list(50, host())),
        (
            "logging",
            section(&[
                ("level", words(&["DEBUG", "INFO", "WARN", "ERROR"], true)),
                ("retention_days", maybe(integer(1, 90))),
                (
                    "debug_until",
                    maybe(json!({"type": "string", "format": "date-time"})),
                ),
                ("prompts", maybe(flag())),
            ]),
        ),
        (
            "cost_guard",
            section(&[
                ("daily_usd_micros", maybe(integer(1, MAX_USD_MICROS))),
                ("monthly_usd_micros", maybe(integer(1, MAX_USD_MICROS))),
                ("action", words(&["pause", "alert"], true)),
                (
                    "d1_rows_written_daily",
                    maybe(integer(1, 1_000_000_000_000)),
                ),
            ]),
        ),
        ("repo_agent", repo_agent()),
    ]);
    if let Some(members) = schema.as_object_mut() {
        let dialect = "https://json-schema.org/draft/2020-12/schema";
        members.insert("$schema".into(), dialect.into());
        members.insert("title".into(), "Configuration of an instance".into());
    }
    schema
}

fn window() -> Value {
    with_all(closed(&[
        ("requests", integer(1, 100_000)),
        ("per_ms", integer(1_000, 3_600_000)),
    ]))
}

fn provider() -> Value {
    // The empty name stands for the provider's own.
    let adapters = std::iter::once("").chain(ADAPTERS.iter().map(|(name, _)| *name));
    let adapters: Vec<&str> = adapters.collect();
    closed(&[
        ("adapter", words(&adapters, false)),
        ("enabled", flag()),
        ("base_url", maybe(url())),
        ("api_version", maybe(text())),
        ("account", maybe(text())),
        ("default_model", maybe(text())),
        ("allowed_models", json!({"type": "array", "items": text()})),
        ("allow_private_host", flag()),
        ("extra_result_hosts", list(20, place())),
        ("extra_api_hosts", list(20, place())),
        (
            "extra_headers",
            json!({
                "type": "object", "propertyNames": {"pattern": "^[cC][fF]-[aA][iI][gG]-"}, "additionalProperties": text(),
            }),
        ),
        ("webhook", words(&["off", "on"], false)),
        ("timeout_ms", integer(1_000, 900_000)),
        ("models", list(100, json!({"type": "object"}))),
        ("prices", list(500, json!({"type": "object"}))),
    ])
}

fn routing() -> Value {
    let one = json!({"type": "string", "pattern": "^[^/]+/.+"});
    let mut fallback = list(4, one);
    fallback["uniqueItems"] = true.into();
    closed(&[
        ("default_provider", maybe(slug())),
        ("default_model", maybe(text())),
        (
            "fallback",
            json!({"anyOf": [words(&["auto", "none"], false), fallback]}),
        ),
        (
            "optimize",
            words(&["cost", "speed", "quality", "balanced"], false),
        ),
        ("fallback_on_safety", flag()),
        ("max_attempts", integer(1, 5)),
        ("unknown_price", words(&["refuse", "allow"], false)),
        ("models", json!({"type": "array", "items": text()})),
    ])
}

fn budget() -> Value {
    with_all(closed(&[
        (
            "scope",
            json!({"type": "string", "pattern": "^(instance|provider:.+|project:.+|key:.+)$"}),
        ),
        ("period", words(&["day", "month"], false)),
        ("limit_usd_micros", integer(1, MAX_USD_MICROS)),
    ]))
}

fn storage() -> Value {
    let retention = [
        ("retention_days", maybe(integer(1, 3_650))),
        ("keep_last", maybe(integer(1, 1_000_000))),
        ("max_bytes", maybe(integer(1, 1 << 53))),
    ];
    let mut members = vec![
        ("r2_buckets", list(20, bucket())),
        ("visibility", words(&["private", "public"], false)),
        ("url_ttl_s", integer(60, 604_800)),
        ("projects", at_most(1_000, named(closed(&retention)))),
    ];
    members.extend(retention);
    closed(&members)
}

fn repo_agent() -> Value {
    section(&[
        ("max_concurrent", maybe(integer(1, 100))),
        ("max_per_user", maybe(integer(1, 100))),
        ("max_waiting", maybe(integer(0, 10_000))),
        ("wall_ms", maybe(integer(60_000, 7_200_000))),
        ("repeats", maybe(integer(1, 5))),
        ("llm_usd_micros", maybe(integer(0, 50_000_000))),
        ("retention_days", maybe(integer(1, 90))),
        ("allow_test_network", maybe(flag())),
        ("allow_ci_files", maybe(flag())),
        ("planner", words(&["recipe", "llm"], true)),
        ("allowed_hosts", maybe(list(50, host()))),
    ])
}

fn integer(min: i64, max: i64) -> Value {
    json!({"type": "integer", "minimum": min, "maximum": max})
}

fn flag() -> Value {
    json!({"type": "boolean"})
}

fn text() -> Value {
    json!({"type": "string"})
}

fn url() -> Value {
    json!({"type": "string", "format": "uri", "pattern": "^https?://"})
}

fn host() -> Value {
    json!({"type": "string", "pattern": "^[^*:/?#@]+$"})
}

/// A host, with a port or with `*.` for all names below it.
fn place() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": 253})
}

fn slug() -> Value {
    json!({"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"})
}

fn bucket() -> Value {
    json!({"type": "string", "pattern": "^[a-z0-9-]{3,63}$"})
}

fn words(words: &[&str], or_null: bool) -> Value {
    let mut all: Vec<Value> = words.iter().map(|word| json!(word)).collect();
    all.extend(or_null.then_some(Value::Null));
    json!({ "enum": all })
}

/// That, or null for the default.
fn maybe(mut schema: Value) -> Value {
    schema["type"] = json!([schema["type"], "null"]);
    schema
}

fn list(max: usize, item: Value) -> Value {
    let mut schema = json!({"type": "array", "maxItems": max});
    schema["items"] = item;
    schema
}

/// An object whose members have names of their own.
fn named(value: Value) -> Value {
    let mut schema = json!({"type": "object"});
    schema["additionalProperties"] = value;
    schema
}

fn at_most(max: usize, mut schema: Value) -> Value {
    schema["maxProperties"] = max.into();
    schema
}

/// An object of those members and no others.
fn closed(members: &[(&str, Value)]) -> Value {
    let properties: Map<String, Value> = members
        .iter()
        .map(|(name, schema)| ((*name).to_owned(), schema.clone()))
        .collect();
    json!({"type": "object", "additionalProperties": false, "properties": properties})
}

/// The same, or null for an empty one.
fn section(members: &[(&str, Value)]) -> Value {
    maybe(closed(members))
}

/// None of its members may be missing.
fn with_all(mut schema: Value) -> Value {
    let names = schema["properties"].as_object();
    let names: Vec<&String> = names.into_iter().flat_map(Map::keys).collect();
    schema["required"] = json!(names);
    schema
}

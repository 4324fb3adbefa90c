//! Adapters and simulator against the vendors' own API descriptions, so that they cannot share one misunderstanding.
//!
//! The descriptions are read from `PROVIDER_SPECS_DIR`, or from `shared/provider-specs` beside the repository; without
//! them nothing is checked, which `REQUIRE_PROVIDER_SPECS=1` makes a failure.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use api_types::{ImageOptions, ProviderName, ProviderSettings};
use base64::Engine;
use jsonschema::Validator;
use platform::{HttpClient, HttpRequest};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use provider_adapters::capability::Dialect;
use provider_adapters::{Body, FormatContext, ImageAdapter, catalog, registry};
use provider_sim::{SimConfig, Simulator};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use support::{NativeHttp, Run};

/// Random option sets a model.
const SETS: usize = 20;

/// What the descriptions lag behind in, each with its reason.
const LAGS: &[(&str, &str, &str)] = &[
    (
        "openai",
        "/quality",
        "2026-11: qualities xhigh and max of the 2.5 models are not in the description",
    ),
    ("openai", "answer:/quality", "2026-11: the same in answers"),
    (
        "openai",
        "answer:/size",
        "2026-11: answers list three sizes although free sizes can be asked for",
    ),
];

fn specs() -> Option<PathBuf> {
    let dir = std::env::var_os("PROVIDER_SPECS_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/provider-specs"),
        PathBuf::from,
    );
    dir.is_dir().then_some(dir)
}

/// A validator of one schema of a description, with the description as the root document.
fn validator(dir: &std::path::Path, file: &str, schema: &str) -> Validator {
    let text = std::fs::read_to_string(dir.join(file)).unwrap();
    let mut root: Value = serde_json::from_str(&text).unwrap();
    nullable(&mut root);
    root["$ref"] = json!(format!("#/components/schemas/{schema}"));
    root.as_object_mut().unwrap().shift_remove("openapi");
    jsonschema::validator_for(&root).unwrap()
}

/// The older `nullable: true` as JSON Schema says it.
fn nullable(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(nullable);
            if members.get("nullable") == Some(&json!(true)) {
                if let Some(kind) = members.get("type").cloned().filter(Value::is_string) {
                    members.insert("type".to_owned(), json!([kind, "null"]));
                }
                if let Some(Value::Array(words)) = members.get_mut("enum") {
                    words.push(Value::Null);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(nullable),
        _ => {}
    }
}

fn complaints(validator: &Validator, value: &Value, vendor: &str, prefix: &str) -> Vec<String> {
    validator
        .iter_errors(value)
        .map(|error| {
            (
                format!("{prefix}{}", error.instance_path()),
                error.to_string(),
            )
        })
        .filter(|(at, _)| {
            !LAGS
                .iter()
                .any(|(lagging, path, _)| *lagging == vendor && path == at)
        })
        .map(|(at, text)| format!("{at}: {}", text.chars().take(300).collect::<String>()))
        .collect()
}

/// What the descriptions leave open: members that they do not name, and rules between members.
fn walk(dir: &std::path::Path, file: &str, schema: &str, body: &Value) -> Vec<String> {
    let root: Value =
        serde_json::from_str(&std::fs::read_to_string(dir.join(file)).unwrap()).unwrap();
    let known = root["components"]["schemas"][schema]["properties"]
        .as_object()
        .unwrap();
    let has = |name: &str| body.get(name).is_some();
    let mut found: Vec<String> = body
        .as_object()
        .unwrap()
        .keys()
        .filter(|name| !known.contains_key(*name))
        .cloned()
        .collect();
    for (left, right) in [
        ("resolution", "aspect_ratio"),
        ("style_preset", "style_codes"),
    ] {
        if has(left) && has(right) {
            found.push(format!("{left} with {right}"));
        }
    }
    if body
        .get("model")
        .and_then(Value::as_str)
        .is_some_and(|model| model.starts_with("gpt-image"))
        && has("response_format")
    {
        found.push("response_format on a GPT image model".to_owned());
    }
    found
}

fn ideogram_schema(model: &str) -> Option<&'static str> {
    match model {
        // Nobody describes the last three; by the vendor's reference pages they are close to the first.
        "ideogram-3" | "ideogram-3-character" | "ideogram-2" | "ideogram-2a" => {
            Some("GenerateIdeogram3Request")
        }
        "ideogram-3-transparent" => Some("GenerateIdeogram3TransparentRequest"),
        "ideogram-4" => Some("GenerateIdeogram4Request"),
        "ideogram-4-5" => Some("GenerateIdeogram45Request"),
        _ => None,
    }
}

/// Members that a model has by the vendor's reference pages, and no description.
fn undescribed(model: &str) -> &'static [&'static str] {
    match model {
        "ideogram-3-character" => &["character_reference_collection_id"],
        // Its styles `render_3d` and `anime`.
        "ideogram-2" | "ideogram-2a" => &["style_type"],
        _ => &[],
    }
}

/// The options with what the model cannot do without.
fn with_needs(
    model: &provider_adapters::capability::Model,
    mut options: ImageOptions,
) -> ImageOptions {
    for need in &model.needs {
        options.provider_options.insert(need.clone(), json!("c1"));
    }
    options
}

fn option_sets(
    adapter: &ImageAdapter,
    model: &provider_adapters::capability::Model,
) -> Vec<ImageOptions> {
    let form = catalog::form(model);
    let mut runner = TestRunner::deterministic();
    let dice = proptest::collection::vec(any::<u64>(), 16);
    let mut sets = vec![with_needs(model, ImageOptions::default())];
    while sets.len() < SETS {
        let rolls = dice.new_tree(&mut runner).unwrap().current();
        let mut options = json!({});
        for (index, (name, schema)) in form["properties"].as_object().unwrap().iter().enumerate() {
            let roll = rolls[index];
            if roll.is_multiple_of(2) {
                options[name] = pick(schema, roll / 2);
            }
        }
        if roll_size(&rolls) {
            options["size"] = json!(format!(
                "{}x{}",
                rolls[14] % 3_000 + 300,
                rolls[15] % 3_000 + 300
            ));
        }
        if options.get("size").is_some() {
            options
                .as_object_mut()
                .unwrap()
                .shift_remove("aspect_ratio");
        }
        let options = with_needs(model, serde_json::from_value(options).unwrap());
        if adapter.fit(model, "x", &options).is_ok() {
            sets.push(options);
        }
    }
    sets
}

fn roll_size(rolls: &[u64]) -> bool {
    rolls[13].is_multiple_of(3)
}

fn pick(schema: &Value, roll: u64) -> Value {
    if let Some(values) = schema["enum"].as_array() {
        return values[roll as usize % values.len()].clone();
    }
    match schema["type"].as_str().unwrap() {
        "integer" => json!(schema["minimum"].as_u64().unwrap() + roll % 8),
        "boolean" => json!(roll.is_multiple_of(2)),
        _ => json!("fog"),
    }
}

#[test]
fn every_request_is_what_the_vendor_describes() {
    let Some(dir) = specs() else {
        assert!(
            std::env::var_os("REQUIRE_PROVIDER_SPECS").is_none(),
            "the descriptions are missing"
        );
        println!("contract: 0 checked, no specs");
        return;
    };
    let mut checked = 0;
    let mut wrong = Vec::new();
    for vendor in ["ideogram", "openai"] {
        let adapter = registry::image(
            &ProviderName::parse(vendor).unwrap(),
            &ProviderSettings::default(),
        )
        .unwrap();
        for model in adapter
            .profile()
            .models()
            .iter()
            .filter(|model| model.dialect == Dialect::Vendor)
        {
            let (file, schema) = match vendor {
                "openai" => ("openai-images.openapi.json", Some("CreateImageRequest")),
                _ => (
                    "ideogram-v2.transcribed.openapi.json",
                    ideogram_schema(&model.id),
                ),
            };
            // Models that nobody describes get the members that all share.
            let schema = schema.unwrap_or("GenerateIdeogram4Request");
            let validator = validator(&dir, file, schema);
            for options in option_sets(&adapter, model) {
                let context = FormatContext {
                    model: &model.id,
                    job_id: "j",
                    attempt_no: 1,
                };
                let formatted = adapter
                    .format_request("a lighthouse", &options, &context)
                    .unwrap();
                let Body::Json(body) = &formatted.parts[0].body else {
                    continue;
                };
                let mut described = body.clone();
                for member in undescribed(&model.id) {
                    described.as_object_mut().unwrap().shift_remove(*member);
                }
                let mut found = complaints(&validator, &described, vendor, "");
                found.extend(walk(&dir, file, schema, &described));
                if !found.is_empty() {
                    wrong.push(format!("{}: {body}: {found:?}", model.id));
                }
                checked += 1;
            }
        }
    }
    let images = validator(&dir, "openai-images.openapi.json", "CreateImageRequest");
    let broken = json!({"prompt":"x","n":11,"moderation":"strict"});
    assert_eq!(
        complaints(&images, &broken, "openai", "").len(),
        2,
        "the check must be able to fail"
    );
    println!("contract: {checked} requests checked");
    assert!(checked >= 21 * SETS, "{checked}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

async fn asked(
    sim: &Simulator,
    method: http::Method,
    url: String,
    key: (&'static str, String),
    body: &Value,
) -> Value {
    let mut headers = http::HeaderMap::new();
    headers.insert("content-type", "application/json".parse().unwrap());
    headers.insert(key.0, key.1.parse().unwrap());
    let body = if body.is_null() {
        bytes::Bytes::new()
    } else {
        body.to_string().into()
    };
    let request = HttpRequest {
        method,
        url,
        headers,
        body,
        timeout_ms: 30_000,
    };
    let response = NativeHttp::new().send(request).await.unwrap();
    let body = platform::collect(response.body, 64 << 20).await.unwrap();
    assert!(sim.violations().is_empty());
    serde_json::from_slice(&body).unwrap()
}

#[tokio::test]
async fn every_answer_of_the_simulator_is_what_the_vendor_describes() {
    let Some(dir) = specs() else {
        println!("contract: 0 checked, no specs");
        return;
    };
    let config = SimConfig {
        pending_ms: 300,
        min_poll_gap_ms: 0,
        ..SimConfig::default()
    };
    let sim = Arc::new(Simulator::start(config).await.unwrap());
    let ideogram = |path: &str| format!("{}{path}", sim.base("ideogram"));
    let key = || ("api-key", "sim-ok-acme".to_owned());
    let file = "ideogram-v2.transcribed.openapi.json";
    let mut wrong = Vec::new();
    let mut checked = 0;
    let mut check = |vendor: &str, schema: &str, answer: &Value| {
        let file = if vendor == "openai" {
            "openai-images.openapi.json"
        } else {
            file
        };
        let found = complaints(&validator(&dir, file, schema), answer, vendor, "answer:");
        checked += 1;
        if !found.is_empty() {
            wrong.push(format!("{schema}: {answer}: {found:?}"));
        }
    };
    let post = http::Method::POST;
    let url = ideogram("/v2/image/generate/ideogram-3");
    let job = asked(
        &sim,
        post.clone(),
        url.clone(),
        key(),
        &json!({"prompt":"x","async":true,"num_images":2}),
    )
    .await;
    check("ideogram", "GenerateResponse", &job);
    let status = ideogram(&format!(
        "/v2/generations/{}",
        job["generation_id"].as_str().unwrap()
    ));
    check(
        "ideogram",
        "GenerationResponse",
        &asked(&sim, http::Method::GET, status.clone(), key(), &Value::Null).await,
    );
    tokio::time::sleep(std::time::Duration::from_millis(400)).await;
    let completed = asked(&sim, http::Method::GET, status, key(), &Value::Null).await;
    assert_eq!(completed["status"], "completed");
    check("ideogram", "GenerationResponse", &completed);
    let refused = |word: &'static str| {
        (
            url.clone(),
            json!({"prompt": format!("x sim:{word}"), "async": true}),
        )
    };
    for word in ["inflight", "quota", "429"] {
        let (url, body) = refused(word);
        check(
            "ideogram",
            "GenerationErrorResponse",
            &asked(&sim, post.clone(), url, key(), &body).await,
        );
    }
    let (unsafe_url, unsafe_body) = refused("unsafe");
    check(
        "ideogram",
        "SafetyError",
        &asked(&sim, post.clone(), unsafe_url, key(), &unsafe_body).await,
    );
    let quote = asked(
        &sim,
        post.clone(),
        format!("{url}?dry_run=true"),
        key(),
        &json!({"prompt":"x"}),
    )
    .await;
    check("ideogram", "PriceQuote", &quote);
    let bearer = ("authorization", "Bearer sim-ok-acme".to_owned());
    let images = asked(
        &sim,
        post,
        format!("{}/images/generations", sim.base("openai")),
        bearer,
        &json!({"prompt":"x","model":"gpt-image-2","quality":"low","size":"1024x1024"}),
    )
    .await;
    let decoded = base64::engine::general_purpose::STANDARD
        .decode(images["data"][0]["b64_json"].as_str().unwrap())
        .unwrap();
    assert!(decoded.starts_with(b"\x89PNG"));
    check("openai", "ImagesResponse", &images);
    println!("contract: {checked} answers checked");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn what_the_adapter_asks_for_costs_what_the_simulator_quotes() {
    // Two price tables, kept apart on purpose: they may differ only where one of them knows nothing.
    let sim = Arc::new(Simulator::start(SimConfig::default()).await.unwrap());
    let run = Run::new(&sim, "ideogram", "sim-ok-acme");
    let now = run.deadline(0);
    let profile = run.adapter.profile();
    let mut compared = 0;
    for model in profile
        .models()
        .iter()
        .filter(|model| !model.qualities.is_empty())
    {
        for quality in &model.qualities {
            let options = with_needs(
                model,
                ImageOptions {
                    quality: Some(*quality),
                    n: 2,
                    ..ImageOptions::default()
                },
            );
            let context = FormatContext {
                model: &model.id,
                job_id: "j",
                attempt_no: 1,
            };
            let formatted = run.adapter.format_request("x", &options, &context).unwrap();
            let estimate = run
                .adapter
                .estimate_cost(model, &formatted.effective, "x", now)
                .unwrap();
            let Body::Json(body) = &formatted.parts[0].body else {
                continue;
            };
            let url = format!("{}?dry_run=true", formatted.parts[0].url);
            let quote = asked(
                &sim,
                http::Method::POST,
                url,
                ("api-key", "sim-ok-acme".to_owned()),
                body,
            )
            .await;
            assert_eq!(
                quote["usd_micros"], estimate.usd_micros,
                "{} {quality:?}",
                model.id
            );
            compared += 1;
        }
    }
    assert_eq!(compared, 31);
    assert_eq!(sim.charges().len(), 0);
}

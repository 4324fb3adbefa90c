//! The models of an instance as a form that any client can draw.
//!
//! In scope: `GET /v1/models` without the worker. Out of scope: choosing (module `plan`).

use crate::capability::{LimitDefault, Model, Sizes};
use crate::image::ImageAdapter;
use crate::plan::{PlanRequest, plan};
use crate::price::PriceRow;
use crate::registry;
use crate::types::Flow;
use api_types::{Fallback, FallbackWord, GenerateRequest, InstanceConfig, ProviderName, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// One model of one provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelEntry {
    /// Provider.
    pub provider: ProviderName,
    /// Model.
    pub model: String,
    /// Name for people.
    pub label: String,
    /// `image`.
    pub kind: String,
    /// `poll` or `sync`.
    pub flow: String,
    /// Whether images can arrive in parts.
    pub streaming: bool,
    /// The provider's default.
    pub default: bool,
    /// The limit in force.
    pub limit: Value,
    /// Day from which it is not chosen any more.
    pub deprecated_on: Option<String>,
    /// The most characters of a prompt; null when none is known.
    pub max_prompt_chars: Option<usize>,
    /// JSON Schema of its options, with `x-order`, `x-label`, `x-advanced`, `x-excludes`, `x-multiplies`.
    pub form: Value,
    /// Prices that are valid now.
    pub prices: Vec<Value>,
}

/// All models that the instance can use: those that a request without options could go to.
pub fn catalog(config: &InstanceConfig, now: Timestamp) -> Vec<ModelEntry> {
    catalog_of(config, now, |_, _| true)
}

/// Those of [`catalog`] that are wanted, by provider and model; nothing is worked out for the others.
pub fn catalog_of(
    config: &InstanceConfig,
    now: Timestamp,
    wanted: impl Fn(&ProviderName, &str) -> bool,
) -> Vec<ModelEntry> {
    let mut entries = Vec::new();
    for (name, settings) in &config.edited.providers {
        let Ok(adapter) = registry::image(name, settings) else {
            continue;
        };
        let limit = config
            .edited
            .rate_limits
            .get(name)
            .and_then(|limit| limit.max_inflight_images);
        let profile = adapter.profile();
        let default = profile.default_model().map(|model| model.id.clone());
        for model in profile.models() {
            if !wanted(name, &model.id) || !is_usable(config, name, model, now) {
                continue;
            }
            let prices = profile.prices();
            entries.push(ModelEntry {
                provider: name.clone(),
                model: model.id.clone(),
                label: model.label.clone(),
                kind: "image".to_owned(),
                flow: match adapter.flow() {
                    Flow::Poll => "poll".to_owned(),
                    Flow::Sync => "sync".to_owned(),
                },
                streaming: adapter.supports_streaming(),
                default: default.as_deref() == Some(&model.id),
                limit: limit_value(&adapter, limit),
                deprecated_on: model.deprecated_on.clone(),
                max_prompt_chars: Some(model.max_prompt_chars).filter(|most| *most > 0),
                form: form(model),
                prices: prices.rows_of(&model.id, now).map(price_value).collect(),
            });
        }
    }
    entries
}

/// Whether the plan has a candidate where exactly this model is asked for. Asking it keeps the list and `POST /generate` of
/// one mind. A breaker is no filter here: it is open for moments.
fn is_usable(config: &InstanceConfig, name: &ProviderName, model: &Model, now: Timestamp) -> bool {
    let request = GenerateRequest {
        prompt: "a".to_owned(),
        provider: Some(name.to_string()),
        model: Some(model.id.clone()),
        fallback: Some(Fallback::Word(FallbackWord::None)),
        ..GenerateRequest::default()
    };
    let planned = plan(&PlanRequest::new(&request), config, now, &BTreeMap::new());
    // The name of the vendor's own choice, `auto`, is no model's name in a request.
    planned
        .candidates
        .first()
        .is_some_and(|first| first.model == model.id)
}

fn limit_value(adapter: &ImageAdapter, configured: Option<u32>) -> Value {
    let default = match adapter.profile().data().limit {
        LimitDefault::InFlightImages { default } => Some(default),
        LimitDefault::None {} => None,
    };
    match configured.or(default) {
        Some(value) => json!({"kind": "in_flight_images", "value": value}),
        None => json!({"kind": "none"}),
    }
}

fn price_value(row: &PriceRow) -> Value {
    let mut value = serde_json::to_value(row).unwrap_or_default();
    if let Some(members) = value.as_object_mut() {
        for name in ["model", "source", "from"] {
            members.remove(name);
        }
    }
    value
}

/// The form of a model's options: every value that it admits formats without a warning.
pub fn form(model: &Model) -> Value {
    let mut fields: Vec<(&str, Value)> = Vec::new();
    let shaped = !model.ratios.is_empty();
    if shaped {
        let first = model.ratios.first();
        let mut field =
            json!({"type":"string","enum":model.ratios,"default":first,"x-label":"Aspect ratio"});
        if matches!(model.sizes, Sizes::List { .. }) {
            set(&mut field, "x-excludes", json!(["size"]));
        }
        fields.push(("aspect_ratio", field));
    }
    if let Sizes::List { values } | Sizes::Multiple { values, .. } = &model.sizes {
        let mut field = json!({"type":"string","enum":values,"x-label":"Size"});
        if shaped {
            set(&mut field, "x-excludes", json!(["aspect_ratio"]));
            set(&mut field, "x-advanced", json!(true));
        } else if let Some(first) = values.first() {
            set(&mut field, "default", json!(first));
        }
        fields.push(("size", field));
    }
    if !model.qualities.is_empty() {
        fields.push((
            "quality",
            json!({"type":"string","enum":model.qualities,"default":"medium","x-label":"Quality"}),
        ));
    }
    fields.push(("n", json!({"type":"integer","minimum":1,"maximum":model.max_n(),"default":1,"x-label":"Images","x-multiplies":"price"})));
    if model.has("style") {
        let styles: Vec<&String> = model.styles.iter().chain(&model.style_presets).collect();
        fields.push((
            "style",
            json!({"type":"string","enum":styles,"x-label":"Style"}),
        ));
    }
    if let Some([low, high]) = model.seed {
        fields.push(("seed", json!({"type":"integer","minimum":low.max(1),"maximum":high,"x-label":"Seed","x-advanced":true})));
    }
    if model.has("negative_prompt") {
        fields.push(("negative_prompt", json!({"type":"string","maxLength":10_000,"x-label":"Not in the picture","x-advanced":true})));
    }
    if model.formats.len() > 1 {
        fields.push(("format", json!({"type":"string","enum":model.formats,"default":model.default_format(),"x-label":"Format","x-advanced":true})));
    }
    if model.has("background") {
        let kinds = if model.transparent {
            json!(["opaque", "transparent"])
        } else {
            json!(["opaque"])
        };
        fields.push(("background", json!({"type":"string","enum":kinds,"x-label":"Background","x-help":"Transparent needs PNG or WebP.","x-advanced":true})));
    }
    if model.has("enhance_prompt") {
        fields.push((
            "enhance_prompt",
            json!({"type":"boolean","x-label":"Improve the prompt","x-advanced":true}),
        ));
    }
    if model.has("moderation") {
        fields.push(("moderation", json!({"type":"string","enum":["default","low"],"default":"default","x-label":"Moderation","x-advanced":true})));
    }
    let mut properties = Map::new();
    for (order, (name, mut field)) in fields.into_iter().enumerate() {
        set(&mut field, "x-order", json!(order + 1));
        properties.insert(name.to_owned(), field);
    }
    json!({"type":"object","properties":properties})
}

fn set(field: &mut Value, name: &str, value: Value) {
    if let Some(members) = field.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}

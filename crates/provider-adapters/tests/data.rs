//! The data files: their form, and what must hold between their rows.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use api_types::{ImageFormat, ImageOptions, ProviderName, ProviderSettings, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use provider_adapters::capability::{Model, Sizes, VendorData, vendor_data};
use provider_adapters::price::{Basis, PriceRow};
use provider_adapters::size::{Bounds, Size, parse_ratio};
use provider_adapters::{Body, FormatContext, ImageAdapter, catalog, default_limit, registry};
use serde_json::{Value, json};

const VENDORS: [&str; 2] = ["ideogram", "openai"];

fn data(vendor: &str) -> &'static VendorData {
    vendor_data(vendor).unwrap().unwrap()
}

fn adapter(vendor: &str) -> ImageAdapter {
    registry::image(
        &ProviderName::parse(vendor).unwrap(),
        &ProviderSettings::default(),
    )
    .unwrap()
}

#[test]
fn every_adapter_of_the_configuration_has_data() {
    let known: Vec<&str> = api_types::ADAPTERS.iter().map(|(name, _)| *name).collect();
    assert_eq!(known, VENDORS);
    assert!(vendor_data("midjourney").is_none());
}

#[test]
fn files_have_the_form_of_the_schema_and_are_small() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let schema: Value =
        serde_json::from_str(&std::fs::read_to_string(dir.join("schema.json")).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for vendor in VENDORS {
        let text = std::fs::read_to_string(dir.join(format!("{vendor}.json"))).unwrap();
        assert!(text.len() <= 200 * 1024);
        let value: Value = serde_json::from_str(&text).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&value)
            .map(|error| format!("{} {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{vendor}: {errors:#?}");
        let mut broken = value;
        broken["models"][0]["sizes"] = json!({"kind": "any"});
        assert!(
            !validator.is_valid(&broken),
            "the schema must refuse something"
        );
    }
}

#[test]
fn names_are_unique_and_one_model_is_the_default() {
    for vendor in VENDORS {
        let models = &data(vendor).models;
        assert_eq!(
            models.iter().filter(|model| model.default).count(),
            1,
            "{vendor}"
        );
        let mut names = std::collections::BTreeSet::new();
        for name in models.iter().flat_map(|model| {
            let variants = model.variants.iter().map(|variant| &variant.name);
            std::iter::once(&model.id)
                .chain(&model.aliases)
                .chain(variants)
        }) {
            assert!(names.insert(name), "{vendor}: {name} twice");
        }
        for model in models {
            if let Some(next) = &model.replaced_by {
                assert!(models.iter().any(|model| model.id == *next), "{next}");
            }
            for quality in &model.qualities {
                let words = &model.wire.quality.as_ref().unwrap().values;
                assert!(words.contains_key(quality), "{}: {quality:?}", model.id);
            }
            for variant in &model.variants {
                assert!(model.qualities.contains(&variant.quality), "{variant:?}");
            }
            for need in &model.needs {
                assert!(model.passthrough.contains_key(need), "{}: {need}", model.id);
            }
        }
    }
}

#[test]
fn sizes_and_ratios_are_well_formed_and_inside_their_own_bounds() {
    for model in VENDORS.iter().flat_map(|vendor| &data(vendor).models) {
        for ratio in &model.ratios {
            assert!(parse_ratio(ratio).is_some(), "{}: {ratio}", model.id);
        }
        assert_eq!(
            model.wire.ratio.is_some(),
            !model.ratios.is_empty(),
            "{}",
            model.id
        );
        match &model.sizes {
            Sizes::List { values } => {
                assert!(model.wire.size.is_some());
                assert!(
                    values.iter().all(|text| Size::parse(text).is_some()),
                    "{}",
                    model.id
                );
            }
            Sizes::Multiple {
                of,
                min,
                max,
                max_pixels,
                max_ratio,
                values,
            } => {
                assert!(model.wire.size.is_some());
                let bounds = Bounds {
                    of: *of,
                    min: *min,
                    max: *max,
                    max_pixels: *max_pixels,
                    max_ratio: *max_ratio,
                };
                for text in values {
                    assert!(
                        bounds.holds(Size::parse(text).unwrap()),
                        "{}: {text}",
                        model.id
                    );
                }
            }
            Sizes::RatioOnly {} => assert!(!model.ratios.is_empty()),
            Sizes::Fixed { value } => assert!(Size::parse(value).is_some()),
        }
    }
    assert!(
        matches!(&data("ideogram").models[0].sizes, Sizes::List { values } if values.len() == 69)
    );
}

#[test]
fn default_limits_are_the_vendors() {
    assert_eq!(default_limit("ideogram"), Some(10));
    assert_eq!(default_limit("openai"), None);
    assert_eq!(default_limit("nobody"), None);
}

/// The options with what the model cannot do without.
fn with_needs(model: &Model, mut options: ImageOptions) -> ImageOptions {
    for need in &model.needs {
        options.provider_options.insert(need.clone(), json!("c1"));
    }
    options
}

fn overlap(left: &PriceRow, right: &PriceRow) -> bool {
    let ends = |row: &PriceRow| row.until.clone().unwrap_or_else(|| "9999".to_owned());
    let days = left.from < ends(right) && right.from < ends(left);
    left.competes(right) && days
}

#[test]
fn no_request_matches_two_equal_price_rows() {
    for vendor in VENDORS {
        let prices = &data(vendor).prices;
        for (index, row) in prices.iter().enumerate() {
            for other in &prices[index + 1..] {
                assert!(!overlap(row, other), "{vendor}: {row:?} and {other:?}");
            }
            assert!(
                data(vendor)
                    .models
                    .iter()
                    .any(|model| model.id == row.model),
                "{}",
                row.model
            );
            assert!(!row.free);
            if row.basis == Basis::Estimate {
                assert!(row.upper_usd_micros >= row.usd_micros, "{row:?}");
            }
        }
    }
}

#[test]
fn every_value_of_a_priced_model_has_a_price() {
    let unpriced = [
        "ideogram-4-transparent",
        "gpt-image-2-5-sunburst",
        "gpt-image-2",
        "auto",
    ];
    let now = Timestamp::parse("2026-11-21T10:00:00Z").unwrap();
    for vendor in VENDORS {
        let adapter = adapter(vendor);
        for model in &data(vendor).models {
            let known_unpriced = vendor == "ideogram" && unpriced.contains(&model.id.as_str())
                || model.id == "gpt-image-1";
            for quality in model.qualities.iter().copied().map(Some).chain([None]) {
                let options = with_needs(
                    model,
                    ImageOptions {
                        quality,
                        ..ImageOptions::default()
                    },
                );
                let fitted = adapter.fit(model, "x", &options).unwrap();
                let priced = adapter.estimate_cost(model, &fitted.effective, "x", now);
                assert_eq!(priced.is_err(), known_unpriced, "{} {quality:?}", model.id);
            }
        }
    }
}

/// Adapter, name, id of the model, price, end.
type Name = (
    &'static str,
    &'static str,
    &'static str,
    Option<i64>,
    Option<&'static str>,
);

/// Every name that a request may call a model of Ideogram v2 or `OpenAI` by: its id, the price in micro-dollars of one
/// square image under that name alone (of OpenAI's, where it has a default: medium), and the day from which it is not chosen.
const NAMES: &[Name] = &[
    ("ideogram", "ideogram-3", "ideogram-3", Some(60_000), None),
    ("ideogram", "ideogram-v3", "ideogram-3", Some(60_000), None),
    ("ideogram", "ideogram-4", "ideogram-4", Some(60_000), None),
    ("ideogram", "ideogram-v4", "ideogram-4", Some(60_000), None),
    (
        "ideogram",
        "ideogram-4-5",
        "ideogram-4-5",
        Some(60_000),
        None,
    ),
    (
        "ideogram",
        "ideogram-3-transparent",
        "ideogram-3-transparent",
        Some(70_000),
        None,
    ),
    (
        "ideogram",
        "ideogram-4-transparent",
        "ideogram-4-transparent",
        None,
        None,
    ),
    (
        "ideogram",
        "ideogram-3-character",
        "ideogram-3-character",
        Some(150_000),
        None,
    ),
    ("ideogram", "ideogram-2", "ideogram-2", Some(80_000), None),
    ("ideogram", "ideogram-v2", "ideogram-2", Some(80_000), None),
    (
        "ideogram",
        "ideogram-v2-turbo",
        "ideogram-2",
        Some(50_000),
        None,
    ),
    ("ideogram", "ideogram-2a", "ideogram-2a", Some(40_000), None),
    (
        "ideogram",
        "ideogram-v2a",
        "ideogram-2a",
        Some(40_000),
        None,
    ),
    (
        "ideogram",
        "p-image-ideogram",
        "p-image-ideogram",
        Some(10_000),
        None,
    ),
    ("ideogram", "z-image", "z-image", Some(5_000), None),
    ("ideogram", "auto", "auto", None, None),
    (
        "ideogram",
        "gpt-image-2-5-flare",
        "gpt-image-2-5-flare",
        Some(52_900),
        None,
    ),
    (
        "ideogram",
        "gpt-image-2-5-sunburst",
        "gpt-image-2-5-sunburst",
        None,
        None,
    ),
    ("ideogram", "gpt-image-2", "gpt-image-2", None, None),
    (
        "ideogram",
        "nano-banana-2",
        "nano-banana-2",
        Some(67_200),
        None,
    ),
    (
        "ideogram",
        "nano-banana-pro",
        "nano-banana-pro",
        Some(134_400),
        None,
    ),
    (
        "openai",
        "gpt-image-2.5-flare",
        "gpt-image-2.5-flare",
        Some(13_170),
        None,
    ),
    (
        "openai",
        "gpt-image-2.5-sunburst",
        "gpt-image-2.5-sunburst",
        Some(13_170),
        None,
    ),
    ("openai", "gpt-image-2", "gpt-image-2", Some(53_000), None),
    (
        "openai",
        "gpt-image-1.5",
        "gpt-image-1.5",
        Some(34_000),
        Some("2026-12-01"),
    ),
    (
        "openai",
        "gpt-image-1-mini",
        "gpt-image-1-mini",
        Some(11_000),
        Some("2026-12-01"),
    ),
    (
        "openai",
        "gpt-image-1",
        "gpt-image-1",
        None,
        Some("2026-10-23"),
    ),
];

#[test]
fn every_documented_name_is_a_model_with_its_price_and_its_end() {
    let now = Timestamp::parse("2026-11-21T10:00:00Z").unwrap();
    for (vendor, name, id, price, end) in NAMES {
        let adapter = adapter(vendor);
        let model = adapter.profile().model(name).unwrap();
        assert_eq!(model.id, *id, "{name}");
        assert_eq!(model.deprecated_on.as_deref(), *end, "{name}");
        let options = with_needs(model, model.options_as(name, &ImageOptions::default()));
        let fitted = adapter.fit(model, "x", &options).unwrap();
        assert_eq!(fitted.warnings, [], "{name}");
        let estimate = adapter.estimate_cost(model, &fitted.effective, "", now);
        assert_eq!(estimate.ok().map(|it| it.usd_micros), *price, "{name}");
    }
    for vendor in VENDORS {
        for model in &data(vendor).models {
            let listed = NAMES
                .iter()
                .any(|row| (row.0, row.1) == (vendor, model.id.as_str()));
            assert!(listed, "{vendor}: {} is in no list", model.id);
        }
    }
}

#[test]
fn a_name_of_a_quality_gives_way_to_a_quality_that_is_asked_for() {
    let model = adapter("ideogram")
        .profile()
        .model("ideogram-v2-turbo")
        .unwrap()
        .clone();
    let asked = ImageOptions {
        quality: Some(api_types::Quality::Medium),
        ..ImageOptions::default()
    };
    assert_eq!(model.options_as("ideogram-v2-turbo", &asked), asked);
    let plain = ImageOptions::default();
    assert_eq!(model.options_as("ideogram-v2", &plain), plain);
    let draft = model.options_as("ideogram-v2-turbo", &plain).quality;
    assert_eq!(draft, Some(api_types::Quality::Draft));
}

#[test]
fn prices_of_the_vendors_are_these() {
    let now = Timestamp::parse("2026-11-21T10:00:00Z").unwrap();
    let price = |vendor: &str, model: &str, options: Value| {
        let adapter = adapter(vendor);
        let model = adapter.profile().model(model).unwrap().clone();
        let options: ImageOptions = serde_json::from_value(options).unwrap();
        let fitted = adapter.fit(&model, "x", &options).unwrap();
        adapter
            .estimate_cost(&model, &fitted.effective, "", now)
            .unwrap()
            .usd_micros
    };
    let table = [
        ("ideogram", "ideogram-3", json!({"n":1}), 60_000),
        (
            "ideogram",
            "ideogram-3",
            json!({"n":4,"quality":"draft"}),
            120_000,
        ),
        (
            "ideogram",
            "ideogram-3",
            json!({"n":1,"quality":"max"}),
            90_000,
        ),
        (
            "ideogram",
            "ideogram-4",
            json!({"n":1,"quality":"high"}),
            100_000,
        ),
        (
            "ideogram",
            "ideogram-4-5",
            json!({"n":1,"quality":"low"}),
            30_000,
        ),
        ("ideogram", "ideogram-3-transparent", json!({"n":1}), 70_000),
        ("ideogram", "ideogram-2", json!({"n":1}), 80_000),
        ("ideogram", "z-image", json!({"n":2}), 10_000),
        ("ideogram", "nano-banana-pro", json!({"n":1}), 134_400),
        (
            "openai",
            "gpt-image-2.5-flare",
            json!({"n":1,"quality":"low"}),
            5_880,
        ),
        ("openai", "gpt-image-2.5-flare", json!({"n":1}), 13_170),
        (
            "openai",
            "gpt-image-2.5-sunburst",
            json!({"n":1,"quality":"high"}),
            52_680,
        ),
        (
            "openai",
            "gpt-image-2.5-sunburst",
            json!({"n":2,"quality":"max"}),
            421_440,
        ),
        (
            "openai",
            "gpt-image-2.5-flare",
            json!({"n":1,"size":"1536x1024"}),
            10_290,
        ),
        ("openai", "gpt-image-2", json!({"n":1}), 53_000),
        (
            "openai",
            "gpt-image-1.5",
            json!({"n":1,"size":"1024x1536"}),
            50_000,
        ),
    ];
    for (vendor, model, options, usd_micros) in table {
        assert_eq!(
            price(vendor, model, options.clone()),
            usd_micros,
            "{model} {options}"
        );
    }
}

#[test]
fn prices_end_on_their_day() {
    let adapter = adapter("openai");
    let model = adapter.profile().model("gpt-image-1.5").unwrap().clone();
    let options = adapter
        .fit(&model, "x", &ImageOptions::default())
        .unwrap()
        .effective;
    let at =
        |text: &str| adapter.estimate_cost(&model, &options, "x", Timestamp::parse(text).unwrap());
    assert!(at("2026-11-30T23:59:59Z").is_ok());
    assert!(at("2026-12-01T00:00:00Z").is_err());
}

fn member(schema: &Value, dice: u64) -> Value {
    let pick = |values: &Vec<Value>| values[dice as usize % values.len()].clone();
    if let Some(values) = schema["enum"].as_array() {
        return pick(values);
    }
    match schema["type"].as_str().unwrap() {
        "integer" => {
            let (low, high) = (
                schema["minimum"].as_u64().unwrap(),
                schema["maximum"].as_u64().unwrap(),
            );
            json!(low + dice % (high - low + 1))
        }
        "boolean" => json!(dice.is_multiple_of(2)),
        _ => json!("fog"),
    }
}

fn filled(form: &Value, dice: &[u64]) -> ImageOptions {
    let mut options = serde_json::Map::new();
    for (index, (name, schema)) in form["properties"].as_object().unwrap().iter().enumerate() {
        let roll = dice[index % dice.len()].rotate_left(index as u32);
        let excluded = schema["x-excludes"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|other| options.contains_key(other.as_str().unwrap()));
        if roll.is_multiple_of(3) || excluded {
            continue;
        }
        options.insert(name.clone(), member(schema, roll / 3));
    }
    serde_json::from_value(Value::Object(options)).unwrap()
}

fn every_model() -> Vec<(ImageAdapter, Model)> {
    VENDORS
        .iter()
        .flat_map(|vendor| {
            data(vendor)
                .models
                .iter()
                .map(|model| (adapter(vendor), model.clone()))
        })
        .collect()
}

#[test]
fn whatever_the_form_admits_is_formatted_without_a_warning() {
    let models = every_model();
    let mut runner = TestRunner::new(Config::with_cases(300));
    let strategy = proptest::collection::vec(any::<u64>(), 16);
    runner
        .run(&strategy, |dice| {
            for (adapter, model) in &models {
                let mut options = with_needs(model, filled(&catalog::form(model), &dice));
                let transparent =
                    options.background == Some(api_types::BackgroundKind::Transparent);
                if transparent && options.format == Some(ImageFormat::Jpeg) {
                    options.format = None;
                }
                let context = FormatContext {
                    model: &model.id,
                    job_id: "j",
                    attempt_no: 1,
                };
                let formatted = adapter.format_request("a lighthouse", &options, &context);
                let formatted = formatted.map_err(|error| {
                    TestCaseError::fail(format!("{} {options:?}: {error}", model.id))
                })?;
                prop_assert!(
                    formatted.warnings.is_empty(),
                    "{} {options:?}: {:?}",
                    model.id,
                    formatted.warnings
                );
                prop_assert!(matches!(formatted.parts[0].body, Body::Json(_)));
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn effective_options_format_to_themselves() {
    let models = every_model();
    let mut runner = TestRunner::new(Config::with_cases(200));
    let strategy = (
        1_u32..4_000,
        1_u32..4_000,
        0_usize..5,
        any::<bool>(),
        1_u32..9,
        1_u32..2_147_483_647,
    );
    runner
        .run(&strategy, |(width, height, quality, is_ratio, n, seed)| {
            let qualities = ["draft", "low", "medium", "high", "max"];
            let mut asked = json!({"quality": qualities[quality], "n": n, "seed": seed, "negative_prompt": "fog", "style": "vivid", "format": "webp", "moderation": "strict", "enhance_prompt": true});
            if is_ratio {
                asked["aspect_ratio"] = json!(format!("{}:{}", width % 1000 + 1, height % 1000 + 1));
            } else {
                asked["size"] = json!(format!("{width}x{height}"));
            }
            let options: ImageOptions = serde_json::from_value(asked).unwrap();
            for (adapter, model) in &models {
                let options = with_needs(model, options.clone());
                let fitted = adapter.fit(model, "x", &options).map_err(|unfit| TestCaseError::fail(unfit.to_string()))?;
                let again = adapter.fit(model, "x", &fitted.effective).map_err(|unfit| TestCaseError::fail(unfit.to_string()))?;
                prop_assert_eq!(&again.effective, &fitted.effective, "{}", model.id);
                prop_assert_eq!(again.warnings.len(), 0, "{}", model.id);
            }
            Ok(())
        })
        .unwrap();
}

//! Every option at every model under every `on_unsupported`: kept, adjusted, dropped or refused.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

use api_types::{ImageOptions, OnUnsupported, ProviderName, ProviderSettings};
use provider_adapters::capability::{Model, Sizes};
use provider_adapters::options::Unfit;
use provider_adapters::{ImageAdapter, registry};
use serde_json::{Value, json};

/// What a model should do with an option.
#[derive(Clone, Debug, PartialEq)]
enum Due {
    /// It is sent as asked.
    Kept,
    /// It becomes that.
    Nearest(&'static str),
    /// There is nothing near.
    Nothing,
    /// The model is passed over, whatever the policy.
    Refused,
}

/// What is due at each model.
type Cells = &'static [(&'static str, Due)];

/// Option, asked value, and what is due at each model; `_` for every other model.
#[rustfmt::skip]
const TABLE: &[(&str, &str, Cells)] = &[
    ("seed", "7", &[("gpt-image-2.5-flare", Due::Nothing), ("gpt-image-2.5-sunburst", Due::Nothing), ("openai/gpt-image-2", Due::Nothing), ("gpt-image-1.5", Due::Nothing), ("gpt-image-1-mini", Due::Nothing), ("gpt-image-1", Due::Nothing), ("_", Due::Kept)]),
    ("negative_prompt", "\"fog\"", &[("ideogram-3", Due::Kept), ("ideogram-3-transparent", Due::Kept), ("ideogram-3-character", Due::Kept), ("ideogram-2", Due::Kept), ("_", Due::Nothing)]),
    ("style", "\"realistic\"", &[("ideogram-3", Due::Kept), ("ideogram-3-character", Due::Kept), ("ideogram-2", Due::Kept), ("ideogram-2a", Due::Kept), ("_", Due::Nothing)]),
    ("style", "\"bauhaus\"", &[("ideogram-3", Due::Kept), ("_", Due::Nothing)]),
    ("style", "\"no such style\"", &[("_", Due::Nothing)]),
    ("format", "\"png\"", &[("_", Due::Kept)]),
    ("format", "\"webp\"", &[("gpt-image-2.5-flare", Due::Kept), ("gpt-image-2.5-sunburst", Due::Kept), ("openai/gpt-image-2", Due::Kept), ("gpt-image-1.5", Due::Kept), ("gpt-image-1-mini", Due::Kept), ("gpt-image-1", Due::Kept), ("_", Due::Nearest("png"))]),
    ("format", "\"gif\"", &[("_", Due::Nearest("png"))]),
    ("quality", "\"max\"", &[("ideogram-3-character", Due::Kept), ("ideogram-2", Due::Nearest("medium")), ("ideogram-2a", Due::Nearest("medium")), ("ideogram-3", Due::Kept), ("ideogram-3-transparent", Due::Kept), ("ideogram-4", Due::Kept), ("ideogram-4-5", Due::Kept), ("gpt-image-2.5-flare", Due::Kept), ("gpt-image-2.5-sunburst", Due::Kept), ("openai/gpt-image-2", Due::Nearest("high")), ("gpt-image-1.5", Due::Nearest("high")), ("gpt-image-1", Due::Nearest("high")), ("gpt-image-1-mini", Due::Nearest("medium")), ("_", Due::Nothing)]),
    ("quality", "\"draft\"", &[("ideogram-3-character", Due::Kept), ("ideogram-2", Due::Kept), ("ideogram-2a", Due::Kept), ("ideogram-3", Due::Kept), ("ideogram-3-transparent", Due::Kept), ("ideogram-4", Due::Kept), ("ideogram-4-5", Due::Kept), ("gpt-image-2.5-flare", Due::Kept), ("gpt-image-2.5-sunburst", Due::Kept), ("openai/gpt-image-2", Due::Kept), ("gpt-image-1.5", Due::Kept), ("gpt-image-1", Due::Kept), ("gpt-image-1-mini", Due::Kept), ("_", Due::Nothing)]),
    ("background", "\"transparent\"", &[("ideogram-3-transparent", Due::Kept), ("ideogram-4-transparent", Due::Kept), ("gpt-image-2.5-flare", Due::Kept), ("gpt-image-2.5-sunburst", Due::Kept), ("openai/gpt-image-2", Due::Kept), ("gpt-image-1.5", Due::Kept), ("gpt-image-1-mini", Due::Kept), ("gpt-image-1", Due::Kept), ("_", Due::Refused)]),
    ("background", "\"opaque\"", &[("ideogram-3-transparent", Due::Refused), ("ideogram-4-transparent", Due::Refused), ("_", Due::Kept)]),
    ("enhance_prompt", "true", &[("gpt-image-2.5-flare", Due::Nothing), ("gpt-image-2.5-sunburst", Due::Nothing), ("openai/gpt-image-2", Due::Nothing), ("gpt-image-1.5", Due::Nothing), ("gpt-image-1-mini", Due::Nothing), ("gpt-image-1", Due::Nothing), ("_", Due::Kept)]),
    ("moderation", "\"low\"", &[("gpt-image-2.5-flare", Due::Kept), ("gpt-image-2.5-sunburst", Due::Kept), ("openai/gpt-image-2", Due::Kept), ("gpt-image-1.5", Due::Kept), ("gpt-image-1-mini", Due::Kept), ("gpt-image-1", Due::Kept), ("_", Due::Nothing)]),
    ("moderation", "\"strict\"", &[("gpt-image-2.5-flare", Due::Nearest("default")), ("gpt-image-2.5-sunburst", Due::Nearest("default")), ("openai/gpt-image-2", Due::Nearest("default")), ("gpt-image-1.5", Due::Nearest("default")), ("gpt-image-1-mini", Due::Nearest("default")), ("gpt-image-1", Due::Nearest("default")), ("_", Due::Nothing)]),
    ("size", "\"1024x1024\"", &[("ideogram-2", Due::Nearest("1:1")), ("ideogram-2a", Due::Nearest("1:1")), ("ideogram-3-transparent", Due::Nearest("1:1")), ("ideogram-4", Due::Nearest("2048x2048")), ("ideogram-4-transparent", Due::Nearest("2048x2048")), ("_", Due::Kept)]),
    ("size", "\"1536x1024\"", &[("ideogram-3-character", Due::Nearest("1248x832")), ("ideogram-2", Due::Nearest("3:2")), ("ideogram-2a", Due::Nearest("3:2")), ("ideogram-3", Due::Nearest("1248x832")), ("ideogram-3-transparent", Due::Nearest("3:2")), ("ideogram-4", Due::Nearest("2496x1664")), ("ideogram-4-transparent", Due::Nearest("2048x2048")), ("ideogram-4-5", Due::Kept), ("gpt-image-2.5-flare", Due::Kept), ("gpt-image-2.5-sunburst", Due::Kept), ("openai/gpt-image-2", Due::Kept), ("gpt-image-1.5", Due::Kept), ("gpt-image-1-mini", Due::Kept), ("gpt-image-1", Due::Kept), ("_", Due::Nearest("1024x1024"))]),
    ("aspect_ratio", "\"7:3\"", &[("ideogram-3-character", Due::Nearest("2:1")), ("ideogram-2", Due::Nearest("2:1")), ("ideogram-2a", Due::Nearest("2:1")), ("ideogram-3", Due::Nearest("2:1")), ("ideogram-3-transparent", Due::Nearest("2:1")), ("ideogram-4", Due::Nearest("3072x1280")), ("ideogram-4-5", Due::Kept), ("gpt-image-2.5-flare", Due::Kept), ("gpt-image-2.5-sunburst", Due::Kept), ("openai/gpt-image-2", Due::Kept), ("gpt-image-1.5", Due::Nearest("1536x1024")), ("gpt-image-1-mini", Due::Nearest("1536x1024")), ("gpt-image-1", Due::Nearest("1536x1024")), ("ideogram-4-transparent", Due::Nearest("2048x2048")), ("_", Due::Nearest("1024x1024"))]),
    ("n", "8", &[("_", Due::Kept)]),
    ("n", "9", &[("gpt-image-2.5-flare", Due::Kept), ("gpt-image-2.5-sunburst", Due::Kept), ("openai/gpt-image-2", Due::Kept), ("gpt-image-1.5", Due::Kept), ("gpt-image-1-mini", Due::Kept), ("gpt-image-1", Due::Kept), ("_", Due::Refused)]),
    ("provider_options", "{\"color_palette\":{}}", &[("ideogram-3", Due::Kept), ("_", Due::Refused)]),
    ("provider_options", "{\"enable_copyright_detection\":true}", &[("gpt-image-2.5-flare", Due::Refused), ("gpt-image-2.5-sunburst", Due::Refused), ("openai/gpt-image-2", Due::Refused), ("gpt-image-1.5", Due::Refused), ("gpt-image-1-mini", Due::Refused), ("gpt-image-1", Due::Refused), ("_", Due::Kept)]),
    ("provider_options", "{\"output_compression\":100}", &[("gpt-image-2.5-flare", Due::Kept), ("gpt-image-2.5-sunburst", Due::Kept), ("openai/gpt-image-2", Due::Kept), ("gpt-image-1.5", Due::Kept), ("gpt-image-1-mini", Due::Kept), ("gpt-image-1", Due::Kept), ("_", Due::Refused)]),
    ("provider_options", "{\"output_compression\":101}", &[("_", Due::Refused)]),
    ("provider_options", "{\"webhook_url\":\"https://example.com\"}", &[("_", Due::Refused)]),
    ("provider_options", "{\"async\":false}", &[("_", Due::Refused)]),
    ("provider_options", "{\"response_format\":\"url\"}", &[("_", Due::Refused)]),
    ("provider_options", "{\"prompt\":\"x\"}", &[("_", Due::Refused)]),
];

fn models() -> Vec<(ImageAdapter, Model)> {
    let adapter = |vendor: &str| {
        registry::image(
            &ProviderName::parse(vendor).unwrap(),
            &ProviderSettings::default(),
        )
        .unwrap()
    };
    ["ideogram", "openai"]
        .into_iter()
        .flat_map(|vendor| {
            let adapter = adapter(vendor);
            let models = adapter.profile().models().to_vec();
            models.into_iter().map(move |mut model| {
                // What a model cannot do without has a test of its own.
                model.needs.clear();
                (adapter.clone(), model)
            })
        })
        .collect()
}

fn due(rows: &[(&str, Due)], adapter: &ImageAdapter, model: &Model) -> Due {
    let full = format!("{}/{}", adapter.profile().name(), model.id);
    let named = rows
        .iter()
        .find(|(name, _)| *name == model.id || *name == full);
    let rest = rows.iter().find(|(name, _)| *name == "_");
    named
        .or(rest)
        .map_or_else(|| panic!("missing cell: {full}"), |(_, due)| due.clone())
}

fn asked(option: &str, value: &str, policy: OnUnsupported) -> ImageOptions {
    let value: Value = serde_json::from_str(value).unwrap();
    serde_json::from_value(json!({option: value, "on_unsupported": policy})).unwrap()
}

fn value_of(options: &ImageOptions, option: &str) -> Value {
    serde_json::to_value(options)
        .unwrap()
        .get(option)
        .cloned()
        .unwrap_or(Value::Null)
}

#[test]
fn a_model_that_cannot_do_without_a_member_is_passed_over_without_it() {
    let name = ProviderName::parse("ideogram").unwrap();
    let adapter = registry::image(&name, &ProviderSettings::default()).unwrap();
    let model = adapter.profile().model("ideogram-3-character").unwrap();
    let member = "character_reference_collection_id";
    for policy in [
        OnUnsupported::Adjust,
        OnUnsupported::Drop,
        OnUnsupported::Error,
    ] {
        let fit = |value: Value| {
            let options = serde_json::from_value(value).unwrap();
            adapter.fit(model, "a knight", &options)
        };
        let without = fit(json!({"on_unsupported": policy})).unwrap_err();
        assert_eq!(without.reason(), "option_unsupported");
        let option = format!("provider_options.{member}");
        assert_eq!(without.option(), Some(option.as_str()));
        let with = fit(json!({"on_unsupported": policy, "provider_options": {member: "c1"}}));
        assert_eq!(with.unwrap().effective.provider_options[member], "c1");
    }
}

#[test]
fn the_table_names_only_models_that_exist() {
    let models = models();
    for (option, _, rows) in TABLE {
        for (name, _) in *rows {
            let exists = models.iter().any(|(adapter, model)| {
                model.id == *name || format!("{}/{}", adapter.profile().name(), model.id) == *name
            });
            assert!(exists || *name == "_", "{option}: {name}");
        }
    }
}

#[test]
fn every_option_of_every_model_under_every_policy_is_as_the_table_says() {
    let models = models();
    let mut cells = 0;
    for (option, value, rows) in TABLE {
        for (adapter, model) in &models {
            let due = due(rows, adapter, model);
            for policy in [
                OnUnsupported::Adjust,
                OnUnsupported::Error,
                OnUnsupported::Drop,
            ] {
                cells += 1;
                let asked = asked(option, value, policy);
                let label = format!("{} {option}={value} {policy:?}: {due:?}", model.id);
                let fitted = adapter.fit(model, "x", &asked);
                match (&due, policy, fitted) {
                    (Due::Refused, _, Err(unfit)) => {
                        let named = unfit.option().unwrap_or("n");
                        assert!(named.starts_with(option), "{label}: {unfit}");
                    }
                    (Due::Kept, _, Ok(fitted)) => {
                        assert!(fitted.warnings.is_empty(), "{label}: {:?}", fitted.warnings);
                        if *option != "aspect_ratio" {
                            assert_eq!(
                                value_of(&fitted.effective, option),
                                value_of(&asked, option),
                                "{label}"
                            );
                        }
                    }
                    (Due::Nearest(_) | Due::Nothing, OnUnsupported::Error, Err(unfit)) => {
                        assert!(
                            matches!(unfit, Unfit::Unsupported { .. }),
                            "{label}: {unfit}"
                        );
                        assert_eq!(unfit.option(), Some(*option), "{label}");
                        assert!(unfit.to_string().contains(&model.id), "{label}: {unfit}");
                    }
                    (Due::Nearest(near), OnUnsupported::Adjust, Ok(fitted)) => {
                        let [warning] = &fitted.warnings[..] else {
                            panic!("{label}: {:?}", fitted.warnings);
                        };
                        assert_eq!(
                            (warning.code.as_str(), warning.option.as_deref()),
                            ("option_adjusted", Some(*option)),
                            "{label}"
                        );
                        assert_eq!(warning.to.as_deref(), Some(*near), "{label}");
                        let sent = serde_json::to_string(&fitted.effective).unwrap();
                        assert!(sent.contains(&format!("\"{near}\"")), "{label}: {sent}");
                    }
                    (Due::Nothing, OnUnsupported::Adjust, Ok(fitted))
                    | (Due::Nearest(_) | Due::Nothing, OnUnsupported::Drop, Ok(fitted)) => {
                        let [warning] = &fitted.warnings[..] else {
                            panic!("{label}: {:?}", fitted.warnings);
                        };
                        assert_eq!(
                            (warning.code.as_str(), warning.option.as_deref()),
                            ("option_dropped", Some(*option)),
                            "{label}"
                        );
                        assert_ne!(
                            value_of(&fitted.effective, option),
                            value_of(&asked, option),
                            "{label}"
                        );
                    }
                    (_, _, other) => panic!("{label}: {other:?}"),
                }
            }
        }
    }
    assert_eq!(cells, TABLE.len() * 22 * 3);
}

#[test]
fn a_fixed_size_is_never_claimed_to_be_sent() {
    for (adapter, model) in models() {
        if matches!(model.sizes, Sizes::Fixed { .. }) {
            let fitted = adapter.fit(&model, "x", &ImageOptions::default()).unwrap();
            assert_eq!(
                (fitted.effective.size, fitted.effective.aspect_ratio),
                (None, None),
                "{}",
                model.id
            );
        }
    }
}

#[test]
fn a_wrong_request_is_refused_by_every_model() {
    let wrong = [
        json!({"size":"1x1","aspect_ratio":"1:1"}),
        json!({"size":"big"}),
        json!({"aspect_ratio":"16x9"}),
        json!({"n":0}),
        json!({"n":11}),
        json!({"seed":0}),
        json!({"seed":2_147_483_648_u32}),
    ];
    for (adapter, model) in models() {
        for asked in &wrong {
            let options: ImageOptions = serde_json::from_value(asked.clone()).unwrap();
            let unfit = adapter.fit(&model, "x", &options).unwrap_err();
            assert!(matches!(unfit, Unfit::Invalid { .. }), "{asked}: {unfit}");
        }
        for prompt in ["", "a\0b"] {
            assert!(matches!(
                adapter.fit(&model, prompt, &ImageOptions::default()),
                Err(Unfit::Invalid { .. })
            ));
        }
        let longest = "ä".repeat(model.max_prompt_chars);
        assert!(
            adapter
                .fit(&model, &longest, &ImageOptions::default())
                .is_ok(),
            "{}",
            model.id
        );
        let longer = format!("{longest}x");
        let unfit = adapter
            .fit(&model, &longer, &ImageOptions::default())
            .unwrap_err();
        assert_eq!(
            unfit,
            Unfit::PromptTooLong {
                limit: model.max_prompt_chars,
                length: model.max_prompt_chars + 1
            }
        );
    }
}

#[test]
fn rules_between_options_hold() {
    let models = models();
    let fit = |name: &str, asked: Value| {
        let (adapter, model) = models.iter().find(|(_, model)| model.id == name).unwrap();
        adapter.fit(model, "x", &serde_json::from_value(asked).unwrap())
    };
    let codes = json!({"style_codes":["00aa11bb"]});
    assert!(
        fit(
            "ideogram-3",
            json!({"style":"bauhaus","provider_options":codes})
        )
        .is_err()
    );
    assert!(
        fit(
            "ideogram-3",
            json!({"style":"general","provider_options":codes})
        )
        .is_ok()
    );
    let compressed = json!({"output_compression":80});
    assert!(
        fit(
            "gpt-image-2.5-flare",
            json!({"provider_options":compressed})
        )
        .is_err()
    );
    assert!(
        fit(
            "gpt-image-2.5-flare",
            json!({"provider_options":compressed,"format":"jpeg"})
        )
        .is_ok()
    );
    let refused = fit(
        "gpt-image-2.5-flare",
        json!({"background":"transparent","format":"jpeg","on_unsupported":"error"}),
    );
    assert!(matches!(refused, Err(Unfit::Unsupported { .. })));
}

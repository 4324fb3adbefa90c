//! The plan: every reason, the order, the answer when nobody can serve.

#![expect(clippy::unwrap_used, reason = "tests")]

use api_types::{GenerateRequest, InstanceConfig, LimiterStats, ProviderName, Timestamp};
use errors::Code;
use provider_adapters::{Plan, PlanRequest, catalog, plan};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const NOW: &str = "2026-11-21T10:00:00Z";

fn config(members: &Value) -> InstanceConfig {
    let mut whole = json!({"instance_id":"production","org_id":"0199a1c2-0000-7000-8000-000000000001","config_version":1,
        "providers":{"ideogram":{"credential_state":"set"},"openai":{"credential_state":"set"}}});
    for (name, value) in members.as_object().unwrap() {
        whole[name] = value.clone();
    }
    serde_json::from_value(whole).unwrap()
}

fn request(members: &Value) -> GenerateRequest {
    let mut whole = json!({"prompt":"a lighthouse"});
    for (name, value) in members.as_object().unwrap() {
        whole[name] = value.clone();
    }
    serde_json::from_value(whole).unwrap()
}

fn planned(asked: Value, settings: Value) -> Plan {
    with_stats(asked, settings, &BTreeMap::new())
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "literals read better without ampersands"
)]
fn with_stats(asked: Value, settings: Value, stats: &BTreeMap<ProviderName, LimiterStats>) -> Plan {
    let request = request(&asked);
    plan(
        &PlanRequest::new(&request),
        &config(&settings),
        Timestamp::parse(NOW).unwrap(),
        stats,
    )
}

fn names(plan: &Plan) -> Vec<String> {
    plan.candidates
        .iter()
        .map(|candidate| format!("{}/{}", candidate.provider, candidate.model))
        .collect()
}

fn reasons(plan: &Plan) -> Vec<String> {
    plan.skipped
        .iter()
        .map(|skipped| format!("{}/{}:{}", skipped.provider, skipped.model, skipped.reason))
        .collect()
}

fn stats(rows: &[(&str, LimiterStats)]) -> BTreeMap<ProviderName, LimiterStats> {
    rows.iter()
        .map(|(name, stats)| (ProviderName::parse(name).unwrap(), *stats))
        .collect()
}

#[test]
fn a_plain_request_gets_each_providers_default_with_its_price() {
    let plan = planned(json!({"provider":"ideogram"}), json!({}));
    assert_eq!(
        names(&plan),
        ["ideogram/ideogram-3", "openai/gpt-image-2.5-flare"]
    );
    let first = &plan.candidates[0];
    assert_eq!(
        (first.estimate_usd_micros, first.upper_usd_micros),
        (Some(60_000), Some(60_000))
    );
    assert_eq!(first.price_version.as_deref(), Some("2026-11-16"));
    assert_eq!((first.weight, first.calls), (1, 1));
    assert_eq!(
        serde_json::to_value(&first.effective).unwrap(),
        json!({"aspect_ratio":"1:1","quality":"medium","n":1,"on_unsupported":"adjust"})
    );
    assert_eq!(plan.scores.len(), 2);
}

#[test]
fn every_reason_is_named() {
    let table = [
        (
            json!({"provider":"ideogram","fallback":"none"}),
            json!({}),
            "openai/:not_requested",
        ),
        (
            json!({}),
            json!({"providers":{"ideogram":{"enabled":false,"credential_state":"set"}}}),
            "ideogram/:disabled",
        ),
        (
            json!({}),
            json!({"providers":{"ideogram":{}}}),
            "ideogram/:no_credentials",
        ),
        (
            json!({}),
            json!({"providers":{"ideogram":{"credential_state":"host_changed"}}}),
            "ideogram/:no_credentials",
        ),
        (
            json!({"model":"no-such-model"}),
            json!({}),
            "ideogram/no-such-model:unknown_model",
        ),
        (
            json!({}),
            json!({"providers":{"ideogram":{"credential_state":"set","allowed_models":["ideogram-4"]}}}),
            "ideogram/ideogram-3:model_not_allowed",
        ),
        (
            json!({}),
            json!({"routing":{"models":["openai/gpt-image-2"]}}),
            "ideogram/ideogram-3:model_not_allowed",
        ),
        (
            json!({"optimize":"cost"}),
            json!({}),
            "openai/gpt-image-1:deprecated",
        ),
        (
            json!({"prompt":"x".repeat(10_001)}),
            json!({}),
            "ideogram/ideogram-3:prompt_too_long",
        ),
        (json!({"n":9}), json!({}), "ideogram/ideogram-3:n_too_large"),
        (
            json!({"n":5}),
            json!({"rate_limits":{"ideogram":{"max_inflight_images":4}}}),
            "ideogram/ideogram-3:n_too_large",
        ),
        (
            json!({"seed":5,"on_unsupported":"error"}),
            json!({}),
            "openai/gpt-image-2.5-flare:option_unsupported",
        ),
        (
            json!({"model":"ideogram-4-transparent"}),
            json!({}),
            "ideogram/ideogram-4-transparent:price_unknown",
        ),
        (
            json!({"max_cost_usd_micros":20_000}),
            json!({}),
            "ideogram/ideogram-3:over_max_cost",
        ),
    ];
    for (asked, settings, reason) in table {
        let plan = planned(asked.clone(), settings);
        assert!(
            reasons(&plan).contains(&reason.to_owned()),
            "{asked}: {reason} not in {:?}",
            reasons(&plan)
        );
        let model = reason.split(':').next().unwrap();
        assert!(!names(&plan).contains(&model.to_owned()), "{asked}");
    }
    let open = stats(&[(
        "ideogram",
        LimiterStats {
            breaker_ms: 4_000,
            ..LimiterStats::default()
        },
    )]);
    assert!(
        reasons(&with_stats(json!({}), json!({}), &open))
            .contains(&"ideogram/:breaker_open".to_owned())
    );
    let skipped = planned(json!({"seed":5,"on_unsupported":"error"}), json!({}));
    let skipped = skipped
        .skipped
        .iter()
        .find(|skipped| skipped.provider == "openai")
        .unwrap()
        .clone();
    assert_eq!(skipped.option.as_deref(), Some("seed"));
    assert!(skipped.detail.unwrap().contains("no seed"));
}

#[test]
fn a_named_model_is_first_and_fallback_adds_the_rest() {
    for asked in [
        json!({"model":"ideogram-4"}),
        json!({"model":"ideogram/ideogram-v4"}),
        json!({"provider":"ideogram","model":"ideogram-4"}),
    ] {
        let plan = planned(asked, json!({}));
        assert_eq!(names(&plan)[0], "ideogram/ideogram-4");
    }
    let plan = planned(json!({"provider":"openai"}), json!({}));
    assert_eq!(
        names(&plan),
        ["openai/gpt-image-2.5-flare", "ideogram/ideogram-3"]
    );
    assert_eq!(
        names(&planned(
            json!({"provider":"openai","fallback":"none"}),
            json!({})
        )),
        ["openai/gpt-image-2.5-flare"]
    );
    let listed = json!({"provider":"openai","fallback":["ideogram/z-image","ideogram/ideogram-4","openai/gpt-image-2"]});
    assert_eq!(
        names(&planned(listed, json!({}))),
        [
            "openai/gpt-image-2.5-flare",
            "ideogram/z-image",
            "ideogram/ideogram-4",
            "openai/gpt-image-2"
        ]
    );
    let routed =
        json!({"routing":{"default_provider":"openai","fallback":["ideogram/ideogram-2a"]}});
    assert_eq!(
        names(&planned(json!({}), routed.clone())),
        ["openai/gpt-image-2.5-flare", "ideogram/ideogram-2a"]
    );
    let free = planned(json!({"provider":"auto","fallback":"auto"}), routed);
    assert_eq!(free.candidates.len(), 2);
}

#[test]
fn an_option_the_default_lacks_is_served_by_another_model_of_the_provider() {
    let plan = planned(
        json!({"provider":"ideogram","background":"transparent"}),
        json!({}),
    );
    assert_eq!(names(&plan)[0], "ideogram/ideogram-3-transparent");
    let named = planned(
        json!({"model":"ideogram-3","background":"transparent","fallback":"none"}),
        json!({}),
    );
    assert!(named.candidates.is_empty());
    assert_eq!(named.refusal().code, Code::NoRoute);
}

#[test]
fn each_aim_orders_by_its_weights() {
    let cheap = planned(json!({"optimize":"cost"}), json!({}));
    assert_eq!(names(&cheap)[0], "ideogram/z-image");
    assert_eq!(cheap.candidates.len(), 5);
    let good = planned(json!({"optimize":"quality"}), json!({}));
    let tier_five = [
        "ideogram/ideogram-4-5",
        "openai/gpt-image-2.5-sunburst",
        "ideogram/nano-banana-pro",
    ];
    assert!(
        tier_five.contains(&names(&good)[0].as_str()),
        "{:?}",
        names(&good)
    );
    let speeds = stats(&[
        (
            "ideogram",
            LimiterStats {
                median_ms: 20_000,
                ..LimiterStats::default()
            },
        ),
        (
            "openai",
            LimiterStats {
                median_ms: 5_000,
                ..LimiterStats::default()
            },
        ),
    ]);
    let fast = with_stats(json!({"optimize":"speed"}), json!({}), &speeds);
    assert!(names(&fast)[0].starts_with("openai/"), "{:?}", names(&fast));
    let failing = stats(&[(
        "openai",
        LimiterStats {
            errors_per_mille: 1_000,
            ..LimiterStats::default()
        },
    )]);
    let scores = with_stats(json!({}), json!({}), &failing);
    let openai = names(&scores)
        .iter()
        .position(|name| name.starts_with("openai"))
        .unwrap();
    assert_eq!(scores.scores[openai].availability, 0);
    for plan in [cheap, good, fast] {
        assert!(
            plan.scores
                .windows(2)
                .all(|pair| pair[0].total >= pair[1].total)
        );
        assert!(plan.scores.iter().all(|score| score.total <= 100_000));
    }
}

#[test]
fn equal_scores_keep_the_order_of_the_configuration() {
    let same = json!({"providers":{"b":{"adapter":"openai","credential_state":"set"},"a":{"adapter":"openai","credential_state":"set"}}});
    assert_eq!(
        names(&planned(json!({}), same)),
        ["a/gpt-image-2.5-flare", "b/gpt-image-2.5-flare"]
    );
}

#[test]
fn a_model_near_its_end_is_warned_about_and_a_dead_one_runs_only_by_name() {
    let near = planned(
        json!({"model":"gpt-image-1.5","fallback":"none"}),
        json!({}),
    );
    assert_eq!(near.warnings[0].code, "model_deprecated");
    assert_eq!(near.warnings[0].to.as_deref(), Some("gpt-image-2.5-flare"));
    let dead = json!({"routing":{"unknown_price":"allow"}});
    let plan = planned(json!({"model":"gpt-image-1","fallback":"none"}), dead);
    assert_eq!(names(&plan), ["openai/gpt-image-1"]);
    assert_eq!(
        (
            plan.candidates[0].estimate_usd_micros,
            plan.candidates[0].upper_usd_micros
        ),
        (None, None)
    );
    assert_eq!(plan.warnings[0].code, "model_deprecated");
}

#[test]
fn a_name_may_stand_for_a_quality_and_what_ran_is_named() {
    let asked = |members: Value| {
        let mut asked = json!({"model": "ideogram-v2-turbo", "fallback": "none"});
        for (name, value) in members.as_object().unwrap() {
            asked[name] = value.clone();
        }
        planned(asked, json!({}))
    };
    let plan = asked(json!({}));
    assert_eq!(names(&plan), ["ideogram/ideogram-2"]);
    assert_eq!(plan.candidates[0].estimate_usd_micros, Some(50_000));
    assert_eq!(
        plan.candidates[0].effective.quality,
        Some(api_types::Quality::Draft)
    );
    let plan = asked(json!({"quality": "medium"}));
    assert_eq!(plan.candidates[0].estimate_usd_micros, Some(80_000));
    let listed = json!({"provider": "openai", "fallback": ["ideogram/ideogram-v2-turbo"]});
    let plan = planned(listed, json!({}));
    assert_eq!(plan.candidates[1].estimate_usd_micros, Some(50_000));
}

#[test]
fn a_model_that_needs_a_reference_is_no_candidate_without_one() {
    let aim = |asked: Value| names(&planned(asked, json!({}))).join(" ");
    let best = json!({"optimize": "quality", "provider": "ideogram", "fallback": "none"});
    assert!(!aim(best).contains("character"));
    let named = json!({"model": "ideogram-3-character", "fallback": "none"});
    let plan = planned(named, json!({}));
    assert_eq!(plan.refusal().code, Code::NoRoute);
    let with = json!({"model": "ideogram-3-character", "fallback": "none", "provider_options": {"character_reference_collection_id": "c1"}});
    assert_eq!(aim(with), "ideogram/ideogram-3-character");
}

#[test]
fn nobody_left_has_a_code_that_says_why() {
    let code = |asked: Value, settings: Value| planned(asked, settings).refusal().code;
    assert_eq!(
        code(
            json!({"model":"ideogram-4-transparent","provider":"ideogram","fallback":"none"}),
            json!({})
        ),
        Code::PriceUnknown
    );
    assert_eq!(
        code(
            json!({"n":9,"provider":"ideogram","fallback":"none"}),
            json!({})
        ),
        Code::NoRoute
    );
    assert_eq!(
        code(json!({"size":"1x1","aspect_ratio":"1:1"}), json!({})),
        Code::InvalidField
    );
    assert_eq!(
        code(json!({"prompt":"a\0b"}), json!({})),
        Code::InvalidField
    );
    assert_eq!(
        code(json!({"provider_options":{"webhook":"x"}}), json!({})),
        Code::InvalidField
    );
    let unknown = planned(json!({"provider_options":{"lora":"x"}}), json!({})).refusal();
    assert_eq!(
        (unknown.code, unknown.details["field"].as_str()),
        (Code::InvalidField, Some("provider_options.lora"))
    );
    let open = LimiterStats {
        breaker_ms: 4_000,
        ..LimiterStats::default()
    };
    let wait = LimiterStats {
        breaker_ms: 9_000,
        ..LimiterStats::default()
    };
    let refusal = with_stats(
        json!({}),
        json!({}),
        &stats(&[("ideogram", wait), ("openai", open)]),
    )
    .refusal();
    assert_eq!(
        (refusal.code, refusal.retry_after_ms),
        (Code::ProviderUnavailable, Some(4_000))
    );
    let none = planned(json!({"max_cost_usd_micros":1}), json!({})).refusal();
    assert_eq!(none.code, Code::NoRoute);
    assert_eq!(none.details["skipped"][0]["reason"], "over_max_cost");
}

#[test]
fn the_ceiling_counts_the_most_it_can_cost() {
    let plan = planned(
        json!({"provider":"openai","fallback":"none","max_cost_usd_micros":13_200}),
        json!({}),
    );
    assert!(reasons(&plan).contains(&"openai/gpt-image-2.5-flare:over_max_cost".to_owned()));
    assert!(plan.candidates.is_empty());
    let enough = planned(
        json!({"provider":"openai","fallback":"none","max_cost_usd_micros":15_000}),
        json!({}),
    );
    assert_eq!(names(&enough), ["openai/gpt-image-2.5-flare"]);
    let estimate = enough.candidates[0].estimate_usd_micros.unwrap();
    assert!(
        estimate < 13_200 && enough.candidates[0].upper_usd_micros.unwrap() > 13_200,
        "the estimate alone would pass"
    );
}

#[test]
fn a_self_hosted_server_needs_no_key_but_a_price() {
    let server = |prices: Value| json!({"providers":{"localai":{"adapter":"openai","base_url":"http://127.0.0.1:8080/v1","allow_private_host":true,"default_model":"sd-3.5","prices":prices}}});
    let unpriced = planned(json!({"provider":"localai"}), server(json!([])));
    assert!(reasons(&unpriced).contains(&"localai/sd-3.5:price_unknown".to_owned()));
    let free = json!([{"model":"sd-3.5","unit":"image","usd_micros":0,"free":true,"from":"2026-01-01","basis":"exact"}]);
    let plan = planned(json!({"provider":"localai","model":"sd-3.5"}), server(free));
    assert_eq!(names(&plan), ["localai/sd-3.5"]);
    assert_eq!(plan.candidates[0].estimate_usd_micros, Some(0));
}

#[test]
fn the_catalog_offers_what_the_settings_allow() {
    let now = Timestamp::parse(NOW).unwrap();
    let all = catalog(&config(&json!({})), now);
    assert_eq!(all.len(), 16);
    let entry = all
        .iter()
        .find(|entry| entry.model == "ideogram-3")
        .unwrap();
    assert!(entry.default && entry.flow == "poll" && !entry.streaming);
    assert_eq!(entry.limit, json!({"kind":"in_flight_images","value":10}));
    assert_eq!(entry.prices.len(), 3);
    // As much as the plan lets through: `prompt_too_long` beyond it.
    assert_eq!(entry.max_prompt_chars, Some(10_000));
    let properties = entry.form["properties"].as_object().unwrap();
    assert_eq!(properties["aspect_ratio"]["x-excludes"], json!(["size"]));
    assert_eq!(properties["n"]["maximum"], 8);
    assert!(
        properties
            .values()
            .all(|field| field["x-order"].is_u64() && field["x-label"].is_string())
    );
    let few = config(
        &json!({"providers":{"ideogram":{"allowed_models":["ideogram-v3"],"credential_state":"set"},"openai":{"enabled":false}}}),
    );
    assert_eq!(catalog(&few, now).len(), 1);
}

#[test]
fn the_catalog_offers_nothing_that_no_request_could_go_to() {
    let now = Timestamp::parse(NOW).unwrap();
    let offered = |members: Value| -> Vec<String> {
        let entries = catalog(&config(&members), now);
        let named = entries
            .iter()
            .map(|entry| format!("{}/{}", entry.provider, entry.model));
        named.collect()
    };
    let all = offered(json!({}));
    for model in &all {
        let asked = json!({"model": model, "fallback": "none"});
        assert_eq!(names(&planned(asked, json!({}))), [model.as_str()]);
    }
    // No price row: only where the instance lets unknown prices pass.
    let unpriced = "ideogram/ideogram-4-transparent".to_owned();
    assert!(!all.contains(&unpriced));
    assert!(offered(json!({"routing":{"unknown_price":"allow"}})).contains(&unpriced));
    // No key.
    for state in ["missing", "host_changed"] {
        let left = offered(json!({"providers":{
            "ideogram":{"credential_state":state},"openai":{"credential_state":"set"}}}));
        assert!(!left.is_empty() && left.iter().all(|model| model.starts_with("openai/")));
    }
    // A key that failed lately may work again.
    let failing = json!({"providers":{"ideogram":{"credential_state":"failing"}}});
    assert!(offered(failing).contains(&"ideogram/ideogram-3".to_owned()));
    // Allowed by an alias, by `provider/model`.
    for allowed in ["ideogram-v3", "ideogram/ideogram-3", "ideogram/ideogram-v3"] {
        assert_eq!(
            offered(json!({"routing":{"models":[allowed]}})),
            ["ideogram/ideogram-3"],
            "{allowed}"
        );
    }
}

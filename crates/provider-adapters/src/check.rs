//! Whether settings make sense to their adapter: rows of models and prices, models that are named.
//!
//! In scope: what only the vendor's data can tell. Out of scope: every other rule (`api_types::validate_config`).

use crate::capability::Model;
use crate::price::{PriceRow, Unit};
use crate::registry::Profile;
use api_types::{EditableConfig, Fallback, Problem, ProviderName, ProviderSettings};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The most that one unit may cost, in micro-dollars: a thousand dollars.
const MAX_USD_MICROS: i64 = 1_000_000_000;
/// Effective options that a price may depend on.
const OPTIONS: [&str; 5] = ["quality", "size", "aspect_ratio", "format", "background"];

fn problem(pointer: impl Into<String>, rule: impl Into<String>) -> Problem {
    Problem {
        pointer: pointer.into(),
        rule: rule.into(),
    }
}

/// All broken rules of rows and models in a configuration, each with its JSON pointer.
pub fn check_config(config: &EditableConfig) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, settings) in &config.providers {
        problems.extend(check_rows(name, settings));
        problems.extend(check_models(name, settings));
    }
    problems.extend(check_routing(config));
    problems
}

fn check_rows(name: &ProviderName, settings: &ProviderSettings) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, value) in settings.models.iter().enumerate() {
        let at = format!("/providers/{name}/models/{index}");
        match row::<Model>(value) {
            Ok(model) if model.id.is_empty() => problems.push(problem(at + "/id", "is required")),
            Ok(_) => {}
            Err(rule) => problems.push(problem(at, rule)),
        }
    }
    for (index, value) in settings.prices.iter().enumerate() {
        let at = format!("/providers/{name}/prices/{index}");
        match row::<PriceRow>(value) {
            Ok(row) => {
                let broken = row.broken_rules(Some(settings.allow_private_host));
                problems.extend(
                    broken
                        .into_iter()
                        .map(|(member, rule)| problem(format!("{at}/{member}"), rule)),
                );
            }
            Err(rule) => problems.push(problem(at, rule)),
        }
    }
    problems
}

/// A row, or the rule that its form breaks. Serde's words name members and types, never values of other rows.
fn row<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    serde_json::from_value(value.clone())
        .map_err(|error| format!("has not the form of such a row: {error}"))
}

/// The provider's profile, unless something else is wrong with its settings, which is told elsewhere.
fn profile(name: &ProviderName, settings: &ProviderSettings) -> Option<Profile> {
    Profile::new(name, settings).ok()
}

fn check_models(name: &ProviderName, settings: &ProviderSettings) -> Vec<Problem> {
    let Some(profile) = profile(name, settings) else {
        return Vec::new();
    };
    let mut problems = Vec::new();
    let unknown = |model: &String| profile.model(model).is_none();
    if settings.default_model.as_ref().is_some_and(unknown) {
        problems.push(problem(
            format!("/providers/{name}/default_model"),
            "is not a model of this provider",
        ));
    }
    for (index, model) in settings.allowed_models.iter().enumerate() {
        if unknown(model) {
            problems.push(problem(
                format!("/providers/{name}/allowed_models/{index}"),
                "is not a model of this provider",
            ));
        }
    }
    problems
}

fn check_routing(config: &EditableConfig) -> Vec<Problem> {
    let routing = &config.routing;
    let mut problems = Vec::new();
    // `None`: nothing can be said, because the provider itself is wrong.
    let knows = |provider: &str, model: &str| {
        let name = ProviderName::parse(provider).ok()?;
        let settings = config.providers.get(&name)?;
        Some(profile(&name, settings)?.model(model).is_some())
    };
    if let Some(model) = &routing.default_model {
        let known = match (model.split_once('/'), &routing.default_provider) {
            (Some((provider, model)), _) => knows(provider, model),
            (None, Some(provider)) => knows(provider.as_str(), model),
            (None, None) => config
                .providers
                .keys()
                .map(|name| knows(name.as_str(), model))
                .max()
                .flatten(),
        };
        if known == Some(false) {
            let rule = "is not a model of the default provider";
            problems.push(problem("/routing/default_model", rule));
        }
    }
    if let Fallback::List(entries) = &routing.fallback {
        for (index, entry) in entries.iter().enumerate() {
            let parts = entry.split_once('/');
            if parts.and_then(|(provider, model)| knows(provider, model)) == Some(false) {
                problems.push(problem(
                    format!("/routing/fallback/{index}"),
                    "names a model that this provider does not have",
                ));
            }
        }
    }
    problems
}

impl PriceRow {
    /// Its broken rules: member and rule. `private` says whether the provider is on a private host, where a price may
    /// be 0; `None` when that is not known.
    pub fn broken_rules(&self, private: Option<bool>) -> Vec<(&'static str, String)> {
        let mut broken = Vec::new();
        let mut rule = |ok: bool, member: &'static str, rule: &str| {
            if !ok {
                broken.push((member, rule.to_owned()));
            }
        };
        let within = |value: Option<i64>| value.is_none_or(|v| (0..=MAX_USD_MICROS).contains(&v));
        let range = format!("must be 0 to {MAX_USD_MICROS}");
        rule(
            (1..=200).contains(&self.model.chars().count()),
            "model",
            "must be 1 to 200 characters",
        );
        for (name, values) in &self.when {
            let known = OPTIONS.contains(&name.as_str());
            let texts = values
                .iter()
                .all(|value| value.as_str().is_some_and(|text| !text.is_empty()));
            rule(
                known && texts && (1..=20).contains(&values.len()),
                "when",
                "must give 1 to 20 texts for quality, size, aspect_ratio, format or background",
            );
        }
        rule(within(self.usd_micros), "usd_micros", &range);
        rule(within(self.extra_usd_micros), "extra_usd_micros", &range);
        rule(within(self.upper_usd_micros), "upper_usd_micros", &range);
        let tokens = self.tokens.unwrap_or_default();
        for rate in [tokens.text_in, tokens.image_in, tokens.image_out] {
            rule(within(Some(rate)), "tokens", &range);
        }
        let by_tokens = self.unit == Unit::MillionTokens;
        rule(
            self.usd_micros.is_some() != by_tokens,
            "usd_micros",
            "belongs to the units image and megapixel, and is required there",
        );
        rule(
            self.tokens.is_some() == by_tokens,
            "tokens",
            "belongs to the unit million_tokens, and is required there",
        );
        rule(
            self.extra_usd_micros.is_none() || self.unit == Unit::Megapixel,
            "extra_usd_micros",
            "belongs to the unit megapixel",
        );
        let zero = match self.tokens {
            Some(rates) => rates.text_in == 0 && rates.image_in == 0 && rates.image_out == 0,
            None => self.usd_micros == Some(0),
        };
        rule(
            !zero || self.free,
            "free",
            "must be true for a price of 0: an unknown price is never 0",
        );
        rule(zero || !self.free, "free", "must be false for a price");
        rule(
            !self.free || private != Some(false),
            "free",
            "only providers on a private host are free",
        );
        rule(
            self.basis != crate::price::Basis::Estimate
                || by_tokens
                || self.upper_usd_micros.is_some(),
            "upper_usd_micros",
            "is required for estimates",
        );
        rule(
            self.upper_usd_micros >= self.usd_micros || self.upper_usd_micros.is_none(),
            "upper_usd_micros",
            "must be at least usd_micros",
        );
        rule(is_day(&self.from), "from", "must be a day, 2026-11-16");
        let until = self.until.as_deref();
        rule(
            until.is_none_or(|until| is_day(until) && until > self.from.as_str()),
            "until",
            "must be a day after from",
        );
        rule(
            self.source.chars().count() <= 200,
            "source",
            "must be at most 200 characters",
        );
        broken
    }

    /// Whether both could be the price of one request with equal right: same model, same kind of unit, the same options
    /// with at least one value in common.
    pub fn competes(&self, other: &Self) -> bool {
        self.model == other.model
            && (self.unit == Unit::MillionTokens) == (other.unit == Unit::MillionTokens)
            && self.when.len() == other.when.len()
            && self.when.iter().all(|(name, values)| {
                let others = other.when.get(name);
                others.is_some_and(|others| values.iter().any(|value| others.contains(value)))
            })
    }

    /// Whether it is for exactly the same requests as the other.
    pub fn replaces(&self, other: &Self) -> bool {
        let within = |a: &Self, b: &Self| {
            a.when.iter().all(|(name, values)| {
                let others = b.when.get(name);
                others.is_some_and(|others| values.iter().all(|value| others.contains(value)))
            })
        };
        self.competes(other) && within(self, other) && within(other, self)
    }
}

fn is_day(text: &str) -> bool {
    api_types::Timestamp::parse(&format!("{text}T00:00:00Z")).is_some_and(|at| at.day() == text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn price(change: &Value) -> PriceRow {
        let mut row = json!({"model": "m", "unit": "image", "usd_micros": 5, "from": "2026-01-01", "basis": "exact"});
        for (name, value) in change.as_object().unwrap() {
            row[name] = value.clone();
        }
        serde_json::from_value(row).unwrap()
    }

    fn members(change: &Value, private: Option<bool>) -> Vec<&'static str> {
        let broken = price(change).broken_rules(private);
        broken.into_iter().map(|(member, _)| member).collect()
    }

    #[test]
    fn each_rule_of_a_price_has_its_case() {
        let tokens = json!({"text_in": 1, "image_in": 0, "image_out": 0});
        let none = json!({"text_in": 0, "image_in": 0, "image_out": 0});
        for (change, member) in [
            (json!({"model": ""}), "model"),
            (json!({"when": {"colour": ["red"]}}), "when"),
            (json!({"when": {"quality": []}}), "when"),
            (json!({"when": {"quality": [1]}}), "when"),
            (json!({"usd_micros": -1}), "usd_micros"),
            (json!({"usd_micros": 2_000_000_000}), "usd_micros"),
            (json!({"usd_micros": null}), "usd_micros"),
            (json!({"tokens": tokens}), "tokens"),
            (json!({"extra_usd_micros": 1}), "extra_usd_micros"),
            (json!({"usd_micros": 0}), "free"),
            (json!({"free": true}), "free"),
            (
                json!({"unit": "million_tokens", "usd_micros": null, "tokens": none}),
                "free",
            ),
            (json!({"basis": "estimate"}), "upper_usd_micros"),
            (json!({"upper_usd_micros": 4}), "upper_usd_micros"),
            (json!({"from": "2026-02-30"}), "from"),
            (json!({"from": "today"}), "from"),
            (json!({"until": "2026-01-01"}), "until"),
            (json!({"source": "x".repeat(201)}), "source"),
        ] {
            assert_eq!(members(&change, None), [member], "{change}");
        }
        for good in [
            json!({}),
            json!({"when": {"quality": ["low", "draft"]}, "until": "2026-01-02"}),
            json!({"unit": "megapixel", "extra_usd_micros": 2}),
            json!({"unit": "million_tokens", "usd_micros": null, "tokens": tokens}),
            json!({"basis": "estimate", "upper_usd_micros": 5}),
        ] {
            assert!(members(&good, Some(false)).is_empty(), "{good}");
        }
        let free = json!({"usd_micros": 0, "free": true});
        assert_eq!(members(&free, Some(false)), ["free"]);
        assert!(members(&free, Some(true)).is_empty() && members(&free, None).is_empty());
    }

    #[test]
    fn rows_compete_where_one_request_fits_both() {
        let of = |when: Value| price(&json!({ "when": when }));
        let low = of(json!({"quality": ["low"]}));
        let both = of(json!({"quality": ["draft", "low"]}));
        let turned = of(json!({"quality": ["low", "draft"]}));
        let high = of(json!({"quality": ["high"]}));
        let all = of(json!({}));
        assert!(low.competes(&both) && !low.replaces(&both) && !both.replaces(&low));
        assert!(both.replaces(&turned) && turned.replaces(&both));
        assert!(!low.competes(&high) && !low.competes(&all) && all.replaces(&all));
        let other = price(&json!({"model": "n"}));
        assert!(!all.competes(&other));
    }

    #[test]
    fn rows_and_models_of_a_configuration_are_checked() {
        let told = |config: Value| {
            let config: EditableConfig = serde_json::from_value(config).unwrap();
            let problems = check_config(&config).into_iter();
            problems.map(|found| found.pointer).collect::<Vec<_>>()
        };
        for (config, pointer) in [
            (
                json!({"providers": {"ideogram": {"models": [{"label": "x"}]}}}),
                "/providers/ideogram/models/0/id",
            ),
            (
                json!({"providers": {"ideogram": {"prices": [{"model": "x"}]}}}),
                "/providers/ideogram/prices/0",
            ),
            (
                json!({"providers": {"ideogram": {"prices": [{"model": "x", "unit": "image", "usd_micros": 0, "from": "2026-01-01", "basis": "exact"}]}}}),
                "/providers/ideogram/prices/0/free",
            ),
            (
                json!({"providers": {"ideogram": {"default_model": "nothing"}}}),
                "/providers/ideogram/default_model",
            ),
            (
                json!({"providers": {"ideogram": {"allowed_models": ["ideogram-3", "x"]}}}),
                "/providers/ideogram/allowed_models/1",
            ),
            (
                json!({"providers": {"ideogram": {}}, "routing": {"default_provider": "ideogram", "default_model": "nothing"}}),
                "/routing/default_model",
            ),
            (
                json!({"providers": {"ideogram": {}, "openai": {}}, "routing": {"default_model": "nothing"}}),
                "/routing/default_model",
            ),
            (
                json!({"providers": {"ideogram": {}}, "routing": {"fallback": ["ideogram/nothing"]}}),
                "/routing/fallback/0",
            ),
        ] {
            assert_eq!(told(config.clone()), [pointer], "{config}");
        }
        for good in [
            json!({}),
            json!({"providers": {"ideogram": {"models": [{"id": "x"}], "default_model": "x"}}}),
            json!({"providers": {"ideogram": {}, "openai": {}}, "routing": {"default_model": "ideogram-3"}}),
            json!({"routing": {"default_model": "openai/x"}}),
            json!({"providers": {"local": {"adapter": "openai", "base_url": "http://127.0.0.1:1", "allow_private_host": true, "default_model": "sd"}},
                "routing": {"default_provider": "local", "default_model": "sd"}}),
            // Its address is wrong: that is told elsewhere.
            json!({"providers": {"ideogram": {"base_url": "http://127.0.0.1:1", "default_model": "x"}}}),
        ] {
            assert!(told(good.clone()).is_empty(), "{good}");
        }
    }
}

//! The rules of an instance's configuration: one pure function for config-service, scripts and console.
//!
//! In scope: rules that follow from the configuration alone. Out of scope: whether ids in it exist, which models a
//! vendor has (config-service).

mod schema;
mod sections;

use crate::{
    Budget, EditableConfig, Fallback, KeyId, ProjectId, ProviderName, ProviderSettings, RateLimit,
    Timestamp, url_guard,
};
pub use schema::config_schema;
use sections::{MAX_USD_MICROS, bucket_name};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// JSON pointer into the configuration.
    pub pointer: String,
    /// The rule, in words.
    pub rule: String,
}

/// What the rules depend on besides the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValidateContext {
    /// `ENVIRONMENT` is `local` or `test`.
    pub local: bool,
    /// A superadmin marked the instance as self-hosted.
    pub self_hosted: bool,
    /// Now, for what may only be switched on for a while.
    pub now: Timestamp,
}

/// Adapters that the platform has, and whether each needs a key.
pub const ADAPTERS: &[(&str, bool)] = &[("ideogram", true), ("openai", true)];

/// Where an instance's objects may live.
const LOCATION_HINTS: &[&str] = &[
    "wnam", "enam", "sam", "weur", "eeur", "apac", "oc", "afr", "me",
];

/// The most of a configuration, as JSON text.
pub const MAX_CONFIG_BYTES: usize = 64 * 1024;

/// Begins the rule that names the providers there are.
pub const NO_PROVIDER: &str = "must be a provider in /providers or an adapter";

impl EditableConfig {
    /// Whether limits, budgets, keys and prices may name it: it stands in `providers`, or is an adapter's own name.
    pub fn has_provider(&self, name: &ProviderName) -> bool {
        self.providers.contains_key(name)
            || ADAPTERS
                .iter()
                .any(|(adapter, _)| *adapter == name.as_str())
    }

    /// The rule that a name breaks for which [`Self::has_provider`] is false, with the names that there are.
    pub fn provider_rule(&self) -> String {
        let own = self.providers.keys().map(ProviderName::as_str);
        let names: BTreeSet<&str> = own
            .chain(ADAPTERS.iter().map(|(adapter, _)| *adapter))
            .collect();
        let names: Vec<&str> = names.into_iter().collect();
        format!("{NO_PROVIDER}; known are {}", names.join(", "))
    }
}

struct Check {
    problems: Vec<Problem>,
}

impl Check {
    fn require(&mut self, ok: bool, pointer: impl Into<String>, rule: impl Into<String>) {
        if !ok {
            self.problems.push(Problem {
                pointer: pointer.into(),
                rule: rule.into(),
            });
        }
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "bounds are numbers, and `T: Copy` would say less"
    )]
    fn range<T: PartialOrd + std::fmt::Display>(
        &mut self,
        value: Option<T>,
        min: T,
        max: T,
        pointer: String,
    ) {
        if let Some(value) = value {
            let ok = value >= min && value <= max;
            self.require(ok, pointer, format!("must be {min} to {max}"));
        }
    }
}

/// All broken rules of a configuration.
pub fn validate_config(config: &EditableConfig, context: ValidateContext) -> Vec<Problem> {
    let mut check = Check {
        problems: Vec::new(),
    };
    for (provider, limit) in &config.rate_limits {
        check.require(
            config.has_provider(provider),
            format!("/rate_limits/{provider}"),
            config.provider_rule(),
        );
        rate_limit(&mut check, &format!("/rate_limits/{provider}"), limit);
    }
    check.require(
        config.providers.len() <= 40,
        "/providers",
        "at most 40 providers",
    );
    for (name, settings) in &config.providers {
        provider(&mut check, name, settings, context);
    }
    routing(&mut check, config);
    budgets(&mut check, config);
    if let Some(bucket) = &config.r2_bucket {
        bucket_name(&mut check, "/r2_bucket", bucket);
    }
    sections::storage(&mut check, config);
    sections::queue(&mut check, config);
    sections::logging(&mut check, &config.logging, context.now);
    sections::cost_guard(&mut check, &config.cost_guard);
    sections::repo_agent(&mut check, &config.repo_agent, context.local);
    if let Some(url) = &config.cdn_base_url
        && let Err(refused) = url_guard::check_base(url, context.local)
    {
        check.require(false, "/cdn_base_url", refused.rule);
    }
    if let Some(hint) = &config.location_hint {
        check.require(
            LOCATION_HINTS.contains(&hint.as_str()),
            "/location_hint",
            format!("must be one of {}", LOCATION_HINTS.join(", ")),
        );
    }
    if let Some(environment) = &config.environment {
        let ok = (1..=40).contains(&environment.chars().count())
            && !environment.chars().any(char::is_control);
        check.require(ok, "/environment", "must be 1 to 40 characters");
    }
    let webhooks = &config.webhook_hosts;
    sections::hosts(&mut check, "/webhook_hosts", webhooks, 50, context.local);
    check.range(
        config.sync_timeout_ms,
        1_000,
        900_000,
        "/sync_timeout_ms".into(),
    );
    check.problems
}

fn rate_limit(check: &mut Check, at: &str, limit: &RateLimit) {
    check.range(limit.rpm, 1, 6_000, format!("{at}/rpm"));
    check.range(limit.tpm, 1, 100_000_000, format!("{at}/tpm"));
    check.range(
        limit.max_inflight_images,
        1,
        1_000,
        format!("{at}/max_inflight_images"),
    );
    check.require(
        limit.windows.len() <= 4,
        format!("{at}/windows"),
        "at most 4 windows",
    );
    for (index, window) in limit.windows.iter().enumerate() {
        check.range(
            Some(window.requests),
            1,
            100_000,
            format!("{at}/windows/{index}/requests"),
        );
        check.range(
            Some(window.per_ms),
            1_000,
            3_600_000,
            format!("{at}/windows/{index}/per_ms"),
        );
    }
}

fn provider(
    check: &mut Check,
    name: &ProviderName,
    settings: &ProviderSettings,
    context: ValidateContext,
) {
    let at = format!("/providers/{name}");
    let adapter = settings.adapter_name(name);
    let known: Vec<&str> = ADAPTERS.iter().map(|(known, _)| *known).collect();
    check.require(
        known.contains(&adapter),
        format!("{at}/adapter"),
        format!("must be one of {}", known.join(", ")),
    );
    let private = settings.allow_private_host;
    check.require(
        !private || context.local || context.self_hosted,
        format!("{at}/allow_private_host"),
        "only in local environments or on instances that a superadmin marked as self-hosted",
    );
    if let Some(url) = &settings.base_url
        && let Err(refused) =
            url_guard::check_base(url, private && (context.local || context.self_hosted))
    {
        check.require(false, format!("{at}/base_url"), refused.rule);
    }
    for (member, hosts) in [
        ("extra_api_hosts", &settings.extra_api_hosts),
        ("extra_result_hosts", &settings.extra_result_hosts),
    ] {
        check.require(
            hosts.len() <= 20,
            format!("{at}/{member}"),
            "at most 20 hosts",
        );
        for (index, host) in hosts.iter().enumerate() {
            // With a port, or with a leading `*.` for any name below.
            let ok = (1..=253).contains(&host.len())
                && host
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-.:*[]".contains(&b));
            check.require(ok, format!("{at}/{member}/{index}"), "must be a host");
        }
    }
    check.require(
        settings.extra_api_hosts.is_empty() || private,
        format!("{at}/extra_api_hosts"),
        "only together with allow_private_host",
    );
    for header in settings.extra_headers.keys() {
        let ok = header.to_ascii_lowercase().starts_with("cf-aig-");
        check.require(
            ok,
            format!("{at}/extra_headers/{header}"),
            "only headers that start with cf-aig-",
        );
    }
    check.require(
        matches!(settings.webhook.as_str(), "off" | "on"),
        format!("{at}/webhook"),
        "must be off or on",
    );
    check.range(
        Some(settings.timeout_ms),
        1_000,
        900_000,
        format!("{at}/timeout_ms"),
    );
    check.require(
        settings.models.len() <= 100,
        format!("{at}/models"),
        "at most 100 rows",
    );
    check.require(
        settings.prices.len() <= 500,
        format!("{at}/prices"),
        "at most 500 rows",
    );
}

fn routing(check: &mut Check, config: &EditableConfig) {
    let routing = &config.routing;
    if let Some(name) = &routing.default_provider {
        let settings = config.providers.get(name);
        check.require(
            settings.is_some_and(|settings| settings.enabled),
            "/routing/default_provider",
            "must be a provider in /providers with enabled true",
        );
        // Either of the two may be the mistake.
        check.require(
            settings.is_none_or(|settings| settings.enabled),
            format!("/providers/{name}/enabled"),
            "must be true, because /routing/default_provider names it",
        );
    }
    if let Fallback::List(list) = &routing.fallback {
        let distinct: BTreeSet<&String> = list.iter().collect();
        check.require(list.len() <= 4, "/routing/fallback", "at most 4 entries");
        check.require(
            distinct.len() == list.len(),
            "/routing/fallback",
            "entries must be distinct",
        );
        for (index, entry) in list.iter().enumerate() {
            let known = entry.split_once('/').is_some_and(|(provider, model)| {
                !model.is_empty()
                    && ProviderName::parse(provider)
                        .is_ok_and(|provider| config.providers.contains_key(&provider))
            });
            check.require(
                known,
                format!("/routing/fallback/{index}"),
                "must be provider/model of a provider in /providers",
            );
        }
    }
    check.range(
        Some(routing.max_attempts),
        1,
        5,
        "/routing/max_attempts".into(),
    );
}

fn budgets(check: &mut Check, config: &EditableConfig) {
    let budgets: &[Budget] = &config.budgets;
    check.require(budgets.len() <= 100, "/budgets", "at most 100 budgets");
    let mut seen = BTreeSet::new();
    for (index, budget) in budgets.iter().enumerate() {
        let at = format!("/budgets/{index}");
        let scope_ok = match budget.scope.split_once(':') {
            None => budget.scope == "instance",
            Some(("provider", name)) => ProviderName::parse(name).is_ok(),
            Some(("project", id)) => ProjectId::parse(id).is_ok(),
            Some(("key", id)) => KeyId::parse(id).is_ok(),
            Some(_) => false,
        };
        check.require(
            scope_ok,
            format!("{at}/scope"),
            "must be instance, provider:<name>, project:<id> or key:<id>",
        );
        if let Some(("provider", name)) = budget.scope.split_once(':')
            && let Ok(name) = ProviderName::parse(name)
        {
            check.require(
                config.has_provider(&name),
                format!("{at}/scope"),
                config.provider_rule(),
            );
        }
        check.range(
            Some(budget.limit_usd_micros),
            1,
            MAX_USD_MICROS,
            format!("{at}/limit_usd_micros"),
        );
        check.require(
            seen.insert((&budget.scope, budget.period)),
            at,
            "one budget for each scope and period",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const LOCAL: ValidateContext = ValidateContext {
        local: true,
        self_hosted: false,
        now: Timestamp(0),
    };
    const CLOUD: ValidateContext = ValidateContext {
        local: false,
        ..LOCAL
    };

    fn pointers(config: &Value, context: ValidateContext) -> Vec<String> {
        let config: EditableConfig = serde_json::from_value(config.clone()).unwrap();
        validate_config(&config, context)
            .into_iter()
            .map(|problem| problem.pointer)
            .collect()
    }

    #[test]
    fn each_rule_has_its_case() {
        let budget = json!({"scope":"instance","period":"day","limit_usd_micros":1});
        for (config, pointer) in [
            (
                json!({"rate_limits":{"ideogram":{"rpm":0}}}),
                "/rate_limits/ideogram/rpm",
            ),
            (
                json!({"rate_limits":{"ideogram":{"rpm":6001}}}),
                "/rate_limits/ideogram/rpm",
            ),
            (
                json!({"rate_limits":{"ideogram":{"max_inflight_images":0}}}),
                "/rate_limits/ideogram/max_inflight_images",
            ),
            (
                json!({"rate_limits":{"ideogramm":{"rpm":1}}}),
                "/rate_limits/ideogramm",
            ),
            (
                json!({"budgets":[{"scope":"provider:ideogramm","period":"day","limit_usd_micros":1}]}),
                "/budgets/0/scope",
            ),
            (
                json!({"rate_limits":{"ideogram":{"tpm":0}}}),
                "/rate_limits/ideogram/tpm",
            ),
            (
                json!({"rate_limits":{"ideogram":{"windows":[{"requests":1,"per_ms":10}]}}}),
                "/rate_limits/ideogram/windows/0/per_ms",
            ),
            (json!({"providers":{"x":{}}}), "/providers/x/adapter"),
            (
                json!({"providers":{"ideogram":{"base_url":"http://169.254.169.254"}}}),
                "/providers/ideogram/base_url",
            ),
            (
                json!({"providers":{"ideogram":{"allow_private_host":true}}}),
                "/providers/ideogram/allow_private_host",
            ),
            (
                json!({"providers":{"ideogram":{"extra_api_hosts":["127.0.0.1:1"]}}}),
                "/providers/ideogram/extra_api_hosts",
            ),
            (
                json!({"providers":{"ideogram":{"extra_headers":{"x-a":"1"}}}}),
                "/providers/ideogram/extra_headers/x-a",
            ),
            (
                json!({"providers":{"ideogram":{"timeout_ms":1}}}),
                "/providers/ideogram/timeout_ms",
            ),
            (
                json!({"providers":{"ideogram":{"webhook":"maybe"}}}),
                "/providers/ideogram/webhook",
            ),
            (
                json!({"routing":{"default_provider":"ideogram"}}),
                "/routing/default_provider",
            ),
            (
                json!({"routing":{"fallback":["openai/gpt-image-2"]}}),
                "/routing/fallback/0",
            ),
            (
                json!({"routing":{"max_attempts":6}}),
                "/routing/max_attempts",
            ),
            (json!({"budgets":[budget, budget]}), "/budgets/1"),
            (
                json!({"budgets":[{"scope":"team:x","period":"day","limit_usd_micros":1}]}),
                "/budgets/0/scope",
            ),
            (
                json!({"budgets":[{"scope":"instance","period":"day","limit_usd_micros":0}]}),
                "/budgets/0/limit_usd_micros",
            ),
            (json!({"r2_bucket":"A"}), "/r2_bucket"),
            (json!({"environment":""}), "/environment"),
            (json!({"webhook_hosts":["https://x"]}), "/webhook_hosts/0"),
            (
                json!({"providers":{"ideogram":{"extra_result_hosts":["a b"]}}}),
                "/providers/ideogram/extra_result_hosts/0",
            ),
            (json!({"storage":{"url_ttl_s":5}}), "/storage/url_ttl_s"),
            (json!({"storage":{"max_bytes":0}}), "/storage/max_bytes"),
            (
                json!({"storage":{"projects":{"forge":{}}}}),
                "/storage/projects/forge",
            ),
            (json!({"queue":{"weights":{"x":1}}}), "/queue/weights/x"),
            (json!({"logging":{"level":"LOUD"}}), "/logging/level"),
            (json!({"cost_guard":{"action":"x"}}), "/cost_guard/action"),
            (json!({"repo_agent":[]}), "/repo_agent"),
            (json!({"queue":{"max_wait_s":5}}), "/queue/max_wait_s"),
            (
                json!({"cdn_base_url":"https://cdn.example.com/?x"}),
                "/cdn_base_url",
            ),
            (json!({"location_hint":"mars"}), "/location_hint"),
            (json!({"sync_timeout_ms":1}), "/sync_timeout_ms"),
        ] {
            assert_eq!(pointers(&config, CLOUD), [pointer], "{config}");
        }
    }

    #[test]
    fn limits_and_budgets_name_a_provider_of_the_configuration_or_an_adapter() {
        let named = json!({
            "providers": {"pictures": {"adapter": "ideogram"}},
            "rate_limits": {"pictures": {"rpm": 1}, "openai": {"rpm": 1}},
            "budgets": [
                {"scope":"provider:pictures","period":"day","limit_usd_micros":1},
                {"scope":"provider:ideogram","period":"day","limit_usd_micros":1},
            ],
        });
        assert!(pointers(&named, CLOUD).is_empty());
        let mut config: EditableConfig = serde_json::from_value(named).unwrap();
        config.budgets[0].scope = "provider:picture".to_owned();
        assert_eq!(
            validate_config(&config, CLOUD)[0].rule,
            "must be a provider in /providers or an adapter; known are ideogram, openai, pictures"
        );
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let config = json!({"r2_bucket":"A","sync_timeout_ms":1});
        assert_eq!(pointers(&config, CLOUD), ["/r2_bucket", "/sync_timeout_ms"]);
    }

    #[test]
    fn a_default_provider_that_is_disabled_is_told_at_both_members() {
        let config = json!({"providers":{"ideogram":{"enabled":false}},"routing":{"default_provider":"ideogram"}});
        assert_eq!(
            pointers(&config, CLOUD),
            ["/routing/default_provider", "/providers/ideogram/enabled"]
        );
    }

    #[test]
    fn the_simulator_is_allowed_locally_only() {
        let config = json!({"providers":{"ideogram":{"base_url":"http://127.0.0.1:9/ideogram","allow_private_host":true,"extra_api_hosts":["127.0.0.1:1"]}}});
        assert!(pointers(&config, LOCAL).is_empty());
        assert_eq!(pointers(&config, CLOUD).len(), 2);
        assert!(
            pointers(
                &config,
                ValidateContext {
                    self_hosted: true,
                    ..CLOUD
                }
            )
            .is_empty()
        );
    }
}

//! Chooses which provider and model may serve a request, and in which order: pure and deterministic.
//!
//! In scope: filters with their reasons, scores, order. Out of scope: places and money, which `acquire` and the
//! budget decide.

use crate::capability::Model;
use crate::image::ImageAdapter;
use crate::options::{self, Unfit};
use crate::price::Estimate;
use crate::registry;
use api_types::{
    CredentialState, Fallback, FallbackWord, GenerateRequest, ImageOptions, InstanceConfig,
    JobCandidate, LimiterStats, Optimize, ProviderName, ProviderSettings, Score, Skipped,
    Timestamp, UnknownPrice, Warning,
};
use errors::{Code, Error};
use serde_json::json;
use std::collections::BTreeMap;

/// Most candidates of a plan.
pub const MAX_CANDIDATES: usize = 5;

/// Days before its end in which a model's use is warned about.
const NOTICE_MS: i64 = 30 * 86_400_000;

/// What is planned.
#[derive(Clone, Copy, Debug)]
pub struct PlanRequest<'a> {
    /// The request.
    pub request: &'a GenerateRequest,
}

impl<'a> PlanRequest<'a> {
    /// Plans that request.
    pub const fn new(request: &'a GenerateRequest) -> Self {
        Self { request }
    }
}

/// Who may serve a request, in the order to try.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// At most [`MAX_CANDIDATES`].
    pub candidates: Vec<JobCandidate>,
    /// The score of each candidate.
    pub scores: Vec<Score>,
    /// Who was passed over, and why.
    pub skipped: Vec<Skipped>,
    /// The first candidate's warnings.
    pub warnings: Vec<Warning>,
    invalid: Option<Unfit>,
    breaker_ms: Option<u64>,
}

impl Plan {
    /// The answer when there is no candidate.
    pub fn refusal(&self) -> Error {
        if let Some(Unfit::Invalid { field, rule }) = &self.invalid {
            return Error::invalid_field(field, rule.clone());
        }
        let real: Vec<&Skipped> = self
            .skipped
            .iter()
            .filter(|skipped| !matches!(skipped.reason.as_str(), "not_requested" | "deprecated"))
            .collect();
        let all =
            |reason: &str| !real.is_empty() && real.iter().all(|skipped| skipped.reason == reason);
        if all("breaker_open") {
            let error = Error::new(
                Code::ProviderUnavailable,
                "No provider is available right now.",
            );
            return error
                .with_retry_after_ms(self.breaker_ms.unwrap_or(1_000).max(1_000))
                .with_details(json!({"skipped": self.skipped}));
        }
        let first = real.iter().find_map(|skipped| skipped.option.as_deref());
        if let Some(option) = first.filter(|option| option.starts_with("provider_options."))
            && real
                .iter()
                .all(|skipped| skipped.option.as_deref() == Some(option))
        {
            return Error::invalid_field(option, "no model takes it")
                .with_detail("skipped", json!(self.skipped));
        }
        let (code, text) = if real.iter().any(|skipped| skipped.reason == "price_unknown")
            && real.iter().all(|skipped| {
                matches!(
                    skipped.reason.as_str(),
                    "price_unknown" | "no_credentials" | "disabled"
                )
            }) {
            (
                Code::PriceUnknown,
                "No provider that could serve this has a known price.",
            )
        } else {
            (Code::NoRoute, "No provider can serve this request.")
        };
        Error::new(code, text).with_details(json!({"skipped": self.skipped}))
    }
}

/// A candidate before it is scored.
struct Found {
    candidate: JobCandidate,
    tier: u32,
    primary: bool,
    /// Place in the fallback list, then in the configuration.
    order: usize,
}

/// What is asked for: provider and model, each `None` for any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Wish {
    provider: Option<String>,
    model: Option<String>,
}

fn named(text: Option<&str>) -> Option<String> {
    text.filter(|text| !text.is_empty() && *text != "auto")
        .map(str::to_owned)
}

impl Wish {
    fn of(request: &GenerateRequest, config: &InstanceConfig) -> Self {
        let routing = &config.edited.routing;
        let mut wish = Self {
            provider: named(request.provider.as_deref()),
            model: named(request.model.as_deref()),
        };
        let silent = wish == Self::default();
        if silent && request.provider.is_none() && request.model.is_none() {
            wish.provider = routing
                .default_provider
                .as_ref()
                .map(|name| name.as_str().to_owned());
            wish.model = named(routing.default_model.as_deref());
        }
        if let Some((provider, model)) = wish.model.as_deref().and_then(|text| text.split_once('/'))
            && wish
                .provider
                .as_deref()
                .is_none_or(|named| named == provider)
            && config
                .edited
                .providers
                .keys()
                .any(|name| name.as_str() == provider)
        {
            wish = Self {
                provider: Some(provider.to_owned()),
                model: Some(model.to_owned()),
            };
        }
        wish
    }

    fn is_open(&self) -> bool {
        self.provider.is_none() && self.model.is_none()
    }

    fn admits(&self, provider: &ProviderName) -> bool {
        self.provider
            .as_deref()
            .is_none_or(|named| named == provider.as_str())
    }
}

struct Planner<'a> {
    request: &'a GenerateRequest,
    options: ImageOptions,
    config: &'a InstanceConfig,
    now: Timestamp,
    stats: &'a BTreeMap<ProviderName, LimiterStats>,
    optimize: Optimize,
    plan: Plan,
    found: Vec<Found>,
}

/// Plans a request.
pub fn plan(
    wanted: &PlanRequest<'_>,
    config: &InstanceConfig,
    now: Timestamp,
    stats: &BTreeMap<ProviderName, LimiterStats>,
) -> Plan {
    let request = wanted.request;
    let routing = &config.edited.routing;
    let mut planner = Planner {
        request,
        options: request.options(),
        config,
        now,
        stats,
        optimize: request.optimize.unwrap_or(routing.optimize),
        plan: Plan::default(),
        found: Vec::new(),
    };
    if let Err(unfit) = options::check(&request.prompt, &planner.options) {
        planner.plan.invalid = Some(unfit);
        return planner.plan;
    }
    let wish = Wish::of(request, config);
    let fallback = request.fallback.as_ref().unwrap_or(&routing.fallback);
    for (place, (name, settings)) in config.edited.providers.iter().enumerate() {
        if wish.admits(name) {
            let pick = wish.model.as_deref().map_or(Pick::Any, Pick::Named);
            planner.consider(name, settings, pick, true, place);
        } else if matches!(fallback, Fallback::Word(FallbackWord::Auto)) {
            planner.consider(name, settings, Pick::Any, false, place);
        } else if !in_list(fallback, name) {
            planner.skip(name, "", "not_requested", None, None);
        }
    }
    // The same provider's other models follow a named model only if the list says so.
    if let Fallback::List(entries) = fallback {
        for (place, entry) in entries.iter().enumerate() {
            let Some((provider, model)) = entry.split_once('/') else {
                continue;
            };
            let known = config
                .edited
                .providers
                .iter()
                .find(|(name, _)| name.as_str() == provider);
            if let Some((name, settings)) = known {
                planner.consider(name, settings, Pick::Named(model), wish.is_open(), place);
            }
        }
    }
    planner.finish(matches!(fallback, Fallback::Word(FallbackWord::None)))
}

fn in_list(fallback: &Fallback, provider: &ProviderName) -> bool {
    match fallback {
        Fallback::List(entries) => entries.iter().any(|entry| {
            entry
                .split_once('/')
                .is_some_and(|(name, _)| name == provider.as_str())
        }),
        Fallback::Word(_) => false,
    }
}

/// Which models of a provider.
#[derive(Clone, Copy)]
enum Pick<'a> {
    /// The one of that name.
    Named(&'a str),
    /// The default, or what else fits.
    Any,
}

impl Planner<'_> {
    fn skip(
        &mut self,
        provider: &ProviderName,
        model: &str,
        reason: &str,
        option: Option<&str>,
        detail: Option<String>,
    ) {
        self.plan.skipped.push(Skipped {
            provider: provider.as_str().to_owned(),
            model: model.to_owned(),
            reason: reason.to_owned(),
            option: option.map(str::to_owned),
            detail,
        });
    }

    fn consider(
        &mut self,
        name: &ProviderName,
        settings: &ProviderSettings,
        pick: Pick<'_>,
        primary: bool,
        order: usize,
    ) {
        if !settings.enabled {
            return self.skip(name, "", "disabled", None, None);
        }
        let adapter = match registry::image(name, settings) {
            Ok(adapter) => adapter,
            Err(error) => return self.skip(name, "", "disabled", None, Some(error.public)),
        };
        let keyless = settings.allow_private_host && matches!(adapter, ImageAdapter::OpenAi(_));
        let has_key = matches!(
            settings.credential_state,
            CredentialState::Set | CredentialState::Failing
        );
        if !has_key && !keyless {
            return self.skip(name, "", "no_credentials", None, None);
        }
        if let Some(breaker_ms) = self
            .stats
            .get(name)
            .map(|stats| stats.breaker_ms)
            .filter(|ms| *ms > 0)
        {
            let soonest = self
                .plan
                .breaker_ms
                .map_or(breaker_ms, |known| known.min(breaker_ms));
            self.plan.breaker_ms = Some(soonest);
            return self.skip(name, "", "breaker_open", None, None);
        }
        let profile = adapter.profile();
        match pick {
            Pick::Named(wanted) => match profile.model(wanted) {
                Some(model) => {
                    self.judge(&adapter, settings, model, primary, order, Some(wanted));
                }
                None => self.skip(name, wanted, "unknown_model", None, None),
            },
            Pick::Any => {
                let default = profile.default_model();
                // Balanced means the provider's default; any other aim compares all models.
                let all = self.optimize != Optimize::Balanced;
                let mut served = false;
                if let Some(model) = default {
                    served = self.judge(&adapter, settings, model, primary, order, None);
                }
                for model in profile.models() {
                    if default.is_some_and(|default| default.id == model.id) || served && !all {
                        continue;
                    }
                    served |= self.judge(&adapter, settings, model, primary, order, None);
                }
            }
        }
    }

    /// Whether a provider's model becomes a candidate; if not, why.
    fn judge(
        &mut self,
        adapter: &ImageAdapter,
        settings: &ProviderSettings,
        model: &Model,
        primary: bool,
        order: usize,
        by_name: Option<&str>,
    ) -> bool {
        let name = adapter.profile().name().clone();
        if self
            .found
            .iter()
            .any(|found| found.candidate.provider == name && found.candidate.model == model.id)
        {
            return false;
        }
        if !self.is_allowed(&name, settings, model) {
            self.skip(&name, &model.id, "model_not_allowed", None, None);
            return false;
        }
        let mut warnings = Vec::new();
        if let Some(day) = &model.deprecated_on {
            let over = self.now.day().as_str() >= day.as_str();
            if over && by_name.is_none() {
                self.skip(
                    &name,
                    &model.id,
                    "deprecated",
                    None,
                    Some(format!("since {day}")),
                );
                return false;
            }
            if over || self.now.plus_ms(NOTICE_MS).day().as_str() >= day.as_str() {
                warnings.push(Warning {
                    code: "model_deprecated".to_owned(),
                    option: None,
                    from: Some(model.id.clone()),
                    to: model.replaced_by.clone(),
                });
            }
        }
        let limit = self
            .config
            .edited
            .rate_limits
            .get(&name)
            .and_then(|limit| limit.max_inflight_images);
        let limit = limit.or_else(|| crate::default_limit(settings.adapter_name(&name)));
        if let Some(limit) = limit.filter(|limit| self.options.n > *limit) {
            let detail = format!("at most {limit} images in progress");
            self.skip(&name, &model.id, "n_too_large", None, Some(detail));
            return false;
        }
        let options = model.options_as(by_name.unwrap_or(&model.id), &self.options);
        let fitted = match adapter.fit(model, &self.request.prompt, &options) {
            Ok(fitted) => fitted,
            Err(unfit) => {
                let reason = if matches!(unfit, Unfit::Invalid { .. }) {
                    "option_unsupported"
                } else {
                    unfit.reason()
                };
                self.skip(
                    &name,
                    &model.id,
                    reason,
                    unfit.option(),
                    Some(unfit.to_string()),
                );
                return false;
            }
        };
        let estimate = adapter
            .estimate_cost(model, &fitted.effective, &self.request.prompt, self.now)
            .ok();
        if estimate.is_none() && self.config.edited.routing.unknown_price == UnknownPrice::Refuse {
            self.skip(
                &name,
                &model.id,
                "price_unknown",
                None,
                Some("add a prices row to the provider's settings".to_owned()),
            );
            return false;
        }
        if let Some(most) = self.request.max_cost_usd_micros
            && estimate
                .as_ref()
                .is_none_or(|estimate| estimate.upper_usd_micros > most)
        {
            let detail = estimate
                .map(|estimate| format!("costs up to {} micro-dollars", estimate.upper_usd_micros));
            self.skip(&name, &model.id, "over_max_cost", None, detail);
            return false;
        }
        warnings.extend(fitted.warnings);
        let tokens = adapter.profile().prices().tokens(
            &model.id,
            &fitted.effective,
            self.request.prompt.len() as u64,
            self.now,
        );
        self.found.push(Found {
            candidate: JobCandidate {
                tokens,
                ..candidate(name, model, fitted.effective, warnings, estimate)
            },
            tier: model.tier,
            primary,
            order,
        });
        true
    }

    fn is_allowed(&self, name: &ProviderName, settings: &ProviderSettings, model: &Model) -> bool {
        let by_settings = settings.allowed_models.is_empty()
            || settings
                .allowed_models
                .iter()
                .any(|allowed| model.is_called(allowed));
        let routing = &self.config.edited.routing.models;
        let by_routing = routing.is_empty()
            || routing.iter().any(|allowed| {
                model.is_called(allowed)
                    || allowed.split_once('/').is_some_and(|(provider, id)| {
                        provider == name.as_str() && model.is_called(id)
                    })
            });
        by_settings && by_routing
    }

    fn finish(mut self, only_first: bool) -> Plan {
        let scores = self.scores();
        let listed = matches!(
            self.request
                .fallback
                .as_ref()
                .unwrap_or(&self.config.edited.routing.fallback),
            Fallback::List(_)
        );
        let mut ranked: Vec<(Found, Score)> = self.found.drain(..).zip(scores).collect();
        // The asked-for ones first; a list of fallbacks keeps its own order, everything else goes by score.
        ranked.sort_by(|(left, left_score), (right, right_score)| {
            let by_score = right_score
                .total
                .cmp(&left_score.total)
                .then(left.order.cmp(&right.order));
            let by_rank = if listed && !left.primary && !right.primary {
                left.order.cmp(&right.order)
            } else {
                by_score
            };
            right.primary.cmp(&left.primary).then(by_rank)
        });
        ranked.truncate(if only_first { 1 } else { MAX_CANDIDATES });
        let mut plan = self.plan;
        for (found, score) in ranked {
            plan.candidates.push(found.candidate);
            plan.scores.push(score);
        }
        plan.warnings = plan
            .candidates
            .first()
            .map(|first| first.warnings.clone())
            .unwrap_or_default();
        plan
    }

    fn scores(&self) -> Vec<Score> {
        let weights = match self.optimize {
            Optimize::Cost => [70, 10, 5, 15],
            Optimize::Speed => [10, 65, 5, 20],
            Optimize::Quality => [5, 10, 70, 15],
            Optimize::Balanced => [30, 25, 25, 20],
        };
        let stats = |found: &Found| {
            self.stats
                .get(&found.candidate.provider)
                .copied()
                .unwrap_or_default()
        };
        let price = |found: &Found| {
            found
                .candidate
                .estimate_usd_micros
                .map(|price| price.max(0).cast_unsigned())
        };
        let median = |found: &Found| Some(stats(found).median_ms).filter(|ms| *ms > 0);
        let cheapest = self.found.iter().filter_map(price).min();
        let fastest = self.found.iter().filter_map(median).min();
        let best_tier = self.found.iter().map(|found| found.tier).max().unwrap_or(0);
        self.found
            .iter()
            .map(|found| {
                let cost = price(found).map_or(0, |price| share(cheapest.unwrap_or(0), price));
                // A provider that nobody has measured yet is taken to be as fast as the fastest.
                let speed = median(found).map_or(1_000, |ms| share(fastest.unwrap_or(0), ms));
                let quality = share_up(found.tier, best_tier);
                let availability = 1_000 - stats(found).errors_per_mille.min(1_000);
                let parts = [cost, speed, quality, availability];
                let total = parts
                    .iter()
                    .zip(weights)
                    .map(|(part, weight)| part * weight)
                    .sum();
                Score {
                    cost,
                    speed,
                    quality,
                    availability,
                    total,
                }
            })
            .collect()
    }
}

/// 1,000 for the best, less for what is larger.
fn share(best: u64, value: u64) -> u32 {
    if value == 0 {
        return 1_000;
    }
    u32::try_from(u128::from(best) * 1_000 / u128::from(value))
        .unwrap_or(1_000)
        .min(1_000)
}

fn share_up(value: u32, best: u32) -> u32 {
    (value.min(best) * 1_000).checked_div(best).unwrap_or(1_000)
}

fn candidate(
    provider: ProviderName,
    model: &Model,
    effective: ImageOptions,
    warnings: Vec<Warning>,
    estimate: Option<Estimate>,
) -> JobCandidate {
    let (usd, upper, version) = match estimate {
        Some(estimate) => (
            Some(estimate.usd_micros),
            Some(estimate.upper_usd_micros),
            Some(estimate.price_version),
        ),
        None => (None, None, None),
    };
    JobCandidate {
        provider,
        model: model.id.clone(),
        weight: effective.n,
        calls: 1,
        tokens: 0,
        effective,
        warnings,
        estimate_usd_micros: usd,
        upper_usd_micros: upper,
        price_version: version,
        score: None,
    }
}

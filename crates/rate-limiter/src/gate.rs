//! What may stop an admission besides the windows: breaker, the provider's own back-off, calibration of the in-flight
//! maximum; and what the outcomes teach.
//!
//! In scope: plain serialisable values with the clock given. Out of scope: windows, leases, storage.

use api_types::{LimiterStats, Limits, Outcome, Settle};
use errors::{Breaker, BreakerConfig, Decision, Trip};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// First wait after a 429 that names none, in milliseconds; doubles to the maximum.
const BACKOFF_MS: i64 = 5_000;
/// Longest of these waits.
const BACKOFF_MAX_MS: i64 = 60_000;
/// Longest wait that a provider may ask for.
const BACKOFF_ASKED_MAX_MS: u64 = 3_600_000;
/// A shared account gives one place back after this long without a refusal.
const SHARED_STEP_MS: i64 = 30_000;
/// Longest that a probe may take before it counts as lost.
const PROBE_MAX_MS: i64 = 300_000;

/// Others use the same account: our ceiling when it refused us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Shared {
    base: u32,
    at_ms: i64,
}

/// State of the gates, stored as one JSON text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Gate {
    breaker: Breaker,
    backoff_until_ms: i64,
    backoff_level: u32,
    calibrated: Option<u32>,
    shared: Option<Shared>,
    /// An operator paused the provider.
    pub(crate) paused: bool,
}

/// Which attempt an outcome belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    /// The breaker's generation at its grant.
    pub(crate) generation: u64,
    /// Whether it is the probe.
    pub(crate) probe: bool,
    /// The configuration at its grant.
    pub(crate) config_version: i64,
}

const BREAKER: BreakerConfig = BreakerConfig::PROVIDER;

impl Gate {
    /// A newer configuration: what was learnt under the older one is forgotten.
    pub(crate) fn adopt(&mut self) {
        self.breaker.reset();
        self.calibrated = None;
        self.shared = None;
    }

    /// How long the breaker refuses, in milliseconds; 0 when it lets a call through.
    pub(crate) fn breaker_ms(&self, now_ms: i64) -> u64 {
        self.breaker.refused_for_ms(now_ms)
    }

    /// How long the provider's own back-off lasts, in milliseconds.
    pub(crate) fn backoff_ms(&self, now_ms: i64) -> u64 {
        u64::try_from(self.backoff_until_ms - now_ms).unwrap_or(0)
    }

    /// Takes a call from the breaker: its generation and whether it is the probe, or the wait in milliseconds.
    pub(crate) fn admit(
        &mut self,
        now_ms: i64,
        run_ms: i64,
        random: u64,
    ) -> Result<(u64, bool), u64> {
        match self
            .breaker
            .admit(now_ms, run_ms.min(PROBE_MAX_MS), &BREAKER, random)
        {
            Decision::Allowed { generation, probe } => Ok((generation, probe)),
            Decision::Refused { retry_after_ms } => Err(retry_after_ms),
        }
    }

    /// The in-flight maximum in force.
    pub(crate) fn max_inflight(&self, limits: &Limits, now_ms: i64) -> Option<u32> {
        let known = self.known_max(limits);
        let shared = self.shared.map(|shared| {
            let steps = (now_ms - shared.at_ms).max(0) / SHARED_STEP_MS;
            shared
                .base
                .saturating_add(u32::try_from(steps).unwrap_or(u32::MAX))
        });
        match (known, shared) {
            (Some(known), Some(shared)) => Some(known.min(shared)),
            (known, _) => known,
        }
    }

    /// The maximum without what sharing the account takes away: more than this never fits.
    pub(crate) fn known_max(&self, limits: &Limits) -> Option<u32> {
        match (limits.max_inflight_images, self.calibrated) {
            (Some(configured), Some(observed)) => Some(configured.min(observed)),
            (configured, observed) => configured.or(observed),
        }
    }

    /// What the provider has named as its maximum.
    pub(crate) const fn calibrated(&self) -> Option<u32> {
        self.calibrated
    }

    /// When a shared account gives the next place back, in milliseconds from now.
    pub(crate) fn next_place_ms(&self, now_ms: i64) -> Option<u64> {
        let shared = self.shared?;
        let since = (now_ms - shared.at_ms).max(0);
        u64::try_from(SHARED_STEP_MS - since % SHARED_STEP_MS).ok()
    }

    /// An outcome. `own_images`: images that have a place without the settled attempt's.
    pub(crate) fn learn(
        &mut self,
        settle: &Settle,
        origin: Origin,
        own_images: u64,
        config_version: i64,
        now_ms: i64,
        random: u64,
    ) {
        let trip = match settle.outcome {
            Outcome::Auth => Some(Trip::Auth),
            Outcome::Quota => Some(Trip::Quota),
            _ => None,
        };
        match trip {
            // Ten calls that fail together are one finding: only the first one, or the probe, opens it.
            Some(why) => {
                let current = origin.config_version >= config_version;
                if current && (!self.breaker.is_open() || origin.probe) {
                    self.breaker.trip(now_ms, why, &BREAKER, random);
                }
            }
            None => self.breaker.record(
                now_ms,
                origin.generation,
                settle.breaker_failure,
                &BREAKER,
                random,
            ),
        }
        match settle.outcome {
            // Refused for images in flight: we wait for a place of our own, if we have one.
            Outcome::RateLimited
                if settle.observed_max_inflight.is_some()
                    && settle.retry_after_ms.is_none()
                    && own_images > 0 => {}
            Outcome::RateLimited => self.back_off(settle.retry_after_ms, now_ms),
            Outcome::Succeeded => {
                self.backoff_until_ms = 0;
                self.backoff_level = 0;
            }
            _ => {}
        }
        if let Some(observed) = settle.observed_max_inflight {
            let observed = observed.max(1);
            if self.calibrated.is_none_or(|known| observed < known) {
                self.calibrated = Some(observed);
                tracing::info!(event = "gauge", name = "limit_calibrated", value = observed);
            }
            if settle.outcome == Outcome::RateLimited && own_images < u64::from(observed) {
                self.shared = Some(Shared {
                    base: u32::try_from(own_images).unwrap_or(u32::MAX).max(1),
                    at_ms: now_ms,
                });
            }
        }
        if let Some(shared) = self.shared
            && now_ms - shared.at_ms >= i64::from(self.calibrated.unwrap_or(0)) * SHARED_STEP_MS
        {
            self.shared = None;
        }
    }

    fn back_off(&mut self, asked_ms: Option<u64>, now_ms: i64) {
        let wait_ms = if let Some(asked_ms) = asked_ms {
            i64::try_from(asked_ms.min(BACKOFF_ASKED_MAX_MS)).unwrap_or(i64::MAX)
        } else {
            let wait_ms = (BACKOFF_MS << self.backoff_level.min(8)).min(BACKOFF_MAX_MS);
            // Calls that were under way when the wait began say nothing new.
            if now_ms >= self.backoff_until_ms {
                self.backoff_level = (self.backoff_level + 1).min(8);
            }
            wait_ms
        };
        self.backoff_until_ms = self.backoff_until_ms.max(now_ms + wait_ms);
    }

    /// The holder of a lease is gone; for a probe that is a failure.
    pub(crate) fn lost(&mut self, origin: Origin, now_ms: i64, random: u64) {
        if origin.probe {
            self.breaker
                .record(now_ms, origin.generation, Some(true), &BREAKER, random);
        }
    }

    /// A lease came back unused; for a probe that says nothing, so that the next call may probe.
    pub(crate) fn unused(&mut self, origin: Origin, now_ms: i64, random: u64) {
        if origin.probe {
            self.breaker
                .record(now_ms, origin.generation, None, &BREAKER, random);
        }
    }
}

/// Samples that a median is taken of.
const SAMPLES: usize = 21;
/// Outcomes that the error rate is taken of.
const OUTCOMES: usize = 50;
/// Models that are told apart.
const MODELS: usize = 32;

/// What was seen lately; orders candidates and estimates waits, decides nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Stats {
    /// Durations of finished generations in milliseconds, by model, oldest first.
    durations: BTreeMap<String, Vec<u64>>,
    /// 1 for a failure, oldest first.
    outcomes: Vec<u8>,
}

impl Stats {
    /// Adds an outcome.
    pub(crate) fn learn(&mut self, model: &str, generation_ms: Option<u64>, failure: Option<bool>) {
        if let Some(ms) = generation_ms
            && (self.durations.contains_key(model) || self.durations.len() < MODELS)
        {
            push(
                self.durations.entry(model.to_owned()).or_default(),
                ms,
                SAMPLES,
            );
        }
        if let Some(failed) = failure {
            push(&mut self.outcomes, u8::from(failed), OUTCOMES);
        }
    }

    /// Median of a model, of all models while it has none, 0 while nothing is known.
    pub(crate) fn median_ms(&self, model: &str) -> u64 {
        let mut samples = self
            .durations
            .get(model)
            .cloned()
            .unwrap_or_else(|| self.durations.values().flatten().copied().collect());
        samples.sort_unstable();
        samples.get(samples.len() / 2).copied().unwrap_or(0)
    }

    /// The public form.
    pub(crate) fn view(&self, model: &str, inflight_images: u64, breaker_ms: u64) -> LimiterStats {
        let failures: u32 = self.outcomes.iter().map(|failed| u32::from(*failed)).sum();
        let seen = u32::try_from(self.outcomes.len()).unwrap_or(u32::MAX);
        LimiterStats {
            median_ms: self.median_ms(model),
            errors_per_mille: (failures * 1_000).checked_div(seen).unwrap_or(0),
            inflight_images: u32::try_from(inflight_images).unwrap_or(u32::MAX),
            breaker_ms,
        }
    }
}

fn push<T>(samples: &mut Vec<T>, sample: T, most: usize) {
    if samples.len() >= most {
        samples.remove(0);
    }
    samples.push(sample);
}

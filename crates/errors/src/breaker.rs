//! A circuit breaker that is a plain, serialisable value with the clock given.
//!
//! In scope: the state machine (closed, open, half-open with one probe), levels, trips. Out of scope: which outcomes
//! count as failures (the caller says), where it is stored.

use serde::{Deserialize, Serialize};

/// Window, threshold and delays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerConfig {
    /// How many of the last outcomes are looked at.
    pub outcomes: usize,
    /// Older outcomes do not count, in milliseconds.
    pub window_ms: i64,
    /// Failures that open it, if they are also at least half of the outcomes.
    pub failures: usize,
    /// First time open, in milliseconds; doubles with each level.
    pub open_ms: i64,
    /// Longest time open, in milliseconds.
    pub max_open_ms: i64,
    /// First time open after a trip (authentication, quota), in milliseconds.
    pub trip_ms: i64,
    /// Longest time open after a trip, in milliseconds.
    pub max_trip_ms: i64,
}

impl BreakerConfig {
    /// For providers: 5 failures of the last 20 within 5 minutes, 30 s doubling to 300 s.
    pub const PROVIDER: Self = Self {
        outcomes: 20,
        window_ms: 300_000,
        failures: 5,
        open_ms: 30_000,
        max_open_ms: 300_000,
        trip_ms: 60_000,
        max_trip_ms: 900_000,
    };

    /// For config-service: 3 failures, 2 s doubling to 30 s.
    pub const LOOKUP: Self = Self {
        outcomes: 6,
        window_ms: 60_000,
        failures: 3,
        open_ms: 2_000,
        max_open_ms: 30_000,
        trip_ms: 2_000,
        max_trip_ms: 30_000,
    };
}

/// Why it opens at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trip {
    /// The key was refused.
    Auth,
    /// The account has nothing left.
    Quota,
}

/// What `admit` decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Go on; give `generation` back with the outcome.
    Allowed {
        /// Outcomes of older generations are ignored.
        generation: u64,
        /// This is the one call that decides whether it closes.
        probe: bool,
    },
    /// Do not call.
    Refused {
        /// When it may be asked again, in milliseconds from now.
        retry_after_ms: u64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
enum State {
    Closed,
    Open { until_ms: i64, tripped: bool },
    HalfOpen { probe_until_ms: i64, tripped: bool },
}

/// The breaker of one dependency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    state: State,
    level: u32,
    generation: u64,
    last_ms: i64,
    /// `(at_ms, failed)`, oldest first.
    recent: Vec<(i64, bool)>,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            state: State::Closed,
            level: 0,
            generation: 0,
            last_ms: 0,
            recent: Vec::new(),
        }
    }
}

const MAX_LEVEL: u32 = 8;

impl Breaker {
    fn clamp(&mut self, now_ms: i64) -> i64 {
        self.last_ms = self.last_ms.max(now_ms);
        self.last_ms
    }

    fn open(&mut self, now_ms: i64, config: &BreakerConfig, tripped: bool, random: u64) {
        self.level = (self.level + 1).min(MAX_LEVEL);
        self.generation += 1;
        self.recent.clear();
        let (first, max) = if tripped {
            (config.trip_ms, config.max_trip_ms)
        } else {
            (config.open_ms, config.max_open_ms)
        };
        let base = first.saturating_mul(1_i64 << (self.level - 1)).min(max);
        // 0 to 20 % more, so that callers of one provider do not return together.
        let jitter = i64::try_from(random % 201).unwrap_or(0) * base / 1000;
        self.state = State::Open {
            until_ms: now_ms + base + jitter,
            tripped,
        };
    }

    /// Asks before a call. `probe_ms` is how long the caller may take before its probe counts as lost.
    pub fn admit(
        &mut self,
        now_ms: i64,
        probe_ms: i64,
        config: &BreakerConfig,
        random: u64,
    ) -> Decision {
        let now_ms = self.clamp(now_ms);
        if let State::HalfOpen {
            probe_until_ms,
            tripped,
        } = self.state
            && now_ms >= probe_until_ms
        {
            self.open(now_ms, config, tripped, random);
        }
        match self.state {
            State::Closed => Decision::Allowed {
                generation: self.generation,
                probe: false,
            },
            State::Open { until_ms, .. } if now_ms < until_ms => Decision::Refused {
                retry_after_ms: (until_ms - now_ms).unsigned_abs(),
            },
            State::Open { tripped, .. } => {
                self.generation += 1;
                self.state = State::HalfOpen {
                    probe_until_ms: now_ms + probe_ms,
                    tripped,
                };
                Decision::Allowed {
                    generation: self.generation,
                    probe: true,
                }
            }
            State::HalfOpen { probe_until_ms, .. } => Decision::Refused {
                retry_after_ms: (probe_until_ms - now_ms).unsigned_abs(),
            },
        }
    }

    /// What `admit` would answer, without taking the probe: 0 when a call would be allowed.
    pub fn refused_for_ms(&self, now_ms: i64) -> u64 {
        let now_ms = now_ms.max(self.last_ms);
        match self.state {
            State::Closed => 0,
            State::Open { until_ms, .. } => u64::try_from(until_ms - now_ms).unwrap_or(0),
            State::HalfOpen { probe_until_ms, .. } => {
                u64::try_from(probe_until_ms - now_ms).unwrap_or(0)
            }
        }
    }

    /// Whether calls are refused or only a probe is let through.
    pub fn is_open(&self) -> bool {
        self.state != State::Closed
    }

    /// The outcome of a call of that generation. `failed: None` says nothing about the dependency's health.
    pub fn record(
        &mut self,
        now_ms: i64,
        generation: u64,
        failed: Option<bool>,
        config: &BreakerConfig,
        random: u64,
    ) {
        let now_ms = self.clamp(now_ms);
        if generation != self.generation {
            return;
        }
        match (self.state, failed) {
            (State::HalfOpen { .. }, Some(false)) => self.reset(),
            (State::HalfOpen { tripped, .. }, Some(true)) => {
                self.open(now_ms, config, tripped, random);
            }
            // A probe that says nothing (4xx, safety) has reached the dependency: let the next call probe at once.
            (State::HalfOpen { tripped, .. }, None) => {
                self.state = State::Open {
                    until_ms: now_ms,
                    tripped,
                }
            }
            (State::Closed, Some(failed)) => {
                self.recent
                    .retain(|(at_ms, _)| now_ms - at_ms < config.window_ms);
                self.recent.push((now_ms, failed));
                if self.recent.len() > config.outcomes {
                    self.recent.remove(0);
                }
                let failures = self.recent.iter().filter(|(_, failed)| *failed).count();
                if failures >= config.failures && failures * 2 >= self.recent.len() {
                    self.open(now_ms, config, false, random);
                }
            }
            (State::Closed, None) | (State::Open { .. }, _) => {}
        }
    }

    /// Opens at once.
    pub fn trip(&mut self, now_ms: i64, _why: Trip, config: &BreakerConfig, random: u64) {
        let now_ms = self.clamp(now_ms);
        self.open(now_ms, config, true, random);
    }

    /// Closes and forgets; outcomes of calls under way no longer count.
    pub fn reset(&mut self) {
        self.generation += 1;
        self.level = 0;
        self.recent.clear();
        self.state = State::Closed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CONFIG: BreakerConfig = BreakerConfig::PROVIDER;

    fn fail_until_open(breaker: &mut Breaker, now_ms: i64) {
        for _ in 0..CONFIG.failures {
            let Decision::Allowed { generation, .. } = breaker.admit(now_ms, 1_000, &CONFIG, 0)
            else {
                return;
            };
            breaker.record(now_ms, generation, Some(true), &CONFIG, 0);
        }
    }

    #[test]
    fn opens_after_the_failures_and_lets_one_probe_through() {
        let mut breaker = Breaker::default();
        fail_until_open(&mut breaker, 0);
        assert_eq!(
            breaker.admit(29_999, 1_000, &CONFIG, 0),
            Decision::Refused { retry_after_ms: 1 }
        );
        let Decision::Allowed {
            generation,
            probe: true,
        } = breaker.admit(30_000, 1_000, &CONFIG, 0)
        else {
            panic!("no probe")
        };
        assert!(matches!(
            breaker.admit(30_000, 1_000, &CONFIG, 0),
            Decision::Refused { .. }
        ));
        breaker.record(30_500, generation, Some(false), &CONFIG, 0);
        assert!(!breaker.is_open());
    }

    #[test]
    fn a_lost_probe_opens_again_for_longer() {
        let mut breaker = Breaker::default();
        fail_until_open(&mut breaker, 0);
        assert!(matches!(
            breaker.admit(30_000, 1_000, &CONFIG, 0),
            Decision::Allowed { probe: true, .. }
        ));
        assert_eq!(
            breaker.admit(31_000, 1_000, &CONFIG, 0),
            Decision::Refused {
                retry_after_ms: 60_000
            }
        );
    }

    /// Five failures among many successes are no outage; from half on they are one.
    #[test]
    fn opens_only_when_at_least_half_have_failed() {
        for (good, opens_at) in [(4, 5), (5, 5), (6, 6), (10, 10), (11, 0)] {
            let mut breaker = Breaker::default();
            for _ in 0..good {
                breaker.record(0, 0, Some(false), &CONFIG, 0);
            }
            // No more than the window holds: an old success would make room.
            let failures = CONFIG.outcomes - good;
            let opened = (1..=failures).find(|_| {
                breaker.record(0, 0, Some(true), &CONFIG, 0);
                breaker.is_open()
            });
            assert_eq!(opened.unwrap_or(0), opens_at, "{good}");
        }
        // What is older than the window counts on neither side.
        let mut breaker = Breaker::default();
        for _ in 0..11 {
            breaker.record(0, 0, Some(false), &CONFIG, 0);
        }
        let later = CONFIG.window_ms;
        fail_until_open(&mut breaker, later);
        assert!(breaker.is_open());
    }

    #[test]
    fn a_clock_that_goes_backwards_is_held() {
        let mut breaker = Breaker::default();
        fail_until_open(&mut breaker, 100_000);
        // Neither is the wait made longer nor is a call let through too early.
        for now_ms in [100_000, 50_000, 0, -1] {
            assert_eq!(breaker.refused_for_ms(now_ms), 30_000, "{now_ms}");
            assert_eq!(
                breaker.admit(now_ms, 1_000, &CONFIG, 0),
                Decision::Refused {
                    retry_after_ms: 30_000
                }
            );
        }
        let Decision::Allowed { generation, probe } = breaker.admit(130_000, 1_000, &CONFIG, 0)
        else {
            panic!("no probe")
        };
        assert!(probe);
        breaker.record(5, generation, Some(true), &CONFIG, 0);
        assert_eq!(breaker.refused_for_ms(5), 60_000);
    }

    #[test]
    fn outcomes_of_an_older_generation_change_nothing() {
        let mut breaker = Breaker::default();
        let Decision::Allowed { generation, .. } = breaker.admit(0, 1_000, &CONFIG, 0) else {
            panic!()
        };
        breaker.trip(0, Trip::Auth, &CONFIG, 0);
        breaker.record(10, generation, Some(false), &CONFIG, 0);
        assert!(breaker.is_open());
        breaker.reset();
        assert_eq!(breaker.refused_for_ms(11), 0);
    }

    #[test]
    fn breaker_format_unchanged() {
        let mut breaker = Breaker::default();
        breaker.record(5, 0, Some(true), &CONFIG, 0);
        assert_eq!(
            serde_json::to_string(&breaker).unwrap(),
            r#"{"state":{"state":"closed"},"level":0,"generation":0,"last_ms":5,"recent":[[5,true]]}"#
        );
        breaker.trip(5, Trip::Quota, &CONFIG, 0);
        assert_eq!(
            serde_json::to_string(&breaker).unwrap(),
            r#"{"state":{"state":"open","until_ms":60005,"tripped":true},"level":1,"generation":1,"last_ms":5,"recent":[]}"#
        );
    }

    proptest! {
        #[test]
        fn always_finds_a_way_back_and_never_two_probes(steps in prop::collection::vec((0_u8..5, 0_i64..40_000), 1..200)) {
            let mut breaker = Breaker::default();
            let mut now_ms = 0_i64;
            let mut probe: Option<(u64, i64)> = None;
            for (step, advance) in steps {
                now_ms += advance;
                // As between two commands: it is stored and read again.
                let stored = serde_json::to_string(&breaker).unwrap();
                let read: Breaker = serde_json::from_str(&stored).unwrap();
                prop_assert_eq!(&read, &breaker);
                breaker = read;
                match step {
                    0..=2 => if let Decision::Allowed { generation, probe: is_probe } = breaker.admit(now_ms, 10_000, &CONFIG, 50) {
                        if is_probe {
                            prop_assert!(probe.is_none_or(|(_, until)| now_ms >= until), "two probes at once");
                            probe = Some((generation, now_ms + 10_000));
                        }
                        if step < 2 {
                            breaker.record(now_ms, generation, Some(step == 1), &CONFIG, 50);
                            if is_probe { probe = None; }
                        }
                    },
                    3 => breaker.trip(now_ms, Trip::Auth, &CONFIG, 50),
                    _ => if let Some((generation, _)) = probe.take() {
                        breaker.record(now_ms, generation, None, &CONFIG, 50);
                    },
                }
                prop_assert!(breaker.level <= MAX_LEVEL);
                prop_assert!(breaker.refused_for_ms(now_ms) <= 900_000 * 12 / 10);
            }
            // Whatever happened, half an hour later a call is allowed.
            let mut last = breaker.clone();
            let allowed = (0..3).any(|k| matches!(last.admit(now_ms + 1_800_000 * (k + 1), 10_000, &CONFIG, 50), Decision::Allowed { .. }));
            prop_assert!(allowed);
        }
    }
}

//! Ring 0: the window against a brute-force oracle; the same suite must fail for the usual wrong windows.
//!
//! `WINDOW_SCHEDULES` sets the number of schedules for each window (default 10,000; the arithmetic alone always runs
//! 100,000).

use crate::support::{Table, acquire, limits};
use api_types::AcquireDecision;
use platform::Random;
use platform::fakes::FakeRandom;
use rate_limiter::LimiterState;
use rate_limiter::window::{MINUTE_MS, Rolling};

/// A limiter of `limit` units in any 60 s.
trait Window: Clone {
    fn with_limit(limit: u64) -> Self;

    /// Callers that arrive together. `Ok` is admitted, `Err` the delay in milliseconds.
    fn ask(&mut self, now_ms: i64, weights: &[u64]) -> Vec<Result<(), u64>>;

    /// The process is replaced; only what was stored is left.
    fn restart(&mut self) {}

    /// The instant that the window takes it for. `clamped_ms` never goes back.
    fn clock(&mut self, wall_ms: i64, clamped_ms: i64) -> i64 {
        let _ = wall_ms;
        clamped_ms
    }
}

/// What a suite run has found.
#[derive(Debug, Default, PartialEq, Eq)]
struct Violations {
    /// More than the limit inside some 60 s.
    over: u64,
    /// Refused although it fits.
    needless: u64,
    /// The delay is not the first instant at which it fits.
    delay: u64,
    /// Units admitted at all: a suite that admits nothing proves nothing.
    admitted: u64,
    refused: u64,
}

/// Sums what was admitted, the slow way.
struct Oracle {
    limit: u64,
    entries: Vec<(i64, u64)>,
}

impl Oracle {
    fn sum(&self, now_ms: i64) -> u64 {
        let inside = |at_ms: i64| at_ms > now_ms - MINUTE_MS && at_ms <= now_ms;
        let inside = self.entries.iter().filter(|(at_ms, _)| inside(*at_ms));
        inside.map(|(_, weight)| weight).sum()
    }

    /// The first instant from `now_ms` at which `weight` fits, if nothing else arrives.
    fn fits_at(&self, now_ms: i64, weight: u64) -> i64 {
        let mut instants: Vec<i64> = self
            .entries
            .iter()
            .map(|(at_ms, _)| at_ms + MINUTE_MS)
            .collect();
        instants.push(now_ms);
        instants.sort_unstable();
        let fits = |at_ms: &i64| *at_ms >= now_ms && self.sum(*at_ms) + weight <= self.limit;
        instants.into_iter().find(fits).unwrap()
    }
}

fn run<W: Window>(schedules: u64, steps: u64) -> Violations {
    let mut found = Violations::default();
    for seed in 0..schedules {
        schedule::<W>(seed, steps, &mut found);
    }
    found
}

fn schedule<W: Window>(seed: u64, steps: u64, found: &mut Violations) {
    let random = FakeRandom::seeded(seed);
    let draw = |n: u64| random.next_u64() % n;
    let limit = 1 + draw(8);
    let mut window = W::with_limit(limit);
    let mut oracle = Oracle {
        limit,
        entries: Vec::new(),
    };
    let mut wall_ms = 1_763_719_200_000_i64;
    let mut clock_ms = wall_ms;
    for _ in 0..steps {
        wall_ms += match draw(8) {
            0 => 0,
            1 => 1,
            2 => MINUTE_MS - 1,
            3 => MINUTE_MS,
            4 => draw(200_000) as i64,
            // The wall clock is set back; the object's does not follow.
            5 => -(draw(90_000) as i64),
            _ => draw(9_000) as i64,
        };
        if draw(6) == 0 {
            window.restart();
        }
        // After a restart the object's clock only knows what was stored: the last admission, not the last question.
        clock_ms = window.clock(wall_ms, clock_ms.max(wall_ms));
        let last_ms = oracle.entries.last().map_or(0, |(at_ms, _)| *at_ms);
        assert!(
            clock_ms >= wall_ms && clock_ms >= last_ms,
            "the clock went back"
        );
        let weights: Vec<u64> = (0..=draw(3)).map(|_| 1 + draw(limit)).collect();
        let answers = window.ask(clock_ms, &weights);
        for (weight, answer) in weights.iter().zip(answers) {
            let fits = oracle.sum(clock_ms) + weight <= limit;
            match answer {
                Ok(()) => {
                    oracle.entries.push((clock_ms, *weight));
                    found.admitted += weight;
                    found.over += u64::from(oracle.sum(clock_ms) > limit);
                }
                Err(delay_ms) => {
                    found.refused += 1;
                    found.needless += u64::from(fits);
                    let right = oracle.fits_at(clock_ms, *weight) - clock_ms;
                    found.delay += u64::from(i64::try_from(delay_ms) != Ok(right));
                }
            }
        }
        // A refusal, tried 1 ms too early and in time.
        if draw(3) == 0
            && let Some(Err(delay_ms)) = window.clone().ask(clock_ms, &[limit]).first()
        {
            let at_ms = clock_ms + i64::try_from(*delay_ms).unwrap();
            let early = window.clone().ask(at_ms - 1, &[limit]);
            let in_time = window.clone().ask(at_ms, &[limit]);
            found.delay += u64::from(early == [Ok(())] || in_time != [Ok(())]);
        }
        let left_ms = clock_ms - 2 * MINUTE_MS;
        oracle.entries.retain(|(at_ms, _)| *at_ms > left_ms);
    }
}

/// The arithmetic alone.
#[derive(Clone)]
struct Arithmetic {
    limit: u64,
    rolling: Rolling,
    stored: Vec<(i64, u128, u64)>,
}

impl Window for Arithmetic {
    fn with_limit(limit: u64) -> Self {
        Self {
            limit,
            rolling: Rolling::new(&[MINUTE_MS]),
            stored: Vec::new(),
        }
    }

    fn ask(&mut self, now_ms: i64, weights: &[u64]) -> Vec<Result<(), u64>> {
        self.rolling.advance(now_ms);
        let each = weights.iter().map(|weight| {
            if let Some(delay) = self.rolling.delay(0, self.limit, *weight, now_ms) {
                return Err(delay.ms);
            }
            let key = self.stored.len() as u128;
            self.stored.push((now_ms, key, *weight));
            self.rolling.add(Some(now_ms), key, *weight);
            Ok(())
        });
        each.collect()
    }

    fn restart(&mut self) {
        self.rolling = Rolling::new(&[MINUTE_MS]);
        for (at_ms, key, weight) in &self.stored {
            self.rolling.add(Some(*at_ms), *key, *weight);
        }
    }
}

/// The whole decision over tables in memory.
#[derive(Clone)]
struct Decision {
    limit: u32,
    state: LimiterState,
    table: Table,
    next: u64,
}

impl Window for Decision {
    fn with_limit(limit: u64) -> Self {
        let table = Table::default();
        Self {
            limit: u32::try_from(limit).unwrap(),
            state: table.rebuild(),
            table,
            next: 0,
        }
    }

    fn ask(&mut self, now_ms: i64, weights: &[u64]) -> Vec<Result<(), u64>> {
        let mut answers = Vec::new();
        for weight in weights {
            self.next += 1;
            let mut command = acquire(self.next, &limits(self.limit, 1_000));
            command.calls = u32::try_from(*weight).unwrap();
            let (reply, changes) = self
                .state
                .acquire(&self.table, &command, now_ms, 0)
                .unwrap();
            self.table.write(&changes);
            answers.push(match reply.decision {
                AcquireDecision::Granted { .. } => Ok(()),
                AcquireDecision::Limited {
                    retry_after_ms,
                    estimated: false,
                    ..
                } => Err(retry_after_ms),
                other => panic!("{other:?}"),
            });
        }
        answers
    }

    fn restart(&mut self) {
        self.state = self.table.rebuild();
    }

    fn clock(&mut self, wall_ms: i64, _: i64) -> i64 {
        self.state.advance(wall_ms)
    }
}

/// Counts per clock minute.
#[derive(Clone)]
struct Fixed {
    limit: u64,
    minute: i64,
    used: u64,
}

impl Window for Fixed {
    fn with_limit(limit: u64) -> Self {
        Self {
            limit,
            minute: 0,
            used: 0,
        }
    }

    fn ask(&mut self, now_ms: i64, weights: &[u64]) -> Vec<Result<(), u64>> {
        let minute = now_ms / MINUTE_MS;
        if minute != self.minute {
            self.minute = minute;
            self.used = 0;
        }
        let until_ms = ((minute + 1) * MINUTE_MS - now_ms).unsigned_abs();
        let each = weights.iter().map(|weight| {
            if self.used + weight > self.limit {
                return Err(until_ms);
            }
            self.used += weight;
            Ok(())
        });
        each.collect()
    }
}

/// Two clock minutes, the earlier one weighted by what is left of it.
#[derive(Clone)]
struct SlidingCounter {
    limit: u64,
    minute: i64,
    before: u64,
    used: u64,
}

impl Window for SlidingCounter {
    fn with_limit(limit: u64) -> Self {
        Self {
            limit,
            minute: 0,
            before: 0,
            used: 0,
        }
    }

    fn ask(&mut self, now_ms: i64, weights: &[u64]) -> Vec<Result<(), u64>> {
        let minute = now_ms / MINUTE_MS;
        if minute != self.minute {
            self.before = if minute == self.minute + 1 {
                self.used
            } else {
                0
            };
            self.minute = minute;
            self.used = 0;
        }
        let left_ms = (MINUTE_MS - now_ms % MINUTE_MS).unsigned_abs();
        let each = weights.iter().map(|weight| {
            let about = self.before * left_ms / MINUTE_MS.unsigned_abs() + self.used;
            if about + weight > self.limit {
                return Err(left_ms);
            }
            self.used += weight;
            Ok(())
        });
        each.collect()
    }
}

/// A bucket of `limit` tokens that refills in a minute.
#[derive(Clone)]
struct TokenBucket {
    limit: u64,
    /// In 60,000ths of a token.
    level: u64,
    at_ms: i64,
}

impl Window for TokenBucket {
    fn with_limit(limit: u64) -> Self {
        Self {
            limit,
            level: limit * MINUTE_MS.unsigned_abs(),
            at_ms: 0,
        }
    }

    fn ask(&mut self, now_ms: i64, weights: &[u64]) -> Vec<Result<(), u64>> {
        let full = self.limit * MINUTE_MS.unsigned_abs();
        let refill = (now_ms - self.at_ms)
            .unsigned_abs()
            .saturating_mul(self.limit);
        self.level = self.level.saturating_add(refill).min(full);
        self.at_ms = now_ms;
        let each = weights.iter().map(|weight| {
            let cost = weight * MINUTE_MS.unsigned_abs();
            if cost > self.level {
                return Err((cost - self.level).div_ceil(self.limit));
            }
            self.level -= cost;
            Ok(())
        });
        each.collect()
    }
}

/// The exact window, but asking and recording are two steps, and callers that arrive together interleave.
#[derive(Clone)]
struct CheckThenRecord(Arithmetic);

impl Window for CheckThenRecord {
    fn with_limit(limit: u64) -> Self {
        Self(Arithmetic::with_limit(limit))
    }

    fn ask(&mut self, now_ms: i64, weights: &[u64]) -> Vec<Result<(), u64>> {
        let answers: Vec<Result<(), u64>> = weights
            .iter()
            .map(|weight| self.0.clone().ask(now_ms, &[*weight])[0])
            .collect();
        for (weight, answer) in weights.iter().zip(&answers) {
            if answer.is_ok() {
                let key = self.0.stored.len() as u128;
                self.0.stored.push((now_ms, key, *weight));
                self.0.rolling.add(Some(now_ms), key, *weight);
            }
        }
        answers
    }
}

fn schedules() -> u64 {
    std::env::var("WINDOW_SCHEDULES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(10_000)
}

fn assert_exact(found: &Violations) {
    assert_eq!(
        (found.over, found.needless, found.delay),
        (0, 0, 0),
        "{found:?}"
    );
    assert!(found.admitted > 1_000 && found.refused > 1_000, "{found:?}");
}

#[test]
fn the_arithmetic_is_exact_in_100_000_schedules() {
    assert_exact(&run::<Arithmetic>(schedules().max(100_000), 16));
}

#[test]
fn the_decision_is_exact_over_restarts_and_clock_jumps() {
    assert_exact(&run::<Decision>(schedules(), 8));
}

#[test]
fn the_suite_finds_the_edge_burst_of_a_fixed_window() {
    let found = run::<Fixed>(1_000, 16);
    assert!(found.over > 0, "{found:?}");
}

#[test]
fn the_suite_finds_what_a_sliding_counter_lets_through() {
    let found = run::<SlidingCounter>(1_000, 16);
    assert!(found.over > 0 && found.needless > 0, "{found:?}");
}

#[test]
fn the_suite_finds_the_double_burst_of_a_token_bucket() {
    let found = run::<TokenBucket>(1_000, 16);
    assert!(found.over > 0, "{found:?}");
}

#[test]
fn the_suite_finds_the_race_between_check_and_record() {
    let found = run::<CheckThenRecord>(1_000, 16);
    assert!(found.over > 0, "{found:?}");
}

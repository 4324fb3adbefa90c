//! Exact rolling windows over weighted entries.
//!
//! In scope: sums over `(now - length, now]` for several lengths at once, the instant at which a weight fits. Out of
//! scope: what the weights mean, where entries are stored. Cost: an entry is added to and taken from each sum once;
//! nothing is summed again.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Included};

/// Length of the minute windows, in milliseconds.
pub const MINUTE_MS: i64 = 60_000;

/// When a weight that does not fit now will fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delay {
    /// In milliseconds from now.
    pub ms: u64,
    /// Whether it depends on something that nobody can know exactly.
    pub estimated: bool,
}

impl Delay {
    /// The longer of the two; estimated if either is.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            ms: self.ms.max(other.ms),
            estimated: self.estimated || other.estimated,
        }
    }
}

/// One length and its sum.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Span {
    length_ms: i64,
    /// Entries at or before it have left.
    horizon_ms: i64,
    sum: u64,
}

/// Weighted entries ordered by instant, with a sum for each length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rolling {
    entries: BTreeMap<(i64, u128), u64>,
    /// Weight that counts whatever the time is: granted, not yet sent.
    always: u64,
    spans: Vec<Span>,
}

impl Rolling {
    /// Windows of these lengths, in milliseconds.
    pub fn new(lengths_ms: &[i64]) -> Self {
        Self {
            entries: BTreeMap::new(),
            always: 0,
            spans: lengths_ms
                .iter()
                .map(|length_ms| Span {
                    length_ms: *length_ms,
                    horizon_ms: i64::MIN,
                    sum: 0,
                })
                .collect(),
        }
    }

    /// The longest length, in milliseconds.
    pub fn longest_ms(&self) -> i64 {
        self.spans
            .iter()
            .map(|span| span.length_ms)
            .max()
            .unwrap_or(0)
    }

    /// Lets entries leave that are too old at `now_ms`. Time never goes back.
    pub fn advance(&mut self, now_ms: i64) {
        let mut oldest = i64::MAX;
        for span in &mut self.spans {
            let horizon_ms = now_ms.saturating_sub(span.length_ms);
            if horizon_ms > span.horizon_ms {
                let left = self.entries.range((
                    Excluded((span.horizon_ms, u128::MAX)),
                    Included((horizon_ms, u128::MAX)),
                ));
                span.sum -= left.map(|(_, weight)| weight).sum::<u64>();
                span.horizon_ms = horizon_ms;
            }
            oldest = oldest.min(span.horizon_ms);
        }
        while let Some(entry) = self.entries.first_entry() {
            if entry.key().0 > oldest {
                break;
            }
            entry.remove();
        }
    }

    /// Adds an entry; one key has at most one entry at an instant. `at_ms: None` counts always.
    pub fn add(&mut self, at_ms: Option<i64>, key: u128, weight: u64) {
        let Some(at_ms) = at_ms else {
            self.always += weight;
            return;
        };
        if weight == 0 || self.spans.iter().all(|span| at_ms <= span.horizon_ms) {
            return;
        }
        if self.entries.insert((at_ms, key), weight).is_none() {
            for span in &mut self.spans {
                if at_ms > span.horizon_ms {
                    span.sum += weight;
                }
            }
        }
    }

    /// Takes an entry out again; one that has left already is fine.
    pub fn remove(&mut self, at_ms: Option<i64>, key: u128, weight: u64) {
        let Some(at_ms) = at_ms else {
            self.always = self.always.saturating_sub(weight);
            return;
        };
        if let Some(weight) = self.entries.remove(&(at_ms, key)) {
            for span in &mut self.spans {
                if at_ms > span.horizon_ms {
                    span.sum -= weight;
                }
            }
        }
    }

    /// The sum of a length at the last `advance`.
    pub fn sum(&self, span: usize) -> u64 {
        self.always + self.spans.get(span).map_or(0, |span| span.sum)
    }

    /// `None` when `weight` fits under `limit` at `now_ms` (the last `advance`), else when it will. A weight that is
    /// larger than the limit never fits; the caller refuses it before.
    pub fn delay(&self, span: usize, limit: u64, weight: u64, now_ms: i64) -> Option<Delay> {
        let span = self.spans.get(span)?;
        let over = (span.sum + self.always + weight).saturating_sub(limit);
        if over == 0 {
            return None;
        }
        let mut freed = 0;
        for ((at_ms, _), weight) in self.entries.range((
            Excluded((span.horizon_ms, u128::MAX)),
            Included((i64::MAX, u128::MAX)),
        )) {
            freed += weight;
            if freed >= over {
                // It leaves at the first instant t with at <= t - length.
                let leaves_ms = at_ms + span.length_ms;
                return Some(Delay {
                    ms: u64::try_from(leaves_ms - now_ms).unwrap_or(0),
                    estimated: false,
                });
            }
        }
        Some(Delay {
            ms: span.length_ms.unsigned_abs(),
            estimated: true,
        })
    }

    /// When all of it is free again, in milliseconds from `now_ms`.
    pub fn free_in_ms(&self, span: usize, now_ms: i64) -> u64 {
        let Some(span) = self.spans.get(span) else {
            return 0;
        };
        self.entries
            .last_key_value()
            .filter(|((at_ms, _), _)| *at_ms > span.horizon_ms)
            .map_or(0, |((at_ms, _), _)| {
                u64::try_from(at_ms + span.length_ms - now_ms).unwrap_or(0)
            })
    }
}

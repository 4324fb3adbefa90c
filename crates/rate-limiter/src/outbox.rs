//! Which rows the ledger lacks, and when to bring them there.
//!
//! In scope: order, due times, back-off while the ledger is away. Out of scope: the statements (crate `store`) and
//! sending them (module `object`).

use std::collections::BTreeSet;

/// First wait after a failed flush, in milliseconds; doubles to the longest.
const BACKOFF_MS: i64 = 1_000;
/// Longest wait between two flushes that fail.
const BACKOFF_MAX_MS: i64 = 60_000;

/// Most rows of one batch.
pub(crate) const BATCH_ROWS: usize = 100;
/// Most bytes of one batch, as JSON; a bound value of D1 ends at 2 MB.
pub(crate) const BATCH_BYTES: usize = 1_000_000;
/// A row that the ledger refuses by itself is tried again after this long.
pub(crate) const REFUSED_ROW_MS: i64 = 60_000;

/// Unflushed rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outbox {
    /// By due time.
    due: BTreeSet<(i64, u128)>,
    /// Rows that ended or are unknown.
    urgent: BTreeSet<u128>,
    /// Rows that the ledger refused by themselves: they wait for their time and start no batch.
    refused: BTreeSet<u128>,
    failures: u32,
    not_before_ms: i64,
}

impl Outbox {
    /// A row that the ledger lacks.
    pub(crate) fn add(&mut self, due_ms: i64, key: u128, urgent: bool) {
        self.due.insert((due_ms, key));
        if urgent && !self.refused.contains(&key) {
            self.urgent.insert(key);
        }
    }

    /// It has it now, or the row changes.
    pub(crate) fn remove(&mut self, due_ms: i64, key: u128) {
        self.due.remove(&(due_ms, key));
        self.urgent.remove(&key);
    }

    /// The ledger refuses this row.
    pub(crate) fn refused(&mut self, key: u128) {
        self.refused.insert(key);
    }

    /// The ledger has taken this row.
    pub(crate) fn accepted(&mut self, key: u128) {
        self.refused.remove(&key);
    }

    /// Rows that the ledger lacks.
    pub(crate) fn len(&self) -> usize {
        self.due.len()
    }

    /// How long the oldest row is overdue, in milliseconds.
    pub(crate) fn overdue_ms(&self, now_ms: i64) -> u64 {
        self.due
            .first()
            .map_or(0, |(due_ms, _)| u64::try_from(now_ms - due_ms).unwrap_or(0))
    }

    /// How long the ledger is left alone, in milliseconds.
    pub(crate) fn paused_ms(&self, now_ms: i64) -> u64 {
        u64::try_from(self.not_before_ms - now_ms).unwrap_or(0)
    }

    /// When to flush next.
    pub(crate) fn next_ms(&self, flush_rows: usize) -> Option<i64> {
        let (due_ms, _) = self.due.first()?;
        let wanted_ms = if self.urgent.len() >= flush_rows {
            i64::MIN
        } else {
            *due_ms
        };
        Some(wanted_ms.max(self.not_before_ms))
    }

    /// The rows of the next batch; none while it is not time.
    pub(crate) fn batch(&self, now_ms: i64, flush_rows: usize) -> Vec<u128> {
        if self.next_ms(flush_rows).is_none_or(|at_ms| at_ms > now_ms) {
            return Vec::new();
        }
        if self.urgent.len() >= flush_rows {
            return self.urgent.iter().copied().take(BATCH_ROWS).collect();
        }
        self.due
            .iter()
            .take_while(|(due_ms, _)| *due_ms <= now_ms)
            .map(|(_, key)| *key)
            .take(BATCH_ROWS)
            .collect()
    }

    /// The ledger did not answer.
    pub(crate) fn failed(&mut self, now_ms: i64) {
        let wait_ms = (BACKOFF_MS << self.failures.min(6)).min(BACKOFF_MAX_MS);
        self.failures = self.failures.saturating_add(1);
        self.not_before_ms = now_ms + wait_ms;
    }

    /// It did.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
        self.not_before_ms = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_a_minute_and_a_success_ends_them() {
        let mut outbox = Outbox::default();
        outbox.add(0, 1, true);
        let waits: Vec<u64> = (0..9)
            .map(|_| {
                outbox.failed(0);
                outbox.paused_ms(0)
            })
            .collect();
        assert_eq!(
            waits,
            [
                1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000
            ]
        );
        assert!(outbox.batch(59_999, 50).is_empty());
        assert_eq!(outbox.batch(60_000, 50), [1]);
        outbox.succeeded();
        assert_eq!(outbox.next_ms(50), Some(0));
    }

    #[test]
    fn fifty_urgent_rows_do_not_wait() {
        let mut outbox = Outbox::default();
        for key in 0..49 {
            outbox.add(1_000, key, true);
        }
        assert!(outbox.batch(10, 50).is_empty());
        outbox.add(1_000, 49, true);
        assert_eq!(outbox.batch(10, 50).len(), 50);
    }
}

//! What an isolate remembers: blocked addresses, its own KV puts, counts for `/health`.
//!
//! In scope: bounded plain values behind a lock that is never held across an await. Out of scope: anything that must
//! survive; losing all of it costs a few reads.

use api_types::{InstanceId, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

const MAX_ADDRESSES: usize = 1_000;
const MAX_PUTS: usize = 1_000;
/// A lasting fault is told this often, in milliseconds.
const WARN_EVERY_MS: i64 = 60_000;

/// How many stored values still use an older key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OldRows {
    /// Provider keys under another key-encryption key.
    pub keks: i64,
    /// Live keys hashed under another pepper.
    pub peppers: i64,
}

#[derive(Debug, Default)]
struct Inner {
    blocked_until: BTreeMap<String, Timestamp>,
    put_at: BTreeMap<String, Timestamp>,
    old_rows: Option<(Timestamp, OldRows)>,
    sealed_day: Option<Timestamp>,
    warned_at: Option<Timestamp>,
    kv: Option<(Timestamp, bool)>,
}

/// The memory of one isolate.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Inner>);

impl Memory {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Plain values, whole after every statement.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an address is blocked now.
    pub fn is_blocked(&self, address: &str, now: Timestamp) -> bool {
        self.inner()
            .blocked_until
            .get(address)
            .is_some_and(|until| *until > now)
    }

    /// Blocks an address.
    pub fn block(&self, address: &str, until: Timestamp) {
        put(
            &mut self.inner().blocked_until,
            MAX_ADDRESSES,
            address,
            until,
        );
    }

    /// When this isolate last put the instance's configuration into KV.
    pub fn put_at(&self, instance_id: &InstanceId) -> Option<Timestamp> {
        self.inner().put_at.get(instance_id.as_str()).copied()
    }

    /// Notes such a put.
    pub fn note_put(&self, instance_id: &InstanceId, at: Timestamp) {
        put(&mut self.inner().put_at, MAX_PUTS, instance_id.as_str(), at);
    }

    /// The counts, if they are at most `max_age_ms` old.
    pub fn old_rows(&self, now: Timestamp, max_age_ms: i64) -> Option<OldRows> {
        self.inner()
            .old_rows
            .filter(|(at, _)| now.ms() - at.ms() < max_age_ms)
            .map(|(_, rows)| rows)
    }

    /// Notes the counts.
    pub fn note_old_rows(&self, at: Timestamp, rows: OldRows) {
        self.inner().old_rows = Some((at, rows));
    }

    /// Whether KV answered when it was last asked, if that is at most `max_age_ms` ago.
    pub fn kv(&self, now: Timestamp, max_age_ms: i64) -> Option<bool> {
        let kv = self.inner().kv;
        kv.filter(|(at, _)| now.ms() - at.ms() < max_age_ms)
            .map(|(_, answers)| answers)
    }

    /// Notes whether it answers.
    pub fn note_kv(&self, at: Timestamp, answers: bool) {
        self.inner().kv = Some((at, answers));
    }

    /// Whether it is to be said now that wrong keys are not counted: once a minute.
    pub fn warns_of_no_guard(&self, now: Timestamp) -> bool {
        let mut inner = self.inner();
        let due = inner
            .warned_at
            .is_none_or(|at| now.ms() - at.ms() >= WARN_EVERY_MS);
        if due {
            inner.warned_at = Some(now);
        }
        due
    }

    /// The last day on which this isolate found every audit chain sealed.
    pub fn sealed_day(&self) -> Option<Timestamp> {
        self.inner().sealed_day
    }

    /// Notes such a day by its beginning.
    pub fn note_sealed_day(&self, day: Timestamp) {
        self.inner().sealed_day = Some(day);
    }
}

/// Inserts, and drops the entry of the earliest time when there are too many.
fn put(map: &mut BTreeMap<String, Timestamp>, max: usize, key: &str, at: Timestamp) {
    map.insert(key.to_owned(), at);
    if map.len() > max {
        let oldest = map.iter().min_by_key(|(_, at)| **at);
        if let Some(key) = oldest.map(|(key, _)| key.clone()) {
            map.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_end_and_stay_in_bounds() {
        let memory = Memory::default();
        memory.block("a", Timestamp(100));
        assert!(memory.is_blocked("a", Timestamp(99)));
        assert!(!memory.is_blocked("a", Timestamp(100)));
        assert!(!memory.is_blocked("b", Timestamp(0)));
        for n in 0..5_000 {
            memory.block(&format!("x{n}"), Timestamp(200 + n));
        }
        assert_eq!(memory.inner().blocked_until.len(), MAX_ADDRESSES);
        assert!(memory.is_blocked("x4999", Timestamp(200)));
    }
}

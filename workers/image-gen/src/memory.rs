//! Plain values that live as long as the isolate, each with a bound and an age. Nothing here decides anything:
//! losing all of it costs time only.

use crate::credentials::Opened;
use api_types::{CredentialId, InstanceId, LimiterStats, ProviderName};
use lookup::CredentialOutcome;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Statistics and keys are used that long, in milliseconds.
const MAX_AGE_MS: i64 = 30_000;
/// What is known of a key is reported again after that long, in milliseconds.
const REPORT_AGAIN_MS: i64 = 300_000;
/// What could not be reported is news again after that long, in milliseconds.
const REPORT_RETRY_MS: i64 = 5_000;
/// Of each kind but opened keys.
const MAX_VALUES: usize = 500;
/// Opened keys. One that leaves is overwritten by its type.
const MAX_SECRETS: usize = 50;

/// Values with the time that each was put at. The oldest one makes room.
struct Aged<K, V> {
    values: Mutex<BTreeMap<K, (i64, V)>>,
    max: usize,
    max_age_ms: i64,
}

impl<K: Ord + Clone, V> Aged<K, V> {
    fn new(max: usize, max_age_ms: i64) -> Self {
        Self {
            values: Mutex::default(),
            max,
            max_age_ms,
        }
    }

    /// What is not too old; the rest is dropped.
    fn fresh(&self, now_ms: i64) -> MutexGuard<'_, BTreeMap<K, (i64, V)>> {
        let mut values = lock(&self.values);
        values.retain(|_, (at_ms, _)| now_ms - *at_ms < self.max_age_ms);
        values
    }

    fn put(&self, key: K, value: V, now_ms: i64) {
        let mut values = self.fresh(now_ms);
        if values.len() >= self.max && !values.contains_key(&key) {
            let oldest = values.iter().min_by_key(|(_, (at_ms, _))| *at_ms);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                values.remove(&oldest);
            }
        }
        values.insert(key, (now_ms, value));
    }
}

/// The memory of one isolate.
pub struct Memory {
    stats: Aged<(InstanceId, ProviderName), LimiterStats>,
    secrets: Aged<(CredentialId, i64), Opened>,
    unreadable: Mutex<BTreeSet<(CredentialId, i64)>>,
    reported: Aged<CredentialId, CredentialOutcome>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            stats: Aged::new(MAX_VALUES, MAX_AGE_MS),
            secrets: Aged::new(MAX_SECRETS, MAX_AGE_MS),
            unreadable: Mutex::default(),
            reported: Aged::new(MAX_VALUES, REPORT_AGAIN_MS),
        }
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Memory")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Memory {
    /// What the limiter object of that provider has seen lately.
    pub fn note_stats(
        &self,
        instance_id: &InstanceId,
        provider: &ProviderName,
        stats: LimiterStats,
        now_ms: i64,
    ) {
        let key = (instance_id.clone(), provider.clone());
        self.stats.put(key, stats, now_ms);
    }

    /// All that is known of an instance's providers and not too old.
    pub fn stats(
        &self,
        instance_id: &InstanceId,
        now_ms: i64,
    ) -> BTreeMap<ProviderName, LimiterStats> {
        self.stats
            .fresh(now_ms)
            .iter()
            .filter(|((instance, _), _)| instance == instance_id)
            .map(|((_, provider), (_, stats))| (provider.clone(), *stats))
            .collect()
    }

    /// Keeps an opened provider key: what is used where that version of the configuration names `id`.
    pub fn keep_secret(&self, id: &CredentialId, config_version: i64, opened: Opened, now_ms: i64) {
        self.secrets
            .put((id.clone(), config_version), opened, now_ms);
    }

    /// Whether what a provider made of a key is worth a report: news at once, the same again after five minutes.
    pub fn is_news(&self, id: &CredentialId, outcome: CredentialOutcome, now_ms: i64) -> bool {
        let known = self.reported.fresh(now_ms).get(id).copied();
        let told = known.is_some_and(|(_, told)| told == outcome);
        if !told {
            self.reported.put(id.clone(), outcome, now_ms);
        }
        !told
    }

    /// What was news at `asked_ms` did not arrive: with the next use of the key it is news again, soon but not at once.
    pub fn not_told(&self, id: &CredentialId, asked_ms: i64) {
        if let Some((at_ms, _)) = lock(&self.reported.values).get_mut(id)
            && *at_ms == asked_ms
        {
            *at_ms = asked_ms - REPORT_AGAIN_MS + REPORT_RETRY_MS;
        }
    }

    /// Whether a key is found unreadable for the first time in that version of the configuration.
    pub fn is_first_failure(&self, id: &CredentialId, config_version: i64) -> bool {
        let mut known = lock(&self.unreadable);
        if known.len() >= MAX_VALUES {
            known.clear();
        }
        known.insert((id.clone(), config_version))
    }

    /// An opened provider key of that version of the configuration.
    pub fn secret(&self, id: &CredentialId, config_version: i64, now_ms: i64) -> Option<Opened> {
        self.secrets
            .fresh(now_ms)
            .get(&(id.clone(), config_version))
            .map(|(_, opened)| opened.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use provider_adapters::ProviderSecret;

    #[test]
    fn values_end_by_age_and_the_number_of_them_is_bounded() {
        let memory = Memory::default();
        let instance = InstanceId::parse("production").unwrap();
        let provider = ProviderName::parse("ideogram").unwrap();
        memory.note_stats(&instance, &provider, LimiterStats::default(), 0);
        assert_eq!(memory.stats(&instance, MAX_AGE_MS - 1).len(), 1);
        assert!(memory.stats(&instance, MAX_AGE_MS).is_empty());
        for n in 0..2_000 {
            let provider = ProviderName::parse(&format!("p{n}")).unwrap();
            memory.note_stats(&instance, &provider, LimiterStats::default(), 5);
        }
        assert!(memory.stats(&instance, 5).len() <= MAX_VALUES);
    }

    #[test]
    fn a_new_version_of_the_configuration_does_not_use_the_old_key() {
        let memory = Memory::default();
        let id = CredentialId::parse("0199a1c2-0000-7000-8000-000000000001").unwrap();
        let opened = Opened {
            id: Some(id.clone()),
            host: "h".to_owned(),
            secret: ProviderSecret::of_key("k"),
        };
        memory.keep_secret(&id, 1, opened, 0);
        assert!(memory.secret(&id, 1, 1).is_some());
        assert!(memory.secret(&id, 2, 1).is_none());
    }

    #[test]
    fn few_opened_keys_are_kept_and_not_for_long() {
        let memory = Memory::default();
        let id =
            |n: usize| CredentialId::parse(&format!("0199a1c2-0000-7000-8000-{n:012}")).unwrap();
        let keep = |n: usize, now_ms| {
            let opened = Opened {
                id: Some(id(n)),
                host: "h".to_owned(),
                secret: ProviderSecret::of_key("k"),
            };
            memory.keep_secret(&id(n), 1, opened, now_ms);
        };
        for n in 0..MAX_SECRETS {
            keep(n, n as i64);
        }
        // The oldest makes room for another one, and only for another one.
        keep(7, 100);
        assert!(memory.secret(&id(0), 1, 100).is_some());
        keep(MAX_SECRETS, 101);
        assert!(memory.secret(&id(0), 1, 101).is_none());
        for n in 1..=MAX_SECRETS {
            assert!(memory.secret(&id(n), 1, 101).is_some(), "{n}");
        }
        assert_eq!(lock(&memory.secrets.values).len(), MAX_SECRETS);
        // What is too old is not only not used: it is gone.
        assert!(memory.secret(&id(1), 1, 1 + MAX_AGE_MS).is_none());
        assert_eq!(lock(&memory.secrets.values).len(), MAX_SECRETS - 1);
        assert!(memory.secret(&id(1), 1, 200 + MAX_AGE_MS).is_none());
        assert!(lock(&memory.secrets.values).is_empty());
    }

    #[test]
    fn an_unreadable_key_is_news_once_a_version() {
        let memory = Memory::default();
        let id = CredentialId::parse("0199a1c2-0000-7000-8000-000000000001").unwrap();
        let told = [1, 1, 2, 2, 1].map(|version| memory.is_first_failure(&id, version));
        assert_eq!(told, [true, false, true, false, false]);
    }

    #[test]
    fn a_key_is_reported_when_that_is_news() {
        let memory = Memory::default();
        let id = CredentialId::parse("0199a1c2-0000-7000-8000-000000000001").unwrap();
        let (ok, failed) = (CredentialOutcome::Ok, CredentialOutcome::AuthFailed);
        for (outcome, at_ms, news) in [
            (ok, 0, true),
            (ok, REPORT_AGAIN_MS - 1, false),
            (failed, REPORT_AGAIN_MS - 1, true),
            (failed, REPORT_AGAIN_MS, false),
            (ok, REPORT_AGAIN_MS, true),
            (ok, 2 * REPORT_AGAIN_MS, true),
        ] {
            assert_eq!(
                memory.is_news(&id, outcome, at_ms),
                news,
                "{outcome:?} {at_ms}"
            );
        }
    }

    #[test]
    fn a_lost_report_is_news_again_soon() {
        let memory = Memory::default();
        let id = CredentialId::parse("0199a1c2-0000-7000-8000-000000000001").unwrap();
        let ok = CredentialOutcome::Ok;
        assert!(memory.is_news(&id, ok, 0));
        memory.not_told(&id, 0);
        assert!(!memory.is_news(&id, ok, REPORT_RETRY_MS - 1));
        assert!(memory.is_news(&id, ok, REPORT_RETRY_MS));
        // The failure of an earlier report says nothing of a later one.
        memory.not_told(&id, 0);
        assert!(!memory.is_news(&id, ok, 3 * REPORT_RETRY_MS));
    }
}

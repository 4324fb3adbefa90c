//! Plain values that live as long as the isolate, each with a bound and an age. Nothing here decides anything:
//! losing all of it costs time only.

use api_types::{CredentialId, InstanceId, LimiterStats, ProviderName};
use provider_adapters::ProviderSecret;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Both kinds of values are used that long, in milliseconds.
const MAX_AGE_MS: i64 = 30_000;
/// Of each kind; all are dropped when there are more.
const MAX_VALUES: usize = 500;

type Aged<K, V> = Mutex<BTreeMap<K, (i64, V)>>;

/// The memory of one isolate.
#[derive(Default)]
pub struct Memory {
    stats: Aged<(InstanceId, ProviderName), LimiterStats>,
    secrets: Aged<(CredentialId, i64), ProviderSecret>,
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Memory")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn put<K: Ord, V>(map: &Aged<K, V>, key: K, value: V, now_ms: i64) {
    let mut map = lock(map);
    if map.len() >= MAX_VALUES {
        map.retain(|_, (at_ms, _)| now_ms - *at_ms < MAX_AGE_MS);
    }
    if map.len() >= MAX_VALUES {
        map.clear();
    }
    map.insert(key, (now_ms, value));
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
        put(&self.stats, key, stats, now_ms);
    }

    /// All that is known of an instance's providers and not too old.
    pub fn stats(
        &self,
        instance_id: &InstanceId,
        now_ms: i64,
    ) -> BTreeMap<ProviderName, LimiterStats> {
        lock(&self.stats)
            .iter()
            .filter(|((instance, _), (at_ms, _))| {
                instance == instance_id && now_ms - at_ms < MAX_AGE_MS
            })
            .map(|((_, provider), (_, stats))| (provider.clone(), *stats))
            .collect()
    }

    /// Keeps an opened provider key.
    pub fn keep_secret(
        &self,
        id: &CredentialId,
        config_version: i64,
        secret: ProviderSecret,
        now_ms: i64,
    ) {
        put(&self.secrets, (id.clone(), config_version), secret, now_ms);
    }

    /// An opened provider key of that version of the configuration.
    pub fn secret(
        &self,
        id: &CredentialId,
        config_version: i64,
        now_ms: i64,
    ) -> Option<ProviderSecret> {
        lock(&self.secrets)
            .get(&(id.clone(), config_version))
            .filter(|(at_ms, _)| now_ms - at_ms < MAX_AGE_MS)
            .map(|(_, secret)| secret.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        memory.keep_secret(&id, 1, ProviderSecret::of_key("k"), 0);
        assert!(memory.secret(&id, 1, 1).is_some());
        assert!(memory.secret(&id, 2, 1).is_none());
    }
}

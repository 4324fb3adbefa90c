//! Key-value store with lag.

use super::world::{World, lock};
use crate::{Clock, KvStore, PortError};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

#[derive(Clone, Debug)]
struct Version {
    written_ms: i64,
    expires_ms: Option<i64>,
    value: Option<String>,
}

type Versions = BTreeMap<String, Vec<Version>>;

/// Reads return what was written at least the lag ago; a miss lags as well.
#[derive(Clone, Debug)]
pub struct FakeKv {
    world: World,
    versions: Arc<Mutex<Versions>>,
    lag_ms: Arc<AtomicU64>,
}

impl FakeKv {
    /// An empty store without lag.
    pub fn new(world: &World) -> Self {
        Self {
            world: world.clone(),
            versions: Arc::default(),
            lag_ms: Arc::default(),
        }
    }

    /// The same store, counted by another counter.
    #[must_use]
    pub fn with_world(&self, world: &World) -> Self {
        Self {
            world: world.clone(),
            ..self.clone()
        }
    }

    /// How long reads stay behind writes, in milliseconds.
    pub fn lag(&self, ms: u64) {
        self.lag_ms.store(ms, Ordering::Relaxed);
    }

    /// What a reader without lag would see.
    pub fn newest(&self, key: &str) -> Option<String> {
        self.seen(key, self.world.clock.now_ms())
    }

    /// All keys that hold a value now.
    pub fn keys(&self) -> Vec<String> {
        let keys: Vec<String> = lock(&self.versions).keys().cloned().collect();
        let held = keys.into_iter().filter(|key| self.newest(key).is_some());
        held.collect()
    }

    /// Every value that was ever written, with its key.
    pub(super) fn everything(&self) -> Vec<(String, String)> {
        let versions = lock(&self.versions);
        let values = versions.iter().flat_map(|(key, versions)| {
            let values = versions.iter().filter_map(|it| it.value.clone());
            values.map(|value| (key.clone(), value))
        });
        values.collect()
    }

    fn seen(&self, key: &str, until_ms: i64) -> Option<String> {
        let now_ms = self.world.clock.now_ms();
        let versions = lock(&self.versions);
        let seen = versions
            .get(key)?
            .iter()
            .rev()
            .find(|version| version.written_ms <= until_ms)?;
        let alive = seen.expires_ms.is_none_or(|at_ms| now_ms < at_ms);
        seen.value.clone().filter(|_| alive)
    }

    async fn write(
        &self,
        operation: &str,
        key: &str,
        value: Option<String>,
        expires_in_s: Option<u64>,
    ) -> Result<(), PortError> {
        self.world.ops.add_kv_ops(1);
        let leaving = self.world.enter("kv", operation).await.map_err(failed)?;
        if key.is_empty() || key.len() > 512 {
            return Err(failed("the key must have 1 to 512 bytes"));
        }
        if expires_in_s.is_some_and(|s| s < 60) {
            return Err(failed("the expiration must be at least 60 seconds"));
        }
        let written_ms = self.world.clock.now_ms();
        let expires_ms = expires_in_s.map(|s| written_ms.saturating_add_unsigned(s * 1_000));
        let version = Version {
            written_ms,
            expires_ms,
            value,
        };
        lock(&self.versions)
            .entry(key.to_owned())
            .or_default()
            .push(version);
        leaving.leave().map_err(failed)
    }
}

fn failed(cause: impl Into<String>) -> PortError {
    PortError::new("kv", cause)
}

impl KvStore for FakeKv {
    async fn get(&self, key: &str, cache_ttl_s: u64) -> Result<Option<String>, PortError> {
        self.world.ops.add_kv_ops(1);
        let leaving = self.world.enter("kv", "get").await.map_err(failed)?;
        if cache_ttl_s < 30 {
            return Err(failed("the cache TTL must be at least 30 seconds"));
        }
        let lag_ms = self.lag_ms.load(Ordering::Relaxed);
        let until_ms = self.world.clock.now_ms().saturating_sub_unsigned(lag_ms);
        leaving.leave().map_err(failed)?;
        Ok(self.seen(key, until_ms))
    }

    async fn put(
        &self,
        key: &str,
        value: &str,
        expires_in_s: Option<u64>,
    ) -> Result<(), PortError> {
        self.write("put", key, Some(value.to_owned()), expires_in_s)
            .await
    }

    async fn delete(&self, key: &str) -> Result<(), PortError> {
        self.write("delete", key, None, None).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::When;

    #[tokio::test]
    async fn reads_stay_behind_writes_by_the_lag() {
        let world = World::manual();
        let kv = FakeKv::new(&world);
        kv.put("k", "old", None).await.unwrap();
        world.clock.advance(60_000);
        kv.lag(60_000);
        kv.put("k", "new", None).await.unwrap();
        assert_eq!(kv.get("k", 30).await.unwrap().as_deref(), Some("old"));
        world.clock.advance(60_000);
        assert_eq!(kv.get("k", 30).await.unwrap().as_deref(), Some("new"));
        kv.delete("k").await.unwrap();
        assert_eq!(kv.get("k", 30).await.unwrap().as_deref(), Some("new"));
        assert_eq!(kv.newest("k"), None);
        assert_eq!(world.ops.count().kv_ops, 6);
    }

    #[tokio::test]
    async fn a_put_that_fails_after_is_stored() {
        let world = World::manual();
        let kv = FakeKv::new(&world);
        world.faults.fail("kv.put", 1, When::After);
        assert!(kv.put("k", "v", None).await.is_err());
        assert_eq!(kv.newest("k").as_deref(), Some("v"));
        world.faults.fail("kv.put", 1, When::Before);
        assert!(kv.put("k", "w", None).await.is_err());
        assert_eq!(kv.newest("k").as_deref(), Some("v"));
    }

    #[tokio::test]
    async fn values_expire() {
        let world = World::manual();
        let kv = FakeKv::new(&world);
        kv.put("k", "v", Some(60)).await.unwrap();
        world.clock.advance(59_999);
        assert!(kv.newest("k").is_some());
        world.clock.advance(1);
        assert!(kv.newest("k").is_none());
        assert!(kv.put("k", "v", Some(59)).await.is_err());
    }
}

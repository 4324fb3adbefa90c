//! The key-value store: eventually consistent, read-mostly.

use crate::PortError;
use std::future::Future;

/// Text values by key. Reads may be up to 60 s old, misses included; one write a second a key.
pub trait KvStore: Clone + Send + Sync + 'static {
    /// The value, or `None` when there is none. `cache_ttl_s` is how long the location may cache it (at least 30 s).
    fn get(
        &self,
        key: &str,
        cache_ttl_s: u64,
    ) -> impl Future<Output = Result<Option<String>, PortError>> + Send;

    /// Writes; `expires_in_s` is at least 60 s where given.
    fn put(
        &self,
        key: &str,
        value: &str,
        expires_in_s: Option<u64>,
    ) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Removes; a missing key is fine.
    fn delete(&self, key: &str) -> impl Future<Output = Result<(), PortError>> + Send;
}

//! The shield against guessing keys: failures are counted by a rate-limit binding, blocked addresses are remembered.
//!
//! In scope: what is counted, how long a block lasts. Out of scope: exactness; the binding counts per location and
//! roughly. A guesser's address is blocked, never the owner of the key.

use crate::memory::Memory;
use api_types::{KeyId, Timestamp};
use errors::{Code, Error, Result};
use std::future::Future;

/// How long an address stays blocked, in milliseconds.
const BLOCK_MS: i64 = 60_000;

/// Counts events by key.
pub trait AbuseGuard: Clone + Send + Sync + 'static {
    /// Whether there is anything that counts; without it every guess is admitted.
    fn is_bound(&self) -> bool;

    /// Counts one event; false when there were too many lately.
    fn admit(&self, key: &str) -> impl Future<Output = bool> + Send;
}

fn too_many() -> Error {
    Error::new(
        Code::TooManyAuthFailures,
        "Too many wrong keys came from this address.",
    )
    .with_retry_after_ms(BLOCK_MS.unsigned_abs())
}

/// Refuses an address that is blocked. No I/O.
///
/// # Errors
/// 429 `too_many_auth_failures`.
pub fn check(memory: &Memory, address: Option<&str>, now: Timestamp) -> Result<()> {
    match address {
        Some(address) if memory.is_blocked(address, now) => Err(too_many()),
        _ => Ok(()),
    }
}

/// Counts a failed verification and gives what to answer: `refusal`, or 429.
pub async fn failed(
    guard: &impl AbuseGuard,
    memory: &Memory,
    key_id: &KeyId,
    address: Option<&str>,
    now: Timestamp,
    refusal: Error,
) -> Error {
    let Some(address) = address else {
        return refusal;
    };
    if !guard.is_bound() && memory.warns_of_no_guard(now) {
        tracing::error!("AUTH_GUARD is not bound: wrong keys are not counted");
    }
    // Each may be the one that is over: the binding counts roughly.
    let pair = guard.admit(&format!("{key_id}|{address}")).await;
    let alone = guard.admit(address).await;
    if pair && alone {
        return refusal;
    }
    memory.block(address, now.plus_ms(BLOCK_MS));
    too_many()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    /// Counts exactly; some keys have been used up elsewhere.
    #[derive(Clone, Default)]
    struct Counts {
        seen: Arc<Mutex<BTreeMap<String, u32>>>,
        used_up: Option<fn(&str) -> bool>,
    }

    impl AbuseGuard for Counts {
        fn is_bound(&self) -> bool {
            true
        }

        async fn admit(&self, key: &str) -> bool {
            let mut seen = self.seen.lock().unwrap();
            let count = seen.entry(key.to_owned()).or_insert(0);
            *count += 1;
            *count <= 10 && !self.used_up.is_some_and(|used_up| used_up(key))
        }
    }

    async fn guess(guard: &Counts, memory: &Memory, key: u32, address: &str) -> Code {
        let key_id = KeyId::parse(&format!("guess{key:07}")).unwrap();
        let refusal = Error::new(Code::AuthFailed, "no");
        failed(guard, memory, &key_id, Some(address), Timestamp(0), refusal)
            .await
            .code
    }

    #[tokio::test]
    async fn many_keys_from_one_address_are_one_guesser() {
        let (guard, memory) = (Counts::default(), Memory::default());
        for key in 0..10 {
            assert_eq!(guess(&guard, &memory, key, "a").await, Code::AuthFailed);
        }
        let over = guess(&guard, &memory, 10, "a").await;
        assert_eq!(over, Code::TooManyAuthFailures);
        assert!(check(&memory, Some("a"), Timestamp(59_999)).is_err());
        assert!(check(&memory, Some("a"), Timestamp(60_000)).is_ok());
    }

    #[tokio::test]
    async fn many_addresses_at_one_key_are_counted_each_for_itself() {
        let (guard, memory) = (Counts::default(), Memory::default());
        for address in 0..50 {
            let address = format!("a{address}");
            assert_eq!(guess(&guard, &memory, 1, &address).await, Code::AuthFailed);
            assert!(check(&memory, Some(&address), Timestamp(0)).is_ok());
        }
        let seen = guard.seen.lock().unwrap();
        assert_eq!(seen.len(), 100);
        assert!(seen.contains_key("a7") && seen.contains_key("guess0000001|a7"));
    }

    /// The binding counts roughly and per location, so either of the two may be over first.
    #[tokio::test]
    async fn each_of_the_two_counts_blocks_by_itself() {
        let pairs: fn(&str) -> bool = |key| key.contains('|');
        let addresses: fn(&str) -> bool = |key| !key.contains('|');
        for used_up in [pairs, addresses] {
            let guard = Counts {
                used_up: Some(used_up),
                ..Counts::default()
            };
            let memory = Memory::default();
            let over = guess(&guard, &memory, 1, "a").await;
            assert_eq!(over, Code::TooManyAuthFailures);
            assert!(check(&memory, Some("a"), Timestamp(0)).is_err());
        }
    }
}

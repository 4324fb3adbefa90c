//! The copy of a configuration in KV, which this worker alone writes.
//!
//! In scope: putting after a commit, confirming what is served, remembering what was put. Out of scope: reading it
//! (`lookup`). A put that fails is tried again in the background, then by the sweeper.

use crate::abuse::AbuseGuard;
use crate::deps::Deps;
use api_types::InstanceConfig;
use lookup::kv::{EXPIRES_S, encode, key};
use platform::{Background, Clock, Database, KvStore, PortError, Ports};
use store::control::instances;

/// Waits before the repetitions of a failed put, in milliseconds.
const RETRY_MS: [u64; 3] = [100, 400, 1_000];
/// A served copy is confirmed when this isolate has not put it for so long, in milliseconds.
const CONFIRM_MS: i64 = 240_000;

impl<P: Ports, G: AbuseGuard> Deps<P, G> {
    /// Puts a configuration that was just committed. The first try is awaited, so that usually KV is current when
    /// the caller reads the answer; everything else happens in the background.
    pub async fn publish(&self, config: InstanceConfig) {
        let done = match self.put(&config).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(instance_id = %config.instance_id, error = %error, "publishing failed");
                false
            }
        };
        let this = self.clone();
        self.background.spawn(async move {
            if done || this.put_patiently(&config).await {
                this.mark(&config).await;
            }
        });
    }

    /// Puts a configuration that is being served, in the background, if this isolate has not done so lately.
    pub fn confirm(&self, config: &InstanceConfig) {
        let now = self.now();
        let put_at = self.memory.put_at(&config.instance_id);
        if put_at.is_some_and(|at| now.ms() - at.ms() < CONFIRM_MS) {
            return;
        }
        // Noted before it is done: simultaneous requests must not put the same key, KV takes one write a second.
        self.memory.note_put(&config.instance_id, now);
        let (this, config) = (self.clone(), config.clone());
        self.background.spawn(async move {
            match this.put(&config).await {
                Ok(()) => this.mark(&config).await,
                Err(error) => {
                    tracing::warn!(instance_id = %config.instance_id, error = %error, "confirming failed");
                }
            }
        });
    }

    /// One put.
    ///
    /// # Errors
    /// What KV said.
    pub async fn put(&self, config: &InstanceConfig) -> Result<(), PortError> {
        let now = self.now();
        self.kv
            .put(
                &key(&config.instance_id),
                &encode(config, now),
                Some(EXPIRES_S),
            )
            .await?;
        self.memory.note_put(&config.instance_id, now);
        Ok(())
    }

    async fn put_patiently(&self, config: &InstanceConfig) -> bool {
        for wait_ms in RETRY_MS {
            self.clock.sleep(wait_ms).await;
            if self.put(config).await.is_ok() {
                return true;
            }
        }
        tracing::error!(instance_id = %config.instance_id, "publishing is left to the sweeper");
        false
    }

    async fn mark(&self, config: &InstanceConfig) {
        let mark =
            instances::mark_published(&config.instance_id, config.config_version, self.now());
        if let Err(error) = self.database.query(mark).await {
            tracing::warn!(instance_id = %config.instance_id, error = %error, "publication was not noted");
        }
    }
}

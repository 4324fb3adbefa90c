//! The copy of a configuration in KV, which this worker alone writes.
//!
//! In scope: putting after a commit, confirming what is served, remembering what was put. Out of scope: reading it
//! (`lookup`). A put that fails is tried again in the background, then by the sweeper.

use crate::abuse::AbuseGuard;
use crate::deps::Deps;
use api_types::{InstanceConfig, InstanceId};
use errors::Result;
use lookup::kv::{EXPIRES_S, encode, key};
use platform::{Background, Clock, Database, KvStore, PortError, Ports};
use store::control::instances;
use store::control::lifecycle::{self, Unremoved};

/// Waits before the repetitions of a failed put, in milliseconds.
const RETRY_MS: [u64; 3] = [100, 400, 1_000];
/// A served copy is confirmed when this isolate has not put it for so long, in milliseconds.
const CONFIRM_MS: i64 = 240_000;
/// Work after an answer lives 30 s, so a put that was on its way to the copy of a deleted instance has arrived by then, in
/// milliseconds.
const REMOVE_AFTER_MS: i64 = 60_000;
/// Copies removed in one run.
const MAX_REMOVED: i64 = 50;

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

    /// The same where nothing may be left for later: one try, then the sweeper does it.
    pub(crate) async fn publish_once(&self, config: &InstanceConfig) {
        match self.put(config).await {
            Ok(()) => self.mark(config).await,
            Err(error) => {
                tracing::warn!(instance_id = %config.instance_id, error = %error, "publishing is left to the sweeper");
            }
        }
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
    pub async fn put(&self, config: &InstanceConfig) -> std::result::Result<(), PortError> {
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
        let put = [(config.instance_id.clone(), config.config_version)];
        if let Err(error) = self.note_published(&put).await {
            tracing::warn!(instance_id = %config.instance_id, error = %error, "publication was not noted");
        }
    }

    /// Notes what was put. A copy that was put after its instance had gone is removed again.
    ///
    /// # Errors
    /// 503 when the database does not answer; then nothing is noted and the sweeper puts it again.
    pub(crate) async fn note_published(&self, put: &[(InstanceId, i64)]) -> Result<()> {
        let now = self.now();
        let marks = put
            .iter()
            .map(|(id, version)| instances::mark_published(id, *version, now));
        let questions = put.iter().map(|(id, _)| lifecycle::buried(id));
        let results = self
            .database
            .batch(marks.chain(questions).collect())
            .await?;
        let answers = results.iter().skip(put.len());
        for ((instance_id, _), rows) in put.iter().zip(answers) {
            if rows.first().is_some() {
                self.unpublish(instance_id).await;
            }
        }
        Ok(())
    }

    /// Removes the copy of an instance that has gone. When that fails the sweeper does it.
    pub(crate) async fn unpublish(&self, instance_id: &InstanceId) {
        if let Err(error) = self.kv.delete(&key(instance_id)).await {
            tracing::warn!(instance_id = %instance_id, error = %error, "the copy of a deleted instance was not removed");
        }
    }

    /// Publishes what a change of several instances has left unpublished, after the answer.
    pub(crate) fn publish_soon(&self) {
        let this = self.clone();
        self.background.spawn(async move {
            if let Err(error) = this.publish_due().await {
                tracing::warn!(error = %error, "publishing is left to the sweeper");
            }
        });
    }

    /// Removes copies of instances that went a while ago, for good: until then a put may have been on its way.
    ///
    /// # Errors
    /// 503 when the database does not answer.
    pub(crate) async fn remove_copies(&self) -> Result<usize> {
        let before = self.now().plus_ms(-REMOVE_AFTER_MS);
        let rows = self
            .database
            .query(lifecycle::unremoved(before, MAX_REMOVED))
            .await?;
        let mut marks = Vec::new();
        for tombstone in Unremoved::read_all(&rows)? {
            match self.kv.delete(&key(&tombstone.instance_id)).await {
                Ok(()) => marks.push(tombstone.mark()),
                Err(error) => {
                    tracing::warn!(instance_id = %tombstone.instance_id, error = %error, "the copy of a deleted instance was not removed");
                }
            }
        }
        let removed = marks.len();
        if removed > 0 {
            self.database.batch(marks).await?;
        }
        Ok(removed)
    }
}

//! What happens every minute: configurations whose prices turned, copies of deleted instances, publication that was
//! missed, KV copies that grow old, answers, secrets and sessions that have ended, key rotation, health of workers, ends
//! of audit chains.
//!
//! Each step is bounded and independent: the failure of one does not stop the next, and a run that dies is repeated by
//! the next minute.

use crate::abuse::AbuseGuard;
use crate::deps::Deps;
use crate::kek;
use api_types::{InstanceConfig, InstanceId};
use errors::Result;
use platform::{Database, Ports, Statement};
use store::control::{idempotency, instances};

/// Configurations put in one run.
const MAX_PUTS: i64 = 50;
/// Ended answers removed in one run.
const MAX_ENDED: i64 = 500;
/// A KV copy expires after a day, so it is confirmed after half of it, in milliseconds.
const CONFIRM_AFTER_MS: i64 = 12 * 3_600_000;

/// What one run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Configurations that KV did not have.
    pub published: usize,
    /// KV copies confirmed.
    pub confirmed: usize,
    /// Answers removed.
    pub forgotten: u64,
    /// Steps of a key rotation.
    pub rotated: usize,
    /// Previous provider keys erased.
    pub erased: u64,
    /// Workers checked.
    pub checked: usize,
    /// Audit chains sealed.
    pub sealed: usize,
    /// Previous secrets of keys emptied.
    pub emptied_secrets: u64,
    /// Sessions removed.
    pub removed_sessions: u64,
    /// Configurations built anew: prices turned, or the body differed from its parts.
    pub rebuilt: usize,
    /// Configurations compared with their parts.
    pub recounted: usize,
    /// Copies of deleted instances removed.
    pub removed: usize,
    /// Steps that failed.
    pub failed_steps: usize,
}

impl Swept {
    pub(crate) fn fail(&mut self, step: &'static str, error: &errors::Error) {
        self.failed_steps += 1;
        swept_failed(step, error);
    }
}

impl<P: Ports, G: AbuseGuard> Deps<P, G> {
    /// One run.
    pub async fn sweep(&self) -> Swept {
        let now = self.now();
        let mut swept = Swept::default();
        let before = now.plus_ms(-CONFIRM_AFTER_MS);
        self.rebuild_bodies(now, &mut swept).await;
        match self.remove_copies().await {
            Ok(count) => swept.removed = count,
            Err(error) => swept.fail("remove", &error),
        }
        match self.publish_due().await {
            Ok(count) => swept.published = count,
            Err(error) => swept.fail("publish", &error),
        }
        match self
            .put_all(instances::published_before(before, MAX_PUTS))
            .await
        {
            Ok(count) => swept.confirmed = count,
            Err(error) => swept.fail("confirm", &error),
        }
        let ended = idempotency::delete_expired(now, MAX_ENDED);
        match self.database.query(ended).await {
            Ok(rows) => swept.forgotten = rows.changes,
            Err(error) => swept.fail("idempotency", &error.into()),
        }
        match self.rotate_kek_by_itself(kek::STEPS).await {
            Ok(steps) => swept.rotated = steps,
            Err(error) => swept.fail("kek_rotation", &error),
        }
        match self.erase_retired_keys().await {
            Ok(count) => swept.erased = count,
            Err(error) => swept.fail("provider_keys", &error),
        }
        match self.check_workers().await {
            Ok(count) => swept.checked = count,
            Err(error) => swept.fail("health", &error),
        }
        match self.seal_chains().await {
            Ok(count) => swept.sealed = count,
            Err(error) => swept.fail("checkpoints", &error),
        }
        self.sweep_keys(now, &mut swept).await;
        tracing::info!(
            event = logging::Event::Cron.as_str(),
            name = "sweep",
            result = if swept.failed_steps == 0 {
                "ok"
            } else {
                "failed"
            },
            published = swept.published,
            confirmed = swept.confirmed,
            forgotten = swept.forgotten,
            rotated = swept.rotated,
            erased = swept.erased,
            checked = swept.checked,
            sealed = swept.sealed,
            emptied_secrets = swept.emptied_secrets,
            removed_sessions = swept.removed_sessions,
            rebuilt = swept.rebuilt,
            recounted = swept.recounted,
            removed = swept.removed,
            failed_steps = swept.failed_steps,
            "cron"
        );
        swept
    }

    /// Publishes what KV does not have yet, some at a time.
    ///
    /// # Errors
    /// 503 when the database does not answer.
    pub(crate) async fn publish_due(&self) -> Result<usize> {
        self.put_all(instances::unpublished(MAX_PUTS)).await
    }

    async fn put_all(&self, which: Statement) -> Result<usize> {
        let rows = self.database.query(which).await?;
        let mut done: Vec<(InstanceId, i64)> = Vec::new();
        for config in instances::read_bodies(&rows) {
            match self.put_one(config).await {
                Ok(put) => done.push(put),
                Err(error) => swept_failed("put", &error),
            }
        }
        if !done.is_empty() {
            self.note_published(&done).await?;
        }
        Ok(done.len())
    }

    async fn put_one(&self, config: Result<InstanceConfig>) -> Result<(InstanceId, i64)> {
        let config = config?;
        self.put(&config)
            .await
            .map_err(|error| errors::Error::internal(error.to_string()))?;
        Ok((config.instance_id, config.config_version))
    }
}

fn swept_failed(step: &'static str, error: &errors::Error) {
    tracing::error!(step, error = %error, "a step of the sweeper failed");
}

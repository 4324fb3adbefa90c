//! What happens every minute: publication that was missed, KV copies that grow old, answers that have ended.
//!
//! Each step is bounded and independent: the failure of one does not stop the next, and a run that dies is repeated by
//! the next minute.

use crate::abuse::AbuseGuard;
use crate::deps::Deps;
use api_types::InstanceConfig;
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
    /// Steps that failed.
    pub failed_steps: usize,
}

impl Swept {
    fn fail(&mut self, step: &'static str, error: &errors::Error) {
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
        match self.put_all(instances::unpublished(MAX_PUTS)).await {
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
            failed_steps = swept.failed_steps,
            "cron"
        );
        swept
    }

    async fn put_all(&self, which: Statement) -> Result<usize> {
        let rows = self.database.query(which).await?;
        let mut done: Vec<Statement> = Vec::new();
        for config in instances::read_bodies(&rows) {
            match self.put_one(config).await {
                Ok(mark) => done.push(mark),
                Err(error) => swept_failed("put", &error),
            }
        }
        let count = done.len();
        if count > 0 {
            self.database.batch(done).await?;
        }
        Ok(count)
    }

    async fn put_one(&self, config: Result<InstanceConfig>) -> Result<Statement> {
        let config = config?;
        self.put(&config)
            .await
            .map_err(|error| errors::Error::internal(error.to_string()))?;
        let version = config.config_version;
        Ok(instances::mark_published(
            &config.instance_id,
            version,
            self.now(),
        ))
    }
}

fn swept_failed(step: &'static str, error: &errors::Error) {
    tracing::error!(step, error = %error, "a step of the sweeper failed");
}

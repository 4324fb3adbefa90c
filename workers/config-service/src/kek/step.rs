//! Taking steps: read, decide, write, publish.
//!
//! 1. Read batch: the rotation, the next instance with its envelopes, its audit chain.
//! 2. Decide.
//! 3. Write batch, atomic: refused when the cursor, the configuration or the chain moved; then read again.
//! 4. Publish.
//!
//! Killed before 3 nothing happened; after 3 the cursor says so, and what was not published the sweeper publishes.

use super::decide::{decide, log_unopened, overloaded};
use crate::abuse::AbuseGuard;
use crate::deps::Deps;
use crate::mutate::By;
use api_types::RotationId;
use errors::Result;
use platform::{Clock, Database, Ports, Random, new_uuid};
use serde_json::json;
use store::control::guard::Violation;
use store::control::kek::{self, Rotation, RotationState, Step};

/// How often a step is decided when others write at the same time.
const MAX_ATTEMPTS: u32 = 5;

impl<P: Ports, G: AbuseGuard> Deps<P, G> {
    /// What the sweeper does for the running rotation, if there is one: at most so many steps; answers how many.
    ///
    /// # Errors
    /// 503 when the database does not answer or too many write at once, 500 when the new key is not here. Steps before
    /// the one that failed are done.
    pub async fn rotate_kek_by_itself(&self, most: usize) -> Result<usize> {
        let rows = self.read(vec![kek::running()]).await?;
        let running = rows.first().map(Rotation::read).transpose()?.flatten();
        let Some(running) = running else {
            return Ok(0);
        };
        let by = By {
            actor: json!({"principal": "system:config-service"}),
            request_id: new_uuid(&self.clock, &self.random),
            ip: None,
        };
        self.rotate_kek(&running.rotation_id, &by, most).await
    }

    /// At most so many steps; answers how many there were.
    ///
    /// # Errors
    /// As [`Deps::rotate_kek_by_itself`].
    pub(crate) async fn rotate_kek(
        &self,
        rotation_id: &RotationId,
        by: &By,
        most: usize,
    ) -> Result<usize> {
        for done in 0..most {
            if !self.take_step(rotation_id, by).await? {
                return Ok(done);
            }
        }
        Ok(most)
    }

    /// One step; false when the rotation does not run.
    async fn take_step(&self, rotation_id: &RotationId, by: &By) -> Result<bool> {
        for attempt in 0..MAX_ATTEMPTS {
            if attempt > 0 {
                self.clock.sleep(10 + self.random.next_u64() % 71).await;
            }
            let results = self.read(kek::step(rotation_id)).await?;
            let running = |step: &Step| step.rotation.state == RotationState::Running;
            let Some(step) = Step::read(&results)?.filter(running) else {
                return Ok(false);
            };
            let keks = self.settings.keks()?;
            let decided = decide(&step, keks, &self.random, by, self.now())?;
            match self.database.batch(decided.statements).await {
                Ok(_) => {
                    decided.unopened.iter().for_each(log_unopened);
                    if let Some(config) = &decided.publish {
                        self.publish_once(config).await;
                    }
                    return Ok(true);
                }
                Err(error) => match Violation::of(&error) {
                    Some(Violation::Guard | Violation::AuditHead) => {}
                    _ => return Err(error.into()),
                },
            }
        }
        Err(overloaded())
    }
}

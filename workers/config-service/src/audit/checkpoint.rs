//! Once a day: the end of each audit chain, sealed under a key that is not in the database, and told to telemetry.

use crate::abuse::AbuseGuard;
use crate::deps::Deps;
use api_types::Timestamp;
use auth::checkpoint::Checkpoint;
use errors::Result;
use platform::{Database, Ports};
use store::control::checkpoints::{self, CheckpointRow, Due};

/// Checkpoints of one run.
const MAX_CHECKPOINTS: i64 = 50;
const DAY_MS: i64 = 86_400_000;

impl<P: Ports, G: AbuseGuard> Deps<P, G> {
    /// Seals the chains that have grown and have no checkpoint of this UTC day. Gives how many. An isolate that found
    /// none due asks no more on that day.
    ///
    /// # Errors
    /// 500 without a pepper, 503 when D1 does not answer.
    pub(crate) async fn seal_chains(&self) -> Result<usize> {
        let now = self.now();
        let day = Timestamp(now.ms() - now.ms().rem_euclid(DAY_MS));
        if self.memory.sealed_day() == Some(day) {
            return Ok(0);
        }
        let pepper = self.settings.peppers()?.current();
        let rows = self
            .database
            .query(checkpoints::due(day, MAX_CHECKPOINTS))
            .await?;
        let due = Due::read_all(&rows)?;
        if due.is_empty() {
            self.memory.note_sealed_day(day);
            return Ok(0);
        }
        let created_at = now.to_string();
        let rows: Vec<CheckpointRow> = due
            .into_iter()
            .map(|end| {
                let mac = Checkpoint {
                    org_id: &end.org_id,
                    seq: end.seq,
                    hash: &end.hash,
                    created_at: &created_at,
                }
                .mac(pepper);
                CheckpointRow {
                    org_id: end.org_id,
                    seq: end.seq,
                    hash: end.hash,
                    mac,
                    pepper_id: pepper.id().to_owned(),
                    created_at: created_at.clone(),
                }
            })
            .collect();
        self.database
            .batch(rows.iter().map(checkpoints::append).collect())
            .await?;
        for row in &rows {
            // Lines go to another database: who can rewrite a chain and its checkpoints here cannot rewrite these.
            tracing::info!(
                event = logging::Event::Audit.as_str(),
                name = "checkpoint",
                result = "ok",
                org_id = row.org_id,
                seq = row.seq,
                hash = row.hash,
                mac = row.mac,
                pepper_id = row.pepper_id,
                created_at = row.created_at,
                "audit checkpoint"
            );
        }
        Ok(rows.len())
    }
}

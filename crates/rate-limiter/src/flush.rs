//! Brings outbox rows to the ledger and marks them.
//!
//! In scope: batches, a ledger that is away, a row that it refuses. Out of scope: the statements, when to flush (module
//! `outbox`). Repeating is harmless: the ledger's keys and versions make it so.

use crate::lease::{Attempt, lease_text};
use crate::object::LimiterObject;
use crate::outbox::{BATCH_BYTES, REFUSED_ROW_MS};
use crate::schema::Source;
use crate::state::{AttemptSource, Changes, CommandError, LimiterState};
use crate::view::outbox_row;
use api_types::{LeaseId, OutboxRow};
use futures_util::future::{Either, select};
use platform::{
    ActorStorage, Clock, Database, DbError, DbErrorKind, MessageQueue, PortError, Random,
};
use std::pin::pin;

/// Batches in one alarm: with its statements far from the platform's 1,000 queries an invocation.
const BATCHES: u32 = 20;
/// A batch without an answer counts as failed after it, in milliseconds.
const ANSWER_MS: u64 = 20_000;
/// How long an alarm waits for a flush that another event has begun, in milliseconds.
pub(crate) const UNDER_WAY_MS: i64 = 1_000;
/// A flush that began that long ago has died with its event, in milliseconds.
const DEAD_MS: i64 = 120_000;

impl<S, D, Q, C, R> LimiterObject<S, D, Q, C, R>
where
    S: ActorStorage,
    D: Database,
    Q: MessageQueue,
    C: Clock,
    R: Random,
{
    /// Brings what is due; the number of rows. A ledger that is away is no error: the outbox waits.
    pub(crate) async fn flush(&self) -> Result<u32, PortError> {
        let now_ms = self.clock.now_ms();
        if self
            .flushing_ms
            .get()
            .is_some_and(|began_ms| now_ms - began_ms < DEAD_MS)
        {
            return Ok(0);
        }
        self.flushing_ms.set(Some(now_ms));
        let flushed = self.flush_batches().await;
        self.flushing_ms.set(None);
        flushed
    }

    async fn flush_batches(&self) -> Result<u32, PortError> {
        let mut flushed = 0;
        for _ in 0..BATCHES {
            let (rows, open) = self.next_batch()?;
            if rows.is_empty() {
                break;
            }
            match self.bring(&rows, open).await {
                Ok(()) => {
                    self.mark(&rows)?;
                    flushed += u32::try_from(rows.len()).unwrap_or(u32::MAX);
                }
                Err(error) if error.kind == DbErrorKind::Unavailable => {
                    self.ledger_failed(&error)?;
                    break;
                }
                Err(error) => {
                    // One row spoils the batch: find it, so that the others do not wait for it.
                    flushed += self.flush_singly(&rows, open, &error).await?;
                    break;
                }
            }
        }
        Ok(flushed)
    }

    async fn flush_singly(
        &self,
        rows: &[Attempt],
        open: u32,
        batch: &DbError,
    ) -> Result<u32, PortError> {
        let mut flushed = 0;
        for row in rows {
            let one = std::slice::from_ref(row);
            match self.bring(one, open).await {
                Ok(()) => {
                    self.mark(one)?;
                    flushed += 1;
                }
                Err(error) if error.kind == DbErrorKind::Unavailable => {
                    self.ledger_failed(&error)?;
                    return Ok(flushed);
                }
                Err(error) => {
                    tracing::error!(%error, lease_id = %row.lease_id, "the ledger refuses a row");
                    self.postpone(row)?;
                }
            }
        }
        // Not one of several: that is the ledger, not a row.
        if flushed == 0 && rows.len() > 1 {
            self.ledger_failed(batch)?;
        }
        Ok(flushed)
    }

    /// The rows of the next batch, as many as fit, and how many attempts are not settled.
    fn next_batch(&self) -> Result<(Vec<Attempt>, u32), PortError> {
        let source = Source(&self.storage);
        self.read(|state, now_ms| {
            let mut rows = Vec::new();
            let mut bytes = 0;
            for key in state.outbox.batch(now_ms, state.tuning.flush_rows) {
                let Some(row) = by_key(&source, key)? else {
                    return Err(CommandError::Port(PortError::new(
                        "actor",
                        "the outbox knows a row that the table does not",
                    )));
                };
                bytes += crate::state::json(&outbox_row(&row, 0)).len();
                if !rows.is_empty() && bytes > BATCH_BYTES {
                    break;
                }
                rows.push(row);
            }
            Ok(((rows, state.open), Changes::default()))
        })
    }

    async fn bring(&self, rows: &[Attempt], open: u32) -> Result<(), DbError> {
        let rows: Vec<OutboxRow> = rows.iter().map(|row| outbox_row(row, open)).collect();
        let statements = (self.statements)(&rows);
        let batch = pin!(self.database.batch(statements));
        let patience = pin!(self.clock.sleep(ANSWER_MS));
        match select(batch, patience).await {
            Either::Left((done, _)) => done.map(|_| ()),
            Either::Right(((), _)) => Err(DbError {
                kind: DbErrorKind::Unavailable,
                cause: "no answer in time".to_owned(),
            }),
        }
    }

    /// The ledger has these versions; rows that changed meanwhile stay in the outbox.
    fn mark(&self, rows: &[Attempt]) -> Result<(), PortError> {
        let source = Source(&self.storage);
        self.read(|state, _| {
            state.outbox.succeeded();
            let mut changes = Changes::default();
            for sent in rows {
                let Some(before) = source.by_lease(&sent.lease_id)? else {
                    continue;
                };
                let mut after = before.clone();
                after.flushed_version = after.flushed_version.max(sent.version);
                if !after.dirty() {
                    after.flush_due_ms = None;
                }
                state.outbox.accepted(before.key());
                state.replace(&before, after, &mut changes);
            }
            Ok(((), changes))
        })
    }

    fn postpone(&self, row: &Attempt) -> Result<(), PortError> {
        let source = Source(&self.storage);
        self.read(|state, now_ms| {
            let mut changes = Changes::default();
            if let Some(before) = source.by_lease(&row.lease_id)? {
                let mut after = before.clone();
                after.flush_due_ms = Some(now_ms + REFUSED_ROW_MS);
                state.outbox.refused(before.key());
                state.replace(&before, after, &mut changes);
            }
            Ok(((), changes))
        })
    }

    fn ledger_failed(&self, error: &DbError) -> Result<(), PortError> {
        self.read(|state, now_ms| {
            state.outbox.failed(now_ms);
            tracing::warn!(%error, rows = state.outbox.len(), "ledger not reached");
            Ok(((), Changes::default()))
        })
    }

    fn read<T>(
        &self,
        work: impl FnOnce(&mut LimiterState, i64) -> Result<(T, Changes), CommandError>,
    ) -> Result<T, PortError> {
        match self.apply(work) {
            Ok((done, _)) => Ok(done),
            Err(CommandError::Port(error)) => Err(error),
            Err(CommandError::Refused(_, message)) => Err(PortError::new("actor", message)),
        }
    }
}

fn by_key(source: &impl AttemptSource, key: u128) -> Result<Option<Attempt>, PortError> {
    match LeaseId::parse(&lease_text(key)) {
        Ok(lease_id) => source.by_lease(&lease_id),
        Err(_) => Ok(None),
    }
}

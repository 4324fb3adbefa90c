//! What the alarm does with rows whose time is over: lost holders, lost wake-ups, lost hand-overs.
//!
//! In scope: the transitions of section "holder lost". Out of scope: when the alarm rings (module `object`).

use crate::lease::{Attempt, lease_text};
use crate::state::{AttemptSource, Changes, CommandError, LimiterState};
use api_types::{AttemptState, Billed, CostBasis, JobError, LeaseId, Outcome, WakeReason, Work};
use errors::Code;
use jobs::Event;

/// An unknown attempt is looked at again after so many holder times (10 min for the default of 60 s).
const RECONCILE_FACTOR: i64 = 10;

impl LimiterState {
    /// Handles at most `most` overdue rows.
    pub fn expire(
        &mut self,
        source: &impl AttemptSource,
        now_ms: i64,
        most: usize,
        random: u64,
    ) -> Result<Changes, CommandError> {
        let now_ms = self.advance(now_ms);
        let mut changes = Changes::default();
        let gate = self.gate.clone();
        for key in self.overdue(now_ms, most) {
            let row = LeaseId::parse(&lease_text(key))
                .ok()
                .map(|lease_id| source.by_lease(&lease_id))
                .transpose()?
                .flatten();
            let Some(before) = row else {
                return Err(CommandError::Refused(
                    Code::InternalError,
                    "memory knows a row that the table does not".to_owned(),
                ));
            };
            if let Some(mut after) = self.expired(&before, now_ms, random, &mut changes) {
                if let Some(reason) = self.redispatch(&mut after, now_ms, &mut changes) {
                    changes.wakes.push(Self::wake(&after, reason));
                }
                self.learn_loss(&before, now_ms, &mut changes);
                self.replace(&before, after, &mut changes);
            }
        }
        self.note_gate(&gate, &mut changes);
        Ok(changes)
    }

    /// A row whose deadline is over, without its holder. `None` when there is nothing to lose.
    pub(crate) fn expired(
        &mut self,
        before: &Attempt,
        now_ms: i64,
        random: u64,
        changes: &mut Changes,
    ) -> Option<Attempt> {
        let mut row = before.clone();
        match row.state {
            AttemptState::Settled => return None,
            AttemptState::Held => {
                self.gate.lost(Self::origin(&row), now_ms, random);
                self.lose(&mut row, now_ms, "holder_lost", changes);
                row.dispatches = 0;
            }
            AttemptState::Submitted if row.run_until_ms <= now_ms => {
                self.gate.lost(Self::origin(&row), now_ms, random);
                self.lose(&mut row, now_ms, "run_until", changes);
                row.dispatches = 0;
            }
            AttemptState::Submitted
            | AttemptState::Granted
            | AttemptState::Handover
            | AttemptState::Unknown => {}
        }
        row.owned = false;
        Some(row)
    }

    /// Counts the wake-up before it is sent, or ends a row that wake-ups do not move.
    fn redispatch(
        &mut self,
        row: &mut Attempt,
        now_ms: i64,
        changes: &mut Changes,
    ) -> Option<WakeReason> {
        row.deadline_ms = None;
        if row.work == Work::Text {
            return None;
        }
        if row.state == AttemptState::Unknown {
            // Never ended here: only facts or a person end it.
            let more = row.dispatches < self.tuning.dispatches_max || result_lives(row, now_ms);
            if more {
                row.dispatches = row.dispatches.saturating_add(1);
            }
            row.deadline_ms = self.next_reconcile(row, now_ms);
            return more.then_some(WakeReason::Reconcile);
        }
        let expired = row.state == AttemptState::Granted && row.run_until_ms <= now_ms;
        // Paid work whose result is still there is never given up: the wake-ups only grow rarer.
        let paid = row.state == AttemptState::Submitted && result_lives(row, now_ms);
        if (row.dispatches >= self.tuning.dispatches_max && !paid) || expired {
            let kind = if expired { "expired" } else { "poison" };
            self.end_dead(row, now_ms, kind, changes);
            return None;
        }
        row.dispatches = row.dispatches.saturating_add(1);
        let beyond = row.dispatches.saturating_sub(self.tuning.dispatches_max);
        let next_ms = row.next_deadline(now_ms) + Self::rarer_ms(row, beyond);
        // The end of its run still comes in time: then it is unknown and its place is free.
        row.deadline_ms = Some(next_ms.min(row.run_until_ms.max(now_ms + 1)));
        Some(match row.state {
            AttemptState::Granted => WakeReason::Run,
            _ => WakeReason::Resume,
        })
    }

    /// What is added to the deadline after more wake-ups than a row should need: doubling, up to ten holder times.
    fn rarer_ms(row: &Attempt, beyond: u32) -> i64 {
        if beyond == 0 {
            return 0;
        }
        let doubled = row.holder_ms.saturating_mul(1 << beyond.min(10));
        doubled.min(row.holder_ms.saturating_mul(RECONCILE_FACTOR))
    }

    /// When to look at an unknown row again; `None` when nothing more can be learnt by asking.
    pub(crate) fn next_reconcile(&self, row: &Attempt, now_ms: i64) -> Option<i64> {
        if row.work == Work::Text {
            return None;
        }
        let more = row.dispatches < self.tuning.dispatches_max || result_lives(row, now_ms);
        let wait_ms = if row.dispatches <= 1 {
            row.holder_ms
        } else {
            row.holder_ms.saturating_mul(RECONCILE_FACTOR)
        };
        more.then_some(now_ms + wait_ms)
    }

    fn end_dead(&mut self, row: &mut Attempt, now_ms: i64, kind: &str, changes: &mut Changes) {
        if !self.happens(row, Event::GiveUp, changes) {
            return;
        }
        match row.state {
            // Paid work that nobody could fetch.
            AttemptState::Submitted => {
                row.outcome = Some(Outcome::ResultLost);
                row.charge_upper(now_ms);
            }
            AttemptState::Granted => {
                row.outcome = Some(Outcome::Cancelled);
                row.billed = Some(Billed::No);
                row.cost_usd_micros = Some(0);
                row.cost_basis = Some(CostBasis::None);
                row.counted = false;
            }
            _ => {}
        }
        if row.state != AttemptState::Handover || row.report.error.is_none() {
            row.report.error = Some(JobError {
                code: Code::InternalError,
                message: "The job was given up after several restarts.".to_owned(),
                details: serde_json::json!({ "kind": kind }),
            });
        }
        row.end(now_ms, kind, &self.tuning);
    }
}

/// Whether the provider may still have the result.
fn result_lives(row: &Attempt, now_ms: i64) -> bool {
    row.job_refs.iter().any(|job| job.expires_at.ms() > now_ms)
}

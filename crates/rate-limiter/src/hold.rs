//! Holding a lease: `submitted`, `renew`, `release` and `take`.
//!
//! In scope: permissions by epoch, who is alive behind a row. Out of scope: outcomes (module `settle`), lost holders
//! (module `overdue`).

use crate::lease::Attempt;
use crate::state::{Applied, AttemptSource, Changes, CommandError, LimiterState};
use crate::view::view;
use api_types::{
    AttemptState, Billed, CostBasis, JobStage, JobState, LeaseId, LeaseReply, Outcome, Release,
    ReleaseReason, Renew, Submitted, Take, TakeMode, TakeReply, WakeReason, Work,
};
use errors::Code;
use jobs::Event;

/// Most handles of one attempt: ten parts, each sent twice.
const JOB_REFS: usize = 20;
/// When a taker should ask again about a row that somebody holds, at the earliest, in milliseconds.
const ASK_AGAIN_MS: u64 = 1_000;

pub(crate) fn row_of(
    source: &impl AttemptSource,
    lease_id: &LeaseId,
) -> Result<Attempt, CommandError> {
    source
        .by_lease(lease_id)
        .map_err(CommandError::Port)?
        .ok_or_else(|| CommandError::Refused(Code::NotFound, format!("no lease {lease_id}")))
}

fn lost(row: &Attempt) -> CommandError {
    CommandError::Refused(
        Code::LeaseLost,
        format!(
            "{} is {} at epoch {}",
            row.lease_id,
            row.state.as_str(),
            row.epoch
        ),
    )
}

fn reply(ok: bool, row: &Attempt) -> LeaseReply {
    LeaseReply {
        ok,
        cancel_requested: row.cancel_requested,
    }
}

impl LimiterState {
    /// Records a provider handle; a fact, whoever brings it.
    pub fn submitted(
        &mut self,
        source: &impl AttemptSource,
        command: &Submitted,
        now_ms: i64,
    ) -> Applied<LeaseReply> {
        let now_ms = self.advance(now_ms);
        let before = row_of(source, &command.lease_id)?;
        let mut changes = Changes::default();
        if matches!(before.state, AttemptState::Settled | AttemptState::Handover) {
            return Ok((reply(false, &before), changes));
        }
        let known = before
            .job_refs
            .iter()
            .any(|job| job.part == command.job_ref.part && job.job_id == command.job_ref.job_id);
        let mut row = before.clone();
        if !known && row.job_refs.len() < JOB_REFS {
            row.job_refs.push(command.job_ref.clone());
            row.job_refs.sort_by_key(|job| job.part);
            row.state = AttemptState::Submitted;
            // A handle that comes after its holder was given up makes the job known to the provider, not to us: it stays
            // unknown until it is settled.
            row.stage = (row.job_state == JobState::Running).then_some(JobStage::Polling);
            row.dispatches = 0;
            row.mark(now_ms, "submitted", &self.tuning);
        }
        // Past `run_until` nobody should poll on as if it were alive.
        if row.state == AttemptState::Submitted {
            row.alive(now_ms);
        }
        let answer = reply(true, &row);
        self.replace(&before, row, &mut changes);
        Ok((answer, changes))
    }

    /// A sign of life of the current holder.
    pub fn renew(
        &mut self,
        source: &impl AttemptSource,
        command: &Renew,
        now_ms: i64,
    ) -> Applied<LeaseReply> {
        let now_ms = self.advance(now_ms);
        let before = row_of(source, &command.lease_id)?;
        if before.epoch != command.epoch || before.state == AttemptState::Settled {
            return Err(lost(&before));
        }
        let mut changes = Changes::default();
        let mut row = before.clone();
        row.alive(now_ms);
        row.dispatches = 0;
        if let Some(stage) = command.stage.filter(|stage| Some(*stage) != row.stage)
            && row.job_state == JobState::Running
        {
            row.stage = Some(stage);
            row.mark(now_ms, stage_event(stage), &self.tuning);
        }
        if let Some(credential_id) = &command.credential_id {
            let named = (row.lease_id.clone(), credential_id.clone());
            changes.credentials.push(named);
        }
        let answer = reply(true, &row);
        self.replace(&before, row, &mut changes);
        Ok((answer, changes))
    }

    /// Gives the lease back.
    pub fn release(
        &mut self,
        source: &impl AttemptSource,
        command: &Release,
        now_ms: i64,
        random: u64,
    ) -> Applied<LeaseReply> {
        let now_ms = self.advance(now_ms);
        let before = row_of(source, &command.lease_id)?;
        let mut changes = Changes::default();
        if before.state == AttemptState::Settled {
            // A repeat finds what the first one did; a row that ended otherwise contradicts only `not_sent`.
            if command.reason == ReleaseReason::NotSent && before.counted {
                return Err(lost(&before));
            }
            // Somebody else took it and ended it: this caller's path is not the one that goes on.
            if command.reason == ReleaseReason::HandedOver && before.epoch != command.epoch {
                return Err(lost(&before));
            }
            return Ok((reply(true, &before), changes));
        }
        if before.epoch != command.epoch {
            return Err(lost(&before));
        }
        let gate = self.gate.clone();
        let mut row = before.clone();
        let mut wake = None;
        match (command.reason, row.state) {
            (ReleaseReason::NotSent, AttemptState::Held | AttemptState::Granted)
                if row.job_refs.is_empty() =>
            {
                // A later attempt comes from another place, and the job goes on from there; a first one was all there was.
                if row.attempt_no == 1 && !self.happens(&mut row, Event::Cancel, &mut changes) {
                    return Ok((reply(false, &before), changes));
                }
                self.gate.unused(Self::origin(&row), now_ms, random);
                row.counted = false;
                row.outcome = Some(Outcome::Cancelled);
                row.billed = Some(Billed::No);
                row.cost_usd_micros = Some(0);
                row.cost_basis = Some(CostBasis::None);
                let version = row.version;
                row.end(now_ms, "not_sent", &self.tuning);
                // The job may go on elsewhere with this number; its end there must still count.
                row.version = version + 1;
                if row.flushed_version == 0 {
                    row.flushed_version = row.version;
                    row.flush_due_ms = None;
                }
            }
            (ReleaseReason::HandoffUnsent, AttemptState::Held) if row.job_refs.is_empty() => {
                row.state = AttemptState::Granted;
                row.stage = Some(JobStage::Admitted);
                row.mark(now_ms, "handoff", &self.tuning);
                wake = Some(WakeReason::Run);
            }
            (
                ReleaseReason::Handoff | ReleaseReason::HandoffUnsent,
                AttemptState::Submitted | AttemptState::Granted | AttemptState::Unknown,
            ) => {
                if row.owned {
                    row.mark(now_ms, "handoff", &self.tuning);
                    wake = Some(match row.state {
                        AttemptState::Granted => WakeReason::Run,
                        AttemptState::Submitted => WakeReason::Resume,
                        _ => WakeReason::Reconcile,
                    });
                }
            }
            (ReleaseReason::Handoff, AttemptState::Held) => {
                self.lose(&mut row, now_ms, "handoff", &mut changes);
                self.gate.lost(Self::origin(&row), now_ms, random);
                wake = Some(WakeReason::Reconcile);
            }
            (ReleaseReason::HandedOver, AttemptState::Handover) => {
                if !self.happens(&mut row, Event::Admit, &mut changes) {
                    return Ok((reply(false, &before), changes));
                }
                row.end(now_ms, "handed_over", &self.tuning);
            }
            _ => return Err(lost(&before)),
        }
        if row.state != AttemptState::Settled {
            row.owned = false;
            row.life_ms = now_ms;
            row.deadline_ms = Some(row.next_deadline(now_ms));
        }
        if let Some(reason) = wake.filter(|_| row.work == Work::Image) {
            row.dispatches = 1;
            changes.wakes.push(Self::wake(&row, reason));
        }
        let answer = reply(true, &row);
        self.note_gate(&gate, &mut changes);
        self.replace(&before, row, &mut changes);
        Ok((answer, changes))
    }

    /// Gives the lease to whoever was woken for it, if nobody alive holds it. `taker` is a nonce that makes a repeat
    /// recognisable.
    pub fn take(
        &mut self,
        source: &impl AttemptSource,
        command: &Take,
        taker: &str,
        now_ms: i64,
        random: u64,
    ) -> Applied<TakeReply> {
        let now_ms = self.advance(now_ms);
        let mut before = row_of(source, &command.lease_id)?;
        let mut changes = Changes::default();
        let repeated = !taker.is_empty() && before.owned && before.taker == taker;
        if repeated {
            let mode = match before.state {
                AttemptState::Held => TakeMode::Run,
                AttemptState::Submitted => TakeMode::Resume,
                AttemptState::Unknown => TakeMode::Reconcile,
                AttemptState::Handover => TakeMode::Fallback,
                AttemptState::Granted | AttemptState::Settled => {
                    return Ok((busy(&before, now_ms), changes));
                }
            };
            return Ok((taken(&before, mode), changes));
        }
        // The alarm may be late: a holder whose time is over is gone, whatever the alarm has written.
        if before.owned && before.deadline_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            let gate = self.gate.clone();
            if let Some(after) = self.expired(&before, now_ms, random, &mut changes) {
                self.untrack(&before);
                self.track(&after);
                self.learn_loss(&before, now_ms, &mut changes);
                before = after;
            }
            self.note_gate(&gate, &mut changes);
        }
        if before.owned || before.work == Work::Text || before.state == AttemptState::Settled {
            if before.updated_ms == now_ms && before.dirty() {
                changes.rows.push(before.clone());
            }
            return Ok((busy(&before, now_ms), changes));
        }
        let mut row = before.clone();
        let (mode, event) = match row.state {
            AttemptState::Granted => {
                row.state = AttemptState::Held;
                // A late pick-up must not bunch sends: it counts from now.
                row.at_ms = now_ms;
                (TakeMode::Run, "resumed")
            }
            AttemptState::Submitted => (TakeMode::Resume, "resumed"),
            AttemptState::Handover => (TakeMode::Fallback, "fallback"),
            // `held` without an owner does not exist: losing the holder makes it `unknown`.
            AttemptState::Held | AttemptState::Unknown | AttemptState::Settled => {
                (TakeMode::Reconcile, "reconcile")
            }
        };
        row.epoch += 1;
        taker.clone_into(&mut row.taker);
        row.holder_ms = self.tuning.holder_ms(command.holder_ms);
        if mode != TakeMode::Reconcile {
            row.mark(now_ms, event, &self.tuning);
        }
        // An unknown row's place depends on the last sign of life of who may have sent it, not of who looks for it.
        let life_ms = row.life_ms;
        row.alive(now_ms);
        if mode == TakeMode::Reconcile {
            row.life_ms = life_ms;
        }
        let answer = taken(&row, mode);
        self.replace(&before, row, &mut changes);
        Ok((answer, changes))
    }
}

fn taken(row: &Attempt, mode: TakeMode) -> TakeReply {
    TakeReply::Taken {
        epoch: row.epoch,
        mode,
        attempt: Box::new(view(row)),
    }
}

fn busy(row: &Attempt, now_ms: i64) -> TakeReply {
    let retry_after_ms = match row.deadline_ms {
        Some(at_ms) if row.state != AttemptState::Settled => {
            u64::try_from(at_ms - now_ms).unwrap_or(0).max(ASK_AGAIN_MS)
        }
        _ => 0,
    };
    TakeReply::Busy {
        state: row.state,
        retry_after_ms,
    }
}

const fn stage_event(stage: JobStage) -> &'static str {
    match stage {
        JobStage::Admitted => "admitted",
        JobStage::Submitting => "submitting",
        JobStage::Polling => "polling",
        JobStage::Fetching => "fetching",
        JobStage::Storing => "storing",
    }
}

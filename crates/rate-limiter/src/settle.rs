//! `settle`: the outcome of an attempt, what it cost, and what follows.
//!
//! In scope: the first settle wins, usage and correction rows, what the gates learn. Out of scope: how the ledger
//! stores them (crate `store`).
//!
//! Results are facts, so they count from any epoch. That nobody knows the outcome, and that no candidate is left, are not:
//! whoever has lost the lease does not know what its new holder does.

use crate::hold::row_of;
use crate::lease::{Attempt, event_of};
use crate::state::{Applied, AttemptSource, Changes, LimiterState, Meta, json};
use api_types::{
    AttemptState, Billed, JobState, Next, Outcome, Settle, SettleReply, UsagePhase, UsageRow,
    WakeReason, Work,
};
use jobs::Event;

impl LimiterState {
    /// Writes an outcome.
    pub fn settle(
        &mut self,
        source: &impl AttemptSource,
        command: &Settle,
        now_ms: i64,
        random: u64,
    ) -> Applied<SettleReply> {
        let now_ms = self.advance(now_ms);
        let before = row_of(source, &command.lease_id)?;
        let mut changes = Changes::default();
        match before.state {
            AttemptState::Settled => return Ok((answer(true, before.job_state), changes)),
            AttemptState::Handover => return Ok(self.settle_handover(&before, command, now_ms)),
            _ if command.outcome == Outcome::Unknown && command.epoch != before.epoch => {
                return Ok((answer(true, before.job_state), changes));
            }
            _ => {}
        }
        if command.outcome == Outcome::Unknown {
            return Ok(self.settle_unknown(&before, command, now_ms, random));
        }
        let mut row = before.clone();
        let follows = match command.next {
            Next::Final => {
                let event = event_of(command.outcome, command.error.is_some());
                self.happens(&mut row, event, &mut changes)
            }
            // The job runs on. One that was unknown is back in the queue by this, and admitted at once.
            Next::Fallback | Next::Retry => {
                row.job_state == JobState::Running
                    || self.happens(&mut row, Event::ProveUnsent, &mut changes)
                        && self.happens(&mut row, Event::Admit, &mut changes)
            }
        };
        if !follows {
            return Ok((answer(true, before.job_state), changes));
        }
        let unsent = command.outcome == Outcome::Cancelled
            && command.billed == Billed::No
            && row.job_refs.is_empty();
        if unsent {
            row.counted = false;
        }
        let event = if unsent {
            "not_sent"
        } else {
            command.outcome.as_str()
        };
        row.outcome = Some(command.outcome);
        row.billed = Some(command.billed);
        row.report.images.clone_from(&command.images);
        row.report.withheld = command.withheld;
        row.report.warnings.clone_from(&command.warnings);
        row.report.error.clone_from(&command.error);
        row.report.tokens = command.usage;
        row.report.generation_ms = command.generation_ms;
        book(&mut row, &before, command, now_ms);
        row.cost_usd_micros = command.cost_usd_micros;
        row.cost_basis = Some(command.cost_basis);
        if let Some(tokens) = command.tokens {
            row.tokens = tokens;
        }
        match command.next {
            Next::Final => row.end(now_ms, event, &self.tuning),
            // The attempt is over, the job is not: this object answers for it until another row does.
            Next::Fallback | Next::Retry => {
                row.state = AttemptState::Handover;
                row.stage = None;
                row.dispatches = 0;
                row.owned = true;
                row.mark(now_ms, event, &self.tuning);
                row.flush_due_ms = row
                    .flush_due_ms
                    .map(|due_ms| due_ms.min(now_ms + self.tuning.flush_final_ms));
                row.deadline_ms = Some(now_ms + self.tuning.handover_ms);
            }
        }
        let reply = answer(false, row.job_state);
        self.learn(&row, command, now_ms, random, &mut changes);
        self.replace(&before, row, &mut changes);
        Ok((reply, changes))
    }

    /// No candidate was left after all, or a repeat.
    fn settle_handover(
        &mut self,
        before: &Attempt,
        command: &Settle,
        now_ms: i64,
    ) -> (SettleReply, Changes) {
        let mut changes = Changes::default();
        // Whoever ends it says again what it was passed on for; a late word about something else ends nothing.
        let ends = command.next == Next::Final
            && command.epoch == before.epoch
            && before.outcome == Some(command.outcome);
        if !ends {
            return (answer(true, before.job_state), changes);
        }
        let mut row = before.clone();
        if command.error.is_some() {
            row.report.error.clone_from(&command.error);
        }
        let event = event_of(command.outcome, row.report.error.is_some());
        if !self.happens(&mut row, event, &mut changes) {
            return (answer(true, before.job_state), changes);
        }
        row.end(now_ms, command.outcome.as_str(), &self.tuning);
        let reply = answer(false, row.job_state);
        self.replace(before, row, &mut changes);
        (reply, changes)
    }

    fn settle_unknown(
        &mut self,
        before: &Attempt,
        command: &Settle,
        now_ms: i64,
        random: u64,
    ) -> (SettleReply, Changes) {
        let mut changes = Changes::default();
        let mut row = before.clone();
        let already = before.state == AttemptState::Unknown;
        if already {
            row.owned = false;
            row.deadline_ms = self.next_reconcile(&row, now_ms);
        } else {
            row.report.error.clone_from(&command.error);
            // Where the result is and what it cost are two things: the provider may have told the one.
            if command.billed == Billed::Yes && command.cost_usd_micros.is_some() {
                row.charge(
                    command.billed,
                    command.cost_usd_micros,
                    command.cost_basis,
                    now_ms,
                );
            }
            self.lose(&mut row, now_ms, "unknown", &mut changes);
            row.life_ms = now_ms;
            if row.work == Work::Image {
                row.dispatches = 1;
                changes.wakes.push(Self::wake(&row, WakeReason::Reconcile));
            }
            row.deadline_ms = self.next_reconcile(&row, now_ms);
            self.learn(&row, command, now_ms, random, &mut changes);
        }
        let reply = answer(already, JobState::Unknown);
        self.replace(before, row, &mut changes);
        (reply, changes)
    }

    fn learn(
        &mut self,
        row: &Attempt,
        command: &Settle,
        now_ms: i64,
        random: u64,
        changes: &mut Changes,
    ) {
        let gate = self.gate.clone();
        let own_images = self.places.taken().saturating_sub(u64::from(row.images));
        self.gate.learn(
            command,
            Self::origin(row),
            own_images,
            self.limits.config_version,
            now_ms,
            random,
        );
        self.note_gate(&gate, changes);
        let generation_ms = command
            .generation_ms
            .filter(|_| command.outcome == Outcome::Succeeded);
        if generation_ms.is_some() || command.breaker_failure.is_some() {
            self.stats
                .learn(&row.model, generation_ms, command.breaker_failure);
            changes.meta.push((Meta::Stats, json(&self.stats)));
        }
    }
}

impl LimiterState {
    /// A call whose holder was lost took at least so long: if only those taught that came to an end, a model that outlasts
    /// all its clients would never be known as slow.
    pub(crate) fn learn_loss(&mut self, lost: &Attempt, now_ms: i64, changes: &mut Changes) {
        if lost.state == AttemptState::Held && lost.work == Work::Image {
            let age_ms = u64::try_from(now_ms - lost.at_ms).unwrap_or(0);
            self.stats.learn(&lost.model, Some(age_ms), None);
            changes.meta.push((Meta::Stats, json(&self.stats)));
        }
    }
}

/// The usage row of an attempt that reached a provider; after an assumed charge, the difference.
fn book(row: &mut Attempt, before: &Attempt, command: &Settle, now_ms: i64) {
    let delivered = u32::try_from(command.images.len()).unwrap_or(u32::MAX);
    let images = match command.billed {
        Billed::No => delivered,
        Billed::Yes | Billed::Assumed if command.outcome == Outcome::Succeeded => {
            delivered.saturating_add(command.withheld)
        }
        Billed::Yes | Billed::Assumed => row.images,
    };
    let tokens = command.tokens.unwrap_or(0);
    row.cost_usd_micros = command.cost_usd_micros;
    let phase = if before.report.usage.is_empty() {
        UsagePhase::Charge
    } else {
        UsagePhase::Correction
    };
    let base = row.usage(phase, now_ms);
    if phase == UsagePhase::Charge {
        let reached = command.outcome != Outcome::Cancelled
            || command.billed != Billed::No
            || !row.job_refs.is_empty();
        if reached {
            row.report.usage.push(UsageRow {
                calls: row.calls,
                images,
                tokens_used: tokens,
                ..base
            });
        }
        return;
    }
    // The assumed charge stands in the ledger with counts of 0, so that this row only adds.
    let difference = match (command.cost_usd_micros, before.cost_usd_micros) {
        (Some(cost), Some(assumed)) => Some(cost - assumed),
        (cost, None) => cost,
        (None, Some(_)) => None,
    };
    let correction = UsageRow {
        images,
        tokens_used: tokens,
        cost_usd_micros: difference,
        ..base
    };
    if row.report.usage.len() < 2 {
        row.report.usage.push(correction);
    }
}

fn answer(already: bool, state: JobState) -> SettleReply {
    SettleReply {
        ok: true,
        already,
        state,
    }
}

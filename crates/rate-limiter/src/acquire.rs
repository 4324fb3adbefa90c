//! `acquire`: the one decision about a call, and the lease with it.
//!
//! In scope: the order of the rules, the row that a grant writes. Out of scope: the rules' own arithmetic (modules
//! `window`, `places`, `gate`).

use crate::lease::Attempt;
use crate::state::{
    Applied, AttemptSource, Changes, CommandError, Identity, LimiterState, Meta, RPM, json,
};
use crate::view::view;
use crate::window::Delay;
use api_types::{
    Acquire, AcquireDecision, AcquireReply, AttemptState, Headroom, HeadroomSet, JobStage,
    JobState, LIMITER_VERSION, LimitedReason, TimelineEvent, Timestamp, Work,
};
use errors::Code;
use jobs::Event;
use platform::PortError;

/// Most bytes of a stored job.
const JOB_BYTES: usize = 131_072;
/// Longest run of a job, in milliseconds.
const RUN_MAX_MS: u64 = 86_400_000;
/// Wait answered while the ledger is away and nothing better is known, in milliseconds.
const LEDGER_MS: u64 = 1_000;
/// Wait answered while an operator has paused the provider, in milliseconds.
const PAUSED_MS: u64 = 30_000;
/// Most attempts of a job.
const ATTEMPTS_MAX: u32 = 1_000;
/// Repeats that are always allowed in a minute.
const RETRIES_MIN: u64 = 3;
/// One later attempt for so many first ones.
const RETRIES_PER: u64 = 10;

impl LimiterState {
    /// Decides an `acquire`.
    pub fn acquire(
        &mut self,
        source: &impl AttemptSource,
        command: &Acquire,
        now_ms: i64,
        random: u64,
    ) -> Applied<AcquireReply> {
        check(command)?;
        let now_ms = self.advance(now_ms);
        let mut changes = Changes::default();
        self.identify(command, &mut changes)?;
        let returned = match known(source, command)? {
            Known::Decided(decision) => {
                let reply = self.reply(command, decision, now_ms);
                return Ok((reply, changes));
            }
            Known::Returned(row) => Some(row),
            Known::Not => None,
        };
        let newest = newest(source, command)?;
        let from = newest.as_ref().map(|row| row.job_state);
        let admitted = self.follow(&command.job_id, from, Event::Admit, &mut changes);
        let job_state = match (admitted, newest) {
            (Some(job_state), _) => job_state,
            // The job has ended here, or nobody knows its outcome: nothing may be sent for it.
            (None, Some(row)) => {
                let over = AcquireDecision::Existing(Box::new(view(&row)));
                let reply = self.reply(command, over, now_ms);
                return Ok((reply, changes));
            }
            (None, None) => {
                let text = "a job that is not known cannot be admitted".to_owned();
                return Err(CommandError::Refused(Code::InternalError, text));
            }
        };
        self.adopt(&command.limits, source, &mut changes)?;
        if let Some(refused) = self.too_large(command) {
            let reply = self.reply(command, refused, now_ms);
            return Ok((reply, changes));
        }
        // A job that comes from another provider asks here for the first time.
        let repeat = command.attempt_no > 1
            && source
                .by_attempt(&command.job_id, command.attempt_no - 1)?
                .is_some();
        let before = self.gate.clone();
        let decision = match self.first_obstacle(command, repeat, now_ms) {
            Some((reason, delay)) => limited(reason, delay),
            None => match self.gate.admit(
                now_ms,
                i64::try_from(command.run_ms).unwrap_or(i64::MAX),
                random,
            ) {
                Err(ms) => limited(LimitedReason::Breaker, exactly(ms)),
                Ok((generation, probe)) => {
                    if let Some(row) = returned {
                        self.untrack(&row);
                        changes.removed.push(row.lease_id);
                    }
                    let gate = (generation, probe);
                    self.grant(source, command, now_ms, gate, job_state, &mut changes)?
                }
            },
        };
        self.note_gate(&before, &mut changes);
        // `adopt` may have noted the gate before: the last text wins.
        dedupe(&mut changes);
        let reply = self.reply(command, decision, now_ms);
        Ok((reply, changes))
    }

    fn identify(&mut self, command: &Acquire, changes: &mut Changes) -> Result<(), CommandError> {
        let asked = Identity {
            instance_id: command.instance_id.clone(),
            provider: command.provider.clone(),
        };
        match &self.identity {
            Some(known) if *known == asked => Ok(()),
            Some(known) => Err(CommandError::Refused(
                Code::InvalidRequest,
                format!("this is {}", known.object_name()),
            )),
            None => {
                changes.meta.push((Meta::Identity, json(&asked)));
                self.identity = Some(asked);
                Ok(())
            }
        }
    }

    /// What can never fit under these limits.
    fn too_large(&self, command: &Acquire) -> Option<AcquireDecision> {
        let refused = |limit: &str, value: u64| AcquireDecision::Refused {
            code: Code::RequestExceedsLimit,
            limit: limit.to_owned(),
            value,
        };
        if let Some(rpm) = self.limits.rpm.filter(|rpm| command.calls > *rpm) {
            return Some(refused("rpm", u64::from(rpm)));
        }
        if let Some(tpm) = self.limits.tpm.filter(|tpm| command.tokens > *tpm) {
            return Some(refused("tpm", u64::from(tpm)));
        }
        if let Some(window) = self
            .limits
            .windows
            .iter()
            .find(|window| command.calls > window.requests)
        {
            return Some(refused("windows", u64::from(window.requests)));
        }
        self.gate
            .known_max(&self.limits)
            .filter(|max| command.images > *max)
            .map(|max| refused("max_inflight_images", u64::from(max)))
    }

    /// The first rule that refuses, with the longest delay of all that do.
    fn first_obstacle(
        &self,
        command: &Acquire,
        repeat: bool,
        now_ms: i64,
    ) -> Option<(LimitedReason, Delay)> {
        let mut first = None;
        let mut longest = Delay::default();
        for (reason, delay) in self.obstacles(command, repeat, now_ms) {
            if let Some(delay) = delay {
                first = first.or(Some(reason));
                longest = longest.max(delay);
            }
        }
        first.map(|reason| (reason, longest))
    }

    fn obstacles(
        &self,
        command: &Acquire,
        repeat: bool,
        now_ms: i64,
    ) -> [(LimitedReason, Option<Delay>); 8] {
        let waiting = |ms: u64| (ms > 0).then(|| exactly(ms));
        let ledger = (self.outbox.len() >= self.tuning.outbox_max)
            .then(|| exactly(self.outbox.paused_ms(now_ms).max(LEDGER_MS)));
        let paused = self.gate.paused.then_some(Delay {
            ms: PAUSED_MS,
            estimated: true,
        });
        [
            (LimitedReason::Ledger, ledger),
            (LimitedReason::Paused, paused),
            (
                LimitedReason::Breaker,
                waiting(self.gate.breaker_ms(now_ms)),
            ),
            (
                LimitedReason::ProviderBackoff,
                waiting(self.gate.backoff_ms(now_ms)),
            ),
            (
                LimitedReason::RetryBudget,
                repeat.then(|| self.retry_delay(now_ms)).flatten(),
            ),
            (LimitedReason::Requests, self.request_delay(command, now_ms)),
            (
                LimitedReason::Tokens,
                self.limits.tpm.and_then(|tpm| {
                    self.tokens
                        .delay(0, u64::from(tpm), u64::from(command.tokens), now_ms)
                }),
            ),
            (LimitedReason::Inflight, self.place_delay(command, now_ms)),
        ]
    }

    /// The same job here again: so many later attempts as a tenth of the first ones in the last minute, at least three.
    fn retry_delay(&self, now_ms: i64) -> Option<Delay> {
        let most = (self.firsts.sum(0) / RETRIES_PER).max(RETRIES_MIN);
        self.laters.delay(0, most, 1, now_ms).map(|delay| Delay {
            // First attempts may leave the window meanwhile, and the allowance with them.
            estimated: most > RETRIES_MIN,
            ..delay
        })
    }

    fn request_delay(&self, command: &Acquire, now_ms: i64) -> Option<Delay> {
        let weight = u64::from(command.calls);
        let rpm = self
            .limits
            .rpm
            .and_then(|rpm| self.calls.delay(RPM, u64::from(rpm), weight, now_ms));
        let windows = self
            .limits
            .windows
            .iter()
            .enumerate()
            .map(|(index, window)| {
                self.calls
                    .delay(RPM + 1 + index, u64::from(window.requests), weight, now_ms)
            });
        windows.chain([rpm]).flatten().reduce(Delay::max)
    }

    fn place_delay(&self, command: &Acquire, now_ms: i64) -> Option<Delay> {
        let max = self.gate.max_inflight(&self.limits, now_ms)?;
        let delay = self.places.delay(
            u64::from(max),
            u64::from(command.images),
            self.stats.median_ms(&command.model),
            now_ms,
        )?;
        let step_ms = self.gate.next_place_ms(now_ms).unwrap_or(u64::MAX);
        Some(Delay {
            ms: delay.ms.min(step_ms),
            ..delay
        })
    }

    fn grant(
        &mut self,
        source: &impl AttemptSource,
        command: &Acquire,
        now_ms: i64,
        (generation, probe): (u64, bool),
        job_state: JobState,
        changes: &mut Changes,
    ) -> Result<AcquireDecision, PortError> {
        if command.attempt_no > 1 {
            self.end_handover(source, command, now_ms, changes)?;
        }
        let mut row = Attempt {
            lease_id: command.lease_id.clone(),
            job_id: command.job_id.clone(),
            attempt_no: command.attempt_no,
            instance_id: command.instance_id.clone(),
            provider: command.provider.clone(),
            state: AttemptState::Held,
            job_state,
            stage: Some(JobStage::Admitted),
            epoch: 1,
            owned: true,
            taker: String::new(),
            at_ms: now_ms,
            counted: true,
            calls: command.calls,
            images: command.images,
            tokens: command.tokens,
            work: command.work,
            model: command.model.clone(),
            org_id: command.org_id.clone(),
            project_id: command.project_id.clone(),
            key_id: command.key_id.clone(),
            request_id: command.request_id.clone(),
            traceparent: command.traceparent.clone(),
            estimate_usd_micros: command.estimate_usd_micros,
            upper_usd_micros: command.upper_usd_micros,
            price_version: command.price_version.clone(),
            created_ms: now_ms,
            updated_ms: now_ms,
            life_ms: now_ms,
            run_until_ms: now_ms.saturating_add_unsigned(command.run_ms.min(RUN_MAX_MS)),
            holder_ms: self.tuning.holder_ms(command.holder_ms),
            deadline_ms: None,
            dispatches: 0,
            cancel_requested: false,
            probe,
            generation,
            config_version: self.limits.config_version,
            image_ids: command.image_ids.clone(),
            job_refs: Vec::new(),
            job: json(&command.job),
            outcome: None,
            billed: None,
            cost_usd_micros: None,
            cost_basis: None,
            report: crate::lease::Report::default(),
            timeline: vec![TimelineEvent {
                at: Timestamp(now_ms),
                event: "admitted".to_owned(),
                provider: Some(command.provider.as_str().to_owned()),
                // Asked and granted in one command; who is refused waits elsewhere.
                waited_ms: Some(0),
            }],
            version: Attempt::first_version(command.attempt_no),
            flushed_version: 0,
            flush_due_ms: Some(now_ms + self.tuning.flush_running_ms),
            settled_ms: None,
        };
        row.deadline_ms = Some(row.next_deadline(now_ms));
        self.track(&row);
        changes.rows.push(row);
        Ok(AcquireDecision::Granted {
            lease_id: command.lease_id.clone(),
            epoch: 1,
            probe,
        })
    }

    /// The attempt before this one, if it was handed over here: this row carries the job from now on.
    fn end_handover(
        &mut self,
        source: &impl AttemptSource,
        command: &Acquire,
        now_ms: i64,
        changes: &mut Changes,
    ) -> Result<(), PortError> {
        let before = source.by_attempt(&command.job_id, command.attempt_no - 1)?;
        if let Some(before) = before.filter(|row| row.state == AttemptState::Handover) {
            let mut after = before.clone();
            if !self.happens(&mut after, Event::Admit, changes) {
                return Ok(());
            }
            after.end(now_ms, "handed_over", &self.tuning);
            self.replace(&before, after, changes);
        }
        Ok(())
    }

    fn reply(&self, command: &Acquire, decision: AcquireDecision, now_ms: i64) -> AcquireReply {
        AcquireReply {
            decision,
            headroom: self.headroom(&command.model, now_ms),
            stats: self.stats.view(
                &command.model,
                self.places.taken(),
                self.gate.breaker_ms(now_ms),
            ),
        }
    }

    fn headroom(&self, model: &str, now_ms: i64) -> HeadroomSet {
        let left = |limit: u32, used: u64, reset_ms: u64| Headroom {
            limit,
            remaining: limit.saturating_sub(u32::try_from(used).unwrap_or(u32::MAX)),
            reset_ms,
        };
        HeadroomSet {
            requests: self
                .limits
                .rpm
                .map(|rpm| left(rpm, self.calls.sum(RPM), self.calls.free_in_ms(RPM, now_ms))),
            tokens: self
                .limits
                .tpm
                .map(|tpm| left(tpm, self.tokens.sum(0), self.tokens.free_in_ms(0, now_ms))),
            images: self.gate.max_inflight(&self.limits, now_ms).map(|max| {
                let reset_ms = self.places.free_in_ms(self.stats.median_ms(model), now_ms);
                left(max, self.places.taken(), reset_ms)
            }),
        }
    }
}

fn check(command: &Acquire) -> Result<(), CommandError> {
    let refuse = |code, message: &str| Err(CommandError::Refused(code, message.to_owned()));
    if command.v != LIMITER_VERSION {
        return refuse(Code::InvalidRequest, "unknown version");
    }
    if command.attempt_no == 0 || command.attempt_no > ATTEMPTS_MAX {
        return refuse(Code::InvalidRequest, "attempt_no is 1 to 1,000");
    }
    if command.calls == 0 || (command.work == Work::Image && command.images == 0) {
        return refuse(Code::InvalidRequest, "a lease needs a weight");
    }
    if json(&command.job).len() > JOB_BYTES {
        return refuse(Code::PayloadTooLarge, "the stored job exceeds 128 KiB");
    }
    Ok(())
}

fn exactly(ms: u64) -> Delay {
    Delay {
        ms,
        estimated: false,
    }
}

fn limited(reason: LimitedReason, delay: Delay) -> AcquireDecision {
    AcquireDecision::Limited {
        reason,
        retry_after_ms: delay.ms.max(1),
        estimated: delay.estimated,
    }
}

fn dedupe(changes: &mut Changes) {
    let mut seen: Vec<Meta> = Vec::new();
    let mut kept: Vec<(Meta, String)> = Vec::new();
    for (meta, text) in changes.meta.drain(..).rev() {
        if !seen.contains(&meta) {
            seen.push(meta);
            kept.push((meta, text));
        }
    }
    kept.reverse();
    changes.meta = kept;
}

/// The newest attempt of the job here, if a later one is asked for. Before its first attempt nobody knows a job, and a lease
/// that came back unsent was no attempt.
fn newest(source: &impl AttemptSource, command: &Acquire) -> Result<Option<Attempt>, PortError> {
    if command.attempt_no == 1 {
        return Ok(None);
    }
    let newest = source.newest(&command.job_id)?;
    Ok(newest.filter(|row| !row.returned()))
}

/// What the tables know of the asked attempt.
enum Known {
    /// Nothing.
    Not,
    /// A lease of it came back unsent.
    Returned(Box<Attempt>),
    /// It exists.
    Decided(AcquireDecision),
}

/// Looks the attempt up. The same lease, untouched since its grant, is a caller that did not get the answer: lease ids
/// are minted per attempt, so nobody else can ask with it, and nothing was sent yet.
fn known(source: &impl AttemptSource, command: &Acquire) -> Result<Known, PortError> {
    let row = match source.by_lease(&command.lease_id)? {
        Some(row) => row,
        None => match source.by_attempt(&command.job_id, command.attempt_no)? {
            Some(row) if row.returned() => return Ok(Known::Returned(Box::new(row))),
            Some(row) => row,
            None => return Ok(Known::Not),
        },
    };
    let same = row.lease_id == command.lease_id && row.job_id == command.job_id;
    let waiting = row.state == AttemptState::Held && row.owned && row.untouched();
    Ok(Known::Decided(if same && waiting {
        AcquireDecision::Granted {
            lease_id: row.lease_id,
            epoch: row.epoch,
            probe: row.probe,
        }
    } else {
        AcquireDecision::Existing(Box::new(view(&row)))
    }))
}

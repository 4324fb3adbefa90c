//! One attempt as the object keeps it: its row, what it weighs, and how each change marks it.
//!
//! In scope: the row, derived facts, versions and timeline. Out of scope: when it changes (modules `acquire`, `hold`,
//! `settle`, `overdue`).

use crate::Tuning;
use api_types::{
    AttemptState, Billed, CostBasis, ImageId, ImageUsage, InstanceId, JobError, JobId, JobRef,
    JobStage, JobState, KeyId, LeaseId, OrgId, Outcome, ProjectId, ProviderName, StoredImage,
    TimelineEvent, Timestamp, UsagePhase, UsageRow, Warning, Work,
};
use jobs::Event;
use serde::{Deserialize, Serialize};

/// Most entries of a timeline.
const TIMELINE: usize = 50;

/// Steps of one attempt's version; the last one is kept for the end.
const STEPS: i64 = 998;

/// What a settle reported, stored as one JSON text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Stored images.
    pub images: Vec<StoredImage>,
    /// Images kept back.
    pub withheld: u32,
    /// What did not go as asked.
    pub warnings: Vec<Warning>,
    /// Why it failed.
    pub error: Option<JobError>,
    /// Tokens, where the provider counts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<ImageUsage>,
    /// From submit to the provider's finished answer, in milliseconds.
    pub generation_ms: Option<u64>,
    /// Its usage: a charge, and at most one correction.
    pub usage: Vec<UsageRow>,
}

/// A row of table `attempts`. Times are milliseconds since the epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// Minted by the caller.
    pub lease_id: LeaseId,
    /// The job.
    pub job_id: JobId,
    /// From 1; unique with the job.
    pub attempt_no: u32,
    /// Instance.
    pub instance_id: InstanceId,
    /// Provider.
    pub provider: ProviderName,
    /// State of the lease.
    pub state: AttemptState,
    /// State of the job as far as this object knows.
    pub job_state: JobState,
    /// What it is doing.
    pub stage: Option<JobStage>,
    /// Permission number.
    pub epoch: u32,
    /// Whether somebody is supposed to be alive behind it.
    pub owned: bool,
    /// Nonce of the last taker.
    pub taker: String,
    /// When it entered the window.
    pub at_ms: i64,
    /// Whether it counts in the window.
    pub counted: bool,
    /// Vendor calls.
    pub calls: u32,
    /// Images.
    pub images: u32,
    /// Tokens: the estimate, then what was used.
    pub tokens: u32,
    /// Kind of work.
    pub work: Work,
    /// Model.
    pub model: String,
    /// Organization.
    pub org_id: OrgId,
    /// Project.
    pub project_id: Option<ProjectId>,
    /// Key.
    pub key_id: Option<KeyId>,
    /// The request.
    pub request_id: String,
    /// Its trace.
    pub traceparent: String,
    /// Expected price.
    pub estimate_usd_micros: Option<i64>,
    /// The most it can cost.
    pub upper_usd_micros: Option<i64>,
    /// Date of the price row.
    pub price_version: Option<String>,
    /// When it was admitted.
    pub created_ms: i64,
    /// When it last changed.
    pub updated_ms: i64,
    /// Last sign of life.
    pub life_ms: i64,
    /// No polling after it.
    pub run_until_ms: i64,
    /// How long a holder may be silent.
    pub holder_ms: i64,
    /// When the alarm looks at it next.
    pub deadline_ms: Option<i64>,
    /// Wake-ups without progress.
    pub dispatches: u32,
    /// Somebody asked to cancel.
    pub cancel_requested: bool,
    /// It decides whether the breaker closes.
    pub probe: bool,
    /// The breaker's generation at its grant.
    pub generation: u64,
    /// The configuration at its grant.
    pub config_version: i64,
    /// Ids of the images to be.
    pub image_ids: Vec<ImageId>,
    /// The provider's handles.
    pub job_refs: Vec<JobRef>,
    /// The stored job, JSON text.
    pub job: String,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Whether it was charged.
    pub billed: Option<Billed>,
    /// What was charged.
    pub cost_usd_micros: Option<i64>,
    /// How that is known.
    pub cost_basis: Option<CostBasis>,
    /// What the settle said.
    pub report: Report,
    /// What happened.
    pub timeline: Vec<TimelineEvent>,
    /// Rises with every change that the ledger should see.
    pub version: i64,
    /// The version that the ledger has.
    pub flushed_version: i64,
    /// When the outbox should bring it there; `None` when the ledger has it.
    pub flush_due_ms: Option<i64>,
    /// When it ended.
    pub settled_ms: Option<i64>,
}

/// The unique name of an attempt.
pub(crate) fn attempt_id(job_id: &JobId, attempt_no: u32) -> String {
    format!("{job_id}:{attempt_no}")
}

/// The lease id as a number: what memory is keyed with. Total for valid ids, which are UUIDs.
pub fn lease_key(lease_id: &LeaseId) -> u128 {
    lease_id
        .as_str()
        .bytes()
        .filter_map(|byte| char::from(byte).to_digit(16))
        .fold(0, |key, digit| (key << 4) | u128::from(digit))
}

/// The lease id of a key.
pub fn lease_text(key: u128) -> String {
    let hex = format!("{key:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default().to_owned();
    format!(
        "{}-{}-{}-{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32)
    )
}

impl Attempt {
    /// Its key in memory.
    pub fn key(&self) -> u128 {
        lease_key(&self.lease_id)
    }

    /// The version of an attempt that has just been admitted.
    pub fn first_version(attempt_no: u32) -> i64 {
        i64::from(attempt_no) * 1_000 + 1
    }

    /// Whether nothing has happened since the grant: its caller may not even have read the answer.
    pub fn untouched(&self) -> bool {
        self.timeline.len() == 1 && self.life_ms == self.created_ms
    }

    /// Whether it ended by `release(not_sent)`: it never was an attempt, so another lease may be one. An unsent attempt
    /// that ended its job is none of these.
    pub fn returned(&self) -> bool {
        self.state == AttemptState::Settled
            && !self.counted
            && self.report.usage.is_empty()
            && self.report.error.is_none()
    }

    /// Whether the ledger lacks something of it.
    pub fn dirty(&self) -> bool {
        self.version > self.flushed_version
    }

    /// Whether the ledger should learn it soon.
    pub fn urgent(&self) -> bool {
        matches!(self.state, AttemptState::Settled | AttemptState::Unknown)
    }

    /// When it entered the window; `None` for one that counts always.
    pub fn window_at(&self) -> Option<i64> {
        (self.state != AttemptState::Granted).then_some(self.at_ms)
    }

    /// Notes a change that the ledger should see.
    pub fn mark(&mut self, now_ms: i64, event: &str, tuning: &Tuning) {
        self.updated_ms = now_ms;
        if self.timeline.len() < TIMELINE {
            self.timeline.push(TimelineEvent {
                at: Timestamp(now_ms),
                event: event.to_owned(),
                provider: None,
                waited_ms: None,
            });
        }
        if self.version % 1_000 < STEPS {
            self.version += 1;
        }
        let due_ms = if self.urgent() {
            now_ms + tuning.flush_final_ms
        } else {
            now_ms + tuning.flush_running_ms
        };
        self.flush_due_ms = Some(self.flush_due_ms.map_or(due_ms, |known| known.min(due_ms)));
    }

    /// A sign of life: the holder has its time again.
    pub fn alive(&mut self, now_ms: i64) {
        self.life_ms = now_ms;
        self.owned = true;
        self.deadline_ms = Some(self.next_deadline(now_ms));
    }

    /// The end of the holder's time, or of the job's.
    pub fn next_deadline(&self, now_ms: i64) -> i64 {
        let holder_ms = now_ms + self.holder_ms;
        match self.state {
            AttemptState::Held | AttemptState::Submitted => {
                holder_ms.min(self.run_until_ms.max(now_ms + 1))
            }
            _ => holder_ms,
        }
    }

    /// Nobody knows whether it ran: booked at the most it can cost. What that makes of the job is decided before.
    pub(crate) fn become_unknown(&mut self, now_ms: i64, provider_event: &str, tuning: &Tuning) {
        self.state = AttemptState::Unknown;
        self.stage = None;
        self.outcome = Some(Outcome::Unknown);
        self.owned = false;
        self.charge_upper(now_ms);
        self.mark(now_ms, provider_event, tuning);
    }

    /// The usage of an attempt whose cost nobody knows.
    pub fn charge_upper(&mut self, now_ms: i64) {
        self.charge(
            Billed::Assumed,
            self.upper_usd_micros,
            CostBasis::Upper,
            now_ms,
        );
    }

    /// The usage of an attempt whose result nobody has. What is booked already stands. Images and tokens are left to the
    /// correction, which can only add.
    pub fn charge(
        &mut self,
        billed: Billed,
        cost_usd_micros: Option<i64>,
        basis: CostBasis,
        now_ms: i64,
    ) {
        if !self.report.usage.is_empty() {
            return;
        }
        self.billed = Some(billed);
        self.cost_usd_micros = cost_usd_micros;
        self.cost_basis = Some(basis);
        let row = self.usage(UsagePhase::Charge, now_ms);
        self.report.usage.push(UsageRow {
            calls: self.calls,
            ..row
        });
    }

    /// A usage row with the attempt's cost and no counts.
    pub fn usage(&self, phase: UsagePhase, now_ms: i64) -> UsageRow {
        UsageRow {
            phase,
            calls: 0,
            images: 0,
            tokens_used: 0,
            billed: self.billed.unwrap_or(Billed::Assumed),
            cost_usd_micros: self.cost_usd_micros,
            work: self.work,
            overrun: matches!((self.cost_usd_micros, self.upper_usd_micros), (Some(cost), Some(upper)) if cost > upper),
            price_version: self.price_version.clone(),
            latency_ms: u64::try_from(now_ms - self.created_ms).unwrap_or(0),
        }
    }

    /// Ends it. What that makes of the job is decided before.
    pub(crate) fn end(&mut self, now_ms: i64, event: &str, tuning: &Tuning) {
        self.state = AttemptState::Settled;
        self.stage = None;
        self.owned = false;
        self.deadline_ms = None;
        self.settled_ms = Some(now_ms);
        self.mark(now_ms, event, tuning);
        // Above all that another object may say of this attempt, if an earlier lease of it came back unsent there.
        self.version = i64::from(self.attempt_no) * 1_000 + STEPS + 1;
    }
}

/// What a final outcome is for the job. An attempt that could not even be sent names its error: nobody has cancelled that
/// job.
pub(crate) fn event_of(outcome: Outcome, failed: bool) -> Event {
    match outcome {
        Outcome::Succeeded => Event::Succeed,
        Outcome::Cancelled if failed => Event::GiveUp,
        Outcome::Cancelled => Event::Cancel,
        Outcome::Unknown => Event::LoseOutcome,
        Outcome::QualityRejected
        | Outcome::RejectedBySafety
        | Outcome::Invalid
        | Outcome::ResultLost => Event::Fail,
        Outcome::Auth
        | Outcome::Quota
        | Outcome::RateLimited
        | Outcome::Timeout
        | Outcome::Unavailable
        | Outcome::NoOutput => Event::GiveUp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_leases_are_reversible() {
        for text in [
            "0199a1c2-0000-7000-8000-000000000002",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
            "00000000-0000-0000-0000-000000000000",
        ] {
            assert_eq!(lease_text(lease_key(&LeaseId::parse(text).unwrap())), text);
        }
    }

    #[test]
    fn outcomes_end_a_running_job_as_the_table_says() {
        for (outcome, failed, state) in [
            (Outcome::ResultLost, true, JobState::Failed),
            (Outcome::Unavailable, true, JobState::Dead),
            (Outcome::Unknown, true, JobState::Unknown),
            (Outcome::Cancelled, false, JobState::Cancelled),
            (Outcome::Cancelled, true, JobState::Dead),
        ] {
            let event = event_of(outcome, failed);
            let end = jobs::follow(Some(JobState::Running), event);
            assert_eq!(end, Some(state), "{outcome:?}");
        }
    }
}

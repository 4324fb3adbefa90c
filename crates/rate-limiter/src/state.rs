//! The object's memory: a mirror of its tables that answers every question without a scan.
//!
//! In scope: what each row adds to the sums, the clamped clock, the next alarm, the form of a change. Out of scope: the
//! decisions (modules `acquire`, `hold`, `settle`, `overdue`), SQL (module `schema`).

use crate::Tuning;
use crate::gate::{Gate, Origin, Stats};
use crate::lease::Attempt;
use crate::outbox::Outbox;
use crate::places::Places;
use crate::window::{MINUTE_MS, Rolling};
use api_types::{
    AttemptState, CredentialId, InstanceId, JobId, JobMessage, JobState, LeaseId, Limits,
    ProviderName, WakeReason, limiter_object_name,
};
use errors::Code;
use jobs::Event;
use platform::PortError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Whose limiter it is; fixed by the first `acquire`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Instance.
    pub instance_id: InstanceId,
    /// Provider.
    pub provider: ProviderName,
}

impl Identity {
    /// The object's name.
    pub fn object_name(&self) -> String {
        limiter_object_name(&self.instance_id, &self.provider)
    }
}

/// What memory needs of an ended row that still counts in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowEntry {
    /// Its lease.
    pub key: u128,
    /// When it entered; `None` for one that counts always.
    pub at_ms: Option<i64>,
    /// Calls.
    pub calls: u32,
}

/// Synchronous reads of single rows.
pub trait AttemptSource {
    /// The row of a lease.
    fn by_lease(&self, lease_id: &LeaseId) -> Result<Option<Attempt>, PortError>;
    /// The row of an attempt.
    fn by_attempt(&self, job_id: &JobId, attempt_no: u32) -> Result<Option<Attempt>, PortError>;
    /// The newest attempt of a job.
    fn newest(&self, job_id: &JobId) -> Result<Option<Attempt>, PortError>;
    /// Attempts that are not settled, the oldest first, at most `most`.
    fn open(&self, most: u32) -> Result<Vec<Attempt>, PortError>;
    /// Rows that entered the window after `at_ms`, or count always.
    fn entries_since(&self, at_ms: i64) -> Result<Vec<WindowEntry>, PortError>;
}

/// Keys of table `meta`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meta {
    /// [`Identity`].
    Identity,
    /// [`Limits`].
    Limits,
    /// `Gate`.
    Gate,
    /// `Stats`.
    Stats,
    /// Events of jobs that the table of states does not have: their number.
    IllegalTransitions,
}

impl Meta {
    /// The key.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Limits => "limits",
            Self::Gate => "gate",
            Self::Stats => "stats",
            Self::IllegalTransitions => "illegal_transitions",
        }
    }
}

/// What one command changes; the object writes all of it in one transaction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Rows that make room for another lease of their attempt; removed first.
    pub removed: Vec<LeaseId>,
    /// Rows as they are now.
    pub rows: Vec<Attempt>,
    /// Credentials that stored jobs name from now on: the one member of them that ever changes.
    pub credentials: Vec<(LeaseId, CredentialId)>,
    /// Rows of `meta`, with their JSON text.
    pub meta: Vec<(Meta, String)>,
    /// Wake-ups, sent after the transaction.
    pub wakes: Vec<JobMessage>,
}

impl Changes {
    /// Whether nothing has to be written.
    pub fn is_empty(&self) -> bool {
        self.removed.is_empty()
            && self.rows.is_empty()
            && self.credentials.is_empty()
            && self.meta.is_empty()
    }
}

/// Why a command was not executed.
#[derive(Clone, Debug, PartialEq)]
pub enum CommandError {
    /// The caller is told.
    Refused(Code, String),
    /// Reading failed; the memory must be dropped.
    Port(PortError),
}

impl From<PortError> for CommandError {
    fn from(error: PortError) -> Self {
        Self::Port(error)
    }
}

/// The result of a command.
pub type Applied<T> = Result<(T, Changes), CommandError>;

/// Spans of the request windows.
pub(crate) const RPM: usize = 0;

/// The memory of one object.
#[derive(Clone, Debug, PartialEq)]
pub struct LimiterState {
    pub(crate) tuning: Tuning,
    pub(crate) identity: Option<Identity>,
    pub(crate) clock_ms: i64,
    pub(crate) limits: Limits,
    pub(crate) gate: Gate,
    pub(crate) stats: Stats,
    /// Calls: the minute, then each of `limits.windows`.
    pub(crate) calls: Rolling,
    /// Tokens in the minute.
    pub(crate) tokens: Rolling,
    /// First attempts in the minute.
    pub(crate) firsts: Rolling,
    /// Later attempts in the minute.
    pub(crate) laters: Rolling,
    pub(crate) places: Places,
    pub(crate) outbox: Outbox,
    deadlines: BTreeSet<(i64, u128)>,
    pub(crate) open: u32,
    pub(crate) unknown: u32,
    pub(crate) illegal_transitions: u64,
    pub(crate) prune_ms: Option<i64>,
}

impl LimiterState {
    /// An empty object.
    pub fn new(tuning: Tuning) -> Self {
        let limits = Limits::default();
        Self {
            tuning,
            identity: None,
            clock_ms: 0,
            calls: request_windows(&limits),
            limits,
            gate: Gate::default(),
            stats: Stats::default(),
            tokens: Rolling::new(&[MINUTE_MS]),
            firsts: Rolling::new(&[MINUTE_MS]),
            laters: Rolling::new(&[MINUTE_MS]),
            places: Places::default(),
            outbox: Outbox::default(),
            deadlines: BTreeSet::new(),
            open: 0,
            unknown: 0,
            illegal_transitions: 0,
            prune_ms: None,
        }
    }

    /// Restores what table `meta` holds. Unreadable texts of an older form are dropped: they only cost what was learnt.
    pub fn restore(&mut self, read: impl Fn(Meta) -> Option<String>) {
        fn parse<T: serde::de::DeserializeOwned>(text: Option<String>) -> Option<T> {
            let text = text?;
            serde_json::from_str(&text)
                .inspect_err(|error| tracing::error!(%error, "unreadable meta row"))
                .ok()
        }
        self.identity = parse(read(Meta::Identity));
        self.limits = parse(read(Meta::Limits)).unwrap_or_default();
        self.gate = parse(read(Meta::Gate)).unwrap_or_default();
        self.stats = parse(read(Meta::Stats)).unwrap_or_default();
        self.illegal_transitions = parse(read(Meta::IllegalTransitions)).unwrap_or_default();
        self.calls = request_windows(&self.limits);
    }

    /// How old a row may be and still matter to a window, in milliseconds.
    pub fn longest_window_ms(&self) -> i64 {
        self.calls.longest_ms().max(MINUTE_MS)
    }

    /// How long ended rows stay, in milliseconds.
    pub fn keep_ms(&self) -> i64 {
        self.tuning.keep_ms.max(self.longest_window_ms())
    }

    /// The instant of this command: never before the last one.
    pub fn advance(&mut self, now_ms: i64) -> i64 {
        self.clock_ms = self.clock_ms.max(now_ms);
        let now_ms = self.clock_ms;
        for rolling in [
            &mut self.calls,
            &mut self.tokens,
            &mut self.firsts,
            &mut self.laters,
        ] {
            rolling.advance(now_ms);
        }
        self.places.advance(now_ms);
        now_ms
    }

    /// Adds what a row contributes. Loading the tables is tracking every row.
    pub fn track(&mut self, row: &Attempt) {
        let key = row.key();
        self.clock_ms = self.clock_ms.max(row.updated_ms).max(row.life_ms);
        if row.counted {
            let at_ms = row.window_at();
            self.calls.add(at_ms, key, u64::from(row.calls));
            self.tokens.add(at_ms, key, u64::from(row.tokens));
            self.attempts_of(row).add(at_ms, key, 1);
        }
        match row.state {
            AttemptState::Granted | AttemptState::Held | AttemptState::Submitted => {
                self.places
                    .add_running(row.created_ms, key, u64::from(row.images));
            }
            AttemptState::Unknown => {
                let until_ms = row.life_ms + self.tuning.unknown_place_ms;
                self.places
                    .add_lingering(until_ms, key, u64::from(row.images));
                self.unknown += 1;
            }
            AttemptState::Handover | AttemptState::Settled => {}
        }
        if row.state != AttemptState::Settled {
            self.open += 1;
        }
        if let Some(at_ms) = row.deadline_ms {
            self.deadlines.insert((at_ms, key));
        }
        if let Some(due_ms) = row.flush_due_ms {
            self.outbox.add(due_ms, key, row.urgent());
        }
        if let Some(settled_ms) = row.settled_ms {
            let at_ms = settled_ms + self.keep_ms();
            self.prune_ms = Some(self.prune_ms.map_or(at_ms, |known| known.min(at_ms)));
        }
    }

    /// Takes out what it contributed.
    pub fn untrack(&mut self, row: &Attempt) {
        let key = row.key();
        if row.counted {
            let at_ms = row.window_at();
            self.calls.remove(at_ms, key, u64::from(row.calls));
            self.tokens.remove(at_ms, key, u64::from(row.tokens));
            self.attempts_of(row).remove(at_ms, key, 1);
        }
        match row.state {
            AttemptState::Granted | AttemptState::Held | AttemptState::Submitted => {
                self.places.remove_running(row.created_ms, key);
            }
            AttemptState::Unknown => {
                self.places
                    .remove_lingering(row.life_ms + self.tuning.unknown_place_ms, key);
                self.unknown = self.unknown.saturating_sub(1);
            }
            AttemptState::Handover | AttemptState::Settled => {}
        }
        if row.state != AttemptState::Settled {
            self.open = self.open.saturating_sub(1);
        }
        if let Some(at_ms) = row.deadline_ms {
            self.deadlines.remove(&(at_ms, key));
        }
        if let Some(due_ms) = row.flush_due_ms {
            self.outbox.remove(due_ms, key);
        }
    }

    /// Replaces a row in memory and notes it for the transaction.
    pub(crate) fn replace(&mut self, before: &Attempt, after: Attempt, changes: &mut Changes) {
        self.untrack(before);
        self.track(&after);
        changes.rows.push(after);
    }

    /// What an event makes of a job: the only way to a state of one. An event that the table does not have is ignored and
    /// counted, and gives `None`.
    pub(crate) fn follow(
        &mut self,
        job_id: &JobId,
        from: Option<JobState>,
        event: Event,
        changes: &mut Changes,
    ) -> Option<JobState> {
        let to = jobs::follow(from, event);
        if to.is_none() {
            self.illegal_transitions += 1;
            changes
                .meta
                .push((Meta::IllegalTransitions, json(&self.illegal_transitions)));
            tracing::warn!(
                event = "gauge",
                name = "illegal_transition",
                value = self.illegal_transitions,
                job_id = job_id.as_str(),
                from = from.map_or("none", JobState::as_str),
                happened = ?event,
                "an event that the job's state does not have"
            );
        }
        to
    }

    /// The same for the job of a row; whether it has happened.
    pub(crate) fn happens(
        &mut self,
        row: &mut Attempt,
        event: Event,
        changes: &mut Changes,
    ) -> bool {
        let to = self.follow(&row.job_id, Some(row.job_state), event, changes);
        row.job_state = to.unwrap_or(row.job_state);
        to.is_some()
    }

    /// Nobody knows whether it ran.
    pub(crate) fn lose(
        &mut self,
        row: &mut Attempt,
        now_ms: i64,
        why: &str,
        changes: &mut Changes,
    ) {
        // After a handle that came late the job is unknown still.
        if row.job_state != JobState::Unknown {
            self.happens(row, Event::LoseOutcome, changes);
        }
        row.become_unknown(now_ms, why, &self.tuning);
    }

    fn attempts_of(&mut self, row: &Attempt) -> &mut Rolling {
        if row.attempt_no > 1 {
            &mut self.laters
        } else {
            &mut self.firsts
        }
    }

    /// Notes the gates for the transaction when they differ from `before`.
    pub(crate) fn note_gate(&self, before: &Gate, changes: &mut Changes) {
        if self.gate != *before {
            changes.meta.push((Meta::Gate, json(&self.gate)));
        }
    }

    /// Adopts limits of a newer configuration; older ones are ignored.
    pub(crate) fn adopt(
        &mut self,
        limits: &Limits,
        source: &impl AttemptSource,
        changes: &mut Changes,
    ) -> Result<(), PortError> {
        let known = changes_nothing(&self.limits, limits);
        if known {
            return Ok(());
        }
        let windows_differ = self.limits.windows != limits.windows;
        self.limits = limits.clone();
        if windows_differ {
            self.calls = request_windows(limits);
            self.advance(self.clock_ms);
            let since_ms = self.clock_ms - self.longest_window_ms();
            for entry in source.entries_since(since_ms)? {
                self.calls
                    .add(entry.at_ms, entry.key, u64::from(entry.calls));
            }
        }
        let before = self.gate.clone();
        self.gate.adopt();
        changes.meta.push((Meta::Limits, json(&self.limits)));
        self.note_gate(&before, changes);
        Ok(())
    }

    /// The wake-up of a row.
    pub(crate) fn wake(row: &Attempt, reason: WakeReason) -> JobMessage {
        JobMessage {
            v: 1,
            object: limiter_object_name(&row.instance_id, &row.provider),
            job_id: row.job_id.as_str().to_owned(),
            lease_id: row.lease_id.clone(),
            reason,
            hop: 0,
            request_id: row.request_id.clone(),
            traceparent: row.traceparent.clone(),
        }
    }

    /// Rows whose deadline is over, the oldest first.
    pub fn overdue(&self, now_ms: i64, most: usize) -> Vec<u128> {
        self.deadlines
            .iter()
            .take_while(|(at_ms, _)| *at_ms <= now_ms)
            .take(most)
            .map(|(_, key)| *key)
            .collect()
    }

    /// When something has to be done next; `None` while nothing is pending.
    pub fn next_alarm_ms(&self) -> Option<i64> {
        [
            self.deadlines.first().map(|(at_ms, _)| *at_ms),
            self.outbox.next_ms(self.tuning.flush_rows),
            self.prune_ms,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The row in the mirror's own words, for the gates.
    pub(crate) fn origin(row: &Attempt) -> Origin {
        Origin {
            generation: row.generation,
            probe: row.probe,
            config_version: row.config_version,
        }
    }
}

/// A limit set that need not be adopted: older, or the same version again. Version 0 is an object without limits.
fn changes_nothing(known: &Limits, given: &Limits) -> bool {
    given.config_version < known.config_version
        || (given.config_version == known.config_version && known.config_version != 0)
        || given == known
}

fn request_windows(limits: &Limits) -> Rolling {
    let lengths: Vec<i64> = std::iter::once(MINUTE_MS)
        .chain(limits.windows.iter().map(|window| i64::from(window.per_ms)))
        .collect();
    Rolling::new(&lengths)
}

/// JSON text of a plain value; these types always have one.
pub(crate) fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

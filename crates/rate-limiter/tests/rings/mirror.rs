//! Ring 0: random commands over tables in memory. After each one the memory equals what a new process would read, and
//! the promises about places, windows, tokens, epochs, money and the states of jobs hold.

use crate::support::*;
use api_types::*;
use platform::Random;
use platform::fakes::FakeRandom;
use rate_limiter::{Attempt, AttemptSource, Changes, CommandError, LimiterState, lease_key};

const START_MS: i64 = 1_763_719_200_000;
const RPM: u32 = 12;
const PLACES: u32 = 6;
const JOBS: u64 = 12;
const TPM: u32 = 9_000;
/// Between the leases of a job's first attempt and of its second one.
const SECOND: u64 = 100;

struct Run {
    random: FakeRandom,
    state: LimiterState,
    table: Table,
    now_ms: i64,
    limits: Limits,
    wakes: usize,
    granted: u64,
    /// Second attempts that were granted.
    again: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        let table = Table::default();
        Self {
            random: FakeRandom::seeded(seed),
            state: table.rebuild(),
            table,
            now_ms: START_MS,
            limits: Limits {
                tpm: Some(TPM),
                ..limits(RPM, PLACES)
            },
            wakes: 0,
            granted: 0,
            again: 0,
        }
    }

    fn draw(&self, n: u64) -> u64 {
        self.random.next_u64() % n
    }

    /// What a row says of its job before and after a command: an edge of the table. An unknown attempt that another one
    /// follows takes two at once, through the queue.
    fn check_job(&self, after: &Attempt) {
        let before = self.table.rows.get(&lease_key(&after.lease_id));
        let from = match before {
            Some(before) => Some(before.job_state),
            None if after.attempt_no == 1 => None,
            None => self
                .table
                .newest(&after.job_id)
                .unwrap()
                .filter(|row| !row.returned())
                .map(|row| row.job_state),
        };
        let edge = |from, to| {
            jobs::TRANSITIONS
                .iter()
                .any(|row| row.from == from && row.to == to)
        };
        let to = after.job_state;
        let over_the_queue = from == Some(JobState::Unknown)
            && to == JobState::Running
            && after.state == AttemptState::Handover
            && edge(from, JobState::Queued)
            && edge(Some(JobState::Queued), to);
        assert!(
            from == Some(to) && before.is_some() || edge(from, to) || over_the_queue,
            "{from:?} -> {to:?} at {:?}",
            after.state
        );
    }

    fn keep<T>(&mut self, applied: Result<(T, Changes), CommandError>) -> Option<T> {
        match applied {
            Ok((reply, changes)) => {
                self.check_changes(&changes);
                self.wakes += changes.wakes.len();
                self.table.write(&changes);
                Some(reply)
            }
            Err(CommandError::Refused(..)) => None,
            Err(CommandError::Port(error)) => panic!("{error}"),
        }
    }

    /// What may change from one row to the next.
    fn check_changes(&self, changes: &Changes) {
        for after in &changes.rows {
            self.check_job(after);
            let Some(before) = self.table.rows.get(&lease_key(&after.lease_id)) else {
                continue;
            };
            assert!(after.epoch >= before.epoch && after.version >= before.version);
            assert_ne!(before.state, AttemptState::Settled, "an ended row changed");
            if after.state != before.state {
                assert!(after.version > before.version, "{before:?}\n{after:?}");
                let legal = match (before.state, after.state) {
                    (AttemptState::Granted, to) => {
                        matches!(to, AttemptState::Held | AttemptState::Submitted)
                    }
                    (AttemptState::Held, to) => to != AttemptState::Held,
                    (AttemptState::Submitted, to) => {
                        matches!(to, AttemptState::Handover | AttemptState::Unknown)
                    }
                    (AttemptState::Unknown, to) => {
                        matches!(to, AttemptState::Submitted | AttemptState::Handover)
                    }
                    (AttemptState::Handover | AttemptState::Settled, _) => false,
                };
                let settled = after.state == AttemptState::Settled;
                let reported =
                    matches!(after.state, AttemptState::Handover | AttemptState::Unknown);
                assert!(
                    legal || settled || reported,
                    "{:?} -> {:?}",
                    before.state,
                    after.state
                );
            }
            let phases: Vec<UsagePhase> = after.report.usage.iter().map(|row| row.phase).collect();
            assert!(matches!(
                phases.as_slice(),
                [] | [UsagePhase::Charge] | [UsagePhase::Charge, UsagePhase::Correction]
            ));
        }
    }

    fn step(&mut self) {
        self.now_ms += match self.draw(6) {
            0 => 0,
            1 => self.draw(90_000) as i64,
            _ => self.draw(4_000) as i64,
        };
        let job_no = 1 + self.draw(JOBS);
        let second = self.draw(3) == 0;
        let n = job_no + if second { SECOND } else { 0 };
        let rows = self.table.rows.len();
        let row = self
            .table
            .rows
            .values()
            .find(|row| row.lease_id == lease(n));
        let epoch = row.map_or(1, |row| row.epoch)
            - u32::from(self.draw(8) == 0 && row.is_some_and(|row| row.epoch > 1));
        let random = self.random.next_u64();
        let now_ms = self.now_ms;
        match self.draw(10) {
            0..=2 => {
                let mut command = acquire(n, &self.limits);
                command.job_id = job(job_no);
                command.attempt_no = if second { 2 } else { 1 };
                command.images = 1 + (n % 3) as u32;
                command.calls = 1 + (n % 2) as u32;
                command.tokens = 1_000 * command.images;
                command.run_ms = 200_000;
                let applied = self.state.acquire(&self.table, &command, now_ms, random);
                // Without a new row it is the answer to a repeat.
                if let Some(reply) = self.keep(applied)
                    && matches!(reply.decision, AcquireDecision::Granted { .. })
                    && self.table.rows.len() > rows
                {
                    self.granted += 1;
                    self.again += u64::from(second);
                    self.check_limits();
                }
            }
            3 => {
                let command = Submitted {
                    v: 1,
                    lease_id: lease(n),
                    job_ref: job_ref(0, "a", now_ms),
                };
                let applied = self.state.submitted(&self.table, &command, now_ms);
                self.keep(applied);
            }
            4 => {
                let applied = self.state.renew(&self.table, &renew(n, epoch), now_ms);
                self.keep(applied);
            }
            5 | 6 => {
                let outcomes = [
                    Outcome::Succeeded,
                    Outcome::Unavailable,
                    Outcome::Unknown,
                    Outcome::Invalid,
                    Outcome::Cancelled,
                ];
                let mut command = settle(n, epoch, outcomes[self.draw(5) as usize]);
                if command.outcome == Outcome::Unknown && self.draw(2) == 0 {
                    command.billed = Billed::Yes;
                    command.cost_usd_micros = Some(45_000);
                }
                // What is reported is a little more or less than what was taken, or nothing.
                command.tokens = [None, Some(900), Some(1_100)][self.draw(3) as usize];
                // The breaker would end the run early.
                command.breaker_failure = None;
                command.next = [Next::Final, Next::Fallback, Next::Retry][self.draw(3) as usize];
                let applied = self.state.settle(&self.table, &command, now_ms, random);
                self.keep(applied);
            }
            7 => {
                let reasons = [
                    ReleaseReason::NotSent,
                    ReleaseReason::Handoff,
                    ReleaseReason::HandoffUnsent,
                    ReleaseReason::HandedOver,
                ];
                let command = release(n, epoch, reasons[self.draw(4) as usize]);
                let applied = self.state.release(&self.table, &command, now_ms, random);
                self.keep(applied);
            }
            8 => {
                let taker = format!("t{}", self.draw(3));
                let applied = self
                    .state
                    .take(&self.table, &take(n), &taker, now_ms, random);
                self.keep(applied);
            }
            _ => {
                let applied = self.state.expire(&self.table, now_ms, 100, random);
                self.keep(applied.map(|changes| ((), changes)));
            }
        }
        self.check_mirror();
    }

    fn check_mirror(&mut self) {
        let now_ms = self.state.advance(self.now_ms);
        let mut rebuilt = self.table.rebuild();
        rebuilt.advance(now_ms);
        assert_eq!(self.state, rebuilt);
    }

    fn check_limits(&self) {
        let rows = || self.table.rows.values();
        let inside = |row: &&Attempt| {
            row.counted && (row.at_ms > self.now_ms - 60_000 || row.state == AttemptState::Granted)
        };
        let calls: u32 = rows().filter(inside).map(|row| row.calls).sum();
        assert!(calls <= RPM, "{calls} calls in a minute");
        let tokens: u32 = rows().filter(inside).map(|row| row.tokens).sum();
        // By no more than the reports inside differ from what was taken.
        let errors: u32 = rows()
            .filter(inside)
            .map(|row| row.tokens.saturating_sub(1_000 * row.images))
            .sum();
        assert!(tokens <= TPM + errors, "{tokens} tokens in a minute");
        let placed = |row: &&Attempt| match row.state {
            AttemptState::Granted | AttemptState::Held | AttemptState::Submitted => true,
            AttemptState::Unknown => row.life_ms + 60_000 > self.now_ms,
            AttemptState::Handover | AttemptState::Settled => false,
        };
        let images: u32 = rows().filter(placed).map(|row| row.images).sum();
        assert!(images <= PLACES, "{images} images in flight");
    }

    /// Everybody is dead and every wake-up is lost: what is left after a day?
    fn die(&mut self) {
        for _ in 0..10_000 {
            let deadlines = self.table.rows.values().filter_map(|row| row.deadline_ms);
            let Some(at_ms) = deadlines.min() else {
                break;
            };
            assert!(
                self.state
                    .next_alarm_ms()
                    .is_some_and(|next_ms| next_ms <= at_ms)
            );
            self.now_ms = self.now_ms.max(at_ms);
            let applied = self.state.expire(&self.table, self.now_ms, 100, 0);
            self.keep(applied.map(|changes| ((), changes)));
        }
        self.now_ms += 86_400_000;
        let applied = self.state.expire(&self.table, self.now_ms, 100, 0);
        self.keep(applied.map(|changes| ((), changes)));
        self.state.advance(self.now_ms);
        for row in self.table.rows.values() {
            assert!(
                matches!(row.state, AttemptState::Settled | AttemptState::Unknown),
                "{row:?}"
            );
        }
        let query = StateQuery::default();
        let gauges = self.state.query(&self.table, &query, self.now_ms, None);
        match gauges.unwrap() {
            StateReply::Gauges(gauges) => {
                assert_eq!((gauges.inflight_images, gauges.requests_in_window), (0, 0));
            }
            other => panic!("{other:?}"),
        }
        self.check_money();
    }

    /// What the ledger sums up is what the row says.
    fn check_money(&self) {
        assert!(!self.table.rows.is_empty());
        for row in self.table.rows.values() {
            let sum: i64 = row
                .report
                .usage
                .iter()
                .filter_map(|row| row.cost_usd_micros)
                .sum();
            if !row.report.usage.is_empty() {
                assert_eq!(Some(sum), row.cost_usd_micros, "{row:?}");
            }
        }
    }
}

fn runs() -> u64 {
    std::env::var("MIRROR_RUNS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(400)
}

#[test]
fn memory_equals_the_tables_after_every_command() {
    let mut granted = 0;
    let (mut wakes, mut again, mut illegal) = (0, 0, 0);
    for seed in 0..runs() {
        let mut run = Run::new(seed);
        for _ in 0..60 {
            run.step();
        }
        granted += run.granted;
        again += run.again;
        run.die();
        wakes += run.wakes;
        let counted = run.table.meta.get("illegal_transitions");
        illegal += counted.map_or(0, |text| text.parse::<u64>().unwrap());
    }
    assert!(
        granted > runs() && wakes as u64 > runs(),
        "{granted} {wakes}"
    );
    // The commands do reach the edges, and what is no edge.
    assert!(again > 0 && illegal > 0, "{again} {illegal}");
}

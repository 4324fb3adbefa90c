//! States and events of a job, and the table that joins them.
//!
//! In scope: which state follows. Out of scope: counting what the table does not have (`illegal_transition`, the caller).

use api_types::JobState;

/// Something that happens to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Event {
    /// It joins a wait queue.
    Enqueue,
    /// It gets a place: acquired, granted by the queue, or passed to the next provider.
    Admit,
    /// Its attempt failed and the same provider is tried later.
    RetryLater,
    /// An attempt whose outcome was unknown turns out to be over with nothing to show for it, never sent or refused: the
    /// job goes on.
    ProveUnsent,
    /// Nobody knows whether the provider ran it.
    LoseOutcome,
    /// Its images are stored.
    Succeed,
    /// Refused or lost; no further attempt.
    Fail,
    /// Somebody cancelled it before anything was spent.
    Cancel,
    /// Attempts used up, poison, or expired.
    GiveUp,
}

impl Event {
    /// All events.
    pub const ALL: [Event; 9] = [
        Event::Enqueue,
        Event::Admit,
        Event::RetryLater,
        Event::ProveUnsent,
        Event::LoseOutcome,
        Event::Succeed,
        Event::Fail,
        Event::Cancel,
        Event::GiveUp,
    ];
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The state before; `None` for a job that does not exist yet.
    pub from: Option<JobState>,
    /// What happens.
    pub event: Event,
    /// The state after.
    pub to: JobState,
}

const fn row(from: Option<JobState>, event: Event, to: JobState) -> Transition {
    Transition { from, event, to }
}

/// Every transition there is.
pub const TRANSITIONS: &[Transition] = &[
    row(None, Event::Enqueue, JobState::Queued),
    row(None, Event::Admit, JobState::Running),
    row(Some(JobState::Queued), Event::Admit, JobState::Running),
    row(Some(JobState::Queued), Event::Cancel, JobState::Cancelled),
    row(Some(JobState::Queued), Event::GiveUp, JobState::Dead),
    // The next provider admits it while it runs.
    row(Some(JobState::Running), Event::Admit, JobState::Running),
    row(Some(JobState::Running), Event::Enqueue, JobState::Queued),
    row(Some(JobState::Running), Event::RetryLater, JobState::Queued),
    row(
        Some(JobState::Running),
        Event::LoseOutcome,
        JobState::Unknown,
    ),
    row(Some(JobState::Running), Event::Succeed, JobState::Succeeded),
    row(Some(JobState::Running), Event::Fail, JobState::Failed),
    row(Some(JobState::Running), Event::Cancel, JobState::Cancelled),
    row(Some(JobState::Running), Event::GiveUp, JobState::Dead),
    row(Some(JobState::Unknown), Event::Succeed, JobState::Succeeded),
    row(Some(JobState::Unknown), Event::Fail, JobState::Failed),
    row(Some(JobState::Unknown), Event::GiveUp, JobState::Dead),
    row(
        Some(JobState::Unknown),
        Event::ProveUnsent,
        JobState::Queued,
    ),
];

/// The state that follows; `None` when the table has no such row: the event is ignored and counted, never a failure.
pub fn follow(from: Option<JobState>, event: Event) -> Option<JobState> {
    TRANSITIONS
        .iter()
        .find(|row| row.from == from && row.event == event)
        .map(|row| row.to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use JobState::{Cancelled, Dead, Failed, Queued, Running, Succeeded, Unknown};
    use proptest::prelude::*;

    const STATES: [JobState; 7] = [
        JobState::Queued,
        JobState::Running,
        JobState::Unknown,
        JobState::Succeeded,
        JobState::Failed,
        JobState::Cancelled,
        JobState::Dead,
    ];

    #[test]
    fn each_pair_has_one_answer_and_final_states_have_none() {
        for from in STATES.map(Some).into_iter().chain([None]) {
            for event in Event::ALL {
                let rows = TRANSITIONS
                    .iter()
                    .filter(|row| row.from == from && row.event == event)
                    .count();
                assert!(rows <= 1, "{from:?} {event:?} has {rows} rows");
                if from.is_some_and(JobState::is_final) {
                    assert_eq!(follow(from, event), None, "{from:?} {event:?}");
                }
            }
        }
    }

    #[test]
    fn the_table_is_the_documented_one() {
        let follows = |from: Option<JobState>| {
            let mut to: Vec<JobState> = TRANSITIONS
                .iter()
                .filter(|row| row.from == from && row.to != from.unwrap_or(JobState::Dead))
                .map(|row| row.to)
                .collect();
            to.sort_unstable();
            to.dedup();
            to
        };
        assert_eq!(follows(None), [Queued, Running]);
        assert_eq!(follows(Some(Queued)), [Running, Cancelled, Dead]);
        assert_eq!(
            follows(Some(Running)),
            [Queued, Unknown, Succeeded, Failed, Cancelled, Dead]
        );
        assert_eq!(follows(Some(Unknown)), [Queued, Succeeded, Failed, Dead]);
    }

    #[test]
    fn an_unknown_job_is_never_simply_admitted_again() {
        assert_eq!(follow(Some(JobState::Unknown), Event::Admit), None);
        assert_eq!(follow(Some(JobState::Unknown), Event::RetryLater), None);
    }

    proptest! {
        #[test]
        fn any_order_of_events_ends_at_most_once(events in prop::collection::vec(0_usize..9, 0..60)) {
            let mut state = None;
            let mut ended = None;
            for index in events {
                if let Some(next) = follow(state, Event::ALL[index]) {
                    prop_assert_eq!(ended, None, "left a final state");
                    state = Some(next);
                    if next.is_final() {
                        ended = Some(next);
                    }
                }
            }
        }
    }
}

//! Ring 0: states of jobs change over the edges of the table only; any other event is ignored and counted.

use crate::support::*;
use api_types::*;
use errors::Code;

fn failure() -> JobError {
    JobError {
        code: Code::ProviderError,
        message: "All candidates failed.".to_owned(),
        details: serde_json::Value::Null,
    }
}

/// The second attempt of job 1.
fn second(limits: &Limits) -> Acquire {
    let mut command = acquire(2, limits);
    (command.job_id, command.attempt_no) = (job(1), 2);
    command
}

async fn counted(bench: &Bench) -> u64 {
    bench.gauges().await.illegal_transitions
}

#[tokio::test]
async fn a_job_that_has_ended_is_not_admitted_again() {
    let mut bench = Bench::default();
    let limits = limits(10, 10);
    bench.granted(&acquire(1, &limits)).await;
    let mut failed = settle(1, 1, Outcome::Unavailable);
    failed.error = Some(failure());
    assert_eq!(bench.settle(&failed).await.state, JobState::Dead);
    for times in 1..=2 {
        match bench.acquire(&second(&limits)).await {
            AcquireDecision::Existing(view) => {
                assert_eq!((view.attempt_no, view.job_state), (1, JobState::Dead));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(counted(&bench).await, times);
    }
    // Nothing was taken for it, and the count outlives the memory.
    assert_eq!(bench.gauges().await.requests_in_window, 1);
    bench.crash();
    assert_eq!(counted(&bench).await, 2);
}

#[tokio::test]
async fn nothing_is_sent_for_a_job_of_which_nobody_knows_whether_it_ran() {
    let bench = Bench::default();
    let limits = limits(10, 10);
    bench.granted(&acquire(1, &limits)).await;
    bench.settle(&settle(1, 1, Outcome::Unknown)).await;
    match bench.acquire(&second(&limits)).await {
        AcquireDecision::Existing(view) => assert_eq!(view.job_state, JobState::Unknown),
        other => panic!("{other:?}"),
    }
    assert_eq!(counted(&bench).await, 1);
}

#[tokio::test]
async fn an_unknown_job_cannot_be_cancelled_and_stays_as_it_is() {
    let bench = Bench::default();
    bench.granted(&acquire(1, &limits(10, 10))).await;
    bench.settle(&settle(1, 1, Outcome::Unknown)).await;
    let before = bench.view(1).await;
    let reply = bench.settle(&settle(1, 1, Outcome::Cancelled)).await;
    assert_eq!((reply.already, reply.state), (true, JobState::Unknown));
    assert_eq!(bench.view(1).await, before);
    assert_eq!(counted(&bench).await, 1);
    // A fact that the table has still counts.
    let reply = bench.settle(&settle(1, 1, Outcome::Succeeded)).await;
    assert_eq!((reply.already, reply.state), (false, JobState::Succeeded));
    assert_eq!(counted(&bench).await, 1);
}

#[tokio::test]
async fn a_handle_that_comes_late_is_kept_and_its_job_is_unknown_until_it_is_settled() {
    let bench = Bench::default();
    bench.granted(&acquire(1, &limits(10, 10))).await;
    bench.pass(60_000).await;
    assert_eq!(bench.view(1).await.job_state, JobState::Unknown);
    let handle = Submitted {
        v: 1,
        lease_id: lease(1),
        job_ref: job_ref(0, "a", bench.now_ms()),
    };
    let _: LeaseReply = bench.call("submitted", &handle).await;
    let view = bench.view(1).await;
    assert_eq!(
        (view.state, view.job_state, view.stage),
        (AttemptState::Submitted, JobState::Unknown, None)
    );
    assert_eq!(view.outcome, Some(Outcome::Unknown));
    // Whoever is woken polls with it.
    bench.pass(60_000).await;
    let (epoch, mode) = bench.taken(1).await;
    assert_eq!(mode, TakeMode::Resume);
    let mut found = settle(1, epoch, Outcome::Succeeded);
    found.cost_usd_micros = Some(45_000);
    assert_eq!(bench.settle(&found).await.state, JobState::Succeeded);
    bench.pass(2_000).await;
    assert_eq!(bench.ledger_job(1).unwrap().0, "succeeded");
    let sum: i64 = bench.usage().iter().filter_map(|row| row.2).sum();
    assert_eq!((bench.usage().len(), sum), (2, 45_000));
    assert_eq!(counted(&bench).await, 0);
}

#[tokio::test]
async fn an_unknown_attempt_that_was_refused_after_all_lets_the_job_go_on() {
    let bench = Bench::default();
    let limits = limits(10, 10);
    bench.granted(&acquire(1, &limits)).await;
    bench.pass(60_000).await;
    let mut refused = settle(1, 1, Outcome::Unavailable);
    refused.next = Next::Retry;
    let reply = bench.settle(&refused).await;
    assert_eq!((reply.already, reply.state), (false, JobState::Running));
    bench.granted(&second(&limits)).await;
    bench.settle(&settle(2, 1, Outcome::Succeeded)).await;
    bench.pass(6_000).await;
    assert_eq!(bench.ledger_job(1).unwrap().0, "succeeded");
    assert_eq!(counted(&bench).await, 0);
}

#[tokio::test]
async fn a_lease_that_came_back_is_no_state_of_its_job() {
    let bench = Bench::default();
    let limits = limits(10, 10);
    bench.granted(&acquire(1, &limits)).await;
    let back = release(1, 1, ReleaseReason::NotSent);
    let _: LeaseReply = bench.call("release", &back).await;
    // It went on elsewhere, failed there, and comes here for its second attempt.
    bench.granted(&second(&limits)).await;
    assert_eq!(bench.view(1).await.job_state, JobState::Running);
    assert_eq!(counted(&bench).await, 0);
}

#[tokio::test]
async fn an_ordinary_life_counts_nothing() {
    let bench = Bench::default();
    let limits = limits(100, 100);
    for (n, outcome) in [
        (1, Outcome::Succeeded),
        (2, Outcome::Unavailable),
        (3, Outcome::RejectedBySafety),
        (4, Outcome::Unknown),
        (5, Outcome::Cancelled),
    ] {
        bench.granted(&acquire(n, &limits)).await;
        bench.settle(&settle(n, 1, outcome)).await;
        // A repeat is no event.
        bench.settle(&settle(n, 1, outcome)).await;
    }
    bench.pass(600_000).await;
    assert_eq!(counted(&bench).await, 0);
}

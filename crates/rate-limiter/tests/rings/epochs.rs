//! Ring 0: two holders of one attempt, and attempts that were never sent.

use crate::support::*;
use api_types::*;
use errors::Code;

fn error() -> JobError {
    JobError {
        code: Code::DecryptionFailed,
        message: "A stored provider key cannot be read.".to_owned(),
        details: serde_json::Value::Null,
    }
}

async fn failed_over(bench: &Bench) {
    bench.granted(&acquire(1, &limits(10, 10))).await;
    let mut failed = settle(1, 1, Outcome::Unavailable);
    failed.next = Next::Fallback;
    bench.settle(&failed).await;
}

#[tokio::test]
async fn whoever_lost_a_handover_neither_ends_the_job_nor_hands_it_over() {
    let bench = Bench::default();
    failed_over(&bench).await;
    bench.pass(30_000).await;
    assert_eq!(bench.taken(1).await, (2, TakeMode::Fallback));
    let mut over = settle(1, 1, Outcome::Unavailable);
    over.next = Next::Final;
    let reply = bench.settle(&over).await;
    assert_eq!((reply.already, reply.state), (true, JobState::Running));
    assert_eq!(bench.view(1).await.state, AttemptState::Handover);
    // Also once the new holder has ended it the old one must not think that its own path goes on.
    for (epoch, status) in [(1, 409), (2, 200), (1, 409), (2, 200)] {
        let over = release(1, epoch, ReleaseReason::HandedOver);
        let reply = bench.raw("release", &over).await;
        assert_eq!(reply.status, status, "epoch {epoch}");
    }
}

#[tokio::test]
async fn a_late_word_about_another_outcome_does_not_end_a_handover() {
    let bench = Bench::default();
    bench.granted(&acquire(1, &limits(10, 10))).await;
    bench.pass(60_000).await;
    assert_eq!(bench.taken(1).await, (2, TakeMode::Reconcile));
    let mut failed = settle(1, 1, Outcome::Unavailable);
    failed.next = Next::Fallback;
    assert!(!bench.settle(&failed).await.already);
    // The one that was looking for the result has found nothing, and says so late.
    let reply = bench.settle(&settle(1, 2, Outcome::Unknown)).await;
    assert_eq!((reply.already, reply.state), (true, JobState::Running));
    assert_eq!(bench.view(1).await.state, AttemptState::Handover);
}

#[tokio::test]
async fn an_old_holder_that_knows_nothing_does_not_stop_the_one_that_polls() {
    let bench = Bench::default();
    bench.granted(&acquire(1, &limits(10, 10))).await;
    let handle = Submitted {
        v: 1,
        lease_id: lease(1),
        job_ref: job_ref(0, "a", bench.now_ms()),
    };
    let _: LeaseReply = bench.call("submitted", &handle).await;
    bench.pass(60_000).await;
    assert_eq!(bench.taken(1).await, (2, TakeMode::Resume));
    let reply = bench.settle(&settle(1, 1, Outcome::Unknown)).await;
    assert_eq!((reply.already, reply.state), (true, JobState::Running));
    assert_eq!(bench.view(1).await.state, AttemptState::Submitted);
    assert!(bench.usage().is_empty());
    // What it knows for certain counts all the same.
    let reply = bench.settle(&settle(1, 1, Outcome::Succeeded)).await;
    assert_eq!((reply.already, reply.state), (false, JobState::Succeeded));
}

#[tokio::test]
async fn an_attempt_that_could_not_be_sent_ends_its_job_without_a_charge() {
    let bench = Bench::default();
    let limits = limits(1, 10);
    bench.granted(&acquire(1, &limits)).await;
    bench.pass(6_000).await;
    let mut unsent = settle(1, 1, Outcome::Cancelled);
    unsent.error = Some(error());
    assert_eq!(bench.settle(&unsent).await.state, JobState::Dead);
    // It left the window: nothing went out.
    bench.granted(&acquire(2, &limits)).await;
    bench.pass(2_000).await;
    assert!(bench.usage().is_empty());
    assert_eq!(bench.ledger_job(1), Some(("dead".to_owned(), 1_999)));
    let view = bench.view(1).await;
    assert_eq!(view.error, Some(error()));
    assert_eq!(view.timeline.last().unwrap().event, "not_sent");
    // Its number is used up, unlike that of a lease that came back.
    let mut again = acquire(3, &limits);
    again.job_id = job(1);
    assert!(matches!(
        bench.acquire(&again).await,
        AcquireDecision::Existing(_)
    ));
}

#[tokio::test]
async fn a_later_attempt_that_comes_back_does_not_end_the_job_that_goes_on_elsewhere() {
    let bench = Bench::default();
    let limits = limits(10, 10);
    let mut second = acquire(1, &limits);
    second.attempt_no = 2;
    bench.granted(&second).await;
    bench.pass(6_000).await;
    assert_eq!(bench.ledger_job(1).unwrap().0, "running");
    let back = release(1, 1, ReleaseReason::NotSent);
    assert_eq!(bench.raw("release", &back).await.status, 200);
    bench.pass(6_000).await;
    assert_eq!(bench.ledger_job(1).unwrap().0, "running");
    let mut again = acquire(2, &limits);
    (again.job_id, again.attempt_no) = (job(1), 2);
    bench.granted(&again).await;
    bench.settle(&settle(2, 1, Outcome::Succeeded)).await;
    bench.pass(6_000).await;
    assert_eq!(bench.ledger_job(1), Some(("succeeded".to_owned(), 2_999)));
    assert_eq!(bench.usage().len(), 1);
}

#[tokio::test]
async fn an_unsent_attempt_may_be_passed_on_and_its_end_is_the_jobs_end() {
    let bench = Bench::default();
    bench.granted(&acquire(1, &limits(10, 10))).await;
    let mut unsent = settle(1, 1, Outcome::Cancelled);
    unsent.error = Some(error());
    unsent.next = Next::Fallback;
    assert_eq!(bench.settle(&unsent).await.state, JobState::Running);
    assert_eq!(bench.view(1).await.state, AttemptState::Handover);
    unsent.next = Next::Final;
    assert_eq!(bench.settle(&unsent).await.state, JobState::Dead);
    bench.pass(2_000).await;
    assert!(bench.usage().is_empty());
}

#[tokio::test]
async fn an_unknown_attempt_is_booked_at_what_the_provider_has_told() {
    let bench = Bench::default();
    let mut command = acquire(1, &limits(10, 10));
    command.upper_usd_micros = Some(200_000);
    bench.granted(&command).await;
    let mut unknown = settle(1, 1, Outcome::Unknown);
    unknown.billed = Billed::Yes;
    unknown.cost_usd_micros = Some(60_000);
    unknown.cost_basis = CostBasis::Reported;
    bench.settle(&unknown).await;
    bench.pass(2_000).await;
    let charge = (uuid(1, 1), "charge".to_owned(), Some(60_000));
    assert_eq!(bench.usage(), [charge.clone()].into());
    let view = bench.view(1).await;
    assert_eq!(
        (view.cost_usd_micros, view.cost_basis),
        (Some(60_000), Some(CostBasis::Reported))
    );
    bench.taken(1).await;
    bench.settle(&settle(1, 2, Outcome::Succeeded)).await;
    bench.pass(2_000).await;
    let correction = (uuid(1, 1), "correction".to_owned(), Some(0));
    assert_eq!(bench.usage(), [charge, correction].into());
}

#[tokio::test]
async fn open_attempts_are_named_when_they_are_asked_for() {
    let bench = Bench::default();
    let limits = limits(10, 10);
    for n in 1..=3 {
        bench.world.clock.advance(1);
        bench.granted(&acquire(n, &limits)).await;
    }
    bench.settle(&settle(1, 1, Outcome::Succeeded)).await;
    bench.settle(&settle(2, 1, Outcome::Unknown)).await;
    let asked = |open| {
        let bench = &bench;
        async move {
            let query = StateQuery { job_id: None, open };
            match bench.call("state", &query).await {
                StateReply::Gauges(gauges) => gauges.open,
                other => panic!("{other:?}"),
            }
        }
    };
    assert!(asked(0).await.is_empty());
    let open = asked(10).await;
    let found: Vec<_> = open
        .iter()
        .map(|it| (it.job_id.clone(), it.job_state))
        .collect();
    assert_eq!(
        found,
        [(job(2), JobState::Unknown), (job(3), JobState::Running)]
    );
    assert_eq!(asked(1).await, open[..1]);
}

//! Ring 0: the life of a lease, and which command may do what.

use crate::support::*;
use api_types::*;
use errors::Code;
use serde_json::json;

async fn lease_reply(bench: &Bench, command: &str, body: &impl serde::Serialize) -> LeaseReply {
    bench.call(command, body).await
}

async fn refused(bench: &Bench, command: &str, body: &impl serde::Serialize) -> (u16, Code) {
    let reply = bench.raw(command, body).await;
    let refusal: LimiterRefusal = serde_json::from_str(&reply.body).unwrap();
    (reply.status, refusal.error)
}

fn submitted(n: u64, part: u32, id: &str, at_ms: i64) -> Submitted {
    Submitted {
        v: 1,
        lease_id: lease(n),
        job_ref: job_ref(part, id, at_ms),
    }
}

#[tokio::test]
async fn a_repeated_acquire_is_granted_again_while_nothing_has_happened() {
    let mut bench = Bench::default();
    let command = acquire(1, &limits(10, 10));
    let first = bench.acquire(&command).await;
    assert_eq!(bench.acquire(&command).await, first);
    bench.crash();
    assert_eq!(bench.acquire(&command).await, first);
    assert_eq!(bench.gauges().await.requests_in_window, 1);
    let _ = lease_reply(&bench, "renew", &renew(1, 1)).await;
    bench.world.clock.advance(1);
    let _ = lease_reply(&bench, "renew", &renew(1, 1)).await;
    // Its caller has lived on: whoever repeats now is late.
    match bench.acquire(&command).await {
        AcquireDecision::Existing(view) => assert_eq!(view.state, AttemptState::Held),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn another_lease_for_a_known_attempt_finds_it() {
    let bench = Bench::default();
    bench.granted(&acquire(1, &limits(10, 10))).await;
    let mut second = acquire(2, &limits(10, 10));
    second.job_id = job(1);
    match bench.acquire(&second).await {
        AcquireDecision::Existing(view) => assert_eq!(view.lease_id, lease(1)),
        other => panic!("{other:?}"),
    }
    assert_eq!(bench.gauges().await.inflight_images, 1);
}

#[tokio::test]
async fn the_first_settle_wins_also_from_an_older_epoch() {
    let bench = Bench::default();
    bench.granted(&acquire(1, &limits(10, 10))).await;
    let at_ms = bench.now_ms();
    let _ = lease_reply(&bench, "submitted", &submitted(1, 0, "a", at_ms)).await;
    let _ = lease_reply(&bench, "release", &release(1, 1, ReleaseReason::Handoff)).await;
    assert_eq!(bench.taken(1).await, (2, TakeMode::Resume));
    let first = bench.settle(&settle(1, 1, Outcome::Succeeded)).await;
    assert_eq!((first.already, first.state), (false, JobState::Succeeded));
    let second = bench.settle(&settle(1, 2, Outcome::Unavailable)).await;
    assert_eq!((second.already, second.state), (true, JobState::Succeeded));
    assert_eq!(bench.view(1).await.outcome, Some(Outcome::Succeeded));
    assert_eq!(bench.gauges().await.inflight_images, 0);
}

#[tokio::test]
async fn the_old_holder_is_told_to_stop() {
    let bench = Bench::default();
    bench.granted(&acquire(1, &limits(10, 10))).await;
    let _ = lease_reply(
        &bench,
        "release",
        &release(1, 1, ReleaseReason::HandoffUnsent),
    )
    .await;
    assert_eq!(bench.taken(1).await, (2, TakeMode::Run));
    assert_eq!(
        refused(&bench, "renew", &renew(1, 1)).await,
        (409, Code::LeaseLost)
    );
    let old = release(1, 1, ReleaseReason::NotSent);
    assert_eq!(
        refused(&bench, "release", &old).await,
        (409, Code::LeaseLost)
    );
    assert!(lease_reply(&bench, "renew", &renew(1, 2)).await.ok);
}

#[tokio::test]
async fn a_renewal_may_name_another_credential_and_the_stored_job_keeps_it() {
    let mut bench = Bench::default();
    bench.granted(&acquire(1, &limits(10, 10))).await;
    let mut named = renew(1, 1);
    named.credential_id = CredentialId::parse("0199a1c2-0000-7000-8000-00000000000c").ok();
    assert!(lease_reply(&bench, "renew", &named).await.ok);
    // Neither the next renewal nor a new process forgets it, and the rest of the job stands.
    let _ = lease_reply(&bench, "renew", &renew(1, 1)).await;
    bench.crash();
    let job = json!({
        "v": 1, "prompt": "a lighthouse", "credential_id": "0199a1c2-0000-7000-8000-00000000000c",
    });
    assert_eq!(bench.view(1).await.job, job);
    named.epoch = 2;
    assert_eq!(
        refused(&bench, "renew", &named).await,
        (409, Code::LeaseLost)
    );
}

#[tokio::test]
async fn an_unknown_lease_is_404() {
    let bench = Bench::default();
    for (command, body) in [
        ("renew", serde_json::to_value(renew(9, 1)).unwrap()),
        (
            "settle",
            serde_json::to_value(settle(9, 1, Outcome::Succeeded)).unwrap(),
        ),
        ("take", serde_json::to_value(take(9)).unwrap()),
        (
            "submitted",
            serde_json::to_value(submitted(9, 0, "a", 0)).unwrap(),
        ),
        (
            "release",
            serde_json::to_value(release(9, 1, ReleaseReason::NotSent)).unwrap(),
        ),
    ] {
        assert_eq!(
            refused(&bench, command, &body).await,
            (404, Code::NotFound),
            "{command}"
        );
    }
}

#[tokio::test]
async fn not_sent_leaves_the_window_and_never_reaches_the_ledger() {
    let bench = Bench::default();
    let limits = limits(1, 1);
    bench.granted(&acquire(1, &limits)).await;
    let not_sent = release(1, 1, ReleaseReason::NotSent);
    assert!(lease_reply(&bench, "release", &not_sent).await.ok);
    assert!(lease_reply(&bench, "release", &not_sent).await.ok);
    bench.granted(&acquire(2, &limits)).await;
    bench.settle(&settle(2, 1, Outcome::Succeeded)).await;
    bench.pass(10_000).await;
    assert_eq!(bench.ledger_job(1), None);
    assert_eq!(bench.ledger_job(2).unwrap().0, "succeeded");
    assert_eq!(bench.usage().len(), 1);
    // What was sent cannot be taken back.
    let sent = release(2, 1, ReleaseReason::NotSent);
    assert_eq!(refused(&bench, "release", &sent).await.0, 409);
}

#[tokio::test]
async fn an_attempt_that_came_back_unsent_may_be_leased_again() {
    let bench = Bench::default();
    let limits = limits(1, 1);
    bench.granted(&acquire(1, &limits)).await;
    bench.pass(6_000).await;
    assert_eq!(bench.ledger_job(1).unwrap(), ("running".to_owned(), 1_001));
    let _ = lease_reply(&bench, "release", &release(1, 1, ReleaseReason::NotSent)).await;
    let mut again = acquire(2, &limits);
    again.job_id = job(1);
    bench.granted(&again).await;
    assert_eq!(refused(&bench, "renew", &renew(1, 1)).await.0, 404);
    bench.settle(&settle(2, 1, Outcome::Succeeded)).await;
    bench.pass(6_000).await;
    assert_eq!(
        bench.ledger_job(1).unwrap(),
        ("succeeded".to_owned(), 1_999)
    );
    assert_eq!(bench.gauges().await.requests_in_window, 1);
}

#[tokio::test]
async fn the_end_of_an_attempt_counts_more_than_an_earlier_lease_that_came_back_elsewhere() {
    let here = Bench::default();
    here.granted(&acquire(1, &limits(1, 1))).await;
    here.pass(6_000).await;
    let _ = lease_reply(&here, "release", &release(1, 1, ReleaseReason::NotSent)).await;
    here.pass(2_000).await;
    let (state, unsent) = here.ledger_job(1).unwrap();
    assert_eq!(state, "cancelled");
    let there = Bench::default();
    there.granted(&acquire(1, &limits(1, 1))).await;
    there.settle(&settle(1, 1, Outcome::Succeeded)).await;
    assert!(there.view(1).await.version > unsent);
}

#[tokio::test]
async fn a_job_that_its_provider_has_cannot_be_called_unsent() {
    let bench = Bench::default();
    bench.granted(&acquire(1, &limits(10, 10))).await;
    let at_ms = bench.now_ms();
    let _ = lease_reply(&bench, "submitted", &submitted(1, 0, "a", at_ms)).await;
    let not_sent = release(1, 1, ReleaseReason::NotSent);
    assert_eq!(
        refused(&bench, "release", &not_sent).await,
        (409, Code::LeaseLost)
    );
    assert_eq!(bench.gauges().await.inflight_images, 1);
}

#[tokio::test]
async fn a_handle_is_recorded_once_by_part() {
    let bench = Bench::default();
    bench.granted(&acquire(1, &limits(10, 10))).await;
    let at_ms = bench.now_ms();
    for (part, id) in [(1, "b"), (0, "a"), (1, "b")] {
        assert!(
            lease_reply(&bench, "submitted", &submitted(1, part, id, at_ms))
                .await
                .ok
        );
    }
    let view = bench.view(1).await;
    let ids: Vec<&str> = view
        .job_refs
        .iter()
        .map(|job| job.job_id.as_str())
        .collect();
    assert_eq!(ids, ["a", "b"]);
    assert_eq!(view.version, 1_003);
    assert_eq!(view.state, AttemptState::Submitted);
}

#[tokio::test]
async fn a_held_lease_that_is_handed_off_is_reconciled_and_never_run() {
    let bench = Bench::default();
    bench.granted(&acquire(1, &limits(10, 10))).await;
    let _ = lease_reply(&bench, "release", &release(1, 1, ReleaseReason::Handoff)).await;
    assert_eq!(bench.wakes(), [(uuid(1, 1), WakeReason::Reconcile)]);
    assert_eq!(bench.taken(1).await, (2, TakeMode::Reconcile));
    assert_eq!(bench.view(1).await.job_state, JobState::Unknown);
}

#[tokio::test]
async fn an_unsent_lease_runs_from_the_moment_of_its_pick_up() {
    let bench = Bench::default();
    let limits = limits(1, 10);
    bench.granted(&acquire(1, &limits)).await;
    let _ = lease_reply(
        &bench,
        "release",
        &release(1, 1, ReleaseReason::HandoffUnsent),
    )
    .await;
    assert_eq!(bench.wakes(), [(uuid(1, 1), WakeReason::Run)]);
    // While it waits for its pick-up it counts, however long that takes.
    bench.world.clock.advance(50_000);
    let waiting = bench.acquire(&acquire(2, &limits)).await;
    assert_eq!(limited(&waiting).0, LimitedReason::Requests);
    assert_eq!(bench.taken(1).await, (2, TakeMode::Run));
    let refused = bench.acquire(&acquire(2, &limits)).await;
    assert_eq!(limited(&refused), (LimitedReason::Requests, 60_000));
}

#[tokio::test]
async fn take_is_busy_while_a_living_holder_has_it() {
    let bench = Bench::default();
    bench.granted(&acquire(1, &limits(10, 10))).await;
    match bench.take(1).await {
        TakeReply::Busy {
            state: AttemptState::Held,
            retry_after_ms,
        } => assert_eq!(retry_after_ms, 60_000),
        other => panic!("{other:?}"),
    }
    bench.settle(&settle(1, 1, Outcome::Succeeded)).await;
    match bench.take(1).await {
        TakeReply::Busy {
            state: AttemptState::Settled,
            retry_after_ms: 0,
        } => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_take_whose_answer_was_lost_is_answered_again_and_a_second_taker_is_not() {
    let bench = Bench::default();
    bench.granted(&acquire(1, &limits(10, 10))).await;
    let _ = lease_reply(
        &bench,
        "release",
        &release(1, 1, ReleaseReason::HandoffUnsent),
    )
    .await;
    let mut body = serde_json::to_value(take(1)).unwrap();
    body["taker"] = "first".into();
    let first = bench.raw("take", &body).await.body;
    assert_eq!(bench.raw("take", &body).await.body, first);
    body["taker"] = "second".into();
    let second: TakeReply = bench.call("take", &body).await;
    assert!(matches!(second, TakeReply::Busy { .. }), "{second:?}");
    assert!(matches!(bench.take(1).await, TakeReply::Busy { .. }));
}

#[tokio::test]
async fn a_late_alarm_does_not_keep_a_dead_holder_alive() {
    let bench = Bench::default();
    bench.granted(&acquire(1, &limits(10, 10))).await;
    bench.world.clock.advance(60_000);
    assert_eq!(bench.taken(1).await, (2, TakeMode::Reconcile));
    assert_eq!(bench.view(1).await.state, AttemptState::Unknown);
    assert_eq!(bench.usage().len() + bench.wakes().len(), 0);
}

#[tokio::test]
async fn a_fallback_is_a_handover_until_the_next_object_has_the_job() {
    let bench = Bench::default();
    bench.granted(&acquire(1, &limits(10, 10))).await;
    let mut failed = settle(1, 1, Outcome::Unavailable);
    failed.next = Next::Fallback;
    let reply = bench.settle(&failed).await;
    assert_eq!((reply.already, reply.state), (false, JobState::Running));
    assert!(bench.settle(&failed).await.already);
    assert_eq!(bench.view(1).await.state, AttemptState::Handover);
    assert_eq!(bench.gauges().await.inflight_images, 0);
    assert!(matches!(bench.take(1).await, TakeReply::Busy { .. }));
    let over = release(1, 1, ReleaseReason::HandedOver);
    assert!(lease_reply(&bench, "release", &over).await.ok);
    assert!(lease_reply(&bench, "release", &over).await.ok);
    let view = bench.view(1).await;
    assert_eq!(
        (view.state, view.job_state),
        (AttemptState::Settled, JobState::Running)
    );
    bench.pass(120_000).await;
    assert!(bench.wakes().is_empty());
}

#[tokio::test]
async fn a_lost_handover_wakes_the_consumer_after_30_s() {
    let bench = Bench::default();
    bench.granted(&acquire(1, &limits(10, 10))).await;
    let mut failed = settle(1, 1, Outcome::Unavailable);
    failed.next = Next::Fallback;
    bench.settle(&failed).await;
    bench.pass(29_999).await;
    assert!(bench.wakes().is_empty());
    bench.pass(1).await;
    assert_eq!(bench.wakes().len(), 1);
    assert_eq!(bench.taken(1).await, (2, TakeMode::Fallback));
    let over = release(1, 2, ReleaseReason::HandedOver);
    assert!(lease_reply(&bench, "release", &over).await.ok);
    assert_eq!(bench.usage().len(), 1);
}

#[tokio::test]
async fn a_job_without_a_further_candidate_ends_at_its_handover() {
    let bench = Bench::default();
    bench.granted(&acquire(1, &limits(10, 10))).await;
    let mut failed = settle(1, 1, Outcome::Unavailable);
    failed.next = Next::Fallback;
    bench.settle(&failed).await;
    failed.next = Next::Final;
    failed.error = Some(JobError {
        code: Code::ProviderError,
        message: "All candidates failed.".to_owned(),
        details: serde_json::Value::Null,
    });
    let reply = bench.settle(&failed).await;
    assert_eq!((reply.already, reply.state), (false, JobState::Dead));
    assert!(bench.settle(&failed).await.already);
    assert_eq!(bench.view(1).await.error.unwrap().code, Code::ProviderError);
    bench.pass(2_000).await;
    assert_eq!(bench.ledger_job(1).unwrap().0, "dead");
    assert_eq!(bench.usage().len(), 1);
}

#[tokio::test]
async fn the_next_attempt_here_ends_the_handover_of_the_one_before() {
    let bench = Bench::default();
    bench.granted(&acquire(1, &limits(10, 10))).await;
    let mut failed = settle(1, 1, Outcome::Unavailable);
    failed.next = Next::Retry;
    assert_eq!(bench.settle(&failed).await.state, JobState::Running);
    let mut again = acquire(2, &limits(10, 10));
    again.job_id = job(1);
    again.attempt_no = 2;
    bench.granted(&again).await;
    let view = bench.view(1).await;
    assert_eq!(
        (view.lease_id, view.attempt_no, view.version),
        (lease(2), 2, 2_001)
    );
    bench.settle(&settle(2, 1, Outcome::Succeeded)).await;
    bench.pass(120_000).await;
    assert!(bench.wakes().is_empty());
    assert_eq!(
        bench.ledger_job(1).unwrap(),
        ("succeeded".to_owned(), 2_999)
    );
    assert_eq!(bench.usage().len(), 2);
}

#[tokio::test]
async fn an_unknown_outcome_is_booked_at_the_upper_price_and_corrected_later() {
    let bench = Bench::default();
    bench.granted(&acquire(1, &limits(10, 10))).await;
    let mut unknown = settle(1, 1, Outcome::Unknown);
    unknown.billed = Billed::Assumed;
    unknown.cost_usd_micros = None;
    let reply = bench.settle(&unknown).await;
    assert_eq!((reply.already, reply.state), (false, JobState::Unknown));
    assert_eq!(bench.wakes(), [(uuid(1, 1), WakeReason::Reconcile)]);
    bench.pass(2_000).await;
    let charge = (uuid(1, 1), "charge".to_owned(), Some(60_000));
    assert_eq!(bench.usage(), [charge.clone()].into());
    assert_eq!(bench.ledger_job(1).unwrap().0, "unknown");
    let (epoch, mode) = bench.taken(1).await;
    assert_eq!(mode, TakeMode::Reconcile);
    let mut found = settle(1, epoch, Outcome::Succeeded);
    found.cost_usd_micros = Some(45_000);
    assert_eq!(bench.settle(&found).await.state, JobState::Succeeded);
    bench.pass(2_000).await;
    let correction = (uuid(1, 1), "correction".to_owned(), Some(-15_000));
    assert_eq!(bench.usage(), [charge, correction].into());
    assert_eq!(bench.ledger_job(1).unwrap().0, "succeeded");
}

#[tokio::test]
async fn a_reconciler_that_finds_nothing_leaves_it_unknown() {
    let bench = Bench::default();
    bench.granted(&acquire(1, &limits(10, 10))).await;
    bench.settle(&settle(1, 1, Outcome::Unknown)).await;
    let version = bench.view(1).await.version;
    for round in 2..12 {
        bench.pass(600_000).await;
        if let TakeReply::Taken { epoch, mode, .. } = bench.take(1).await {
            assert_eq!((epoch, mode), (round, TakeMode::Reconcile));
            assert!(
                bench
                    .settle(&settle(1, epoch, Outcome::Unknown))
                    .await
                    .already
            );
        }
    }
    let view = bench.view(1).await;
    assert_eq!((view.state, view.version), (AttemptState::Unknown, version));
    assert_eq!(bench.usage().len(), 1);
    // Wake-ups end: nothing more can be learnt by asking.
    assert!(bench.wakes().len() <= 6);
    bench.pass(600_000).await;
    assert_eq!(bench.storage.alarm_ms(), None);
}

#[tokio::test]
async fn a_job_past_its_run_time_is_unknown_and_watched_while_its_result_lives() {
    let bench = Bench::default();
    let mut command = acquire(1, &limits(10, 10));
    command.run_ms = 90_000;
    bench.granted(&command).await;
    let at_ms = bench.now_ms();
    let _ = lease_reply(&bench, "submitted", &submitted(1, 0, "a", at_ms)).await;
    for _ in 0..2 {
        bench.pass(30_000).await;
        let _ = lease_reply(&bench, "renew", &renew(1, 1)).await;
    }
    assert_eq!(bench.view(1).await.state, AttemptState::Submitted);
    bench.pass(30_000).await;
    assert_eq!(bench.view(1).await.state, AttemptState::Unknown);
    bench.pass(3_600_000).await;
    let reasons: Vec<WakeReason> = bench
        .wakes()
        .into_iter()
        .map(|(_, reason)| reason)
        .collect();
    assert!(reasons.len() >= 6, "{reasons:?}");
    assert!(
        reasons
            .iter()
            .all(|reason| *reason == WakeReason::Reconcile)
    );
}

#[tokio::test]
async fn a_lost_holder_of_a_submitted_job_is_replaced() {
    let mut bench = Bench::default();
    bench.granted(&acquire(1, &limits(10, 10))).await;
    let at_ms = bench.now_ms();
    let _ = lease_reply(&bench, "submitted", &submitted(1, 0, "a", at_ms)).await;
    bench.crash();
    bench.pass(59_999).await;
    assert!(bench.wakes().is_empty());
    bench.pass(1).await;
    assert_eq!(bench.wakes(), [(uuid(1, 1), WakeReason::Resume)]);
    assert_eq!(bench.taken(1).await, (2, TakeMode::Resume));
    // The place stays with the job.
    assert_eq!(bench.gauges().await.inflight_images, 1);
}

#[tokio::test]
async fn five_wake_ups_without_progress_end_a_job_as_poison() {
    let bench = Bench::default();
    bench.granted(&acquire(1, &limits(10, 10))).await;
    let at_ms = bench.now_ms();
    let mut gone = submitted(1, 0, "a", at_ms);
    gone.job_ref.expires_at = Timestamp(at_ms + 1);
    let _ = lease_reply(&bench, "submitted", &gone).await;
    // Each taker dies without a sign of life, and the provider no longer has the result.
    for _ in 0..8 {
        bench.pass(60_000).await;
        let _ = bench.take(1).await;
    }
    assert_eq!(bench.wakes().len(), 5);
    let view = bench.view(1).await;
    assert_eq!(
        (view.state, view.job_state),
        (AttemptState::Settled, JobState::Dead)
    );
    assert_eq!(view.error.unwrap().details["kind"], "poison");
    assert_eq!(view.cost_usd_micros, Some(60_000));
    assert_eq!(bench.gauges().await.inflight_images, 0);
    bench.pass(5_000).await;
    assert_eq!(bench.usage().len(), 1);
}

#[tokio::test]
async fn a_paid_result_that_still_lives_is_never_given_up() {
    let bench = Bench::default();
    let mut command = acquire(1, &limits(10, 10));
    command.run_ms = 86_400_000;
    bench.granted(&command).await;
    let at_ms = bench.now_ms();
    let mut living = submitted(1, 0, "a", at_ms);
    living.job_ref.expires_at = Timestamp(at_ms + 86_400_000);
    let _ = lease_reply(&bench, "submitted", &living).await;
    let mut wakes = Vec::new();
    for _ in 0..3 {
        bench.pass(3_600_000).await;
        wakes.push(bench.wakes().len());
    }
    assert_eq!(bench.view(1).await.job_state, JobState::Running);
    // Eleven holder times apart at the rarest: five or six an hour, and always more.
    assert!(wakes[0] > 5, "{wakes:?}");
    assert!(
        wakes[1..].iter().all(|wakes| (5..=6).contains(wakes)),
        "{wakes:?}"
    );
}

#[tokio::test]
async fn progress_starts_the_count_of_wake_ups_again() {
    let bench = Bench::default();
    let mut command = acquire(1, &limits(10, 10));
    command.run_ms = 86_400_000;
    bench.granted(&command).await;
    let at_ms = bench.now_ms();
    let _ = lease_reply(&bench, "submitted", &submitted(1, 0, "a", at_ms)).await;
    for _ in 0..10 {
        bench.pass(60_000).await;
        let (epoch, _) = bench.taken(1).await;
        let _ = lease_reply(&bench, "renew", &renew(1, epoch)).await;
    }
    assert_eq!(bench.view(1).await.state, AttemptState::Submitted);
}

#[tokio::test]
async fn an_unsent_job_that_nobody_picks_up_ends_without_a_charge() {
    let bench = Bench::default();
    bench.granted(&acquire(1, &limits(1, 1))).await;
    let _ = lease_reply(
        &bench,
        "release",
        &release(1, 1, ReleaseReason::HandoffUnsent),
    )
    .await;
    bench.pass(400_000).await;
    assert_eq!(bench.wakes().len(), 5);
    let view = bench.view(1).await;
    assert_eq!(
        (view.job_state, view.cost_usd_micros),
        (JobState::Dead, Some(0))
    );
    assert!(bench.usage().is_empty());
    assert_eq!(bench.gauges().await.requests_in_window, 0);
}

#[tokio::test]
async fn text_is_never_dispatched() {
    let bench = Bench::default();
    let mut command = acquire(1, &limits(10, 10));
    command.work = Work::Text;
    command.images = 0;
    command.tokens = 500;
    command.holder_ms = 900_000;
    bench.granted(&command).await;
    bench.pass(899_999).await;
    assert_eq!(bench.view(1).await.state, AttemptState::Held);
    bench.pass(3_600_000).await;
    assert_eq!(bench.view(1).await.state, AttemptState::Unknown);
    assert!(bench.wakes().is_empty());
    assert!(matches!(bench.take(1).await, TakeReply::Busy { .. }));
    assert_eq!(
        bench.usage(),
        [(uuid(1, 1), "charge".to_owned(), Some(60_000))].into()
    );
}

#[tokio::test]
async fn a_dead_callers_place_is_back_after_60_s() {
    let bench = Bench::default();
    let limits = limits(100, 1);
    bench.granted(&acquire(1, &limits)).await;
    bench.pass(59_999).await;
    assert_eq!(
        limited(&bench.acquire(&acquire(2, &limits)).await).0,
        LimitedReason::Inflight
    );
    bench.pass(1).await;
    bench.granted(&acquire(2, &limits)).await;
}

#[tokio::test]
async fn rows_leave_after_ten_minutes_and_answer_until_then() {
    let bench = Bench::default();
    bench.granted(&acquire(1, &limits(10, 10))).await;
    bench.settle(&settle(1, 1, Outcome::Succeeded)).await;
    bench.pass(599_000).await;
    assert!(
        bench
            .settle(&settle(1, 1, Outcome::Succeeded))
            .await
            .already
    );
    bench.pass(120_000).await;
    let query = StateQuery {
        job_id: Some(job(1)),
        open: 0,
    };
    let reply: StateReply = bench.call("state", &query).await;
    assert_eq!(reply, StateReply::NoJob);
    assert_eq!(bench.storage.alarm_ms(), None);
}

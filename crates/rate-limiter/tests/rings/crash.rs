//! Ring 1: the object on fakes that fail before, fail after having persisted, are slow, lose and double.

use crate::support::*;
use api_types::*;
use platform::fakes::{Delivery, When, World};
use rate_limiter::Tuning;

/// One undisturbed life: granted, submitted, handed off, taken, settled. `step` runs its k-th command; a command that
/// fails is repeated, as the client does.
const STEPS: usize = 6;

async fn run_step(bench: &Bench, k: usize) -> u16 {
    let at_ms = bench.now_ms();
    match k {
        0 => {
            bench
                .raw("acquire", &acquire(1, &limits(10, 1)))
                .await
                .status
        }
        1 => {
            let body = Submitted {
                v: 1,
                lease_id: lease(1),
                job_ref: job_ref(0, "a", at_ms),
            };
            bench.raw("submitted", &body).await.status
        }
        2 => bench.raw("renew", &renew(1, 1)).await.status,
        3 => {
            let body = release(1, 1, ReleaseReason::Handoff);
            bench.raw("release", &body).await.status
        }
        4 => {
            let mut body = serde_json::to_value(take(1)).unwrap();
            body["taker"] = "t".into();
            bench.raw("take", &body).await.status
        }
        _ => {
            bench
                .raw("settle", &settle(1, 2, Outcome::Succeeded))
                .await
                .status
        }
    }
}

async fn assert_undisturbed(bench: &Bench) {
    bench.pass(10_000).await;
    let view = bench.view(1).await;
    assert_eq!(
        (view.state, view.job_state),
        (AttemptState::Settled, JobState::Succeeded)
    );
    assert_eq!((view.epoch, view.job_refs.len()), (2, 1));
    assert_eq!(
        bench.ledger_job(1).unwrap(),
        ("succeeded".to_owned(), view.version)
    );
    assert_eq!(
        bench.usage(),
        [(uuid(1, 1), "charge".to_owned(), Some(60_000))].into()
    );
    let gauges = bench.gauges().await;
    assert_eq!(
        (
            gauges.inflight_images,
            gauges.requests_in_window,
            gauges.outbox_rows
        ),
        (0, 1, 0)
    );
}

#[tokio::test]
async fn a_crash_after_any_command_changes_nothing() {
    for k in 0..STEPS {
        let mut bench = Bench::default();
        for step in 0..STEPS {
            assert_eq!(run_step(&bench, step).await, 200);
            if step == k {
                bench.crash();
                // The answer was lost with the process: the caller repeats.
                assert_eq!(run_step(&bench, step).await, 200, "repeat of {step}");
            }
        }
        assert_undisturbed(&bench).await;
    }
}

#[tokio::test]
async fn storage_that_fails_at_any_statement_leaves_whole_commands() {
    for when in [When::Before, When::After] {
        for k in 0..STEPS {
            // More statements than any command runs: later ones hit the next command.
            for statement in 1..=12 {
                let bench = Bench::default();
                for step in 0..STEPS {
                    if step == k {
                        bench.world.faults.fail("storage.exec", statement, when);
                    }
                    let mut tries = 0;
                    while run_step(&bench, step).await != 200 {
                        tries += 1;
                        assert!(tries < 3, "step {step} never succeeds");
                    }
                }
                bench.world.faults.heal_all();
                assert_undisturbed(&bench).await;
            }
        }
    }
}

#[tokio::test]
async fn an_alarm_that_cannot_be_set_is_set_by_the_next_command_or_sweep() {
    for when in [When::Before, When::After] {
        let bench = Bench::default();
        bench.world.faults.fail("storage.set_alarm", 1, when);
        bench.granted(&acquire(1, &limits(10, 10))).await;
        let _: SweepReply = bench.call("sweep", &serde_json::json!({ "v": 1 })).await;
        assert!(bench.storage.alarm_ms().is_some());
    }
}

#[tokio::test]
async fn a_new_process_knows_the_alarm_that_is_set() {
    let mut bench = Bench::default();
    bench.granted(&acquire(1, &limits(10, 10))).await;
    let set_ms = bench.storage.alarm_ms();
    bench.crash();
    assert_eq!(bench.gauges().await.alarm_at_ms, set_ms);
    bench.granted(&acquire(2, &limits(10, 10))).await;
    assert_eq!(bench.world.faults.calls("storage.set_alarm"), 1);
}

#[tokio::test]
async fn a_lost_alarm_is_found_by_the_sweep() {
    let bench = Bench::default();
    bench.granted(&acquire(1, &limits(10, 10))).await;
    assert!(bench.storage.alarm_ms().is_some());
    bench.world.clock.advance(3_600_000);
    // The platform has dropped it.
    assert!(bench.storage.take_due_alarm());
    let swept: SweepReply = bench.call("sweep", &serde_json::json!({ "v": 1 })).await;
    assert_eq!((swept.dispatched, swept.flushed), (1, 1));
    assert_eq!(bench.wakes(), [(uuid(1, 1), WakeReason::Reconcile)]);
    assert!(
        bench
            .storage
            .alarm_ms()
            .is_some_and(|at_ms| at_ms > bench.now_ms())
    );
}

#[tokio::test]
async fn an_alarm_whose_storage_fails_rings_again_later() {
    let bench = Bench::default();
    bench.granted(&acquire(1, &limits(10, 10))).await;
    bench.world.faults.fail_every("storage.exec", When::Before);
    bench.pass(120_000).await;
    let rings = bench.world.faults.calls("storage.set_alarm");
    assert!((3..20).contains(&rings), "{rings} alarms in two minutes");
    bench.world.faults.heal("storage.exec");
    bench.pass(120_000).await;
    assert_eq!(bench.view(1).await.state, AttemptState::Unknown);
}

#[tokio::test]
async fn an_hour_without_the_ledger_loses_and_repeats_nothing() {
    let mut bench = Bench::default();
    bench.world.faults.fail_every("database", When::Before);
    for n in 1..=120 {
        bench.granted(&acquire(n, &limits(6_000, 1_000))).await;
        bench.settle(&settle(n, 1, Outcome::Succeeded)).await;
        bench.pass(30_000).await;
        if n == 60 {
            bench.crash();
        }
    }
    let gauges = bench.gauges().await;
    assert_eq!(gauges.outbox_rows, 120);
    assert!(gauges.outbox_age_ms > 3_500_000, "{}", gauges.outbox_age_ms);
    // 1 s doubling to 60 s, once more after the crash.
    let tries = bench.world.faults.calls("database");
    assert!((60..90).contains(&tries), "{tries} tries in an hour");
    assert!(bench.usage().is_empty());
    bench.world.faults.heal("database");
    bench.pass(61_000).await;
    assert_eq!(bench.usage().len(), 120);
    assert_eq!(bench.gauges().await.outbox_rows, 0);
}

#[tokio::test]
async fn a_ledger_that_commits_and_loses_the_answer_gets_no_second_row() {
    let bench = Bench::default();
    bench.granted(&acquire(1, &limits(10, 10))).await;
    bench.settle(&settle(1, 1, Outcome::Succeeded)).await;
    bench.world.faults.fail("database", 1, When::After);
    bench.pass(1_000).await;
    assert_eq!(bench.world.faults.pending(), 0);
    assert_eq!(
        (bench.usage().len(), bench.gauges().await.outbox_rows),
        (1, 1)
    );
    bench.pass(2_000).await;
    assert_eq!(
        (bench.usage().len(), bench.gauges().await.outbox_rows),
        (1, 0)
    );
}

#[tokio::test]
async fn a_crash_between_the_flush_and_its_mark_repeats_the_flush() {
    let mut bench = Bench::default();
    bench.granted(&acquire(1, &limits(10, 10))).await;
    bench.settle(&settle(1, 1, Outcome::Succeeded)).await;
    // The third statement of the alarm: overdue rows none, the row read, then the row read again for the mark.
    bench.world.faults.fail("storage.exec", 2, When::Before);
    bench.pass(1_000).await;
    assert_eq!(bench.world.faults.pending(), 0);
    assert_eq!(bench.usage().len(), 1);
    bench.crash();
    assert_eq!(bench.gauges().await.outbox_rows, 1);
    bench.pass(5_000).await;
    assert_eq!(
        (bench.usage().len(), bench.gauges().await.outbox_rows),
        (1, 0)
    );
}

#[tokio::test]
async fn a_settle_during_a_flush_stays_in_the_outbox() {
    let bench = Bench::new(World::auto(), Tuning::default());
    bench.granted(&acquire(1, &limits(10, 10))).await;
    bench.world.clock.advance(5_000);
    bench.world.faults.slow("database", 3_000);
    assert!(bench.storage.take_due_alarm());
    let settle_meanwhile = async {
        tokio::task::yield_now().await;
        bench.settle(&settle(1, 1, Outcome::Succeeded)).await
    };
    let ((), settled) = tokio::join!(bench.object.alarm(), settle_meanwhile);
    assert!(!settled.already);
    // The mark of the version that was sent did not cover the settle: a second batch followed.
    assert_eq!(bench.world.faults.calls("database"), 2);
    assert_eq!(bench.ledger_job(1).unwrap().0, "succeeded");
    assert_eq!(bench.gauges().await.outbox_rows, 0);
}

#[tokio::test]
async fn a_ledger_that_hangs_is_left_after_20_s_and_commands_go_on_meanwhile() {
    let bench = Bench::new(World::auto(), Tuning::default());
    bench.granted(&acquire(1, &limits(10, 10))).await;
    bench.settle(&settle(1, 1, Outcome::Succeeded)).await;
    bench.world.clock.advance(1_000);
    bench.world.faults.slow("database", 86_400_000);
    let began_ms = bench.now_ms();
    assert!(bench.storage.take_due_alarm());
    let meanwhile = async {
        tokio::task::yield_now().await;
        bench.granted(&acquire(2, &limits(10, 10))).await;
    };
    tokio::join!(bench.object.alarm(), meanwhile);
    let took_ms = bench.now_ms() - began_ms;
    assert!((20_000..30_000).contains(&took_ms), "{took_ms}");
    assert_eq!(bench.gauges().await.outbox_rows, 2);
}

#[tokio::test]
async fn a_row_that_the_ledger_refuses_does_not_hold_the_others() {
    let bench = Bench::default();
    for n in 1..=5 {
        let mut command = acquire(n, &limits(100, 100));
        if n == 3 {
            command.model = "spoilt".to_owned();
        }
        bench.granted(&command).await;
        bench.settle(&settle(n, 1, Outcome::Succeeded)).await;
    }
    bench.pass(1_000).await;
    assert_eq!(bench.usage().len(), 4);
    assert_eq!(bench.gauges().await.outbox_rows, 1);
    let before = bench.world.faults.calls("database");
    bench.pass(600_000).await;
    let tries = bench.world.faults.calls("database") - before;
    assert!((5..30).contains(&tries), "{tries} tries in ten minutes");
    // Others still pass while it waits.
    bench.granted(&acquire(6, &limits(100, 100))).await;
    bench.settle(&settle(6, 1, Outcome::Succeeded)).await;
    bench.pass(1_000).await;
    assert_eq!(bench.usage().len(), 5);
}

#[tokio::test]
async fn a_long_outbox_stops_admissions() {
    let tuning = Tuning {
        outbox_max: 3,
        ..Tuning::default()
    };
    let bench = Bench::new(World::manual(), tuning);
    bench.world.faults.fail_every("database", When::Before);
    for n in 1..=3 {
        bench.granted(&acquire(n, &limits(100, 100))).await;
    }
    let refused = bench.acquire(&acquire(4, &limits(100, 100))).await;
    assert_eq!(limited(&refused).0, LimitedReason::Ledger);
    // Under way goes on.
    assert!(
        !bench
            .settle(&settle(1, 1, Outcome::Succeeded))
            .await
            .already
    );
    bench.world.faults.heal("database");
    bench.pass(60_000).await;
    bench.granted(&acquire(4, &limits(100, 100))).await;
}

#[tokio::test]
async fn fifty_final_rows_do_not_wait_and_a_batch_has_at_most_a_hundred() {
    let bench = Bench::default();
    for n in 1..=250 {
        bench.granted(&acquire(n, &limits(6_000, 1_000))).await;
        bench.settle(&settle(n, 1, Outcome::Succeeded)).await;
    }
    let before = bench.world.faults.calls("database");
    bench.pass(2).await;
    assert_eq!(bench.usage().len(), 250);
    assert_eq!(bench.world.faults.calls("database") - before, 3);
}

#[tokio::test]
async fn a_running_row_is_flushed_after_5_s_and_a_quick_one_only_once() {
    let bench = Bench::default();
    bench.granted(&acquire(1, &limits(10, 10))).await;
    bench.granted(&acquire(2, &limits(10, 10))).await;
    bench.settle(&settle(2, 1, Outcome::Succeeded)).await;
    bench.pass(4_999).await;
    assert_eq!(bench.ledger_job(1), None);
    assert_eq!(
        bench.ledger_job(2).unwrap(),
        ("succeeded".to_owned(), 1_999)
    );
    bench.pass(1).await;
    assert_eq!(bench.ledger_job(1).unwrap(), ("running".to_owned(), 1_001));
    assert_eq!(bench.world.faults.calls("database"), 2);
}

#[tokio::test]
async fn with_every_wake_up_lost_no_place_outlives_its_lease() {
    let mut bench = Bench::default();
    bench.queue.deliver(Delivery::Lost);
    for n in 1..=9 {
        let mut command = acquire(n, &limits(100, 9));
        command.run_ms = 600_000;
        bench.granted(&command).await;
        if n % 3 == 0 {
            let body = Submitted {
                v: 1,
                lease_id: lease(n),
                job_ref: job_ref(0, "a", bench.now_ms()),
            };
            let _: LeaseReply = bench.call("submitted", &body).await;
        }
        if n % 3 == 1 {
            let body = release(n, 1, ReleaseReason::HandoffUnsent);
            let _: LeaseReply = bench.call("release", &body).await;
        }
    }
    bench.crash();
    bench.pass(61_000).await;
    // Held ones are back after 60 s, the others when their jobs are over.
    assert_eq!(bench.gauges().await.inflight_images, 6);
    bench.pass(700_000).await;
    let gauges = bench.gauges().await;
    assert_eq!((gauges.inflight_images, gauges.requests_in_window), (0, 0));
    assert_eq!(gauges.open_attempts, gauges.unknown_attempts);
}

#[tokio::test]
async fn a_wake_up_that_cannot_be_sent_is_repeated_by_the_deadline() {
    let bench = Bench::default();
    bench.granted(&acquire(1, &limits(10, 10))).await;
    bench.world.faults.fail("queue", 1, When::Before);
    let body = release(1, 1, ReleaseReason::HandoffUnsent);
    assert!(bench.call::<LeaseReply>("release", &body).await.ok);
    assert!(bench.wakes().is_empty());
    bench.pass(60_000).await;
    assert_eq!(bench.wakes(), [(uuid(1, 1), WakeReason::Run)]);
    assert_eq!(bench.taken(1).await, (2, TakeMode::Run));
}

#[tokio::test]
async fn a_doubled_wake_up_gives_one_taker() {
    let bench = Bench::default();
    bench.queue.deliver(Delivery::Twice);
    bench.granted(&acquire(1, &limits(10, 10))).await;
    let body = release(1, 1, ReleaseReason::HandoffUnsent);
    let _: LeaseReply = bench.call("release", &body).await;
    let wakes = bench.wakes();
    assert_eq!(wakes.len(), 2);
    let mut taken = 0;
    for _ in wakes {
        taken += u32::from(matches!(bench.take(1).await, TakeReply::Taken { .. }));
    }
    assert_eq!(taken, 1);
}

#[tokio::test]
async fn many_overdue_rows_are_all_handled() {
    let bench = Bench::default();
    for n in 1..=250 {
        bench.granted(&acquire(n, &limits(6_000, 1_000))).await;
    }
    bench.pass(60_001).await;
    assert_eq!(bench.gauges().await.unknown_attempts, 250);
    assert_eq!(bench.wakes().len(), 250);
}

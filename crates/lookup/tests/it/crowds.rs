//! Many requests at once, slow and dying leaders, and the calls that each of them may cost.

use crate::common::House;
use errors::Code;
use futures_util::FutureExt;
use futures_util::future::join_all;
use platform::Clock;
use platform::fakes::{START_MS, World};
use proptest::prelude::*;
use std::sync::Arc;

fn house() -> Arc<House> {
    Arc::new(House::new(World::auto()))
}

async fn crowd(house: &Arc<House>, requests: usize) -> usize {
    let all = (0..requests).map(|_| house.resolve());
    join_all(all).await.iter().filter(|it| it.is_ok()).count()
}

#[tokio::test]
async fn five_hundred_cold_requests_are_one_call() {
    let house = house();
    house.source.state().delay_ms = 30;
    assert_eq!(crowd(&house, 500).await, 500);
    assert_eq!((house.calls(), house.kv_reads()), ((1, 0), 0));
    assert!(
        house.clock().now_ms() - START_MS < 200,
        "nobody waits much longer than the call"
    );
}

#[tokio::test]
async fn a_killed_leader_costs_one_more_call() {
    let house = house();
    house.source.state().delay_ms = 30;
    let mut leader = Box::pin(house.resolve());
    assert!((&mut leader).now_or_never().is_none());
    assert_eq!(house.calls().0, 1);
    drop(leader);
    assert_eq!(crowd(&house, 500).await, 500);
    assert_eq!(house.calls().0, 2);
    assert!(house.clock().now_ms() - START_MS < 600);
}

#[tokio::test]
async fn a_source_that_takes_almost_two_seconds_is_asked_at_most_eight_times() {
    let house = house();
    house.source.state().delay_ms = 1_900;
    assert_eq!(crowd(&house, 500).await, 500);
    assert!((1..=8).contains(&house.calls().0), "{:?}", house.calls());
}

#[tokio::test]
async fn a_source_that_hangs_is_left_after_two_attempts() {
    let house = house();
    house.source.state().hang = true;
    let error = house.resolve().await.unwrap_err();
    assert_eq!(error.code, Code::ConfigUnavailable);
    assert_eq!(house.calls().0, 2);
    assert_eq!(house.clock().now_ms() - START_MS, 2_000 + 50 + 2_000);
}

#[tokio::test]
async fn one_attempt_may_fail() {
    let house = house();
    house.source.state().down = true;
    house.source.state().delay_ms = 10;
    let heal = async {
        house.clock().sleep(30).await;
        house.source.state().down = false;
    };
    let (answer, ()) = tokio::join!(house.resolve(), heal);
    answer.unwrap();
    assert_eq!(house.calls().0, 2);
}

#[tokio::test]
async fn the_breaker_keeps_an_outage_cheap_and_lets_it_end() {
    let house = house();
    house.source.state().down = true;
    for _ in 0..1_200 {
        assert!(house.resolve().await.is_err());
        house.clock().sleep(50).await;
    }
    // 60 s and more of steady load: three failures, then one probe after 2, 4, 8, 16, 30 s.
    let calls = house.calls().0;
    assert!((4..=10).contains(&calls), "{calls}");
    house.source.state().down = false;
    house.clock().sleep(37_000).await;
    house.resolve().await.unwrap();
}

#[tokio::test]
async fn steady_load_costs_one_call_in_three_seconds() {
    let house = house();
    for _ in 0..1_200 {
        house.resolve().await.unwrap();
        house.ports.background.drain().await;
        house.clock().sleep(50).await;
    }
    assert!(house.clock().now_ms() - START_MS >= 60_000);
    assert!(house.calls().0 <= 21, "{:?}", house.calls());
    assert_eq!(house.kv_reads(), 0);
}

/// Up for a second, down for a second, for five minutes: whoever passes has a verdict under five seconds, and the
/// breaker keeps the calls few.
#[tokio::test]
async fn a_source_that_flaps_never_makes_a_verdict_older() {
    let house = house();
    let (mut passed, mut refused) = (0, 0);
    for tenth in 0..3_000_i64 {
        let down = (tenth / 10) % 2 == 1;
        house.source.state().down = down;
        match house.resolve().await {
            Ok(_) => passed += 1,
            Err(error) => {
                assert_eq!(error.code, Code::ConfigUnavailable);
                refused += 1;
            }
        }
        house.ports.background.drain().await;
        house.clock().sleep(100).await;
    }
    // 300 s: one call in three seconds if all goes well, and at most two a second.
    assert!((60..600).contains(&house.calls().0), "{:?}", house.calls());
    // The breaker's pauses grow to 30 s, longer than a verdict lives; but it always finds back.
    assert!(
        passed > 300 && refused > 300,
        "{passed} passed, {refused} refused"
    );
    house.source.state().down = false;
    house.clock().sleep(37_000).await;
    house.resolve().await.unwrap();
}

#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Ask,
    Refresh,
    Lose,
    Revoke,
    Restore,
    Break,
    Heal,
    Slow(u64),
    Publish,
    Change,
    Lag(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_u64..4_000).prop_map(Step::Wait),
        8 => Just(Step::Ask),
        2 => Just(Step::Refresh),
        1 => Just(Step::Lose),
        1 => Just(Step::Revoke),
        1 => Just(Step::Restore),
        1 => Just(Step::Break),
        2 => Just(Step::Heal),
        1 => (0_u64..2_500).prop_map(Step::Slow),
        1 => Just(Step::Publish),
        1 => Just(Step::Change),
        1 => (0_u64..60_000).prop_map(Step::Lag),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever happens to config-service, KV, the background and the clock: five seconds after a revocation no
    /// request passes, no request passes on a verdict that is five seconds old, and five seconds after a change nobody
    /// works with the configuration before it without being told its age, however far KV lags behind.
    #[test]
    fn a_verdict_is_never_used_after_five_seconds(steps in prop::collection::vec(step(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async move {
            let house = house();
            let mut revoked_ms = None;
            let mut changed_ms = None;
            for step in steps {
                match step {
                    Step::Wait(ms) => house.clock().sleep(ms).await,
                    Step::Ask => {
                        let answer = house.resolve().await;
                        let passed = answer.is_ok();
                        let now_ms = house.clock().now_ms();
                        if let (Ok(resolved), Some(changed_ms)) = (&answer, changed_ms)
                            && now_ms - changed_ms >= 5_000
                            && resolved.freshness.stale_config_ms.is_none()
                        {
                            let used = resolved.config.as_ref().unwrap().config_version;
                            prop_assert_eq!(used, house.source.state().version);
                        }
                        if let (true, Some(revoked_ms)) = (passed, revoked_ms) {
                            let age_ms = now_ms - revoked_ms;
                            prop_assert!(age_ms < 5_000, "used {age_ms} ms after the revocation");
                        }
                    }
                    Step::Refresh => { house.ports.background.drain().await; }
                    Step::Lose => { house.ports.background.abandon(); }
                    Step::Revoke => {
                        house.source.state().refuse = Some(Code::AuthFailed);
                        revoked_ms = revoked_ms.or(Some(house.clock().now_ms()));
                    }
                    Step::Restore => {
                        house.source.state().refuse = None;
                        revoked_ms = None;
                    }
                    Step::Break => house.source.state().down = true,
                    Step::Heal => house.source.state().down = false,
                    Step::Slow(ms) => house.source.state().delay_ms = ms,
                    // Whatever KV holds may be older than the newest: a put that came late.
                    Step::Publish => house.publish(17, house.clock().now_ms()).await,
                    Step::Change => {
                        house.source.state().version += 1;
                        changed_ms = Some(house.clock().now_ms());
                    }
                    Step::Lag(ms) => house.ports.kv.lag(ms),
                }
            }
            house.ports.background.abandon();
            Ok(())
        })?;
    }
}

//! What is used at which age, on a clock that stands still unless the test moves it.

use crate::common::{House, INSTANCE};
use api_types::{InstanceId, Need};
use errors::Code;
use lookup::{Hints, kv};
use platform::fakes::{FakeRandom, START_MS, When, World};
use platform::{Clock, KvStore};

fn house() -> House {
    House::new(World::manual())
}

#[tokio::test]
async fn a_warm_isolate_asks_nobody() {
    let house = house();
    house.resolve().await.unwrap();
    assert_eq!((house.calls(), house.kv_reads()), ((1, 0), 0));
    house.clock().advance(2_999);
    let resolved = house.resolve().await.unwrap();
    assert_eq!((house.calls(), house.kv_reads()), ((1, 0), 0));
    assert_eq!(house.ports.background.pending(), 0);
    assert_eq!(resolved.config.unwrap().config_version, 17);
    assert_eq!(resolved.freshness.stale_config_ms, None);
}

#[tokio::test]
async fn at_three_seconds_one_request_refreshes_in_the_background() {
    let house = house();
    house.resolve().await.unwrap();
    house.clock().advance(3_000);
    for _ in 0..5 {
        house.resolve().await.unwrap();
    }
    assert_eq!(house.ports.background.pending(), 1);
    assert_eq!(house.calls(), (1, 0), "nobody waits for it");
    house.ports.background.drain().await;
    assert_eq!(house.calls(), (2, 0));
    house.clock().advance(2_999);
    house.resolve().await.unwrap();
    assert_eq!(house.calls(), (2, 0), "the five seconds start anew");
}

#[tokio::test]
async fn at_five_seconds_the_verdict_is_not_used() {
    let house = house();
    house.resolve().await.unwrap();
    house.clock().advance(4_999);
    house.resolve().await.unwrap();
    assert_eq!(house.ports.background.abandon(), 1);
    house.clock().advance(1);
    house.resolve().await.unwrap();
    let asked = house.source.state().asked.clone();
    assert_eq!(asked.len(), 2);
    let have = asked[1].have.clone().unwrap();
    assert_eq!(
        (have.instance_id.as_str(), have.config_version),
        (INSTANCE, 17)
    );
    assert_eq!(house.kv_reads(), 0, "one call brings both");
}

#[tokio::test]
async fn a_clock_that_goes_backwards_does_not_lengthen_a_verdict() {
    let house = house();
    house.resolve().await.unwrap();
    house.clock().set(START_MS - 60_000);
    house.resolve().await.unwrap();
    assert_eq!(house.calls().0, 2);
}

#[tokio::test]
async fn refusals_are_remembered_for_five_seconds_and_questions_are_not() {
    for (code, calls) in [
        (Code::AuthFailed, 1),
        (Code::Forbidden, 1),
        (Code::NotFound, 1),
        (Code::InstanceRequired, 10),
        (Code::TooManyAuthFailures, 1),
    ] {
        let house = house();
        house.source.state().refuse = Some(code);
        for _ in 0..10 {
            assert_eq!(house.resolve().await.unwrap_err().code, code);
        }
        assert_eq!(house.calls().0, calls, "{code}");
        house.clock().advance(5_000);
        house.source.state().refuse = None;
        house.resolve().await.unwrap();
    }
}

/// A block is one of an address: another key from there costs no call, the same key from elsewhere is asked for.
#[tokio::test]
async fn a_blocked_address_is_remembered_and_nobody_elses_key_is() {
    let house = house();
    let (here, elsewhere) = ("203.0.113.9", "198.51.100.7");
    house.source.state().refuse = Some(Code::TooManyAuthFailures);
    let other = auth::key::mint(&FakeRandom::seeded(8)).api_key;
    for key in [&house.key.api_key, &other, &other] {
        let refused = house.resolve_from(here, key).await.unwrap_err();
        assert_eq!(refused.code, Code::TooManyAuthFailures);
    }
    assert_eq!(house.calls().0, 1);
    house.source.state().refuse = None;
    let key = &house.key.api_key;
    house.resolve_from(elsewhere, key).await.unwrap();
    assert_eq!(house.calls().0, 2);
    // A verdict that is there holds here too, and is not ended by what config-service says about an address.
    house.resolve_from(here, key).await.unwrap();
    house.clock().advance(3_000);
    house.source.state().refuse = Some(Code::TooManyAuthFailures);
    house.resolve_from(here, key).await.unwrap();
    house.ports.background.drain().await;
    house.resolve_from(elsewhere, key).await.unwrap();
    house.clock().advance(2_000);
    house.source.state().refuse = None;
    let refused = house.resolve_from(here, key).await.unwrap_err();
    assert_eq!(refused.code, Code::TooManyAuthFailures, "blocked 2 s ago");
    house.clock().advance(3_000);
    house.resolve_from(here, key).await.unwrap();
}

#[tokio::test]
async fn a_background_refusal_ends_the_verdict_at_once() {
    let house = house();
    house.resolve().await.unwrap();
    house.source.state().refuse = Some(Code::AuthFailed);
    house.clock().advance(3_000);
    house.resolve().await.unwrap();
    house.ports.background.drain().await;
    assert_eq!(house.resolve().await.unwrap_err().code, Code::AuthFailed);
}

#[tokio::test]
async fn other_hints_and_needs_are_other_verdicts() {
    let house = house();
    let named = Hints {
        instance: Some(INSTANCE.to_owned()),
        project: None,
    };
    let key = house.key.api_key.clone();
    house.resolve().await.unwrap();
    house
        .resolve_with(&named, &key, Need::Instance)
        .await
        .unwrap();
    house
        .resolve_with(&named, &key, Need::Principal)
        .await
        .unwrap();
    house
        .resolve_with(&named, &key, Need::Project)
        .await
        .unwrap();
    assert_eq!(house.calls().0, 4);
}

#[tokio::test]
async fn without_a_caller_the_isolate_is_good_for_thirty_seconds_and_kv_for_three_hundred() {
    let house = house();
    house.config().await.unwrap();
    assert_eq!(
        (house.calls(), house.kv_reads()),
        ((0, 1), 1),
        "nothing in KV yet"
    );
    house.clock().advance(29_999);
    house.config().await.unwrap();
    assert_eq!((house.calls(), house.kv_reads()), ((0, 1), 1));
    house.publish(17, START_MS).await;
    house.clock().advance(1);
    house.config().await.unwrap();
    assert_eq!(
        (house.calls(), house.kv_reads()),
        ((0, 1), 2),
        "KV is one operation"
    );

    house.clock().set(START_MS + 299_999);
    house.config().await.unwrap();
    assert_eq!(house.calls(), (0, 1));
    house.clock().set(START_MS + 330_000);
    let (_, freshness) = house.config().await.unwrap();
    assert_eq!(house.calls(), (0, 2), "a copy of 300 s is asked about");
    assert_eq!(freshness.stale_config_ms, None);
}

#[tokio::test]
async fn what_is_no_copy_of_this_instance_is_a_miss() {
    let id = InstanceId::parse(INSTANCE).unwrap();
    let good = kv::encode(&crate::common::config(17), api_types::Timestamp(START_MS));
    for bad in [
        "{".to_owned(),
        good.replace("\"v\":1", "\"v\":2"),
        good.replace(
            "\"instance_id\":\"production\"",
            "\"instance_id\":\"other\"",
        ),
    ] {
        let house = house();
        house.ports.kv.put(&kv::key(&id), &bad, None).await.unwrap();
        let (config, _) = house.config().await.unwrap();
        assert_eq!(
            (config.config_version, house.calls()),
            (17, (0, 1)),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn a_new_version_is_never_hidden_by_an_older_copy() {
    let mut house = house();
    house.publish(17, START_MS).await;
    house.resolve().await.unwrap();
    // Somebody changes the configuration; KV still says 17, freshly confirmed.
    house.source.state().version = 18;
    house.clock().advance(5_000);
    let resolved = house.resolve().await.unwrap();
    assert_eq!(resolved.config.unwrap().config_version, 18);
    // Another isolate, which has a verdict for 18 but lost the configuration.
    house.cold();
    house.publish(17, house.clock().now_ms()).await;
    let named = Hints::default();
    let key = house.key.api_key.clone();
    let resolved = house
        .resolve_with(&named, &key, Need::Instance)
        .await
        .unwrap();
    assert_eq!(resolved.config.unwrap().config_version, 18);
    // The older copy arrives again later and does not replace the newer one.
    house.clock().advance(31_000);
    house.publish(17, house.clock().now_ms()).await;
    let (config, _) = house.config().await.unwrap();
    assert_eq!(config.config_version, 18);
}

#[tokio::test]
async fn an_outage_stops_new_work_after_five_seconds_and_running_work_never() {
    let house = house();
    house.resolve().await.unwrap();
    house.source.state().down = true;
    house.clock().advance(4_999);
    house.resolve().await.unwrap();
    house.ports.background.abandon();

    house.clock().advance(1);
    // The retry sleeps on a clock that stands: let it pass.
    let (answer, ()) = tokio::join!(house.resolve(), pass(&house, 50));
    let error = answer.unwrap_err();
    assert_eq!(error.code, Code::ConfigUnavailable);
    assert_eq!(error.retry_after_ms, Some(2_000));

    // Settling and polling go on with what the isolate holds, and the answer says how old it is.
    house.clock().set(START_MS + 40_000);
    let ((config, freshness), ()) = {
        let (found, ()) = tokio::join!(house.config(), pass(&house, 50));
        (found.unwrap(), ())
    };
    assert_eq!(config.config_version, 17);
    assert!(freshness.stale_config_ms.unwrap() >= 40_000);

    house.source.state().down = false;
    house.clock().advance(31_000);
    house.resolve().await.unwrap();
    let (_, freshness) = house.config().await.unwrap();
    assert_eq!(freshness.stale_config_ms, None, "recovery needs no restart");
}

/// Moves the clock whenever somebody sleeps for a short time.
async fn pass(house: &House, ms: u64) {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    house.clock().advance(ms);
}

#[tokio::test]
async fn stale_copies_end_after_an_hour_in_the_isolate_and_a_day_in_kv() {
    const HOUR: i64 = 3_600_000;
    for (held, copied, at_ms, served) in [
        (true, false, HOUR - 60, true),
        (true, false, HOUR, false),
        (false, true, 24 * HOUR - 60, true),
        (false, true, 24 * HOUR, false),
        (true, true, 2 * HOUR, true),
    ] {
        let mut house = House::new(World::auto());
        if held {
            house.config().await.unwrap();
        } else {
            house.cold();
        }
        if copied {
            house.publish(17, START_MS).await;
        }
        house.source.state().down = true;
        house.clock().set(START_MS + at_ms);
        // Two attempts need 50 ms.
        let found = house.config().await;
        let case = format!("held {held} copied {copied} at {at_ms}");
        match found {
            Ok((config, freshness)) => {
                assert!(served, "{case}");
                assert_eq!(config.config_version, 17);
                assert!(
                    freshness.stale_config_ms.unwrap() >= at_ms.unsigned_abs(),
                    "{case}"
                );
            }
            Err(error) => {
                assert!(!served, "{case}");
                assert_eq!(error.code, Code::ConfigUnavailable);
            }
        }
    }
}

#[tokio::test]
async fn a_broken_kv_is_a_miss() {
    let house = house();
    house.ports.world.faults.fail_every("kv", When::Before);
    let (config, _) = house.config().await.unwrap();
    assert_eq!((config.config_version, house.calls()), (17, (0, 1)));
}

#[tokio::test]
async fn a_foreign_instance_is_not_found_without_a_caller() {
    let source = lookup::fakes::FakeSource::default();
    let house = house();
    let lookup = lookup::Lookup::<platform::fakes::FakePorts, _>::new(
        house.cache.clone(),
        source,
        house.ports.kv.clone(),
        house.clock().clone(),
        house.ports.world.random.clone(),
        house.ports.background.clone(),
    );
    let id = InstanceId::parse("unknown").unwrap();
    let error = lookup
        .config(&id, &platform::CallContext::default())
        .await
        .unwrap_err();
    assert_eq!(error.code, Code::NotFound);
}

//! Ring 0: what `acquire` decides, and what outcomes teach it.

use crate::support::*;
use api_types::*;
use errors::Code;
use serde_json::json;

#[tokio::test]
async fn exactly_the_limit_is_admitted_out_of_ten_thousand() {
    let bench = Bench::default();
    let limits = limits(500, 1_000);
    let mut granted = 0;
    for n in 1..=10_000 {
        match bench.acquire(&acquire(n, &limits)).await {
            AcquireDecision::Granted { .. } => granted += 1,
            other => assert_eq!(limited(&other), (LimitedReason::Requests, 60_000)),
        }
    }
    assert_eq!(granted, 500);
    assert_eq!(bench.gauges().await.requests_in_window, 500);
}

#[tokio::test]
async fn no_burst_fits_across_the_edge_of_a_minute() {
    let bench = Bench::default();
    let limits = limits(100, 1_000);
    bench.world.clock.set(1_763_719_200_000 + 57_000);
    let mut granted = 0;
    for (at_ms, calls) in [(0, 1), (2_000, 99), (4_000, 100)] {
        bench.world.clock.set(1_763_719_200_000 + 57_000 + at_ms);
        for n in 0..calls {
            let command = acquire(u64::try_from(at_ms).unwrap() * 1_000 + n + 1, &limits);
            let decision = bench.acquire(&command).await;
            granted += u32::from(matches!(decision, AcquireDecision::Granted { .. }));
        }
    }
    assert_eq!(granted, 100);
}

#[tokio::test]
async fn a_full_window_admits_at_the_instant_that_it_named_and_not_before() {
    let bench = Bench::default();
    let limits = limits(2, 10);
    bench.granted(&acquire(1, &limits)).await;
    bench.world.clock.advance(46_000);
    bench.granted(&acquire(2, &limits)).await;
    let refused = bench.acquire(&acquire(3, &limits)).await;
    assert_eq!(limited(&refused), (LimitedReason::Requests, 14_000));
    bench.world.clock.advance(13_999);
    let early = bench.acquire(&acquire(3, &limits)).await;
    assert_eq!(limited(&early), (LimitedReason::Requests, 1));
    bench.world.clock.advance(1);
    bench.granted(&acquire(3, &limits)).await;
}

#[tokio::test]
async fn every_window_counts_and_the_longest_delay_is_answered() {
    let bench = Bench::default();
    let mut limits = limits(10, 100);
    limits.windows = vec![
        WindowLimit {
            requests: 2,
            per_ms: 1_000,
        },
        WindowLimit {
            requests: 3,
            per_ms: 3_600_000,
        },
    ];
    bench.granted(&acquire(1, &limits)).await;
    bench.granted(&acquire(2, &limits)).await;
    let short = bench.acquire(&acquire(3, &limits)).await;
    assert_eq!(limited(&short), (LimitedReason::Requests, 1_000));
    bench.world.clock.advance(1_000);
    bench.granted(&acquire(3, &limits)).await;
    bench.world.clock.advance(500);
    let long = bench.acquire(&acquire(4, &limits)).await;
    assert_eq!(limited(&long), (LimitedReason::Requests, 3_598_500));
}

#[tokio::test]
async fn a_longer_window_counts_what_came_before_it() {
    let bench = Bench::default();
    bench.granted(&acquire(1, &limits(10, 10))).await;
    bench.settle(&settle(1, 1, Outcome::Succeeded)).await;
    bench.world.clock.advance(90_000);
    let mut newer = limits(10, 10);
    newer.config_version = 2;
    newer.windows = vec![WindowLimit {
        requests: 1,
        per_ms: 300_000,
    }];
    let refused = bench.acquire(&acquire(2, &newer)).await;
    assert_eq!(limited(&refused), (LimitedReason::Requests, 210_000));
}

#[tokio::test]
async fn settle_corrects_tokens_at_the_instant_of_the_admission() {
    let bench = Bench::default();
    let mut limits = limits(100, 100);
    limits.tpm = Some(1_000);
    let mut first = acquire(1, &limits);
    first.tokens = 900;
    bench.granted(&first).await;
    bench.world.clock.advance(30_000);
    let mut second = acquire(2, &limits);
    second.tokens = 200;
    let refused = bench.acquire(&second).await;
    assert_eq!(limited(&refused), (LimitedReason::Tokens, 30_000));
    let mut done = settle(1, 1, Outcome::Succeeded);
    done.tokens = Some(100);
    bench.settle(&done).await;
    bench.granted(&second).await;
    assert_eq!(bench.gauges().await.tokens_in_window, 300);
    bench.world.clock.advance(30_000);
    assert_eq!(bench.gauges().await.tokens_in_window, 200);
}

#[tokio::test]
async fn images_in_flight_are_weighted_and_come_back() {
    let bench = Bench::default();
    let limits = limits(100, 10);
    for n in 1..=2 {
        let mut command = acquire(n, &limits);
        command.images = 4;
        bench.granted(&command).await;
    }
    let mut third = acquire(3, &limits);
    third.images = 3;
    let reply: AcquireReply = bench.call("acquire", &third).await;
    assert_eq!(limited(&reply.decision).0, LimitedReason::Inflight);
    assert!(matches!(
        reply.decision,
        AcquireDecision::Limited {
            estimated: true,
            ..
        }
    ));
    let images = reply.headroom.images.unwrap();
    assert_eq!((images.limit, images.remaining), (10, 2));
    bench.settle(&settle(1, 1, Outcome::Succeeded)).await;
    bench.granted(&third).await;
}

#[tokio::test]
async fn what_can_never_fit_is_refused_and_not_delayed() {
    let bench = Bench::default();
    let mut limits = limits(5, 4);
    limits.tpm = Some(100);
    limits.windows = vec![WindowLimit {
        requests: 2,
        per_ms: 1_000,
    }];
    for (calls, tokens, images, name, value) in [
        (6, 0, 1, "rpm", 5),
        (1, 101, 1, "tpm", 100),
        (3, 0, 1, "windows", 2),
        (1, 0, 5, "max_inflight_images", 4),
    ] {
        let mut command = acquire(1, &limits);
        (command.calls, command.tokens, command.images) = (calls, tokens, images);
        match bench.acquire(&command).await {
            AcquireDecision::Refused {
                code: Code::RequestExceedsLimit,
                limit,
                value: said,
            } => assert_eq!((limit.as_str(), said), (name, value)),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_refusal_uses_nothing_up_and_writes_nothing() {
    let bench = Bench::default();
    let limits = limits(1, 10);
    bench.granted(&acquire(1, &limits)).await;
    let writes = bench.world.faults.calls("storage.exec");
    for n in 2..100 {
        limited(&bench.acquire(&acquire(n, &limits)).await);
    }
    // Two reads each: by lease and by attempt.
    assert_eq!(bench.world.faults.calls("storage.exec") - writes, 98 * 2);
    assert_eq!(bench.gauges().await.requests_in_window, 1);
}

#[tokio::test]
async fn a_429_without_a_delay_waits_5_s_doubling_and_success_ends_it() {
    let bench = Bench::default();
    let limits = limits(100, 100);
    bench.granted(&acquire(1, &limits)).await;
    bench.granted(&acquire(2, &limits)).await;
    bench.granted(&acquire(99, &limits)).await;
    bench.settle(&settle(1, 1, Outcome::RateLimited)).await;
    let refused = bench.acquire(&acquire(3, &limits)).await;
    assert_eq!(limited(&refused), (LimitedReason::ProviderBackoff, 5_000));
    bench.world.clock.advance(5_000);
    bench.settle(&settle(2, 1, Outcome::RateLimited)).await;
    let refused = bench.acquire(&acquire(3, &limits)).await;
    assert_eq!(limited(&refused), (LimitedReason::ProviderBackoff, 10_000));
    bench.settle(&settle(99, 1, Outcome::Succeeded)).await;
    bench.granted(&acquire(3, &limits)).await;
}

#[tokio::test]
async fn a_429_with_a_delay_stops_admissions_until_then() {
    let bench = Bench::default();
    let limits = limits(100, 100);
    bench.granted(&acquire(1, &limits)).await;
    let mut told = settle(1, 1, Outcome::RateLimited);
    told.retry_after_ms = Some(12_345);
    bench.settle(&told).await;
    bench.world.clock.advance(345);
    let refused = bench.acquire(&acquire(2, &limits)).await;
    assert_eq!(limited(&refused), (LimitedReason::ProviderBackoff, 12_000));
    // Its entry stays: the provider has counted it.
    assert_eq!(bench.gauges().await.requests_in_window, 1);
}

#[tokio::test]
async fn the_providers_own_limit_lowers_ours_until_the_configuration_changes() {
    let bench = Bench::default();
    let limits = limits(100, 10);
    for n in 1..=4 {
        bench.granted(&acquire(n, &limits)).await;
    }
    let mut told = settle(4, 1, Outcome::RateLimited);
    told.observed_max_inflight = Some(3);
    bench.settle(&told).await;
    assert_eq!(bench.gauges().await.effective_max_inflight, Some(3));
    let refused = bench.acquire(&acquire(5, &limits)).await;
    assert_eq!(limited(&refused).0, LimitedReason::Inflight);
    let mut large = acquire(6, &limits);
    large.images = 4;
    let decision = bench.acquire(&large).await;
    assert!(
        matches!(decision, AcquireDecision::Refused { value: 3, .. }),
        "{decision:?}"
    );
    let mut newer = limits.clone();
    newer.config_version = 2;
    bench.granted(&acquire(7, &newer)).await;
    assert_eq!(bench.gauges().await.effective_max_inflight, Some(10));
}

#[tokio::test]
async fn a_shared_account_gives_places_back_one_each_30_s() {
    let bench = Bench::default();
    let limits = limits(100, 10);
    for n in 1..=4 {
        bench.granted(&acquire(n, &limits)).await;
    }
    let mut told = settle(4, 1, Outcome::RateLimited);
    told.observed_max_inflight = Some(10);
    bench.settle(&told).await;
    // Three of ours run and it is full: others have the rest.
    assert_eq!(bench.gauges().await.effective_max_inflight, Some(3));
    let refused = bench.acquire(&acquire(5, &limits)).await;
    assert_eq!(limited(&refused).0, LimitedReason::Inflight);
    bench.world.clock.advance(30_000);
    assert_eq!(bench.gauges().await.effective_max_inflight, Some(4));
    bench.granted(&acquire(5, &limits)).await;
    bench.world.clock.advance(600_000);
    assert_eq!(bench.gauges().await.effective_max_inflight, Some(10));
}

#[tokio::test]
async fn five_failures_open_the_breaker_and_one_probe_closes_it() {
    let bench = Bench::default();
    let limits = limits(1_000, 100);
    for n in 1..=5 {
        bench.granted(&acquire(n, &limits)).await;
        bench.settle(&settle(n, 1, Outcome::Unavailable)).await;
    }
    let (reason, delay_ms) = limited(&bench.acquire(&acquire(6, &limits)).await);
    assert_eq!(reason, LimitedReason::Breaker);
    assert!((30_000..=36_000).contains(&delay_ms), "{delay_ms}");
    bench.world.clock.advance(delay_ms);
    let probe = bench.acquire(&acquire(6, &limits)).await;
    assert!(
        matches!(probe, AcquireDecision::Granted { probe: true, .. }),
        "{probe:?}"
    );
    let second = bench.acquire(&acquire(7, &limits)).await;
    assert_eq!(limited(&second).0, LimitedReason::Breaker);
    // A repeated answer is the same answer.
    assert_eq!(bench.acquire(&acquire(6, &limits)).await, probe);
    bench.settle(&settle(6, 1, Outcome::Succeeded)).await;
    bench.granted(&acquire(7, &limits)).await;
}

#[tokio::test]
async fn a_lost_probe_opens_the_breaker_again_at_its_deadline() {
    let mut bench = Bench::default();
    let limits = limits(1_000, 100);
    for n in 1..=5 {
        bench.granted(&acquire(n, &limits)).await;
        bench.settle(&settle(n, 1, Outcome::Timeout)).await;
    }
    bench.pass(36_000).await;
    bench.granted(&acquire(6, &limits)).await;
    bench.crash();
    bench.pass(60_000).await;
    let (reason, delay_ms) = limited(&bench.acquire(&acquire(7, &limits)).await);
    assert_eq!(reason, LimitedReason::Breaker);
    assert!(delay_ms > 55_000, "{delay_ms}");
    bench.pass(delay_ms).await;
    let probe = bench.acquire(&acquire(7, &limits)).await;
    assert!(
        matches!(probe, AcquireDecision::Granted { probe: true, .. }),
        "{probe:?}"
    );
}

#[tokio::test]
async fn an_unused_probe_is_passed_on() {
    let bench = Bench::default();
    let limits = limits(1_000, 100);
    for n in 1..=5 {
        bench.granted(&acquire(n, &limits)).await;
        bench.settle(&settle(n, 1, Outcome::NoOutput)).await;
    }
    bench.world.clock.advance(36_000);
    bench.granted(&acquire(6, &limits)).await;
    let _: LeaseReply = bench
        .call("release", &release(6, 1, ReleaseReason::NotSent))
        .await;
    let next = bench.acquire(&acquire(7, &limits)).await;
    assert!(
        matches!(next, AcquireDecision::Granted { probe: true, .. }),
        "{next:?}"
    );
}

#[tokio::test]
async fn a_refused_key_opens_once_for_all_calls_under_way_and_a_new_configuration_closes() {
    let bench = Bench::default();
    let limits = limits(1_000, 100);
    for n in 1..=10 {
        bench.granted(&acquire(n, &limits)).await;
    }
    for n in 1..=10 {
        bench.settle(&settle(n, 1, Outcome::Auth)).await;
    }
    let (reason, delay_ms) = limited(&bench.acquire(&acquire(11, &limits)).await);
    assert_eq!(reason, LimitedReason::Breaker);
    assert!((60_000..=72_000).contains(&delay_ms), "{delay_ms}");
    let mut newer = limits.clone();
    newer.config_version = 2;
    bench.granted(&acquire(12, &newer)).await;
}

#[tokio::test]
async fn a_call_of_the_older_configuration_does_not_open_the_newer_breaker() {
    let bench = Bench::default();
    let limits = limits(1_000, 100);
    bench.granted(&acquire(1, &limits)).await;
    let mut newer = limits.clone();
    newer.config_version = 2;
    bench.granted(&acquire(2, &newer)).await;
    bench.settle(&settle(1, 1, Outcome::Auth)).await;
    bench.granted(&acquire(3, &newer)).await;
}

#[tokio::test]
async fn repeats_are_a_tenth_of_the_first_attempts_and_at_least_three() {
    let bench = Bench::default();
    let limits = limits(1_000, 1_000);
    let repeat = |n: u64| {
        let mut command = acquire(1_000 + n, &limits);
        (command.job_id, command.attempt_no) = (job(n), 2);
        command
    };
    for n in 1..=10 {
        bench.granted(&acquire(n, &limits)).await;
        let mut failed = settle(n, 1, Outcome::RateLimited);
        (failed.next, failed.retry_after_ms) = (Next::Retry, Some(0));
        bench.settle(&failed).await;
    }
    for n in 1..=3 {
        bench.granted(&repeat(n)).await;
    }
    let refused = bench.acquire(&repeat(4)).await;
    assert_eq!(limited(&refused), (LimitedReason::RetryBudget, 60_000));
    for n in 100..140 {
        bench.granted(&acquire(n, &limits)).await;
    }
    bench.granted(&repeat(5)).await;
    bench.granted(&repeat(6)).await;
    let refused = bench.acquire(&repeat(7)).await;
    assert_eq!(limited(&refused).0, LimitedReason::RetryBudget);
}

#[tokio::test]
async fn jobs_that_come_from_another_provider_are_no_repeats() {
    let bench = Bench::default();
    let limits = limits(1_000, 1_000);
    for n in 1..=20 {
        let mut arrival = acquire(n, &limits);
        arrival.attempt_no = 2;
        bench.granted(&arrival).await;
    }
}

#[tokio::test]
async fn limits_of_an_older_configuration_are_ignored() {
    let bench = Bench::default();
    let mut newer = limits(1, 10);
    newer.config_version = 5;
    bench.granted(&acquire(1, &newer)).await;
    let older = limits(100, 10);
    let refused = bench.acquire(&acquire(2, &older)).await;
    assert_eq!(limited(&refused).0, LimitedReason::Requests);
    assert_eq!(bench.gauges().await.limits.config_version, 5);
}

#[tokio::test]
async fn stats_tell_median_and_failures() {
    let bench = Bench::default();
    let limits = limits(1_000, 100);
    for (n, ms) in [(1, 1_000), (2, 9_000), (3, 3_000)] {
        bench.granted(&acquire(n, &limits)).await;
        let mut done = settle(n, 1, Outcome::Succeeded);
        done.generation_ms = Some(ms);
        bench.settle(&done).await;
    }
    bench.granted(&acquire(4, &limits)).await;
    bench.settle(&settle(4, 1, Outcome::Timeout)).await;
    let reply: AcquireReply = bench.call("acquire", &acquire(5, &limits)).await;
    assert_eq!(reply.stats.median_ms, 3_000);
    assert_eq!(reply.stats.errors_per_mille, 250);
    assert_eq!(reply.stats.inflight_images, 1);
}

#[tokio::test]
async fn malformed_commands_are_400_and_change_nothing() {
    let bench = Bench::default();
    let good = acquire(1, &limits(10, 10));
    let broken = |change: &dyn Fn(&mut Acquire)| {
        let mut command = good.clone();
        change(&mut command);
        command
    };
    for command in [
        broken(&|command| command.v = 2),
        broken(&|command| command.attempt_no = 0),
        broken(&|command| command.calls = 0),
        broken(&|command| command.images = 0),
    ] {
        let reply = bench.raw("acquire", &command).await;
        assert_eq!(reply.status, 400, "{}", reply.body);
    }
    let large = broken(&|command| command.job = json!("x".repeat(131_072)));
    assert_eq!(bench.raw("acquire", &large).await.status, 413);
    for body in ["", "{", "[]", "{\"v\":1}", "{\"v\":\"1\"}"] {
        let reply = bench.object.handle("acquire", body).await;
        assert_eq!(reply.status, 400, "{body}: {}", reply.body);
        let refusal: LimiterRefusal = serde_json::from_str(&reply.body).unwrap();
        assert_eq!(refusal.error, Code::InvalidRequest);
    }
    assert_eq!(bench.raw("enlist", &json!({ "v": 1 })).await.status, 404);
    assert_eq!(bench.gauges().await.open_attempts, 0);
}

#[tokio::test]
async fn members_of_the_next_release_are_accepted() {
    let bench = Bench::default();
    let mut body = serde_json::to_value(acquire(1, &limits(10, 10))).unwrap();
    body["of_the_next_release"] = json!({ "deep": [1, 2] });
    let reply = bench.raw("acquire", &body).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
}

#[tokio::test]
async fn an_object_serves_one_provider_of_one_instance() {
    let bench = Bench::default();
    bench.granted(&acquire(1, &limits(10, 10))).await;
    let mut foreign = acquire(2, &limits(10, 10));
    foreign.provider = ProviderName::parse("openai").unwrap();
    assert_eq!(bench.raw("acquire", &foreign).await.status, 400);
}

#[tokio::test]
async fn the_clock_never_goes_back() {
    let mut bench = Bench::default();
    let limits = limits(1, 10);
    bench.granted(&acquire(1, &limits)).await;
    bench.world.clock.set(bench.now_ms() - 3_600_000);
    let refused = bench.acquire(&acquire(2, &limits)).await;
    assert_eq!(limited(&refused), (LimitedReason::Requests, 60_000));
    bench.crash();
    let refused = bench.acquire(&acquire(2, &limits)).await;
    assert_eq!(limited(&refused), (LimitedReason::Requests, 60_000));
}

#[tokio::test]
async fn gauges_tell_the_windows_the_back_off_and_what_the_provider_has_named() {
    let bench = Bench::default();
    let mut limits = limits(100, 10);
    limits.windows = [(50, 10_000), (500, 600_000)]
        .map(|(requests, per_ms)| WindowLimit { requests, per_ms })
        .to_vec();
    bench.granted(&acquire(1, &limits)).await;
    bench.world.clock.advance(20_000);
    bench.granted(&acquire(2, &limits)).await;
    let gauges = bench.gauges().await;
    assert_eq!(gauges.calls_in_windows, [1, 2]);
    assert_eq!(
        (gauges.backoff_ms, gauges.calibrated_max_inflight),
        (0, None)
    );
    let mut refused = settle(2, 1, Outcome::RateLimited);
    (refused.retry_after_ms, refused.observed_max_inflight) = (Some(7_000), Some(4));
    bench.settle(&refused).await;
    let gauges = bench.gauges().await;
    assert_eq!(
        (gauges.backoff_ms, gauges.calibrated_max_inflight),
        (7_000, Some(4))
    );
    bench.world.clock.advance(7_000);
    assert_eq!(bench.gauges().await.backoff_ms, 0);
}

#[tokio::test]
async fn a_lost_call_teaches_how_long_it_took_at_least() {
    for taken in [false, true] {
        let bench = Bench::default();
        let limits = limits(100, 10);
        bench.granted(&acquire(1, &limits)).await;
        if taken {
            // The alarm is late; whoever takes the row over finds the holder gone.
            bench.world.clock.advance(60_000);
            bench.taken(1).await;
        } else {
            bench.pass(60_000).await;
        }
        let reply: AcquireReply = bench.call("acquire", &acquire(2, &limits)).await;
        assert_eq!(reply.stats.median_ms, 60_000, "taken {taken}");
    }
}

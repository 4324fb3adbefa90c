//! Ring 1: the client repeats what is safe to repeat, and nothing else.

use crate::support::*;
use api_types::*;
use errors::Code;
use platform::fakes::{FakePorts, When, World};
use platform::{ActorReply, CallContext};
use rate_limiter::LimiterClient;

fn client() -> (FakePorts, LimiterClient<FakePorts>) {
    let ports = FakePorts::new(World::auto()).unwrap();
    let client = LimiterClient::new(ports.actors.clone(), ports.world.clock.clone());
    (ports, client)
}

fn answer(ports: &FakePorts, status: u16, body: &str) {
    let body = body.to_owned();
    ports.actors.handle(move |_, _, _| {
        let body = body.clone();
        async move { ActorReply { status, body } }
    });
}

const GRANTED: &str = r#"{"decision":{"granted":{"lease_id":"00000001-0000-7000-8000-000000000001","epoch":1,"probe":false}}}"#;

fn context() -> CallContext {
    CallContext {
        request_id: "r".to_owned(),
        traceparent: "t".to_owned(),
    }
}

#[tokio::test]
async fn acquire_goes_to_the_object_of_instance_and_provider() {
    let (ports, client) = client();
    answer(&ports, 200, GRANTED);
    let command = acquire(1, &limits(10, 10));
    let reply = client.acquire(&command, &context()).await.unwrap();
    assert!(matches!(
        reply.decision,
        AcquireDecision::Granted { epoch: 1, .. }
    ));
    let calls = ports.actors.calls();
    assert_eq!(calls.len(), 1);
    assert_eq!(
        (calls[0].name.as_str(), calls[0].command.as_str()),
        (OBJECT, "acquire")
    );
    assert_eq!(calls[0].context, context());
}

#[tokio::test]
async fn a_lost_answer_is_repeated_twice_with_the_same_ids() {
    for when in [When::Before, When::After] {
        let (ports, client) = client();
        answer(&ports, 200, GRANTED);
        ports.world.faults.fail("actors", 1, when);
        ports.world.faults.fail("actors", 2, when);
        let began_ms = platform::Clock::now_ms(&ports.world.clock);
        client
            .acquire(&acquire(1, &limits(10, 10)), &context())
            .await
            .unwrap();
        assert_eq!(ports.world.faults.pending(), 0);
        assert_eq!(platform::Clock::now_ms(&ports.world.clock) - began_ms, 250);
        let bodies: Vec<String> = ports
            .actors
            .calls()
            .into_iter()
            .map(|call| call.body)
            .collect();
        assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]));
        assert_eq!(ports.world.ops.count().do_calls, 3);
    }
}

#[tokio::test]
async fn silence_is_503_and_nothing_was_sent() {
    let (ports, client) = client();
    ports.world.faults.fail_every("actors", When::Before);
    let error = client
        .acquire(&acquire(1, &limits(10, 10)), &context())
        .await
        .unwrap_err();
    assert_eq!(
        (error.code, error.code.status()),
        (Code::LimiterUnavailable, 503)
    );
    assert!(error.retry_after_ms.is_some());
    assert_eq!(ports.world.ops.count().do_calls, 3);
}

#[tokio::test]
async fn an_overloaded_object_is_not_asked_again() {
    let (ports, client) = client();
    ports
        .world
        .faults
        .fail_every_with("actors", When::Before, "Durable Object is overloaded.");
    let error = client
        .renew(OBJECT, &renew(1, 1), &context())
        .await
        .unwrap_err();
    assert_eq!(error.code, Code::LimiterUnavailable);
    assert_eq!(ports.world.ops.count().do_calls, 1);
}

#[tokio::test]
async fn refusals_become_errors_and_are_not_repeated() {
    for (status, body, code) in [
        (
            409,
            r#"{"error":"lease_lost","message":"x"}"#,
            Code::LeaseLost,
        ),
        (
            404,
            r#"{"error":"not_found","message":"x"}"#,
            Code::NotFound,
        ),
        (
            413,
            r#"{"error":"payload_too_large","message":"x"}"#,
            Code::PayloadTooLarge,
        ),
        (
            400,
            r#"{"error":"invalid_request","message":"x"}"#,
            Code::InternalError,
        ),
        (400, "<html>", Code::InternalError),
        (200, "<html>", Code::InternalError),
    ] {
        let (ports, client) = client();
        answer(&ports, status, body);
        let error = client
            .renew(OBJECT, &renew(1, 1), &context())
            .await
            .unwrap_err();
        assert_eq!(error.code, code, "{status} {body}");
        assert_eq!(ports.actors.calls().len(), 1);
    }
}

#[tokio::test]
async fn an_object_that_failed_is_asked_again() {
    let (ports, client) = client();
    answer(
        &ports,
        500,
        r#"{"error":"internal_error","message":"storage failed"}"#,
    );
    let error = client
        .renew(OBJECT, &renew(1, 1), &context())
        .await
        .unwrap_err();
    assert_eq!(error.code, Code::LimiterUnavailable);
    assert_eq!(ports.actors.calls().len(), 3);
}

#[tokio::test]
async fn a_take_carries_the_nonce_of_its_taker_over_its_repeats() {
    let (ports, client) = client();
    answer(
        &ports,
        200,
        r#"{"busy":{"state":"held","retry_after_ms":1000}}"#,
    );
    ports.world.faults.fail("actors", 1, When::After);
    for taker in ["first", "second"] {
        let taken = client.take(OBJECT, &take(1), taker, &context()).await;
        assert!(taken.is_ok(), "{taken:?}");
    }
    let takers: Vec<serde_json::Value> = ports
        .actors
        .calls()
        .iter()
        .map(|call| serde_json::from_str::<serde_json::Value>(&call.body).unwrap()["taker"].clone())
        .collect();
    assert_eq!(takers, ["first", "first", "second"]);
}

#[tokio::test]
async fn an_object_that_hangs_counts_as_no_answer() {
    let (ports, client) = client();
    answer(&ports, 200, GRANTED);
    ports.world.faults.slow("actors", 10_000_000);
    let began_ms = platform::Clock::now_ms(&ports.world.clock);
    let error = client
        .acquire(&acquire(1, &limits(10, 10)), &context())
        .await
        .unwrap_err();
    assert_eq!(error.code, Code::LimiterUnavailable);
    let took_ms = platform::Clock::now_ms(&ports.world.clock) - began_ms;
    // It is not asked again: a second command would only wait behind the first one.
    assert_eq!(took_ms, 10_000);
}

//! The fakes fail where a test tells them to, and have persisted exactly when they say so.
#![expect(clippy::expect_used, reason = "a set-up that fails fails the test")]

use bytes::Bytes;
use platform::fakes::{FakePorts, FakeReply, When, World};
use platform::{
    ActorStorage, CallContext, Clock, Database, HttpClient, HttpRequest, MessageQueue, ObjectStore,
    Ops, PutBody, PutOptions, SendPhase, Statement, collect,
};

const START_MS: i64 = platform::fakes::START_MS;

fn ports() -> FakePorts {
    FakePorts::new(World::auto()).expect("an empty database opens")
}

fn get(timeout_ms: u64) -> HttpRequest {
    HttpRequest {
        method: http::Method::GET,
        url: "https://peer.test/".to_owned(),
        headers: http::HeaderMap::new(),
        body: Bytes::new(),
        timeout_ms,
    }
}

#[tokio::test]
async fn an_object_is_there_after_a_lost_answer_and_not_after_a_lost_request() {
    let ports = ports();
    let put = async |key: &str| {
        let body = PutBody::Bytes(Bytes::from_static(b"x"));
        ports.objects.put(key, body, &PutOptions::default()).await
    };
    ports.world.faults.fail("objects.put", 2, When::After);
    put("one").await.unwrap();
    assert!(put("two").await.is_err());
    ports.world.faults.fail("objects.put", 1, When::Before);
    assert!(put("three").await.is_err());
    assert_eq!(ports.objects.keys(), ["one", "two"]);
    let count = ports.world.ops.count();
    assert_eq!((count.r2_ops, count.r2_puts), (3, 3));
}

#[tokio::test]
async fn a_body_that_is_read_can_break_half_way() {
    let ports = ports();
    let body = PutBody::Bytes(Bytes::from(vec![7; 100_000]));
    let options = PutOptions::default();
    ports.objects.put("k", body, &options).await.unwrap();
    ports.world.faults.fail("objects.body", 1, When::Before);
    let read = ports.objects.get("k").await.unwrap().unwrap();
    assert!(collect(read.body, 1_000_000).await.is_err());
    let read = ports.objects.get("k").await.unwrap().unwrap();
    assert_eq!(collect(read.body, 1_000_000).await.unwrap().len(), 100_000);
}

#[tokio::test]
async fn a_message_whose_answer_is_lost_arrives() {
    let ports = ports();
    ports.world.faults.fail("queue", 1, When::After);
    assert!(ports.queue.send("1").await.is_err());
    ports.world.faults.fail("queue", 1, When::Before);
    assert!(ports.queue.send("2").await.is_err());
    assert_eq!(ports.queue.take(), ["1"]);
}

#[tokio::test]
async fn a_request_that_fails_before_was_not_sent_and_one_that_fails_after_may_have_been() {
    let ports = ports();
    ports.http.reply(FakeReply::status(200));
    ports.world.faults.fail("http", 1, When::Before);
    let refused = ports.http.send(get(1_000)).await.err().unwrap();
    assert_eq!(refused.phase, SendPhase::NotSent);
    assert!(ports.http.requests().is_empty());
    ports.world.faults.fail("http", 1, When::After);
    let lost = ports.http.send(get(1_000)).await.err().unwrap();
    assert_eq!((lost.phase, lost.timed_out), (SendPhase::MaybeSent, false));
    assert_eq!(ports.http.requests().len(), 1);
    assert_eq!((ports.http.unused(), ports.world.faults.pending()), (0, 0));
}

#[tokio::test]
async fn a_slow_port_takes_virtual_time_and_meets_deadlines() {
    let ports = ports();
    ports.world.faults.slow("http", 400);
    ports.http.reply(FakeReply::status(200));
    ports.http.send(get(1_000)).await.ok().unwrap();
    assert_eq!(ports.world.clock.now_ms(), START_MS + 400);
    ports.http.reply(FakeReply::status(200));
    let late = ports.http.send(get(100)).await.err().unwrap();
    assert!(late.timed_out);
    assert_eq!(ports.world.clock.now_ms(), START_MS + 500);
}

#[tokio::test]
async fn an_actor_whose_storage_fails_after_has_stored() {
    let ports = ports();
    let storage = ports.storage().unwrap();
    storage.exec("CREATE TABLE t (n INTEGER)", &[]).unwrap();
    let faults = &ports.world.faults;
    faults.fail("storage.exec", 1, When::After);
    assert!(storage.exec("INSERT INTO t VALUES (1)", &[]).is_err());
    faults.fail("storage.exec", 1, When::Before);
    assert!(storage.exec("INSERT INTO t VALUES (2)", &[]).is_err());
    let rows = storage.exec("SELECT n FROM t", &[]).unwrap();
    assert_eq!(rows.len(), 1);
    faults.fail("storage.set_alarm", 1, When::After);
    assert!(storage.set_alarm(7).await.is_err());
    assert_eq!(storage.alarm_ms(), Some(7));
}

#[tokio::test]
async fn each_request_counts_for_itself() {
    let ports = ports();
    let (one, two) = (
        ports.with_ops(Ops::default()),
        ports.with_ops(Ops::default()),
    );
    let select = vec![Statement::new("SELECT 1"), Statement::new("SELECT 2")];
    one.database.batch(select).await.unwrap();
    two.queue.send("1").await.unwrap();
    assert_eq!(one.world.ops.count().d1_queries, 2);
    assert_eq!(two.world.ops.count().d1_queries, 0);
    assert_eq!(ports.queue.sent(), ["1"]);
}

/// Handlers of `FakeActors` run generic object code on `FakeStorage`: its futures must be `Send`.
#[tokio::test]
async fn an_object_over_fake_storage_can_answer_a_fake_actor() {
    use platform::{ActorReply, Actors};
    async fn serve(storage: &impl ActorStorage, body: String) -> ActorReply {
        storage.set_alarm(5).await.unwrap();
        let body = storage
            .get_alarm()
            .await
            .unwrap()
            .map_or(body, |at| at.to_string());
        ActorReply { status: 200, body }
    }
    let ports = ports();
    let storage = ports.storage().unwrap();
    ports.actors.handle(move |_, _, body| {
        let storage = storage.clone();
        async move { serve(&storage, body).await }
    });
    let context = CallContext::default();
    let reply = ports.actors.call("a", "set", "{}".into(), &context).await;
    assert_eq!(reply.unwrap().body, "5");
}

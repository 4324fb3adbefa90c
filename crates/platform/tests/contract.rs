//! The promises of the ports, kept by the fakes. The same functions run on workerd.
#![expect(clippy::unwrap_used, reason = "a broken promise fails the test")]

use platform::fakes::{FakeHttp, FakePorts, FakeReply, World};
use platform::{ActorReply, Clock, HttpRequest, SendPhase, contract};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

fn ports() -> FakePorts {
    FakePorts::new(World::auto()).unwrap()
}

#[tokio::test]
async fn the_clock_keeps_its_promises() {
    contract::clock(&World::auto().clock).await.unwrap();
}

#[test]
fn randomness_keeps_its_promises() {
    let world = World::auto();
    contract::random(&world.random, &world.clock).unwrap();
}

#[tokio::test]
async fn the_key_value_store_keeps_its_promises() {
    contract::kv(&ports().kv, "k").await.unwrap();
}

#[tokio::test]
async fn the_object_store_keeps_its_promises() {
    let ports = ports();
    contract::objects(&ports.objects, "o").await.unwrap();
    assert_eq!(ports.objects.open_uploads(), 0);
}

#[tokio::test]
async fn the_database_keeps_its_promises() {
    contract::database(&ports().database).await.unwrap();
}

#[tokio::test]
async fn the_queue_keeps_its_promises() {
    let ports = ports();
    contract::queue(&ports.queue).await.unwrap();
    assert_eq!(ports.queue.take(), ["{\"contract\":true}"]);
}

#[tokio::test]
async fn the_storage_of_an_actor_keeps_its_promises() {
    let ports = ports();
    let storage = ports.storage().unwrap();
    let now_ms = ports.world.clock.now_ms();
    contract::storage(&storage, now_ms).await.unwrap();
}

#[tokio::test]
async fn actors_keep_their_promises() {
    let ports = ports();
    let counts = Arc::new(Mutex::new(BTreeMap::<String, u32>::new()));
    ports.actors.handle(move |name, command, body| {
        let (status, body) = match command.as_str() {
            "contract-echo" => (200, body),
            "contract-count" => {
                let mut counts = counts.lock().unwrap();
                let count = counts.entry(name).or_default();
                *count += 1;
                (200, count.to_string())
            }
            _ => (409, "{}".to_owned()),
        };
        async move { ActorReply { status, body } }
    });
    contract::actors(&ports.actors, "a").await.unwrap();
    let calls = ports.actors.calls();
    assert!(calls[0].context.traceparent.starts_with("00-"));
}

#[tokio::test]
async fn background_work_runs() {
    let ports = ports();
    let ran = contract::background(&ports.background, &ports.world.clock);
    assert!(!ran.load(Ordering::Relaxed));
    assert_eq!(ports.background.drain().await, 1);
    assert!(ran.load(Ordering::Relaxed));
}

async fn peer(request: HttpRequest) -> FakeReply {
    let url = url::Url::parse(&request.url).unwrap();
    match (url.host_str().unwrap(), url.path()) {
        ("peer.test", "/echo") => {
            let echo = request.headers["x-echo"].to_str().unwrap();
            let reply = FakeReply::bytes(200, "text/plain", request.body.clone());
            let reply = reply.header("x-echo", echo).header("set-cookie", "a=1");
            reply.header("set-cookie", "b=2").chunked(1)
        }
        ("peer.test", "/redirect") => FakeReply::status(302).header("location", "/echo"),
        ("peer.test", "/slow") => FakeReply::status(200).delayed(5_000),
        ("peer.test", "/drip") => FakeReply::bytes(200, "text/plain", "ab")
            .chunked(1)
            .dripping(5_000),
        ("peer.test", "/cut") => FakeReply::bytes(200, "text/plain", "abcdefghij").cut_after(3),
        ("peer.test", _) => FakeReply::bytes(404, "text/plain", "no"),
        ("refused.test", _) => FakeReply::failure(SendPhase::NotSent, "connection refused"),
        ("unknown.test", _) => FakeReply::failure(SendPhase::NotSent, "name not found"),
        _ => FakeReply::failure(SendPhase::MaybeSent, "connection lost"),
    }
}

async fn exchange(client: &FakeHttp) {
    client.handle(peer);
    let peers = contract::HttpPeers {
        base: "https://peer.test".to_owned(),
        refused: Some("https://refused.test/".to_owned()),
        unknown: Some("https://unknown.test/".to_owned()),
        hangs_up: Some("https://hangs-up.test/".to_owned()),
    };
    contract::http_client(client, &peers).await.unwrap();
}

#[tokio::test]
async fn http_keeps_its_promises() {
    let ports = ports();
    exchange(&ports.http).await;
    exchange(&ports.service).await;
    let count = ports.world.ops.count();
    assert_eq!((count.subrequests, count.service_calls), (11, 11));
}

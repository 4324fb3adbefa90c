//! Promises of the small ports: clock, randomness, queue, actors, background.

use super::{Verdict, equal, holds, refusal, step};
use crate::{Actors, Background, CallContext, Clock, MessageQueue, Random, new_uuid};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Sleeps a few milliseconds.
pub async fn clock(clock: &impl Clock) -> Verdict {
    let before = clock.now_ms();
    holds("the clock knows the year", before > 1_700_000_000_000)?;
    clock.sleep(20).await;
    let after = clock.now_ms();
    // The runtime rounds to milliseconds on both ends.
    holds(
        "a sleep lasts at least as long as asked",
        after >= before + 19,
    )?;
    clock.sleep(0).await;
    holds("the clock does not go back", clock.now_ms() >= after)
}

/// Takes some bytes.
pub fn random(random: &impl Random, clock: &impl Clock) -> Verdict {
    let mut first = [0; 40];
    let mut second = [0; 40];
    random.fill(&mut first);
    random.fill(&mut second);
    holds("two fills differ", first != second)?;
    let quiet = first.windows(4).any(|window| window == [0; 4]);
    holds("the whole slice is filled", !quiet)?;
    // More than one call of the platform can give.
    let mut large = vec![0; 70_000];
    random.fill(&mut large);
    let tail = large.rchunks(16).next().unwrap_or_default();
    holds("large slices are filled to the end", tail != [0; 16])?;
    let (one, two) = (new_uuid(clock, random), new_uuid(clock, random));
    holds("ids differ", one != two)?;
    equal("ids are version 7", &one.get(14..15), &Some("7"))
}

/// Sends one small message, which the consumer must tolerate: `{"contract":true}`.
pub async fn queue(queue: &impl MessageQueue) -> Verdict {
    step("send", queue.send("{\"contract\":true}").await)?;
    let large = format!("\"{}\"", "x".repeat(130_000));
    refusal("a message over 128 KB is refused", queue.send(&large).await)?;
    Ok(())
}

/// Needs objects that answer `contract-echo` with the body, `contract-refuse` with 409,
/// and `contract-count` with how often it was called on that object.
pub async fn actors(actors: &impl Actors, unique: &str) -> Verdict {
    let context = CallContext {
        request_id: "0197a000-0000-7000-8000-000000000001".to_owned(),
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
    };
    let ask = async |name: &str, command: &str, body: &str| {
        let reply = actors.call(name, command, body.to_owned(), &context).await;
        step(command, reply)
    };
    let (one, two) = (format!("{unique}:one"), format!("{unique}:two"));
    let body = "{\"t\":\"ä\u{1F600}\"}";
    let echo = ask(&one, "contract-echo", body).await?;
    equal("the status comes back", &echo.status, &200)?;
    equal("the body goes and comes", &echo.body.as_str(), &body)?;
    let refused = ask(&one, "contract-refuse", "{}").await?;
    equal(
        "a refusal is an answer, not a failure",
        &refused.status,
        &409,
    )?;
    let counts = [
        ask(&one, "contract-count", "{}").await?.body,
        ask(&one, "contract-count", "{}").await?.body,
        ask(&two, "contract-count", "{}").await?.body,
    ];
    let wanted = ["1", "2", "1"].map(str::to_owned);
    equal("a name is one object", &counts, &wanted)
}

/// Starts work that sets the returned flag; whether it ran is for the caller to see.
pub fn background(background: &impl Background, clock: &impl Clock) -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let (set, clock) = (flag.clone(), clock.clone());
    background.spawn(async move {
        clock.sleep(20).await;
        set.store(true, Ordering::Relaxed);
    });
    flag
}

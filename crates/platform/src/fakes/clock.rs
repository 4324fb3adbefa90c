//! Virtual time: it moves when the test says so, or by itself when everybody sleeps.

use super::world::lock;
use crate::Clock;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

/// When virtual time starts: 2025-11-21T10:00:00Z, in milliseconds since the epoch.
pub const START_MS: i64 = 1_763_719_200_000;

/// How often a sleeper lets others go first before it moves the clock.
const TURNS: u32 = 8;
/// After so many turns in which time stood still, an earlier sleeper that nobody polls any more does not hold the clock.
const PATIENCE: u32 = 256;

#[derive(Debug)]
struct State {
    now_ms: i64,
    next_id: u64,
    sleepers: BTreeMap<u64, (i64, Waker)>,
}

/// A clock for tests.
#[derive(Clone, Debug)]
pub struct FakeClock {
    state: Arc<Mutex<State>>,
    auto: bool,
}

impl FakeClock {
    /// Time moves to the earliest sleeper as soon as nothing else makes progress.
    pub fn auto() -> Self {
        Self::starting(true)
    }

    /// Time stands until [`FakeClock::advance`].
    pub fn manual() -> Self {
        Self::starting(false)
    }

    fn starting(auto: bool) -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                now_ms: START_MS,
                next_id: 0,
                sleepers: BTreeMap::new(),
            })),
            auto,
        }
    }

    /// Moves time forward and wakes whoever is due.
    pub fn advance(&self, ms: u64) {
        let now_ms = lock(&self.state).now_ms;
        self.set(now_ms.saturating_add_unsigned(ms));
    }

    /// Sets the time, also backwards, and wakes whoever is due.
    pub fn set(&self, now_ms: i64) {
        let due: Vec<Waker> = {
            let mut state = lock(&self.state);
            state.now_ms = now_ms;
            let is_due = |(at_ms, _): &&(i64, Waker)| *at_ms <= now_ms;
            let due = state.sleepers.values().filter(is_due);
            due.map(|(_, waker)| waker.clone()).collect()
        };
        due.into_iter().for_each(Waker::wake);
    }

    /// How many sleep now.
    pub fn sleeping(&self) -> usize {
        lock(&self.state).sleepers.len()
    }
}

impl Clock for FakeClock {
    fn now_ms(&self) -> i64 {
        lock(&self.state).now_ms
    }

    fn sleep(&self, ms: u64) -> impl Future<Output = ()> + Send {
        Sleep {
            clock: self.clone(),
            until_ms: self.now_ms().saturating_add_unsigned(ms),
            id: None,
            turns: 0,
            seen_ms: i64::MIN,
        }
    }
}

struct Sleep {
    clock: FakeClock,
    until_ms: i64,
    id: Option<u64>,
    turns: u32,
    /// The time at the last turn.
    seen_ms: i64,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let clock = self.clock.clone();
        let mut state = lock(&clock.state);
        if state.now_ms >= self.until_ms {
            return Poll::Ready(());
        }
        let id = *self.id.get_or_insert_with(|| {
            state.next_id += 1;
            state.next_id
        });
        let entry = (self.until_ms, context.waker().clone());
        state.sleepers.insert(id, entry);
        if !clock.auto {
            return Poll::Pending;
        }
        if self.seen_ms != state.now_ms {
            self.seen_ms = state.now_ms;
            self.turns = 0;
        }
        self.turns += 1;
        let earliest = state.sleepers.values().map(|(at_ms, _)| *at_ms).min();
        let first = earliest.is_none_or(|at_ms| self.until_ms <= at_ms);
        if (first && self.turns > TURNS) || self.turns > PATIENCE {
            drop(state);
            clock.set(self.until_ms);
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            lock(&self.clock.state).sleepers.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::{Either, join, select};
    use futures_util::{FutureExt, pin_mut};

    #[tokio::test]
    async fn the_shorter_of_two_sleeps_ends_first() {
        let clock = FakeClock::auto();
        {
            let (long, short) = (clock.sleep(280_000), clock.sleep(200));
            pin_mut!(long, short);
            assert!(matches!(select(long, short).await, Either::Right(_)));
        }
        assert_eq!(clock.now_ms(), START_MS + 200);
        assert_eq!(clock.sleeping(), 0);
    }

    #[tokio::test]
    async fn sleepers_side_by_side_take_as_long_as_the_longest() {
        let clock = FakeClock::auto();
        join(clock.sleep(30), clock.sleep(50)).await;
        assert_eq!(clock.now_ms(), START_MS + 50);
    }

    #[tokio::test]
    async fn a_forgotten_sleeper_does_not_hold_the_clock() {
        let clock = FakeClock::auto();
        let mut forgotten = Box::pin(clock.sleep(10));
        assert!((&mut forgotten).now_or_never().is_none());
        clock.sleep(1_000).await;
        assert_eq!(clock.now_ms(), START_MS + 1_000);
        drop(forgotten);
    }

    #[tokio::test]
    async fn a_long_sleep_is_not_cut_by_many_short_ones_beside_it() {
        let clock = FakeClock::auto();
        let short = async {
            for _ in 0..1_000 {
                clock.sleep(10).await;
            }
        };
        let long = clock.sleep(280_000);
        pin_mut!(short, long);
        assert!(matches!(select(short, long).await, Either::Left(_)));
        assert_eq!(clock.now_ms(), START_MS + 10_000);
    }

    #[tokio::test]
    async fn a_manual_clock_waits_for_the_test() {
        let clock = FakeClock::manual();
        let sleeping = clock.clone();
        let sleeper = tokio::spawn(async move { sleeping.sleep(100).await });
        tokio::task::yield_now().await;
        clock.advance(99);
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(1);
        sleeper.await.unwrap();
    }
}

//! What all fakes of one test share.

use super::{FakeClock, FakeRandom, Faults, When};
use crate::{Clock, Ops};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Clock, randomness, faults and counter of one test.
#[derive(Clone, Debug)]
pub struct World {
    /// Virtual time.
    pub clock: FakeClock,
    /// Seeded randomness.
    pub random: FakeRandom,
    /// What goes wrong.
    pub faults: Faults,
    /// What was asked of the platform.
    pub ops: Ops,
}

impl World {
    /// A world whose clock moves by itself when all sleep.
    pub fn auto() -> Self {
        Self::with_clock(FakeClock::auto())
    }

    /// A world whose clock moves only by `advance`.
    pub fn manual() -> Self {
        Self::with_clock(FakeClock::manual())
    }

    /// A world of that clock.
    pub fn with_clock(clock: FakeClock) -> Self {
        Self {
            clock,
            random: FakeRandom::seeded(1),
            faults: Faults::default(),
            ops: Ops::default(),
        }
    }

    /// The same world with another counter, as each request has its own.
    #[must_use]
    pub fn with_ops(&self, ops: Ops) -> Self {
        Self {
            ops,
            ..self.clone()
        }
    }

    /// Enters a call: waits if it is slow, and fails if it fails before.
    pub(super) async fn enter(
        &self,
        port: &'static str,
        operation: &str,
    ) -> Result<Leaving, String> {
        let (slow_ms, hit) = self.faults.strike(port, operation);
        if slow_ms > 0 {
            self.clock.sleep(slow_ms).await;
        }
        Leaving::new(hit)
    }

    /// As `enter` for synchronous ports, which cannot be slow.
    pub(super) fn enter_now(&self, port: &'static str, operation: &str) -> Result<Leaving, String> {
        Leaving::new(self.faults.strike(port, operation).1)
    }
}

/// A call that has done its work and may still lose its answer.
pub(super) struct Leaving(Option<String>);

impl Leaving {
    fn new(hit: Option<(When, String)>) -> Result<Self, String> {
        match hit {
            None => Ok(Self(None)),
            Some((When::After, cause)) => Ok(Self(Some(cause))),
            Some((When::Before, cause)) => Err(cause),
        }
    }

    pub(super) fn leave(self) -> Result<(), String> {
        self.0.map_or(Ok(()), Err)
    }
}

/// A test that failed while it held the lock must not hide its own message behind a poisoned one.
pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Work after the answer, run when the test says so.

use super::world::lock;
use crate::Background;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, join_all, select};
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};

#[derive(Default)]
struct Pending(Mutex<Vec<BoxFuture<'static, ()>>>);

impl Drop for Pending {
    fn drop(&mut self) {
        let left = lock(&self.0).len();
        // A second panic while a test fails already would abort the whole run.
        assert!(
            left == 0 || std::thread::panicking(),
            "{left} background futures were never run: drain() or abandon() them"
        );
    }
}

/// Collects work; [`FakeBackground::drain`] runs it. Dropped with work left over it fails the test.
#[derive(Clone, Default)]
pub struct FakeBackground(Arc<Pending>);

impl FakeBackground {
    /// Nothing to do yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many futures wait.
    pub fn pending(&self) -> usize {
        lock(&self.0.0).len()
    }

    /// Runs all of it, and what it starts in turn. Returns how many futures ran.
    pub async fn drain(&self) -> usize {
        let mut ran = 0;
        loop {
            let batch = std::mem::take(&mut *lock(&self.0.0));
            if batch.is_empty() {
                return ran;
            }
            ran += batch.len();
            join_all(batch).await;
        }
    }

    /// Runs it until `cut` is over, as the platform does after the answer; what is left then is lost. Returns whether
    /// all of it was done.
    pub async fn drain_until(&self, cut: impl Future<Output = ()> + Send) -> bool {
        let work = pin!(self.drain());
        let done = matches!(select(work, pin!(cut)).await, Either::Left(_));
        self.abandon();
        done
    }

    /// Forgets all of it, as when the process dies after the answer. Returns how many futures were lost.
    pub fn abandon(&self) -> usize {
        std::mem::take(&mut *lock(&self.0.0)).len()
    }
}

impl std::fmt::Debug for FakeBackground {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FakeBackground({} pending)", self.pending())
    }
}

impl Background for FakeBackground {
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        lock(&self.0.0).push(work.boxed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Clock;
    use crate::fakes::FakeClock;

    #[tokio::test]
    async fn drain_runs_work_that_work_has_started() {
        let background = FakeBackground::new();
        let inner = background.clone();
        background.spawn(async move { inner.spawn(async {}) });
        assert_eq!(background.drain().await, 2);
        assert_eq!(background.pending(), 0);
    }

    #[tokio::test]
    async fn what_takes_longer_than_the_platform_gives_is_cut() {
        let clock = FakeClock::auto();
        let done = Arc::new(Mutex::new(Vec::new()));
        let background = FakeBackground::new();
        for ms in [1_000, 40_000] {
            let (clock, done) = (clock.clone(), done.clone());
            background.spawn(async move {
                clock.sleep(ms).await;
                lock(&done).push(ms);
            });
        }
        let cut = clock.clone();
        assert!(!background.drain_until(cut.sleep(30_000)).await);
        assert_eq!(*lock(&done), [1_000]);
        assert_eq!(background.pending(), 0);
    }

    #[test]
    #[should_panic(expected = "1 background futures were never run")]
    fn work_left_over_fails_the_test() {
        FakeBackground::new().spawn(async {});
    }

    #[test]
    fn abandoned_work_is_not_left_over() {
        let background = FakeBackground::new();
        background.spawn(async {});
        assert_eq!(background.abandon(), 1);
    }
}

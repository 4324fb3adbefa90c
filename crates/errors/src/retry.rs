//! When to try again: exponential back-off with full jitter, a deadline and a budget of retries.
//!
//! Pure: the caller sleeps. Delay before retry `k` = uniform(0, min(max, initial x 2^(k-1))), never below the
//! `retry_after_ms` that the error carries (AWS Architecture Blog, "Exponential Backoff And Jitter", full jitter).

use crate::Error;
use std::future::Future;
use std::sync::{Mutex, PoisonError};

/// How a delay is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jitter {
    /// Uniform between 0 and the ceiling: many callers of one dependency spread out.
    Full,
    /// The ceiling itself: for one caller whose pause is part of a promise.
    None,
}

/// How often and how long.
#[derive(Clone, Copy, Debug)]
pub struct RetryOptions {
    /// All attempts, the first one included.
    pub max_attempts: u32,
    /// Ceiling of the first delay, in milliseconds.
    pub initial_delay_ms: u64,
    /// Ceiling of any delay, in milliseconds; a longer `Retry-After` stops.
    pub max_delay_ms: u64,
    /// No attempt starts after this instant, in milliseconds since the epoch.
    pub deadline_ms: Option<i64>,
    /// How a delay is drawn below its ceiling.
    pub jitter: Jitter,
    /// Which errors may be tried again; by default those whose code says so.
    pub should_retry: fn(&Error) -> bool,
}

impl Default for RetryOptions {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            initial_delay_ms: 200,
            max_delay_ms: 5_000,
            deadline_ms: None,
            jitter: Jitter::Full,
            should_retry: |error| error.code.retryable(),
        }
    }
}

/// Why nothing more is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// All attempts are used.
    Attempts,
    /// The deadline would pass.
    Deadline,
    /// The code says that the same request fails again.
    NotRetryable,
    /// Too many retries lately.
    Budget,
    /// The other side asks for a longer wait than we are ready to give.
    WaitTooLong,
}

/// What to do after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Sleep that long, then try again.
    Retry {
        /// The sleep, in milliseconds.
        delay_ms: u64,
    },
    /// Give the error to the caller.
    Stop(Stop),
}

/// Counts the attempts of one call.
#[derive(Clone, Debug)]
pub struct Backoff {
    options: RetryOptions,
    attempts: u32,
}

impl Backoff {
    /// Before the first attempt.
    pub fn new(options: RetryOptions) -> Self {
        Self {
            options,
            attempts: 0,
        }
    }

    /// Attempts that have failed.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// After a failed attempt at `now_ms`; `random` is uniform over all `u64`.
    pub fn next(
        &mut self,
        now_ms: i64,
        error: &Error,
        random: u64,
        budget: &mut RetryBudget,
    ) -> Step {
        self.attempts += 1;
        if self.attempts == 1 {
            budget.first_attempt();
        }
        if !(self.options.should_retry)(error) {
            return Step::Stop(Stop::NotRetryable);
        }
        if self.attempts >= self.options.max_attempts {
            return Step::Stop(Stop::Attempts);
        }
        let asked = error.retry_after_ms.unwrap_or(0);
        if asked > self.options.max_delay_ms {
            return Step::Stop(Stop::WaitTooLong);
        }
        let ceiling = self
            .options
            .initial_delay_ms
            .saturating_mul(1_u64.checked_shl(self.attempts - 1).unwrap_or(u64::MAX))
            .min(self.options.max_delay_ms);
        let drawn = match self.options.jitter {
            Jitter::Full => random % (ceiling + 1),
            Jitter::None => ceiling,
        };
        let delay_ms = drawn.max(asked);
        if self
            .options
            .deadline_ms
            .is_some_and(|deadline| now_ms.saturating_add_unsigned(delay_ms) >= deadline)
        {
            return Step::Stop(Stop::Deadline);
        }
        if !budget.take() {
            return Step::Stop(Stop::Budget);
        }
        Step::Retry { delay_ms }
    }
}

/// Keeps retries near a tenth of the first attempts: each first attempt earns 0.1, a retry costs 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudget {
    tenths: u32,
}

impl RetryBudget {
    const MAX_TENTHS: u32 = 100;

    /// A full budget of ten retries.
    pub const fn full() -> Self {
        Self {
            tenths: Self::MAX_TENTHS,
        }
    }

    fn first_attempt(&mut self) {
        self.tenths = (self.tenths + 1).min(Self::MAX_TENTHS);
    }

    fn take(&mut self) -> bool {
        if self.tenths < 10 {
            return false;
        }
        self.tenths -= 10;
        true
    }
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self::full()
    }
}

/// The budget of one dependency, shared by all calls of an isolate.
#[derive(Debug, Default)]
pub struct SharedBudget(Mutex<RetryBudget>);

impl SharedBudget {
    fn next(&self, backoff: &mut Backoff, now_ms: i64, error: &Error, random: u64) -> Step {
        // A budget is a plain number: whoever panicked has left it whole.
        let mut budget = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        backoff.next(now_ms, error, random, &mut budget)
    }

    /// A call that succeeded at once earns as much as one that failed.
    fn first_attempt(&self) {
        let mut budget = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        budget.first_attempt();
    }
}

/// Calls until it succeeds or nothing more is tried; `now_ms` and `sleep` are those of the clock, `random` is uniform
/// over all `u64`. Wrap what must not run twice in nothing of this kind, and no call in two of them.
///
/// # Errors
/// The last error of `call`.
pub async fn with_retry<T, C, Called, S, Slept>(
    options: RetryOptions,
    budget: &SharedBudget,
    now_ms: impl Fn() -> i64,
    sleep: S,
    random: impl Fn() -> u64,
    call: C,
) -> Result<T, Error>
where
    C: Fn() -> Called,
    Called: Future<Output = Result<T, Error>>,
    S: Fn(u64) -> Slept,
    Slept: Future<Output = ()>,
{
    let mut backoff = Backoff::new(options);
    loop {
        let error = match call().await {
            Ok(done) => {
                if backoff.attempts() == 0 {
                    budget.first_attempt();
                }
                return Ok(done);
            }
            Err(error) => error,
        };
        match budget.next(&mut backoff, now_ms(), &error, random()) {
            Step::Retry { delay_ms } => sleep(delay_ms).await,
            Step::Stop(_) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;
    use proptest::prelude::*;
    use std::cell::{Cell, RefCell};
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    /// Runs what never really waits.
    fn run<T>(future: impl Future<Output = T>) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => done,
            Poll::Pending => panic!("it waits for something"),
        }
    }

    /// Attempts and sleeps of calls that fail `failures` times, of which the clock is told.
    fn calls(options: RetryOptions, failures: u32, error: &Error) -> (u32, Vec<u64>, bool) {
        let (attempts, slept, now) = (Cell::new(0), RefCell::new(Vec::new()), Cell::new(0));
        let budget = SharedBudget::default();
        let done = run(with_retry(
            options,
            &budget,
            || now.get(),
            |ms| {
                slept.borrow_mut().push(ms);
                now.set(now.get() + i64::try_from(ms).unwrap());
                std::future::ready(())
            },
            || 150,
            || {
                attempts.set(attempts.get() + 1);
                let fails = attempts.get() <= failures;
                std::future::ready(if fails { Err(error.clone()) } else { Ok(()) })
            },
        ));
        (attempts.get(), slept.into_inner(), done.is_ok())
    }

    #[test]
    fn calls_again_while_the_error_allows_it() {
        let options = RetryOptions::default();
        assert_eq!(calls(options, 0, &busy()), (1, vec![], true));
        // 150 below the ceiling of 200, then of 400.
        assert_eq!(calls(options, 2, &busy()), (3, vec![150, 150], true));
        assert_eq!(calls(options, 9, &busy()), (3, vec![150, 150], false));
        let spent = Error::new(Code::ProviderTimeout, "late");
        assert_eq!(calls(options, 9, &spent), (1, vec![], false));
        let anything = RetryOptions {
            should_retry: |_| true,
            ..options
        };
        assert_eq!(calls(anything, 1, &spent), (2, vec![150], true));
        let nothing = RetryOptions {
            should_retry: |_| false,
            ..options
        };
        assert_eq!(calls(nothing, 9, &busy()), (1, vec![], false));
    }

    #[test]
    fn pauses_are_drawn_or_exact_and_end_at_the_deadline() {
        let exact = RetryOptions {
            jitter: Jitter::None,
            max_attempts: 5,
            ..RetryOptions::default()
        };
        assert_eq!(calls(exact, 9, &busy()).1, [200, 400, 800, 1_600]);
        let soon = RetryOptions {
            deadline_ms: Some(700),
            ..exact
        };
        assert_eq!(calls(soon, 9, &busy()), (3, vec![200, 400], false));
    }

    #[test]
    fn calls_that_succeed_earn_retries_too() {
        let budget = SharedBudget::default();
        let attempt = |fails: bool| {
            run(with_retry(
                RetryOptions::default(),
                &budget,
                || 0,
                |_| std::future::ready(()),
                || 0,
                || std::future::ready(if fails { Err(busy()) } else { Ok(()) }),
            ))
            .is_ok()
        };
        // Each failed call takes up to two retries until ten are spent.
        for _ in 0..20 {
            attempt(true);
        }
        let left = |budget: &SharedBudget| budget.0.lock().unwrap().tenths;
        assert!(left(&budget) < 10, "{}", left(&budget));
        for _ in 0..100 {
            assert!(attempt(false));
        }
        assert_eq!(left(&budget), RetryBudget::MAX_TENTHS);
    }

    fn busy() -> Error {
        Error::new(Code::Overloaded, "busy")
    }

    #[test]
    fn stops_when_attempts_are_used_or_the_code_forbids() {
        let mut budget = RetryBudget::full();
        let mut backoff = Backoff::new(RetryOptions::default());
        assert!(matches!(
            backoff.next(0, &busy(), 7, &mut budget),
            Step::Retry { .. }
        ));
        assert!(matches!(
            backoff.next(0, &busy(), 7, &mut budget),
            Step::Retry { .. }
        ));
        assert_eq!(
            backoff.next(0, &busy(), 7, &mut budget),
            Step::Stop(Stop::Attempts)
        );
        let mut backoff = Backoff::new(RetryOptions::default());
        let error = Error::new(Code::ProviderTimeout, "late");
        assert_eq!(
            backoff.next(0, &error, 7, &mut budget),
            Step::Stop(Stop::NotRetryable)
        );
    }

    #[test]
    fn obeys_retry_after_and_passes_a_long_one_on() {
        let mut budget = RetryBudget::full();
        let mut backoff = Backoff::new(RetryOptions::default());
        let step = backoff.next(0, &busy().with_retry_after_ms(1_500), 3, &mut budget);
        assert_eq!(step, Step::Retry { delay_ms: 1_500 });
        let step = backoff.next(0, &busy().with_retry_after_ms(9_000), 3, &mut budget);
        assert_eq!(step, Step::Stop(Stop::WaitTooLong));
    }

    #[test]
    fn retries_stay_near_a_tenth_under_total_failure() {
        let mut budget = RetryBudget::full();
        let (mut firsts, mut retries) = (0_u32, 0_u32);
        for random in 0..10_000 {
            let mut backoff = Backoff::new(RetryOptions::default());
            firsts += 1;
            while let Step::Retry { .. } = backoff.next(0, &busy(), random, &mut budget) {
                retries += 1;
            }
        }
        assert!(
            retries <= firsts / 10 + 10,
            "{retries} retries of {firsts} first attempts"
        );
    }

    proptest! {
        #[test]
        fn delay_never_passes_ceiling_or_deadline(random: u64, deadline in 0_i64..20_000, attempts in 1_u32..40) {
            let options = RetryOptions { max_attempts: 50, deadline_ms: Some(deadline), ..RetryOptions::default() };
            let mut backoff = Backoff::new(options);
            for _ in 0..attempts {
                let mut budget = RetryBudget::full();
                if let Step::Retry { delay_ms } = backoff.next(0, &busy(), random, &mut budget) {
                    prop_assert!(delay_ms <= options.max_delay_ms);
                    prop_assert!((delay_ms as i64) < deadline);
                }
            }
        }
    }
}

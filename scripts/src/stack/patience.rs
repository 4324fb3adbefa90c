//! How long the start of the runtime is waited for: as long as something goes on, and a minute more.

use std::time::{Duration, Instant};

/// A start in which nothing has gone on for this long has failed.
const LIMIT: Duration = Duration::from_mins(1);
/// Several temporary systems start at the same time on a busy machine, and no test fails because its machine is slow.
const LIMIT_OF_TESTS: Duration = Duration::from_mins(5);

/// What can be seen of a start from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Bytes of the runtime's log.
    pub(super) log_bytes: u64,
    /// Whether anything answered HTTP. From then on the log grows with each question of ours and tells nothing.
    pub(super) answers: bool,
    /// Workers that are healthy.
    pub(super) healthy: usize,
}

/// One wait.
#[derive(Debug)]
pub(super) struct Patience {
    limit: Duration,
    since: Instant,
    last: Seen,
}

impl Patience {
    /// From now on.
    pub(super) fn new(temp: bool, now: Instant) -> Self {
        Self {
            limit: if temp { LIMIT_OF_TESTS } else { LIMIT },
            since: now,
            last: Seen::default(),
        }
    }

    /// Whether nothing has gone on for too long.
    pub(super) fn is_over(&mut self, now: Instant, seen: Seen) -> bool {
        let log_grew = !seen.answers && seen.log_bytes > self.last.log_bytes;
        let went_on =
            log_grew || seen.answers && !self.last.answers || seen.healthy > self.last.healthy;
        if went_on {
            self.since = now;
            self.last = seen;
        }
        now.duration_since(self.since) > self.limit
    }

    /// The time that was too long.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn silent(log_bytes: u64) -> Seen {
        Seen {
            log_bytes,
            ..Seen::default()
        }
    }

    fn answering(log_bytes: u64, healthy: usize) -> Seen {
        Seen {
            log_bytes,
            answers: true,
            healthy,
        }
    }

    #[test]
    fn a_minute_without_a_sign_of_life_is_too_long() {
        let start = clock::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut patience = Patience::new(false, start);
        assert!(!patience.is_over(at(60), silent(0)));
        assert!(patience.is_over(at(61), silent(0)));
    }

    #[test]
    fn each_sign_of_life_gives_a_minute_and_our_own_questions_give_none() {
        let start = clock::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut patience = Patience::new(false, start);
        assert!(!patience.is_over(at(50), silent(100)));
        assert!(!patience.is_over(at(100), answering(200, 0)));
        assert!(!patience.is_over(at(150), answering(300, 1)));
        assert!(!patience.is_over(at(210), answering(9_000, 1)));
        assert!(patience.is_over(at(211), answering(9_100, 1)));
    }

    #[test]
    fn a_test_on_a_busy_machine_waits_longer() {
        let start = clock::now();
        let mut patience = Patience::new(true, start);
        assert!(!patience.is_over(start + Duration::from_mins(5), silent(0)));
        assert!(patience.is_over(start + Duration::from_secs(301), silent(0)));
    }
}

//! How long a job, its holder and its client wait.

/// A holder without a sign of life loses its lease after that long, in milliseconds.
pub const HOLDER_MS: u64 = 60_000;
/// A holder gives a sign of life that often, in milliseconds.
pub const RENEW_MS: u64 = 30_000;
/// How long a job-style provider may take in all, in milliseconds.
pub const RUN_JOB_STYLE_MS: u64 = 900_000;

/// An instant after which nobody waits any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline {
    at_ms: i64,
}

impl Deadline {
    /// `after_ms` from now.
    pub fn after(now_ms: i64, after_ms: u64) -> Self {
        Self {
            at_ms: now_ms.saturating_add(i64::try_from(after_ms).unwrap_or(i64::MAX)),
        }
    }

    /// The instant, in milliseconds since the epoch.
    pub const fn at_ms(self) -> i64 {
        self.at_ms
    }

    /// What is left, in milliseconds; 0 when it is over.
    pub fn left_ms(self, now_ms: i64) -> u64 {
        u64::try_from(self.at_ms.saturating_sub(now_ms)).unwrap_or(0)
    }

    /// Whether it has passed.
    pub fn is_over(self, now_ms: i64) -> bool {
        self.left_ms(now_ms) == 0
    }

    /// The earlier of the two.
    #[must_use]
    pub fn or_earlier(self, other: Self) -> Self {
        self.min(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_over_at_its_instant_and_not_before() {
        let deadline = Deadline::after(1_000, 500);
        assert_eq!(deadline.left_ms(1_499), 1);
        assert!(!deadline.is_over(1_499));
        assert!(deadline.is_over(1_500));
        assert_eq!(deadline.left_ms(9_000), 0);
    }

    #[test]
    fn an_endless_wait_does_not_overflow() {
        let deadline = Deadline::after(i64::MAX - 5, u64::MAX);
        assert!(!deadline.is_over(0));
        assert_eq!(deadline.or_earlier(Deadline::after(0, 7)).at_ms(), 7);
    }

    #[test]
    fn a_holder_renews_before_it_is_lost() {
        const { assert!(RENEW_MS * 2 <= HOLDER_MS) };
    }
}

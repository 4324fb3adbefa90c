//! How soon a dead child is started again, and when that is given up.

use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_mins(2);
const TOO_MANY: usize = 5;
const LONGEST: Duration = Duration::from_secs(30);

/// What to do about a death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Wait this long, then start it.
    RestartAfter(Duration),
    /// It dies too often.
    GiveUp,
}

/// The recent deaths of one child.
#[derive(Clone, Debug, Default)]
pub struct Restarts {
    deaths: Vec<Instant>,
}

impl Restarts {
    /// Records a death: 1, 2, 4 .. 30 s, and no more after 5 within 2 minutes.
    pub fn died(&mut self, now: Instant) -> Verdict {
        self.deaths
            .retain(|death| now.saturating_duration_since(*death) < WINDOW);
        self.deaths.push(now);
        if self.deaths.len() >= TOO_MANY {
            return Verdict::GiveUp;
        }
        let doublings = u32::try_from(self.deaths.len() - 1).unwrap_or(u32::MAX);
        let delay = Duration::from_secs(2u64.saturating_pow(doublings));
        Verdict::RestartAfter(delay.min(LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn delays_double_and_the_fifth_death_within_two_minutes_is_the_last() {
        let mut restarts = Restarts::default();
        let now = clock::now();
        for seconds in [1, 2, 4, 8] {
            let expected = Verdict::RestartAfter(Duration::from_secs(seconds));
            assert_eq!(restarts.died(now), expected);
        }
        assert_eq!(restarts.died(now), Verdict::GiveUp);
    }

    #[test]
    fn old_deaths_are_forgiven() {
        let mut restarts = Restarts::default();
        let now = clock::now();
        for _ in 0..4 {
            restarts.died(now);
        }
        assert_eq!(
            restarts.died(now + WINDOW),
            Verdict::RestartAfter(Duration::from_secs(1))
        );
    }
}

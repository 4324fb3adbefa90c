//! The one place of this native program that reads the clocks of the machine.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A moment of the monotonic clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the clock module of a native program"
)]
pub fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "the clock module of a native program"
)]
pub fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

/// `10:31:07` in UTC.
pub fn time_of_day(unix_ms: u64) -> String {
    let seconds = unix_ms / 1000 % 86_400;
    format!(
        "{:02}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// `4.2 s` or `1 min 5 s`.
pub fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 60 {
        format!("{:.1} s", duration.as_secs_f64())
    } else {
        format!("{} min {} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_of_day_wraps_at_midnight() {
        assert_eq!(
            time_of_day(86_400_000 + (10 * 3600 + 31 * 60 + 7) * 1000),
            "10:31:07"
        );
    }

    #[test]
    fn minutes_are_spoken_without_fractions() {
        assert_eq!(spoken(Duration::from_millis(4200)), "4.2 s");
        assert_eq!(spoken(Duration::from_secs(65)), "1 min 5 s");
    }
}

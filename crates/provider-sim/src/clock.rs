//! The simulator's time: the machine's, or one that moves only when it is told to.
//!
//! In scope: now, sleeping, text forms of a moment. Not in scope: what happens at a moment.

use crate::config::ClockMode;
use chrono::{DateTime, SecondsFormat, Utc};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

/// 2026-11-21T10:00:00Z.
const VIRTUAL_START_MS: u64 = 1_795_255_200_000;

/// Real or virtual time.
#[derive(Debug)]
pub(crate) enum Clock {
    Real,
    Virtual(watch::Sender<u64>),
}

/// The real clock cannot be moved.
#[derive(Debug)]
pub struct RealClock;

impl std::fmt::Display for RealClock {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("the real clock cannot be moved")
    }
}

impl std::error::Error for RealClock {}

impl Clock {
    pub(crate) fn new(mode: ClockMode) -> Self {
        match mode {
            ClockMode::Real => Self::Real,
            ClockMode::Virtual => Self::Virtual(watch::Sender::new(VIRTUAL_START_MS)),
        }
    }

    /// `real` or `virtual`.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Virtual(_) => "virtual",
        }
    }

    pub(crate) const fn is_virtual(&self) -> bool {
        matches!(self, Self::Virtual(_))
    }

    /// Milliseconds since 1970.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where this native program reads the machine's clock"
    )]
    pub(crate) fn now_ms(&self) -> u64 {
        match self {
            Self::Real => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_millis() as u64),
            Self::Virtual(now) => *now.borrow(),
        }
    }

    /// Moves virtual time forward and wakes whoever slept until then; gives the new time.
    pub(crate) fn advance(&self, by_ms: u64) -> Result<u64, RealClock> {
        match self {
            Self::Real => Err(RealClock),
            Self::Virtual(now) => {
                now.send_modify(|now| *now = now.saturating_add(by_ms));
                Ok(*now.borrow())
            }
        }
    }

    /// Waits on this clock; on the virtual one until somebody has moved it far enough.
    pub(crate) async fn sleep_ms(&self, ms: u64) {
        if ms == 0 {
            return;
        }
        match self {
            Self::Real => tokio::time::sleep(Duration::from_millis(ms)).await,
            Self::Virtual(now) => {
                let until = now.borrow().saturating_add(ms);
                // The sender lives as long as `self`, so waiting cannot fail.
                now.subscribe().wait_for(|now| *now >= until).await.ok();
            }
        }
    }
}

/// `2026-11-21T10:00:00.000Z`.
pub(crate) fn timestamp(ms: u64) -> String {
    moment(ms).to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// `2026-11-21T10:00:00Z`.
pub(crate) fn timestamp_seconds(ms: u64) -> String {
    moment(ms).to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The date form of HTTP headers.
pub(crate) fn http_date(ms: u64) -> String {
    moment(ms).format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn moment(ms: u64) -> DateTime<Utc> {
    i64::try_from(ms)
        .ok()
        .and_then(DateTime::from_timestamp_millis)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtual_time_starts_at_the_documented_moment_and_moves_only_when_told() {
        let clock = Clock::new(ClockMode::Virtual);
        assert_eq!(timestamp(clock.now_ms()), "2026-11-21T10:00:00.000Z");
        assert_eq!(clock.advance(1_500).unwrap(), VIRTUAL_START_MS + 1_500);
        assert_eq!(timestamp(clock.now_ms()), "2026-11-21T10:00:01.500Z");
        assert_eq!(http_date(clock.now_ms()), "Sat, 21 Nov 2026 10:00:01 GMT");
    }

    #[tokio::test]
    async fn a_sleeper_wakes_when_virtual_time_has_passed() {
        let clock = std::sync::Arc::new(Clock::new(ClockMode::Virtual));
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep_ms(1_000).await }
        });
        tokio::task::yield_now().await;
        clock.advance(999).unwrap();
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(1).unwrap();
        sleeper.await.unwrap();
    }

    #[test]
    fn the_real_clock_cannot_be_moved() {
        assert!(Clock::new(ClockMode::Real).advance(1).is_err());
    }
}

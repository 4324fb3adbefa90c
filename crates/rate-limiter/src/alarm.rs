//! When the alarm may ring next: never in a storm.
//!
//! In scope: the minimum distance and its back-off. Out of scope: what the alarm does.

/// Alarms in a minute after which they are slowed down.
const STORM: usize = 120;
/// The distance then, in milliseconds.
const STORM_MS: i64 = 500;
/// Length of that minute.
const MINUTE_MS: i64 = 60_000;
/// First wait after an alarm that failed, in milliseconds; doubles to a minute.
const FAILED_MS: i64 = 1_000;

/// Counts alarms and failures.
#[derive(Debug, Default)]
pub(crate) struct AlarmGuard {
    /// Alarms since `minute_ms`.
    rang: usize,
    minute_ms: i64,
    warned: bool,
    failures: u32,
}

impl AlarmGuard {
    /// The alarm rings.
    pub(crate) fn rang(&mut self, now_ms: i64) {
        if now_ms - self.minute_ms >= MINUTE_MS || now_ms < self.minute_ms {
            self.minute_ms = now_ms;
            self.rang = 0;
            self.warned = false;
        }
        self.rang += 1;
    }

    /// Its work is done.
    pub(crate) fn done(&mut self, worked: bool) {
        self.failures = if worked {
            0
        } else {
            self.failures.saturating_add(1)
        };
    }

    /// The instant that an alarm wanted at `wanted_ms` gets.
    pub(crate) fn allowed(&mut self, wanted_ms: i64, now_ms: i64) -> i64 {
        let mut earliest_ms = now_ms + 1;
        if self.rang > STORM && now_ms - self.minute_ms < MINUTE_MS {
            earliest_ms = now_ms + STORM_MS;
            if !self.warned {
                self.warned = true;
                tracing::error!(alarms = self.rang, "alarm storm slowed down");
            }
        }
        if self.failures > 0 {
            let wait_ms = (FAILED_MS << (self.failures - 1).min(6)).min(MINUTE_MS);
            earliest_ms = earliest_ms.max(now_ms + wait_ms);
        }
        wanted_ms.max(earliest_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_is_slowed_down_and_ends() {
        let mut guard = AlarmGuard::default();
        for now_ms in 0..120 {
            guard.rang(now_ms);
            assert_eq!(guard.allowed(0, now_ms), now_ms + 1);
        }
        guard.rang(120);
        assert_eq!(guard.allowed(0, 120), 620);
        assert_eq!(guard.allowed(5_000, 120), 5_000);
        guard.rang(60_000);
        assert_eq!(guard.allowed(0, 60_000), 60_001);
    }

    #[test]
    fn failures_wait_longer_each_time() {
        let mut guard = AlarmGuard::default();
        let waits: Vec<i64> = (0..8)
            .map(|_| {
                guard.done(false);
                guard.allowed(0, 0)
            })
            .collect();
        assert_eq!(
            waits,
            [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]
        );
        guard.done(true);
        assert_eq!(guard.allowed(0, 0), 1);
    }
}

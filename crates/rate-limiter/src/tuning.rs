//! Delays of the object, and how tests shorten them.

/// Delays, in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Shortest time that a holder gets, whatever it asks for.
    pub holder_floor_ms: i64,
    /// Longest time that a holder gets.
    pub holder_max_ms: i64,
    /// Ended and unknown rows reach the ledger after it.
    pub flush_final_ms: i64,
    /// Running rows reach the ledger after it.
    pub flush_running_ms: i64,
    /// A hand-over to the next candidate is lost after it.
    pub handover_ms: i64,
    /// An unknown attempt keeps its place that long after its last sign of life.
    pub unknown_place_ms: i64,
    /// Rows stay that long after their end, if no window is longer.
    pub keep_ms: i64,
    /// Urgent rows that start a flush at once.
    pub flush_rows: usize,
    /// Unflushed rows from which nothing is admitted.
    pub outbox_max: usize,
    /// Wake-ups without progress that end a job.
    pub dispatches_max: u32,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            holder_floor_ms: 10_000,
            holder_max_ms: 900_000,
            flush_final_ms: 1_000,
            flush_running_ms: 5_000,
            handover_ms: 30_000,
            unknown_place_ms: 60_000,
            keep_ms: 600_000,
            flush_rows: 50,
            outbox_max: 100_000,
            dispatches_max: 5,
        }
    }
}

impl Tuning {
    /// Variables `LIMITER_HOLDER_FLOOR_MS`, `LIMITER_FLUSH_MS`, `LIMITER_HANDOVER_MS`, honoured in `local` and `test`
    /// only; elsewhere each one that is set is an ERROR line and changes nothing.
    pub fn from_vars(environment: &str, var: impl Fn(&str) -> Option<String>) -> Self {
        let mut tuning = Self::default();
        let shortened = matches!(environment, "local" | "test");
        let read = |name: &str| -> Option<i64> {
            let text = var(name).filter(|text| !text.is_empty())?;
            if !shortened {
                tracing::error!(variable = name, environment, "test knob ignored");
                return None;
            }
            let parsed = text.parse().ok().filter(|ms| *ms > 0);
            if parsed.is_none() {
                tracing::error!(variable = name, "not a positive number of milliseconds");
            }
            parsed
        };
        if let Some(ms) = read("LIMITER_HOLDER_FLOOR_MS") {
            tuning.holder_floor_ms = ms;
        }
        if let Some(ms) = read("LIMITER_FLUSH_MS") {
            tuning.flush_final_ms = ms;
            tuning.flush_running_ms = ms.saturating_mul(5);
        }
        if let Some(ms) = read("LIMITER_HANDOVER_MS") {
            tuning.handover_ms = ms;
        }
        tuning
    }

    /// The holder's time that is granted for the one asked for.
    pub fn holder_ms(&self, asked_ms: u64) -> i64 {
        i64::try_from(asked_ms).unwrap_or(i64::MAX).clamp(
            self.holder_floor_ms,
            self.holder_max_ms.max(self.holder_floor_ms),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knobs_work_in_tests_and_not_in_production() {
        let vars = |name: &str| (name == "LIMITER_HOLDER_FLOOR_MS").then(|| "50".to_owned());
        assert_eq!(Tuning::from_vars("test", vars).holder_ms(1), 50);
        assert_eq!(Tuning::from_vars("production", vars), Tuning::default());
        assert_eq!(Tuning::default().holder_ms(u64::MAX), 900_000);
    }
}

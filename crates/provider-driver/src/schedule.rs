//! When to ask for a job's state: delays as a pure iterator.
//!
//! In scope: the vendor's poll policy with jitter, its end. Out of scope: sleeping, asking.

use provider_adapters::capability::PollPolicy;

/// How long a job is polled before it counts as late, in milliseconds.
pub const POLL_FOR_MS: u64 = 15 * 60_000;

/// Delays between polls, in milliseconds; ends when the job is late.
#[derive(Clone, Debug)]
pub struct PollSchedule {
    policy: PollPolicy,
    next_ms: f64,
    left_ms: u64,
    seed: u64,
}

impl PollSchedule {
    /// A schedule for a job that has been polled for `elapsed_ms`; `seed` decides the jitter.
    pub const fn new(policy: PollPolicy, elapsed_ms: u64, seed: u64) -> Self {
        Self {
            policy,
            next_ms: policy.first_ms as f64,
            left_ms: POLL_FOR_MS.saturating_sub(elapsed_ms),
            seed,
        }
    }

    /// The vendor asked for a longer wait: the next delay, at least that long.
    pub fn next_after(&mut self, retry_after_ms: Option<u64>) -> Option<u64> {
        let delay_ms = self.next()?;
        let longer = retry_after_ms.unwrap_or(0).max(delay_ms);
        self.left_ms = self.left_ms.saturating_sub(longer - delay_ms);
        Some(longer)
    }
}

impl Iterator for PollSchedule {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        if self.left_ms == 0 {
            return None;
        }
        let plain = self.next_ms.min(self.policy.cap_ms as f64);
        self.next_ms = plain * self.policy.factor;
        let delay_ms = jittered(plain as u64, 10, &mut self.seed).min(self.left_ms);
        self.left_ms -= delay_ms;
        Some(delay_ms)
    }
}

/// That many milliseconds, give or take `percent`.
pub(crate) fn jittered(ms: u64, percent: u64, seed: &mut u64) -> u64 {
    // SplitMix64: only spreads load, so any well-mixed sequence will do.
    *seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *seed;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^= mixed >> 31;
    let span = ms * percent / 100;
    ms - span + mixed % (2 * span + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: PollPolicy = PollPolicy {
        first_ms: 2_000,
        factor: 1.5,
        cap_ms: 30_000,
    };

    #[test]
    fn delays_grow_to_the_cap_within_jitter_and_end_after_fifteen_minutes() {
        for seed in 0..200 {
            let delays: Vec<u64> = PollSchedule::new(POLICY, 0, seed).collect();
            let mut plain = 2_000.0_f64;
            for delay in delays.split_last().unwrap().1 {
                let exact = plain.min(30_000.0);
                assert!(
                    (exact * 0.899..=exact * 1.101).contains(&(*delay as f64)),
                    "{delay} {exact}"
                );
                plain = exact * 1.5;
            }
            assert_eq!(delays.iter().sum::<u64>(), POLL_FOR_MS);
        }
        assert_eq!(PollSchedule::new(POLICY, POLL_FOR_MS, 1).next(), None);
    }

    #[test]
    fn a_longer_retry_after_wins() {
        let mut schedule = PollSchedule::new(POLICY, 0, 1);
        assert_eq!(schedule.next_after(Some(60_000)), Some(60_000));
        let next = schedule.next_after(Some(500)).unwrap();
        assert!((2_700..=3_300).contains(&next), "{next}");
    }
}

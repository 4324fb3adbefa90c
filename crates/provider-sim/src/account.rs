//! The vendors' limits of one account.
//!
//! In scope: images in flight, windows of calls, prepaid credit. Not in scope: the answers that tell of them.

/// Limits that hold until a control call sets others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Images in progress.
    pub(crate) in_flight: u32,
    /// Status calls in ten seconds.
    pub(crate) polls_per_10s: u32,
    /// Requests a minute of vendors that count requests.
    pub(crate) requests_per_min: u32,
    /// Prepaid credit that is left; none is no limit.
    pub(crate) credit_usd_micros: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            in_flight: 10,
            polls_per_10s: 1_000,
            requests_per_min: 500,
            credit_usd_micros: None,
        }
    }
}

/// Calls counted in windows of fixed length.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Window {
    started_ms: u64,
    used: u32,
}

/// What a window said to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) allowed: bool,
    pub(crate) remaining: u32,
    /// Until the window starts anew.
    pub(crate) reset_ms: u64,
}

impl Window {
    /// Counts one call.
    pub(crate) fn take(&mut self, now_ms: u64, length_ms: u64, limit: u32) -> Taken {
        if self.used == 0 || now_ms >= self.started_ms.saturating_add(length_ms) {
            *self = Self {
                started_ms: now_ms,
                used: 0,
            };
        }
        let allowed = self.used < limit;
        if allowed {
            self.used += 1;
        }
        Taken {
            allowed,
            remaining: limit.saturating_sub(self.used),
            reset_ms: (self.started_ms + length_ms).saturating_sub(now_ms),
        }
    }
}

/// One account at one vendor.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    pub(crate) limits: Limits,
    pub(crate) polls: Window,
    pub(crate) requests: Window,
    /// Jobs that were pending when last looked at.
    pub(crate) pending: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_refuses_when_it_is_full_and_opens_again() {
        let mut window = Window::default();
        assert!(window.take(1_000, 10_000, 2).allowed);
        assert_eq!(window.take(2_000, 10_000, 2).remaining, 0);
        let refused = window.take(3_000, 10_000, 2);
        assert_eq!((refused.allowed, refused.reset_ms), (false, 8_000));
        assert!(window.take(11_000, 10_000, 2).allowed);
    }
}

//! What follows a failed attempt: the same provider, the next candidate, or nothing.
//!
//! In scope: the decision, pure. Out of scope: carrying it out (`run`).
//! Architecture invariant: nothing here answers "again" for work that may have been accepted.

use api_types::Billed;
use provider_adapters::{Accepted, Kind, ProviderError};

/// A provider that asks for a longer wait is left, in milliseconds.
const MAX_SAME_WAIT_MS: u64 = 2_000;
/// Jitter before the same provider is asked again, in milliseconds.
const MAX_JITTER_MS: u64 = 200;

/// What the decision depends on besides the failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Situation {
    /// There is another candidate.
    pub has_next: bool,
    /// Submissions left of `max_attempts`.
    pub attempts_left: u32,
    /// The same provider has been tried again already.
    pub repeated: bool,
    /// The instance lets a safety refusal go on to the next candidate.
    pub fallback_on_safety: bool,
    /// Time left for the request, in milliseconds.
    pub left_ms: u64,
    /// Uniform over all values.
    pub random: u64,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// The same provider once more.
    Same {
        /// After that long, in milliseconds.
        after_ms: u64,
    },
    /// The next candidate, at once.
    Next,
    /// Nothing: the job ends with this failure.
    End,
    /// Nobody knows what happened: never sent again.
    Unknown,
}

/// Decides by the kind of the failure and by what the vendor may have accepted.
pub fn follow(error: &ProviderError, now: Situation) -> Follow {
    let ended = error.accepted == Accepted::No || error.finished;
    if !ended {
        return match error.kind {
            // The vendor has said what came of it: there is nothing left to find out.
            Kind::RejectedBySafety | Kind::ExpiredResult | Kind::Invalid => Follow::End,
            Kind::NoOutput | Kind::ContractMismatch
                if error.accepted == Accepted::Yes && !error.running =>
            {
                Follow::End
            }
            _ => Follow::Unknown,
        };
    }
    // Where a charge must be assumed another submission could be the second one that is paid for.
    let unbilled = error.billed == Some(Billed::No);
    if now.attempts_left == 0 || !unbilled {
        return Follow::End;
    }
    let next = if now.has_next {
        Follow::Next
    } else {
        Follow::End
    };
    match error.kind {
        Kind::Invalid | Kind::ExpiredResult => Follow::End,
        Kind::RejectedBySafety if !now.fallback_on_safety => Follow::End,
        Kind::RateLimited => {
            let after_ms = error.retry_after_ms.unwrap_or(u64::MAX);
            let in_time = after_ms <= MAX_SAME_WAIT_MS && after_ms < now.left_ms;
            match next {
                Follow::End if in_time && !now.repeated => Follow::Same { after_ms },
                next => next,
            }
        }
        Kind::NoOutput | Kind::ContractMismatch if !now.repeated => Follow::Same { after_ms: 0 },
        Kind::RejectedBySafety
        | Kind::Auth
        | Kind::Quota
        | Kind::NoOutput
        | Kind::ContractMismatch => next,
        Kind::Timeout | Kind::Unavailable => match next {
            // A job that the vendor itself ended would end there again.
            Follow::End
                if error.accepted == Accepted::No
                    && !now.repeated
                    && now.left_ms > MAX_JITTER_MS =>
            {
                Follow::Same {
                    after_ms: now.random % (MAX_JITTER_MS + 1),
                }
            }
            next => next,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KINDS: [Kind; 10] = [
        Kind::Auth,
        Kind::Quota,
        Kind::RateLimited,
        Kind::Invalid,
        Kind::RejectedBySafety,
        Kind::Timeout,
        Kind::Unavailable,
        Kind::NoOutput,
        Kind::ContractMismatch,
        Kind::ExpiredResult,
    ];

    fn now(has_next: bool) -> Situation {
        Situation {
            has_next,
            attempts_left: 2,
            repeated: false,
            fallback_on_safety: false,
            left_ms: 60_000,
            random: 70,
        }
    }

    fn failure(kind: Kind) -> ProviderError {
        let mut error = ProviderError::new(kind, Accepted::No);
        error.retry_after_ms = None;
        error
    }

    #[test]
    fn the_documented_table() {
        let cases = [
            (Kind::Unavailable, true, Follow::Next),
            (Kind::Unavailable, false, Follow::Same { after_ms: 70 }),
            (Kind::Timeout, true, Follow::Next),
            (Kind::RateLimited, true, Follow::Next),
            (Kind::RateLimited, false, Follow::End),
            (Kind::Auth, true, Follow::Next),
            (Kind::Auth, false, Follow::End),
            (Kind::Quota, true, Follow::Next),
            (Kind::NoOutput, true, Follow::Same { after_ms: 0 }),
            (Kind::RejectedBySafety, true, Follow::End),
            (Kind::Invalid, true, Follow::End),
        ];
        for (kind, has_next, expected) in cases {
            assert_eq!(follow(&failure(kind), now(has_next)), expected, "{kind:?}");
        }
        let mut late = failure(Kind::RateLimited);
        late.retry_after_ms = Some(2_000);
        assert_eq!(follow(&late, now(false)), Follow::Same { after_ms: 2_000 });
        late.retry_after_ms = Some(2_001);
        assert_eq!(follow(&late, now(false)), Follow::End);
        let safe = Situation {
            fallback_on_safety: true,
            ..now(true)
        };
        assert_eq!(follow(&failure(Kind::RejectedBySafety), safe), Follow::Next);
        let again = Situation {
            repeated: true,
            ..now(true)
        };
        assert_eq!(follow(&failure(Kind::NoOutput), again), Follow::Next);
    }

    #[test]
    fn a_job_that_the_vendor_ended_unbilled_goes_to_the_next_candidate() {
        let error = ProviderError::new(Kind::Unavailable, Accepted::Yes)
            .ended()
            .with_billed(Billed::No);
        assert_eq!(follow(&error, now(true)), Follow::Next);
        assert_eq!(follow(&error, now(false)), Follow::End);
        for billed in [Billed::Yes, Billed::Assumed] {
            for kind in KINDS {
                let error = ProviderError::new(kind, Accepted::Yes)
                    .ended()
                    .with_billed(billed);
                assert_eq!(
                    follow(&error, now(true)),
                    Follow::End,
                    "{kind:?} {billed:?}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn what_may_have_been_accepted_is_never_sent_again(
            kind in 0_usize..10, yes: bool, has_next: bool, attempts_left in 0_u32..5, repeated: bool, fallback_on_safety: bool, random: u64
        ) {
            let accepted = if yes { Accepted::Yes } else { Accepted::Maybe };
            let error = ProviderError::new(KINDS[kind], accepted);
            let now = Situation { has_next, attempts_left, repeated, fallback_on_safety, left_ms: 60_000, random };
            prop_assert!(matches!(follow(&error, now), Follow::End | Follow::Unknown));
        }

        #[test]
        fn no_attempt_follows_the_last_one(kind in 0_usize..10, has_next: bool, random: u64) {
            let now = Situation { has_next, attempts_left: 0, repeated: false, fallback_on_safety: true, left_ms: 60_000, random };
            prop_assert_eq!(follow(&failure(KINDS[kind]), now), Follow::End);
        }
    }
}

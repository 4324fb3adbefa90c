//! What the limiter objects of all candidates refused, as the one answer for the caller.

use api_types::{AcquireDecision, LimitedReason, ProviderName};
use errors::{Code, Error};

/// One refusal that ends by itself.
#[derive(Clone, Debug)]
struct Limited {
    provider: ProviderName,
    reason: LimitedReason,
    retry_after_ms: u64,
}

/// Refusals so far.
#[derive(Clone, Debug, Default)]
pub struct Refusals {
    limited: Vec<Limited>,
    never: Option<(String, u64)>,
}

fn word(reason: LimitedReason) -> &'static str {
    match reason {
        LimitedReason::Requests => "requests",
        LimitedReason::Tokens => "tokens",
        LimitedReason::Inflight => "inflight",
        LimitedReason::Breaker => "breaker",
        LimitedReason::ProviderBackoff => "provider_backoff",
        LimitedReason::RetryBudget => "retry_budget",
        LimitedReason::Paused => "paused",
        LimitedReason::Ledger => "ledger",
    }
}

/// Whose limit it is.
fn source(reason: LimitedReason) -> &'static str {
    match reason {
        LimitedReason::ProviderBackoff | LimitedReason::Breaker => "provider",
        _ => "own",
    }
}

impl Refusals {
    /// Notes the decision of one object; a grant is none.
    pub fn add(&mut self, provider: &ProviderName, decision: &AcquireDecision) {
        match decision {
            AcquireDecision::Limited {
                reason,
                retry_after_ms,
                ..
            } => {
                tracing::info!(
                    event = logging::Event::RateLimit.as_str(),
                    provider = provider.as_str(),
                    source = source(*reason),
                    outcome = "refused",
                    reason = word(*reason),
                    retry_after_ms,
                    "rate limited"
                );
                self.limited.push(Limited {
                    provider: provider.clone(),
                    reason: *reason,
                    retry_after_ms: *retry_after_ms,
                });
            }
            AcquireDecision::Refused { limit, value, .. } => {
                self.never = Some((limit.clone(), *value));
            }
            AcquireDecision::Granted { .. } | AcquireDecision::Existing(_) => {}
        }
    }

    /// The answer when no candidate took the job: the smallest wait of all; `None` when nobody refused.
    pub fn into_error(self) -> Option<Error> {
        let Some(first) = self.limited.iter().min_by_key(|it| it.retry_after_ms) else {
            let (limit, value) = self.never?;
            return Some(
                Error::new(
                    Code::RequestExceedsLimit,
                    format!("This request alone is larger than the limit {limit} of {value}."),
                )
                .with_detail("limit", limit)
                .with_detail("value", value),
            );
        };
        let all = |reason| self.limited.iter().all(|it| it.reason == reason);
        let error = if all(LimitedReason::Breaker) {
            Error::new(
                Code::ProviderUnavailable,
                "Every candidate has failed lately; nobody was asked.",
            )
        } else if all(LimitedReason::Ledger) {
            Error::new(
                Code::LedgerUnavailable,
                "The ledger has been away for long; nothing was sent.",
            )
        } else {
            Error::new(
                Code::RateLimited,
                format!(
                    "The limit of {} is reached ({}).",
                    first.provider,
                    word(first.reason)
                ),
            )
            .with_detail("source", source(first.reason))
        };
        Some(
            error
                .with_detail("reason", word(first.reason))
                .with_detail("provider", first.provider.as_str())
                .with_retry_after_ms(first.retry_after_ms),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusals(reasons: &[(LimitedReason, u64)]) -> Refusals {
        let mut refusals = Refusals::default();
        for (reason, retry_after_ms) in reasons {
            refusals.add(
                &ProviderName::parse("ideogram").unwrap(),
                &AcquireDecision::Limited {
                    reason: *reason,
                    retry_after_ms: *retry_after_ms,
                    estimated: false,
                },
            );
        }
        refusals
    }

    #[test]
    fn the_smallest_wait_is_the_answer() {
        let error = refusals(&[
            (LimitedReason::Requests, 9_000),
            (LimitedReason::Inflight, 4_001),
        ])
        .into_error()
        .unwrap();
        assert_eq!(error.code, Code::RateLimited);
        assert_eq!(error.retry_after_ms, Some(4_001));
        assert_eq!(error.details["source"], "own");
        assert_eq!(error.details["reason"], "inflight");
    }

    #[test]
    fn only_when_all_breakers_are_open_the_provider_is_unavailable() {
        let all = refusals(&[(LimitedReason::Breaker, 500), (LimitedReason::Breaker, 900)]);
        assert_eq!(all.into_error().unwrap().code, Code::ProviderUnavailable);
        let some = refusals(&[
            (LimitedReason::Breaker, 500),
            (LimitedReason::Requests, 900),
        ]);
        let error = some.into_error().unwrap();
        assert_eq!(error.code, Code::RateLimited);
        assert_eq!(error.details["source"], "provider");
    }

    #[test]
    fn what_can_never_fit_is_said_at_once() {
        let mut refusals = Refusals::default();
        refusals.add(
            &ProviderName::parse("ideogram").unwrap(),
            &AcquireDecision::Refused {
                code: Code::RequestExceedsLimit,
                limit: "max_inflight_images".to_owned(),
                value: 3,
            },
        );
        let error = refusals.clone().into_error().unwrap();
        assert_eq!(error.code, Code::RequestExceedsLimit);
        assert_eq!(error.details["value"], 3);
        assert!(Refusals::default().into_error().is_none());
    }
}

//! What a vendor's refusal means, and the one way it becomes the platform's error.
//!
//! In scope: kinds, what the vendor may have accepted, advice, conversions. Out of scope: how an answer is judged
//! (module `classify`), what is done about it (the caller).

use crate::types::ActualCost;
use api_types::{Billed, JobRef, Outcome};
use errors::{Code, Error};
use serde::{Deserialize, Serialize};

/// Kind of a failure at a vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Key refused, no access to the model, account blocked.
    Auth,
    /// Credit, plan, daily or monthly allowance used up.
    Quota,
    /// Too fast, or too many in flight.
    RateLimited,
    /// The vendor calls our request wrong.
    Invalid,
    /// Prompt or image refused.
    RejectedBySafety,
    /// No answer in time.
    Timeout,
    /// Down, overloaded, unreachable.
    Unavailable,
    /// Success without an image.
    NoOutput,
    /// Unreadable or unexpected answer.
    ContractMismatch,
    /// Finished, but the file is gone.
    ExpiredResult,
}

impl Kind {
    /// The word in JSON, logs and `details.kind`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Quota => "quota",
            Self::RateLimited => "rate_limited",
            Self::Invalid => "invalid",
            Self::RejectedBySafety => "rejected_by_safety",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::NoOutput => "no_output",
            Self::ContractMismatch => "contract_mismatch",
            Self::ExpiredResult => "expired_result",
        }
    }

    const fn sentence(self) -> &'static str {
        match self {
            Self::Auth => "The provider refused the instance's key or its access to the model.",
            Self::Quota => "The provider account has no credit or allowance left.",
            Self::RateLimited => "The provider asks us to slow down.",
            Self::Invalid => "The provider refused the request as invalid.",
            Self::RejectedBySafety => "The provider refused the content.",
            Self::Timeout => "The provider did not answer in time.",
            Self::Unavailable => "The provider is not available.",
            Self::NoOutput => "The provider finished without an image.",
            Self::ContractMismatch => "The provider's answer could not be read.",
            Self::ExpiredResult => "The provider no longer has the file.",
        }
    }
}

/// Whether the vendor has accepted the work, and may charge for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Accepted {
    /// Certainly not.
    No,
    /// Nobody knows: never send it again.
    Maybe,
    /// Certainly.
    Yes,
}

/// What a caller may do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Advice {
    /// The same provider again, once, after that many milliseconds; another candidate at once.
    RetrySame {
        /// Wait before the same provider is asked again.
        after_ms: u64,
    },
    /// Another candidate.
    Fallback,
    /// Ask for the outcome; never send it again.
    Reconcile,
    /// Nothing: it would fail, or be paid, again.
    Never,
}

/// A failure at a vendor, judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderError {
    /// Kind.
    pub kind: Kind,
    /// Whether the vendor has accepted the work.
    pub accepted: Accepted,
    /// The vendor itself said that the job ended without a result.
    pub finished: bool,
    /// The vendor may still be working on it.
    pub running: bool,
    /// What to do.
    pub advice: Advice,
    /// The vendor asked us to wait that long, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// Whether it is charged, where that is known or must be assumed.
    pub billed: Option<Billed>,
    /// What was charged, where it is known although the result is not there.
    pub cost: Option<ActualCost>,
    /// HTTP status of the answer.
    pub http_status: Option<u16>,
    /// The vendor's own word for it.
    pub provider_code: Option<String>,
    /// The vendor told its in-flight limit.
    pub observed_limit: Option<u32>,
    /// The vendor's id of the call.
    pub provider_request_id: Option<String>,
    /// The handle that an otherwise unreadable answer still held: with it the job can be polled.
    pub job: Option<Box<JobRef>>,
    /// One sentence for the caller, at most 300 characters; never the vendor's text.
    pub public: String,
    /// For the log only, redacted, at most 2,000 characters.
    pub internal: String,
}

impl ProviderError {
    /// A failure of that kind with what usually follows from it.
    pub fn new(kind: Kind, accepted: Accepted) -> Self {
        let advice = match (accepted, kind) {
            (Accepted::Maybe, _) => Advice::Reconcile,
            (_, Kind::Auth | Kind::Quota) => Advice::Fallback,
            (Accepted::No, Kind::RateLimited) => Advice::RetrySame { after_ms: 5_000 },
            (Accepted::No, Kind::Unavailable | Kind::Timeout | Kind::NoOutput) => {
                Advice::RetrySame { after_ms: 200 }
            }
            (Accepted::Yes, Kind::Unavailable | Kind::Timeout | Kind::RateLimited) => {
                Advice::Reconcile
            }
            _ => Advice::Never,
        };
        Self {
            kind,
            accepted,
            finished: false,
            running: matches!(advice, Advice::Reconcile),
            advice,
            retry_after_ms: None,
            billed: Some(match accepted {
                Accepted::No => Billed::No,
                Accepted::Maybe | Accepted::Yes => Billed::Assumed,
            }),
            cost: None,
            http_status: None,
            provider_code: None,
            observed_limit: None,
            provider_request_id: None,
            job: None,
            public: kind.sentence().to_owned(),
            internal: String::new(),
        }
    }

    /// A refusal of our own, before anything was sent.
    pub fn refused(public: impl Into<String>) -> Self {
        let mut error = Self::new(Kind::Invalid, Accepted::No);
        error.public = public.into();
        error
    }

    /// Adds text for the log.
    #[must_use]
    pub fn with_internal(mut self, internal: impl Into<String>) -> Self {
        self.internal = internal.into();
        self
    }

    /// Sets the advice.
    #[must_use]
    pub const fn with_advice(mut self, advice: Advice) -> Self {
        self.advice = advice;
        self.running = matches!(advice, Advice::Reconcile);
        self
    }

    /// Sets whether it is charged.
    #[must_use]
    pub const fn with_billed(mut self, billed: Billed) -> Self {
        self.billed = Some(billed);
        self
    }

    /// Sets what was charged. An unknown amount says nothing.
    #[must_use]
    pub const fn with_cost(mut self, cost: ActualCost) -> Self {
        self.cost = match cost.usd_micros {
            Some(_) => Some(cost),
            None => None,
        };
        self
    }

    /// The vendor said that the job ended without a result.
    #[must_use]
    pub const fn ended(mut self) -> Self {
        self.finished = true;
        self.running = false;
        self
    }

    /// The outcome that the lease is settled with.
    pub const fn outcome(&self) -> Outcome {
        let unsure = matches!(self.accepted, Accepted::Maybe) || self.running;
        match self.kind {
            Kind::Auth => Outcome::Auth,
            Kind::Quota => Outcome::Quota,
            Kind::RateLimited => Outcome::RateLimited,
            Kind::Invalid => Outcome::Invalid,
            Kind::RejectedBySafety => Outcome::RejectedBySafety,
            // A job that was accepted and has run out of time is late, not lost from sight.
            Kind::Timeout if matches!(self.accepted, Accepted::Maybe) => Outcome::Unknown,
            Kind::Timeout => Outcome::Timeout,
            Kind::Unavailable | Kind::NoOutput | Kind::ContractMismatch if unsure => {
                Outcome::Unknown
            }
            Kind::Unavailable => Outcome::Unavailable,
            Kind::NoOutput | Kind::ContractMismatch => Outcome::NoOutput,
            Kind::ExpiredResult => Outcome::ResultLost,
        }
    }

    /// Whether it says that the provider is unhealthy; `None` when it says nothing about that.
    /// `auth` and `quota` open the breaker at once, which the limiter knows by their outcome.
    pub const fn breaker_failure(&self) -> Option<bool> {
        match self.kind {
            Kind::Auth
            | Kind::Quota
            | Kind::Timeout
            | Kind::Unavailable
            | Kind::NoOutput
            | Kind::ContractMismatch => Some(true),
            Kind::RejectedBySafety | Kind::ExpiredResult => Some(false),
            Kind::RateLimited | Kind::Invalid => None,
        }
    }

    /// The code of the product's answer.
    pub fn code(&self) -> Code {
        let unknown = matches!(self.outcome(), Outcome::Unknown);
        match self.kind {
            Kind::Auth => Code::ProviderAuth,
            Kind::Quota => Code::ProviderQuota,
            Kind::RateLimited => Code::RateLimited,
            Kind::Invalid => Code::InvalidRequest,
            Kind::RejectedBySafety => Code::RejectedBySafety,
            Kind::Timeout => Code::ProviderTimeout,
            Kind::Unavailable | Kind::NoOutput | Kind::ContractMismatch if unknown => {
                Code::OutcomeUnknown
            }
            Kind::Unavailable | Kind::NoOutput | Kind::ContractMismatch => Code::ProviderError,
            Kind::ExpiredResult => Code::ResultExpired,
        }
    }
}

impl From<&ProviderError> for Outcome {
    fn from(error: &ProviderError) -> Self {
        error.outcome()
    }
}

impl From<&ProviderError> for Error {
    fn from(error: &ProviderError) -> Self {
        let mut answer = Self::new(error.code(), error.public.clone())
            .with_internal(error.internal.clone())
            .with_detail("kind", error.kind.as_str())
            .with_detail("source", "provider");
        if let Some(code) = &error.provider_code {
            answer = answer.with_detail("provider_code", code.clone());
        }
        if let Some(status) = error.http_status {
            answer = answer.with_detail("http_status", status);
        }
        if let Some(ms) = error.retry_after_ms {
            answer = answer.with_retry_after_ms(ms);
        } else if let (Kind::RateLimited, Advice::RetrySame { after_ms }) =
            (error.kind, error.advice)
        {
            answer = answer.with_retry_after_ms(after_ms);
        }
        answer
    }
}

impl From<ProviderError> for Error {
    fn from(error: ProviderError) -> Self {
        Self::from(&error)
    }
}

impl std::fmt::Display for ProviderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} (accepted {:?}): {}",
            self.kind.as_str(),
            self.accepted,
            self.public
        )
    }
}

impl std::error::Error for ProviderError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_answer_outcome_and_breaker() {
        use Accepted::{Maybe, No, Yes};
        let table = [
            (
                Kind::Auth,
                No,
                Code::ProviderAuth,
                Outcome::Auth,
                Some(true),
            ),
            (
                Kind::Quota,
                No,
                Code::ProviderQuota,
                Outcome::Quota,
                Some(true),
            ),
            (
                Kind::RateLimited,
                No,
                Code::RateLimited,
                Outcome::RateLimited,
                None,
            ),
            (
                Kind::Invalid,
                No,
                Code::InvalidRequest,
                Outcome::Invalid,
                None,
            ),
            (
                Kind::RejectedBySafety,
                No,
                Code::RejectedBySafety,
                Outcome::RejectedBySafety,
                Some(false),
            ),
            (
                Kind::Timeout,
                No,
                Code::ProviderTimeout,
                Outcome::Timeout,
                Some(true),
            ),
            (
                Kind::Timeout,
                Maybe,
                Code::ProviderTimeout,
                Outcome::Unknown,
                Some(true),
            ),
            (
                Kind::Timeout,
                Yes,
                Code::ProviderTimeout,
                Outcome::Timeout,
                Some(true),
            ),
            (
                Kind::Unavailable,
                No,
                Code::ProviderError,
                Outcome::Unavailable,
                Some(true),
            ),
            (
                Kind::Unavailable,
                Maybe,
                Code::OutcomeUnknown,
                Outcome::Unknown,
                Some(true),
            ),
            (
                Kind::NoOutput,
                Yes,
                Code::ProviderError,
                Outcome::NoOutput,
                Some(true),
            ),
            (
                Kind::ContractMismatch,
                Yes,
                Code::ProviderError,
                Outcome::NoOutput,
                Some(true),
            ),
            (
                Kind::ContractMismatch,
                Maybe,
                Code::OutcomeUnknown,
                Outcome::Unknown,
                Some(true),
            ),
            (
                Kind::ExpiredResult,
                Yes,
                Code::ResultExpired,
                Outcome::ResultLost,
                Some(false),
            ),
        ];
        for (kind, accepted, code, outcome, breaker) in table {
            let error = ProviderError::new(kind, accepted);
            assert_eq!(error.code(), code, "{kind:?} {accepted:?}");
            assert_eq!(error.outcome(), outcome, "{kind:?} {accepted:?}");
            assert_eq!(error.breaker_failure(), breaker, "{kind:?} {accepted:?}");
            let answer = Error::from(&error);
            assert_eq!(answer.details["kind"], kind.as_str());
            assert_eq!(answer.details["source"], "provider");
        }
    }

    #[test]
    fn what_may_have_been_accepted_is_never_advised_to_be_sent_again() {
        for kind in [
            Kind::Timeout,
            Kind::Unavailable,
            Kind::ContractMismatch,
            Kind::RateLimited,
        ] {
            assert_eq!(
                ProviderError::new(kind, Accepted::Maybe).advice,
                Advice::Reconcile
            );
        }
    }
}

//! The closed table of error codes: one row says everything that is fixed about a code.
//!
//! In scope: name, HTTP status, retry class, default hint. Out of scope: per-request details.

use serde::{Deserialize, Serialize};

/// What a caller may do with a failed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Change the request first; the same request fails again.
    Never,
    /// Wait for `Retry-After`, then send the same request again.
    Wait,
    /// The outcome is unknown and money may have been spent: ask for the job, never submit again.
    AskForOutcome,
}

macro_rules! codes {
    ($($variant:ident $name:literal $status:literal $retry:ident $hint:literal;)+) => {
        /// Every error code of the platform. It is part of the API contract and the metric label.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Code {
            $(
                #[doc = concat!("`", $name, "`, HTTP ", stringify!($status), ": ", $hint)]
                #[serde(rename = $name)]
                $variant,
            )+
        }

        impl Code {
            /// All codes, in the order of the table.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)+];

            /// The code as it stands in bodies, logs and metrics.
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $name,)+ }
            }

            /// The HTTP status it is answered with.
            pub const fn status(self) -> u16 {
                match self { $(Code::$variant => $status,)+ }
            }

            /// What the caller may do.
            pub const fn retry(self) -> Retry {
                match self { $(Code::$variant => Retry::$retry,)+ }
            }

            /// What to do about it, when the place that raised it has nothing better to say.
            pub const fn hint(self) -> &'static str {
                match self { $(Code::$variant => $hint,)+ }
            }
        }
    };
}

codes! {
    InvalidRequest "invalid_request" 400 Never "Correct the request as the message says.";
    UnknownField "unknown_field" 400 Never "Remove the field that details.field names, or correct its spelling.";
    InvalidField "invalid_field" 400 Never "Correct the field that details.field names.";
    ReadOnlyField "read_only_field" 400 Never "Set this member by the route that details.route names.";
    InvalidCursor "invalid_cursor" 400 Never "Start again without a cursor; a cursor belongs to the filters it came with.";
    InvalidConfig "invalid_config" 400 Never "Correct each member listed in details.problems.";
    InstanceRequired "instance_required" 400 Never "Name an instance: header X-Instance-ID or member instance_id.";
    ConflictingInstance "conflicting_instance" 400 Never "Header and body name different instances; send one of them.";
    InstanceMismatch "instance_mismatch" 400 Never "This deployment serves another instance; use the URL in details.";
    ProjectRequired "project_required" 400 Never "Name a project: header X-Project-ID or member project_id.";
    ProjectMismatch "project_mismatch" 400 Never "The project belongs to another instance; name that instance or another project.";
    RequestExceedsLimit "request_exceeds_limit" 400 Never "This request alone is larger than the limit; ask for less or raise the limit.";
    UnknownBucket "unknown_bucket" 400 Never "Choose a bucket that the instance is configured with.";
    OptionUnsupported "option_unsupported" 400 Never "Remove the option or choose a model that supports it.";
    AuthFailed "auth_failed" 401 Never "Send a valid API key: Authorization: Bearer sy_...";
    BudgetExceeded "budget_exceeded" 402 Never "Raise the budget or wait until its period ends.";
    Forbidden "forbidden" 403 Never "Use a key whose owner has access, or ask an administrator for access.";
    RoleRequired "role_required" 403 Never "This needs a higher role; ask an administrator.";
    ScopeMissing "scope_missing" 403 Never "Use a key that has the scope in details.scope.";
    InstancePaused "instance_paused" 403 Never "The instance is paused; an administrator can resume it.";
    OriginRefused "origin_refused" 403 Never "Open the console by its own host name.";
    UrlExpired "url_expired" 403 Never "Ask for a new URL.";
    UrlInvalid "url_invalid" 403 Never "Use the URL exactly as it was given.";
    NotFound "not_found" 404 Never "Check the id and that the key may see it.";
    MethodNotAllowed "method_not_allowed" 405 Never "Use one of the methods in the Allow header.";
    Conflict "conflict" 409 Never "Read the current state and decide anew.";
    NotEmpty "not_empty" 409 Never "Remove what details counts first.";
    LastAdmin "last_admin" 409 Never "Make somebody else an administrator first.";
    QuotaReached "quota_reached" 409 Never "Remove something that is not needed; details names the limit.";
    Protected "protected" 409 Never "Remove the protection first.";
    InvalidTransition "invalid_transition" 409 Never "details.allowed lists the states that can follow.";
    SecretAlreadyShown "secret_already_shown" 409 Never "A secret is shown once; mint or rotate a key.";
    JobFinal "job_final" 409 Never "The job has ended; start a new one.";
    LeaseLost "lease_lost" 409 Never "Another holder has this lease; stop.";
    IdempotencyInFlight "idempotency_in_flight" 409 Wait "The first request with this key still runs; ask for details.job_id.";
    InstanceNotActive "instance_not_active" 409 Wait "Wait until the instance is active.";
    VersionMismatch "version_mismatch" 412 Never "Somebody changed it; read it again and merge your change.";
    PayloadTooLarge "payload_too_large" 413 Never "Send a smaller body; details.max_bytes is the limit.";
    UnsupportedMediaType "unsupported_media_type" 415 Never "Send Content-Type: application/json.";
    RangeNotSatisfiable "range_not_satisfiable" 416 Never "Ask for a range inside the file; Content-Range tells its length.";
    HostRefused "host_refused" 421 Never "Use the host name that this deployment is known by.";
    IdempotencyMismatch "idempotency_mismatch" 422 Never "This Idempotency-Key was used with another body; use a new key.";
    NoRoute "no_route" 422 Never "details.skipped says why each provider was passed over.";
    PriceUnknown "price_unknown" 422 Never "Add a prices row for the model to the provider's settings.";
    RejectedBySafety "rejected_by_safety" 422 Never "The provider refused the content; change the prompt.";
    QualityRejected "quality_rejected" 422 Never "The image failed the quality check; it is kept and was paid for.";
    PreconditionRequired "precondition_required" 428 Never "Send If-Match with the version that you read.";
    RateLimited "rate_limited" 429 Wait "Wait for Retry-After, then send the same request again.";
    QueueFull "queue_full" 429 Wait "Wait for Retry-After; the queue of this provider is full.";
    TooManyAuthFailures "too_many_auth_failures" 429 Wait "Stop sending wrong keys; wait a minute.";
    InternalError "internal_error" 500 Never "Report this with the request id.";
    DecryptionFailed "decryption_failed" 500 Never "Enter the provider key again; the stored one cannot be opened.";
    ProviderError "provider_error" 502 Never "The provider failed; details.kind says how. Try another provider or later.";
    ProviderAuth "provider_auth" 502 Never "The provider refused the instance's key; set a valid one.";
    ProviderQuota "provider_quota" 502 Never "The provider account has no credit or allowance left.";
    ResultExpired "result_expired" 502 Never "The provider no longer has the file; generate it again.";
    UpstreamRefused "upstream_refused" 502 Never "The registered worker URL is not allowed; correct the registry.";
    UpstreamUnavailable "upstream_unavailable" 502 Wait "The worker did not answer; try again shortly.";
    OutcomeUnknown "outcome_unknown" 502 AskForOutcome "The provider may have run it; ask for details.job_id, do not send it again.";
    StorageError "storage_error" 502 AskForOutcome "Storing failed and the job goes on; ask for details.job_id.";
    ConfigUnavailable "config_unavailable" 503 Wait "The control plane does not answer; try again shortly.";
    DatabaseUnavailable "database_unavailable" 503 Wait "The database does not answer; try again shortly.";
    LedgerUnavailable "ledger_unavailable" 503 Wait "The ledger does not answer; try again shortly.";
    LimiterUnavailable "limiter_unavailable" 503 Wait "The limiter does not answer, so nothing was sent; try again shortly.";
    ProviderUnavailable "provider_unavailable" 503 Wait "Every candidate's breaker is open; wait for Retry-After.";
    WorkerNotDeployed "worker_not_deployed" 503 Wait "Deploy this worker for the instance.";
    Overloaded "overloaded" 503 Wait "Too many writers at once; try again shortly.";
    ProviderTimeout "provider_timeout" 504 AskForOutcome "The job goes on; ask for details.status_url.";
    DeadlineExceeded "deadline_exceeded" 504 AskForOutcome "The deadline passed; ask for the outcome before sending it again.";
}

impl Code {
    /// Whether the same request may be sent again without asking for its outcome first.
    pub const fn retryable(self) -> bool {
        matches!(self.retry(), Retry::Wait)
    }

    /// The page that explains the code, relative to the documentation's root.
    pub fn docs_path(self) -> String {
        format!("/docs/errors#{}", self.as_str())
    }

    /// The code of that name.
    pub fn parse(name: &str) -> Option<Code> {
        Code::ALL.iter().copied().find(|code| code.as_str() == name)
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_snake_case_and_unique_and_has_a_hint() {
        let mut seen = std::collections::BTreeSet::new();
        for code in Code::ALL {
            let name = code.as_str();
            assert!(
                name.chars().all(|c| c.is_ascii_lowercase() || c == '_'),
                "{name}"
            );
            assert!(seen.insert(name), "{name} twice");
            assert!(
                code.hint().ends_with("..") || code.hint().ends_with('.'),
                "{name}"
            );
            assert!((400..600).contains(&code.status()), "{name}");
            assert_eq!(Code::parse(name), Some(*code));
            assert_eq!(serde_json::to_string(code).unwrap(), format!("\"{name}\""));
        }
    }

    #[test]
    fn only_waiting_codes_are_retryable_and_a_spent_call_never_is() {
        for code in Code::ALL {
            assert_eq!(code.retryable(), code.retry() == Retry::Wait);
        }
        assert!(Code::RateLimited.retryable());
        for code in [
            Code::OutcomeUnknown,
            Code::ProviderTimeout,
            Code::ProviderError,
            Code::StorageError,
        ] {
            assert!(!code.retryable(), "{code}");
        }
    }
}

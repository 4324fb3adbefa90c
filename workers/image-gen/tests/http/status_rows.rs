//! The rows of the status table of `POST /generate`, as data; `status_table` asks them.

use errors::Code;

/// One row: what is asked, its code, a detail that must be there (`name=value`, or a name alone), and how many images the
/// vendors charge for it.
pub(crate) struct Row(
    pub(crate) &'static str,
    pub(crate) Code,
    pub(crate) &'static str,
    pub(crate) usize,
);

pub(crate) const ROWS: &[Row] = &[
    // Who asks.
    Row("no key", Code::AuthFailed, "", 0),
    Row("a malformed key", Code::AuthFailed, "reason=malformed", 0),
    Row("a wrong key", Code::AuthFailed, "", 0),
    Row("an expired key", Code::AuthFailed, "reason=expired", 0),
    Row("a revoked key", Code::AuthFailed, "reason=revoked", 0),
    Row("too many wrong keys", Code::TooManyAuthFailures, "", 0),
    Row("no access to the instance", Code::Forbidden, "", 0),
    Row("a narrow key", Code::ScopeMissing, "scope=images:write", 0),
    Row("a foreign instance", Code::NotFound, "", 0),
    Row("a foreign project", Code::NotFound, "", 0),
    Row("no instance", Code::InstanceRequired, "", 0),
    Row("two instances", Code::ConflictingInstance, "", 0),
    Row("another deployment", Code::InstanceMismatch, "", 0),
    Row("two projects", Code::ProjectMismatch, "", 0),
    Row("a paused instance", Code::InstancePaused, "", 0),
    Row("a deploying instance", Code::InstanceNotActive, "", 0),
    // The body.
    Row("another content type", Code::UnsupportedMediaType, "", 0),
    Row("over the cap", Code::PayloadTooLarge, "max_bytes", 0),
    Row("cut JSON", Code::InvalidRequest, "", 0),
    Row("text after the body", Code::InvalidRequest, "", 0),
    Row("not UTF-8", Code::InvalidRequest, "", 0),
    Row("33 levels", Code::InvalidRequest, "", 0),
    Row("a member twice", Code::InvalidField, "field=prompt", 0),
    Row("an unknown member", Code::UnknownField, "field=sise", 0),
    Row("dry_run", Code::UnknownField, "field=dry_run", 0),
    Row("priority", Code::UnknownField, "field=priority", 0),
    Row("webhook", Code::UnknownField, "field=webhook", 0),
    Row("on_limit queue", Code::InvalidRequest, "field=on_limit", 0),
    Row("no prompt", Code::InvalidField, "field=prompt", 0),
    Row("an empty prompt", Code::InvalidField, "field=prompt", 0),
    Row("a blank prompt", Code::InvalidField, "field=prompt", 0),
    Row("an oversized prompt", Code::InvalidField, "field=prompt", 0),
    Row("NUL in the prompt", Code::InvalidField, "field=prompt", 0),
    Row("a key in the prompt", Code::InvalidField, "field=prompt", 0),
    Row(
        "a bearer token in the prompt",
        Code::InvalidField,
        "field=prompt",
        0,
    ),
    Row(
        "a key as Idempotency-Key",
        Code::InvalidField,
        "field=Idempotency-Key",
        0,
    ),
    Row("n as text", Code::InvalidField, "field=n", 0),
    Row("seed 0", Code::InvalidField, "field=seed", 0),
    Row("a size of nothing", Code::InvalidField, "field=size", 0),
    Row(
        "size and aspect_ratio",
        Code::InvalidField,
        "field=aspect_ratio",
        0,
    ),
    Row(
        "an unknown provider in fallback",
        Code::InvalidField,
        "field=fallback",
        0,
    ),
    Row("an unknown bucket", Code::UnknownBucket, "field=bucket", 0),
    Row(
        "more images than may be in progress",
        Code::RequestExceedsLimit,
        "value=2",
        0,
    ),
    Row(
        "more tokens than a minute has",
        Code::RequestExceedsLimit,
        "limit=tpm",
        0,
    ),
    // Idempotency-Key.
    Row(
        "the same key at once",
        Code::IdempotencyInFlight,
        "job_id",
        1,
    ),
    Row(
        "the same key, another body",
        Code::IdempotencyMismatch,
        "job_id",
        1,
    ),
    // Which provider.
    Row("an unknown model", Code::NoRoute, "skipped", 0),
    Row("a prompt that no model takes", Code::NoRoute, "skipped", 0),
    Row("a model without a price", Code::PriceUnknown, "skipped", 0),
    // Limits.
    Row("a full window", Code::RateLimited, "reason=requests", 1),
    Row(
        "a full window of tokens",
        Code::RateLimited,
        "reason=tokens",
        1,
    ),
    Row("all places taken", Code::RateLimited, "reason=inflight", 1),
    Row(
        "the provider's own limit",
        Code::RateLimited,
        "source=provider",
        0,
    ),
    Row(
        "after the provider's own limit",
        Code::RateLimited,
        "reason=provider_backoff",
        0,
    ),
    // What the provider does.
    Row(
        "an unsafe prompt",
        Code::RejectedBySafety,
        "provider=ideogram",
        0,
    ),
    Row(
        "all images withheld",
        Code::RejectedBySafety,
        "kind=rejected_by_safety",
        1,
    ),
    Row("a wrong size, strictly", Code::QualityRejected, "job_id", 1),
    Row(
        "a blank picture, strictly",
        Code::QualityRejected,
        "job_id",
        1,
    ),
    Row("called wrongly", Code::InvalidRequest, "kind=invalid", 0),
    Row("a failed job", Code::ProviderError, "kind=unavailable", 1),
    Row(
        "an unreachable provider",
        Code::ProviderError,
        "kind=unavailable",
        0,
    ),
    Row(
        "a rejected provider key",
        Code::ProviderAuth,
        "kind=auth",
        0,
    ),
    Row(
        "no access at the provider",
        Code::ProviderAuth,
        "kind=auth",
        0,
    ),
    Row(
        "no credit at the provider",
        Code::ProviderQuota,
        "kind=quota",
        0,
    ),
    Row(
        "a file that is gone",
        Code::ResultExpired,
        "kind=expired_result",
        1,
    ),
    Row("a lost answer", Code::OutcomeUnknown, "status_url", 1),
    Row("a refusing bucket", Code::StorageError, "status_url", 1),
    Row("a slow provider", Code::ProviderTimeout, "status_url", 1),
    Row("a silent provider", Code::ProviderTimeout, "status_url", 1),
    // What is away.
    Row(
        "an open breaker",
        Code::ProviderUnavailable,
        "reason=breaker",
        0,
    ),
    Row("no limiter", Code::LimiterUnavailable, "", 0),
    Row("no ledger for the claim", Code::LedgerUnavailable, "", 0),
    Row("no configuration", Code::ConfigUnavailable, "", 0),
    Row("a claim begun too late", Code::Overloaded, "", 0),
    Row(
        "a parked job whose key is spoilt",
        Code::DecryptionFailed,
        "job_id",
        0,
    ),
];

/// Codes of the table that this release cannot answer, and what they wait for.
pub(crate) const LATER: &[(Code, &str)] = &[
    (
        Code::BudgetExceeded,
        "no instance has a budget that is reserved yet",
    ),
    (Code::QueueFull, "on_limit queue is refused"),
];

/// Codes of the specified table in its order.
pub(crate) const SPECIFIED: &str = "invalid_request unknown_field invalid_field instance_required conflicting_instance \
    instance_mismatch project_mismatch unknown_bucket request_exceeds_limit auth_failed forbidden scope_missing \
    instance_paused not_found budget_exceeded idempotency_in_flight instance_not_active idempotency_mismatch \
    payload_too_large unsupported_media_type no_route price_unknown rejected_by_safety quality_rejected rate_limited \
    queue_full provider_error provider_auth provider_quota result_expired outcome_unknown storage_error \
    provider_unavailable limiter_unavailable ledger_unavailable config_unavailable provider_timeout";

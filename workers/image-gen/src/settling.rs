//! What is declared at the end of an attempt, and the events that go with it.

use crate::attempt::{Produced, Trouble};
use crate::fallback::Follow;
use crate::lease::Lease;
use api_types::{
    Billed, CostBasis, GenerateJob, JobCandidate, JobError, LIMITER_VERSION, Next, Outcome, Settle,
};
use errors::{Code, Error};
use platform::Ports;
use provider_adapters::{ActualCost, ProviderError};

fn blank<P: Ports>(lease: &Lease<P>, outcome: Outcome) -> Settle {
    Settle {
        v: LIMITER_VERSION,
        lease_id: lease.lease_id.clone(),
        epoch: lease.epoch,
        outcome,
        billed: Billed::No,
        cost_usd_micros: Some(0),
        cost_basis: CostBasis::None,
        tokens: None,
        usage: None,
        images: Vec::new(),
        withheld: 0,
        warnings: Vec::new(),
        error: None,
        retry_after_ms: None,
        observed_max_inflight: None,
        generation_ms: None,
        breaker_failure: None,
        next: Next::Final,
    }
}

fn job_error(error: &Error) -> JobError {
    JobError {
        code: error.code,
        message: error.public.clone(),
        details: error.details.clone(),
    }
}

/// What an attempt cost: what the provider has told, else what the table says of what was asked for. A price that nobody
/// knows stays unknown.
pub fn cost(told: ActualCost, candidate: &JobCandidate) -> ActualCost {
    match told.usd_micros {
        Some(_) => told,
        None => ActualCost {
            usd_micros: candidate.estimate_usd_micros,
            basis: CostBasis::Table,
        },
    }
}

/// Stored images: a success, unless a strict check refuses them. Either way they were paid for.
pub fn produced<P: Ports>(lease: &Lease<P>, produced: &Produced) -> Settle {
    let (outcome, error) = if produced.rejected {
        let error = Error::new(
            Code::QualityRejected,
            "The image is not what was asked for; it is kept.",
        );
        (Outcome::QualityRejected, Some(job_error(&error)))
    } else {
        (Outcome::Succeeded, None)
    };
    Settle {
        billed: Billed::Yes,
        cost_usd_micros: produced.cost_usd_micros,
        cost_basis: produced.cost_basis,
        tokens: produced.tokens,
        usage: produced.usage,
        images: produced.images.clone(),
        withheld: produced.withheld,
        warnings: produced.warnings.clone(),
        error,
        generation_ms: produced.generation_ms,
        breaker_failure: Some(false),
        ..blank(lease, outcome)
    }
}

/// Nobody knows where the result is: booked at what the provider has told, else at the most it can cost.
pub fn unknown<P: Ports>(
    lease: &Lease<P>,
    candidate: &JobCandidate,
    error: &Error,
    told: Option<ActualCost>,
) -> Settle {
    let (billed, cost) = match told.filter(|cost| cost.usd_micros.is_some()) {
        Some(cost) => (Billed::Yes, cost),
        None => (
            Billed::Assumed,
            ActualCost {
                usd_micros: candidate.upper_usd_micros,
                basis: CostBasis::Upper,
            },
        ),
    };
    Settle {
        billed,
        cost_usd_micros: cost.usd_micros,
        cost_basis: cost.basis,
        error: Some(job_error(error)),
        ..blank(lease, Outcome::Unknown)
    }
}

/// Certainly nothing was sent, and that ends this attempt: no charge, no usage.
pub fn unsent<P: Ports>(lease: &Lease<P>, error: &Error) -> Settle {
    Settle {
        error: Some(job_error(error)),
        ..blank(lease, Outcome::Cancelled)
    }
}

/// A failure at the provider.
pub fn failed<P: Ports>(
    lease: &Lease<P>,
    candidate: &JobCandidate,
    error: &ProviderError,
    answer: &Error,
    follow: Follow,
) -> Settle {
    let shared = Settle {
        retry_after_ms: error.retry_after_ms,
        observed_max_inflight: error.observed_limit,
        breaker_failure: error.breaker_failure(),
        ..unknown(
            lease,
            candidate,
            answer,
            error.cost.filter(|_| error.billed == Some(Billed::Yes)),
        )
    };
    if follow == Follow::Unknown {
        return shared;
    }
    let billed = error.billed.unwrap_or(Billed::No);
    let (cost_usd_micros, cost_basis) = match (billed, error.cost) {
        (Billed::No, _) => (Some(0), CostBasis::None),
        (_, Some(cost)) => (cost.usd_micros, cost.basis),
        (Billed::Yes, None) => (candidate.estimate_usd_micros, CostBasis::Table),
        (Billed::Assumed, None) => (candidate.upper_usd_micros, CostBasis::Upper),
    };
    Settle {
        outcome: error.outcome(),
        billed,
        cost_usd_micros,
        cost_basis,
        ..shared
    }
}

/// Vendors quote the prompt in their refusals, and no log line may hold one: the text ends where it begins.
pub fn forget_prompt(internal: &mut String, prompt: &str) {
    const START_CHARS: usize = 16;
    let start: String = prompt.chars().take(START_CHARS).collect();
    let escaped = serde_json::Value::from(start.as_str()).to_string();
    let escaped = escaped.trim_matches('"');
    for start in [start.as_str(), escaped] {
        if let Some(at) = internal.find(start) {
            internal.truncate(at);
            internal.push_str("[prompt]");
        }
    }
}

/// The event `provider_attempt`, once an attempt.
pub fn log_attempt(
    candidate: &JobCandidate,
    job: &GenerateJob,
    outcome: &Result<Produced, Trouble>,
    duration_ms: u64,
) {
    let (word, code) = match outcome {
        Ok(produced) if produced.rejected => (Outcome::QualityRejected.as_str(), None),
        Ok(_) => (Outcome::Succeeded.as_str(), None),
        Err(Trouble::Provider(error)) => (error.outcome().as_str(), Some(error.code().as_str())),
        Err(Trouble::NotSent(error)) => ("not_sent", Some(error.code.as_str())),
        Err(Trouble::Storage { .. }) => ("storage", Some(Code::StorageError.as_str())),
        Err(Trouble::GaveUp) => ("handoff", None),
        Err(Trouble::Lost) => ("lease_lost", None),
    };
    tracing::info!(
        event = logging::Event::ProviderAttempt.as_str(),
        provider = candidate.provider.as_str(),
        model = candidate.model,
        outcome = word,
        code,
        duration_ms,
        attempt = job.attempt_no,
        job_id = job.job_id.as_str(),
        "provider attempt"
    );
    match outcome {
        Ok(produced) => {
            let told = ActualCost {
                usd_micros: produced.cost_usd_micros,
                basis: produced.cost_basis,
            };
            warn_of_drift(candidate, job, told);
        }
        Err(Trouble::Provider(error)) if error.billed == Some(Billed::Yes) => {
            if let Some(told) = error.cost {
                warn_of_drift(candidate, job, told);
            }
        }
        Err(_) => {}
    }
    // The vendor's own words are redacted by the driver; they are for the log only.
    if let Err(Trouble::Provider(error)) = outcome
        && !error.internal.is_empty()
    {
        tracing::warn!(
            job_id = job.job_id.as_str(),
            internal = error.internal,
            "the provider failed"
        );
    }
}

/// Says that the table is wrong, or that something else was charged for than what was asked for.
fn warn_of_drift(candidate: &JobCandidate, job: &GenerateJob, told: ActualCost) {
    let (CostBasis::Reported, Some(reported), Some(table)) =
        (told.basis, told.usd_micros, candidate.estimate_usd_micros)
    else {
        return;
    };
    if is_drift(table, reported) {
        tracing::warn!(
            provider = candidate.provider.as_str(),
            model = candidate.model,
            table_usd_micros = table,
            reported_usd_micros = reported,
            job_id = job.job_id.as_str(),
            "price_drift"
        );
    }
}

/// Whether two prices are more than 5 % of the table's apart.
fn is_drift(table: i64, reported: i64) -> bool {
    i128::from(table.abs_diff(reported)) * 100 > i128::from(table) * 5
}

/// The event `usage`, at the settle that ends an attempt.
pub fn log_usage(job: &GenerateJob, settle: &Settle) {
    let Some(candidate) = job.candidates.get(job.candidate as usize) else {
        return;
    };
    tracing::info!(
        event = logging::Event::Usage.as_str(),
        provider = candidate.provider.as_str(),
        model = candidate.model,
        images = settle.images.len(),
        tokens_used = settle.tokens,
        cost_usd_micros = settle.cost_usd_micros,
        price_known = settle.cost_usd_micros.is_some(),
        job_id = job.job_id.as_str(),
        "usage"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_per_cent_of_the_table_are_no_drift() {
        for (table, reported, drift) in [
            (60_000, 60_000, false),
            (60_000, 63_000, false),
            (60_000, 57_000, false),
            (60_000, 63_001, true),
            (60_000, 56_999, true),
            (60_000, 0, true),
            (0, 0, false),
            (0, 1, true),
        ] {
            assert_eq!(is_drift(table, reported), drift, "{table} {reported}");
        }
    }

    #[test]
    fn a_quoted_prompt_ends_the_text() {
        for (text, left) in [
            ("400: a \"cat\" on a roof at night is bad", "400: [prompt]"),
            (
                r#"400: {"error":"a \"cat\" on a roof at night"}"#,
                r#"400: {"error":"[prompt]"#,
            ),
            ("503: busy", "503: busy"),
        ] {
            let mut text = text.to_owned();
            forget_prompt(&mut text, "a \"cat\" on a roof at night");
            assert_eq!(text, left);
        }
    }
}

//! What an answer about a job carries besides its body.
//!
//! In scope: URLs, headers. Out of scope: bodies.

use crate::deps::Deps;
use crate::run::Report;
use ::jobs::{status_path, with_urls};
use api_types::{GenerateResponse, Headroom, InstanceConfig, JobId, JobView, Visibility};
use errors::{Code, Error};
use http::{HeaderMap, HeaderName, HeaderValue};
use platform::{Clock, Ports};

/// Fills in the URLs of a result.
pub fn fill_urls<P: Ports>(
    deps: &Deps<P>,
    config: &InstanceConfig,
    visibility: Visibility,
    response: &mut GenerateResponse,
) {
    let now_ms = deps.clock.now_ms();
    let edited = &config.edited;
    with_urls(response, |image| {
        deps.forms.image_url(
            &image.bucket,
            &image.r2_path,
            visibility,
            edited.cdn_base_url.as_deref(),
            now_ms,
            edited.storage.url_ttl_s,
        )
    });
}

/// Where the job can be asked for.
pub fn status_url<P: Ports>(deps: &Deps<P>, job_id: &JobId) -> String {
    let base = deps.forms.public_base_url.trim_end_matches('/');
    format!("{base}{}", status_path(job_id))
}

/// The error with the job that it is about, and where to ask for it if that is not over.
pub fn of_job<P: Ports>(deps: &Deps<P>, error: Error, job_id: &JobId) -> Error {
    let error = error.with_detail("job_id", job_id.as_str());
    if goes_on(error.code) {
        error.with_detail("status_url", status_url(deps, job_id))
    } else {
        error
    }
}

/// Whether the job is not over when a request is answered with that code.
pub fn goes_on(code: Code) -> bool {
    matches!(
        code,
        Code::ProviderTimeout | Code::OutcomeUnknown | Code::StorageError
    )
}

fn set(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (
        HeaderName::from_bytes(name.as_bytes()),
        HeaderValue::from_str(value),
    ) {
        headers.insert(name, value);
    }
}

fn headroom(headers: &mut HeaderMap, what: &str, room: Option<Headroom>) {
    let Some(room) = room else {
        return;
    };
    set(
        headers,
        &format!("x-ratelimit-limit-{what}"),
        &room.limit.to_string(),
    );
    set(
        headers,
        &format!("x-ratelimit-remaining-{what}"),
        &room.remaining.to_string(),
    );
    // Whole seconds, rounded up, as `Retry-After`.
    set(
        headers,
        &format!("x-ratelimit-reset-{what}"),
        &room.reset_ms.div_ceil(1_000).to_string(),
    );
}

/// The headers of every answer with a job.
pub fn headers(headers: &mut HeaderMap, report: &Report, total_ms: u64) {
    headroom(headers, "requests", report.headroom.requests);
    headroom(headers, "tokens", report.headroom.tokens);
    headroom(headers, "images", report.headroom.images);
    if !report.known {
        return;
    }
    let job = &report.job;
    let last = job.candidates.len().saturating_sub(1);
    if let Some(candidate) = job.candidates.get((job.candidate as usize).min(last)) {
        set(
            headers,
            "x-switchyard-provider",
            candidate.provider.as_str(),
        );
        set(headers, "x-switchyard-model", &candidate.model);
    }
    let overhead_ms = total_ms.saturating_sub(report.provider_ms);
    about(
        headers,
        &job.job_id,
        job.attempt_no,
        report.cost_usd_micros,
        overhead_ms,
    );
}

/// The same for the first answer again: no object is asked, so nothing is known of its limits, and no provider has worked.
pub fn replayed(headers: &mut HeaderMap, view: &JobView, total_ms: u64) {
    set(headers, "x-switchyard-provider", view.provider.as_str());
    set(headers, "x-switchyard-model", &view.model);
    about(
        headers,
        &view.job_id,
        view.attempts,
        view.cost_usd_micros,
        total_ms,
    );
}

fn about(
    headers: &mut HeaderMap,
    job_id: &JobId,
    attempts: u32,
    cost_usd_micros: Option<i64>,
    overhead_ms: u64,
) {
    set(headers, "x-switchyard-job-id", job_id.as_str());
    set(headers, "x-switchyard-attempts", &attempts.to_string());
    // What is booked so far; of a job that goes on, GET /jobs/{id} says the same.
    if let Some(cost) = cost_usd_micros {
        set(headers, "x-switchyard-cost-usd-micros", &cost.to_string());
    }
    set(
        headers,
        "x-switchyard-overhead-ms",
        &overhead_ms.to_string(),
    );
}

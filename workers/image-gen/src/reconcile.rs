//! Finds out what became of an attempt whose holder was lost: in the bucket first. Never a submission.
//!
//! In scope: objects under the attempt's keys, read back into a result. Out of scope: asking the provider (`attempt`).

use crate::deps::Deps;
use crate::lease::Lease;
use api_types::{
    Billed, CostBasis, GenerateJob, JobCandidate, LIMITER_VERSION, Next, Outcome, Settle,
    StoredImage,
};
use futures_util::StreamExt;
use platform::{ObjectInfo, ObjectStore, PortError, Ports};
use r2_manager::{Prober, belongs_to, image_key_prefix};
use ring::digest::{Context, SHA256};
use std::fmt::Write as _;

/// The result of the attempt, if all of its images are in the bucket.
///
/// # Errors
/// A bucket that does not answer: nothing is known then.
pub async fn found_result<P: Ports>(
    deps: &Deps<P>,
    job: &GenerateJob,
    candidate: &JobCandidate,
    lease: &Lease<P>,
) -> Result<Option<Settle>, PortError> {
    let prefix = image_key_prefix(
        &job.caller.instance_id,
        job.caller.project_id.as_ref(),
        job.admitted_at,
    );
    let mut found = Vec::new();
    for (bucket, store) in deps.buckets.in_order(&job.bucket) {
        for object in store.list(&prefix).await? {
            let own = object.meta("lease_id") == Some(lease.lease_id.as_str());
            let known = found
                .iter()
                .any(|(_, _, seen): &(String, P::Objects, ObjectInfo)| seen.key == object.key);
            if own && !known {
                found.push((bucket.clone(), store.clone(), object));
            }
        }
    }
    let Some((_, _, first)) = found.first() else {
        return Ok(None);
    };
    let number = |name: &str| first.meta(name).and_then(|text| text.parse::<i64>().ok());
    let expected = number("images").map_or(job.image_ids.len(), |n| {
        usize::try_from(n).unwrap_or(usize::MAX)
    });
    let cost_usd_micros = number("cost_usd_micros");
    let mut images = Vec::new();
    for id in &job.image_ids {
        let Some((bucket, store, object)) = found
            .iter()
            .find(|(_, _, object)| belongs_to(&object.key, id))
        else {
            continue;
        };
        let Some(seen) = read_back(store, object).await? else {
            continue;
        };
        images.push(StoredImage {
            image_id: id.clone(),
            bucket: bucket.clone(),
            ..seen
        });
    }
    if images.is_empty() || images.len() < expected {
        return Ok(None);
    }
    Ok(Some(Settle {
        v: LIMITER_VERSION,
        lease_id: lease.lease_id.clone(),
        epoch: lease.epoch,
        outcome: Outcome::Succeeded,
        billed: Billed::Yes,
        cost_usd_micros: cost_usd_micros.or(candidate.estimate_usd_micros),
        cost_basis: CostBasis::Table,
        tokens: None,
        images,
        withheld: 0,
        warnings: Vec::new(),
        error: None,
        retry_after_ms: None,
        observed_max_inflight: None,
        generation_ms: None,
        breaker_failure: Some(false),
        next: Next::Final,
    }))
}

/// The facts of one object from its bytes; `None` when it is gone or no whole picture.
async fn read_back<S: ObjectStore>(
    store: &S,
    object: &ObjectInfo,
) -> Result<Option<StoredImage>, PortError> {
    let Some(mut read) = store.get(&object.key).await? else {
        return Ok(None);
    };
    let (mut prober, mut sha256) = (Prober::default(), Context::new(&SHA256));
    while let Some(chunk) = read.body.next().await {
        let chunk = chunk?;
        prober.feed(&chunk);
        sha256.update(&chunk);
    }
    let Ok(probe) = prober.finish() else {
        return Ok(None);
    };
    let Some(image_id) = object
        .meta("image_id")
        .and_then(|id| api_types::ImageId::parse(id).ok())
    else {
        return Ok(None);
    };
    let digest = sha256.finish();
    let hex = digest
        .as_ref()
        .iter()
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
    Ok(Some(StoredImage {
        image_id,
        image_url: String::new(),
        r2_path: object.key.clone(),
        bucket: String::new(),
        size_bytes: prober.length_bytes(),
        dimensions: probe.dimensions(),
        format: probe.format,
        seed: object.meta("seed").and_then(|seed| seed.parse().ok()),
        quality: "ok".to_owned(),
        sha256: hex,
        revised_prompt: None,
    }))
}

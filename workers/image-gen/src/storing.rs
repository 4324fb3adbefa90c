//! From a provider's result to objects in a bucket.
//!
//! In scope: keys and metadata of one attempt, downloading again where that can help, the check of dimensions and format and
//! whether there is anything to see.
//! Out of scope: streaming itself (`r2-manager`), what a failure means for the job (`run`).

use crate::deps::Deps;
use api_types::{
    CostBasis, GenerateJob, ImageId, ImageOptions, ImageResult, JobCandidate, LeaseId,
    QualityCheck, StoredImage, Timestamp, Warning,
};
use platform::{Clock, Ports};
use provider_adapters::{Accepted, Advice, ImageAdapter, Kind, ProviderError};
use r2_manager::{
    ImageMetadata, PAUSES_MS, ProbeError, Source, StorageOptions, StoreError, UploadResult,
    upload_image,
};

/// Dimensions may differ by that much from what was asked, in per cent.
const DIMENSION_TOLERANCE_PERCENT: u64 = 2;

/// Why an image is not stored.
#[derive(Debug)]
pub enum StoreTrouble {
    /// No bucket took it.
    Storage(String),
    /// The provider no longer gives it, or not whole.
    Provider(ProviderError),
}

/// One image as clients and ledger see it, and what the check found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The image.
    pub image: StoredImage,
    /// Where it is not what was asked for, the worst first.
    pub warnings: Vec<Warning>,
}

/// What all images of one attempt have in common.
#[derive(Clone)]
pub struct Shelf<'a> {
    /// The job.
    pub job: &'a GenerateJob,
    /// The candidate that makes them.
    pub candidate: &'a JobCandidate,
    /// The lease.
    pub lease_id: &'a LeaseId,
    /// What the attempt cost, as far as it is known.
    pub cost_usd_micros: Option<i64>,
    /// How that is known; `None` where the provider has not told yet.
    pub cost_basis: Option<CostBasis>,
    /// How many it stores in all.
    pub images: u32,
    /// How many the provider kept back, as far as that is known.
    pub withheld: u32,
}

impl Shelf<'_> {
    /// The id of the image at that place. One more than asked for gets an id from the lease: it is stored, because it was
    /// paid for, and must not overwrite another one.
    pub fn image_id(&self, index: u32) -> Option<ImageId> {
        self.job.image_ids.get(index as usize).cloned().or_else(|| {
            let stem = self.lease_id.as_str().get(..28)?;
            ImageId::parse(&format!("{stem}{index:08x}")).ok()
        })
    }

    /// How the image at that place is stored.
    pub fn options(
        &self,
        image_id: &ImageId,
        seed: Option<u64>,
        revised_prompt: Option<&str>,
        now: Timestamp,
    ) -> StorageOptions {
        let caller = &self.job.caller;
        // Whoever may read the bucket may read this, so a key that was pasted into a prompt is not kept here. Before the
        // cut: the rest of a key that was cut would no longer look like one.
        let prompt = logging::redact_tokens(&self.job.request.prompt);
        let revised_prompt = revised_prompt.map(logging::redact_tokens);
        let metadata = ImageMetadata {
            instance_id: &caller.instance_id,
            project_id: caller.project_id.as_ref(),
            provider: &self.candidate.provider,
            model: &self.candidate.model,
            prompt: &prompt,
            generated_at: now,
            job_id: &self.job.job_id,
            image_id,
            lease_id: self.lease_id,
            seed,
            visibility: self.job.visibility,
            cost_usd_micros: self.cost_usd_micros,
            cost_basis: self.cost_basis,
            images: self.images,
            withheld: self.withheld,
            revised_prompt: revised_prompt.as_deref(),
        }
        .to_pairs();
        StorageOptions {
            instance_id: caller.instance_id.clone(),
            project_id: caller.project_id.clone(),
            filename: self.job.request.filename.clone(),
            admitted_at: self.job.admitted_at,
            image_id: image_id.clone(),
            metadata,
        }
    }

    /// The image as clients and ledger see it.
    pub fn stored(
        &self,
        image_id: &ImageId,
        seed: Option<u64>,
        revised_prompt: Option<String>,
        stored: UploadResult,
        check: QualityCheck,
    ) -> Found {
        let warnings = match check {
            QualityCheck::Off => Vec::new(),
            QualityCheck::Warn | QualityCheck::Strict => {
                findings(&self.candidate.effective, &stored)
            }
        };
        let quality = match (warnings.first(), check) {
            (_, QualityCheck::Off) => "unchecked".to_owned(),
            (Some(worst), _) => worst.option.clone().unwrap_or_default(),
            (None, _) => "ok".to_owned(),
        };
        let image = StoredImage {
            image_id: image_id.clone(),
            image_url: String::new(),
            dimensions: stored.probe.dimensions(),
            format: stored.probe.format,
            r2_path: stored.r2_path,
            bucket: stored.bucket,
            size_bytes: stored.size_bytes,
            seed,
            quality,
            sha256: stored.sha256,
            revised_prompt,
        };
        Found { image, warnings }
    }
}

/// Where the file is not what was sent for: there is nothing to see, or it has other dimensions or another format.
fn findings(effective: &ImageOptions, stored: &UploadResult) -> Vec<Warning> {
    let warning = |option: &str, from: Option<String>, to: Option<String>| Warning {
        code: "quality".to_owned(),
        option: Some(option.to_owned()),
        from,
        to,
    };
    let mut found = Vec::new();
    if let Some(blank) = stored.probe.blank {
        found.push(warning(blank.as_str(), None, None));
    }
    let asked = effective
        .size
        .as_deref()
        .and_then(|size| size.split_once('x'))
        .and_then(|(width, height)| {
            Some((width.parse::<u64>().ok()?, height.parse::<u64>().ok()?))
        });
    let near = |asked: u64, got: u32| {
        asked.abs_diff(u64::from(got)) * 100 <= asked * DIMENSION_TOLERANCE_PERCENT
    };
    if let Some((width, height)) = asked
        && !(near(width, stored.probe.width) && near(height, stored.probe.height))
    {
        found.push(warning(
            "dimensions",
            Some(format!("{width}x{height}")),
            Some(stored.probe.dimensions()),
        ));
    }
    if let Some(format) = effective.format
        && format != stored.probe.format
    {
        found.push(warning(
            "format",
            Some(format.as_str().to_owned()),
            Some(stored.probe.format.as_str().to_owned()),
        ));
    }
    found
}

/// Whether the same file may come whole another time.
fn is_cut(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Source(_) | StoreError::Malformed(ProbeError::Truncated)
    )
}

/// What a file that cannot be stored says about the provider.
pub fn provider_fault(error: &StoreError) -> Option<ProviderError> {
    let kind = match error {
        StoreError::Storage(_) => return None,
        StoreError::Malformed(ProbeError::NotAnImage | ProbeError::Empty) => Kind::NoOutput,
        StoreError::TooLarge | StoreError::Source(_) | StoreError::Malformed(_) => {
            Kind::ContractMismatch
        }
    };
    let fault = ProviderError::new(kind, Accepted::Yes).with_internal(error.to_string());
    Some(if is_cut(error) {
        fault.with_advice(Advice::Reconcile)
    } else {
        fault
    })
}

/// Downloads one image and stores it: a broken download is opened once more, a refusing bucket is tried three times with
/// pauses, then the default bucket.
///
/// # Errors
/// [`StoreTrouble`].
pub async fn fetch_and_store<P: Ports>(
    deps: &Deps<P>,
    shelf: &Shelf<'_>,
    adapter: &ImageAdapter,
    image_id: &ImageId,
    result: &ImageResult,
    deadline: Timestamp,
) -> Result<UploadResult, StoreTrouble> {
    let targets = deps.buckets.in_order(&shelf.job.bucket);
    let tries = PAUSES_MS.len();
    let (mut refused, mut broken) = (0, 0);
    loop {
        let Some(target) = targets.get(refused / tries) else {
            return Err(StoreTrouble::Storage("no bucket took the image".to_owned()));
        };
        let download = deps
            .driver
            .open_result(adapter, result, deadline)
            .await
            .map_err(StoreTrouble::Provider)?;
        let now = Timestamp(deps.clock.now_ms());
        let source = Source {
            body: download.body,
            length_bytes: download.content_length,
        };
        let options = shelf.options(image_id, result.seed, result.revised_prompt.as_deref(), now);
        let stored = upload_image(source, options, target.clone(), deps.clock.clone()).await;
        match stored {
            Ok(stored) => return Ok(stored),
            Err(StoreError::Storage(cause)) => {
                refused += 1;
                tracing::warn!(bucket = target.0, cause, "a bucket refused an image");
                if refused >= tries * targets.len() {
                    return Err(StoreTrouble::Storage(cause));
                }
                let pause_ms = PAUSES_MS.get(refused % tries).copied().unwrap_or(0);
                deps.clock.sleep(pause_ms).await;
            }
            Err(error) => {
                if !is_cut(&error) || broken > 0 {
                    return Err(provider_fault(&error).map_or_else(
                        || StoreTrouble::Storage(error.to_string()),
                        StoreTrouble::Provider,
                    ));
                }
                broken += 1;
            }
        }
    }
}

//! From a provider's finished answer to stored images: what is delivered, what is lost, and what is worth another try.
//!
//! In scope: one attempt's images side by side, the decision about those that are missing. Out of scope: one image
//! (`storing`), the answer itself (`attempt`).
//! Architecture invariant: an image that was paid for is given up only when nobody can fetch it any more, or when waiting
//! for it would hold back the others for longer than a job may run.

use crate::attempt::{Attempt, Finished, Produced, Trouble, Way};
use crate::storing::{Found, Shelf, StoreTrouble, fetch_and_store, provider_fault};
use api_types::{Billed, ImageResult, ImageState, JobRef, JobStage, QualityCheck, Warning};
use futures_util::{FutureExt, StreamExt, stream};
use platform::{Clock, Ports};
use provider_adapters::{Accepted, ActualCost, Advice, Flow, Kind, ProviderError};
use r2_manager::{StoreError, UploadResult};

/// Images of one attempt that are fetched at the same time; an invocation has 6 connections.
const PARALLEL_IMAGES: usize = 4;

/// Why images are missing.
#[derive(Debug, Default)]
struct Missing {
    /// No bucket took one.
    refused: Option<String>,
    /// The provider did not give one, or not whole.
    fault: Option<ProviderError>,
}

impl<P: Ports> Attempt<'_, P> {
    /// Stores what came out. Images that are lost for good are a warning beside the others.
    ///
    /// # Errors
    /// [`Trouble`]: nothing could be stored, or something is missing that can still be fetched.
    pub(crate) async fn store(&self, way: &Way, finished: Finished) -> Result<Produced, Trouble> {
        let Finished {
            result,
            job_ref,
            generation_ms,
            blobs,
        } = finished;
        let ready: Vec<&ImageResult> = result
            .images
            .iter()
            .filter(|image| image.state == ImageState::Ready)
            .collect();
        let count = u32::try_from(ready.len()).unwrap_or(u32::MAX);
        let withheld = |image: &&ImageResult| image.state == ImageState::Withheld;
        let withheld = result.images.iter().filter(withheld).count();
        let shelf = Shelf {
            cost_usd_micros: result.cost.usd_micros,
            cost_basis: Some(result.cost.basis),
            withheld: u32::try_from(withheld).unwrap_or(u32::MAX),
            ..self.shelf(count)
        };
        let mut storing = Vec::with_capacity(ready.len());
        for image in ready {
            let placed = self.store_one(way, &shelf, image, &blobs, job_ref.as_ref());
            storing.push(placed.boxed());
        }
        let work = stream::iter(storing)
            .buffered(PARALLEL_IMAGES)
            .collect::<Vec<_>>()
            .boxed();
        let outcomes = self.lease.during(JobStage::Storing, work).await;

        let check = quality_check(self);
        let mut produced = Produced {
            images: Vec::new(),
            withheld: 0,
            warnings: result.warnings.clone(),
            rejected: false,
            cost_usd_micros: result.cost.usd_micros,
            cost_basis: result.cost.basis,
            tokens: result.tokens,
            usage: result.usage,
            generation_ms: Some(generation_ms),
        };
        let mut missing = Missing::default();
        for (image, outcome) in outcomes {
            match outcome {
                Ok(stored) => {
                    let Some(id) = shelf.image_id(image.blob.unwrap_or(image.index)) else {
                        continue;
                    };
                    let Found { image, warnings } =
                        shelf.stored(&id, image.seed, image.revised_prompt.clone(), stored, check);
                    produced.rejected |= !warnings.is_empty() && check == QualityCheck::Strict;
                    produced.warnings.extend(warnings);
                    produced.images.push(image);
                }
                Err(trouble) => {
                    produced
                        .warnings
                        .push(image_warning("image_lost", image.index));
                    match trouble {
                        StoreTrouble::Storage(cause) => missing.refused = Some(cause),
                        StoreTrouble::Provider(error) => missing.fault = Some(error),
                    }
                }
            }
        }
        for image in &result.images {
            match image.state {
                ImageState::Ready => {}
                ImageState::Withheld => {
                    produced.withheld += 1;
                    let warning = image_warning("image_withheld", image.index);
                    produced.warnings.push(warning);
                }
                ImageState::Failed => {
                    produced
                        .warnings
                        .push(image_warning("image_failed", image.index));
                }
            }
        }
        let polled = way.adapter.flow() == Flow::Poll;
        let due = job_ref.is_none_or(|job_ref| self.is_due(&job_ref));
        match trouble(
            missing,
            polled,
            due,
            produced.images.is_empty(),
            result.cost,
        ) {
            Some(trouble) => Err(trouble),
            None => Ok(produced),
        }
    }

    /// Whether the job has had its time: what can be delivered is not held back any longer.
    fn is_due(&self, job_ref: &JobRef) -> bool {
        let run_ms = i64::try_from(self.deps.settings.run_ms).unwrap_or(i64::MAX);
        job_ref.submitted_at.plus_ms(run_ms).ms() <= self.deps.clock.now_ms()
    }

    async fn store_one<'a>(
        &self,
        way: &Way,
        shelf: &Shelf<'_>,
        image: &'a ImageResult,
        blobs: &[Result<UploadResult, StoreError>],
        job_ref: Option<&JobRef>,
    ) -> (&'a ImageResult, Result<UploadResult, StoreTrouble>) {
        (image, self.place(way, shelf, image, blobs, job_ref).await)
    }

    async fn place(
        &self,
        way: &Way,
        shelf: &Shelf<'_>,
        image: &ImageResult,
        blobs: &[Result<UploadResult, StoreError>],
        job_ref: Option<&JobRef>,
    ) -> Result<UploadResult, StoreTrouble> {
        if let Some(blob) = image.blob {
            let missing =
                || StoreTrouble::Provider(ProviderError::new(Kind::NoOutput, Accepted::Yes));
            return match blobs.get(blob as usize).ok_or_else(missing)? {
                Ok(stored) => Ok(stored.clone()),
                Err(error) => Err(provider_fault(error).map_or_else(
                    || StoreTrouble::Storage(error.to_string()),
                    StoreTrouble::Provider,
                )),
            };
        }
        let Some(image_id) = shelf.image_id(image.index) else {
            return Err(StoreTrouble::Provider(ProviderError::new(
                Kind::ContractMismatch,
                Accepted::Yes,
            )));
        };
        let deadline = self.run_deadline();
        let fetched = fetch_and_store(self.deps, shelf, &way.adapter, &image_id, image, deadline);
        match (fetched.await, job_ref) {
            // Links to files end before the result does: one fresh result gives new ones.
            (Err(StoreTrouble::Provider(error)), Some(job_ref))
                if error.kind == Kind::ExpiredResult =>
            {
                let fresh = self
                    .deps
                    .driver
                    .fetch_result(&way.adapter, job_ref, &way.secret(), self.run_deadline())
                    .await
                    .map_err(StoreTrouble::Provider)?;
                match fresh.images.into_iter().find(|it| it.index == image.index) {
                    Some(image) => {
                        let deadline = self.run_deadline();
                        fetch_and_store(self.deps, shelf, &way.adapter, &image_id, &image, deadline)
                            .await
                    }
                    None => Err(StoreTrouble::Provider(error)),
                }
            }
            (stored, _) => stored,
        }
    }
}

/// How strictly this job's images are looked at.
fn quality_check<P: Ports>(attempt: &Attempt<'_, P>) -> QualityCheck {
    let asked = attempt.job.request.quality_check;
    asked.unwrap_or(attempt.config.edited.quality_check)
}

/// What missing images mean: `None` when the others are delivered without them.
fn trouble(
    missing: Missing,
    polled: bool,
    due: bool,
    nothing: bool,
    cost: ActualCost,
) -> Option<Trouble> {
    // Whatever became of the files, the provider has made them and says what that cost.
    let paid = |error: ProviderError| match cost.usd_micros {
        Some(_) => error.with_billed(Billed::Yes).with_cost(cost),
        None => error,
    };
    let passing = |error: &ProviderError| error.advice == Advice::Reconcile;
    if polled && (nothing || !due) {
        if let Some(cause) = missing.refused {
            return Some(Trouble::Storage {
                cause,
                resumable: true,
                cost,
            });
        }
        if let Some(error) = missing.fault.clone().filter(passing) {
            return Some(Trouble::Provider(paid(error)));
        }
    }
    if !nothing {
        return None;
    }
    if let Some(cause) = missing.refused {
        return Some(Trouble::Storage {
            cause,
            resumable: false,
            cost,
        });
    }
    let mut fault = missing
        .fault
        .unwrap_or_else(|| ProviderError::new(Kind::NoOutput, Accepted::Yes));
    // Nobody can be asked again, so this is the end of it, and not a job that is only late.
    if fault.kind == Kind::Timeout {
        fault.kind = Kind::Unavailable;
    }
    Some(Trouble::Provider(paid(fault.with_advice(Advice::Never))))
}

/// A warning about the image at that place.
pub(crate) fn image_warning(code: &str, index: u32) -> Warning {
    Warning {
        code: code.to_owned(),
        option: None,
        from: Some(index.to_string()),
        to: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_types::CostBasis;

    const COST: ActualCost = ActualCost {
        usd_micros: Some(7),
        basis: CostBasis::Table,
    };

    fn refused() -> Missing {
        Missing {
            refused: Some("full".to_owned()),
            fault: None,
        }
    }

    fn fault(kind: Kind, advice: Advice) -> Missing {
        Missing {
            refused: None,
            fault: Some(ProviderError::new(kind, Accepted::Yes).with_advice(advice)),
        }
    }

    #[test]
    fn what_can_still_be_fetched_holds_the_others_back_for_the_time_of_a_run() {
        let broken = || fault(Kind::Unavailable, Advice::Reconcile);
        for (missing, due, nothing, goes_on) in [
            (refused(), false, false, true),
            (refused(), true, false, false),
            (refused(), true, true, true),
            (broken(), false, false, true),
            (broken(), true, false, false),
            (broken(), true, true, true),
            (
                fault(Kind::ExpiredResult, Advice::Never),
                false,
                false,
                false,
            ),
        ] {
            let what = format!("{missing:?} due {due} nothing {nothing}");
            let found = trouble(missing, true, due, nothing, COST);
            match &found {
                None => {}
                Some(Trouble::Storage { resumable, .. }) => assert!(resumable, "{what}"),
                Some(Trouble::Provider(error)) => {
                    assert!(error.running, "{what}");
                    assert_eq!(error.cost, Some(COST), "{what}");
                }
                Some(other) => panic!("{what}: {other:?}"),
            }
            assert_eq!(found.is_some(), goes_on, "{what}");
        }
    }

    #[test]
    fn a_synchronous_vendor_is_never_waited_for() {
        for missing in [refused(), fault(Kind::Unavailable, Advice::Reconcile)] {
            assert!(trouble(missing, false, false, false, COST).is_none());
        }
        match trouble(refused(), false, false, true, COST) {
            Some(Trouble::Storage {
                resumable, cost, ..
            }) => {
                assert_eq!((resumable, cost), (false, COST));
            }
            other => panic!("{other:?}"),
        }
        match trouble(
            fault(Kind::Unavailable, Advice::Reconcile),
            false,
            false,
            true,
            COST,
        ) {
            Some(Trouble::Provider(error)) => {
                assert!(!error.running);
                assert_eq!((error.billed, error.cost), (Some(Billed::Yes), Some(COST)));
            }
            other => panic!("{other:?}"),
        }
    }
}

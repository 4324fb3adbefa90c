//! Finds out what became of an attempt whose holder was lost: in the bucket first. Never a submission.
//!
//! In scope: objects under the attempt's keys, looked at as if they had just been made. Out of scope: asking the provider
//! (`attempt`).

use crate::attempt::Produced;
use crate::delivery::image_warning;
use crate::deps::Deps;
use crate::lease::Lease;
use crate::settling;
use crate::storing::Shelf;
use api_types::{
    CostBasis, GenerateJob, ImageId, InstanceConfig, JobCandidate, QualityCheck, Settle,
};
use futures_util::StreamExt;
use platform::{ObjectInfo, ObjectStore, PortError, Ports};
use r2_manager::{Prober, REVISED_PROMPT, UploadResult, belongs_to, decoded, image_key_prefix};
use ring::digest::{Context, SHA256};
use std::fmt::Write as _;

/// Which sets of images are a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accept {
    /// Whole ones only.
    Whole,
    /// What there is: nobody is left who could bring the rest.
    Any,
}

/// Whose images are looked for.
pub struct Search<'a, P: Ports> {
    /// Dependencies.
    pub deps: &'a Deps<P>,
    /// Configuration of the instance.
    pub config: &'a InstanceConfig,
    /// The job.
    pub job: &'a GenerateJob,
    /// The candidate of the attempt.
    pub candidate: &'a JobCandidate,
    /// The lease, which all its objects name.
    pub lease: &'a Lease<P>,
}

/// One object of the attempt.
struct Object<S> {
    bucket: String,
    store: S,
    info: ObjectInfo,
}

impl<P: Ports> Search<'_, P> {
    /// The result of the attempt, if its images are in the bucket.
    ///
    /// # Errors
    /// A bucket that does not answer: nothing is known then.
    pub async fn result(&self, accept: Accept) -> Result<Option<Settle>, PortError> {
        let objects = self.objects().await?;
        let Some(first) = objects.first() else {
            return Ok(None);
        };
        let number = |name: &str| {
            first
                .info
                .meta(name)
                .and_then(|text| text.parse::<i64>().ok())
        };
        let expected = number("images").map_or(self.job.image_ids.len(), |n| {
            usize::try_from(n).unwrap_or(usize::MAX)
        });
        let cost_usd_micros = number("cost_usd_micros").or(self.candidate.estimate_usd_micros);
        let withheld = number("withheld").map_or(0, |n| u32::try_from(n).unwrap_or(0));
        let check = self
            .job
            .request
            .quality_check
            .unwrap_or(self.config.edited.quality_check);
        let mut produced = Produced {
            images: Vec::new(),
            withheld,
            warnings: Vec::new(),
            rejected: false,
            cost_usd_micros,
            cost_basis: first.basis().unwrap_or(CostBasis::Table),
            tokens: None,
            usage: None,
            generation_ms: None,
        };
        for (index, id) in (0..).zip(&self.job.image_ids) {
            match self.image(&objects, id).await? {
                Some((object, stored)) => {
                    let seed = object.info.meta("seed").and_then(|seed| seed.parse().ok());
                    let revised = object.info.meta(REVISED_PROMPT).and_then(decoded);
                    let found = self.shelf().stored(id, seed, revised, stored, check);
                    produced.rejected |=
                        !found.warnings.is_empty() && check == QualityCheck::Strict;
                    produced.warnings.extend(found.warnings);
                    produced.images.push(found.image);
                }
                None => produced.warnings.push(image_warning("image_lost", index)),
            }
        }
        let found = produced.images.len();
        if found == 0 || (found < expected && accept == Accept::Whole) {
            return Ok(None);
        }
        if found >= expected {
            // The provider gave fewer than were asked for. Where it kept back all others, the objects say so; the rest of
            // what it told about them stood in an answer that nobody has any more.
            let all_withheld = found + withheld as usize == self.job.image_ids.len();
            for warning in &mut produced.warnings {
                if all_withheld && warning.code == "image_lost" {
                    "image_withheld".clone_into(&mut warning.code);
                }
            }
            produced
                .warnings
                .retain(|warning| warning.code != "image_lost");
        }
        Ok(Some(settling::produced(self.lease, &produced)))
    }

    fn shelf(&self) -> Shelf<'_> {
        Shelf {
            job: self.job,
            candidate: self.candidate,
            lease_id: &self.lease.lease_id,
            cost_usd_micros: None,
            cost_basis: None,
            images: 0,
            withheld: 0,
        }
    }

    /// All objects of this lease, each from the first bucket that has it.
    async fn objects(&self) -> Result<Vec<Object<P::Objects>>, PortError> {
        let prefix = image_key_prefix(
            &self.job.caller.instance_id,
            self.job.caller.project_id.as_ref(),
            self.job.admitted_at,
        );
        let mut objects: Vec<Object<P::Objects>> = Vec::new();
        for (bucket, store) in self.deps.buckets.in_order(&self.job.bucket) {
            for info in store.list(&prefix).await? {
                let own = info.meta("lease_id") == Some(self.lease.lease_id.as_str());
                let known = objects.iter().any(|object| object.info.key == info.key);
                if own && !known {
                    objects.push(Object {
                        bucket: bucket.clone(),
                        store: store.clone(),
                        info,
                    });
                }
            }
        }
        Ok(objects)
    }

    async fn image<'o>(
        &self,
        objects: &'o [Object<P::Objects>],
        id: &ImageId,
    ) -> Result<Option<(&'o Object<P::Objects>, UploadResult)>, PortError> {
        let Some(object) = objects.iter().find(|it| belongs_to(&it.info.key, id)) else {
            return Ok(None);
        };
        let stored = read_back(object).await?;
        Ok(stored.map(|stored| (object, stored)))
    }
}

impl<S> Object<S> {
    /// How the cost is known, where its provider had told that before the object was written.
    fn basis(&self) -> Option<CostBasis> {
        let word = self.info.meta("cost_basis")?;
        serde_json::from_value(word.into()).ok()
    }
}

/// The facts of one object from its bytes; `None` when it is gone or no whole picture.
async fn read_back<S: ObjectStore>(object: &Object<S>) -> Result<Option<UploadResult>, PortError> {
    let Some(mut read) = object.store.get(&object.info.key).await? else {
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
    let digest = sha256.finish();
    let hex = digest
        .as_ref()
        .iter()
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
    Ok(Some(UploadResult {
        bucket: object.bucket.clone(),
        r2_path: object.info.key.clone(),
        size_bytes: prober.length_bytes(),
        sha256: hex,
        probe,
    }))
}

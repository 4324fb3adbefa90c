//! `GET /jobs/{id}`: one job, exact.
//!
//! In scope: the row, and while it is missing or not final the limiter objects. Out of scope: lists (the ledger's index).

use crate::answer;
use crate::deps::Deps;
use ::jobs::{Deadline, eta_ms, newest};
use api_types::{
    AttemptState, GenerateJob, InstanceConfig, InstanceId, JobId, JobView, ProviderName,
    StateQuery, StateReply, Visibility, limiter_object_name,
};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use errors::{Code, Error, Result};
use futures_util::{StreamExt, stream};
use middleware::{Caller, Context, Path, Query};
use platform::{CallContext, Clock, Ports};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Objects that are asked for a job that a client names.
const MAX_OBJECTS: usize = 12;
/// Objects asked at the same time; an invocation has 6 connections.
const PARALLEL: usize = 6;
/// Longest `wait`, in seconds.
const MAX_WAIT_S: u64 = 60;
/// Between two looks while waiting, in milliseconds; the last one repeats.
const LOOK_AGAIN_MS: [u64; 3] = [250, 500, 1_000];

/// Parameters of the route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JobQuery {
    /// Seconds to wait for a change, 0 to 60.
    wait: Option<u64>,
    /// The version that the caller knows.
    version: Option<i64>,
}

/// A job and who may read its images.
#[derive(Clone, Debug)]
pub struct Found {
    /// The job.
    pub view: JobView,
    /// Of its images.
    pub visibility: Visibility,
    /// The attempt that this place knows has ended while the job goes on elsewhere.
    passed_on: bool,
}

/// Steps: the id's form (400); the row, and the objects while it is missing or not final (404 when nobody knows it, or when
/// the key is bound to another project); with `wait` again, until it changes, ends, or the time is over.
pub async fn get_job<P: Ports>(
    State(deps): State<Deps<P>>,
    context: Context,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<JobQuery>,
) -> Result<Response> {
    let job_id =
        JobId::parse(&id).map_err(|error| Error::invalid_field("job_id", error.to_string()))?;
    let wait_s = query.wait.unwrap_or(0);
    if wait_s > MAX_WAIT_S {
        return Err(Error::invalid_field("wait", "must be 0 to 60 seconds"));
    }
    let config = caller.config()?;
    let wait = Duration::from_secs(wait_s);
    let end = Deadline::after(
        deps.clock.now_ms(),
        u64::try_from(wait.as_millis()).unwrap_or(0),
    );
    let mut known = query.version;
    let mut looks = 0;
    loop {
        let mut found = find(&deps, config, &job_id, context.call())
            .await?
            .filter(|found| {
                let bound = caller.auth.project_id.as_ref();
                bound.is_none() || bound == found.view.project_id.as_ref()
            })
            .ok_or_else(|| Error::not_found("job"))?;
        let version = found.view.version;
        let changed = *known.get_or_insert(version) != version;
        let left_ms = end.left_ms(deps.clock.now_ms());
        if changed || found.view.state.is_final() || left_ms == 0 {
            let now_ms = deps.clock.now_ms();
            let stats = deps.memory.stats(&config.instance_id, now_ms);
            let known = stats.get(&found.view.provider);
            let median_ms = known.map_or(0, |stats| stats.median_ms);
            found.view.eta_ms = eta_ms(&found.view, median_ms, now_ms);
            if let Some(result) = &mut found.view.result {
                answer::fill_urls(&deps, config, found.visibility, result);
            }
            return Ok(axum::Json(found.view).into_response());
        }
        let [.., last] = LOOK_AGAIN_MS;
        let pause_ms = LOOK_AGAIN_MS.get(looks).copied().unwrap_or(last);
        looks += 1;
        deps.clock.sleep(pause_ms.min(left_ms)).await;
    }
}

/// Everything that is known of a job of that instance.
///
/// # Errors
/// 503 when neither the ledger nor all objects answer, or when there are more than are asked: then "no such job" would be
/// a guess.
pub async fn find<P: Ports>(
    deps: &Deps<P>,
    config: &InstanceConfig,
    job_id: &JobId,
    context: &CallContext,
) -> Result<Option<Found>> {
    find_among(deps, config, job_id, context, MAX_OBJECTS).await
}

/// As [`find`], and all objects are asked, whatever that takes: money depends on the answer.
///
/// # Errors
/// As [`find`].
pub async fn find_everywhere<P: Ports>(
    deps: &Deps<P>,
    config: &InstanceConfig,
    job_id: &JobId,
    context: &CallContext,
) -> Result<Option<Found>> {
    find_among(deps, config, job_id, context, usize::MAX).await
}

async fn find_among<P: Ports>(
    deps: &Deps<P>,
    config: &InstanceConfig,
    job_id: &JobId,
    context: &CallContext,
    most: usize,
) -> Result<Option<Found>> {
    let row = deps.read(|| store::ledger::job(&deps.database, &config.instance_id, job_id));
    let (stored, mut failure) = match row.await {
        Ok(stored) => (stored, None),
        Err(error) => (None, Some(Error::from(error))),
    };
    let Some(stored) = stored else {
        let mut objects = objects_of(&config.instance_id, &config.edited.providers, None);
        // A provider that is not configured any more may still have the job.
        let had = store::ledger::limiter_objects_of(&deps.database, &config.instance_id);
        match had.await {
            Ok(had) => {
                for object in had {
                    if !objects.contains(&object.name) {
                        objects.push(object.name);
                    }
                }
            }
            Err(error) => {
                failure.get_or_insert(Error::from(error));
            }
        }
        if objects.len() > most {
            objects.truncate(most);
            failure.get_or_insert_with(not_all_asked);
        }
        let (found, silent) = ask_all(deps, objects, job_id, context).await;
        return match (found, failure.or(silent)) {
            (Some(found), _) => Ok(Some(found)),
            (None, None) => Ok(None),
            (None, Some(error)) => Err(error),
        };
    };
    let row = Found {
        view: stored.view,
        visibility: stored.visibility,
        passed_on: false,
    };
    if row.view.state.is_final() {
        return Ok(Some(row));
    }
    let (last, _) = ask_all(deps, vec![stored.object_name.clone()], job_id, context).await;
    let others = if last.as_ref().is_none_or(|found| found.passed_on) {
        let object = Some(stored.object_name.as_str());
        let mut objects = objects_of(&config.instance_id, &config.edited.providers, object);
        objects.truncate(most);
        ask_all(deps, objects, job_id, context).await.0
    } else {
        None
    };
    let visibility = row.visibility;
    let views = [Some(row), last, others].into_iter().flatten();
    Ok(newest(views.map(|found| found.view)).map(|view| Found {
        view,
        visibility,
        passed_on: false,
    }))
}

fn objects_of(
    instance_id: &InstanceId,
    providers: &BTreeMap<ProviderName, api_types::ProviderSettings>,
    without: Option<&str>,
) -> Vec<String> {
    providers
        .keys()
        .map(|provider| limiter_object_name(instance_id, provider))
        .filter(|name| Some(name.as_str()) != without)
        .collect()
}

/// More objects may know the job than one look asks.
fn not_all_asked() -> Error {
    Error::new(
        Code::LedgerUnavailable,
        "The ledger does not know the job yet, and more providers may know it than are asked at once.",
    )
    .with_retry_after_ms(1_000)
}

/// The newest that these objects know, and the failure of one that did not answer.
async fn ask_all<P: Ports>(
    deps: &Deps<P>,
    objects: Vec<String>,
    job_id: &JobId,
    context: &CallContext,
) -> (Option<Found>, Option<Error>) {
    let query = StateQuery {
        job_id: Some(job_id.clone()),
        open: 0,
    };
    let replies: Vec<Result<StateReply>> = stream::iter(objects)
        .map(|object| {
            let query = &query;
            async move { deps.limiter.state(&object, query, context).await }
        })
        .buffer_unordered(PARALLEL)
        .collect()
        .await;
    let (mut found, mut failure): (Vec<Found>, _) = (Vec::new(), None);
    for reply in replies {
        match reply {
            Ok(StateReply::Job(attempt)) => found.push(Found {
                visibility: GenerateJob::of(&attempt)
                    .map_or(Visibility::Private, |job| job.visibility),
                passed_on: !attempt.job_state.is_final()
                    && matches!(
                        attempt.state,
                        AttemptState::Settled | AttemptState::Handover
                    ),
                view: JobView::of(&attempt),
            }),
            Ok(_) => {}
            Err(error) if error.code == Code::NotFound => {}
            Err(error) => failure = Some(error),
        }
    }
    let last = found.iter().max_by_key(|found| found.view.version);
    let (visibility, passed_on) = last.map_or((Visibility::Private, false), |found| {
        (found.visibility, found.passed_on)
    });
    let view = newest(found.into_iter().map(|found| found.view));
    let found = view.map(|view| Found {
        view,
        visibility,
        passed_on,
    });
    (found, failure)
}

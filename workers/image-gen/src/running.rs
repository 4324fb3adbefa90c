//! `GET /internal/v1/running/{instance_id}`: whether an instance still has work, for the worker that would let it go.
//!
//! In scope: the ledger's open jobs united with those that the limiter objects hold, because the ledger is a projection
//! and lags. Out of scope: whether the instance may be deleted (config-service).

use crate::deps::Deps;
use api_types::{
    InstanceId, LimiterGauges, ProviderName, RUNNING_JOBS_MAX, RunningJob, RunningReply,
    StateQuery, StateReply, limiter_object_name,
};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use errors::{Code, Error, Result};
use futures_util::{StreamExt, TryStreamExt, stream};
use middleware::{Context, Path, Props};
use platform::{CallContext, Ports};
use std::collections::{BTreeMap, BTreeSet};

/// Objects asked at the same time; an invocation has 6 connections.
const PARALLEL: usize = 6;
/// Jobs of one place that are told apart; more are only counted.
const MOST: u32 = 1_000;

/// 1. The instance's id (400); of another set of workers: 404. 2. The ledger (503). 3. The objects of all providers that the
///    instance has or had (503): nothing is called idle on half the knowledge. An unknown instance has nothing running.
pub async fn running<P: Ports>(
    State(deps): State<Deps<P>>,
    context: Context,
    props: Props,
    Path(instance_id): Path<InstanceId>,
) -> Result<Response> {
    if props
        .instance_id
        .as_ref()
        .is_some_and(|own| *own != instance_id)
    {
        return Err(Error::not_found("instance"));
    }
    let call = context.call();
    let mut jobs: BTreeMap<_, RunningJob> = BTreeMap::new();
    let rows = deps.read(|| store::ledger::open_jobs(&deps.database, &instance_id, MOST));
    for job in rows.await? {
        jobs.insert(job.job_id.clone(), job);
    }
    let (open, uncounted) = ask(&deps, &instance_id, call).await?;
    for job in open {
        // The object is the truth in flight; the ledger knows when a job of several attempts began.
        let began = jobs.get(&job.job_id).map(|known| known.created_at);
        let created_at = began.map_or(job.created_at, |began| began.min(job.created_at));
        jobs.insert(job.job_id.clone(), RunningJob { created_at, ..job });
    }
    let count = |jobs: usize| u64::try_from(jobs).unwrap_or(u64::MAX);
    let unknown = jobs
        .values()
        .filter(|job| job.state == api_types::JobState::Unknown)
        .count();
    let running = count(jobs.len()) + uncounted;
    let mut jobs: Vec<RunningJob> = jobs.into_values().collect();
    jobs.sort_by(|a, b| (a.created_at, &a.job_id).cmp(&(b.created_at, &b.job_id)));
    jobs.truncate(RUNNING_JOBS_MAX);
    Ok(axum::Json(RunningReply {
        v: 1,
        instance_id,
        running,
        unknown: count(unknown),
        jobs,
    })
    .into_response())
}

/// The open jobs of all objects, and how many more attempts they hold than they name.
async fn ask<P: Ports>(
    deps: &Deps<P>,
    instance_id: &InstanceId,
    context: &CallContext,
) -> Result<(Vec<RunningJob>, u64)> {
    let objects = objects_of(deps, instance_id, context).await?;
    let answers: Vec<(ProviderName, LimiterGauges)> = stream::iter(objects)
        .map(|provider| async move {
            let name = limiter_object_name(instance_id, &provider);
            let query = StateQuery {
                job_id: None,
                open: MOST,
            };
            match deps.limiter.state(&name, &query, context).await? {
                StateReply::Gauges(gauges) => Ok((provider, *gauges)),
                _ => Err(Error::internal(format!("{name} answers another question"))),
            }
        })
        .buffer_unordered(PARALLEL)
        .try_collect()
        .await?;
    let (mut jobs, mut uncounted) = (Vec::new(), 0);
    for (provider, gauges) in answers {
        let named = u64::try_from(gauges.open.len()).unwrap_or(u64::MAX);
        uncounted += u64::from(gauges.open_attempts).saturating_sub(named);
        jobs.extend(gauges.open.into_iter().map(|attempt| RunningJob {
            job_id: attempt.job_id,
            state: attempt.job_state,
            provider: provider.clone(),
            created_at: attempt.created_at,
        }));
    }
    Ok((jobs, uncounted))
}

/// Providers whose objects may know a job: those of the configuration, and those that have ever had one.
async fn objects_of<P: Ports>(
    deps: &Deps<P>,
    instance_id: &InstanceId,
    context: &CallContext,
) -> Result<BTreeSet<ProviderName>> {
    let known = deps
        .read(|| store::ledger::limiter_objects_of(&deps.database, instance_id))
        .await?;
    let mut providers: BTreeSet<ProviderName> = known
        .iter()
        .filter_map(|object| object.name.rsplit_once(':'))
        .filter_map(|(_, provider)| ProviderName::parse(provider).ok())
        .collect();
    match deps.config(instance_id, context).await {
        Ok(config) => providers.extend(config.edited.providers.keys().cloned()),
        // It was never there, or is gone already: what it had is in the ledger.
        Err(error) if error.code == Code::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(providers)
}

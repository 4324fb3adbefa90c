//! Reading one job, and the jobs that have not ended.

use api_types::{
    InstanceId, JobId, JobStage, JobState, JobView, ProjectId, ProviderName, RunningJob,
    TimelineEvent, Timestamp, Visibility,
};
use platform::{Database, DbError, DbErrorKind, Row, Statement};
use std::collections::BTreeMap;

/// A job as the ledger has it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredJob {
    /// For clients, with empty URLs.
    pub view: JobView,
    /// The limiter object of its last known attempt.
    pub object_name: String,
    /// Who may read its images.
    pub visibility: Visibility,
}

/// The job of that instance; a job of another instance is no job. Reads one row.
pub async fn job(
    database: &impl Database,
    instance_id: &InstanceId,
    job_id: &JobId,
) -> Result<Option<StoredJob>, DbError> {
    let statement = Statement::new(
        "SELECT job_id, instance_id, project_id, request_id, state, stage, version, provider, model, object_name,
  attempts, estimate, cost, result, error, timeline, cancel_requested, created_at, updated_at,
  request ->> 'visibility' AS visibility
FROM jobs WHERE job_id = ?1 AND instance_id = ?2",
    )
    .bind(job_id.as_str())
    .bind(instance_id.as_str());
    let rows = database.query(statement).await?;
    rows.first().map(stored_job).transpose()
}

/// Jobs of that instance that have not ended, as far as the ledger knows, the oldest first, at most `most`. Reads the open
/// jobs of all instances: that is what is going on now, while an index by instance and time holds all that ever was.
pub async fn open_jobs(
    database: &impl Database,
    instance_id: &InstanceId,
    most: u32,
) -> Result<Vec<RunningJob>, DbError> {
    let statement = Statement::new(OPEN_JOBS)
        .bind(instance_id.as_str())
        .bind(most);
    let rows = database.query(statement).await?;
    rows.rows.iter().map(running_job).collect()
}

/// The statement of [`open_jobs`].
pub const OPEN_JOBS: &str =
    "SELECT job_id, state, provider, created_at FROM jobs INDEXED BY jobs_open
WHERE state IN ('queued', 'running', 'unknown') AND instance_id = ?1 ORDER BY created_at LIMIT ?2";

fn running_job(row: &Row) -> Result<RunningJob, DbError> {
    let text = |column: &'static str| row.text(column).ok_or_else(|| unreadable(column));
    Ok(RunningJob {
        job_id: JobId::parse(text("job_id")?).map_err(|_| unreadable("job_id"))?,
        state: word::<JobState>(text("state")?).ok_or_else(|| unreadable("state"))?,
        provider: ProviderName::parse(text("provider")?).map_err(|_| unreadable("provider"))?,
        created_at: Timestamp(
            row.int("created_at")
                .ok_or_else(|| unreadable("created_at"))?,
        ),
    })
}

fn unreadable(column: &str) -> DbError {
    DbError {
        kind: DbErrorKind::Other,
        cause: format!("jobs.{column} is unreadable"),
    }
}

fn stored_job(row: &Row) -> Result<StoredJob, DbError> {
    let text = |column: &'static str| row.text(column).ok_or_else(|| unreadable(column));
    let int = |column: &'static str| row.int(column).ok_or_else(|| unreadable(column));
    let view = JobView {
        job_id: JobId::parse(text("job_id")?).map_err(|_| unreadable("job_id"))?,
        state: word::<JobState>(text("state")?).ok_or_else(|| unreadable("state"))?,
        stage: word::<JobStage>(text("stage")?),
        version: int("version")?,
        instance_id: InstanceId::parse(text("instance_id")?)
            .map_err(|_| unreadable("instance_id"))?,
        project_id: ProjectId::parse(text("project_id")?).ok(),
        provider: ProviderName::parse(text("provider")?).map_err(|_| unreadable("provider"))?,
        model: text("model")?.to_owned(),
        attempts: u32::try_from(int("attempts")?).map_err(|_| unreadable("attempts"))?,
        position: None,
        eta_ms: None,
        cost_usd_micros: row.int("cost"),
        estimate_usd_micros: row.int("estimate"),
        cancel_requested: row.flag("cancel_requested"),
        created_at: Timestamp(int("created_at")?),
        updated_at: Timestamp(int("updated_at")?),
        result: document(text("result")?).map_err(|()| unreadable("result"))?,
        error: document(text("error")?).map_err(|()| unreadable("error"))?,
        timeline: timeline(text("timeline")?).ok_or_else(|| unreadable("timeline"))?,
        request_id: text("request_id")?.to_owned(),
    };
    Ok(StoredJob {
        view,
        object_name: text("object_name")?.to_owned(),
        // Where nothing is said the images stay closed.
        visibility: row.text("visibility").and_then(word).unwrap_or_default(),
    })
}

fn word<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_value(serde_json::Value::String(text.to_owned())).ok()
}

fn document<T: serde::de::DeserializeOwned>(text: &str) -> Result<Option<T>, ()> {
    if text.is_empty() {
        return Ok(None);
    }
    serde_json::from_str(text).map(Some).map_err(|_| ())
}

/// Events of all attempts, attempt by attempt.
fn timeline(text: &str) -> Option<Vec<TimelineEvent>> {
    let by_attempt: BTreeMap<String, Vec<TimelineEvent>> = serde_json::from_str(text).ok()?;
    let mut attempts: Vec<(u32, Vec<TimelineEvent>)> = by_attempt
        .into_iter()
        .map(|(attempt, events)| Some((attempt.parse().ok()?, events)))
        .collect::<Option<_>>()?;
    attempts.sort_by_key(|(attempt, _)| *attempt);
    Some(
        attempts
            .into_iter()
            .flat_map(|(_, events)| events)
            .collect(),
    )
}

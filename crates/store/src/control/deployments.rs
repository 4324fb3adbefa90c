//! Table `deployments`: runs of the deploy tool, which writes it. Here it is only read.

use super::columns;
use api_types::{InstanceId, Timestamp};
use errors::Result;
use platform::{Rows, Statement};
use serde_json::Value;

/// One run, without account, anchor and marks of secrets.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    /// Id.
    pub deployment_id: String,
    /// `running`, `succeeded`, `failed`, `rolled_back` or `rollback_blocked`.
    pub status: String,
    /// Who started it.
    pub actor: String,
    /// `cli` or `github:<run>`.
    pub source: String,
    /// Commit.
    pub git_sha: Option<String>,
    /// Hash of the built workers.
    pub artifact_hash: Option<String>,
    /// Hash of the instance file.
    pub config_hash: Option<String>,
    /// Hash of the plan.
    pub plan_hash: Option<String>,
    /// What was to be done.
    pub plan: Option<Value>,
    /// What was done.
    pub journal: Option<Value>,
    /// How it ended.
    pub result: Option<Value>,
    /// When another run may take over one that is still running.
    pub lease_expires_at: Option<Timestamp>,
    /// When it was started.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// Runs for an instance, newest first; `after` is the last line of the page before: when it was started and its id.
pub fn list(instance_id: &InstanceId, after: Option<(&str, &str)>, limit: i64) -> Statement {
    // Later than any time that is written.
    let (created_at, deployment_id) = after.unwrap_or(("9999", ""));
    Statement::new(
        "SELECT deployment_id, status, actor, source, git_sha, artifact_hash, config_hash, plan_hash, plan, journal, result, \
           lease_expires_at, created_at, ended_at FROM deployments \
         WHERE instance_id = ?1 AND (created_at, deployment_id) < (?2, ?3) ORDER BY created_at DESC, deployment_id DESC LIMIT ?4",
    )
    .bind(instance_id.as_str())
    .bind(created_at)
    .bind(deployment_id)
    .bind(limit)
}

impl Deployment {
    /// Reads the result of [`list`].
    pub fn read_all(rows: &Rows) -> Result<Vec<Self>> {
        rows.rows
            .iter()
            .map(|row| {
                Ok(Self {
                    deployment_id: columns::text(row, "deployment_id")?,
                    status: columns::text(row, "status")?,
                    actor: columns::text(row, "actor")?,
                    source: columns::text(row, "source")?,
                    git_sha: columns::text_or_null(row, "git_sha"),
                    artifact_hash: columns::text_or_null(row, "artifact_hash"),
                    config_hash: columns::text_or_null(row, "config_hash"),
                    plan_hash: columns::text_or_null(row, "plan_hash"),
                    plan: columns::json_or_null(row, "plan")?,
                    journal: columns::json_or_null(row, "journal")?,
                    result: columns::json_or_null(row, "result")?,
                    lease_expires_at: columns::time_or_null(row, "lease_expires_at")?,
                    created_at: columns::time(row, "created_at")?,
                    ended_at: columns::time_or_null(row, "ended_at")?,
                })
            })
            .collect()
    }
}

/// How many runs for the instance are going on, as column `n`: the deploy tool is at work.
pub fn running(instance_id: &InstanceId, now: Timestamp) -> Statement {
    Statement::new(
        "SELECT count(*) AS n FROM deployments WHERE instance_id = ?1 AND status = 'running' AND lease_expires_at > ?2",
    )
    .bind(instance_id.as_str())
    .bind(now.to_string())
}

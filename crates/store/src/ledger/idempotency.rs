//! Claims of `Idempotency-Key`: one statement decides who runs.
//!
//! In scope: claim, give back, take over, expire. Out of scope: fingerprints and what a lost claim is answered with.

use api_types::{InstanceId, JobId, ProjectId};
use platform::{Database, DbError, DbErrorKind, Statement};

/// Claims live that long.
const LIFE_MS: i64 = 86_400_000;

/// What is claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Instance.
    pub instance_id: InstanceId,
    /// Project.
    pub project_id: Option<ProjectId>,
    /// The route, as the route table writes it.
    pub route: String,
    /// The client's key.
    pub key: String,
    /// SHA-256 of the canonical body and the route, hexadecimal.
    pub fingerprint: String,
    /// The job that this request would start.
    pub job_id: JobId,
}

/// The row that stands after a claim: ours when `job_id` is the one we brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRow {
    /// Of the body that the key was first used with.
    pub fingerprint: String,
    /// Its job.
    pub job_id: JobId,
    /// When, in milliseconds since the epoch.
    pub claimed_at_ms: i64,
}

fn project(claim: &Claim) -> &str {
    claim.project_id.as_ref().map_or("", ProjectId::as_str)
}

/// Claims the key and returns the row that stands: a new one, or the one that was there and has not expired.
pub async fn claim(
    database: &impl Database,
    claim: &Claim,
    now_ms: i64,
) -> Result<ClaimRow, DbError> {
    // A conflict writes the old values again, so that RETURNING shows the row that won in the same statement.
    let statement = Statement::new(
        "INSERT INTO idempotency_keys
  (instance_id, project_id, route, key, fingerprint, job_id, claimed_at, expires_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
ON CONFLICT (instance_id, project_id, route, key) DO UPDATE SET
  fingerprint = iif(expires_at <= ?7, excluded.fingerprint, fingerprint),
  job_id = iif(expires_at <= ?7, excluded.job_id, job_id),
  claimed_at = iif(expires_at <= ?7, excluded.claimed_at, claimed_at),
  expires_at = iif(expires_at <= ?7, excluded.expires_at, expires_at)
RETURNING fingerprint, job_id, claimed_at",
    )
    .bind(claim.instance_id.as_str())
    .bind(project(claim))
    .bind(&claim.route)
    .bind(&claim.key)
    .bind(&claim.fingerprint)
    .bind(claim.job_id.as_str())
    .bind(now_ms)
    .bind(now_ms + LIFE_MS);
    let rows = database.query(statement).await?;
    let unreadable = || DbError {
        kind: DbErrorKind::Other,
        cause: "idempotency_keys: no readable row after a claim".to_owned(),
    };
    let row = rows.first().ok_or_else(unreadable)?;
    Ok(ClaimRow {
        fingerprint: row.text("fingerprint").ok_or_else(unreadable)?.to_owned(),
        job_id: row
            .text("job_id")
            .and_then(|id| JobId::parse(id).ok())
            .ok_or_else(unreadable)?,
        claimed_at_ms: row.int("claimed_at").ok_or_else(unreadable)?,
    })
}

/// Gives the claim back: the request has cost nothing and may be sent again. Only the owner's row goes.
pub async fn forget_claim(database: &impl Database, claim: &Claim) -> Result<(), DbError> {
    let statement = Statement::new(
        "DELETE FROM idempotency_keys
WHERE instance_id = ?1 AND project_id = ?2 AND route = ?3 AND key = ?4 AND job_id = ?5",
    )
    .bind(claim.instance_id.as_str())
    .bind(project(claim))
    .bind(&claim.route)
    .bind(&claim.key)
    .bind(claim.job_id.as_str());
    database.query(statement).await.map(|_| ())
}

/// Takes over a claim whose owner died before its job existed: compare-and-set on `claimed_at`. True when it is ours now.
pub async fn take_over(
    database: &impl Database,
    claim: &Claim,
    abandoned: &ClaimRow,
    now_ms: i64,
) -> Result<bool, DbError> {
    let statement = Statement::new(
        "UPDATE idempotency_keys SET job_id = ?1, claimed_at = ?2, expires_at = ?3
WHERE instance_id = ?4 AND project_id = ?5 AND route = ?6 AND key = ?7 AND job_id = ?8 AND claimed_at = ?9
RETURNING job_id",
    )
    .bind(claim.job_id.as_str())
    .bind(now_ms)
    .bind(now_ms + LIFE_MS)
    .bind(claim.instance_id.as_str())
    .bind(project(claim))
    .bind(&claim.route)
    .bind(&claim.key)
    .bind(abandoned.job_id.as_str())
    .bind(abandoned.claimed_at_ms);
    Ok(!database.query(statement).await?.rows.is_empty())
}

/// Removes expired claims, at most 500 a run.
pub fn forget_expired_claims(now_ms: i64) -> Statement {
    Statement::new(
        "DELETE FROM idempotency_keys WHERE (instance_id, project_id, route, key) IN
  (SELECT instance_id, project_id, route, key FROM idempotency_keys INDEXED BY idempotency_keys_by_expiry
   WHERE expires_at <= ?1 LIMIT 500)",
    )
    .bind(now_ms)
}

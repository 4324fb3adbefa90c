//! Rows of periodic work: known limiter objects, refused messages, progress of maintenance.

use api_types::InstanceId;
use platform::{Database, DbError, Rows, Statement};

/// Messages and objects are looked at that long.
const WEEK_MS: i64 = 7 * 86_400_000;
/// What is kept of a refused message.
const MAX_REJECT_BYTES: usize = 1_024;

/// A limiter object that has flushed lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimiterObject {
    /// Its name.
    pub name: String,
    /// Its instance.
    pub instance_id: String,
}

/// Objects that had open work at their last flush, or flushed within a week: 500 of them, others each time, so that none is
/// left out for ever.
pub async fn limiter_objects(
    database: &impl Database,
    now_ms: i64,
) -> Result<Vec<LimiterObject>, DbError> {
    let statement = Statement::new(
        "SELECT name, instance_id FROM limiter_objects WHERE open > 0 OR waits > 0 OR last_flush_at > ?1
ORDER BY random() LIMIT 500",
    )
    .bind(now_ms - WEEK_MS);
    Ok(objects(&database.query(statement).await?))
}

/// All objects of an instance that have ever flushed, also of providers that it has no more.
pub async fn limiter_objects_of(
    database: &impl Database,
    instance_id: &InstanceId,
) -> Result<Vec<LimiterObject>, DbError> {
    // A range of the primary key; ';' is the character after ':'.
    let statement = Statement::new(
        "SELECT name, instance_id FROM limiter_objects WHERE name > ?1 AND name < ?2",
    )
    .bind(format!("instance:{instance_id}:"))
    .bind(format!("instance:{instance_id};"));
    Ok(objects(&database.query(statement).await?))
}

fn objects(rows: &Rows) -> Vec<LimiterObject> {
    rows.rows
        .iter()
        .filter_map(|row| {
            Some(LimiterObject {
                name: row.text("name")?.to_owned(),
                instance_id: row.text("instance_id")?.to_owned(),
            })
        })
        .collect()
}

/// Keeps the start of a message that could not be read.
pub fn reject_message(id: &str, queue: &str, body: &str, reason: &str, now_ms: i64) -> Statement {
    let mut end = body.len().min(MAX_REJECT_BYTES);
    while !body.is_char_boundary(end) {
        end -= 1;
    }
    Statement::new(
        "INSERT INTO queue_rejects (id, queue, body, reason, at) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
    )
    .bind(id)
    .bind(queue)
    .bind(body.get(..end).unwrap_or_default())
    .bind(reason)
    .bind(now_ms)
}

/// Removes refused messages older than a week.
pub fn forget_old_rejects(now_ms: i64) -> Statement {
    Statement::new("DELETE FROM queue_rejects WHERE at < ?1").bind(now_ms - WEEK_MS)
}

/// Notes that periodic work has run, and how.
pub fn finish_maintenance(job: &str, now_ms: i64, error: &str) -> Statement {
    Statement::new(
        "INSERT INTO maintenance (job, last_run_at, error) VALUES (?1, ?2, ?3)
ON CONFLICT (job) DO UPDATE SET last_run_at = excluded.last_run_at, error = excluded.error",
    )
    .bind(job)
    .bind(now_ms)
    .bind(error)
}

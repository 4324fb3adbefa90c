//! Table `idempotency`: the answer that an `Idempotency-Key` stands for, written in the batch of its change.

use super::columns;
use api_types::{KeyId, Timestamp};
use errors::Result;
use platform::{Rows, Statement};

/// A stored answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAnswer {
    /// The caller.
    pub principal: String,
    /// Hex SHA-256 of the request that it answered.
    pub request_sha256: String,
    /// HTTP status.
    pub status: u16,
    /// JSON, or an envelope.
    pub response: String,
    /// Whether it is an envelope.
    pub sealed: bool,
    /// When it was stored.
    pub created_at: Timestamp,
}

/// The answer stored for that key of the caller; a session's rows are its parent's.
pub fn stored(caller: &KeyId, route: &str, key: &str) -> Statement {
    Statement::new(
        "SELECT principal, request_sha256, status, response, sealed, created_at FROM idempotency \
         WHERE principal = 'key:' || coalesce((SELECT parent_key_id FROM api_keys WHERE key_id = ?1), ?1) AND route = ?2 AND key = ?3",
    )
    .bind(caller.as_str())
    .bind(route)
    .bind(key)
}

/// The answer stored for that key of a principal that has no key of its own.
pub fn stored_of(principal: &str, route: &str, key: &str) -> Statement {
    Statement::new(
        "SELECT principal, request_sha256, status, response, sealed, created_at FROM idempotency \
         WHERE principal = ?1 AND route = ?2 AND key = ?3",
    )
    .bind(principal)
    .bind(route)
    .bind(key)
}

impl StoredAnswer {
    /// Reads the result of [`stored`] or [`stored_of`]; `None` when there is none.
    pub fn read(rows: &Rows) -> Result<Option<Self>> {
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        Ok(Some(Self {
            principal: columns::text(row, "principal")?,
            request_sha256: columns::text(row, "request_sha256")?,
            status: u16::try_from(columns::int(row, "status")?).unwrap_or(200),
            response: columns::text(row, "response")?,
            sealed: row.flag("sealed"),
            created_at: columns::time(row, "created_at")?,
        }))
    }
}

/// Stores an answer.
pub fn store(route: &str, key: &str, answer: &StoredAnswer, expires_at: Timestamp) -> Statement {
    Statement::new(
        "INSERT INTO idempotency (principal, route, key, request_sha256, status, response, sealed, created_at, expires_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )
    .bind(&answer.principal)
    .bind(route)
    .bind(key)
    .bind(&answer.request_sha256)
    .bind(i64::from(answer.status))
    .bind(&answer.response)
    .bind(answer.sealed)
    .bind(answer.created_at.to_string())
    .bind(expires_at.to_string())
}

/// Removes an ended answer that still holds its place.
pub fn forget_ended(principal: &str, route: &str, key: &str, now: Timestamp) -> Statement {
    Statement::new(
        "DELETE FROM idempotency WHERE principal = ?1 AND route = ?2 AND key = ?3 AND expires_at <= ?4",
    )
    .bind(principal)
    .bind(route)
    .bind(key)
    .bind(now.to_string())
}

/// Removes at most `limit` ended answers.
pub fn delete_expired(now: Timestamp, limit: i64) -> Statement {
    Statement::new(
        "DELETE FROM idempotency WHERE (principal, route, key) IN \
         (SELECT principal, route, key FROM idempotency INDEXED BY idempotency_by_expiry WHERE expires_at <= ?1 LIMIT ?2)",
    )
    .bind(now.to_string())
    .bind(limit)
}

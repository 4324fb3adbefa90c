//! Table `audit_checkpoints`: where audit chains ended on each day.
//!
//! In scope: which chains are due, appending, reading along a walk. Out of scope: the MAC (`auth::checkpoint`).

use super::columns;
use api_types::Timestamp;
use errors::Result;
use platform::{Row, Rows, Statement};

/// One checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointRow {
    /// The chain.
    pub org_id: String,
    /// The entry that was the newest.
    pub seq: i64,
    /// Its hash.
    pub hash: String,
    /// HMAC of all this.
    pub mac: String,
    /// Under which pepper.
    pub pepper_id: String,
    /// When, RFC 3339.
    pub created_at: String,
}

/// The end of a chain that has no checkpoint yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The chain.
    pub org_id: String,
    /// The newest entry.
    pub seq: i64,
    /// Its hash.
    pub hash: String,
}

/// Chains that have grown since their last checkpoint, which is of before `day`; at most `limit`. Chains are found by
/// jumping from one to the next in the log's key, so this reads a few rows for each and none besides.
pub fn due(day: Timestamp, limit: i64) -> Statement {
    Statement::new(
        "WITH RECURSIVE chains (org_id) AS (SELECT min(org_id) FROM audit_log \
           UNION ALL SELECT (SELECT min(a.org_id) FROM audit_log a WHERE a.org_id > c.org_id) FROM chains c WHERE c.org_id IS NOT NULL), \
         ends AS (SELECT c.org_id, (SELECT max(a.seq) FROM audit_log a WHERE a.org_id = c.org_id) AS seq, \
             (SELECT max(k.seq) FROM audit_checkpoints k WHERE k.org_id = c.org_id) AS last FROM chains c WHERE c.org_id IS NOT NULL) \
         SELECT e.org_id, e.seq, (SELECT a.hash FROM audit_log a WHERE a.org_id = e.org_id AND a.seq = e.seq) AS hash FROM ends e \
         WHERE e.last IS NULL OR (e.last < e.seq AND (SELECT k.created_at FROM audit_checkpoints k WHERE k.org_id = e.org_id AND k.seq = e.last) < ?1) \
         LIMIT ?2",
    )
    .bind(day.to_string())
    .bind(limit)
}

impl Due {
    /// Reads the result of [`due`].
    pub fn read_all(rows: &Rows) -> Result<Vec<Self>> {
        let read = |row: &Row| {
            Ok(Self {
                org_id: columns::text(row, "org_id")?,
                seq: columns::int(row, "seq")?,
                hash: columns::text(row, "hash")?,
            })
        };
        rows.rows.iter().map(read).collect()
    }
}

/// Appends one; what is there stays.
pub fn append(row: &CheckpointRow) -> Statement {
    Statement::new(
        "INSERT INTO audit_checkpoints (org_id, seq, hash, mac, pepper_id, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
         ON CONFLICT (org_id, seq) DO NOTHING",
    )
    .bind(&row.org_id)
    .bind(row.seq)
    .bind(&row.hash)
    .bind(&row.mac)
    .bind(&row.pepper_id)
    .bind(&row.created_at)
}

/// The checkpoints of a chain behind `after`, in order, at most `limit`.
pub fn behind(org_id: &str, after: i64, limit: i64) -> Statement {
    Statement::new(
        "SELECT org_id, seq, hash, mac, pepper_id, created_at FROM audit_checkpoints WHERE org_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
    )
    .bind(org_id)
    .bind(after)
    .bind(limit)
}

impl CheckpointRow {
    /// Reads the result of [`behind`].
    pub fn read_all(rows: &Rows) -> Result<Vec<Self>> {
        let read = |row: &Row| {
            Ok(Self {
                org_id: columns::text(row, "org_id")?,
                seq: columns::int(row, "seq")?,
                hash: columns::text(row, "hash")?,
                mac: columns::text(row, "mac")?,
                pepper_id: columns::text(row, "pepper_id")?,
                created_at: columns::text(row, "created_at")?,
            })
        };
        rows.rows.iter().map(read).collect()
    }
}

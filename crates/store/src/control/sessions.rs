//! Rows of `api_keys` with `kind = 'session'`: short-lived keys that act as their parent.
//!
//! In scope: making, listing, ending, removing. Out of scope: verifying them, which is that of any key (`resolve`).
//! A session holds a copy of its parent's scopes and instances; who narrows the parent narrows the copies in the same
//! batch, and the statement that resolves a caller tests both rows.

use super::columns;
use super::guard::require;
use api_types::{KeyId, OrgId, Timestamp, UserId};
use errors::Result;
use platform::{Row, Rows, Statement};

/// Live sessions of one parent: one more ends the oldest.
pub const MAX_LIVE: i64 = 20;

/// A session as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionView {
    /// Id, which is the public id of its key.
    pub session_id: KeyId,
    /// What the client called itself.
    pub label: String,
    /// The key that it acts as.
    pub parent_key_id: KeyId,
    /// Whose it is.
    pub user_id: UserId,
    /// Organization of that user; `None` for superadmins.
    pub org_id: Option<OrgId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it ends: never after its parent.
    pub expires_at: Timestamp,
    /// When it, or its parent, was ended.
    pub revoked_at: Option<Timestamp>,
    /// Version of the row.
    pub version: i64,
}

const VIEW: &str = "k.key_id, k.name, k.parent_key_id, k.user_id, u.org_id, k.created_at, k.last_used_at, \
    min(k.expires_at, coalesce(p.expires_at, k.expires_at)) AS expires_at, coalesce(k.revoked_at, p.revoked_at) AS revoked_at, k.version";

/// The session with that id, ended or not; keys are none.
pub fn by_id(session_id: &KeyId) -> Statement {
    Statement {
        sql: format!(
            "SELECT {VIEW} FROM api_keys k JOIN users u ON u.user_id = k.user_id JOIN api_keys p ON p.key_id = k.parent_key_id \
             WHERE k.key_id = ?1 AND k.kind = 'session'"
        )
        .into(),
        params: vec![session_id.as_str().into()],
    }
}

/// The live sessions of a user, newest first, `limit` at most: those of the caller's own user when none is named. An
/// administrator sees those of the organization's users, everybody else only its own. `after` is the last line of the
/// page before: when it was made and its id.
pub fn list(
    caller: &KeyId,
    user_id: Option<&str>,
    after: Option<(&str, &str)>,
    now: Timestamp,
    limit: i64,
) -> Statement {
    // Later than any time that is written.
    let (created_at, session_id) = after.unwrap_or(("9999", ""));
    Statement {
        sql: format!(
            "WITH who AS (SELECT c.user_id, v.role, v.org_id FROM api_keys c JOIN users v ON v.user_id = c.user_id WHERE c.key_id = ?1) \
             SELECT {VIEW} FROM who w CROSS JOIN users u ON u.user_id = coalesce(?2, w.user_id) \
             CROSS JOIN api_keys k INDEXED BY api_keys_sessions_of_user ON k.user_id = u.user_id \
             CROSS JOIN api_keys p ON p.key_id = k.parent_key_id \
             WHERE k.kind = 'session' AND k.expires_at > ?5 AND k.revoked_at IS NULL AND u.status = 'active' \
             AND p.revoked_at IS NULL AND (p.expires_at IS NULL OR p.expires_at > ?5) \
             AND CASE WHEN w.role = 'superadmin' THEN 1 WHEN w.role = 'admin' THEN u.org_id = w.org_id ELSE u.user_id = w.user_id END \
             AND k.created_at <= ?3 AND (k.created_at < ?3 OR k.key_id < ?4) \
             ORDER BY k.created_at DESC, k.key_id DESC LIMIT ?6"
        )
        .into(),
        params: vec![
            caller.as_str().into(),
            user_id.into(),
            created_at.into(),
            session_id.into(),
            now.to_string().into(),
            limit.into(),
        ],
    }
}

impl SessionView {
    /// Reads the result of [`by_id`]; `None` when there is none.
    pub fn read(rows: &Rows) -> Result<Option<Self>> {
        rows.first().map(Self::from_row).transpose()
    }

    /// Reads the result of [`list`].
    pub fn read_all(rows: &Rows) -> Result<Vec<Self>> {
        rows.rows.iter().map(Self::from_row).collect()
    }

    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            session_id: columns::word(row, "key_id")?,
            label: columns::text(row, "name")?,
            parent_key_id: columns::word(row, "parent_key_id")?,
            user_id: columns::word(row, "user_id")?,
            org_id: columns::word_or_null(row, "org_id")?,
            created_at: columns::time(row, "created_at")?,
            last_used_at: columns::time_or_null(row, "last_used_at")?,
            expires_at: columns::time(row, "expires_at")?,
            revoked_at: columns::time_or_null(row, "revoked_at")?,
            version: columns::int(row, "version")?,
        })
    }
}

/// A new session.
#[derive(Clone, Debug)]
pub struct NewSession<'a> {
    /// Id, which is the public id of its key.
    pub session_id: &'a KeyId,
    /// The key that it acts as.
    pub parent_key_id: &'a KeyId,
    /// What the client calls itself.
    pub label: &'a str,
    /// Hex HMAC of its secret.
    pub key_hash: &'a str,
    /// The pepper of that.
    pub pepper_id: &'a str,
    /// Last four characters.
    pub last4: &'a str,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When the secret that opens it ends, if that is not the current one.
    pub secret_ends_at: Option<Timestamp>,
    /// Principal.
    pub created_by: &'a str,
    /// Now.
    pub now: Timestamp,
}

const SURPLUS: &str = "SELECT key_id FROM api_keys INDEXED BY api_keys_sessions_of_parent \
    WHERE parent_key_id = ?1 AND kind = 'session' AND expires_at > ?2 AND revoked_at IS NULL \
    ORDER BY created_at DESC, key_id DESC LIMIT -1 OFFSET ?3";

/// The live sessions that must end so that one more is not too many, as column `key_id`.
pub fn surplus(parent: &KeyId, now: Timestamp) -> Statement {
    Statement::new(SURPLUS)
        .bind(parent.as_str())
        .bind(now.to_string())
        .bind(MAX_LIVE - 1)
}

/// Reads the result of [`surplus`].
pub fn read_surplus(rows: &Rows) -> Result<Vec<KeyId>> {
    rows.rows
        .iter()
        .map(|row| columns::word(row, "key_id"))
        .collect()
}

/// Makes one: its parent lives and does not end before it, the oldest beyond the limit end, the bounds are the parent's
/// at that moment.
pub fn create(new: &NewSession<'_>) -> Vec<Statement> {
    let (parent, now) = (new.parent_key_id.as_str(), new.now.to_string());
    let ends = new.expires_at.to_string();
    vec![
        require(
            "SELECT kind = 'key' AND user_id IS NOT NULL AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at >= ?2) \
             FROM api_keys WHERE key_id = ?1",
            vec![parent.into(), (&ends).into()],
        ),
        Statement {
            sql: format!(
                "UPDATE api_keys SET revoked_at = ?2, revoked_by = ?4, revoke_reason = 'replaced', version = version + 1 \
                 WHERE key_id IN ({SURPLUS})"
            )
            .into(),
            params: vec![
                parent.into(),
                (&now).into(),
                (MAX_LIVE - 1).into(),
                new.created_by.into(),
            ],
        },
        Statement::new(
            "INSERT INTO api_keys (key_id, user_id, kind, parent_key_id, name, key_hash, pepper_id, last4, scopes, instance_ids, expires_at, created_by, created_at, secret_ends_at) \
             SELECT ?1, p.user_id, 'session', p.key_id, ?3, ?4, ?5, ?6, p.scopes, p.instance_ids, ?7, ?8, ?9, ?10 FROM api_keys p WHERE p.key_id = ?2",
        )
        .bind(new.session_id.as_str())
        .bind(parent)
        .bind(new.label)
        .bind(new.key_hash)
        .bind(new.pepper_id)
        .bind(new.last4)
        .bind(ends)
        .bind(new.created_by)
        .bind(now)
        .bind(new.secret_ends_at.map(|at| at.to_string())),
    ]
}

/// Ends one; ending it again changes nothing.
pub fn end(session_id: &KeyId, by: &str, now: Timestamp) -> Statement {
    Statement::new(
        "UPDATE api_keys SET revoked_at = ?2, revoked_by = ?3, revoke_reason = 'ended', version = version + 1 \
         WHERE key_id = ?1 AND kind = 'session' AND revoked_at IS NULL",
    )
    .bind(session_id.as_str())
    .bind(now.to_string())
    .bind(by)
}

/// Removes at most `limit` sessions that ended before that time.
pub fn delete_ended(before: Timestamp, limit: i64) -> Statement {
    Statement::new(
        "DELETE FROM api_keys WHERE key_id IN \
         (SELECT key_id FROM api_keys INDEXED BY api_keys_sessions WHERE kind = 'session' AND expires_at <= ?1 LIMIT ?2)",
    )
    .bind(before.to_string())
    .bind(limit)
}

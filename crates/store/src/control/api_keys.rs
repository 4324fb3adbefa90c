//! Table `api_keys`: minting, showing without hashes, revoking, and what using a key leaves behind.

use super::columns;
use super::guard::require;
use api_types::{InstanceId, KeyId, OrgId, ProjectId, Scope, Timestamp, UserId};
use errors::Result;
use platform::{Row, Rows, Statement};

/// A key as it may be shown. It has no hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyView {
    /// Public id.
    pub key_id: KeyId,
    /// Name.
    pub name: String,
    /// Last four characters.
    pub last4: String,
    /// Owner, if a user.
    pub user_id: Option<UserId>,
    /// Owner, if a project.
    pub project_id: Option<ProjectId>,
    /// The instance of that project.
    pub instance_id: Option<InstanceId>,
    /// Organization of the owner.
    pub org_id: Option<OrgId>,
    /// Whether the owner is active.
    pub owner_active: bool,
    /// Scopes.
    pub scopes: Vec<Scope>,
    /// Instances it is restricted to.
    pub instance_ids: Option<Vec<InstanceId>>,
    /// Principal that made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When its previous secret ends.
    pub prev_expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Version of the row.
    pub version: i64,
}

const VIEW: &str = "k.key_id, k.name, k.last4, k.user_id, k.project_id, p.instance_id, coalesce(u.org_id, i.org_id) AS org_id, \
    coalesce(u.status, p.status) = 'active' AND coalesce(o.status, 'active') = 'active' AS owner_active, \
    k.scopes, k.instance_ids, k.created_by, k.created_at, k.last_used_at, k.expires_at, k.prev_expires_at, k.revoked_at, k.version \
    FROM api_keys k LEFT JOIN users u ON u.user_id = k.user_id LEFT JOIN projects p ON p.project_id = k.project_id \
    LEFT JOIN instances i ON i.instance_id = p.instance_id LEFT JOIN organizations o ON o.org_id = coalesce(u.org_id, i.org_id)";

/// The key with that id; sessions are none.
pub fn by_id(key_id: &KeyId) -> Statement {
    Statement {
        sql: format!("SELECT {VIEW} WHERE k.key_id = ?1 AND k.kind = 'key'").into(),
        params: vec![key_id.as_str().into()],
    }
}

/// Filters of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListFilter {
    /// Of that user.
    pub user_id: Option<String>,
    /// Of that project.
    pub project_id: Option<String>,
    /// `active`, `revoked` or `expired`.
    pub status: Option<String>,
    /// Not used since that time (RFC 3339).
    pub unused_since: Option<String>,
    /// The last line of the page before: when it was made and its id.
    pub after: Option<(String, String)>,
}

/// The keys that the caller may see, newest first, `limit` at most: an administrator those of the organization, a user
/// its own, a project key itself.
pub fn list(caller: &KeyId, filter: &ListFilter, now: Timestamp, limit: i64) -> Statement {
    let (created_at, key_id) = match &filter.after {
        Some((created_at, key_id)) => (created_at.clone(), key_id.clone()),
        // Later than any time that is written.
        None => ("9999".to_owned(), String::new()),
    };
    Statement {
        sql: format!(
            "WITH who AS (SELECT c.key_id, c.user_id, v.role, v.org_id FROM api_keys c LEFT JOIN users v ON v.user_id = c.user_id WHERE c.key_id = ?1) \
             SELECT {VIEW} CROSS JOIN who w WHERE k.kind = 'key' AND k.created_at <= ?2 AND (k.created_at < ?2 OR k.key_id < ?3) \
             AND CASE WHEN w.role = 'superadmin' THEN 1 WHEN w.role = 'admin' THEN coalesce(u.org_id, i.org_id) = w.org_id \
               WHEN w.role = 'user' THEN k.user_id = w.user_id ELSE k.key_id = w.key_id END \
             AND (?4 IS NULL OR k.user_id = ?4) AND (?5 IS NULL OR k.project_id = ?5) \
             AND (?6 IS NULL OR ?6 = CASE WHEN k.revoked_at IS NOT NULL THEN 'revoked' WHEN k.expires_at <= ?8 THEN 'expired' ELSE 'active' END) \
             AND (?7 IS NULL OR coalesce(k.last_used_at, k.created_at) < ?7) \
             ORDER BY k.created_at DESC, k.key_id DESC LIMIT ?9"
        )
        .into(),
        params: vec![
            caller.as_str().into(),
            created_at.into(),
            key_id.into(),
            filter.user_id.as_ref().into(),
            filter.project_id.as_ref().into(),
            filter.status.as_ref().into(),
            filter.unused_since.as_ref().into(),
            now.to_string().into(),
            limit.into(),
        ],
    }
}

impl KeyView {
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
            key_id: columns::word(row, "key_id")?,
            name: columns::text(row, "name")?,
            last4: columns::text(row, "last4")?,
            user_id: columns::word_or_null(row, "user_id")?,
            project_id: columns::word_or_null(row, "project_id")?,
            instance_id: columns::word_or_null(row, "instance_id")?,
            org_id: columns::word_or_null(row, "org_id")?,
            owner_active: row.flag("owner_active"),
            scopes: columns::json(row, "scopes")?,
            instance_ids: columns::json_or_null(row, "instance_ids")?,
            created_by: columns::text(row, "created_by")?,
            created_at: columns::time(row, "created_at")?,
            last_used_at: columns::time_or_null(row, "last_used_at")?,
            expires_at: columns::time_or_null(row, "expires_at")?,
            prev_expires_at: columns::time_or_null(row, "prev_expires_at")?,
            revoked_at: columns::time_or_null(row, "revoked_at")?,
            version: columns::int(row, "version")?,
        })
    }
}

/// A new key.
#[derive(Clone, Debug)]
pub struct NewKey<'a> {
    /// Public id.
    pub key_id: &'a KeyId,
    /// Owner, if a user.
    pub user_id: Option<&'a UserId>,
    /// Owner, if a project.
    pub project_id: Option<&'a ProjectId>,
    /// Name.
    pub name: &'a str,
    /// Hex HMAC of the secret.
    pub key_hash: &'a str,
    /// Its pepper.
    pub pepper_id: &'a str,
    /// Last four characters.
    pub last4: &'a str,
    /// Scopes.
    pub scopes: &'a [Scope],
    /// Instances it is restricted to.
    pub instance_ids: Option<&'a [InstanceId]>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// Principal.
    pub created_by: &'a str,
    /// Now.
    pub now: Timestamp,
}

/// Creates one.
pub fn create(new: &NewKey<'_>) -> Statement {
    Statement::new(
        "INSERT INTO api_keys (key_id, user_id, project_id, kind, name, key_hash, pepper_id, last4, scopes, instance_ids, expires_at, created_by, created_at) \
         VALUES (?1, ?2, ?3, 'key', ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )
    .bind(new.key_id.as_str())
    .bind(new.user_id.map(UserId::as_str))
    .bind(new.project_id.map(ProjectId::as_str))
    .bind(new.name)
    .bind(new.key_hash)
    .bind(new.pepper_id)
    .bind(new.last4)
    .bind(serde_json::json!(new.scopes).to_string())
    .bind(new.instance_ids.map(|ids| serde_json::json!(ids).to_string()))
    .bind(new.expires_at.map(|at| at.to_string()))
    .bind(new.created_by)
    .bind(new.now.to_string())
}

/// Refuses unless the user is active.
pub fn guard_active_user(user_id: &UserId) -> Statement {
    require(
        "SELECT status = 'active' FROM users WHERE user_id = ?1",
        vec![user_id.as_str().into()],
    )
}

/// Refuses unless the project is active.
pub fn guard_active_project(project_id: &ProjectId) -> Statement {
    require(
        "SELECT status = 'active' FROM projects WHERE project_id = ?1",
        vec![project_id.as_str().into()],
    )
}

/// Refuses unless the key still has that version.
pub fn guard_version(key_id: &KeyId, version: i64) -> Statement {
    require(
        "SELECT version = ?2 FROM api_keys WHERE key_id = ?1",
        vec![key_id.as_str().into(), version.into()],
    )
}

/// Revokes for good, the sessions of the key with it.
pub fn revoke(key_id: &KeyId, by: &str, reason: Option<&str>, now: Timestamp) -> Statement {
    Statement::new(
        "UPDATE api_keys SET revoked_at = ?2, revoked_by = ?3, revoke_reason = ?4, version = version + 1 \
         WHERE (key_id = ?1 OR parent_key_id = ?1) AND revoked_at IS NULL",
    )
    .bind(key_id.as_str())
    .bind(now.to_string())
    .bind(by)
    .bind(reason)
}

/// Records the first use of the current secret.
pub fn record_first_use(key_id: &KeyId, now: Timestamp) -> Statement {
    Statement::new(
        "UPDATE api_keys SET secret_first_used_at = ?2, last_used_at = ?2 WHERE key_id = ?1 AND secret_first_used_at IS NULL",
    )
    .bind(key_id.as_str())
    .bind(now.to_string())
}

/// Records a later use; the caller does so at most once a minute.
pub fn record_use(key_id: &KeyId, now: Timestamp) -> Statement {
    Statement::new(
        "UPDATE api_keys SET last_used_at = ?2 WHERE key_id = ?1 AND (last_used_at IS NULL OR last_used_at < ?2)",
    )
    .bind(key_id.as_str())
    .bind(now.to_string())
}

/// Replaces the hash by one under another pepper, if it is still the old one.
pub fn rehash(key_id: &KeyId, old_hash: &str, new_hash: &str, pepper_id: &str) -> Statement {
    Statement::new(
        "UPDATE api_keys SET key_hash = ?3, pepper_id = ?4 WHERE key_id = ?1 AND key_hash = ?2",
    )
    .bind(key_id.as_str())
    .bind(old_hash)
    .bind(new_hash)
    .bind(pepper_id)
}

/// Live keys that are hashed under another pepper, as column `n`.
pub fn count_old_peppers(current: &str) -> Statement {
    Statement::new(
        "SELECT count(*) AS n FROM api_keys WHERE (pepper_id < ?1 OR pepper_id > ?1) AND revoked_at IS NULL",
    )
    .bind(current)
}

/// An instance that a new key shall be restricted to, as the minting caller stands towards it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grantable {
    /// The asked id.
    pub instance_id: String,
    /// Its organization; `None` when there is no such instance.
    pub org_id: Option<OrgId>,
    /// Whether the caller may use it.
    pub allowed: bool,
}

/// Each of those instances, judged for the caller.
pub fn grantable(caller: &KeyId, instance_ids: &[InstanceId]) -> Statement {
    let ids: Vec<&str> = instance_ids.iter().map(InstanceId::as_str).collect();
    Statement::new(
        "SELECT x.value AS instance_id, i.org_id, \
           (CASE WHEN u.role = 'superadmin' THEN 1 WHEN u.role = 'admin' THEN i.org_id = u.org_id \
             WHEN u.role = 'user' THEN EXISTS (SELECT 1 FROM user_instance_access a WHERE a.user_id = k.user_id AND a.instance_id = i.instance_id) \
             ELSE i.instance_id = p.instance_id END) \
           AND (k.instance_ids IS NULL OR i.instance_id IN (SELECT value FROM json_each(k.instance_ids))) AS allowed \
         FROM api_keys k LEFT JOIN users u ON u.user_id = k.user_id LEFT JOIN projects p ON p.project_id = k.project_id \
         CROSS JOIN json_each(?2) x LEFT JOIN instances i ON i.instance_id = x.value AND i.status <> 'deleted' WHERE k.key_id = ?1",
    )
    .bind(caller.as_str())
    .bind(serde_json::json!(ids).to_string())
}

impl Grantable {
    /// Reads the result of [`grantable`].
    pub fn read_all(rows: &Rows) -> Result<Vec<Self>> {
        rows.rows
            .iter()
            .map(|row| {
                Ok(Self {
                    instance_id: columns::text(row, "instance_id")?,
                    org_id: columns::word_or_null(row, "org_id")?,
                    allowed: row.flag("allowed"),
                })
            })
            .collect()
    }
}

/// The restriction of the caller's own key, a session's included, as column `instance_ids` (JSON or NULL).
pub fn restriction(caller: &KeyId) -> Statement {
    Statement::new("SELECT instance_ids FROM api_keys WHERE key_id = ?1").bind(caller.as_str())
}

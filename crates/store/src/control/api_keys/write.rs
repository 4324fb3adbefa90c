//! Minting, narrowing, rotating, revoking.

use crate::control::guard::require;
use api_types::{InstanceId, KeyId, ProjectId, Scope, Timestamp, UserId};
use platform::Statement;
use serde_json::json;

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
    .bind(json!(new.scopes).to_string())
    .bind(new.instance_ids.map(|ids| json!(ids).to_string()))
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

/// Refuses unless the key still has that version, is not revoked, and its current secret was used or not as it was
/// read: using a secret raises no version.
pub fn guard_secret(key_id: &KeyId, version: i64, used: bool) -> Statement {
    require(
        "SELECT version = ?2 AND (secret_first_used_at IS NOT NULL) = ?3 AND revoked_at IS NULL FROM api_keys WHERE key_id = ?1",
        vec![key_id.as_str().into(), version.into(), used.into()],
    )
}

/// What stays of a key after narrowing it.
#[derive(Clone, Debug)]
pub struct Narrowed<'a> {
    /// Public id.
    pub key_id: &'a KeyId,
    /// Name.
    pub name: &'a str,
    /// Scopes.
    pub scopes: &'a [Scope],
    /// Instances it is restricted to.
    pub instance_ids: Option<&'a [InstanceId]>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

/// Narrows a key, and the copies of its bounds that its sessions hold.
pub fn narrow(narrowed: &Narrowed<'_>) -> Vec<Statement> {
    let scopes = json!(narrowed.scopes).to_string();
    let instance_ids = narrowed.instance_ids.map(|ids| json!(ids).to_string());
    vec![
        Statement::new(
            "UPDATE api_keys SET name = ?2, scopes = ?3, instance_ids = ?4, expires_at = ?5, version = version + 1 WHERE key_id = ?1",
        )
        .bind(narrowed.key_id.as_str())
        .bind(narrowed.name)
        .bind(&scopes)
        .bind(instance_ids.as_ref())
        .bind(narrowed.expires_at.map(|at| at.to_string())),
        Statement::new(
            "UPDATE api_keys SET scopes = ?2, instance_ids = ?3 WHERE parent_key_id = ?1 AND kind = 'session' AND revoked_at IS NULL",
        )
        .bind(narrowed.key_id.as_str())
        .bind(scopes)
        .bind(instance_ids),
    ]
}

/// A key's next secret.
#[derive(Clone, Debug)]
pub struct NewSecret<'a> {
    /// Public id, which stays.
    pub key_id: &'a KeyId,
    /// Hex HMAC of the secret.
    pub key_hash: &'a str,
    /// Its pepper.
    pub pepper_id: &'a str,
    /// Last four characters.
    pub last4: &'a str,
    /// Now.
    pub now: Timestamp,
}

macro_rules! new_secret_sql {
    ($previous:literal) => {
        concat!(
            "UPDATE api_keys SET ",
            $previous,
            "key_hash = ?2, pepper_id = ?3, last4 = ?4, rotated_at = ?5, secret_first_used_at = NULL, \
             secret_version = secret_version + 1, version = version + 1 WHERE key_id = ?1"
        )
    };
}

fn with_secret(sql: &'static str, new: &NewSecret<'_>) -> Statement {
    Statement::new(sql)
        .bind(new.key_id.as_str())
        .bind(new.key_hash)
        .bind(new.pepper_id)
        .bind(new.last4)
        .bind(new.now.to_string())
}

/// Puts a new secret in place; the current one becomes the previous one and works until `old_until`, or ends at once.
pub fn rotate(new: &NewSecret<'_>, old_until: Option<Timestamp>) -> Statement {
    match old_until {
        // Every right side reads the row as it was before.
        Some(end) => with_secret(
            new_secret_sql!(
                "prev_key_hash = key_hash, prev_pepper_id = pepper_id, prev_expires_at = ?6, "
            ),
            new,
        )
        .bind(end.to_string()),
        None => with_secret(
            new_secret_sql!(
                "prev_key_hash = NULL, prev_pepper_id = NULL, prev_expires_at = NULL, "
            ),
            new,
        ),
    }
}

/// Ends the sessions that the secret opened which a rotation made the previous one: with it, those of the secret before
/// now. The session that rotated goes on: who holds it got the new secret.
pub fn end_sessions(
    key_id: &KeyId,
    but: Option<&KeyId>,
    old_until: Timestamp,
    now: Timestamp,
) -> Statement {
    Statement::new(
        "UPDATE api_keys SET expires_at = min(expires_at, iif(secret_ends_at IS NULL, ?2, ?3)), secret_ends_at = coalesce(secret_ends_at, ?2) \
         WHERE parent_key_id = ?1 AND kind = 'session' AND expires_at > ?3 AND revoked_at IS NULL AND key_id IS NOT ?4",
    )
    .bind(key_id.as_str())
    .bind(old_until.to_string())
    .bind(now.to_string())
    .bind(but.map(KeyId::as_str))
}

/// Puts a new secret in the place of one that was never used; the previous one and its end stay as they are.
pub fn replace_unused(new: &NewSecret<'_>) -> Statement {
    with_secret(new_secret_sql!(""), new)
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

/// Revokes all keys and sessions of a user for good.
pub fn revoke_of_user(user_id: &UserId, by: &str, reason: &str, now: Timestamp) -> Statement {
    revoke_of("user_id", user_id.as_str(), by, reason, now)
}

/// Revokes all keys of a project for good.
pub fn revoke_of_project(
    project_id: &ProjectId,
    by: &str,
    reason: &str,
    now: Timestamp,
) -> Statement {
    revoke_of("project_id", project_id.as_str(), by, reason, now)
}

fn revoke_of(owner: &str, id: &str, by: &str, reason: &str, now: Timestamp) -> Statement {
    Statement {
        sql: format!(
            "UPDATE api_keys SET revoked_at = ?2, revoked_by = ?3, revoke_reason = ?4, version = version + 1 \
             WHERE {owner} = ?1 AND revoked_at IS NULL"
        )
        .into(),
        params: vec![id.into(), now.to_string().into(), by.into(), reason.into()],
    }
}

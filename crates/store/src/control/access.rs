//! Table `user_instance_access`: which users may use which instances.

use super::columns;
use super::guard::require;
use api_types::{InstanceId, KeyId, OrgId, Timestamp, UserId};
use errors::Result;
use platform::{Rows, Statement};

/// Whether the grant exists: one row or none.
pub fn exists(user_id: &UserId, instance_id: &InstanceId) -> Statement {
    Statement::new(
        "SELECT 1 AS granted FROM user_instance_access WHERE user_id = ?1 AND instance_id = ?2",
    )
    .bind(user_id.as_str())
    .bind(instance_id.as_str())
}

/// Grants; granting again changes nothing.
pub fn grant(
    user_id: &UserId,
    instance_id: &InstanceId,
    granted_by: &str,
    now: Timestamp,
) -> Statement {
    Statement::new(
        "INSERT INTO user_instance_access (user_id, instance_id, created_at, granted_by) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (user_id, instance_id) DO NOTHING",
    )
    .bind(user_id.as_str())
    .bind(instance_id.as_str())
    .bind(now.to_string())
    .bind(granted_by)
}

/// Refuses unless instance and user still live in one organization.
pub fn guard_same_organization(user_id: &UserId, instance_id: &InstanceId) -> Statement {
    require(
        "SELECT u.org_id = i.org_id AND u.status <> 'deleted' AND i.status <> 'deleted' FROM users u, instances i \
         WHERE u.user_id = ?1 AND i.instance_id = ?2",
        vec![user_id.as_str().into(), instance_id.as_str().into()],
    )
}

/// Users with access to an instance, at most 500, as column `user_id`.
pub fn users_of(instance_id: &InstanceId) -> Statement {
    Statement::new("SELECT user_id FROM user_instance_access WHERE instance_id = ?1 LIMIT 500")
        .bind(instance_id.as_str())
}

/// Reads the result of [`users_of`].
pub fn read_users(rows: &Rows) -> Result<Vec<UserId>> {
    rows.rows
        .iter()
        .map(|row| columns::word(row, "user_id"))
        .collect()
}

/// Which of those instances belong to the organization, or to the caller's when none is named, and are within what the
/// caller's key is restricted to: column `instance_id`.
pub fn in_organization(
    org_id: Option<&OrgId>,
    caller: &KeyId,
    instance_ids: &[InstanceId],
) -> Statement {
    let ids: Vec<&str> = instance_ids.iter().map(InstanceId::as_str).collect();
    Statement::new(
        "SELECT i.instance_id FROM json_each(?3) x JOIN instances i ON i.instance_id = x.value \
         WHERE i.status <> 'deleted' AND i.org_id = coalesce(?1, \
           (SELECT u.org_id FROM api_keys k JOIN users u ON u.user_id = k.user_id WHERE k.key_id = ?2)) \
         AND EXISTS (SELECT 1 FROM api_keys c WHERE c.key_id = ?2 AND (c.instance_ids IS NULL \
           OR i.instance_id IN (SELECT value FROM json_each(c.instance_ids))))",
    )
    .bind(org_id.map(OrgId::as_str))
    .bind(caller.as_str())
    .bind(serde_json::json!(ids).to_string())
}

/// Reads the result of [`in_organization`].
pub fn read_instances(rows: &Rows) -> Result<Vec<InstanceId>> {
    rows.rows
        .iter()
        .map(|row| columns::word(row, "instance_id"))
        .collect()
}

//! Table `user_instance_access`: which users may use which instances.

use super::columns;
use super::guard::{Quota, require};
use api_types::{InstanceId, KeyId, OrgId, Timestamp, UserId};
use errors::Result;
use platform::{Row, Rows, Statement};

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

/// The instances of the named organization, or of the caller's when none is named, at most 100: column `instance_id`.
pub fn of_organization(org_id: Option<&OrgId>, caller: &KeyId) -> Statement {
    Statement::new(
        "SELECT i.instance_id FROM instances i WHERE i.status <> 'deleted' AND i.org_id = coalesce(?1, \
           (SELECT u.org_id FROM api_keys k JOIN users u ON u.user_id = k.user_id WHERE k.key_id = ?2)) ORDER BY i.instance_id LIMIT 100",
    )
    .bind(org_id.map(OrgId::as_str))
    .bind(caller.as_str())
}

/// Reads the result of [`of_organization`].
pub fn read_instances(rows: &Rows) -> Result<Vec<InstanceId>> {
    rows.rows
        .iter()
        .map(|row| columns::word(row, "instance_id"))
        .collect()
}

/// Takes access away; without a grant nothing happens.
pub fn revoke(user_id: &UserId, instance_id: &InstanceId) -> Statement {
    Statement::new("DELETE FROM user_instance_access WHERE user_id = ?1 AND instance_id = ?2")
        .bind(user_id.as_str())
        .bind(instance_id.as_str())
}

/// Takes all access of a user away.
pub fn revoke_all(user_id: &UserId) -> Statement {
    Statement::new("DELETE FROM user_instance_access WHERE user_id = ?1").bind(user_id.as_str())
}

fn array(instance_ids: &[InstanceId]) -> String {
    serde_json::json!(instance_ids).to_string()
}

/// Grants each of those; what exists stays as it is.
pub fn grant_each(
    user_id: &UserId,
    instance_ids: &[InstanceId],
    granted_by: &str,
    now: Timestamp,
) -> Statement {
    // Without WHERE the parser takes ON for a join.
    Statement::new(
        "INSERT INTO user_instance_access (user_id, instance_id, created_at, granted_by) \
         SELECT ?1, x.value, ?3, ?4 FROM json_each(?2) x WHERE true ON CONFLICT (user_id, instance_id) DO NOTHING",
    )
    .bind(user_id.as_str())
    .bind(array(instance_ids))
    .bind(now.to_string())
    .bind(granted_by)
}

/// Takes each of those away.
pub fn revoke_each(user_id: &UserId, instance_ids: &[InstanceId]) -> Statement {
    Statement::new(
        "DELETE FROM user_instance_access WHERE user_id = ?1 AND instance_id IN (SELECT value FROM json_each(?2))",
    )
    .bind(user_id.as_str())
    .bind(array(instance_ids))
}

/// Refuses unless each of those instances lives in the user's organization.
pub fn guard_each_in_organization(user_id: &UserId, instance_ids: &[InstanceId]) -> Statement {
    require(
        "SELECT count(*) = json_array_length(?2) FROM json_each(?2) x JOIN instances i ON i.instance_id = x.value \
         JOIN users u ON u.user_id = ?1 AND u.org_id = i.org_id WHERE u.status <> 'deleted' AND i.status <> 'deleted'",
        vec![user_id.as_str().into(), array(instance_ids).into()],
    )
}

/// Refuses when one more user would be too many for any of those instances, so racers cannot pass together.
pub fn guard_room_in_each(instance_ids: &[InstanceId]) -> Statement {
    let limit = Quota::Access.limit();
    require(
        &format!(
            "SELECT NOT EXISTS (SELECT 1 FROM json_each(?1) x \
             WHERE (SELECT count(*) FROM user_instance_access a WHERE a.instance_id = x.value) >= {limit})"
        ),
        vec![array(instance_ids).into()],
    )
}

/// An instance that a user has, or shall have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The instance.
    pub instance_id: InstanceId,
    /// Whether the user shall have it.
    pub wanted: bool,
    /// Whether the user has it.
    pub granted: bool,
    /// Whether it lives in the user's organization.
    pub inside: bool,
    /// Whether the caller's key reaches it.
    pub reached: bool,
    /// Users with access to it; told where a new one is wanted.
    pub users: i64,
}

/// The wanted instances and those the user has, by id. The organization is the named one, else that of the user, else
/// that of the caller (for a user that does not exist yet).
pub fn standing(
    user_id: &UserId,
    org_id: Option<&OrgId>,
    caller: &KeyId,
    wanted: &[InstanceId],
) -> Statement {
    Statement::new(
        "WITH home AS (SELECT k.instance_ids AS reach, coalesce(?2, (SELECT t.org_id FROM users t WHERE t.user_id = ?1), c.org_id) AS org_id \
           FROM api_keys k LEFT JOIN users c ON c.user_id = k.user_id WHERE k.key_id = ?3), \
         named AS (SELECT y.instance_id, max(y.wanted) AS wanted, max(y.granted) AS granted FROM (\
             SELECT value AS instance_id, 1 AS wanted, 0 AS granted FROM json_each(?4) \
             UNION ALL SELECT a.instance_id, 0, 1 FROM user_instance_access a WHERE a.user_id = ?1) y GROUP BY y.instance_id) \
         SELECT x.instance_id, x.wanted, x.granted, i.org_id IS NOT NULL AND i.org_id IS h.org_id AS inside, \
           h.reach IS NULL OR x.instance_id IN (SELECT value FROM json_each(h.reach)) AS reached, \
           CASE WHEN x.granted THEN 0 ELSE (SELECT count(*) FROM user_instance_access b WHERE b.instance_id = i.instance_id AND i.org_id = h.org_id) END AS users \
         FROM home h CROSS JOIN named x LEFT JOIN instances i ON i.instance_id = x.instance_id AND i.status <> 'deleted' ORDER BY x.instance_id",
    )
    .bind(user_id.as_str())
    .bind(org_id.map(OrgId::as_str))
    .bind(caller.as_str())
    .bind(array(wanted))
}

impl Standing {
    /// Reads the result of [`standing`].
    pub fn read_all(rows: &Rows) -> Result<Vec<Self>> {
        let read = |row: &Row| {
            Ok(Self {
                instance_id: columns::word(row, "instance_id")?,
                wanted: row.flag("wanted"),
                granted: row.flag("granted"),
                inside: row.flag("inside"),
                reached: row.flag("reached"),
                users: columns::int(row, "users")?,
            })
        };
        rows.rows.iter().map(read).collect()
    }
}

/// Filters of a list; `after` is user and instance of the last line of the page before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListFilter {
    /// Of that organization.
    pub org_id: Option<String>,
    /// Of that user.
    pub user_id: Option<String>,
    /// To that instance.
    pub instance_id: Option<String>,
    /// The last line before.
    pub after: Option<(String, String)>,
}

/// A grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Who has it.
    pub user_id: UserId,
    /// To what.
    pub instance_id: InstanceId,
    /// Principal that granted it.
    pub granted_by: String,
    /// When.
    pub created_at: Timestamp,
}

/// The grants that the caller administers, newest users first and then by instance, `limit` at most: an administrator
/// those of the organization, a superadmin all; a restricted key those of its instances.
pub fn list(caller: &KeyId, filter: &ListFilter, limit: i64) -> Statement {
    const USERS: &str = "u.user_id >= coalesce(?3, '') AND u.user_id <= min(coalesce(?3, ?5), ?5)";
    const GRANTS: &str = "a.instance_id BETWEEN coalesce(?4, '') AND coalesce(?4, '~') AND (a.user_id < ?5 OR a.instance_id > ?6) \
        AND (w.reach IS NULL OR a.instance_id IN (SELECT value FROM json_each(w.reach))) \
        AND EXISTS (SELECT 1 FROM instances i WHERE i.instance_id = a.instance_id AND i.status <> 'deleted')";
    let (user_id, instance_id) = match &filter.after {
        Some((user_id, instance_id)) => (user_id.clone(), instance_id.clone()),
        None => (columns::before(None), String::new()),
    };
    Statement {
        sql: format!(
            "WITH who AS (SELECT c.instance_ids AS reach, v.role = 'superadmin' AND ?2 IS NULL AS everywhere, \
                 CASE WHEN v.role = 'superadmin' THEN ?2 WHEN v.role = 'admin' AND coalesce(?2, v.org_id) = v.org_id THEN v.org_id END AS org_id \
               FROM api_keys c JOIN users v ON v.user_id = c.user_id WHERE c.key_id = ?1), \
             page AS (SELECT u.user_id AS user_id FROM who w CROSS JOIN users u WHERE u.org_id = w.org_id AND {USERS} \
                 AND EXISTS (SELECT 1 FROM user_instance_access a WHERE a.user_id = u.user_id AND {GRANTS}) \
               UNION ALL SELECT u.user_id FROM who w CROSS JOIN users u WHERE w.everywhere AND {USERS} \
                 AND EXISTS (SELECT 1 FROM user_instance_access a WHERE a.user_id = u.user_id AND {GRANTS}) \
               ORDER BY user_id DESC LIMIT ?7) \
             SELECT a.user_id, a.instance_id, a.granted_by, a.created_at FROM who w CROSS JOIN page g \
             CROSS JOIN user_instance_access a ON a.user_id = g.user_id WHERE {GRANTS} ORDER BY a.user_id DESC, a.instance_id LIMIT ?7"
        )
        .into(),
        params: vec![
            caller.as_str().into(),
            filter.org_id.as_ref().into(),
            filter.user_id.as_ref().into(),
            filter.instance_id.as_ref().into(),
            user_id.into(),
            instance_id.into(),
            limit.into(),
        ],
    }
}

impl Grant {
    /// Reads the result of [`list`].
    pub fn read_all(rows: &Rows) -> Result<Vec<Self>> {
        let read = |row: &Row| {
            Ok(Self {
                user_id: columns::word(row, "user_id")?,
                instance_id: columns::word(row, "instance_id")?,
                granted_by: columns::text(row, "granted_by")?,
                created_at: columns::time(row, "created_at")?,
            })
        };
        rows.rows.iter().map(read).collect()
    }
}

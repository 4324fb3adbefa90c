//! Table `organizations`. A deleted one keeps its row, because tombstones of instances and users refer to it.

use super::columns;
use super::guard::require;
use api_types::{KeyId, OrgId, Timestamp};
use errors::Result;
use platform::{Row, Rows, Statement};

/// An organization that is not deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrganizationRow {
    /// Id.
    pub org_id: OrgId,
    /// Name.
    pub name: String,
    /// Where bills go.
    pub billing_email: String,
    /// `active` or `suspended`.
    pub status: String,
    /// Version of the row.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

const COLUMNS: &str =
    "o.org_id, o.name, o.billing_email, o.status, o.version, o.created_at, o.updated_at";

/// The organization with that id.
pub fn by_id(org_id: &OrgId) -> Statement {
    Statement {
        sql: format!(
            "SELECT {COLUMNS} FROM organizations o WHERE o.org_id = ?1 AND o.deleted_at IS NULL"
        )
        .into(),
        params: vec![org_id.as_str().into()],
    }
}

/// The named organization, or that of the caller's owner when none is named.
pub fn named_or_own(org_id: Option<&OrgId>, caller: &KeyId) -> Statement {
    Statement {
        sql: format!(
            "SELECT {COLUMNS} FROM organizations o WHERE o.deleted_at IS NULL AND o.org_id = coalesce(?1, \
             (SELECT coalesce(u.org_id, i.org_id) FROM api_keys k LEFT JOIN users u ON u.user_id = k.user_id \
                LEFT JOIN projects p ON p.project_id = k.project_id LEFT JOIN instances i ON i.instance_id = p.instance_id WHERE k.key_id = ?2))"
        )
        .into(),
        params: vec![org_id.map(OrgId::as_str).into(), caller.as_str().into()],
    }
}

/// Filters of a list; `after` is the last id of the page before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListFilter {
    /// Of that status.
    pub status: Option<String>,
    /// Whose name or e-mail contains that.
    pub q: Option<String>,
    /// Ids before that one.
    pub after: Option<String>,
}

/// The organizations that the caller may see, newest first (ids are made in the order of time), `limit` at most: a
/// superadmin all, everybody else the own one.
pub fn list(caller: &KeyId, filter: &ListFilter, limit: i64) -> Statement {
    Statement {
        sql: format!(
            "WITH who AS (SELECT u.role = 'superadmin' AS everywhere, coalesce(u.org_id, i.org_id) AS own_org \
               FROM api_keys k LEFT JOIN users u ON u.user_id = k.user_id \
               LEFT JOIN projects p ON p.project_id = k.project_id LEFT JOIN instances i ON i.instance_id = p.instance_id WHERE k.key_id = ?1), \
             span AS (SELECT CASE WHEN everywhere THEN '' ELSE own_org END AS low, CASE WHEN everywhere THEN ?2 ELSE own_org END AS high FROM who) \
             SELECT {COLUMNS} FROM span s CROSS JOIN organizations o \
             WHERE o.org_id BETWEEN s.low AND s.high AND +o.org_id < ?2 AND o.deleted_at IS NULL AND (?3 IS NULL OR o.status = ?3) \
               AND (?4 IS NULL OR instr(lower(o.name), lower(?4)) > 0 OR instr(lower(o.billing_email), lower(?4)) > 0) \
             ORDER BY o.org_id DESC LIMIT ?5"
        )
        .into(),
        params: vec![
            caller.as_str().into(),
            columns::before(filter.after.as_deref()).into(),
            filter.status.as_ref().into(),
            filter.q.as_ref().into(),
            limit.into(),
        ],
    }
}

impl OrganizationRow {
    /// Reads the result of [`by_id`] or [`named_or_own`]; `None` when there is none.
    pub fn read(rows: &Rows) -> Result<Option<Self>> {
        rows.first().map(Self::from_row).transpose()
    }

    /// Reads the result of [`list`].
    pub fn read_all(rows: &Rows) -> Result<Vec<Self>> {
        rows.rows.iter().map(Self::from_row).collect()
    }

    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            org_id: columns::word(row, "org_id")?,
            name: columns::text(row, "name")?,
            billing_email: columns::text(row, "billing_email")?,
            status: columns::text(row, "status")?,
            version: columns::int(row, "version")?,
            created_at: columns::time(row, "created_at")?,
            updated_at: columns::time(row, "updated_at")?,
        })
    }
}

/// Creates one.
pub fn create(org_id: &OrgId, name: &str, billing_email: &str, now: Timestamp) -> Statement {
    Statement::new(
        "INSERT INTO organizations (org_id, name, billing_email, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?4)",
    )
    .bind(org_id.as_str())
    .bind(name)
    .bind(billing_email)
    .bind(now.to_string())
}

/// Refuses unless it exists and still has that version.
pub fn guard_version(org_id: &OrgId, version: i64) -> Statement {
    require(
        "SELECT version = ?2 AND deleted_at IS NULL FROM organizations WHERE org_id = ?1",
        vec![org_id.as_str().into(), version.into()],
    )
}

/// Replaces what people edit, and raises the version.
pub fn update(
    org_id: &OrgId,
    name: &str,
    billing_email: &str,
    status: &str,
    now: Timestamp,
) -> Statement {
    Statement::new(
        "UPDATE organizations SET name = ?2, billing_email = ?3, status = ?4, version = version + 1, updated_at = ?5 WHERE org_id = ?1",
    )
    .bind(org_id.as_str())
    .bind(name)
    .bind(billing_email)
    .bind(status)
    .bind(now.to_string())
}

/// What is still inside an organization.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Instances, tombstones not counted.
    pub instances: i64,
    /// Users, deleted ones not counted.
    pub users: i64,
}

/// Counts what is inside.
pub fn content(org_id: &OrgId) -> Statement {
    Statement::new(
        "SELECT (SELECT count(*) FROM instances WHERE org_id = ?1 AND status <> 'deleted') AS instances, \
         (SELECT count(*) FROM users WHERE org_id = ?1 AND status <> 'deleted') AS users",
    )
    .bind(org_id.as_str())
}

impl Content {
    /// Reads the result of [`content`].
    pub fn read(rows: &Rows) -> Result<Self> {
        let row = rows.first().cloned().unwrap_or_default();
        Ok(Self {
            instances: columns::int(&row, "instances")?,
            users: columns::int(&row, "users")?,
        })
    }
}

/// Refuses unless nothing is inside.
pub fn guard_empty(org_id: &OrgId) -> Statement {
    require(
        "SELECT NOT EXISTS (SELECT 1 FROM instances WHERE org_id = ?1 AND status <> 'deleted') \
         AND NOT EXISTS (SELECT 1 FROM users WHERE org_id = ?1 AND status <> 'deleted')",
        vec![org_id.as_str().into()],
    )
}

/// Deletes: the row stays and is suspended, so that nothing that still belongs to it could be used.
pub fn delete(org_id: &OrgId, now: Timestamp) -> Statement {
    Statement::new(
        "UPDATE organizations SET status = 'suspended', deleted_at = ?2, version = version + 1, updated_at = ?2 WHERE org_id = ?1",
    )
    .bind(org_id.as_str())
    .bind(now.to_string())
}

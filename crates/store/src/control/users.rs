//! Table `users`.

use super::columns;
use super::guard::require;
use super::walk;
use api_types::{InstanceId, KeyId, OrgId, Role, Timestamp, UserId};
use errors::Result;
use platform::{Row, Rows, Statement};

/// A user with what the user may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    /// Id.
    pub user_id: UserId,
    /// E-mail.
    pub email: String,
    /// Name.
    pub name: String,
    /// Role.
    pub role: Role,
    /// Organization; `None` for superadmins.
    pub org_id: Option<OrgId>,
    /// `active`, `disabled` or `deleted`.
    pub status: String,
    /// Version of the row.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Last use of any of its keys and sessions, to the minute.
    pub last_seen_at: Option<Timestamp>,
    /// Assigned instances; for an administrator those of the organization; at most 100.
    pub instances: Vec<InstanceId>,
}

/// The instances of a user `u` under a role, as an array.
macro_rules! instances_under {
    ($role:literal) => {
        concat!(
            "(SELECT json_group_array(x.instance_id) FROM (\
                SELECT a.instance_id FROM user_instance_access a WHERE ",
            $role,
            " = 'user' AND a.user_id = u.user_id \
                UNION ALL SELECT i.instance_id FROM instances i WHERE ",
            $role,
            " = 'admin' AND i.org_id = u.org_id AND i.status <> 'deleted' LIMIT 100) x) AS instances"
        )
    };
}

const COLUMNS: &str = concat!(
    "u.user_id, u.email, u.name, u.role, u.org_id, u.status, u.version, u.created_at, u.updated_at, \
     (SELECT k.last_used_at FROM api_keys k INDEXED BY api_keys_last_use_of_user WHERE k.user_id = u.user_id \
       AND k.last_used_at IS NOT NULL ORDER BY k.last_used_at DESC LIMIT 1) AS last_seen_at, ",
    instances_under!("u.role")
);

/// The user with that id, if not deleted.
pub fn by_id(user_id: &UserId) -> Statement {
    Statement {
        sql: format!(
            "SELECT {COLUMNS} FROM users u WHERE u.user_id = ?1 AND u.status <> 'deleted'"
        )
        .into(),
        params: vec![user_id.as_str().into()],
    }
}

/// The user who owns that key.
pub fn of_key(key_id: &KeyId) -> Statement {
    Statement {
        sql: format!(
            "SELECT {COLUMNS} FROM users u WHERE u.status <> 'deleted' \
             AND u.user_id = (SELECT o.user_id FROM api_keys o WHERE o.key_id = ?1)"
        )
        .into(),
        params: vec![key_id.as_str().into()],
    }
}

/// What the user could use with another role, as column `instances`.
pub fn instances_as(user_id: &UserId, role: &str) -> Statement {
    Statement::new(concat!(
        "SELECT ",
        instances_under!("?2"),
        " FROM users u WHERE u.user_id = ?1"
    ))
    .bind(user_id.as_str())
    .bind(role)
}

/// Reads the result of [`instances_as`].
pub fn read_instances_as(rows: &Rows) -> Result<Vec<InstanceId>> {
    rows.first()
        .map_or(Ok(Vec::new()), |row| columns::json(row, "instances"))
}

impl UserRow {
    /// Reads the result of [`by_id`] or [`of_key`]; `None` when there is none.
    pub fn read(rows: &Rows) -> Result<Option<Self>> {
        rows.first().map(Self::from_row).transpose()
    }

    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            user_id: columns::word(row, "user_id")?,
            email: columns::text(row, "email")?,
            name: columns::text(row, "name")?,
            role: columns::word(row, "role")?,
            org_id: columns::word_or_null(row, "org_id")?,
            status: columns::text(row, "status")?,
            version: columns::int(row, "version")?,
            created_at: columns::time(row, "created_at")?,
            updated_at: columns::time(row, "updated_at")?,
            last_seen_at: columns::time_or_null(row, "last_seen_at")?,
            instances: columns::json(row, "instances")?,
        })
    }
}

/// Filters of a list; `after` is the last id of the page before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListFilter {
    /// Of that organization.
    pub org_id: Option<String>,
    /// Of that role.
    pub role: Option<String>,
    /// Of that status.
    pub status: Option<String>,
    /// Whose name or e-mail contains that.
    pub q: Option<String>,
    /// Ids before that one.
    pub after: Option<String>,
}

/// One line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserLine {
    /// The user.
    pub user: UserRow,
    /// Live keys.
    pub keys: i64,
}

impl ListFilter {
    /// Whether a list of everything may pass rows over.
    fn narrows(&self) -> bool {
        self.org_id.is_none() && (self.role.is_some() || self.status.is_some() || self.q.is_some())
    }
}

/// Where the page of a filtered list of everything stops, for [`walk::read`].
pub fn edge(caller: &KeyId, filter: &ListFilter) -> Option<Statement> {
    let (before, last) = (walk::of_superadmin("?2", "''"), walk::last());
    let sql = format!(
        "SELECT e.user_id AS first FROM users e WHERE e.user_id < {before} ORDER BY e.user_id DESC {last}"
    );
    let statement = Statement::new(sql).bind(caller.as_str());
    let before = columns::before(filter.after.as_deref());
    filter.narrows().then(|| statement.bind(before))
}

/// The users whom the caller administers, newest first (ids are made in the order of time), `limit` at most: an
/// administrator those of the organization, a superadmin all. Nobody else sees any. Each half walks its own index from
/// the end and stops at the limit; the bound of the half that the caller has no right to is empty. That of
/// everything stops at the [`edge`].
pub fn list(caller: &KeyId, filter: &ListFilter, now: Timestamp, limit: i64) -> Statement {
    const WANTED: &str = "u.status <> 'deleted' AND (?4 IS NULL OR u.role = ?4) AND (?5 IS NULL OR u.status = ?5) \
        AND (?6 IS NULL OR instr(lower(u.name), lower(?6)) > 0 OR instr(lower(u.email), lower(?6)) > 0)";
    let bound = if filter.narrows() {
        let last = walk::last();
        format!(
            "AND u.user_id >= coalesce((SELECT e.user_id FROM users e WHERE e.user_id < ?3 ORDER BY e.user_id DESC {last}), '')"
        )
    } else {
        String::new()
    };
    Statement {
        sql: format!(
            "WITH who AS (SELECT v.role = 'superadmin' AND ?2 IS NULL AS everywhere, \
                 CASE WHEN v.role = 'superadmin' THEN ?2 WHEN v.role = 'admin' AND coalesce(?2, v.org_id) = v.org_id THEN v.org_id END AS org_id \
               FROM api_keys c JOIN users v ON v.user_id = c.user_id WHERE c.key_id = ?1), \
             own AS (SELECT u.user_id FROM users u WHERE u.org_id = (SELECT w.org_id FROM who w) AND u.user_id < ?3 AND {WANTED} ORDER BY u.user_id DESC LIMIT ?8), \
             every AS (SELECT u.user_id FROM users u WHERE u.user_id < (SELECT iif(w.everywhere, ?3, '') FROM who w) {bound} AND {WANTED} ORDER BY u.user_id DESC LIMIT ?8), \
             page AS MATERIALIZED (SELECT user_id FROM own UNION ALL SELECT user_id FROM every) \
             SELECT {COLUMNS}, (SELECT count(*) FROM api_keys k INDEXED BY api_keys_live_of_user WHERE k.user_id = u.user_id AND k.kind = 'key' AND k.revoked_at IS NULL \
               AND (k.expires_at IS NULL OR k.expires_at > ?7)) AS keys \
             FROM page g CROSS JOIN users u ON u.user_id = g.user_id ORDER BY u.user_id DESC"
        )
        .into(),
        params: vec![
            caller.as_str().into(),
            filter.org_id.as_ref().into(),
            columns::before(filter.after.as_deref()).into(),
            filter.role.as_ref().into(),
            filter.status.as_ref().into(),
            filter.q.as_ref().into(),
            now.to_string().into(),
            limit.into(),
        ],
    }
}

impl UserLine {
    /// Reads the result of [`list`].
    pub fn read_all(rows: &Rows) -> Result<Vec<Self>> {
        rows.rows
            .iter()
            .map(|row| {
                Ok(Self {
                    user: UserRow::from_row(row)?,
                    keys: columns::int(row, "keys")?,
                })
            })
            .collect()
    }
}

/// A new user.
#[derive(Clone, Debug)]
pub struct NewUser<'a> {
    /// Id.
    pub user_id: &'a UserId,
    /// E-mail.
    pub email: &'a str,
    /// Name.
    pub name: &'a str,
    /// Role, as it is written.
    pub role: &'a str,
    /// Organization; `None` for a superadmin.
    pub org_id: Option<&'a OrgId>,
    /// Now.
    pub now: Timestamp,
}

/// Creates one.
pub fn create(new: &NewUser<'_>) -> Statement {
    Statement::new(
        "INSERT INTO users (user_id, email, name, role, org_id, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
    )
    .bind(new.user_id.as_str())
    .bind(new.email)
    .bind(new.name)
    .bind(new.role)
    .bind(new.org_id.map(OrgId::as_str))
    .bind(new.now.to_string())
}

/// Refuses unless the user exists and still has that version.
pub fn guard_version(user_id: &UserId, version: i64) -> Statement {
    require(
        "SELECT version = ?2 AND status <> 'deleted' FROM users WHERE user_id = ?1",
        vec![user_id.as_str().into(), version.into()],
    )
}

/// Gives 1 when somebody administers without user `?1`: the user is no active administrator, or there is another one. A
/// suspended organization needs none, because none of its keys is accepted; so it can be emptied and deleted.
const ADMINISTERED: &str = "SELECT CASE WHEN u.status <> 'active' THEN 1 \
    WHEN u.role = 'superadmin' THEN EXISTS (SELECT 1 FROM users x WHERE x.org_id IS NULL AND x.status = 'active' AND x.user_id <> u.user_id) \
    WHEN u.role = 'admin' THEN (SELECT o.status = 'suspended' FROM organizations o WHERE o.org_id = u.org_id) \
      OR EXISTS (SELECT 1 FROM users x WHERE x.org_id = u.org_id AND x.role = 'admin' AND x.status = 'active' AND x.user_id <> u.user_id) \
    ELSE 1 END";

/// Whether somebody administers the organization, or the platform, without that user: column `administered`.
pub fn administered_without(user_id: &UserId) -> Statement {
    Statement {
        sql: format!("{ADMINISTERED} AS administered FROM users u WHERE u.user_id = ?1").into(),
        params: vec![user_id.as_str().into()],
    }
}

/// Refuses unless somebody administers without that user.
pub fn guard_administered_without(user_id: &UserId) -> Statement {
    require(
        &format!("{ADMINISTERED} FROM users u WHERE u.user_id = ?1"),
        vec![user_id.as_str().into()],
    )
}

/// Replaces what people edit, and raises the version.
pub fn update(user_id: &UserId, name: &str, role: &str, status: &str, now: Timestamp) -> Statement {
    Statement::new(
        "UPDATE users SET name = ?2, role = ?3, status = ?4, version = version + 1, updated_at = ?5 WHERE user_id = ?1",
    )
    .bind(user_id.as_str())
    .bind(name)
    .bind(role)
    .bind(status)
    .bind(now.to_string())
}

/// Deletes: the row stays, its e-mail may be used again. Keys and access end by statements of their tables.
pub fn delete(user_id: &UserId, now: Timestamp) -> Statement {
    Statement::new(
        "UPDATE users SET status = 'deleted', version = version + 1, updated_at = ?2 WHERE user_id = ?1",
    )
    .bind(user_id.as_str())
    .bind(now.to_string())
}

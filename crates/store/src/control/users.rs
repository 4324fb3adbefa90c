//! Table `users`.

use super::columns;
use api_types::{InstanceId, KeyId, OrgId, Role, Timestamp, UserId};
use errors::Result;
use platform::{Rows, Statement};

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
    /// Last use of any of its keys.
    pub last_seen_at: Option<Timestamp>,
    /// Assigned instances; for an administrator those of the organization; at most 100.
    pub instances: Vec<InstanceId>,
}

macro_rules! user_sql {
    ($which:literal) => {
        concat!(
            "SELECT u.user_id, u.email, u.name, u.role, u.org_id, u.status, u.version, u.created_at, \
             (SELECT max(k.last_used_at) FROM api_keys k WHERE k.user_id = u.user_id) AS last_seen_at, \
             (SELECT json_group_array(x.instance_id) FROM (\
                SELECT a.instance_id FROM user_instance_access a WHERE u.role = 'user' AND a.user_id = u.user_id \
                UNION ALL SELECT i.instance_id FROM instances i WHERE u.role = 'admin' AND i.org_id = u.org_id AND i.status <> 'deleted' LIMIT 100) x) AS instances \
             FROM users u WHERE u.user_id = ",
            $which,
            " AND u.status <> 'deleted'"
        )
    };
}

/// The user with that id, if not deleted.
pub fn by_id(user_id: &UserId) -> Statement {
    Statement::new(user_sql!("?1")).bind(user_id.as_str())
}

/// The user who owns that key.
pub fn of_key(key_id: &KeyId) -> Statement {
    Statement::new(user_sql!(
        "(SELECT o.user_id FROM api_keys o WHERE o.key_id = ?1)"
    ))
    .bind(key_id.as_str())
}

impl UserRow {
    /// Reads the result of [`by_id`] or [`of_key`]; `None` when there is none.
    pub fn read(rows: &Rows) -> Result<Option<Self>> {
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        Ok(Some(Self {
            user_id: columns::word(row, "user_id")?,
            email: columns::text(row, "email")?,
            name: columns::text(row, "name")?,
            role: columns::word(row, "role")?,
            org_id: columns::word_or_null(row, "org_id")?,
            status: columns::text(row, "status")?,
            version: columns::int(row, "version")?,
            created_at: columns::time(row, "created_at")?,
            last_seen_at: columns::time_or_null(row, "last_seen_at")?,
            instances: columns::json(row, "instances")?,
        }))
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

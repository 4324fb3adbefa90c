//! Keys as they may be shown: one, or a list of those that the caller may see.

use crate::control::{columns, walk};
use api_types::{InstanceId, KeyId, OrgId, ProjectId, Role, Scope, Timestamp, UserId};
use errors::Result;
use platform::{Row, Rows, SqlValue, Statement};
use serde::{Deserialize, Serialize};

/// Keys that end this soon are announced, in milliseconds: seven days.
const EXPIRING_MS: i64 = 7 * 86_400_000;

/// What a key can still do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// It works.
    Active,
    /// Its current and its previous secret work.
    Rotating,
    /// It works and ends within seven days.
    Expiring,
    /// It ended by itself.
    Expired,
    /// It was ended.
    Revoked,
    /// Its owner or organization is not active.
    Orphaned,
}

impl KeyState {
    /// The state as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Rotating => "rotating",
            Self::Expiring => "expiring",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Orphaned => "orphaned",
        }
    }

    /// Whether the key works.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Active | Self::Rotating | Self::Expiring)
    }
}

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
    /// Role of the owner, if a user.
    pub owner_role: Option<Role>,
    /// Whether owner and organization are active.
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
    /// Counts its secrets; the first is 1.
    pub secret_version: i64,
    /// When its current secret was first used.
    pub secret_first_used_at: Option<Timestamp>,
    /// When it got its current secret, if by rotation.
    pub rotated_at: Option<Timestamp>,
    /// When its previous secret ends.
    pub prev_expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Version of the row.
    pub version: i64,
}

const COLUMNS: &str = "k.key_id AS key_id, k.name, k.last4, k.user_id, k.project_id, p.instance_id, coalesce(u.org_id, i.org_id) AS org_id, u.role AS owner_role, \
    k.scopes, k.instance_ids, k.created_by, k.created_at AS created_at, k.last_used_at, k.expires_at, k.secret_version, k.secret_first_used_at, k.rotated_at, \
    k.prev_expires_at, k.revoked_at, k.version";
const OWNERS: &str = "LEFT JOIN users u ON u.user_id = k.user_id LEFT JOIN projects p ON p.project_id = k.project_id \
    LEFT JOIN instances i ON i.instance_id = p.instance_id LEFT JOIN organizations o ON o.org_id = coalesce(u.org_id, i.org_id)";
const OWNER_ACTIVE: &str = "(coalesce(u.status, p.status) = 'active' AND coalesce(i.status, 'active') <> 'deleted' AND coalesce(o.status, 'active') = 'active')";

/// The key with that id; sessions are none.
pub fn by_id(key_id: &KeyId) -> Statement {
    Statement {
        sql: format!(
            "SELECT {COLUMNS}, {OWNER_ACTIVE} AS owner_active FROM api_keys k {OWNERS} WHERE k.key_id = ?1 AND k.kind = 'key'"
        )
        .into(),
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
    /// In that state.
    pub status: Option<KeyState>,
    /// Not used since that time (RFC 3339).
    pub unused_since: Option<String>,
    /// The last line of the page before: when it was made and its id.
    pub after: Option<(String, String)>,
}

impl ListFilter {
    /// Whether a list of everything may pass rows over.
    fn narrows(&self) -> bool {
        let of_one = self.user_id.is_some() || self.project_id.is_some();
        !of_one && (self.status.is_some() || self.unused_since.is_some())
    }

    /// Where the list goes on: the time, or one later than any that is written, and the id.
    fn before(&self) -> (String, String) {
        let first = || ("9999".to_owned(), String::new());
        self.after.clone().unwrap_or_else(first)
    }
}

/// The place of the last key that one page looks at, before `before`.
fn last_looked_at(before: &str, columns: &str) -> String {
    let last = walk::last();
    format!(
        "SELECT {columns} FROM api_keys e INDEXED BY api_keys_listed WHERE e.kind = 'key' AND (e.created_at, e.key_id) < ({before}, ?3) \
         ORDER BY e.created_at DESC, e.key_id DESC {last}"
    )
}

/// Where the page of a filtered list of everything stops, for [`walk::read`].
pub fn edge(caller: &KeyId, filter: &ListFilter) -> Option<Statement> {
    let before = walk::of_superadmin("?2", "''");
    let sql = last_looked_at(&before, "e.created_at AS first, e.key_id AS second");
    let (created_at, key_id) = filter.before();
    let statement = Statement::new(sql).bind(caller.as_str());
    filter
        .narrows()
        .then(|| statement.bind(created_at).bind(key_id))
}

/// How each caller finds its keys: a superadmin by the owner who is named, else along all of them; an administrator by
/// the users and by the projects of the organization, a user by itself, a project key among those of its project. Only the
/// arm of the caller's role reads anything, so a list costs what its owner has. D1 takes five terms at most.
const ARMS: [&str; 5] = [
    "CROSS JOIN every x CROSS JOIN api_keys k ON k.key_id = x.key_id WHERE w.role = 'superadmin'",
    "CROSS JOIN api_keys k INDEXED BY api_keys_of_user ON k.user_id = iif(w.role = 'superadmin', ?4, w.user_id) WHERE w.role IN ('superadmin', 'user')",
    "CROSS JOIN api_keys k INDEXED BY api_keys_of_project ON k.project_id = iif(w.role = 'superadmin', ?5, w.project_id) \
     WHERE ((w.role = 'superadmin' AND ?4 IS NULL) OR (w.role IS NULL AND k.key_id = w.key_id))",
    "CROSS JOIN users m ON m.org_id = w.org_id AND (?4 IS NULL OR m.user_id = ?4) \
     CROSS JOIN api_keys k INDEXED BY api_keys_of_user ON k.user_id = m.user_id WHERE w.role = 'admin'",
    "CROSS JOIN instances n ON n.org_id = w.org_id AND (w.reach IS NULL OR n.instance_id IN (SELECT value FROM json_each(w.reach))) CROSS JOIN projects q ON q.instance_id = n.instance_id AND (?5 IS NULL OR q.project_id = ?5) \
     CROSS JOIN api_keys k INDEXED BY api_keys_of_project ON k.project_id = q.project_id WHERE w.role = 'admin'",
];

/// The state of a key, as [`KeyView::state`] tells it.
const STATE: &str = "CASE WHEN k.revoked_at IS NOT NULL THEN 'revoked' WHEN k.expires_at <= ?8 THEN 'expired' WHEN NOT owner_active THEN 'orphaned' \
    WHEN k.prev_expires_at > ?8 THEN 'rotating' WHEN k.expires_at <= ?9 THEN 'expiring' ELSE 'active' END";

/// Whether the caller's key reaches the instance of the key's project, if it has one.
const REACHED: &str = "(p.instance_id IS NULL OR (SELECT w.reach FROM who w) IS NULL \
    OR p.instance_id IN (SELECT value FROM who w CROSS JOIN json_each(w.reach)))";

/// The keys that the caller may see, newest first, `limit` at most: a superadmin all, an administrator those of the
/// organization, a user its own, a project key itself; a restricted key those of projects in its instances only. The list
/// of everything by a superadmin's restricted key, a rare caller, looks at more rows than it shows.
pub fn list(caller: &KeyId, filter: &ListFilter, now: Timestamp, limit: i64) -> Statement {
    let (created_at, key_id) = filter.before();
    let (edge, bound) = if filter.narrows() {
        (
            format!(
                ", edge AS MATERIALIZED ({})",
                last_looked_at("?2", "e.created_at, e.key_id")
            ),
            "AND (k.created_at, k.key_id) >= (coalesce((SELECT created_at FROM edge), ''), coalesce((SELECT key_id FROM edge), ''))",
        )
    } else {
        (String::new(), "")
    };
    let state = STATE.replace("owner_active", OWNER_ACTIVE);
    let wanted = format!(
        "{REACHED} AND (?6 IS NULL OR ?6 = {state}) AND (?7 IS NULL OR coalesce(k.last_used_at, k.created_at) < ?7)"
    );
    let arms: Vec<String> = ARMS
        .iter()
        .map(|arm| {
            let (from, role) = arm.split_once(" WHERE ").unwrap_or((arm, "0"));
            format!(
                "SELECT {COLUMNS}, {OWNER_ACTIVE} AS owner_active FROM who w {from} {OWNERS} WHERE {role} AND k.kind = 'key' \
                 AND k.created_at <= ?2 AND (k.created_at < ?2 OR k.key_id < ?3) \
                 AND (?4 IS NULL OR k.user_id = ?4) AND (?5 IS NULL OR k.project_id = ?5) AND {wanted}"
            )
        })
        .collect();
    let status = filter.status.map(KeyState::as_str);
    Statement {
        sql: format!(
            "WITH who AS (SELECT c.key_id, c.instance_ids AS reach, c.user_id, c.project_id, v.role, v.org_id FROM api_keys c LEFT JOIN users v ON v.user_id = c.user_id WHERE c.key_id = ?1){edge}, \
             every AS (SELECT k.key_id FROM api_keys k INDEXED BY api_keys_listed {OWNERS} WHERE k.kind = 'key' \
               AND (k.created_at, k.key_id) < ((SELECT iif(w.role = 'superadmin' AND ?4 IS NULL AND ?5 IS NULL, ?2, '') FROM who w), ?3) {bound} AND {wanted} ORDER BY k.created_at DESC, k.key_id DESC LIMIT ?10) \
             {} ORDER BY created_at DESC, key_id DESC LIMIT ?10",
            arms.join(" UNION ALL ")
        )
        .into(),
        params: vec![
            caller.as_str().into(),
            created_at.into(),
            key_id.into(),
            filter.user_id.as_ref().into(),
            filter.project_id.as_ref().into(),
            status.into(),
            filter.unused_since.as_ref().into(),
            now.to_string().into(),
            now.plus_ms(EXPIRING_MS).to_string().into(),
            SqlValue::Integer(limit),
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

    /// What it can still do.
    pub fn state(&self, now: Timestamp) -> KeyState {
        let ends_by = |end: Option<Timestamp>, at: Timestamp| end.is_some_and(|end| end <= at);
        if self.revoked_at.is_some() {
            KeyState::Revoked
        } else if ends_by(self.expires_at, now) {
            KeyState::Expired
        } else if !self.owner_active {
            KeyState::Orphaned
        } else if self.prev_expires_at.is_some_and(|end| end > now) {
            KeyState::Rotating
        } else if ends_by(self.expires_at, now.plus_ms(EXPIRING_MS)) {
            KeyState::Expiring
        } else {
            KeyState::Active
        }
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
            owner_role: columns::word_or_null(row, "owner_role")?,
            owner_active: row.flag("owner_active"),
            scopes: columns::json(row, "scopes")?,
            instance_ids: columns::json_or_null(row, "instance_ids")?,
            created_by: columns::text(row, "created_by")?,
            created_at: columns::time(row, "created_at")?,
            last_used_at: columns::time_or_null(row, "last_used_at")?,
            expires_at: columns::time_or_null(row, "expires_at")?,
            secret_version: columns::int(row, "secret_version")?,
            secret_first_used_at: columns::time_or_null(row, "secret_first_used_at")?,
            rotated_at: columns::time_or_null(row, "rotated_at")?,
            prev_expires_at: columns::time_or_null(row, "prev_expires_at")?,
            revoked_at: columns::time_or_null(row, "revoked_at")?,
            version: columns::int(row, "version")?,
        })
    }
}

//! Tables `worker_registry` and `worker_versions`: which workers run where, and how they are.
//!
//! In scope: registering, reading as a caller may, noting the result of a check. Out of scope: what a check means.

use super::columns;
use super::walk;
use api_types::{InstanceId, KeyId, Timestamp};
use errors::Result;
use platform::{Row, Rows, Statement};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Versions that are kept of each worker.
pub const MAX_VERSIONS: usize = 20;

/// How a worker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Not checked since it was registered.
    Unknown,
    /// All is as it should be.
    Healthy,
    /// It answers, but something is not as it should be.
    Degraded,
    /// It does not answer.
    Unhealthy,
}

impl Health {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// A registered worker.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerRow {
    /// The instance it serves; `None` for a worker of the platform.
    pub instance_id: Option<InstanceId>,
    /// Name.
    pub name: String,
    /// Version that is deployed.
    pub version: String,
    /// Commit it was built from.
    pub git_sha: String,
    /// Where it answers, without a slash at the end.
    pub url: String,
    /// Where its description is.
    pub openapi_url: Option<String>,
    /// Hex SHA-256 of the description.
    pub openapi_sha256: Option<String>,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// How it is.
    pub health: Health,
    /// Since when.
    pub health_since: Option<Timestamp>,
    /// Why it is not healthy.
    pub health_reason: Option<String>,
    /// The last body of its `/health`.
    pub health_detail: Option<Value>,
    /// Failed checks in a row.
    pub failures: i64,
    /// Good checks in a row.
    pub successes: i64,
    /// When it was last checked.
    pub checked_at: Option<Timestamp>,
    /// When it was last registered.
    pub registered_at: Timestamp,
    /// Whether a superadmin did so: then it is deployed by the platform, wherever it serves.
    pub by_platform: bool,
}

const COLUMNS: &str = "w.instance_id, w.name, w.version, w.git_sha, w.url, w.openapi_url, w.openapi_sha256, w.capabilities, \
     w.health, w.health_since, w.health_reason, w.health_detail, w.failures, w.successes, w.checked_at, w.registered_at, w.by_platform";

/// Workers of the platform serve everybody; those of an instance are seen by who may use the instance.
const SEEN: &str = "WITH who AS (SELECT k.instance_ids, k.user_id, u.role, u.org_id AS own_org, p.instance_id AS own_instance \
       FROM api_keys k LEFT JOIN users u ON u.user_id = k.user_id LEFT JOIN projects p ON p.project_id = k.project_id WHERE k.key_id = ?1)";
const SEEN_FROM: &str = "FROM who v CROSS JOIN worker_registry w LEFT JOIN instances i ON i.instance_id = w.instance_id";
const SEEN_WHERE: &str = "(w.instance_id = '' OR (i.status <> 'deleted' \
       AND CASE WHEN v.role = 'superadmin' THEN 1 WHEN v.role = 'admin' THEN i.org_id = v.own_org \
         WHEN v.role = 'user' THEN EXISTS (SELECT 1 FROM user_instance_access a WHERE a.user_id = v.user_id AND a.instance_id = i.instance_id) \
         ELSE i.instance_id = v.own_instance END \
       AND (v.instance_ids IS NULL OR i.instance_id IN (SELECT value FROM json_each(v.instance_ids)))))";

/// How the column says which instance, `''` for the platform.
fn place(instance_id: Option<&InstanceId>) -> &str {
    instance_id.map_or("", InstanceId::as_str)
}

impl WorkerRow {
    /// Reads the first row; `None` when there is none.
    pub fn read(rows: &Rows) -> Result<Option<Self>> {
        rows.first().map(Self::from_row).transpose()
    }

    /// Reads all rows.
    pub fn read_all(rows: &Rows) -> Result<Vec<Self>> {
        rows.rows.iter().map(Self::from_row).collect()
    }

    fn from_row(row: &Row) -> Result<Self> {
        let instance_id = match columns::text(row, "instance_id")?.as_str() {
            "" => None,
            _ => Some(columns::word(row, "instance_id")?),
        };
        Ok(Self {
            instance_id,
            name: columns::text(row, "name")?,
            version: columns::text(row, "version")?,
            git_sha: columns::text(row, "git_sha")?,
            url: columns::text(row, "url")?,
            openapi_url: columns::text_or_null(row, "openapi_url"),
            openapi_sha256: columns::text_or_null(row, "openapi_sha256"),
            capabilities: columns::json(row, "capabilities")?,
            health: columns::word(row, "health")?,
            health_since: columns::time_or_null(row, "health_since")?,
            health_reason: columns::text_or_null(row, "health_reason"),
            health_detail: columns::json_or_null(row, "health_detail")?,
            failures: columns::int(row, "failures")?,
            successes: columns::int(row, "successes")?,
            checked_at: columns::time_or_null(row, "checked_at")?,
            registered_at: columns::time(row, "registered_at")?,
            by_platform: row.flag("by_platform"),
        })
    }
}

/// One worker, without a caller.
pub fn one(instance_id: Option<&InstanceId>, name: &str) -> Statement {
    Statement::new(format!(
        "SELECT {COLUMNS} FROM worker_registry w WHERE w.instance_id = ?1 AND w.name = ?2"
    ))
    .bind(place(instance_id))
    .bind(name)
}

/// One worker, if the caller may see it.
pub fn for_caller(caller: &KeyId, instance_id: Option<&InstanceId>, name: &str) -> Statement {
    Statement::new(format!(
        "{SEEN} SELECT {COLUMNS} {SEEN_FROM} WHERE w.instance_id = ?2 AND w.name = ?3 AND {SEEN_WHERE}"
    ))
    .bind(caller.as_str())
    .bind(place(instance_id))
    .bind(name)
}

/// Filters of a list; `after` is instance and name of the last line of the page before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListFilter {
    /// Of that instance; `platform` for the platform's own.
    pub instance_id: Option<String>,
    /// With that capability.
    pub capability: Option<String>,
    /// Of that health.
    pub health: Option<Health>,
    /// Lines after that one.
    pub after: (String, String),
}

impl ListFilter {
    /// Whether a list of everything may pass rows over; that of one instance passes over fifty at most.
    fn narrows(&self) -> bool {
        self.instance_id.is_none() && (self.capability.is_some() || self.health.is_some())
    }
}

/// The place of the last worker that one page looks at, behind `after`.
fn last_looked_at(after: &str, columns: &str) -> String {
    let last = walk::last();
    format!(
        "SELECT {columns} FROM worker_registry e WHERE (e.instance_id, e.name) > ({after}, ?3) ORDER BY e.instance_id, e.name {last}"
    )
}

/// Where the page of a filtered list of everything stops, for [`walk::read`].
pub fn edge(caller: &KeyId, filter: &ListFilter) -> Option<Statement> {
    let after = walk::of_superadmin("?2", "'~'");
    let sql = last_looked_at(&after, "e.instance_id AS first, e.name AS second");
    let (instance_id, name) = &filter.after;
    let statement = Statement::new(sql).bind(caller.as_str());
    filter
        .narrows()
        .then(|| statement.bind(instance_id).bind(name))
}

/// The workers that the caller may see, those of the platform first, then by instance and name; `limit` rows at most. A
/// superadmin's page walks the primary key from `after` on; everybody else's is looked up instance by instance, so that
/// it costs what the caller may see, and not beyond the [`edge`]. The bound of the half that is not the caller's is beyond every id.
pub fn list(caller: &KeyId, filter: &ListFilter, limit: i64) -> Statement {
    const WANTED: &str = "(?4 IS NULL OR w.instance_id = ?4) AND (?5 IS NULL OR w.health = ?5) \
        AND (?6 IS NULL OR EXISTS (SELECT 1 FROM json_each(w.capabilities) c WHERE c.value = ?6))";
    const EVERYWHERE: &str = "(v.role IS 'superadmin' AND v.instance_ids IS NULL)";
    let instance_id = filter.instance_id.as_deref().map(|id| match id {
        "platform" => "",
        other => other,
    });
    let after = match instance_id {
        Some(id) if filter.after.0.as_str() < id => (id, ""),
        _ => (filter.after.0.as_str(), filter.after.1.as_str()),
    };
    // A page that stops early: the edge's place as a range of the key, and what lies behind it there.
    let (edge, bound) = if filter.narrows() {
        (
            format!(
                "edge AS MATERIALIZED ({}), ",
                last_looked_at("?2", "e.instance_id, e.name")
            ),
            "w.instance_id <= coalesce((SELECT instance_id FROM edge), '~') \
             AND (w.instance_id < coalesce((SELECT instance_id FROM edge), '~') OR w.name <= (SELECT name FROM edge))",
        )
    } else {
        (String::new(), "w.instance_id <= coalesce(?4, '~')")
    };
    Statement::new(format!(
        "{SEEN}, {edge}\
         places AS (SELECT i.instance_id FROM who v CROSS JOIN instances i ON i.org_id = v.own_org AND i.status <> 'deleted' WHERE v.role = 'admin' \
           UNION ALL SELECT a.instance_id FROM who v CROSS JOIN user_instance_access a ON a.user_id = v.user_id WHERE v.role = 'user' \
           UNION ALL SELECT v.own_instance FROM who v WHERE v.role IS NULL \
           UNION ALL SELECT n.value FROM who v CROSS JOIN json_each(v.instance_ids) n WHERE v.role = 'superadmin'), \
         seen AS (SELECT '' AS instance_id FROM who v WHERE NOT {EVERYWHERE} UNION ALL \
           SELECT p.instance_id FROM who v CROSS JOIN places p CROSS JOIN instances i ON i.instance_id = p.instance_id WHERE i.status <> 'deleted' \
             AND (v.instance_ids IS NULL OR p.instance_id IN (SELECT value FROM json_each(v.instance_ids)))), \
         own AS (SELECT w.instance_id, w.name FROM seen s CROSS JOIN worker_registry w ON w.instance_id = s.instance_id \
           WHERE (s.instance_id > ?2 OR (s.instance_id = ?2 AND w.name > ?3)) AND {WANTED} ORDER BY w.instance_id, w.name LIMIT ?7), \
         every AS (SELECT w.instance_id, w.name FROM worker_registry w LEFT JOIN instances i ON i.instance_id = w.instance_id \
           WHERE (w.instance_id, w.name) > ((SELECT iif({EVERYWHERE}, ?2, '~') FROM who v), ?3) AND {bound} \
             AND (w.instance_id = '' OR i.status <> 'deleted') AND {WANTED} ORDER BY w.instance_id, w.name LIMIT ?7), \
         page AS MATERIALIZED (SELECT instance_id, name FROM own UNION ALL SELECT instance_id, name FROM every) \
         SELECT {COLUMNS} FROM page g CROSS JOIN worker_registry w ON w.instance_id = g.instance_id AND w.name = g.name \
         ORDER BY w.instance_id, w.name"
    ))
    .bind(caller.as_str())
    .bind(after.0)
    .bind(after.1)
    .bind(instance_id)
    .bind(filter.health.map(Health::as_str))
    .bind(filter.capability.as_ref())
    .bind(limit)
}

/// What a registration says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration<'a> {
    /// The instance it serves; `None` for a worker of the platform.
    pub instance_id: Option<&'a InstanceId>,
    /// Name.
    pub name: &'a str,
    /// Version.
    pub version: &'a str,
    /// Commit.
    pub git_sha: &'a str,
    /// URL without a slash at the end.
    pub url: &'a str,
    /// Where its description is.
    pub openapi_url: Option<&'a str>,
    /// Hex SHA-256 of the description.
    pub openapi_sha256: Option<&'a str>,
    /// What it can do.
    pub capabilities: &'a [String],
    /// Whether a superadmin registers it.
    pub by_platform: bool,
    /// Now.
    pub now: Timestamp,
}

/// Registers: the row, the line of its version, and no more than the newest [`MAX_VERSIONS`] lines. What was known about
/// the health of another build or place is forgotten; the last answer stays until the next check.
pub fn register(new: &Registration<'_>) -> Vec<Statement> {
    let (place, now) = (place(new.instance_id), new.now.to_string());
    let put = Statement::new(
        "INSERT INTO worker_registry AS w (instance_id, name, version, git_sha, url, openapi_url, openapi_sha256, capabilities, health_since, registered_at, created_at, by_platform, org_id) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?9, ?10, coalesce((SELECT i.org_id FROM instances i WHERE i.instance_id = ?1), '')) \
         ON CONFLICT (instance_id, name) DO UPDATE SET version = excluded.version, git_sha = excluded.git_sha, url = excluded.url, \
           openapi_url = excluded.openapi_url, openapi_sha256 = excluded.openapi_sha256, capabilities = excluded.capabilities, \
           health = iif(w.git_sha = excluded.git_sha AND w.url = excluded.url, w.health, 'unknown'), \
           health_since = iif(w.git_sha = excluded.git_sha AND w.url = excluded.url, w.health_since, excluded.registered_at), \
           health_reason = iif(w.git_sha = excluded.git_sha AND w.url = excluded.url, w.health_reason, NULL), \
           failures = iif(w.git_sha = excluded.git_sha AND w.url = excluded.url, w.failures, 0), \
           successes = iif(w.git_sha = excluded.git_sha AND w.url = excluded.url, w.successes, 0), \
           checked_at = iif(w.git_sha = excluded.git_sha AND w.url = excluded.url, w.checked_at, NULL), \
           registered_at = excluded.registered_at, by_platform = excluded.by_platform, org_id = excluded.org_id",
    )
    .bind(place)
    .bind(new.name)
    .bind(new.version)
    .bind(new.git_sha)
    .bind(new.url)
    .bind(new.openapi_url)
    .bind(new.openapi_sha256)
    .bind(serde_json::json!(new.capabilities).to_string())
    .bind(&now)
    .bind(new.by_platform);
    let version = Statement::new(
        "INSERT INTO worker_versions (instance_id, name, version, git_sha, registered_at, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5) \
         ON CONFLICT (instance_id, name, version) DO UPDATE SET git_sha = excluded.git_sha, registered_at = excluded.registered_at",
    )
    .bind(place)
    .bind(new.name)
    .bind(new.version)
    .bind(new.git_sha)
    .bind(&now);
    let trim = Statement::new(format!(
        "DELETE FROM worker_versions WHERE instance_id = ?1 AND name = ?2 AND version NOT IN (SELECT k.version FROM worker_versions k \
           WHERE k.instance_id = ?1 AND k.name = ?2 ORDER BY k.registered_at DESC, k.version DESC LIMIT {MAX_VERSIONS})"
    ))
    .bind(place)
    .bind(new.name);
    vec![put, version, trim]
}

/// The versions of a worker, newest first, as columns `version`, `git_sha`, `registered_at`.
pub fn versions(instance_id: Option<&InstanceId>, name: &str) -> Statement {
    Statement::new(format!(
        "SELECT version, git_sha, registered_at FROM worker_versions WHERE instance_id = ?1 AND name = ?2 \
         ORDER BY registered_at DESC, version DESC LIMIT {MAX_VERSIONS}"
    ))
    .bind(place(instance_id))
    .bind(name)
}

/// Workers of that table alias whose last check is before `?1`; those of deleted instances are left out.
macro_rules! due {
    ($alias:literal) => {
        concat!(
            "(",
            $alias,
            ".checked_at IS NULL OR ",
            $alias,
            ".checked_at < ?1) AND (",
            $alias,
            ".instance_id = '' \
              OR EXISTS (SELECT 1 FROM instances i WHERE i.instance_id = ",
            $alias,
            ".instance_id AND i.status <> 'deleted'))"
        )
    };
}

/// Workers of the platform that are due, never checked ones first, then the oldest.
pub fn due_of_platform(checked_before: Timestamp, limit: i64) -> Statement {
    const DUE: &str = due!("w");
    Statement::new(format!(
        "SELECT {COLUMNS} FROM worker_registry w INDEXED BY worker_registry_of_platform \
         WHERE w.by_platform = 1 AND {DUE} ORDER BY w.checked_at LIMIT ?2"
    ))
    .bind(checked_before.to_string())
    .bind(limit)
}

/// Workers that organizations registered and that are due: of each organization `each` at most, the oldest, and the
/// organizations take turns, so that none waits for the workers of another.
pub fn due_of_organizations(checked_before: Timestamp, each: i64, limit: i64) -> Statement {
    const DUE: &str = due!("x");
    const FIRST: &str = "SELECT min(y.org_id) FROM worker_registry y INDEXED BY worker_registry_of_organization WHERE y.by_platform = 0";
    Statement::new(format!(
        "WITH RECURSIVE owners (org_id) AS ({FIRST} UNION ALL SELECT ({FIRST} AND y.org_id > o.org_id) FROM owners o WHERE o.org_id IS NOT NULL), \
         turns AS (SELECT z.rowid AS id, z.checked_at, row_number() OVER (PARTITION BY z.org_id ORDER BY z.checked_at) AS turn \
           FROM owners o CROSS JOIN worker_registry z ON z.rowid IN (SELECT x.rowid FROM worker_registry x INDEXED BY worker_registry_of_organization \
             WHERE x.by_platform = 0 AND x.org_id = o.org_id AND {DUE} ORDER BY x.checked_at LIMIT ?2)) \
         SELECT {COLUMNS} FROM turns t CROSS JOIN worker_registry w ON w.rowid = t.id ORDER BY t.turn, t.checked_at LIMIT ?3"
    ))
    .bind(checked_before.to_string())
    .bind(each)
    .bind(limit)
}

/// Notes a check. `checked` is the worker as it was asked with the new health in it; `before` is when it had last been
/// checked then. Another check or registration in between wins. A check that got no body keeps the last one.
pub fn note_check(checked: &WorkerRow, before: Option<Timestamp>) -> Statement {
    let detail = checked.health_detail.as_ref();
    Statement::new(
        "UPDATE worker_registry SET health = ?1, health_since = ?2, health_reason = ?3, health_detail = coalesce(?4, health_detail), \
           bindings = coalesce(?5, bindings), failures = ?6, successes = ?7, checked_at = ?8 \
         WHERE instance_id = ?9 AND name = ?10 AND url = ?11 AND git_sha = ?12 AND checked_at IS ?13",
    )
    .bind(checked.health.as_str())
    .bind(checked.health_since.map(|at| at.to_string()))
    .bind(checked.health_reason.as_ref())
    .bind(detail.map(Value::to_string))
    .bind(detail.and_then(|detail| detail.get("bindings")).map(Value::to_string))
    .bind(checked.failures)
    .bind(checked.successes)
    .bind(checked.checked_at.map(|at| at.to_string()))
    .bind(place(checked.instance_id.as_ref()))
    .bind(&checked.name)
    .bind(&checked.url)
    .bind(&checked.git_sha)
    .bind(before.map(|at| at.to_string()))
}

/// Forgets the workers of an instance that is being deleted.
pub fn forget_instance(instance_id: &InstanceId) -> Vec<Statement> {
    ["worker_registry", "worker_versions"]
        .iter()
        .map(|table| {
            Statement::new(format!("DELETE FROM {table} WHERE instance_id = ?1"))
                .bind(instance_id.as_str())
        })
        .collect()
}

//! Table `projects`: labels inside an instance.

use super::columns;
use super::guard::require;
use super::resolve::judged;
use super::walk;
use api_types::{InstanceId, KeyId, OrgId, ProjectId, Timestamp};
use errors::Result;
use platform::{Row, Rows, Statement};
use serde_json::{Map, Value};

/// A project with its organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectRow {
    /// Id.
    pub project_id: ProjectId,
    /// Its instance.
    pub instance_id: InstanceId,
    /// The organization of that instance.
    pub org_id: OrgId,
    /// Name.
    pub name: String,
}

/// The active project with that id.
pub fn by_id(project_id: &ProjectId) -> Statement {
    Statement::new(
        "SELECT p.project_id, p.instance_id, p.name, i.org_id FROM projects p JOIN instances i ON i.instance_id = p.instance_id \
         WHERE p.project_id = ?1 AND p.status = 'active' AND i.status <> 'deleted'",
    )
    .bind(project_id.as_str())
}

impl ProjectRow {
    /// Reads the result of [`by_id`]; `None` when there is none.
    pub fn read(rows: &Rows) -> Result<Option<Self>> {
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        Ok(Some(Self {
            project_id: columns::word(row, "project_id")?,
            instance_id: columns::word(row, "instance_id")?,
            org_id: columns::word(row, "org_id")?,
            name: columns::text(row, "name")?,
        }))
    }
}

/// A new project.
#[derive(Clone, Debug)]
pub struct NewProject<'a> {
    /// Id.
    pub project_id: &'a ProjectId,
    /// Its instance.
    pub instance_id: &'a InstanceId,
    /// Name.
    pub name: &'a str,
    /// JSON of its settings.
    pub settings: &'a str,
    /// Principal.
    pub created_by: &'a str,
    /// Now.
    pub now: Timestamp,
}

/// Creates one.
pub fn create(new: &NewProject<'_>) -> Statement {
    Statement::new(
        "INSERT INTO projects (project_id, instance_id, name, settings, created_by, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
    )
    .bind(new.project_id.as_str())
    .bind(new.instance_id.as_str())
    .bind(new.name)
    .bind(new.settings)
    .bind(new.created_by)
    .bind(new.now.to_string())
}

/// A project as one caller may see it.
#[derive(Clone, Debug, PartialEq)]
pub struct ProjectView {
    /// Id.
    pub project_id: ProjectId,
    /// Its instance.
    pub instance_id: InstanceId,
    /// The organization of that instance.
    pub org_id: OrgId,
    /// Whether the caller may use the instance; name and settings are empty when not.
    pub allowed: bool,
    /// Name.
    pub name: String,
    /// Settings.
    pub settings: Map<String, Value>,
    /// Principal that made it.
    pub created_by: String,
    /// Version of the row.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// The active project with that id, judged for the holder of that key.
pub fn for_caller(caller: &KeyId, project_id: &ProjectId) -> Statement {
    Statement::new(concat!(
        judged!(
            "(SELECT pr.instance_id FROM projects pr WHERE pr.project_id = ?2 AND pr.status = 'active')"
        ),
        "SELECT p.project_id, p.instance_id, j.org_id, j.allowed, CASE WHEN j.allowed THEN p.name END AS name, \
         CASE WHEN j.allowed THEN p.settings END AS settings, p.created_by, p.version, p.created_at, p.updated_at \
         FROM judged j JOIN projects p ON p.project_id = ?2"
    ))
    .bind(caller.as_str())
    .bind(project_id.as_str())
}

impl ProjectView {
    /// Reads the result of [`for_caller`]; `None` when there is none.
    pub fn read(rows: &Rows) -> Result<Option<Self>> {
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        Ok(Some(Self {
            project_id: columns::word(row, "project_id")?,
            instance_id: columns::word(row, "instance_id")?,
            org_id: columns::word(row, "org_id")?,
            allowed: row.flag("allowed"),
            name: columns::text_or_null(row, "name").unwrap_or_default(),
            settings: columns::json_or_null(row, "settings")?.unwrap_or_default(),
            created_by: columns::text(row, "created_by")?,
            version: columns::int(row, "version")?,
            created_at: columns::time(row, "created_at")?,
            updated_at: columns::time(row, "updated_at")?,
        }))
    }
}

/// Filters of a list; `after` is the last id of the page before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListFilter {
    /// Of that organization.
    pub org_id: Option<String>,
    /// Of that instance.
    pub instance_id: Option<String>,
    /// Whose name contains that.
    pub q: Option<String>,
    /// Ids before that one.
    pub after: Option<String>,
}

/// One line of a list: a project without its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectLine {
    /// Id.
    pub project_id: ProjectId,
    /// Its instance.
    pub instance_id: InstanceId,
    /// The organization of that instance.
    pub org_id: OrgId,
    /// Name.
    pub name: String,
    /// Principal that made it.
    pub created_by: String,
    /// Version of the row.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl ListFilter {
    /// Whether a list of everything may pass rows over.
    fn narrows(&self) -> bool {
        self.org_id.is_none() && self.instance_id.is_none() && self.q.is_some()
    }
}

/// Where the page of a filtered list of everything stops, for [`walk::read`].
pub fn edge(caller: &KeyId, filter: &ListFilter) -> Option<Statement> {
    let (before, last) = (walk::of_superadmin("?2", "''"), walk::last());
    let sql = format!(
        "SELECT e.project_id AS first FROM projects e WHERE e.project_id < {before} ORDER BY e.project_id DESC {last}"
    );
    let statement = Statement::new(sql).bind(caller.as_str());
    let before = columns::before(filter.after.as_deref());
    filter.narrows().then(|| statement.bind(before))
}

/// The projects that the caller may use, newest first (ids are made in the order of time), `limit` at most: those of the
/// caller's instances; a project key its own; a superadmin all, up to the [`edge`].
pub fn list(caller: &KeyId, filter: &ListFilter, limit: i64) -> Statement {
    const WANTED: &str = "p.status = 'active' AND (?5 IS NULL OR instr(lower(p.name), lower(?5)) > 0) AND i.status <> 'deleted'";
    let bound = if filter.narrows() {
        let last = walk::last();
        format!(
            "AND p.project_id >= coalesce((SELECT e.project_id FROM projects e WHERE e.project_id < ?4 ORDER BY e.project_id DESC {last}), '')"
        )
    } else {
        String::new()
    };
    Statement {
        sql: format!(
            "WITH who AS (SELECT k.instance_ids AS reach, k.user_id, k.project_id, u.role, u.org_id AS own_org, h.instance_id AS own_instance \
               FROM api_keys k LEFT JOIN users u ON u.user_id = k.user_id LEFT JOIN projects h ON h.project_id = k.project_id WHERE k.key_id = ?1), \
             mine AS (SELECT a.instance_id FROM who w CROSS JOIN user_instance_access a WHERE w.role = 'user' AND a.user_id = w.user_id \
               UNION ALL SELECT o.instance_id FROM who w CROSS JOIN instances o \
                 WHERE o.org_id = CASE w.role WHEN 'admin' THEN w.own_org WHEN 'superadmin' THEN ?2 END AND (?3 IS NULL OR o.instance_id = ?3) \
               UNION ALL SELECT ?3 FROM who w WHERE w.role = 'superadmin' AND ?2 IS NULL AND ?3 IS NOT NULL \
               UNION ALL SELECT n.value FROM who w CROSS JOIN json_each(w.reach) n WHERE w.role = 'superadmin' AND ?2 IS NULL AND ?3 IS NULL \
               UNION ALL SELECT w.own_instance FROM who w WHERE w.project_id IS NOT NULL), \
             every AS (SELECT p.project_id FROM projects p CROSS JOIN instances i ON i.instance_id = p.instance_id \
                 WHERE p.project_id < (SELECT iif(w.role = 'superadmin' AND w.reach IS NULL AND ?2 IS NULL AND ?3 IS NULL, ?4, '') FROM who w) \
                 {bound} AND {WANTED} ORDER BY p.project_id DESC LIMIT ?6), \
             page AS (SELECT p.project_id AS project_id FROM who w CROSS JOIN mine m CROSS JOIN instances i ON i.instance_id = m.instance_id CROSS JOIN projects p \
                 WHERE p.instance_id = i.instance_id AND (?3 IS NULL OR m.instance_id = ?3) \
                 AND (w.project_id IS NULL OR p.project_id = w.project_id) AND p.project_id < ?4 AND {WANTED} AND (?2 IS NULL OR i.org_id = ?2) \
                 AND (w.reach IS NULL OR i.instance_id IN (SELECT value FROM json_each(w.reach))) \
               UNION ALL SELECT project_id FROM every ORDER BY project_id DESC LIMIT ?6) \
             SELECT p.project_id, p.instance_id, i.org_id, p.name, p.created_by, p.version, p.created_at, p.updated_at \
             FROM page g CROSS JOIN projects p ON p.project_id = g.project_id CROSS JOIN instances i ON i.instance_id = p.instance_id \
             ORDER BY p.project_id DESC"
        )
        .into(),
        params: vec![
            caller.as_str().into(),
            filter.org_id.as_ref().into(),
            filter.instance_id.as_ref().into(),
            columns::before(filter.after.as_deref()).into(),
            filter.q.as_ref().into(),
            limit.into(),
        ],
    }
}

impl ProjectLine {
    /// Reads the result of [`list`].
    pub fn read_all(rows: &Rows) -> Result<Vec<Self>> {
        let read = |row: &Row| {
            Ok(Self {
                project_id: columns::word(row, "project_id")?,
                instance_id: columns::word(row, "instance_id")?,
                org_id: columns::word(row, "org_id")?,
                name: columns::text(row, "name")?,
                created_by: columns::text(row, "created_by")?,
                version: columns::int(row, "version")?,
                created_at: columns::time(row, "created_at")?,
                updated_at: columns::time(row, "updated_at")?,
            })
        };
        rows.rows.iter().map(read).collect()
    }
}

/// Refuses unless the project is active and still has that version.
pub fn guard_version(project_id: &ProjectId, version: i64) -> Statement {
    require(
        "SELECT version = ?2 AND status = 'active' FROM projects WHERE project_id = ?1",
        vec![project_id.as_str().into(), version.into()],
    )
}

/// Replaces what people edit (`settings` is JSON), and raises the version.
pub fn update(project_id: &ProjectId, name: &str, settings: &str, now: Timestamp) -> Statement {
    Statement::new(
        "UPDATE projects SET name = ?2, settings = ?3, version = version + 1, updated_at = ?4 WHERE project_id = ?1",
    )
    .bind(project_id.as_str())
    .bind(name)
    .bind(settings)
    .bind(now.to_string())
}

/// Deletes: the row stays, so that what was filed under its id keeps its place; its name may be used again.
pub fn delete(project_id: &ProjectId, now: Timestamp) -> Statement {
    Statement::new(
        "UPDATE projects SET status = 'deleted', version = version + 1, updated_at = ?2 WHERE project_id = ?1",
    )
    .bind(project_id.as_str())
    .bind(now.to_string())
}

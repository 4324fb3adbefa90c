//! Table `projects`: labels inside an instance.

use super::columns;
use api_types::{InstanceId, OrgId, ProjectId, Timestamp};
use errors::Result;
use platform::{Rows, Statement};

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

//! `GET /project`.

use crate::list::{Asker, List};
use crate::page::Page;
use api_types::{InstanceId, OrgId, Timestamp};
use auth::permission::{Operation, config_service};
use errors::Result;
use platform::{Rows, Statement};
use serde::Deserialize;
use serde_json::{Value, json};
use store::control::projects::{self, ListFilter, ProjectLine};

/// The projects that the caller may use, newest first, without their settings. A project key sees its own project.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProjectList {
    org_id: Option<OrgId>,
    instance_id: Option<InstanceId>,
    q: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

impl List for ProjectList {
    type Filter = ListFilter;
    type Line = ProjectLine;
    const OPERATION: &'static Operation = &config_service::LIST_PROJECTS;

    fn asked(self, _now: Timestamp) -> Result<(Page, ListFilter)> {
        let filters = format!(
            "project {:?} {:?} {:?}",
            self.org_id, self.instance_id, self.q
        );
        let page = Page::ask(self.limit, self.cursor.as_deref(), &filters)?;
        let filter = ListFilter {
            org_id: self.org_id.map(String::from),
            instance_id: self.instance_id.map(String::from),
            q: self.q,
            after: page.after_id(),
        };
        Ok((page, filter))
    }

    fn lines(asker: Asker<'_>, filter: &ListFilter, limit: i64) -> Statement {
        projects::list(asker.key, filter, limit)
    }

    fn edge(asker: Asker<'_>, filter: &ListFilter) -> Option<Statement> {
        projects::edge(asker.key, filter)
    }

    fn read(rows: &Rows) -> Result<Vec<ProjectLine>> {
        ProjectLine::read_all(rows)
    }

    fn position(line: &ProjectLine) -> Vec<String> {
        vec![line.project_id.to_string()]
    }

    fn shown(line: &ProjectLine, _asker: Asker<'_>) -> Value {
        json!({
            "project_id": line.project_id, "instance_id": line.instance_id, "org_id": line.org_id,
            "name": line.name, "status": "active", "created_by": line.created_by, "version": line.version,
            "created_at": line.created_at, "updated_at": line.updated_at,
        })
    }
}

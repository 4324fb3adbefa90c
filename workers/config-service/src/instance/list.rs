//! `GET /instance`.

use crate::list::{Asker, List};
use crate::page::{Page, word};
use api_types::{InstanceStatus, Timestamp};
use auth::permission::{Operation, config_service};
use errors::Result;
use platform::{Rows, Statement};
use serde::Deserialize;
use serde_json::{Value, json};
use store::control::instances::{self, InstanceSummary, ListFilter};

/// The caller's instances, by id.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InstanceList {
    org_id: Option<String>,
    status: Option<InstanceStatus>,
    q: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

impl List for InstanceList {
    type Filter = ListFilter;
    type Line = InstanceSummary;
    const OPERATION: &'static Operation = &config_service::LIST_INSTANCES;

    fn asked(self, _now: Timestamp) -> Result<(Page, ListFilter)> {
        let filters = format!("{:?} {:?} {:?}", self.org_id, self.status, self.q);
        let page = Page::ask(self.limit, self.cursor.as_deref(), &filters)?;
        let filter = ListFilter {
            org_id: self.org_id,
            status: self.status.map(word),
            q: self.q,
            after: page.after_id().unwrap_or_default(),
        };
        Ok((page, filter))
    }

    fn lines(asker: Asker<'_>, filter: &ListFilter, limit: i64) -> Statement {
        instances::list(asker.key, filter, limit)
    }

    fn edge(asker: Asker<'_>, filter: &ListFilter) -> Option<Statement> {
        instances::edge(asker.key, filter)
    }

    fn read(rows: &Rows) -> Result<Vec<InstanceSummary>> {
        InstanceSummary::read_all(rows)
    }

    fn position(line: &InstanceSummary) -> Vec<String> {
        vec![line.instance_id.to_string()]
    }

    fn shown(line: &InstanceSummary, _asker: Asker<'_>) -> Value {
        json!({
            "instance_id": line.instance_id, "org_id": line.org_id, "name": line.name,
            "status": line.status, "environment": line.environment, "worker_urls": line.worker_urls,
            "budgets": line.budgets, "key_states": line.key_states,
            "last_deployment": line.last_deployment, "version": line.version,
            "created_at": line.created_at, "updated_at": line.updated_at,
        })
    }
}

//! `GET /worker`.

use super::view::shown;
use crate::list::{Asker, List};
use crate::page::Page;
use api_types::Timestamp;
use auth::permission::{Operation, config_service};
use errors::Result;
use platform::{Rows, Statement};
use serde::Deserialize;
use serde_json::Value;
use store::control::registry::{self, Health, ListFilter, WorkerRow};

/// The workers of the platform and those of the instances that the caller may use.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorkerList {
    instance_id: Option<String>,
    capability: Option<String>,
    health: Option<Health>,
    limit: Option<i64>,
    cursor: Option<String>,
}

impl List for WorkerList {
    type Filter = ListFilter;
    type Line = WorkerRow;
    const OPERATION: &'static Operation = &config_service::LIST_WORKERS;

    fn asked(self, _now: Timestamp) -> Result<(Page, ListFilter)> {
        let filters = format!(
            "{:?} {:?} {:?}",
            self.instance_id, self.capability, self.health
        );
        let page = Page::ask(self.limit, self.cursor.as_deref(), &filters)?;
        let filter = ListFilter {
            instance_id: self.instance_id,
            capability: self.capability,
            health: self.health,
            after: page.after_pair().unwrap_or_default(),
        };
        Ok((page, filter))
    }

    fn lines(asker: Asker<'_>, filter: &ListFilter, limit: i64) -> Statement {
        registry::list(asker.key, filter, limit)
    }

    fn edge(asker: Asker<'_>, filter: &ListFilter) -> Option<Statement> {
        registry::edge(asker.key, filter)
    }

    fn read(rows: &Rows) -> Result<Vec<WorkerRow>> {
        WorkerRow::read_all(rows)
    }

    fn position(worker: &WorkerRow) -> Vec<String> {
        let place = worker.instance_id.as_ref().map(ToString::to_string);
        vec![place.unwrap_or_default(), worker.name.clone()]
    }

    fn shown(worker: &WorkerRow, _asker: Asker<'_>) -> Value {
        shown(worker)
    }
}

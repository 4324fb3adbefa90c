//! `GET /organization`.

use super::shown;
use crate::list::{Asker, List, own_organization};
use crate::page::{Page, word};
use api_types::{AuthContext, Timestamp};
use auth::permission::{Operation, Target, config_service};
use errors::Result;
use platform::{Rows, Statement};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::control::organizations::{self, ListFilter, OrganizationRow};

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Active,
    Suspended,
}

/// The organizations that the caller may see, newest first: a superadmin all, everybody else the own one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrganizationList {
    status: Option<Status>,
    q: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

impl List for OrganizationList {
    type Filter = ListFilter;
    type Line = OrganizationRow;
    const OPERATION: &'static Operation = &config_service::LIST_ORGANIZATIONS;

    fn asked(self, _now: Timestamp) -> Result<(Page, ListFilter)> {
        let filters = format!("organization {:?} {:?}", self.status, self.q);
        let page = Page::ask(self.limit, self.cursor.as_deref(), &filters)?;
        let filter = ListFilter {
            status: self.status.map(word),
            q: self.q,
            after: page.after_id(),
        };
        Ok((page, filter))
    }

    fn lines(asker: Asker<'_>, filter: &ListFilter, limit: i64) -> Statement {
        organizations::list(asker.key, filter, limit)
    }

    fn target(auth: &AuthContext) -> Target {
        own_organization(auth)
    }

    fn read(rows: &Rows) -> Result<Vec<OrganizationRow>> {
        OrganizationRow::read_all(rows)
    }

    fn position(row: &OrganizationRow) -> Vec<String> {
        vec![row.org_id.to_string()]
    }

    fn shown(row: &OrganizationRow, _asker: Asker<'_>) -> Value {
        shown(row)
    }
}

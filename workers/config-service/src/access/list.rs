//! `GET /access`.

use crate::list::{Asker, List, own_organization};
use crate::page::Page;
use api_types::{AuthContext, InstanceId, OrgId, Timestamp, UserId};
use auth::permission::{Operation, Target, config_service};
use errors::Result;
use platform::{Rows, Statement};
use serde::Deserialize;
use serde_json::{Value, json};
use store::control::access::{self, Grant, ListFilter};

/// The grants that the caller administers: newest users first, and then by instance. A restricted key sees the grants of
/// its instances.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccessList {
    org_id: Option<OrgId>,
    user_id: Option<UserId>,
    instance_id: Option<InstanceId>,
    limit: Option<i64>,
    cursor: Option<String>,
}

impl List for AccessList {
    type Filter = ListFilter;
    type Line = Grant;
    const OPERATION: &'static Operation = &config_service::LIST_ACCESS;

    fn asked(self, _now: Timestamp) -> Result<(Page, ListFilter)> {
        let filters = format!(
            "access {:?} {:?} {:?}",
            self.org_id, self.user_id, self.instance_id
        );
        let page = Page::ask(self.limit, self.cursor.as_deref(), &filters)?;
        let filter = ListFilter {
            org_id: self.org_id.map(String::from),
            user_id: self.user_id.map(String::from),
            instance_id: self.instance_id.map(String::from),
            after: page.after_pair(),
        };
        Ok((page, filter))
    }

    fn lines(asker: Asker<'_>, filter: &ListFilter, limit: i64) -> Statement {
        access::list(asker.key, filter, limit)
    }

    fn target(auth: &AuthContext) -> Target {
        own_organization(auth)
    }

    fn read(rows: &Rows) -> Result<Vec<Grant>> {
        Grant::read_all(rows)
    }

    fn position(grant: &Grant) -> Vec<String> {
        vec![grant.user_id.to_string(), grant.instance_id.to_string()]
    }

    fn shown(grant: &Grant, _asker: Asker<'_>) -> Value {
        json!({
            "user_id": grant.user_id, "instance_id": grant.instance_id,
            "granted_by": grant.granted_by, "created_at": grant.created_at,
        })
    }
}

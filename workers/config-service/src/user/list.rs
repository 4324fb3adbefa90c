//! `GET /user`.

use super::shown;
use crate::list::{Asker, List, own_organization};
use crate::page::{Page, word};
use api_types::{AuthContext, OrgId, Role, Timestamp};
use auth::permission::{Operation, Target, config_service};
use errors::Result;
use platform::{Rows, Statement};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::control::users::{self, ListFilter, UserLine};

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Active,
    Disabled,
}

/// The users whom the caller administers, newest first.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserList {
    org_id: Option<OrgId>,
    role: Option<Role>,
    status: Option<Status>,
    q: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

impl List for UserList {
    type Filter = ListFilter;
    type Line = UserLine;
    const OPERATION: &'static Operation = &config_service::LIST_USERS;

    fn asked(self, _now: Timestamp) -> Result<(Page, ListFilter)> {
        let filters = format!(
            "user {:?} {:?} {:?} {:?}",
            self.org_id, self.role, self.status, self.q
        );
        let page = Page::ask(self.limit, self.cursor.as_deref(), &filters)?;
        let filter = ListFilter {
            org_id: self.org_id.map(String::from),
            role: self.role.map(word),
            status: self.status.map(word),
            q: self.q,
            after: page.after_id(),
        };
        Ok((page, filter))
    }

    fn lines(asker: Asker<'_>, filter: &ListFilter, limit: i64) -> Statement {
        users::list(asker.key, filter, asker.now, limit)
    }

    fn edge(asker: Asker<'_>, filter: &ListFilter) -> Option<Statement> {
        users::edge(asker.key, filter)
    }

    fn target(auth: &AuthContext) -> Target {
        own_organization(auth)
    }

    fn read(rows: &Rows) -> Result<Vec<UserLine>> {
        UserLine::read_all(rows)
    }

    fn position(line: &UserLine) -> Vec<String> {
        vec![line.user.user_id.to_string()]
    }

    fn shown(line: &UserLine, _asker: Asker<'_>) -> Value {
        let mut value = shown(&line.user);
        if let Some(members) = value.as_object_mut() {
            members.shift_remove("permissions");
            members.insert("keys".into(), json!(line.keys));
        }
        value
    }
}

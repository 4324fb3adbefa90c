//! `GET /user`.

use super::shown;
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::deps::Deps;
use crate::page::{Page, word};
use api_types::{OrgId, Role};
use auth::permission::{Target, config_service, permit};
use axum::extract::State;
use axum::response::Response;
use errors::Result;
use middleware::{Context, Presented, Query};
use platform::Ports;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::control::users::{self, ListFilter, UserLine};

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Active,
    Disabled,
}

/// Filters of the list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    org_id: Option<OrgId>,
    role: Option<Role>,
    status: Option<Status>,
    q: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

fn filter_of(query: ListQuery) -> Result<(Page, ListFilter)> {
    let filters = format!(
        "user {:?} {:?} {:?} {:?}",
        query.org_id, query.role, query.status, query.q
    );
    let page = Page::ask(query.limit, query.cursor.as_deref(), &filters)?;
    let filter = ListFilter {
        org_id: query.org_id.map(String::from),
        role: query.role.map(word),
        status: query.status.map(word),
        q: query.q,
        after: page.after_id(),
    };
    Ok((page, filter))
}

fn line(line: &UserLine) -> Value {
    let mut value = shown(&line.user);
    if let Some(members) = value.as_object_mut() {
        members.shift_remove("permissions");
        members.insert("keys".into(), json!(line.keys));
    }
    value
}

/// The users whom the caller administers, newest first.
///
/// 1. Role admin (403), scope `config:read` (403).
/// 2. Filters and cursor (400).
///
/// 200: never 404; the users of other organizations are not found.
pub(crate) async fn list<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    query: Result<Query<ListQuery>>,
) -> Result<Response> {
    let asked = query.and_then(|Query(query)| filter_of(query));
    let caller = &presented.key.key_id;
    // A wrong query is told after 401 and 403, so something is read in any case.
    let statements = match &asked {
        Ok((page, filter)) => {
            let list = users::list(caller, filter, deps.now(), page.limit + 1);
            std::iter::once(list)
                .chain(users::edge(caller, filter))
                .collect()
        }
        Err(_) => Vec::new(),
    };
    let read = deps
        .read_as(&presented.key, context.client_ip(), None, statements)
        .await?;
    context.identify(&read.auth, None, None);
    let own = Target {
        org_id: read.auth.org_id.clone(),
        ..Target::default()
    };
    permit(&config_service::LIST_USERS, &read.auth, &own)?;
    let (page, _) = asked?;
    let body = page.within(&read.rows(1)).answer(
        UserLine::read_all(&read.rows(0))?,
        |line| vec![line.user.user_id.to_string()],
        line,
    );
    Ok(Answer::ok(body).into_response(context.request_id()))
}

//! `GET /organization`.

use super::shown;
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::deps::Deps;
use crate::page::Page;
use auth::permission::{Target, config_service, permit};
use axum::extract::State;
use axum::response::Response;
use errors::Result;
use middleware::{Context, Presented, Query};
use platform::Ports;
use serde::{Deserialize, Serialize};
use store::control::organizations::{self, ListFilter, OrganizationRow};

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Active,
    Suspended,
}

/// Filters of the list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    status: Option<Status>,
    q: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

fn filter_of(query: ListQuery) -> Result<(Page, ListFilter)> {
    let filters = format!("organization {:?} {:?}", query.status, query.q);
    let page = Page::ask(query.limit, query.cursor.as_deref(), &filters)?;
    let filter = ListFilter {
        status: query.status.map(crate::page::word),
        q: query.q,
        after: page.after_id(),
    };
    Ok((page, filter))
}

/// The organizations that the caller may see, newest first: a superadmin all, everybody else the own one.
///
/// 1. No project keys (403), scope `config:read` (403).
/// 2. Filters and cursor (400).
///
/// 200: never 404.
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
        Ok((page, filter)) => vec![organizations::list(caller, filter, page.limit + 1)],
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
    permit(&config_service::LIST_ORGANIZATIONS, &read.auth, &own)?;
    let (page, _) = asked?;
    let body = page.answer(
        OrganizationRow::read_all(&read.rows(0))?,
        |row| vec![row.org_id.to_string()],
        shown,
    );
    Ok(Answer::ok(body).into_response(context.request_id()))
}

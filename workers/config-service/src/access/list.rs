//! `GET /access`.

use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::deps::Deps;
use crate::page::Page;
use api_types::{InstanceId, OrgId, UserId};
use auth::permission::{Target, config_service, permit};
use axum::extract::State;
use axum::response::Response;
use errors::Result;
use middleware::{Context, Presented, Query};
use platform::Ports;
use serde::Deserialize;
use serde_json::json;
use store::control::access::{self, Grant, ListFilter};

/// Filters of the list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    org_id: Option<OrgId>,
    user_id: Option<UserId>,
    instance_id: Option<InstanceId>,
    limit: Option<i64>,
    cursor: Option<String>,
}

fn filter_of(query: ListQuery) -> Result<(Page, ListFilter)> {
    let filters = format!(
        "access {:?} {:?} {:?}",
        query.org_id, query.user_id, query.instance_id
    );
    let page = Page::ask(query.limit, query.cursor.as_deref(), &filters)?;
    let after = match page.after.as_deref() {
        Some([user_id, instance_id]) => Some((user_id.clone(), instance_id.clone())),
        _ => None,
    };
    let filter = ListFilter {
        org_id: query.org_id.map(String::from),
        user_id: query.user_id.map(String::from),
        instance_id: query.instance_id.map(String::from),
        after,
    };
    Ok((page, filter))
}

/// The grants that the caller administers: newest users first, and then by instance.
///
/// 1. Role admin (403), scope `config:read` (403).
/// 2. Filters and cursor (400).
///
/// 200: never 404; a restricted key sees the grants of its instances.
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
        Ok((page, filter)) => vec![access::list(caller, filter, page.limit + 1)],
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
    permit(&config_service::LIST_ACCESS, &read.auth, &own)?;
    let (page, _) = asked?;
    let body = page.answer(
        Grant::read_all(&read.rows(0))?,
        |grant| vec![grant.user_id.to_string(), grant.instance_id.to_string()],
        |grant| {
            json!({
                "user_id": grant.user_id, "instance_id": grant.instance_id,
                "granted_by": grant.granted_by, "created_at": grant.created_at,
            })
        },
    );
    Ok(Answer::ok(body).into_response(context.request_id()))
}

//! `GET /worker`.

use super::view::shown;
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
use serde::Deserialize;
use store::control::registry::{self, Health, ListFilter, WorkerRow};

/// Filters of the list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    instance_id: Option<String>,
    capability: Option<String>,
    health: Option<Health>,
    limit: Option<i64>,
    cursor: Option<String>,
}

fn filter_of(query: ListQuery) -> Result<(Page, ListFilter)> {
    let filters = format!(
        "{:?} {:?} {:?}",
        query.instance_id, query.capability, query.health
    );
    let page = Page::ask(query.limit, query.cursor.as_deref(), &filters)?;
    let after = match page.after.as_deref() {
        Some([instance_id, name]) => (instance_id.clone(), name.clone()),
        _ => Default::default(),
    };
    let filter = ListFilter {
        instance_id: query.instance_id,
        capability: query.capability,
        health: query.health,
        after,
    };
    Ok((page, filter))
}

/// The workers of the platform and those of the instances that the caller may use.
///
/// 1. Any key.
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
    let statements = match &asked {
        Ok((page, filter)) => {
            let list = registry::list(caller, filter, page.limit + 1);
            std::iter::once(list)
                .chain(registry::edge(caller, filter))
                .collect()
        }
        Err(_) => Vec::new(),
    };
    let read = deps
        .read_as(&presented.key, context.client_ip(), None, statements)
        .await?;
    context.identify(&read.auth, None, None);
    permit(
        &config_service::LIST_WORKERS,
        &read.auth,
        &Target::default(),
    )?;
    let (page, _) = asked?;
    let body = page.within(&read.rows(1)).answer(
        WorkerRow::read_all(&read.rows(0))?,
        |worker| {
            let place = worker.instance_id.as_ref().map(ToString::to_string);
            vec![place.unwrap_or_default(), worker.name.clone()]
        },
        shown,
    );
    Ok(Answer::ok(body).into_response(context.request_id()))
}

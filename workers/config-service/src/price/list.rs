//! `GET /price`.

use super::shown;
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::deps::Deps;
use crate::page::Page;
use api_types::Timestamp;
use auth::permission::{Target, config_service, permit};
use axum::extract::State;
use axum::response::Response;
use errors::{Error, Result};
use middleware::{Context, Presented, Query};
use platform::Ports;
use serde::Deserialize;
use store::control::prices::{self, ListFilter, PriceOverride};

const STATES: [&str; 3] = ["current", "future", "ended"];

/// Filters of the list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    org_id: Option<String>,
    instance_id: Option<String>,
    provider: Option<String>,
    model: Option<String>,
    state: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

fn filter_of(query: ListQuery) -> Result<(Page, ListFilter)> {
    let filters = format!(
        "{:?} {:?} {:?} {:?} {:?}",
        query.org_id, query.instance_id, query.provider, query.model, query.state
    );
    let page = Page::ask(query.limit, query.cursor.as_deref(), &filters)?;
    if let Some(state) = &query.state
        && !STATES.contains(&state.as_str())
    {
        let rule = format!("must be one of {}", STATES.join(", "));
        return Err(Error::invalid_field("state", rule));
    }
    let after = page.after.as_ref().and_then(|after| after.first());
    let filter = ListFilter {
        org_id: query.org_id,
        instance_id: query.instance_id,
        provider: query.provider,
        model: query.model,
        state: query.state,
        after: after.cloned(),
    };
    Ok((page, filter))
}

/// Prices of the caller's instances and those for all instances of its organization, newest first.
///
/// 1. Scope `config:read` (403).
/// 2. Filters and cursor (400).
///
/// 200 with what the caller may see: never 404.
pub(crate) async fn list<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    query: Result<Query<ListQuery>>,
) -> Result<Response> {
    let now: Timestamp = deps.now();
    let asked = query.and_then(|Query(query)| filter_of(query));
    let caller = &presented.key.key_id;
    // A wrong query is told after 401 and 403, so the caller is read in any case.
    let statements = match &asked {
        Ok((page, filter)) => vec![
            prices::list(caller, filter, now, page.limit + 1),
            prices::edge(caller, filter),
        ],
        Err(_) => Vec::new(),
    };
    let read = deps
        .read_as(&presented.key, context.client_ip(), None, statements)
        .await?;
    context.identify(&read.auth, None, None);
    permit(&config_service::LIST_PRICES, &read.auth, &Target::default())?;
    let (page, _) = asked?;
    let body = page.within(&read.rows(1)).answer(
        PriceOverride::read_all(&read.rows(0))?,
        |price| vec![price.price_id.to_string()],
        |price| shown(price, now),
    );
    Ok(Answer::ok(body).into_response(context.request_id()))
}

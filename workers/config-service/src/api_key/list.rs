//! `GET /api-key`.

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
use store::control::api_keys::{self, KeyState, KeyView, ListFilter};

/// Most of `unused_days`: ten years.
const MAX_UNUSED_DAYS: u32 = 3_650;

/// Filters of the list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    user_id: Option<String>,
    project_id: Option<String>,
    status: Option<KeyState>,
    unused_days: Option<u32>,
    limit: Option<i64>,
    cursor: Option<String>,
}

fn filter_of(query: ListQuery, now: Timestamp) -> Result<(Page, ListFilter)> {
    let filters = format!(
        "{:?} {:?} {:?} {:?}",
        query.user_id, query.project_id, query.status, query.unused_days
    );
    let page = Page::ask(query.limit, query.cursor.as_deref(), &filters)?;
    if query.unused_days.is_some_and(|days| days > MAX_UNUSED_DAYS) {
        return Err(Error::invalid_field(
            "unused_days",
            format!("must be 0 to {MAX_UNUSED_DAYS}"),
        ));
    }
    let after = match page.after.as_deref() {
        Some([created_at, key_id]) => Some((created_at.clone(), key_id.clone())),
        _ => None,
    };
    let filter = ListFilter {
        user_id: query.user_id,
        project_id: query.project_id,
        status: query.status,
        unused_since: query
            .unused_days
            .map(|days| now.plus_ms(-86_400_000 * i64::from(days)).to_string()),
        after,
    };
    Ok((page, filter))
}

/// The keys that the caller may see, newest first.
///
/// 1. Any user; a project key sees itself.
/// 2. Filters and cursor (400).
///
/// 200: never 404.
pub(crate) async fn list<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    query: Result<Query<ListQuery>>,
) -> Result<Response> {
    let now = deps.now();
    let asked = query.and_then(|Query(query)| filter_of(query, now));
    let caller = &presented.key.key_id;
    let statements = match &asked {
        Ok((page, filter)) => {
            let list = api_keys::list(caller, filter, now, page.limit + 1);
            std::iter::once(list)
                .chain(api_keys::edge(caller, filter))
                .collect()
        }
        Err(_) => Vec::new(),
    };
    let read = deps
        .read_as(&presented.key, context.client_ip(), None, statements)
        .await?;
    context.identify(&read.auth, None, None);
    let own = Target {
        key_id: read.auth.key.as_ref().map(|key| key.key_id.clone()),
        ..Target::default()
    };
    permit(&config_service::LIST_API_KEYS, &read.auth, &own)?;
    let (page, _) = asked?;
    let body = page.within(&read.rows(1)).answer(
        KeyView::read_all(&read.rows(0))?,
        |key| vec![key.created_at.to_string(), key.key_id.to_string()],
        |key| shown(key, now),
    );
    Ok(Answer::ok(body).into_response(context.request_id()))
}

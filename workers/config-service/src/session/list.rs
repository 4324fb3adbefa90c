//! `GET /session/list`: live sessions.

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
use serde::Deserialize;
use store::control::sessions::{self, SessionView};

/// Filters of the list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    user_id: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// The caller's live sessions, newest first; with `user_id` those of that user, for administrators.
///
/// 1. Any user, no project key (403).
/// 2. `limit`, `cursor` (400).
///
/// 200: never 404, what the caller may not see is not there.
pub(crate) async fn list<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    query: Result<Query<ListQuery>>,
) -> Result<Response> {
    let now = deps.now();
    let caller = &presented.key.key_id;
    let asked = query.and_then(|Query(query)| {
        let filters = format!("sessions {:?}", query.user_id);
        let page = Page::ask(query.limit, query.cursor.as_deref(), &filters)?;
        Ok((page, query.user_id))
    });
    let statements = match &asked {
        Ok((page, user_id)) => {
            let after = match page.after.as_deref() {
                Some([created_at, session_id]) => Some((created_at.as_str(), session_id.as_str())),
                _ => None,
            };
            let user_id = user_id.as_deref();
            vec![sessions::list(caller, user_id, after, now, page.limit + 1)]
        }
        Err(_) => Vec::new(),
    };
    let read = deps
        .read_as(&presented.key, context.client_ip(), None, statements)
        .await?;
    context.identify(&read.auth, None, None);
    permit(
        &config_service::LIST_SESSIONS,
        &read.auth,
        &Target::default(),
    )?;
    let (page, _) = asked?;
    let body = page.answer(
        SessionView::read_all(&read.rows(0))?,
        |session| {
            vec![
                session.created_at.to_string(),
                session.session_id.to_string(),
            ]
        },
        |session| shown(session, Some(caller)),
    );
    Ok(Answer::ok(body).into_response(context.request_id()))
}

//! `GET /admin/kek-rotation`.

use super::{Facts, shown};
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
use store::control::kek::{self, Rotation};

/// Which page.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    limit: Option<i64>,
    cursor: Option<String>,
}

/// The rotations, newest first.
///
/// 1. Role superadmin, scope `platform:write` (403).
/// 2. Cursor (400).
pub(crate) async fn list<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    query: Result<Query<ListQuery>>,
) -> Result<Response> {
    let asked =
        query.and_then(|Query(query)| Page::ask(query.limit, query.cursor.as_deref(), "kek"));
    let mut statements = Facts::reads(&deps.settings);
    if let Ok(page) = &asked {
        let before = page.after.as_ref().and_then(|after| after.first());
        statements.push(kek::list(before.map(String::as_str), page.limit + 1));
    }
    let read = deps
        .read_as(&presented.key, context.client_ip(), None, statements)
        .await?;
    context.identify(&read.auth, None, None);
    permit(
        &config_service::LIST_KEK_ROTATION,
        &read.auth,
        &Target::default(),
    )?;
    let page = asked?;
    let facts = Facts::read(&deps.settings, &read.rows);
    let body = page.answer(
        Rotation::read_all(&read.rows(3))?,
        |rotation| vec![rotation.rotation_id.to_string()],
        |rotation| shown(rotation, &facts),
    );
    Ok(Answer::ok(body).into_response(context.request_id()))
}

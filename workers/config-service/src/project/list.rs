//! `GET /project`.

use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::deps::Deps;
use crate::page::Page;
use api_types::{InstanceId, OrgId};
use auth::permission::{Target, config_service, permit};
use axum::extract::State;
use axum::response::Response;
use errors::Result;
use middleware::{Context, Presented, Query};
use platform::Ports;
use serde::Deserialize;
use serde_json::json;
use store::control::projects::{self, ListFilter, ProjectLine};

/// Filters of the list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    org_id: Option<OrgId>,
    instance_id: Option<InstanceId>,
    q: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

fn filter_of(query: ListQuery) -> Result<(Page, ListFilter)> {
    let filters = format!(
        "project {:?} {:?} {:?}",
        query.org_id, query.instance_id, query.q
    );
    let page = Page::ask(query.limit, query.cursor.as_deref(), &filters)?;
    let filter = ListFilter {
        org_id: query.org_id.map(String::from),
        instance_id: query.instance_id.map(String::from),
        q: query.q,
        after: page.after_id(),
    };
    Ok((page, filter))
}

/// The projects that the caller may use, newest first, without their settings.
///
/// 1. Scope `config:read` (403).
/// 2. Filters and cursor (400).
///
/// 200: never 404; a project key sees its own project.
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
            let list = projects::list(caller, filter, page.limit + 1);
            std::iter::once(list)
                .chain(projects::edge(caller, filter))
                .collect()
        }
        Err(_) => Vec::new(),
    };
    let read = deps
        .read_as(&presented.key, context.client_ip(), None, statements)
        .await?;
    context.identify(&read.auth, None, None);
    permit(
        &config_service::LIST_PROJECTS,
        &read.auth,
        &Target::default(),
    )?;
    let (page, _) = asked?;
    let body = page.within(&read.rows(1)).answer(
        ProjectLine::read_all(&read.rows(0))?,
        |line| vec![line.project_id.to_string()],
        |line| {
            json!({
                "project_id": line.project_id, "instance_id": line.instance_id, "org_id": line.org_id,
                "name": line.name, "status": "active", "created_by": line.created_by, "version": line.version,
                "created_at": line.created_at, "updated_at": line.updated_at,
            })
        },
    );
    Ok(Answer::ok(body).into_response(context.request_id()))
}

//! `GET /instance`, `GET /instance/{instance_id}`: an instance as people see it.
//!
//! In scope: one instance, the list. Out of scope: its form (module `instance`).

use super::{Shown, flat, permitted};
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::deps::Deps;
use crate::page::Page;
use api_types::{InstanceId, InstanceStatus};
use auth::permission::{Target, config_service, permit};
use axum::extract::State;
use axum::response::Response;
use errors::{Error, Result};
use middleware::{Context, Path, Presented, Query};
use platform::Ports;
use serde::Deserialize;
use serde_json::json;
use store::control::access;
use store::control::credentials::{self, CredentialRow};
use store::control::instances::{self, InstanceRow, InstanceSummary, ListFilter};

/// One instance with its whole configuration.
///
/// 1. It exists in the caller's organization (404), the caller may use it (403), scope `config:read`
///    (403).
///
/// 200.
pub(crate) async fn get<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path(instance_id): Path<InstanceId>,
) -> Result<Response> {
    let statements = vec![
        instances::for_caller(&presented.key.key_id, &instance_id),
        credentials::current(&instance_id),
        access::users_of(&instance_id),
    ];
    let read = deps
        .read_as(
            &presented.key,
            context.client_ip(),
            Some(&instance_id),
            statements,
        )
        .await?;
    context.identify(&read.auth, Some(&instance_id), None);
    let row = InstanceRow::read(&read.rows(0))?;
    let row = permitted(&config_service::GET_INSTANCE, &read.auth, row)?;
    let credentials = CredentialRow::read_all(&read.rows(1))?;
    let authorized_users = access::read_users(&read.rows(2))?;
    let config = row
        .effective
        .as_ref()
        .ok_or_else(|| Error::internal(format!("{instance_id} has no effective configuration")))?;
    let shown = Shown::of(&row, &authorized_users, &credentials);
    let body = flat(config, &shown, read.auth.role)?;
    // No 304: the answer also tells provider keys, prices and access, which do not raise the row's version.
    let answer = Answer::ok(body).at_version(row.version);
    Ok(answer.into_response(context.request_id()))
}

/// Filters of the list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    org_id: Option<String>,
    status: Option<InstanceStatus>,
    q: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// The caller's instances, by id.
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
    let asked = query.and_then(|Query(query)| {
        let filters = format!("{:?} {:?} {:?}", query.org_id, query.status, query.q);
        let page = Page::ask(query.limit, query.cursor.as_deref(), &filters)?;
        let after = page.after.as_ref().and_then(|after| after.first());
        let filter = ListFilter {
            org_id: query.org_id,
            status: query
                .status
                .and_then(|status| json!(status).as_str().map(str::to_owned)),
            q: query.q,
            after: after.cloned().unwrap_or_default(),
        };
        Ok((page, filter))
    });
    // A wrong query is told after 401 and 403, so something is read in any case.
    let statements = match &asked {
        Ok((page, filter)) => {
            let caller = &presented.key.key_id;
            let list = instances::list(caller, filter, page.limit + 1);
            std::iter::once(list)
                .chain(instances::edge(caller, filter))
                .collect()
        }
        Err(_) => Vec::new(),
    };
    let read = deps
        .read_as(&presented.key, context.client_ip(), None, statements)
        .await?;
    context.identify(&read.auth, None, None);
    permit(
        &config_service::LIST_INSTANCES,
        &read.auth,
        &Target::default(),
    )?;
    let (page, _) = asked?;
    let body = page.within(&read.rows(1)).answer(
        InstanceSummary::read_all(&read.rows(0))?,
        |line| vec![line.instance_id.to_string()],
        |line| {
            json!({
                "instance_id": line.instance_id, "org_id": line.org_id, "name": line.name,
                "status": line.status, "environment": line.environment, "worker_urls": line.worker_urls,
                "budgets": line.budgets, "key_states": line.key_states,
                "last_deployment": line.last_deployment, "version": line.version,
                "created_at": line.created_at, "updated_at": line.updated_at,
            })
        },
    );
    Ok(Answer::ok(body).into_response(context.request_id()))
}

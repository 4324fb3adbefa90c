//! `GET /instance/{instance_id}/deployments`: what the deploy tool did.

use super::permitted;
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::deps::Deps;
use crate::page::Page;
use api_types::InstanceId;
use auth::permission::config_service;
use axum::extract::State;
use axum::response::Response;
use errors::Result;
use middleware::{Context, Path, Presented, Query};
use platform::Ports;
use serde::Deserialize;
use serde_json::json;
use store::control::deployments::{self, Deployment};
use store::control::instances::{self, InstanceRow};

/// Which page.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    limit: Option<i64>,
    cursor: Option<String>,
}

/// Runs of the deploy tool for an instance, newest first.
///
/// 1. The instance exists in the caller's organization (404), the caller may use it (403), scope `config:read`
///    (403).
/// 2. Cursor (400).
///
/// 200.
pub(crate) async fn list<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path(instance_id): Path<InstanceId>,
    query: Result<Query<ListQuery>>,
) -> Result<Response> {
    let asked = query.and_then(|Query(query)| {
        Page::ask(query.limit, query.cursor.as_deref(), instance_id.as_str())
    });
    let mut statements = vec![instances::for_caller(&presented.key.key_id, &instance_id)];
    if let Ok(page) = &asked {
        let after = match page.after.as_deref() {
            Some([created_at, id]) => Some((created_at.as_str(), id.as_str())),
            _ => None,
        };
        statements.push(deployments::list(&instance_id, after, page.limit + 1));
    }
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
    permitted(&config_service::LIST_DEPLOYMENTS, &read.auth, row)?;
    let page = asked?;
    let body = page.answer(
        Deployment::read_all(&read.rows(1))?,
        |line| vec![line.created_at.to_string(), line.deployment_id.clone()],
        |line| {
            json!({
                "deployment_id": line.deployment_id, "status": line.status, "actor": line.actor,
                "source": line.source, "git_sha": line.git_sha, "artifact_hash": line.artifact_hash,
                "config_hash": line.config_hash, "plan_hash": line.plan_hash, "plan": line.plan,
                "journal": line.journal, "result": line.result, "lease_expires_at": line.lease_expires_at,
                "created_at": line.created_at, "ended_at": line.ended_at,
            })
        },
    );
    Ok(Answer::ok(body).into_response(context.request_id()))
}

//! `GET /session`: the principal's own document.

use super::{acting_key, shown};
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::deps::Deps;
use auth::permission::{Target, config_service, permit};
use axum::extract::State;
use axum::response::Response;
use errors::Result;
use middleware::{Context, Presented};
use platform::Ports;
use serde_json::{Value, json};
use store::control::instances::{self, InstanceSummary, ListFilter};
use store::control::organizations::{self, OrganizationRow};
use store::control::sessions::{self, SessionView};

/// Instances that are told.
const MAX_INSTANCES: i64 = 100;

/// Who calls, with role, permissions and instances; for any key. `key_id` is the key it acts as; `session` is null
/// unless a session was presented.
pub(crate) async fn who_am_i<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
) -> Result<Response> {
    let caller = &presented.key.key_id;
    let statements = vec![
        organizations::named_or_own(None, caller),
        instances::list(caller, &ListFilter::default(), MAX_INSTANCES + 1),
        sessions::by_id(caller),
    ];
    let read = deps
        .read_as(&presented.key, context.client_ip(), None, statements)
        .await?;
    context.identify(&read.auth, None, None);
    permit(&config_service::WHO_AM_I, &read.auth, &Target::default())?;
    let organization = OrganizationRow::read(&read.rows(0))?;
    let mut lines = InstanceSummary::read_all(&read.rows(1))?;
    let more = lines.len() as i64 > MAX_INSTANCES;
    lines.truncate(MAX_INSTANCES as usize);
    let listed: Vec<Value> = lines
        .iter()
        .map(|line| {
            json!({
                "instance_id": line.instance_id, "name": line.name,
                "environment": line.environment, "status": line.status,
            })
        })
        .collect();
    let session = SessionView::read(&read.rows(2))?;
    let auth = &read.auth;
    let body = json!({
        "principal": auth.principal, "kind": auth.kind, "role": auth.role, "user": auth.user,
        "organization": organization.map(|o| json!({"org_id": o.org_id, "name": o.name})),
        "project_id": auth.project_id, "key_id": acting_key(auth), "key": auth.key,
        "session": session.map(|session| shown(&session, Some(caller))), "permissions": auth.permissions,
        "instances": listed, "instances_more": more,
    });
    Ok(Answer::ok(body).into_response(context.request_id()))
}

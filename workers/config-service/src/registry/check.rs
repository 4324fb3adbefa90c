//! `POST /worker/{name}/check`.

use super::view::with_detail;
use super::{Whose, WorkerName, only_superadmin};
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::deps::Deps;
use crate::fields;
use crate::instance::permitted;
use auth::permission::{Target, config_service, permit};
use axum::extract::State;
use axum::response::Response;
use errors::Result;
use middleware::{Context, Path, Presented, Query};
use platform::Ports;
use store::control::instances::{self, InstanceRow};
use store::control::registry::{self, WorkerRow};

/// Checks a worker now instead of at its turn. Health is an observation, not a setting: no audit entry, and a repetition
/// is another check.
///
/// 1. The instance exists (404), role admin (403), for a worker of the platform superadmin (403), scope `config:write`
///    (403).
/// 2. The query (400); the worker is registered (404).
/// 3. `GET {url}/health`, 3 s; the result is noted.
///
/// 200 with the worker as it is now, whatever the check found.
pub(crate) async fn check<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path(name): Path<WorkerName>,
    query: Result<Query<Whose>>,
) -> Result<Response> {
    let instance_id = match &query {
        Ok(Query(Whose { instance_id })) => instance_id.clone(),
        Err(_) => None,
    };
    let mut statements = vec![registry::one(instance_id.as_ref(), name.as_str())];
    if let Some(instance_id) = &instance_id {
        statements.push(instances::for_caller(&presented.key.key_id, instance_id));
    }
    let read = deps
        .read_as(
            &presented.key,
            context.client_ip(),
            instance_id.as_ref(),
            statements,
        )
        .await?;
    context.identify(&read.auth, instance_id.as_ref(), None);
    let operation = &config_service::CHECK_WORKER;
    if instance_id.is_some() {
        permitted(operation, &read.auth, InstanceRow::read(&read.rows(1))?)?;
    } else {
        if query.is_ok() {
            only_superadmin(&read.auth)?;
        }
        let target = Target {
            org_id: read.auth.org_id.clone(),
            ..Target::default()
        };
        permit(operation, &read.auth, &target)?;
    }
    query?;
    let worker = WorkerRow::read(&read.rows(0))?.ok_or_else(fields::missing)?;
    let worker = deps.check_worker(worker).await?;
    Ok(Answer::ok(with_detail(&worker)).into_response(context.request_id()))
}

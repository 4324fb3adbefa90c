//! `GET /instance/{instance_id}`: an instance as people see it. Out of scope: its form (module `instance`).

use super::{Shown, flat, permitted};
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::deps::Deps;
use api_types::InstanceId;
use auth::permission::config_service;
use axum::extract::State;
use axum::response::Response;
use errors::{Error, Result};
use middleware::{Context, Path, Presented};
use platform::Ports;
use store::control::access;
use store::control::credentials::{self, CredentialRow};
use store::control::instances::{self, InstanceRow};

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

//! `GET /instance/{instance_id}/provider-key`.

use super::{item, previous_until};
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::deps::Deps;
use crate::effective::{settings_of, state};
use crate::instance::edited;
use crate::instance::permitted;
use api_types::{InstanceId, ProviderName};
use auth::permission::config_service;
use axum::extract::State;
use axum::response::Response;
use errors::Result;
use middleware::{Context, Path, Presented};
use platform::Ports;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use store::control::credentials::{self, CredentialRow, PreviousRow};
use store::control::instances::{self, InstanceRow};

/// The keys of an instance, one line for each provider; values are never shown.
///
/// 1. It exists in the caller's organization (404), role admin (403), scope `config:read` (403).
pub(crate) async fn list<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path(instance_id): Path<InstanceId>,
) -> Result<Response> {
    let statements = vec![
        instances::for_caller(&presented.key.key_id, &instance_id),
        credentials::current(&instance_id),
        credentials::previous(&instance_id, deps.now()),
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
    let row = permitted(&config_service::LIST_PROVIDER_KEYS, &read.auth, row)?;
    let config = edited(&row)?;
    let keys = CredentialRow::read_all(&read.rows(1))?;
    let previous = PreviousRow::read_all(&read.rows(2))?;
    let names: BTreeSet<&ProviderName> = config
        .providers
        .keys()
        .chain(keys.iter().map(|row| &row.provider))
        .chain(previous.iter().map(|row| &row.provider))
        .collect();
    let items: Vec<Value> = names
        .into_iter()
        .map(|name| {
            let settings = settings_of(&config, name).unwrap_or_default();
            let row = keys.iter().find(|row| row.provider == *name);
            let until = previous_until(name, &previous);
            item(name, state(name, &settings, row), row, until)
        })
        .collect();
    Ok(Answer::ok(json!({ "items": items })).into_response(context.request_id()))
}

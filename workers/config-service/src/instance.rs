//! `GET /instance`, `GET /instance/{instance_id}`: an instance as people see it.
//!
//! In scope: the flat answer with masked keys, the list. Out of scope: creating (`instance_create`).

use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::deps::Deps;
use crate::fields;
use crate::page::Page;
use crate::provider_secret::mask;
use api_types::{AuthContext, InstanceConfig, InstanceId, InstanceStatus, Role, Timestamp, UserId};
use auth::permission::{Target, config_service, permit};
use axum::extract::State;
use axum::response::Response;
use errors::{Error, Result};
use middleware::{Context, Path, Presented, Query};
use platform::Ports;
use serde::Deserialize;
use serde_json::{Value, json};
use store::control::access;
use store::control::credentials::{self, CredentialRow};
use store::control::instances::{self, InstanceRow, InstanceSummary, ListFilter};

/// What stands beside the configuration in the flat answer.
#[derive(Clone, Debug)]
pub(crate) struct Shown<'a> {
    /// Status.
    pub status: InstanceStatus,
    /// Why it is paused.
    pub paused_reason: Option<&'a str>,
    /// Version of the row.
    pub version: i64,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// When it was last changed.
    pub updated_at: Option<Timestamp>,
    /// Users with access.
    pub authorized_users: &'a [UserId],
    /// The current provider keys.
    pub credentials: &'a [CredentialRow],
}

/// The flat answer. Keys are masked: their last four characters for administrators, nothing of them for users.
///
/// # Errors
/// None in practice: a configuration is a JSON object.
pub(crate) fn flat(config: &InstanceConfig, shown: &Shown<'_>, role: Role) -> Result<Value> {
    let mut value =
        serde_json::to_value(config).map_err(|error| Error::internal(error.to_string()))?;
    let members = value
        .as_object_mut()
        .ok_or_else(|| Error::internal("a configuration is an object"))?;
    let keys: Value = shown
        .credentials
        .iter()
        .map(|row| {
            let last4 = if role == Role::User {
                ""
            } else {
                row.last4.as_str()
            };
            (row.provider.to_string(), Value::String(mask(last4)))
        })
        .collect::<serde_json::Map<String, Value>>()
        .into();
    // Inserting under a name that exists keeps its place.
    members.insert("api_keys".into(), keys);
    for (name, value) in [
        ("authorized_users", json!(shown.authorized_users)),
        ("status", json!(shown.status)),
        ("paused_reason", json!(shown.paused_reason)),
        ("version", json!(shown.version)),
        ("created_at", json!(shown.created_at)),
        ("updated_at", json!(shown.updated_at)),
    ] {
        members.insert(name.into(), value);
    }
    Ok(value)
}

/// What the caller may know of an instance after permission: 404 for missing, 403 for a key without access.
///
/// # Errors
/// 404, 403.
pub(crate) fn permitted(
    operation: &'static auth::permission::Operation,
    auth: &AuthContext,
    row: Option<InstanceRow>,
) -> Result<InstanceRow> {
    let row = row.ok_or_else(fields::missing)?;
    let target = Target {
        org_id: Some(row.org_id.clone()),
        instance_id: Some(row.instance_id.clone()),
        ..Target::default()
    };
    permit(operation, auth, &target)?;
    if row.allowed {
        Ok(row)
    } else {
        Err(fields::no_access())
    }
}

/// One instance with its whole configuration.
///
/// 1. It exists in the caller's organization (404), the caller may use it (403), scope `config:read`
///    (403).
///
/// 200, or 304 for a known version.
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
    let shown = Shown {
        status: row.status,
        paused_reason: row.paused_reason.as_deref(),
        version: row.version,
        created_at: row.created_at,
        updated_at: row.updated_at,
        authorized_users: &authorized_users,
        credentials: &credentials,
    };
    let body = flat(config, &shown, read.auth.role)?;
    // No 304: the answer also tells provider keys and access, which do not raise the row's version.
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
        Ok((page, filter)) => vec![instances::list(
            &presented.key.key_id,
            filter,
            page.limit + 1,
        )],
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
    let body = page.answer(
        InstanceSummary::read_all(&read.rows(0))?,
        |line| vec![line.instance_id.to_string()],
        |line| {
            json!({
                "instance_id": line.instance_id, "org_id": line.org_id, "name": line.name,
                "status": line.status, "environment": line.environment, "worker_urls": line.worker_urls,
                "budgets": line.budgets, "key_states": line.key_states, "version": line.version,
                "created_at": line.created_at, "updated_at": line.updated_at,
            })
        },
    );
    Ok(Answer::ok(body).into_response(context.request_id()))
}

//! `GET /worker/{name}`.

use super::view::with_detail;
use super::{Whose, WorkerName};
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::deps::Deps;
use crate::fields;
use auth::permission::{Target, config_service, permit};
use axum::extract::State;
use axum::response::Response;
use errors::Result;
use middleware::{Context, Path, Presented, Query};
use platform::{Ports, Row};
use serde_json::{Value, json};
use store::control::registry::{self, WorkerRow};

fn version_of(row: &Row) -> Value {
    json!({
        "version": row.text("version"), "git_sha": row.text("git_sha"), "registered_at": row.text("registered_at"),
    })
}

/// One worker with its last answer and its last 20 versions.
///
/// 1. The query (400).
/// 2. It is one of the platform, or of an instance that the caller may use (404).
///
/// 200.
pub(crate) async fn get<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path(name): Path<WorkerName>,
    query: Result<Query<Whose>>,
) -> Result<Response> {
    let caller = &presented.key.key_id;
    let statements = match &query {
        Ok(Query(Whose { instance_id })) => vec![
            registry::for_caller(caller, instance_id.as_ref(), name.as_str()),
            registry::versions(instance_id.as_ref(), name.as_str()),
        ],
        Err(_) => Vec::new(),
    };
    let read = deps
        .read_as(&presented.key, context.client_ip(), None, statements)
        .await?;
    permit(&config_service::GET_WORKER, &read.auth, &Target::default())?;
    let Query(whose) = query?;
    context.identify(&read.auth, whose.instance_id.as_ref(), None);
    let worker = WorkerRow::read(&read.rows(0))?.ok_or_else(fields::missing)?;
    let mut body = with_detail(&worker);
    if let Some(members) = body.as_object_mut() {
        let versions = read.rows(1).rows.iter().map(version_of).collect();
        members.insert("versions".into(), Value::Array(versions));
    }
    Ok(Answer::ok(body).into_response(context.request_id()))
}

//! `/project`: labels inside an instance, with settings of their own.
//!
//! In scope: one file a verb, the form in which a project is shown. Out of scope: keys of projects (`api_key`).

mod create;
mod delete;
mod list;
mod patch;

pub(crate) use create::create;
pub(crate) use delete::delete;
pub(crate) use list::ProjectList;
pub(crate) use patch::patch;

use crate::abuse::AbuseGuard;
use crate::answer::{Answer, unless_known};
use crate::deps::Deps;
use crate::fields;
use api_types::ProjectId;
use auth::permission::{Target, config_service, permit};
use axum::extract::State;
use axum::response::Response;
use errors::{Error, Result};
use http::HeaderMap;
use middleware::{Context, Path, Presented};
use platform::{Ports, Rows};
use serde_json::{Map, Value, json};
use store::control::projects::{self, ProjectView};

/// Most of `settings`, in bytes of JSON.
const MAX_SETTINGS_BYTES: usize = 16 * 1024;

fn shown(row: &ProjectView) -> Value {
    json!({
        "project_id": row.project_id, "instance_id": row.instance_id, "name": row.name, "settings": row.settings,
        "status": "active", "created_by": row.created_by, "version": row.version,
        "created_at": row.created_at, "updated_at": row.updated_at,
    })
}

/// The settings as they are stored.
///
/// # Errors
/// 400 `invalid_field` over 16 KB.
fn settings_text(settings: &Map<String, Value>) -> Result<String> {
    let text = json!(settings).to_string();
    if text.len() > MAX_SETTINGS_BYTES {
        return Err(
            Error::invalid_field("settings", "must be at most 16 KB of JSON")
                .with_detail("max_bytes", MAX_SETTINGS_BYTES),
        );
    }
    Ok(text)
}

/// # Errors
/// 404.
fn known(rows: &Rows) -> Result<ProjectView> {
    ProjectView::read(rows)?.ok_or_else(fields::missing)
}

fn target(row: &ProjectView) -> Target {
    Target {
        org_id: Some(row.org_id.clone()),
        instance_id: Some(row.instance_id.clone()),
        project_id: Some(row.project_id.clone()),
        ..Target::default()
    }
}

/// The project, if the caller may use its instance.
///
/// # Errors
/// 404, 403.
fn usable(rows: &Rows) -> Result<ProjectView> {
    let row = known(rows)?;
    if row.allowed {
        Ok(row)
    } else {
        Err(fields::no_access())
    }
}

/// One project with its settings.
///
/// 1. It exists in the caller's organization (404), the caller may use its instance, a project key is its own
///    (403), scope `config:read` (403).
///
/// 200, or 304 for a known version.
pub(crate) async fn get<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path(project_id): Path<ProjectId>,
    headers: HeaderMap,
) -> Result<Response> {
    let statements = vec![projects::for_caller(&presented.key.key_id, &project_id)];
    let read = deps
        .read_as(&presented.key, context.client_ip(), None, statements)
        .await?;
    context.identify(&read.auth, None, Some(&project_id));
    let row = known(&read.rows(0))?;
    permit(&config_service::GET_PROJECT, &read.auth, &target(&row))?;
    let row = usable(&read.rows(0))?;
    let answer = unless_known(&headers, row.version, Answer::ok(shown(&row)));
    Ok(answer.into_response(context.request_id()))
}

//! `/organization`: the customers of the platform.
//!
//! In scope: one file a verb, the form in which an organization is shown. Out of scope: what is inside it.

mod create;
mod delete;
mod list;
mod patch;

pub(crate) use create::create;
pub(crate) use delete::delete;
pub(crate) use list::OrganizationList;
pub(crate) use patch::patch;

use crate::abuse::AbuseGuard;
use crate::answer::{Answer, unless_known};
use crate::deps::Deps;
use crate::fields;
use api_types::{AuthContext, OrgId};
use auth::permission::{Target, config_service, permit};
use axum::extract::State;
use axum::response::Response;
use errors::Result;
use http::HeaderMap;
use middleware::{Context, Path, Presented};
use platform::{Ports, Rows};
use serde_json::{Value, json};
use store::control::organizations::{self, OrganizationRow};

fn shown(row: &OrganizationRow) -> Value {
    json!({
        "org_id": row.org_id, "name": row.name, "billing_email": row.billing_email, "status": row.status,
        "version": row.version, "created_at": row.created_at, "updated_at": row.updated_at,
    })
}

/// The organization, if the caller may know of it.
///
/// # Errors
/// 404 for missing and foreign ones.
fn known(auth: &AuthContext, rows: &Rows) -> Result<OrganizationRow> {
    let row = OrganizationRow::read(rows)?.ok_or_else(fields::missing)?;
    if fields::is_foreign(auth, Some(&row.org_id)) {
        return Err(fields::missing());
    }
    Ok(row)
}

fn target(row: &OrganizationRow) -> Target {
    Target {
        org_id: Some(row.org_id.clone()),
        ..Target::default()
    }
}

/// One organization.
///
/// 1. It is the caller's own, or the caller a superadmin (404); no project keys (403), scope
///    `config:read` (403).
///
/// 200, or 304 for a known version.
pub(crate) async fn get<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path(org_id): Path<OrgId>,
    headers: HeaderMap,
) -> Result<Response> {
    let statements = vec![organizations::by_id(&org_id)];
    let read = deps
        .read_as(&presented.key, context.client_ip(), None, statements)
        .await?;
    context.identify(&read.auth, None, None);
    let row = known(&read.auth, &read.rows(0))?;
    permit(&config_service::GET_ORGANIZATION, &read.auth, &target(&row))?;
    let answer = unless_known(&headers, row.version, Answer::ok(shown(&row)));
    Ok(answer.into_response(context.request_id()))
}

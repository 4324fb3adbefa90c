//! `/user`: people, their roles, and what they may do.
//!
//! In scope: one file a verb, the form in which a user is shown. Out of scope: which instances a user may use
//! (`access`), keys (`api_key`).

mod create;
mod delete;
mod list;
mod patch;

pub(crate) use create::create;
pub(crate) use delete::delete;
pub(crate) use list::UserList;
pub(crate) use patch::patch;

use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::change::Decision;
use crate::deps::Deps;
use crate::fields;
use crate::principal::effective_scopes;
use api_types::{AuthContext, Scope, UserId};
use auth::permission::{Target, config_service, permit};
use axum::extract::State;
use axum::response::Response;
use errors::{Code, Error, Result};
use middleware::{Context, Path, Presented};
use platform::{Ports, Rows};
use serde_json::{Value, json};
use store::control::users::{self, UserRow};

fn shown(user: &UserRow) -> Value {
    json!({
        "user_id": user.user_id, "email": user.email, "name": user.name, "role": user.role,
        "org_id": user.org_id, "status": user.status, "instances": user.instances,
        "permissions": effective_scopes(&[Scope::All], user.role, false),
        "version": user.version, "created_at": user.created_at, "updated_at": user.updated_at,
        "last_seen_at": user.last_seen_at,
    })
}

fn is_own(auth: &AuthContext, user_id: &UserId) -> bool {
    auth.user.as_ref().map(|own| &own.user_id) == Some(user_id)
}

/// The user, if the caller may know of it. Superadmins are foreign to everybody but superadmins and themselves.
///
/// # Errors
/// 404 for missing and foreign ones.
fn known(auth: &AuthContext, rows: &Rows) -> Result<UserRow> {
    let user = UserRow::read(rows)?.ok_or_else(fields::missing)?;
    if !is_own(auth, &user.user_id) && fields::is_foreign(auth, user.org_id.as_ref()) {
        return Err(fields::missing());
    }
    Ok(user)
}

fn target(user: &UserRow) -> Target {
    Target {
        org_id: user.org_id.clone(),
        user_id: Some(user.user_id.clone()),
        ..Target::default()
    }
}

/// Refuses to leave an organization, or the platform, without an active administrator. `index` is the read that
/// [`users::administered_without`] answered.
///
/// # Errors
/// 409 `last_admin`.
fn check_administered(decision: &Decision<'_>, index: usize) -> Result<()> {
    let rows = decision.rows(index);
    if rows.first().is_some_and(|row| row.flag("administered")) {
        return Ok(());
    }
    Err(Error::new(
        Code::LastAdmin,
        "This is the last active administrator.",
    ))
}

/// One user with what the user may do.
///
/// 1. Own user, or an administrator over it (404, 403).
///
/// 200. Never 304: instances and last use do not raise the version.
pub(crate) async fn get<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path(user_id): Path<UserId>,
) -> Result<Response> {
    let statements = vec![users::by_id(&user_id)];
    let read = deps
        .read_as(&presented.key, context.client_ip(), None, statements)
        .await?;
    context.identify(&read.auth, None, None);
    let user = known(&read.auth, &read.rows(0))?;
    permit(&config_service::GET_USER, &read.auth, &target(&user))?;
    let answer = Answer::ok(shown(&user)).at_version(user.version);
    Ok(answer.into_response(context.request_id()))
}

//! How far the caller's own key reaches: what it cannot do itself, it does not do by way of somebody else.
//!
//! In scope: changes of users and organizations, which have no instance and no scope that a table could name. Out of
//! scope: the permission table (`auth`), keys (`api_key`).

use crate::principal::effective_scopes;
use api_types::{AuthContext, Role, Scope};
use errors::{Code, Error, Result};
use store::control::api_keys::Bounds;

/// For a change that reaches beyond any instance.
///
/// # Errors
/// 403 `forbidden` for a key that is restricted to instances.
pub(crate) fn check_unrestricted(bounds: &Bounds) -> Result<()> {
    if bounds.instance_ids.is_none() {
        return Ok(());
    }
    Err(Error::new(
        Code::Forbidden,
        "This key is restricted to instances, and this change reaches beyond them.",
    ))
}

/// Nobody gives a role that can do more than his own key: the keys of whoever gets it would. The role user gives nothing
/// by itself: its instances are granted one by one.
///
/// # Errors
/// 403 `forbidden`, `scope_missing`.
pub(crate) fn check_gives_role(auth: &AuthContext, bounds: &Bounds, role: Role) -> Result<()> {
    if role == Role::User {
        return Ok(());
    }
    check_unrestricted(bounds)?;
    let scopes = effective_scopes(&[Scope::All], role, false);
    match scopes.into_iter().find(|scope| !auth.has_scope(*scope)) {
        Some(scope) => Err(Error::new(
            Code::ScopeMissing,
            "Nobody gives a role that can do more than his own key.",
        )
        .with_detail("scope", scope.as_str())),
        None => Ok(()),
    }
}

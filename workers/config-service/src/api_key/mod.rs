//! `/api-key`: keys as they may be shown, minting, narrowing, rotating, revoking.
//!
//! In scope: what the verbs share: the answer, the target, that nobody gets a key that can do more than his own. Out of
//! scope: form and hash of keys (`auth`), whether a presented key is good (`principal`). Nothing here has a hash.
//! One file a verb.

mod create;
mod get;
mod list;
mod patch;
mod revoke;
mod rotate;
mod sweep;

pub(crate) use create::create;
pub(crate) use get::get;
pub(crate) use list::KeyList;
pub(crate) use patch::patch;
pub(crate) use revoke::revoke;
pub(crate) use rotate::rotate;

use crate::fields;
use crate::principal::effective_scopes;
use api_types::{AuthContext, InstanceId, KeyRef, OrgId, Role, Scope, SecretVersion, Timestamp};
use auth::permission::Target;
use errors::{Code, Error, Result};
use platform::Rows;
use serde_json::{Value, json};
use store::control::api_keys::{Bounds, Grantable, KeyView};

/// The longest life of a key, in milliseconds: five years.
const MAX_LIFE_MS: i64 = 5 * 365 * 86_400_000;
/// Instances that a key can be restricted to.
const MAX_INSTANCES: usize = 100;

fn shown(key: &KeyView, now: Timestamp) -> Value {
    json!({
        "key_id": key.key_id, "name": key.name, "last4": key.last4, "user_id": key.user_id,
        "project_id": key.project_id, "scopes": key.scopes, "instance_ids": key.instance_ids,
        "created_by": key.created_by, "created_at": key.created_at, "last_used_at": key.last_used_at,
        "expires_at": key.expires_at, "state": key.state(now), "secret_version": key.secret_version,
        "secret_first_used_at": key.secret_first_used_at, "rotated_at": key.rotated_at,
        "prev_expires_at": key.prev_expires_at.filter(|end| *end > now), "revoked_at": key.revoked_at,
        "version": key.version,
    })
}

/// What a key is, for the permission table. Keys of a project are for administrators and for the key itself.
///
/// # Errors
/// 404 for missing and foreign keys, 403 `role_required`.
fn target(auth: &AuthContext, key: Option<&KeyView>) -> Result<Target> {
    let key = key.ok_or_else(fields::missing)?;
    if fields::is_foreign(auth, key.org_id.as_ref()) {
        return Err(fields::missing());
    }
    let own = auth.key.as_ref().map(|own| &own.key_id) == Some(&key.key_id);
    if key.project_id.is_some() && auth.role == Role::User && auth.user.is_some() && !own {
        return Err(fields::role_required("admin"));
    }
    Ok(Target {
        org_id: key.org_id.clone(),
        instance_id: None,
        project_id: key.project_id.clone(),
        user_id: key.user_id.clone(),
        key_id: Some(key.key_id.clone()),
    })
}

/// A key that is restricted to instances reaches the keys of their projects only.
///
/// # Errors
/// 403 `forbidden`.
fn check_reaches(bounds: &Bounds, key: &KeyView) -> Result<()> {
    match (&bounds.instance_ids, &key.instance_id) {
        (Some(own), Some(of_project)) if !own.contains(of_project) => Err(fields::no_access()),
        _ => Ok(()),
    }
}

/// Nobody gets a key with more scopes than his own; `*` counts as what the owner's role makes of it.
///
/// # Errors
/// 403 `scope_missing`.
fn check_scopes(auth: &AuthContext, scopes: &[Scope], owner: Role, of_project: bool) -> Result<()> {
    check_own(auth, effective_scopes(scopes, owner, of_project))
}

/// Each of those scopes is one of the caller's.
///
/// # Errors
/// 403 `scope_missing`.
fn check_own(auth: &AuthContext, scopes: impl IntoIterator<Item = Scope>) -> Result<()> {
    match scopes.into_iter().find(|scope| !auth.has_scope(*scope)) {
        Some(scope) => Err(Error::new(
            Code::ScopeMissing,
            "Nobody can get a key with more scopes than his own.",
        )
        .with_detail("scope", scope.as_str())),
        None => Ok(()),
    }
}

/// `*` holds what a later role of the owner allows, so only who holds it gives it.
///
/// # Errors
/// 403 `scope_missing`.
fn check_every_scope(bounds: &Bounds, scopes: &[Scope]) -> Result<()> {
    if bounds.every_scope || !scopes.contains(&Scope::All) {
        return Ok(());
    }
    Err(Error::new(
        Code::ScopeMissing,
        "A key without the scope * gives no key that has it.",
    )
    .with_hint("Name the scopes.")
    .with_detail("scope", Scope::All.as_str()))
}

/// When the credential ends that the caller shows: its key, or its secret where that ends before, also through a session
/// that such a secret opened.
fn end_of_shown(auth: &AuthContext, bounds: &Bounds) -> Option<Timestamp> {
    let previous = |key: &&KeyRef| key.secret == SecretVersion::Previous;
    let secret = auth.key.as_ref().filter(previous);
    let ends = [
        bounds.expires_at,
        bounds.secret_ends_at,
        secret.and_then(|key| key.expires_at),
    ];
    ends.into_iter().flatten().min()
}

/// A key that ends gives no key that outlives it. `end` is that of what the caller shows, `wanted` that of the other.
///
/// # Errors
/// 403 `forbidden`.
fn check_end(end: Option<Timestamp>, wanted: Option<Timestamp>) -> Result<()> {
    match end {
        Some(end) if wanted.is_none_or(|at| at > end) => Err(Error::new(
            Code::Forbidden,
            "This key ends, so a key that it gives must not end later.",
        )
        .with_hint(format!("Name an expires_at of {end} or earlier."))),
        _ => Ok(()),
    }
}

/// # Errors
/// 404 for a missing or foreign instance, 403 for one that the caller may not use.
fn check_grantable(auth: &AuthContext, owner: Option<&OrgId>, rows: &Rows) -> Result<()> {
    for grantable in Grantable::read_all(rows)? {
        let org_id = grantable.org_id.as_ref();
        let foreign = org_id.is_none()
            || fields::is_foreign(auth, org_id)
            || (owner.is_some() && owner != org_id);
        if foreign {
            return Err(fields::missing());
        }
        if !grantable.allowed {
            return Err(fields::no_access());
        }
    }
    Ok(())
}

/// # Errors
/// 400 `invalid_field`.
fn check_instance_ids(ids: Option<&[InstanceId]>) -> Result<()> {
    match ids {
        Some(ids) if ids.is_empty() || ids.len() > MAX_INSTANCES => Err(Error::invalid_field(
            "instance_ids",
            format!("must name 1 to {MAX_INSTANCES} instances, or be null for all"),
        )),
        _ => Ok(()),
    }
}

/// # Errors
/// 400 `invalid_field`.
fn check_times(expires_at: Option<Timestamp>, now: Timestamp) -> Result<()> {
    match expires_at {
        Some(at) if at <= now || at.ms() - now.ms() > MAX_LIFE_MS => Err(Error::invalid_field(
            "expires_at",
            "must be in the future, at most five years away",
        )),
        _ => Ok(()),
    }
}

/// 409 for a key that does not work any more: its end is final.
fn check_live(key: &KeyView, now: Timestamp) -> Result<()> {
    let state = key.state(now);
    if state.is_live() {
        return Ok(());
    }
    Err(
        Error::new(Code::Conflict, "The key does not work any more.")
            .with_hint("Mint a new key.")
            .with_detail("state", json!(state)),
    )
}

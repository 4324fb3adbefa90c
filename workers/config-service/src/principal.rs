//! Whether a presented key is good, and what its holder may do: a pure decision over the key's row.
//!
//! In scope: secret, states of a key, roles and scopes. Out of scope: reading rows, counting failures.

use api_types::{
    AuthContext, KeyRef, PrincipalKind, Role, Scope, SecretVersion, Timestamp, UserRef,
};
use auth::hash::Peppers;
use auth::key::PresentedKey;
use errors::{Code, Error, Result};
use store::control::resolve::{KeyRow, Owner};

/// How long `last_used_at` may lag, in milliseconds.
const TOUCH_MS: i64 = 60_000;

/// Why a key of good form is not accepted. The state is told only to who knows the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such key, or another secret.
    Unknown,
    /// It was revoked.
    Revoked,
    /// It ended.
    Expired,
    /// Its owner or organization is not active.
    Orphaned,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let reason = match refusal {
            Refusal::Unknown => "unknown",
            Refusal::Revoked => "revoked",
            Refusal::Expired => "expired",
            Refusal::Orphaned => "orphaned",
        };
        Error::new(Code::AuthFailed, "The API key is missing or not valid.")
            .with_detail("reason", reason)
    }
}

/// A good key and what using it must leave behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Who calls.
    pub auth: AuthContext,
    /// The current secret is used for the first time: record it before the answer.
    pub first_use: bool,
    /// `last_used_at` is over a minute old.
    pub touch: bool,
    /// It is hashed under an older pepper: old hash, new hash, new pepper.
    pub rehash: Option<(String, String, String)>,
}

/// Verifies the secret and the state of the key.
///
/// # Errors
/// The outer error is a fault of ours (no such pepper); the inner one is the answer to the caller.
pub fn verify(
    row: Option<KeyRow>,
    presented: &PresentedKey,
    peppers: &Peppers,
    now: Timestamp,
) -> Result<Result<Verified, Refusal>> {
    let Some(row) = row else {
        // The same work as for a key that exists, so that time tells nothing.
        peppers.verify_dummy(&presented.secret);
        return Ok(Err(Refusal::Unknown));
    };
    let expired = row.expires_at.is_some_and(|end| end <= now);
    let over = expired || row.revoked_at.is_some();
    let matches = |pepper_id: &str, hash: &str| match peppers.get(pepper_id) {
        Some(pepper) => Ok(pepper.verify(&presented.secret, hash)),
        // A pepper goes when no key that works needs it; the others cannot be told from unknown ones any more.
        None if over => Ok(peppers.verify_dummy(&presented.secret)),
        None => Err(Error::internal(format!(
            "KEY_PEPPER_{pepper_id} is missing"
        ))),
    };
    let current = matches(&row.pepper_id, &row.key_hash)?;
    let previous = match &row.previous {
        Some((hash, pepper_id, end)) if !current && *end > now => matches(pepper_id, hash)?,
        _ => false,
    };
    if !current && !previous {
        return Ok(Err(Refusal::Unknown));
    }
    if row.revoked_at.is_some() {
        return Ok(Err(Refusal::Revoked));
    }
    if !row.owner_active {
        return Ok(Err(Refusal::Orphaned));
    }
    if expired {
        return Ok(Err(Refusal::Expired));
    }
    let newest = peppers.current();
    let rehash = (current && newest.id() != row.pepper_id).then(|| {
        (
            row.key_hash.clone(),
            newest.key_hash(&presented.secret),
            newest.id().to_owned(),
        )
    });
    let touch = row
        .last_used_at
        .is_none_or(|at| now.ms() - at.ms() >= TOUCH_MS);
    Ok(Ok(Verified {
        first_use: current && row.secret_first_used_at.is_none(),
        touch,
        rehash,
        auth: context_of(row, previous),
    }))
}

fn context_of(row: KeyRow, previous: bool) -> AuthContext {
    let expires_at = match &row.previous {
        Some((_, _, end)) if previous => Some(row.expires_at.map_or(*end, |own| own.min(*end))),
        _ => row.expires_at,
    };
    let org_id = row.org_id().cloned();
    let scopes = match &row.parent_scopes {
        Some(parent) => bounded(&row.scopes, parent),
        None => row.scopes.clone(),
    };
    let acting = row.parent_key_id.as_ref().unwrap_or(&row.key_id);
    let principal = format!("key:{acting}");
    let session = row.parent_key_id.is_some();
    let (kind, role, user, project_id) = match row.owner {
        Owner::User {
            user_id,
            email,
            role,
            org_id,
        } => {
            let kind = if session {
                PrincipalKind::Session
            } else {
                PrincipalKind::UserKey
            };
            let user = UserRef {
                user_id,
                email,
                org_id,
            };
            (kind, role, Some(user), None)
        }
        Owner::Project { project_id, .. } => (
            PrincipalKind::ProjectKey,
            Role::User,
            None,
            Some(project_id),
        ),
    };
    AuthContext {
        principal,
        kind,
        role,
        user,
        org_id,
        key: Some(KeyRef {
            key_id: row.key_id,
            secret: if previous {
                SecretVersion::Previous
            } else {
                SecretVersion::Current
            },
            expires_at,
        }),
        permissions: bounded(&scopes, limits(role, project_id.is_some())),
        project_id,
        instances: row.instances,
        instances_more: row.instances_more,
    }
}

/// Which scopes a key can have at most.
fn limits(role: Role, of_project: bool) -> &'static [Scope] {
    const ADMIN: &[Scope] = &[
        Scope::ImagesRead,
        Scope::ImagesWrite,
        Scope::TasksRead,
        Scope::TasksWrite,
        Scope::RepoRead,
        Scope::RepoWrite,
        Scope::TelemetryRead,
        Scope::TelemetryWrite,
        Scope::ConfigRead,
        Scope::KeysWrite,
        Scope::ConfigWrite,
        Scope::SecretsWrite,
        Scope::AuditRead,
    ];
    match role {
        Role::Superadmin => &[Scope::All],
        Role::Admin => ADMIN,
        // All but the last three: those are of the classes of administrators.
        Role::User if !of_project => ADMIN.split_at(10).0,
        Role::User => ADMIN.split_at(9).0,
    }
}

/// Scopes within limits; `*` on either side stands for all of the other.
fn bounded(scopes: &[Scope], limits: &[Scope]) -> Vec<Scope> {
    if limits.contains(&Scope::All) {
        return scopes.to_vec();
    }
    limits
        .iter()
        .copied()
        .filter(|scope| scopes.contains(scope) || scopes.contains(&Scope::All))
        .collect()
}

/// What a key of that owner with those scopes may really do: `*` is bounded by the owner's role.
pub fn effective_scopes(scopes: &[Scope], role: Role, of_project: bool) -> Vec<Scope> {
    bounded(scopes, limits(role, of_project))
}

/// Scopes of a new key that names none.
pub fn default_scopes(of_project: bool) -> Vec<Scope> {
    if of_project {
        vec![
            Scope::ImagesRead,
            Scope::ImagesWrite,
            Scope::TasksRead,
            Scope::TasksWrite,
            Scope::RepoRead,
            Scope::RepoWrite,
            Scope::TelemetryRead,
        ]
    } else {
        vec![Scope::All]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_types::{KeyId, Secret, UserId};
    use auth::hash::Pepper;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn peppers(current: &str) -> Peppers {
        Peppers::new(
            current,
            vec![Pepper::new("p1", &[1; 32]), Pepper::new("p2", &[2; 32])],
        )
        .unwrap()
    }

    fn presented(secret: &str) -> PresentedKey {
        PresentedKey {
            key_id: KeyId::parse("4fGh7kQ2mZ0a").unwrap(),
            secret: Secret::new(secret),
        }
    }

    fn row() -> KeyRow {
        let peppers = peppers("p1");
        let hash = |id: &str, secret: &str| peppers.get(id).unwrap().key_hash(&Secret::new(secret));
        KeyRow {
            key_id: KeyId::parse("4fGh7kQ2mZ0a").unwrap(),
            parent_key_id: None,
            key_hash: hash("p1", "now"),
            pepper_id: "p1".into(),
            previous: Some((hash("p2", "before"), "p2".into(), NOW.plus_ms(1_000))),
            scopes: vec![Scope::All],
            parent_scopes: None,
            secret_first_used_at: Some(NOW),
            last_used_at: Some(NOW),
            expires_at: None,
            revoked_at: None,
            owner_active: true,
            owner: Owner::User {
                user_id: UserId::parse("0198f0a1-0000-7000-8000-000000000001").unwrap(),
                email: "user@acme.example".into(),
                role: Role::User,
                org_id: None,
            },
            instances: Vec::new(),
            instances_more: false,
        }
    }

    fn check(row: KeyRow, secret: &str, current: &str, at: Timestamp) -> Result<Verified, Refusal> {
        verify(Some(row), &presented(secret), &peppers(current), at).unwrap()
    }

    #[test]
    fn both_secrets_work_until_the_previous_one_ends() {
        let now = check(row(), "now", "p1", NOW).unwrap();
        assert_eq!(now.auth.key.unwrap().secret, SecretVersion::Current);
        let before = check(row(), "before", "p1", NOW).unwrap().auth.key.unwrap();
        assert_eq!(before.secret, SecretVersion::Previous);
        assert_eq!(before.expires_at, Some(NOW.plus_ms(1_000)));
        assert_eq!(
            check(row(), "before", "p1", NOW.plus_ms(1_000)),
            Err(Refusal::Unknown)
        );
        assert_eq!(check(row(), "guess", "p1", NOW), Err(Refusal::Unknown));
        assert_eq!(
            verify(None, &presented("now"), &peppers("p1"), NOW).unwrap(),
            Err(Refusal::Unknown)
        );
    }

    #[test]
    fn the_state_is_told_only_to_who_knows_the_secret() {
        let revoked = KeyRow {
            revoked_at: Some(NOW),
            ..row()
        };
        assert_eq!(
            check(revoked.clone(), "now", "p1", NOW),
            Err(Refusal::Revoked)
        );
        assert_eq!(check(revoked, "guess", "p1", NOW), Err(Refusal::Unknown));
        let expired = KeyRow {
            expires_at: Some(NOW),
            ..row()
        };
        assert_eq!(check(expired, "now", "p1", NOW), Err(Refusal::Expired));
        let orphaned = KeyRow {
            owner_active: false,
            ..row()
        };
        assert_eq!(check(orphaned, "now", "p1", NOW), Err(Refusal::Orphaned));
    }

    #[test]
    fn an_older_pepper_asks_for_a_new_hash_of_the_current_secret_only() {
        let verified = check(row(), "now", "p2", NOW).unwrap();
        let (old, new, id) = verified.rehash.unwrap();
        assert_eq!((old, id.as_str()), (row().key_hash, "p2"));
        assert!(
            peppers("p2")
                .get("p2")
                .unwrap()
                .verify(&Secret::new("now"), &new)
        );
        assert!(check(row(), "before", "p1", NOW).unwrap().rehash.is_none());
        let unknown = KeyRow {
            pepper_id: "p9".into(),
            ..row()
        };
        assert!(
            verify(Some(unknown), &presented("now"), &peppers("p1"), NOW)
                .unwrap_err()
                .internal
                .contains("p9")
        );
    }

    #[test]
    fn use_is_recorded_first_at_once_and_then_once_a_minute() {
        let fresh = KeyRow {
            secret_first_used_at: None,
            last_used_at: None,
            ..row()
        };
        let verified = check(fresh, "now", "p1", NOW).unwrap();
        assert!(verified.first_use && verified.touch);
        let verified = check(row(), "now", "p1", NOW.plus_ms(59_999)).unwrap();
        assert!(!verified.first_use && !verified.touch);
        assert!(
            check(row(), "now", "p1", NOW.plus_ms(60_000))
                .unwrap()
                .touch
        );
    }

    #[test]
    fn scopes_are_bounded_by_the_role() {
        assert_eq!(
            effective_scopes(&[Scope::All], Role::Superadmin, false),
            [Scope::All]
        );
        let admin = effective_scopes(&[Scope::All], Role::Admin, false);
        assert!(admin.contains(&Scope::SecretsWrite) && !admin.contains(&Scope::PlatformWrite));
        let user = effective_scopes(&[Scope::All], Role::User, false);
        assert!(user.contains(&Scope::KeysWrite) && !user.contains(&Scope::ConfigWrite));
        assert!(!effective_scopes(&[Scope::All], Role::User, true).contains(&Scope::KeysWrite));
        assert_eq!(
            effective_scopes(&[Scope::ImagesRead, Scope::AuditRead], Role::User, false),
            [Scope::ImagesRead]
        );
    }

    #[test]
    fn a_session_acts_as_its_parent_within_the_scopes_of_both() {
        let session = KeyRow {
            parent_key_id: Some(KeyId::parse("000000000001").unwrap()),
            parent_scopes: Some(vec![Scope::ImagesRead]),
            ..row()
        };
        let auth = check(session, "now", "p1", NOW).unwrap().auth;
        assert_eq!(
            (auth.kind, auth.principal.as_str()),
            (PrincipalKind::Session, "key:000000000001")
        );
        assert_eq!(auth.permissions, [Scope::ImagesRead]);
    }
}

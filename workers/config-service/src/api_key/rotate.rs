//! `POST /api-key/{key_id}/rotate`: another secret for the same key, shown once.
//!
//! The sessions that the old secret opened end with it; only the one that rotates goes on, which is the person who does.
//! A lost answer is not a lost key: as long as the new secret was never used, rotating again replaces it and leaves the
//! old secret and its end alone.

use super::{check_end, check_every_scope, check_live, check_scopes, end_of_shown, target};
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::change::{Audited, Body, Change, Decision, Demand, Outcome};
use crate::deps::Deps;
use crate::fields;
use api_types::{AuthContext, KeyId, Role, SecretVersion, Timestamp};
use auth::chain::canonical_json;
use auth::key::MintedKey;
use auth::permission::{Operation, Target, config_service};
use axum::extract::State;
use axum::response::Response;
use errors::{Code, Error, Result};
use middleware::{Context, IdempotencyKey, Path, Presented};
use platform::{Ports, Statement};
use serde::Deserialize;
use serde_json::json;
use store::control::api_keys::{self, Bounds, KeyView, NewSecret};
use store::control::audit::ChainOf;

/// How long the old secret works on unless the caller says otherwise, in seconds: a day.
const OVERLAP_S: u32 = 86_400;
/// At most, in seconds: a week.
const MAX_OVERLAP_S: u32 = 604_800;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default = "overlap")]
    overlap_s: u32,
    #[serde(default)]
    force: bool,
}

const fn overlap() -> u32 {
    OVERLAP_S
}

struct RotateApiKey {
    key_id: KeyId,
    body: Body,
    minted: MintedKey,
}

/// Nobody gets a key that can do more than his own by giving it a new secret. A key and its sessions are their own
/// measure.
///
/// # Errors
/// 403 `scope_missing`, `forbidden`.
fn check_within(auth: &AuthContext, bounds: &Bounds, key: &KeyView) -> Result<()> {
    let role = key.owner_role.unwrap_or(Role::User);
    check_scopes(auth, &key.scopes, role, key.project_id.is_some())?;
    check_every_scope(bounds, &key.scopes)?;
    check_end(end_of_shown(auth, bounds), key.expires_at)?;
    let Some(own) = &bounds.instance_ids else {
        return Ok(());
    };
    let within = match (&key.instance_ids, &key.instance_id) {
        (Some(ids), _) => ids.iter().all(|id| own.contains(id)),
        (None, Some(of_project)) => own.contains(of_project),
        (None, None) => false,
    };
    if within {
        Ok(())
    } else {
        Err(Error::new(
            Code::Forbidden,
            "This key is restricted to instances, and the other one can do more.",
        ))
    }
}

/// What a rotation does with the two secrets that there are.
#[derive(Debug, PartialEq, Eq)]
enum Plan {
    /// The current one was never used: it goes, the previous one stays until its end, if it has one.
    ReplaceUnused(Option<Timestamp>),
    /// The current one becomes the previous one and works until then.
    Overlap(Timestamp),
}

/// 409: another secret ends at `end`; `by_previous` where it is the one that was shown.
fn in_progress(end: Timestamp, by_previous: bool) -> Error {
    let (public, hint) = if by_previous {
        (
            "This key has a newer secret, and the one shown ends.",
            "Rotate with the current secret, or with another key.",
        )
    } else {
        (
            "The new secret is in use and the previous one still works.",
            "Wait until previous_expires_at, or end the previous secret now with \"force\": true.",
        )
    };
    Error::new(Code::RotationInProgress, public)
        .with_hint(hint)
        .with_detail("previous_expires_at", json!(end))
}

/// `used`: the current secret was used. `by_previous`: the caller showed the previous secret.
///
/// # Errors
/// 409 `rotation_in_progress`.
fn plan(
    key: &KeyView,
    used: bool,
    by_previous: bool,
    wanted: &Wanted,
    now: Timestamp,
) -> Result<Plan> {
    let previous = key.prev_expires_at.filter(|end| *end > now);
    if !used && key.secret_version > 1 {
        return Ok(Plan::ReplaceUnused(previous));
    }
    match previous {
        // Forcing ends the previous secret, so who has only that one must not: it would take the key over.
        Some(end) if !wanted.force || by_previous => Err(in_progress(end, by_previous)),
        _ => {
            let end = now.plus_ms(i64::from(wanted.overlap_s) * 1_000);
            Ok(Plan::Overlap(
                key.expires_at.map_or(end, |own| own.min(end)),
            ))
        }
    }
}

impl Change for RotateApiKey {
    const OPERATION: &'static Operation = &config_service::ROTATE_API_KEY;

    fn chain(&self) -> ChainOf {
        ChainOf::Key(self.key_id.clone())
    }

    fn fingerprint(&self) -> String {
        self.body.0.as_ref().map(canonical_json).unwrap_or_default()
    }

    fn reads(&self, caller: &Presented, _now: Timestamp) -> Vec<Statement> {
        vec![
            api_keys::by_id(&self.key_id),
            api_keys::bounds(&caller.key.key_id),
        ]
    }

    fn target(&self, decision: &Decision<'_>) -> Result<Target> {
        target(decision.auth, KeyView::read(&decision.rows(0))?.as_ref())
    }

    fn decide(&self, decision: &Decision<'_>) -> Result<Outcome> {
        let key = KeyView::read(&decision.rows(0))?.ok_or_else(fields::missing)?;
        let (auth, now) = (decision.auth, decision.now);
        let bounds = Bounds::read(&decision.rows(1))?;
        let own = auth.principal == format!("key:{}", self.key_id);
        if !own {
            check_within(auth, &bounds, &key)?;
        }
        let wanted: Wanted = self.body.parse()?;
        if wanted.overlap_s > MAX_OVERLAP_S {
            return Err(Error::invalid_field(
                "overlap_s",
                format!("must be 0 to {MAX_OVERLAP_S} seconds"),
            ));
        }
        check_live(&key, now)?;
        let shown = auth.key.as_ref().filter(|own| own.key_id == self.key_id);
        let by = |secret| shown.is_some_and(|own| own.secret == secret);
        // A secret that rotates itself was used, if for the first time: then the row was read a moment too early.
        let used = by(SecretVersion::Current) || key.secret_first_used_at.is_some();
        // A session that the previous secret opened may not even replace a secret that is not used yet: with the new one
        // it would outlive what opened it. A secret may, because a client that lost the answer has no other.
        if let Some(end) = bounds.secret_ends_at.filter(|_| own) {
            return Err(in_progress(end, true));
        }
        let plan = plan(&key, used, by(SecretVersion::Previous), &wanted, now)?;
        let pepper = decision.settings.peppers()?.current();
        let minted = &self.minted;
        let new = NewSecret {
            key_id: &self.key_id,
            key_hash: &pepper.key_hash(&minted.secret),
            pepper_id: pepper.id(),
            last4: &minted.last4,
            now,
        };
        let mut statements = vec![api_keys::guard_secret(&self.key_id, key.version, used)];
        let previous = match plan {
            Plan::ReplaceUnused(previous) => {
                statements.push(api_keys::replace_unused(&new));
                previous
            }
            Plan::Overlap(end) => {
                let own_session = auth.key.as_ref().map(|own| &own.key_id);
                statements.push(api_keys::rotate(&new, Some(end).filter(|end| *end > now)));
                statements.push(api_keys::end_sessions(&self.key_id, own_session, end, now));
                Some(end)
            }
        };
        let (version, secret_version) = (key.version + 1, key.secret_version + 1);
        Ok(Outcome {
            statements,
            audited: Some(Audited {
                target_type: "api_key",
                target_id: self.key_id.to_string(),
                instance_id: None,
                before: json!({"secret_version": key.secret_version, "last4": key.last4}),
                after: json!({
                    "secret_version": secret_version, "last4": minted.last4, "previous_expires_at": previous,
                }),
            }),
            answer: Answer {
                secret: true,
                ..Answer::ok(json!({
                    "key_id": self.key_id, "api_key": minted.api_key.expose(), "shown_once": true,
                    "last4": minted.last4, "secret_version": secret_version,
                    "previous_expires_at": previous, "version": version,
                }))
            }
            .at_version(version),
            publish: None,
        })
    }
}

/// Gives a key a new secret; the old one works for a while longer. The new one is in this answer only.
///
/// 1. Own user's key, an administrator over user or project, or a project key itself (404, 403), scope `keys:write`
///    (403; not for a project key, which cannot have it).
/// 2. Nothing that the caller's own key cannot do (403).
/// 3. `overlap_s` of 0 to 604,800 (400).
/// 4. The key works; no rotation is in progress whose new secret is in use, unless forced (409). A session that the
///    previous secret opened rotates it never (409).
///
/// 200; repeated with the same `Idempotency-Key` for 10 minutes.
pub(crate) async fn rotate<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path(key_id): Path<KeyId>,
    key: IdempotencyKey,
    body: Body,
) -> Result<Response> {
    // The stored answer belongs to this key, not to rotating in general.
    let route = format!("/api-key/{key_id}/rotate");
    let demand = Demand::post(context, presented, key, &route);
    let change = RotateApiKey {
        minted: auth::key::mint_secret(key_id.clone(), &deps.random),
        key_id,
        body,
    };
    let answer = deps.mutate(&demand, &change).await?;
    Ok(answer.into_response(demand.context.request_id()))
}

//! `PATCH /api-key/{key_id}`: another name, or less than before.

use super::{
    check_grantable, check_instance_ids, check_live, check_reaches, check_times, shown, target,
};
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::change::{Audited, Body, Change, Decision, Demand, Outcome};
use crate::deps::Deps;
use crate::fields;
use crate::patch::{changes, merge};
use api_types::{InstanceId, KeyId, Scope, Timestamp};
use auth::chain::canonical_json;
use auth::permission::{Operation, Target, config_service};
use axum::extract::State;
use axum::response::Response;
use errors::{Code, Error, Result};
use middleware::{Context, IfMatch, Path, Presented, parse_json};
use platform::{Ports, Statement};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::control::api_keys::{self, Bounds, KeyView, Narrowed};
use store::control::audit::ChainOf;

/// The members that can be changed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Editable {
    name: String,
    scopes: Vec<Scope>,
    #[serde(default)]
    instance_ids: Option<Vec<InstanceId>>,
    #[serde(default)]
    expires_at: Option<Timestamp>,
}

impl Editable {
    fn of(key: &KeyView) -> Self {
        Self {
            name: key.name.clone(),
            scopes: key.scopes.clone(),
            instance_ids: key.instance_ids.clone(),
            expires_at: key.expires_at,
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "name": self.name, "scopes": self.scopes, "instance_ids": self.instance_ids, "expires_at": self.expires_at,
        })
    }

    /// The key after the patch.
    ///
    /// # Errors
    /// 400 `read_only_field`, `unknown_field`, `invalid_field`.
    fn patched(&self, key: &KeyView, patch: &Value, now: Timestamp) -> Result<Self> {
        let (before, all) = (self.to_json(), shown(key, now));
        let mut names = patch.as_object().into_iter().flat_map(Map::keys);
        if let Some(name) =
            names.find(|name| all.get(*name).is_some() && before.get(*name).is_none())
        {
            return Err(
                Error::new(Code::ReadOnlyField, format!("{name} is not changed here."))
                    .with_hint("name, scopes, instance_ids and expires_at can be changed.")
                    .with_detail("field", name.as_str()),
            );
        }
        let mut wanted: Self = parse_json(merge(&before, patch))?;
        wanted.name = fields::name("name", &wanted.name)?;
        if wanted.scopes.is_empty() {
            return Err(Error::invalid_field("scopes", "must not be empty"));
        }
        check_instance_ids(wanted.instance_ids.as_deref())?;
        if wanted.expires_at != self.expires_at {
            check_times(wanted.expires_at, now)?;
        }
        Ok(wanted)
    }

    /// # Errors
    /// 409 `conflict` for what would be more than before.
    fn check_narrower(&self, wanted: &Self) -> Result<()> {
        let within =
            |scope: &Scope| self.scopes.contains(scope) || self.scopes.contains(&Scope::All);
        let scopes = wanted.scopes.iter().all(within);
        let instances = match (&self.instance_ids, &wanted.instance_ids) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(old), Some(new)) => new.iter().all(|id| old.contains(id)),
        };
        let end = match (self.expires_at, wanted.expires_at) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(old), Some(new)) => new <= old,
        };
        for (field, good) in [
            ("scopes", scopes),
            ("instance_ids", instances),
            ("expires_at", end),
        ] {
            if !good {
                return Err(Error::new(Code::Conflict, "A key can only be narrowed.")
                    .with_hint("Mint a new key for more.")
                    .with_detail("field", field));
            }
        }
        Ok(())
    }
}

struct PatchApiKey {
    key_id: KeyId,
    body: Body,
    /// Those that the body names, to be judged for the caller.
    instance_ids: Vec<InstanceId>,
}

impl Change for PatchApiKey {
    const OPERATION: &'static Operation = &config_service::UPDATE_API_KEY;

    fn chain(&self) -> ChainOf {
        ChainOf::Key(self.key_id.clone())
    }

    fn fingerprint(&self) -> String {
        self.body.0.as_ref().map(canonical_json).unwrap_or_default()
    }

    fn reads(&self, caller: &Presented, _now: Timestamp) -> Vec<Statement> {
        vec![
            api_keys::by_id(&self.key_id),
            api_keys::grantable(&caller.key.key_id, &self.instance_ids),
            api_keys::bounds(&caller.key.key_id),
        ]
    }

    fn target(&self, decision: &Decision<'_>) -> Result<Target> {
        target(decision.auth, KeyView::read(&decision.rows(0))?.as_ref())
    }

    fn decide(&self, decision: &Decision<'_>) -> Result<Outcome> {
        let key = KeyView::read(&decision.rows(0))?.ok_or_else(fields::missing)?;
        check_reaches(&Bounds::read(&decision.rows(2))?, &key)?;
        let now = decision.now;
        let patch = self.body.0.as_ref().map_err(Clone::clone)?;
        check_grantable(decision.auth, key.org_id.as_ref(), &decision.rows(1))?;
        let before = Editable::of(&key);
        let after = before.patched(&key, patch, now)?;
        decision.check_version(key.version, || shown(&key, now))?;
        check_live(&key, now)?;
        before.check_narrower(&after)?;
        if after == before {
            let answer = Answer::ok(shown(&key, now)).at_version(key.version);
            return Ok(Outcome::unchanged(answer));
        }
        let (was, is) = changes(&before.to_json(), &after.to_json());
        let mut statements = vec![api_keys::guard_version(&self.key_id, key.version)];
        statements.extend(api_keys::narrow(&Narrowed {
            key_id: &self.key_id,
            name: &after.name,
            scopes: &after.scopes,
            instance_ids: after.instance_ids.as_deref(),
            expires_at: after.expires_at,
        }));
        let version = key.version + 1;
        let key = KeyView {
            name: after.name,
            scopes: after.scopes,
            instance_ids: after.instance_ids,
            expires_at: after.expires_at,
            version,
            ..key
        };
        Ok(Outcome {
            statements,
            audited: Some(Audited {
                target_type: "api_key",
                target_id: self.key_id.to_string(),
                instance_id: None,
                before: was,
                after: is,
            }),
            answer: Answer::ok(shown(&key, now)).at_version(version),
            publish: None,
        })
    }
}

/// Renames or narrows a key, and its sessions with it; a merge patch.
///
/// 1. Own user's key, or an administrator over user or project whose key reaches its instance (404, 403), scope `keys:write` (403).
/// 2. Instances that the caller may use (404, 403).
/// 3. `name`, `scopes`, `instance_ids`, `expires_at` and nothing else (400).
/// 4. The version that was read (428, 412).
/// 5. The key works, and gets nothing that it did not have (409).
///
/// 200 with the key as it is now.
pub(crate) async fn patch<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path(key_id): Path<KeyId>,
    if_match: IfMatch,
    body: Body,
) -> Result<Response> {
    let demand = Demand::repeatable(context, presented, if_match, "PATCH /api-key");
    let named = body
        .0
        .as_ref()
        .ok()
        .and_then(|body| body.get("instance_ids"));
    let change = PatchApiKey {
        key_id,
        instance_ids: named
            .and_then(|ids| serde_json::from_value(ids.clone()).ok())
            .unwrap_or_default(),
        body,
    };
    let answer = deps.mutate(&demand, &change).await?;
    Ok(answer.into_response(demand.context.request_id()))
}

//! `DELETE /api-key/{key_id}`.

use super::{check_reaches, shown, target};
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::change::{Audited, Change, Decision, Demand, Outcome};
use crate::deps::Deps;
use crate::fields;
use api_types::{KeyId, PrincipalKind, Timestamp};
use auth::permission::{Operation, Target, config_service};
use axum::extract::State;
use axum::response::Response;
use errors::{Code, Error, Result};
use middleware::{Context, IfMatch, Path, Presented, Query};
use platform::{Ports, Statement};
use serde::Deserialize;
use serde_json::json;
use store::control::api_keys::{self, Bounds, KeyView};
use store::control::audit::ChainOf;

/// Everywhere else a revoked key may be accepted this much longer, in milliseconds: the life of a verdict.
const VERDICT_MS: i64 = 5_000;
/// Longest time between deciding and having written, in milliseconds: the database gives a query up after it.
const WRITE_MS: i64 = 30_000;

/// Why a key ends.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeQuery {
    reason: Option<String>,
}

struct RevokeApiKey {
    key_id: KeyId,
    query: Result<RevokeQuery>,
}

fn revoked(key_id: &KeyId, at: Timestamp) -> Answer {
    Answer::ok(json!({"key_id": key_id, "revoked_at": at}))
}

/// When no verdict from before the revocation is used any more, told by who has it in the database now: what other
/// workers read until it was written is good for so long.
fn effective_by(revoked_at: Timestamp, now: Timestamp) -> Timestamp {
    now.min(revoked_at.plus_ms(WRITE_MS)).plus_ms(VERDICT_MS)
}

impl Change for RevokeApiKey {
    const OPERATION: &'static Operation = &config_service::REVOKE_API_KEY;

    fn chain(&self) -> ChainOf {
        ChainOf::Key(self.key_id.clone())
    }

    fn fingerprint(&self) -> String {
        String::new()
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
        check_reaches(&Bounds::read(&decision.rows(1))?, &key)?;
        let query = self.query.as_ref().map_err(Clone::clone)?;
        let reason = query
            .reason
            .as_deref()
            .map(|reason| fields::name("reason", reason))
            .transpose()?;
        if let Some(at) = key.revoked_at {
            return Ok(Outcome::unchanged(revoked(&self.key_id, at)));
        }
        let auth = decision.auth;
        if auth.kind == PrincipalKind::Session && auth.principal == format!("key:{}", self.key_id) {
            return Err(Error::new(
                Code::Conflict,
                "This session acts as the key, so it cannot revoke it.",
            )
            .with_hint("Revoke it with another key, or with itself."));
        }
        // Ending a key must work for who does not know its version; a stated one is held.
        if *decision.if_match != IfMatch::Missing {
            decision.check_version(key.version, || shown(&key, decision.now))?;
        }
        let (now, by) = (decision.now, &decision.auth.principal);
        Ok(Outcome {
            statements: vec![
                api_keys::guard_version(&self.key_id, key.version),
                api_keys::revoke(&self.key_id, by, reason.as_deref(), now),
            ],
            audited: Some(Audited {
                target_type: "api_key",
                target_id: self.key_id.to_string(),
                instance_id: None,
                before: json!({"state": key.state(now)}),
                after: json!({"state": "revoked", "reason": reason}),
            }),
            answer: revoked(&self.key_id, now).at_version(key.version + 1),
            publish: None,
        })
    }
}

/// Revokes a key for good; repeatable.
///
/// 1. Own key, or an administrator over it whose key reaches the project's instance (404, 403), scope `keys:write` (403).
/// 2. `reason` (400).
/// 3. Not the key that the caller's session acts as (409).
///
/// 200 with the time by which no worker accepts it any more.
pub(crate) async fn revoke<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path(key_id): Path<KeyId>,
    query: Result<Query<RevokeQuery>>,
    if_match: IfMatch,
) -> Result<Response> {
    let demand = Demand::repeatable(context, presented, if_match, "DELETE /api-key");
    let change = RevokeApiKey {
        key_id,
        query: query.map(|Query(query)| query),
    };
    let mut answer = deps.mutate(&demand, &change).await?;
    if let Some(body) = &mut answer.body
        && let Ok(at) = serde_json::from_value(body["revoked_at"].clone())
    {
        body["effective_by"] = json!(effective_by(at, deps.now()));
    }
    Ok(answer.into_response(demand.context.request_id()))
}

//! `GET /api-key`, `GET /api-key/{key_id}`, `DELETE /api-key/{key_id}`: keys as they may be shown, and their end.
//!
//! In scope: the state of a key, listing, revoking. Out of scope: minting (`api_key_create`). Nothing here has a hash.

use crate::abuse::AbuseGuard;
use crate::answer::{Answer, unless_known};
use crate::change::{Audited, Change, Decision, Demand, Outcome};
use crate::deps::Deps;
use crate::fields;
use crate::page::Page;
use api_types::{AuthContext, KeyId, Role, Timestamp};
use auth::permission::{Operation, Target, config_service, permit};
use axum::extract::State;
use axum::response::Response;
use errors::{Error, Result};
use http::HeaderMap;
use middleware::{Context, IfMatch, Path, Presented, Query};
use platform::{Ports, Statement};
use serde::Deserialize;
use serde_json::{Value, json};
use store::control::api_keys::{self, KeyView, ListFilter};
use store::control::audit::ChainOf;

/// Everywhere else a revoked key may be accepted this much longer, in milliseconds: the life of a verdict.
const VERDICT_MS: i64 = 5_000;
/// Keys that end this soon are announced, in milliseconds.
const EXPIRING_MS: i64 = 7 * 86_400_000;

fn state(key: &KeyView, now: Timestamp) -> &'static str {
    let ended = |end: Option<Timestamp>, at: Timestamp| end.is_some_and(|end| end <= at);
    if key.revoked_at.is_some() {
        "revoked"
    } else if ended(key.expires_at, now) {
        "expired"
    } else if !key.owner_active {
        "orphaned"
    } else if key.prev_expires_at.is_some_and(|end| end > now) {
        "rotating"
    } else if ended(key.expires_at, now.plus_ms(EXPIRING_MS)) {
        "expiring"
    } else {
        "active"
    }
}

fn shown(key: &KeyView, now: Timestamp) -> Value {
    json!({
        "key_id": key.key_id, "name": key.name, "last4": key.last4, "user_id": key.user_id,
        "project_id": key.project_id, "scopes": key.scopes, "instance_ids": key.instance_ids,
        "created_by": key.created_by, "created_at": key.created_at, "last_used_at": key.last_used_at,
        "expires_at": key.expires_at, "state": state(key, now), "prev_expires_at": key.prev_expires_at,
        "revoked_at": key.revoked_at, "version": key.version,
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

/// One key, without anything of its secret but the last four characters.
///
/// 1. Own key, or an administrator over it (404, 403).
///
/// 200, or 304 for a known version.
pub(crate) async fn get<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path(key_id): Path<KeyId>,
    headers: HeaderMap,
) -> Result<Response> {
    let read = deps
        .read_as(
            &presented.key,
            context.client_ip(),
            None,
            vec![api_keys::by_id(&key_id)],
        )
        .await?;
    context.identify(&read.auth, None, None);
    let key = KeyView::read(&read.rows(0))?;
    let target = target(&read.auth, key.as_ref())?;
    permit(&config_service::GET_API_KEY, &read.auth, &target)?;
    let key = key.ok_or_else(fields::missing)?;
    let answer = unless_known(&headers, key.version, Answer::ok(shown(&key, deps.now())));
    Ok(answer.into_response(context.request_id()))
}

/// Filters of the list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    user_id: Option<String>,
    project_id: Option<String>,
    status: Option<String>,
    unused_days: Option<u32>,
    limit: Option<i64>,
    cursor: Option<String>,
}

fn filter_of(query: ListQuery, now: Timestamp) -> Result<(Page, ListFilter)> {
    let filters = format!(
        "{:?} {:?} {:?} {:?}",
        query.user_id, query.project_id, query.status, query.unused_days
    );
    let page = Page::ask(query.limit, query.cursor.as_deref(), &filters)?;
    if let Some(status) = &query.status
        && !["active", "revoked", "expired"].contains(&status.as_str())
    {
        return Err(Error::invalid_field(
            "status",
            "must be active, revoked or expired",
        ));
    }
    let after = match page.after.as_deref() {
        Some([created_at, key_id]) => Some((created_at.clone(), key_id.clone())),
        _ => None,
    };
    let filter = ListFilter {
        user_id: query.user_id,
        project_id: query.project_id,
        status: query.status,
        unused_since: query
            .unused_days
            .map(|days| now.plus_ms(-86_400_000 * i64::from(days)).to_string()),
        after,
    };
    Ok((page, filter))
}

/// The keys that the caller may see, newest first.
///
/// 1. Any user; a project key sees itself.
/// 2. Filters and cursor (400).
///
/// 200: never 404.
pub(crate) async fn list<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    query: Result<Query<ListQuery>>,
) -> Result<Response> {
    let now = deps.now();
    let asked = query.and_then(|Query(query)| filter_of(query, now));
    let caller = &presented.key.key_id;
    let statements = match &asked {
        Ok((page, filter)) => vec![api_keys::list(caller, filter, now, page.limit + 1)],
        Err(_) => Vec::new(),
    };
    let read = deps
        .read_as(&presented.key, context.client_ip(), None, statements)
        .await?;
    context.identify(&read.auth, None, None);
    let own = Target {
        key_id: read.auth.key.as_ref().map(|key| key.key_id.clone()),
        ..Target::default()
    };
    permit(&config_service::LIST_API_KEYS, &read.auth, &own)?;
    let (page, _) = asked?;
    let body = page.answer(
        KeyView::read_all(&read.rows(0))?,
        |key| vec![key.created_at.to_string(), key.key_id.to_string()],
        |key| shown(key, now),
    );
    Ok(Answer::ok(body).into_response(context.request_id()))
}

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

fn revoked(key_id: &KeyId, at: Timestamp) -> Value {
    json!({"key_id": key_id, "revoked_at": at, "effective_by": at.plus_ms(VERDICT_MS)})
}

impl Change for RevokeApiKey {
    const OPERATION: &'static Operation = &config_service::REVOKE_API_KEY;

    fn chain(&self) -> ChainOf {
        ChainOf::Key(self.key_id.clone())
    }

    fn fingerprint(&self) -> String {
        String::new()
    }

    fn reads(&self, _caller: &Presented, _now: Timestamp) -> Vec<Statement> {
        vec![api_keys::by_id(&self.key_id)]
    }

    fn target(&self, decision: &Decision<'_>) -> Result<Target> {
        target(decision.auth, KeyView::read(&decision.rows(0))?.as_ref())
    }

    fn decide(&self, decision: &Decision<'_>) -> Result<Outcome> {
        let key = KeyView::read(&decision.rows(0))?.ok_or_else(fields::missing)?;
        let query = self.query.as_ref().map_err(Clone::clone)?;
        let reason = query
            .reason
            .as_deref()
            .map(|reason| fields::name("reason", reason))
            .transpose()?;
        if let Some(at) = key.revoked_at {
            return Ok(Outcome::unchanged(Answer::ok(revoked(&self.key_id, at))));
        }
        // Ending a key must work for who does not know its version; a stated one is held.
        if *decision.if_match != IfMatch::Missing {
            decision.if_match.check(key.version)?;
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
                before: json!({"state": state(&key, now)}),
                after: json!({"state": "revoked", "reason": reason}),
            }),
            answer: Answer::ok(revoked(&self.key_id, now)).at_version(key.version + 1),
            publish: None,
        })
    }
}

/// Revokes a key for good; repeatable.
///
/// 1. Own key, or an administrator over it (404, 403), scope `keys:write` (403).
/// 2. `reason` (400).
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
    let answer = deps.mutate(&demand, &change).await?;
    Ok(answer.into_response(demand.context.request_id()))
}

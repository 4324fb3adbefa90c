//! `GET /instance/{instance_id}/limits`, `PUT` and `DELETE .../rate-limit/{provider}`, `PUT .../budgets`.
//!
//! In scope: limits as they are configured. Out of scope: how much of them is used (image-gen).

use super::config::{self, Faults};
use super::edit::{Current, Edit, reads};
use super::{edited, permitted, target};
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::change::{Body, Change, Decision, Demand, Outcome};
use crate::deps::Deps;
use crate::effective::settings_of;
use api_types::{InstanceId, ProviderName, Timestamp};
use auth::permission::{Operation, Target, config_service};
use axum::extract::State;
use axum::response::Response;
use errors::{Error, Result};
use middleware::{Context, IfMatch, Path, Presented};
use platform::{Ports, Statement};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use store::control::audit::ChainOf;
use store::control::credentials::{self, CredentialRow};
use store::control::instances::{self, InstanceRow};

/// The limits of one provider: what is configured, and what holds where that is null.
fn limit_of(row: &InstanceRow, provider: &ProviderName) -> Result<Value> {
    let config = edited(row)?;
    let configured = config.rate_limits.get(provider);
    let limit = configured.cloned().unwrap_or_default();
    let settings = settings_of(&config, provider).unwrap_or_default();
    let default = provider_adapters::default_limit(settings.adapter_name(provider));
    Ok(json!({
        "provider": provider, "configured": configured.is_some(),
        "rpm": limit.rpm, "tpm": limit.tpm, "max_inflight_images": limit.max_inflight_images,
        "windows": limit.windows, "default_max_inflight_images": default,
    }))
}

fn show_limit(current: &Current, provider: &ProviderName) -> Result<Value> {
    let mut value = limit_of(&current.row, provider)?;
    if let Some(members) = value.as_object_mut() {
        members.insert("version".into(), json!(current.row.version));
    }
    Ok(value)
}

/// Limits of each provider, budgets and wait queue, as they are configured.
///
/// 1. The instance exists in the caller's organization (404), the caller may use it (403), scope `config:read`
///    (403).
///
/// 200.
pub(crate) async fn get<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path(instance_id): Path<InstanceId>,
) -> Result<Response> {
    let statements = vec![
        instances::for_caller(&presented.key.key_id, &instance_id),
        credentials::current(&instance_id),
    ];
    let read = deps
        .read_as(
            &presented.key,
            context.client_ip(),
            Some(&instance_id),
            statements,
        )
        .await?;
    context.identify(&read.auth, Some(&instance_id), None);
    let row = InstanceRow::read(&read.rows(0))?;
    let row = permitted(&config_service::GET_LIMITS, &read.auth, row)?;
    let config = edited(&row)?;
    let keys = CredentialRow::read_all(&read.rows(1))?;
    let names: BTreeSet<&ProviderName> = config
        .providers
        .keys()
        .chain(config.rate_limits.keys())
        .chain(keys.iter().map(|key| &key.provider))
        .collect();
    let items: Vec<Value> = names
        .into_iter()
        .map(|name| limit_of(&row, name))
        .collect::<Result<_>>()?;
    let body = json!({
        "instance_id": row.instance_id, "items": items, "budgets": config.budgets,
        "queue": config.queue, "version": row.version,
    });
    let answer = Answer::ok(body).at_version(row.version);
    Ok(answer.into_response(context.request_id()))
}

/// One member of the configuration that has a route of its own.
trait Member: Send + Sync {
    const OPERATION: &'static Operation;
    /// Whether there is nothing to show afterwards.
    const DELETES: bool = false;

    /// Puts it among the members of the configuration.
    fn put(&self, current: &Current, members: &mut Map<String, Value>) -> Result<()>;

    /// How it is shown.
    fn show(&self, current: &Current) -> Result<Value>;

    /// Scopes of budgets that must exist.
    fn scopes(&self) -> Option<Vec<String>> {
        None
    }
}

struct RateLimit(ProviderName, Body);

impl Member for RateLimit {
    const OPERATION: &'static Operation = &config_service::SET_RATE_LIMIT;

    fn put(&self, current: &Current, members: &mut Map<String, Value>) -> Result<()> {
        let config = edited(&current.row)?;
        if !config.has_provider(&self.0) {
            return Err(Error::invalid_field("provider", config.provider_rule()));
        }
        let limit = self.1.0.clone()?;
        let limits = members
            .entry("rate_limits")
            .or_insert_with(|| Value::Object(Map::new()));
        if let Some(limits) = limits.as_object_mut() {
            limits.insert(self.0.to_string(), limit);
        }
        Ok(())
    }

    fn show(&self, current: &Current) -> Result<Value> {
        show_limit(current, &self.0)
    }
}

struct NoRateLimit(ProviderName);

impl Member for NoRateLimit {
    const OPERATION: &'static Operation = &config_service::DELETE_RATE_LIMIT;
    const DELETES: bool = true;

    fn put(&self, _current: &Current, members: &mut Map<String, Value>) -> Result<()> {
        if let Some(Value::Object(limits)) = members.get_mut("rate_limits") {
            limits.shift_remove(self.0.as_str());
        }
        Ok(())
    }

    fn show(&self, current: &Current) -> Result<Value> {
        show_limit(current, &self.0)
    }
}

struct Budgets(Body);

impl Member for Budgets {
    const OPERATION: &'static Operation = &config_service::SET_BUDGETS;

    fn put(&self, _current: &Current, members: &mut Map<String, Value>) -> Result<()> {
        members.insert("budgets".into(), self.0.0.clone()?);
        Ok(())
    }

    fn show(&self, current: &Current) -> Result<Value> {
        let row = &current.row;
        let budgets = edited(row)?.budgets;
        Ok(json!({"instance_id": row.instance_id, "budgets": budgets, "version": row.version}))
    }

    fn scopes(&self) -> Option<Vec<String>> {
        config::scopes_to_look_up(self.0.at(""))
    }
}

struct SetMember<M> {
    instance_id: InstanceId,
    member: M,
}

impl<M: Member> Change for SetMember<M> {
    const OPERATION: &'static Operation = M::OPERATION;

    fn instance(&self) -> Option<&InstanceId> {
        Some(&self.instance_id)
    }

    fn chain(&self) -> ChainOf {
        ChainOf::Instance(self.instance_id.clone())
    }

    fn fingerprint(&self) -> String {
        String::new()
    }

    fn reads(&self, caller: &Presented, now: Timestamp) -> Vec<Statement> {
        let scopes = self.member.scopes();
        reads(caller, &self.instance_id, scopes.as_deref(), now)
    }

    fn target(&self, decision: &Decision<'_>) -> Result<Target> {
        target(decision)
    }

    fn decide(&self, decision: &Decision<'_>) -> Result<Outcome> {
        let current = Current::read(decision)?;
        let mut wanted = current.document();
        let members = wanted
            .config
            .as_object_mut()
            .ok_or_else(|| Error::internal("a configuration is an object"))?;
        self.member.put(&current, members)?;
        let edit = Edit {
            decision,
            current: &current,
            show: &|current: &Current| self.member.show(current),
        };
        let mut outcome = edit.decide(wanted, Faults::default())?;
        if M::DELETES {
            outcome.answer = Answer {
                version: outcome.answer.version,
                ..Answer::no_content()
            };
        }
        Ok(outcome)
    }
}

/// Sets the limits of one provider.
///
/// 1. The instance exists in the caller's organization (404), role admin (403), scope `config:write` (403).
/// 2. The provider is one, the limits are in range (400).
/// 3. `If-Match` of the instance (428, 412).
/// 4. Row, effective configuration, audit entry in one batch; publication.
///
/// 200 with the new value.
pub(crate) async fn set_rate_limit<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path((instance_id, provider)): Path<(InstanceId, ProviderName)>,
    if_match: IfMatch,
    body: Body,
) -> Result<Response> {
    let demand = Demand::repeatable(context, presented, if_match, "PUT /instance/rate-limit");
    let change = SetMember {
        instance_id,
        member: RateLimit(provider, body),
    };
    let answer = deps.mutate(&demand, &change).await?;
    Ok(answer.into_response(demand.context.request_id()))
}

/// Takes the configured limits of one provider away: the provider's own hold.
///
/// 1. to 4. As setting them.
///
/// 204, also when there were none.
pub(crate) async fn delete_rate_limit<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path((instance_id, provider)): Path<(InstanceId, ProviderName)>,
    if_match: IfMatch,
) -> Result<Response> {
    let demand = Demand::repeatable(context, presented, if_match, "DELETE /instance/rate-limit");
    let change = SetMember {
        instance_id,
        member: NoRateLimit(provider),
    };
    let answer = deps.mutate(&demand, &change).await?;
    Ok(answer.into_response(demand.context.request_id()))
}

/// Replaces the budgets.
///
/// 1. The instance exists in the caller's organization (404), role admin (403), scope `config:write` (403).
/// 2. At most 100, in range, one for each scope and period; named projects and keys exist (400).
/// 3. `If-Match` of the instance (428, 412).
/// 4. Row, effective configuration, audit entry in one batch; publication.
///
/// 200 with the new value.
pub(crate) async fn set_budgets<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path(instance_id): Path<InstanceId>,
    if_match: IfMatch,
    body: Body,
) -> Result<Response> {
    let demand = Demand::repeatable(context, presented, if_match, "PUT /instance/budgets");
    let change = SetMember {
        instance_id,
        member: Budgets(body),
    };
    let answer = deps.mutate(&demand, &change).await?;
    Ok(answer.into_response(demand.context.request_id()))
}

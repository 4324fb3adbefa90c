//! `POST /instance/{instance_id}/pause`, `POST /instance/{instance_id}/resume`: no new work, while running work goes on.
//!
//! In scope: pausing by people and by the cost guard, which people may overrule for the day. Out of scope: other
//! transitions (`status`).

use super::status::{allowed, invalid_transition, is_deployed, shown};
use super::{target, usable};
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::change::{Audited, Body, Change, Decision, Demand, Outcome};
use crate::deps::Deps;
use crate::fields;
use api_types::{InstanceId, InstanceStatus, PrincipalKind, Timestamp};
use auth::chain::canonical_json;
use auth::permission::{Operation, Target, config_service};
use axum::extract::State;
use axum::response::Response;
use errors::{Error, Result};
use middleware::{Context, IdempotencyKey, Path, Presented, Props};
use platform::{Ports, Statement};
use serde::Deserialize;
use serde_json::{Value, json};
use store::control::audit::ChainOf;
use store::control::instances::{self, InstanceRow};
use store::control::lifecycle;

/// The reason that the cost guard gives.
const COST_GUARD: &str = "cost_guard";
/// A day, in milliseconds.
const DAY_MS: i64 = 86_400_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    reason: String,
}

fn answer(row: &InstanceRow) -> Answer {
    let mut body = shown(row);
    if let Some(members) = body.as_object_mut() {
        let paused = row.status == InstanceStatus::Paused;
        members.insert("paused".into(), Value::Bool(paused));
    }
    Answer::ok(body).at_version(row.version)
}

fn audited(before: &InstanceRow, after: &InstanceRow) -> Audited {
    let told = |row: &InstanceRow| {
        json!({
            "status": row.status, "paused_reason": row.paused_reason,
            "pause_override_until": row.pause_override_until,
        })
    };
    let (before_members, after_members) = crate::patch::changes(&told(before), &told(after));
    Audited {
        target_type: "instance",
        target_id: before.instance_id.to_string(),
        instance_id: Some(before.instance_id.clone()),
        before: before_members,
        after: after_members,
    }
}

fn refused(decision: &Decision<'_>, row: &InstanceRow, to: InstanceStatus) -> Error {
    let deployed = is_deployed(decision.settings, row);
    invalid_transition(row.status, to, allowed(row.status, deployed))
}

struct PauseInstance {
    instance_id: InstanceId,
    body: Body,
    /// Called by a worker of the house, which has no access of its own to judge.
    by_worker: bool,
}

impl Change for PauseInstance {
    const OPERATION: &'static Operation = &config_service::PAUSE_INSTANCE;

    fn instance(&self) -> Option<&InstanceId> {
        Some(&self.instance_id)
    }

    fn chain(&self) -> ChainOf {
        ChainOf::Instance(self.instance_id.clone())
    }

    fn fingerprint(&self) -> String {
        self.body.0.as_ref().map(canonical_json).unwrap_or_default()
    }

    fn reads(&self, caller: &Presented, _now: Timestamp) -> Vec<Statement> {
        vec![if self.by_worker {
            lifecycle::for_worker(&self.instance_id)
        } else {
            instances::for_caller(&caller.key.key_id, &self.instance_id)
        }]
    }

    fn target(&self, decision: &Decision<'_>) -> Result<Target> {
        target(decision)
    }

    fn decide(&self, decision: &Decision<'_>) -> Result<Outcome> {
        let row = usable(decision)?;
        let reason = fields::name("reason", &self.body.parse::<Wanted>()?.reason)?;
        let is_guard = reason == COST_GUARD;
        if decision.auth.kind == PrincipalKind::System && !is_guard {
            return Err(Error::invalid_field(
                "reason",
                "a worker pauses by the cost guard only",
            ));
        }
        let now = decision.now;
        let overruled = row.pause_override_until.filter(|until| *until > now);
        match row.status {
            InstanceStatus::Paused => return Ok(Outcome::unchanged(answer(&row))),
            InstanceStatus::Active => {}
            _ => return Err(refused(decision, &row, InstanceStatus::Paused)),
        }
        if let Some(until) = overruled.filter(|_| is_guard) {
            let body = json!({
                "instance_id": row.instance_id, "paused": false, "override_until": until,
                "version": row.version,
            });
            let answer = Answer::ok(body).at_version(row.version);
            return Ok(Outcome::unchanged(answer));
        }
        let after = InstanceRow {
            status: InstanceStatus::Paused,
            paused_reason: Some(reason.clone()),
            paused_at: Some(now),
            version: row.version + 1,
            ..row.clone()
        };
        Ok(Outcome {
            statements: vec![
                instances::guard_status(&row.instance_id, row.version, "active"),
                lifecycle::pause(&row.instance_id, &reason, now),
            ],
            audited: Some(audited(&row, &after)),
            answer: answer(&after),
            publish: None,
        })
    }
}

struct ResumeInstance {
    instance_id: InstanceId,
}

/// The next midnight in UTC.
fn midnight_after(now: Timestamp) -> Timestamp {
    Timestamp((now.ms().div_euclid(DAY_MS) + 1) * DAY_MS)
}

impl Change for ResumeInstance {
    const OPERATION: &'static Operation = &config_service::RESUME_INSTANCE;

    fn instance(&self) -> Option<&InstanceId> {
        Some(&self.instance_id)
    }

    fn chain(&self) -> ChainOf {
        ChainOf::Instance(self.instance_id.clone())
    }

    fn fingerprint(&self) -> String {
        String::new()
    }

    fn reads(&self, caller: &Presented, _now: Timestamp) -> Vec<Statement> {
        vec![instances::for_caller(&caller.key.key_id, &self.instance_id)]
    }

    fn target(&self, decision: &Decision<'_>) -> Result<Target> {
        target(decision)
    }

    fn decide(&self, decision: &Decision<'_>) -> Result<Outcome> {
        let row = usable(decision)?;
        match row.status {
            InstanceStatus::Active => return Ok(Outcome::unchanged(answer(&row))),
            InstanceStatus::Paused => {}
            _ => return Err(refused(decision, &row, InstanceStatus::Active)),
        }
        let now = decision.now;
        // Whoever resumes what the cost guard paused has seen the cost; whoever resumes after something else has not.
        let by_guard = row.paused_reason.as_deref() == Some(COST_GUARD);
        let until = by_guard.then(|| midnight_after(now));
        let after = InstanceRow {
            status: InstanceStatus::Active,
            paused_reason: None,
            paused_at: None,
            pause_override_until: until.or(row.pause_override_until),
            version: row.version + 1,
            ..row.clone()
        };
        Ok(Outcome {
            statements: vec![
                instances::guard_status(&row.instance_id, row.version, "paused"),
                lifecycle::resume(&row.instance_id, until, now),
            ],
            audited: Some(audited(&row, &after)),
            answer: answer(&after),
            publish: None,
        })
    }
}

/// Takes no new work any more; what runs goes on.
///
/// 1. The instance exists in the caller's organization (404), role admin (403), scope `config:write` (403); or the
///    worker telemetry by its binding, for its own instance where it has one (404).
/// 2. `reason` (400); of a worker only `cost_guard`.
/// 3. It is active (409 `invalid_transition`).
///
/// 200 with the status, also when it was paused already; `{"paused":false,"override_until"}` while an administrator
/// overrules the cost guard.
pub(crate) async fn pause<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Option<Presented>,
    props: Props,
    Path(instance_id): Path<InstanceId>,
    key: IdempotencyKey,
    body: Body,
) -> Result<Response> {
    let path = format!("/instance/{instance_id}/pause");
    let demand = match (presented, &props.caller) {
        (Some(presented), _) => Demand::post(context, presented, key, &path),
        (None, Some(worker)) => {
            if props
                .instance_id
                .as_ref()
                .is_some_and(|own| *own != instance_id)
            {
                return Err(fields::missing());
            }
            Demand::by_worker(context, worker, key, &path)
        }
        (None, None) => return Err(Error::internal("the middleware let a stranger through")),
    };
    let change = PauseInstance {
        instance_id,
        body,
        by_worker: demand.worker.is_some(),
    };
    let answer = deps.mutate(&demand, &change).await?;
    Ok(answer.into_response(demand.context.request_id()))
}

/// Takes new work again. A body is not read.
///
/// 1. The instance exists in the caller's organization (404), role admin (403), scope `config:write` (403).
/// 2. It is paused (409 `invalid_transition`).
///
/// 200 with the status, also when it was active already. After a pause by the cost guard, this one does not pause again
/// before midnight UTC.
pub(crate) async fn resume<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path(instance_id): Path<InstanceId>,
    key: IdempotencyKey,
) -> Result<Response> {
    let path = format!("/instance/{instance_id}/resume");
    let demand = Demand::post(context, presented, key, &path);
    let change = ResumeInstance { instance_id };
    let answer = deps.mutate(&demand, &change).await?;
    Ok(answer.into_response(demand.context.request_id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_override_ends_at_the_next_midnight() {
        let at = |text: &str| Timestamp::parse(text).unwrap();
        let next = at("2026-11-28T00:00:00Z");
        assert_eq!(midnight_after(at("2026-11-27T00:00:00Z")), next);
        assert_eq!(midnight_after(at("2026-11-27T23:59:59.999Z")), next);
    }
}

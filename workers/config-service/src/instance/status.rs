//! `PUT /instance/{instance_id}/status`: an instance begins, and is taken down.
//!
//! In scope: the transitions that this route makes. Out of scope: pausing (`pause`), the end (`delete`).

use super::{edited, target, usable};
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::change::{Audited, Body, Change, Decision, Demand, Outcome};
use crate::deps::Deps;
use crate::settings::Settings;
use api_types::{InstanceId, InstanceStatus, Timestamp};
use auth::permission::{Operation, Target, config_service};
use axum::extract::State;
use axum::response::Response;
use errors::{Code, Error, Result};
use middleware::{Context, IfMatch, Path, Presented};
use platform::{Ports, Statement};
use serde::Deserialize;
use serde_json::{Value, json};
use store::control::audit::ChainOf;
use store::control::instances::{self, InstanceRow};
use store::control::lifecycle;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    status: InstanceStatus,
}

/// Whether the URLs of its workers are known, or none are needed.
pub(super) fn is_deployed(settings: &Settings, row: &InstanceRow) -> bool {
    settings.is_local() || !row.worker_urls.is_empty()
}

/// What this route can make of a status.
pub(super) fn allowed(from: InstanceStatus, deployed: bool) -> &'static [InstanceStatus] {
    use InstanceStatus::{Active, Deleted, Deleting, Deploying, Paused};
    match (from, deployed) {
        (Deploying, true) => &[Active, Deleting],
        (Deploying, false) | (Active | Paused, _) => &[Deleting],
        (Deleting, true) => &[Active],
        (Deleting, false) | (Deleted, _) => &[],
    }
}

/// 409 `invalid_transition` with what is allowed instead.
pub(super) fn invalid_transition(
    from: InstanceStatus,
    to: InstanceStatus,
    allowed: &[InstanceStatus],
) -> Error {
    Error::new(
        Code::InvalidTransition,
        "That status cannot follow this one.",
    )
    .with_detail("from", json!(from))
    .with_detail("to", json!(to))
    .with_detail("allowed", json!(allowed))
}

/// How a status is shown.
pub(super) fn shown(row: &InstanceRow) -> Value {
    json!({
        "instance_id": row.instance_id, "status": row.status, "paused_reason": row.paused_reason,
        "paused_at": row.paused_at, "pause_override_until": row.pause_override_until, "version": row.version,
    })
}

struct SetStatus {
    instance_id: InstanceId,
    body: Body,
}

impl Change for SetStatus {
    const OPERATION: &'static Operation = &config_service::SET_INSTANCE_STATUS;

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
        let to = self.body.parse::<Wanted>()?.status;
        decision.check_version(row.version, || shown(&row))?;
        let from = row.status;
        if from == to {
            let answer = Answer::ok(shown(&row)).at_version(row.version);
            return Ok(Outcome::unchanged(answer));
        }
        let deployed = is_deployed(decision.settings, &row);
        let allowed = allowed(from, deployed);
        if !allowed.contains(&to) {
            let refused = invalid_transition(from, to, allowed);
            let lacks_urls = to == InstanceStatus::Active && !deployed;
            return Err(if lacks_urls {
                refused.with_detail("missing", "worker_urls").with_hint(
                    "Set the URLs of its workers first: PUT /instance/{instance_id}/worker-urls.",
                )
            } else {
                refused
            });
        }
        if to == InstanceStatus::Deleting && edited(&row)?.protected {
            return Err(
                Error::new(Code::Protected, "The instance is protected from deletion.").with_hint(
                    "An administrator sets protected to false: PATCH /instance/{instance_id}.",
                ),
            );
        }
        let now = decision.now;
        let word = json!(to);
        let after = InstanceRow {
            status: to,
            paused_reason: None,
            paused_at: None,
            version: row.version + 1,
            ..row.clone()
        };
        Ok(Outcome {
            statements: vec![
                instances::guard_version(&row.instance_id, row.version),
                lifecycle::set_status(&row.instance_id, word.as_str().unwrap_or_default(), now),
            ],
            audited: Some(Audited {
                target_type: "instance",
                target_id: row.instance_id.to_string(),
                instance_id: Some(row.instance_id.clone()),
                before: json!({"status": from}),
                after: json!({"status": to}),
            }),
            answer: Answer::ok(shown(&after)).at_version(after.version),
            // The status rides on every verdict; workers' copies do not hold it.
            publish: None,
        })
    }
}

/// Sets the status: `active` once deployed, `deleting`, and back.
///
/// 1. The instance exists in the caller's organization (404), role admin (403), scope `config:write` (403).
/// 2. `status` (400).
/// 3. `If-Match` (428, 412).
/// 4. The transition (409 `invalid_transition`), protection (409 `protected`).
///
/// 200 with the status, also when it was set already. Other workers know within 5 s.
pub(crate) async fn set<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path(instance_id): Path<InstanceId>,
    if_match: IfMatch,
    body: Body,
) -> Result<Response> {
    let demand = Demand::repeatable(context, presented, if_match, "PUT /instance/status");
    let change = SetStatus { instance_id, body };
    let answer = deps.mutate(&demand, &change).await?;
    Ok(answer.into_response(demand.context.request_id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the control plane's documentation; pausing, resuming and the end have routes of their own.
    #[test]
    fn the_table_of_transitions_holds() {
        use InstanceStatus::{Active, Deleted, Deleting, Deploying, Paused};
        let all = [Deploying, Active, Paused, Deleting, Deleted];
        for deployed in [true, false] {
            for from in all {
                for to in all {
                    let listed = match (from, to) {
                        (Deploying | Deleting, Active) => deployed,
                        (Deploying | Active | Paused, Deleting) => true,
                        _ => false,
                    };
                    let may = allowed(from, deployed).contains(&to);
                    assert_eq!(may, listed, "{from:?} to {to:?}, deployed {deployed}");
                }
            }
        }
    }
}

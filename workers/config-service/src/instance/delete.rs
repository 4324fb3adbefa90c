//! `DELETE /instance/{instance_id}`: the end of an instance, which leaves a tombstone.
//!
//! In scope: that nothing runs any more, and everything that ends. Out of scope: the platform's resources (deploy tool).

use super::status::{allowed, invalid_transition, is_deployed, shown};
use super::{permitted, target, usable};
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::change::{Audited, Change, Decision, Demand, Outcome};
use crate::deps::Deps;
use crate::settings::Settings;
use api_types::{InstanceId, InstanceStatus, Role, RunningReply, Timestamp};
use auth::permission::{Operation, Target, config_service};
use axum::extract::State;
use axum::response::Response;
use errors::{Code, Error, Result};
use middleware::{Context, IfMatch, Path, Presented};
use platform::{Clock, Ports, Statement};
use serde_json::json;
use store::control::audit::ChainOf;
use store::control::instances::{self, InstanceRow};
use store::control::lifecycle;

/// A verdict lives 5 s, so work may start for so long after an instance went down; a second more for clocks.
const SETTLED_AFTER_MS: i64 = 6_000;

struct DeleteInstance {
    instance_id: InstanceId,
    /// The version at which nothing ran.
    idle_at: i64,
    unknown_jobs: u64,
}

impl Change for DeleteInstance {
    const OPERATION: &'static Operation = &config_service::DELETE_INSTANCE;

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
        decision.check_version(row.version, || shown(&row))?;
        check_deleting(decision.settings, &row)?;
        if row.version != self.idle_at {
            // It may have been active in between, and work may have started.
            return Err(Error::new(
                Code::Conflict,
                "The instance was changed while its work was counted.",
            ));
        }
        let by = &decision.auth.principal;
        Ok(Outcome {
            statements: lifecycle::bury(&row.instance_id, row.version, by, decision.now),
            audited: Some(Audited {
                target_type: "instance",
                target_id: row.instance_id.to_string(),
                instance_id: Some(row.instance_id.clone()),
                before: json!({"status": row.status, "name": row.name}),
                after: json!({"status": "deleted", "unknown_jobs": self.unknown_jobs}),
            }),
            answer: Answer::no_content(),
            publish: None,
        })
    }
}

fn check_deleting(settings: &Settings, row: &InstanceRow) -> Result<()> {
    if row.status == InstanceStatus::Deleting {
        return Ok(());
    }
    let allowed = allowed(row.status, is_deployed(settings, row));
    let refused = invalid_transition(row.status, InstanceStatus::Deleted, allowed);
    Err(refused.with_hint("Take it down first: PUT /instance/{instance_id}/status with deleting."))
}

/// Refuses while something runs. Jobs whose outcome nobody knows do not run here any more, and some stay so for ever.
fn check_idle(reply: &RunningReply) -> Result<()> {
    if reply.running <= reply.unknown {
        return Ok(());
    }
    Err(
        Error::new(Code::NotEmpty, "Jobs of this instance are running.")
            .with_detail("running", reply.running)
            .with_detail("unknown", reply.unknown)
            .with_detail("jobs", json!(reply.jobs))
            .with_hint("Wait until they have ended, or cancel them; new ones are refused already."),
    )
}

/// Without image-gen's word only an instance that never had workers is known to be idle; a superadmin, as whom the
/// deploy tool calls, has looked for himself.
fn check_unbound(row: &InstanceRow, role: Role) -> Result<()> {
    if row.worker_urls.is_empty() || role == Role::Superadmin {
        return Ok(());
    }
    Err(Error::new(
        Code::DeployManaged,
        "A deployed instance is deleted by the deploy tool, which looks for running work.",
    ))
}

impl<P: Ports, G: AbuseGuard> Deps<P, G> {
    /// Steps 1 to 4: the version at which nothing ran, and jobs without outcome.
    async fn idle_at(&self, demand: &Demand, instance_id: &InstanceId) -> Result<(i64, u64)> {
        let key = &demand.presented.key;
        let statements = vec![instances::for_caller(&key.key_id, instance_id)];
        let client_ip = demand.context.client_ip();
        let read = self
            .read_as(key, client_ip, Some(instance_id), statements)
            .await?;
        demand.context.identify(&read.auth, Some(instance_id), None);
        let row = InstanceRow::read(&read.rows(0))?;
        let row = permitted(&config_service::DELETE_INSTANCE, &read.auth, row)?;
        demand.if_match.check(row.version).map_err(|error| {
            if error.code == Code::VersionMismatch {
                error.with_detail("current", shown(&row))
            } else {
                error
            }
        })?;
        check_deleting(&self.settings, &row)?;
        // Every change of the row moves `updated_at`, so it was taken down no later than that.
        let since = row.updated_at.unwrap_or(Timestamp(0));
        let left_ms = since.ms() + SETTLED_AFTER_MS - self.now().ms();
        if left_ms > 0 {
            self.clock.sleep(left_ms.unsigned_abs()).await;
        }
        if let Some(reply) = self.running(instance_id, demand.context.call()).await? {
            check_idle(&reply)?;
            Ok((row.version, reply.unknown))
        } else {
            check_unbound(&row, read.auth.role)?;
            Ok((row.version, 0))
        }
    }
}

/// Ends an instance for good.
///
/// 1. The instance exists in the caller's organization (404), role admin (403), scope `config:write` (403).
/// 2. `If-Match` (428, 412).
/// 3. It is being deleted (409 `invalid_transition`), for 6 s at least: the rest is waited for, because work could
///    start that long.
/// 4. Nothing runs (409 `not_empty`); image-gen must say so (503); where it is not bound, a deployed instance is for the
///    deploy tool (409 `deploy_managed`).
/// 5. Keys of its projects are revoked, provider keys erased, access, projects and prices ended, the configuration
///    emptied, all in one batch with the audit entry; nothing of it was changed since step 2 (409 `conflict`).
/// 6. The copy in KV is removed; the sweeper removes it once more, for puts that were on their way.
///
/// 204. The id can be used again by its own organization.
pub(crate) async fn delete<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path(instance_id): Path<InstanceId>,
    if_match: IfMatch,
) -> Result<Response> {
    let demand = Demand::repeatable(context, presented, if_match, "DELETE /instance");
    let (idle_at, unknown_jobs) = deps.idle_at(&demand, &instance_id).await?;
    let change = DeleteInstance {
        instance_id,
        idle_at,
        unknown_jobs,
    };
    let answer = deps.mutate(&demand, &change).await?;
    deps.unpublish(&change.instance_id).await;
    Ok(answer.into_response(demand.context.request_id()))
}

//! `DELETE /project/{project_id}`.

use super::{known, shown, target, usable};
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::change::{Audited, Change, Decision, Demand, Outcome};
use crate::deps::Deps;
use api_types::{ProjectId, Timestamp};
use auth::permission::{Operation, Target, config_service};
use axum::extract::State;
use axum::response::Response;
use errors::Result;
use middleware::{Context, IfMatch, Path, Presented};
use platform::{Ports, Statement};
use serde_json::json;
use store::control::audit::ChainOf;
use store::control::{api_keys, projects};

struct DeleteProject {
    project_id: ProjectId,
}

impl Change for DeleteProject {
    const OPERATION: &'static Operation = &config_service::DELETE_PROJECT;

    fn chain(&self) -> ChainOf {
        ChainOf::Project(self.project_id.clone())
    }

    fn fingerprint(&self) -> String {
        String::new()
    }

    fn reads(&self, caller: &Presented, _now: Timestamp) -> Vec<Statement> {
        vec![projects::for_caller(&caller.key.key_id, &self.project_id)]
    }

    fn target(&self, decision: &Decision<'_>) -> Result<Target> {
        Ok(target(&known(&decision.rows(0))?))
    }

    fn decide(&self, decision: &Decision<'_>) -> Result<Outcome> {
        let row = usable(&decision.rows(0))?;
        decision.check_version(row.version, || shown(&row))?;
        let (id, by, now) = (&self.project_id, &decision.auth.principal, decision.now);
        Ok(Outcome {
            statements: vec![
                projects::guard_version(id, row.version),
                projects::delete(id, now),
                api_keys::revoke_of_project(id, by, "project deleted", now),
            ],
            audited: Some(Audited {
                target_type: "project",
                target_id: id.to_string(),
                instance_id: Some(row.instance_id.clone()),
                before: json!({"name": row.name, "status": "active"}),
                after: json!({"status": "deleted"}),
            }),
            answer: Answer::no_content(),
            publish: None,
        })
    }
}

/// Deletes a project; its keys are revoked in the same batch.
///
/// 1. It exists in the caller's organization (404), role admin (403), scope `config:write` (403), the key
///    reaches the instance (403).
/// 2. `If-Match` (428, 412).
///
/// 204. Jobs and images keep its id; its name may be used again.
pub(crate) async fn delete<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path(project_id): Path<ProjectId>,
    if_match: IfMatch,
) -> Result<Response> {
    let demand = Demand::repeatable(context, presented, if_match, "DELETE /project");
    let answer = deps.mutate(&demand, &DeleteProject { project_id }).await?;
    Ok(answer.into_response(demand.context.request_id()))
}

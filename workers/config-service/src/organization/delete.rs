//! `DELETE /organization/{org_id}`.

use super::{known, shown, target};
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::change::{Audited, Change, Decision, Demand, Outcome};
use crate::deps::Deps;
use api_types::{OrgId, Timestamp};
use auth::permission::{Operation, Target, config_service};
use axum::extract::State;
use axum::response::Response;
use errors::{Code, Error, Result};
use middleware::{Context, IfMatch, Path, Presented};
use platform::{Ports, Statement};
use serde_json::json;
use store::control::audit::ChainOf;
use store::control::organizations::{self, Content};

struct DeleteOrganization {
    org_id: OrgId,
}

impl Change for DeleteOrganization {
    const OPERATION: &'static Operation = &config_service::DELETE_ORGANIZATION;

    fn chain(&self) -> ChainOf {
        ChainOf::Organization(self.org_id.clone())
    }

    fn fingerprint(&self) -> String {
        String::new()
    }

    fn reads(&self, _caller: &Presented, _now: Timestamp) -> Vec<Statement> {
        vec![
            organizations::by_id(&self.org_id),
            organizations::content(&self.org_id),
        ]
    }

    fn target(&self, decision: &Decision<'_>) -> Result<Target> {
        Ok(target(&known(decision.auth, &decision.rows(0))?))
    }

    fn decide(&self, decision: &Decision<'_>) -> Result<Outcome> {
        let row = known(decision.auth, &decision.rows(0))?;
        decision.check_version(row.version, || shown(&row))?;
        let content = Content::read(&decision.rows(1))?;
        if content != Content::default() {
            return Err(Error::new(
                Code::NotEmpty,
                "The organization still has instances or users.",
            )
            .with_detail("instances", content.instances)
            .with_detail("users", content.users));
        }
        Ok(Outcome {
            statements: vec![
                organizations::guard_version(&self.org_id, row.version),
                organizations::guard_empty(&self.org_id),
                organizations::delete(&self.org_id, decision.now),
            ],
            audited: Some(Audited {
                target_type: "organization",
                target_id: self.org_id.to_string(),
                instance_id: None,
                before: json!({"name": row.name, "billing_email": row.billing_email, "status": row.status}),
                after: json!({"status": "deleted"}),
            }),
            answer: Answer::no_content(),
            publish: None,
        })
    }
}

/// Deletes an empty organization.
///
/// 1. It exists (404), role superadmin (403), scope `platform:write` (403).
/// 2. `If-Match` (428, 412).
/// 3. No instance and no user is left (409 `not_empty` with the counts).
///
/// 204. Its row stays for the tombstones of its instances; its audit chain stays readable.
pub(crate) async fn delete<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path(org_id): Path<OrgId>,
    if_match: IfMatch,
) -> Result<Response> {
    let demand = Demand::repeatable(context, presented, if_match, "DELETE /organization");
    let answer = deps.mutate(&demand, &DeleteOrganization { org_id }).await?;
    Ok(answer.into_response(demand.context.request_id()))
}

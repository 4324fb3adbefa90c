//! `PUT /user/{user_id}/instance/{instance_id}`.

use super::Pair;
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::change::{Audited, Change, Decision, Demand, Outcome};
use crate::deps::Deps;
use crate::fields;
use api_types::{InstanceId, Timestamp, UserId};
use auth::permission::{Operation, Target, config_service};
use axum::extract::State;
use axum::response::Response;
use errors::Result;
use middleware::{Context, IfMatch, Path, Presented};
use platform::{Ports, Statement};
use serde_json::{Value, json};
use store::control::access;
use store::control::audit::ChainOf;
use store::control::guard::Quota;

struct GrantAccess(Pair);

impl Change for GrantAccess {
    const OPERATION: &'static Operation = &config_service::GRANT_ACCESS;

    fn instance(&self) -> Option<&InstanceId> {
        Some(&self.0.instance_id)
    }

    fn chain(&self) -> ChainOf {
        ChainOf::Instance(self.0.instance_id.clone())
    }

    fn fingerprint(&self) -> String {
        String::new()
    }

    fn reads(&self, caller: &Presented, now: Timestamp) -> Vec<Statement> {
        let mut statements = self.0.reads(caller);
        let instance_id = self.0.instance_id.as_str();
        statements.push(Quota::Access.count(instance_id, &now.to_string()));
        statements
    }

    fn target(&self, decision: &Decision<'_>) -> Result<Target> {
        Pair::target(decision)
    }

    fn decide(&self, decision: &Decision<'_>) -> Result<Outcome> {
        if Pair::is_granted(decision)? {
            return Ok(Outcome::unchanged(Answer::no_content()));
        }
        let count = decision.count(3);
        if count >= Quota::Access.limit() {
            return Err(fields::quota_reached(Quota::Access, count));
        }
        let (user_id, instance_id) = (&self.0.user_id, &self.0.instance_id);
        let (by, now) = (&decision.auth.principal, decision.now);
        Ok(Outcome {
            statements: vec![
                access::guard_same_organization(user_id, instance_id),
                Quota::Access.guard(instance_id.as_str(), &now.to_string()),
                access::grant(user_id, instance_id, by, now),
            ],
            audited: Some(Audited {
                target_type: "user",
                target_id: user_id.to_string(),
                instance_id: Some(instance_id.clone()),
                before: Value::Null,
                after: json!({"access": instance_id}),
            }),
            answer: Answer::no_content(),
            publish: None,
        })
    }
}

/// Gives a user access to an instance; repeatable. A body is not read.
///
/// 1. User and instance exist in one organization (404), role admin (403), scope `config:write` (403), the
///    key reaches the instance (403).
/// 2. At most 500 users an instance (409).
///
/// 204. The configuration of the instance is not published: nobody authorizes by it.
pub(crate) async fn grant<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path((user_id, instance_id)): Path<(UserId, InstanceId)>,
) -> Result<Response> {
    let demand = Demand::repeatable(context, presented, IfMatch::Missing, "PUT /user/instance");
    let change = GrantAccess(Pair {
        user_id,
        instance_id,
    });
    let answer = deps.mutate(&demand, &change).await?;
    Ok(answer.into_response(demand.context.request_id()))
}

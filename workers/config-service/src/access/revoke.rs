//! `DELETE /user/{user_id}/instance/{instance_id}`.

use super::Pair;
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::change::{Audited, Change, Decision, Demand, Outcome};
use crate::deps::Deps;
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

struct RevokeAccess(Pair);

impl Change for RevokeAccess {
    const OPERATION: &'static Operation = &config_service::REVOKE_ACCESS;

    fn instance(&self) -> Option<&InstanceId> {
        Some(&self.0.instance_id)
    }

    fn chain(&self) -> ChainOf {
        ChainOf::Instance(self.0.instance_id.clone())
    }

    fn fingerprint(&self) -> String {
        String::new()
    }

    fn reads(&self, caller: &Presented, _now: Timestamp) -> Vec<Statement> {
        self.0.reads(caller)
    }

    fn target(&self, decision: &Decision<'_>) -> Result<Target> {
        Pair::target(decision)
    }

    fn decide(&self, decision: &Decision<'_>) -> Result<Outcome> {
        if !Pair::is_granted(decision)? {
            return Ok(Outcome::unchanged(Answer::no_content()));
        }
        let (user_id, instance_id) = (&self.0.user_id, &self.0.instance_id);
        Ok(Outcome {
            statements: vec![access::revoke(user_id, instance_id)],
            audited: Some(Audited {
                target_type: "user",
                target_id: user_id.to_string(),
                instance_id: Some(instance_id.clone()),
                before: json!({"access": instance_id}),
                after: Value::Null,
            }),
            answer: Answer::no_content(),
            publish: None,
        })
    }
}

/// Takes a user's access to an instance away; repeatable.
///
/// 1. User and instance exist in one organization (404), role admin (403), scope `config:write` (403), the
///    key reaches the instance (403).
///
/// 204. Every worker refuses the user within 5 s.
pub(crate) async fn revoke<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path((user_id, instance_id)): Path<(UserId, InstanceId)>,
) -> Result<Response> {
    let demand = Demand::repeatable(
        context,
        presented,
        IfMatch::Missing,
        "DELETE /user/instance",
    );
    let change = RevokeAccess(Pair {
        user_id,
        instance_id,
    });
    let answer = deps.mutate(&demand, &change).await?;
    Ok(answer.into_response(demand.context.request_id()))
}

//! `PUT /user/{user_id}/instance/{instance_id}`.

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
use store::control::instances::{self, InstanceRow};
use store::control::users::{self, UserRow};

struct GrantAccess {
    user_id: UserId,
    instance_id: InstanceId,
}

impl Change for GrantAccess {
    const OPERATION: &'static Operation = &config_service::GRANT_ACCESS;

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
        vec![
            users::by_id(&self.user_id),
            instances::for_caller(&caller.key.key_id, &self.instance_id),
            access::exists(&self.user_id, &self.instance_id),
            Quota::Access.count(self.instance_id.as_str(), &now.to_string()),
        ]
    }

    fn target(&self, decision: &Decision<'_>) -> Result<Target> {
        let user = UserRow::read(&decision.rows(0))?.ok_or_else(fields::missing)?;
        let instance = InstanceRow::read(&decision.rows(1))?.ok_or_else(fields::missing)?;
        if user.org_id.as_ref() != Some(&instance.org_id) {
            return Err(fields::missing());
        }
        Ok(Target {
            org_id: Some(instance.org_id),
            instance_id: Some(instance.instance_id),
            user_id: Some(user.user_id),
            ..Target::default()
        })
    }

    fn decide(&self, decision: &Decision<'_>) -> Result<Outcome> {
        if InstanceRow::read(&decision.rows(1))?.is_some_and(|row| !row.allowed) {
            return Err(fields::no_access());
        }
        if decision.rows(2).first().is_some() {
            return Ok(Outcome::unchanged(Answer::no_content()));
        }
        let count = decision.count(3);
        if count >= Quota::Access.limit() {
            return Err(fields::quota_reached(Quota::Access, count));
        }
        let now = decision.now;
        Ok(Outcome {
            statements: vec![
                access::guard_same_organization(&self.user_id, &self.instance_id),
                Quota::Access.guard(self.instance_id.as_str(), &now.to_string()),
                access::grant(
                    &self.user_id,
                    &self.instance_id,
                    &decision.auth.principal,
                    now,
                ),
            ],
            audited: Some(Audited {
                target_type: "user",
                target_id: self.user_id.to_string(),
                instance_id: Some(self.instance_id.clone()),
                before: Value::Null,
                after: json!({"access": self.instance_id}),
            }),
            answer: Answer::no_content(),
            publish: None,
        })
    }
}

/// Gives a user access to an instance; repeatable. A body is not read.
///
/// 1. User and instance exist in one organization (404), role admin (403), scope `config:write` (403).
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
    let change = GrantAccess {
        user_id,
        instance_id,
    };
    let answer = deps.mutate(&demand, &change).await?;
    Ok(answer.into_response(demand.context.request_id()))
}

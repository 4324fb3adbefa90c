//! `DELETE /user/{user_id}`.

use super::{check_administered, is_own, known, shown, target};
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::change::{Audited, Change, Decision, Demand, Outcome};
use crate::deps::Deps;
use crate::reach::check_unrestricted;
use api_types::{Timestamp, UserId};
use auth::permission::{Operation, Target, config_service};
use axum::extract::State;
use axum::response::Response;
use errors::{Code, Error, Result};
use middleware::{Context, IfMatch, Path, Presented};
use platform::{Ports, Statement};
use serde_json::json;
use store::control::api_keys::{self, Bounds};
use store::control::audit::ChainOf;
use store::control::{access, users};

struct DeleteUser {
    user_id: UserId,
}

impl Change for DeleteUser {
    const OPERATION: &'static Operation = &config_service::DELETE_USER;

    fn chain(&self) -> ChainOf {
        ChainOf::User(self.user_id.clone())
    }

    fn fingerprint(&self) -> String {
        String::new()
    }

    fn reads(&self, caller: &Presented, _now: Timestamp) -> Vec<Statement> {
        vec![
            users::by_id(&self.user_id),
            users::administered_without(&self.user_id),
            api_keys::bounds(&caller.key.key_id),
        ]
    }

    fn target(&self, decision: &Decision<'_>) -> Result<Target> {
        Ok(target(&known(decision.auth, &decision.rows(0))?))
    }

    fn decide(&self, decision: &Decision<'_>) -> Result<Outcome> {
        let user = known(decision.auth, &decision.rows(0))?;
        check_unrestricted(&Bounds::read(&decision.rows(2))?)?;
        decision.check_version(user.version, || shown(&user))?;
        if is_own(decision.auth, &user.user_id) {
            return Err(Error::new(Code::Conflict, "Nobody deletes himself."));
        }
        check_administered(decision, 1)?;
        let (id, by, now) = (&self.user_id, &decision.auth.principal, decision.now);
        Ok(Outcome {
            statements: vec![
                users::guard_version(id, user.version),
                users::guard_administered_without(id),
                users::delete(id, now),
                api_keys::revoke_of_user(id, by, "user deleted", now),
                access::revoke_all(id),
            ],
            audited: Some(Audited {
                target_type: "user",
                target_id: id.to_string(),
                instance_id: None,
                before: json!({
                    "email": user.email, "name": user.name, "role": user.role, "status": user.status,
                    "instance_ids": user.instances,
                }),
                after: json!({"status": "deleted"}),
            }),
            answer: Answer::no_content(),
            publish: None,
        })
    }
}

/// Deletes a user; keys, sessions and access end in the same batch.
///
/// 1. Role admin of the organization (404, 403), scope `config:write`, a key that is restricted to no
///    instances (403).
/// 2. `If-Match` (428, 412).
/// 3. Not oneself (409 `conflict`), not the last active administrator (409 `last_admin`).
///
/// 204. The e-mail may be used again.
pub(crate) async fn delete<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path(user_id): Path<UserId>,
    if_match: IfMatch,
) -> Result<Response> {
    let demand = Demand::repeatable(context, presented, if_match, "DELETE /user");
    let answer = deps.mutate(&demand, &DeleteUser { user_id }).await?;
    Ok(answer.into_response(demand.context.request_id()))
}

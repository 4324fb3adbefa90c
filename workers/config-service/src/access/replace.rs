//! `PUT /user/{user_id}/instance`.

use super::check_wanted;
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::change::{Audited, Body, Change, Decision, Demand, Outcome};
use crate::deps::Deps;
use crate::fields;
use api_types::{InstanceId, Timestamp, UserId};
use auth::permission::{Operation, Target, config_service};
use axum::extract::State;
use axum::response::Response;
use errors::Result;
use middleware::{Context, IfMatch, Path, Presented};
use platform::{Ports, Statement};
use serde::Deserialize;
use serde_json::json;
use store::control::access::{self, Standing};
use store::control::audit::ChainOf;
use store::control::users::{self, UserRow};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    instance_ids: Vec<InstanceId>,
}

struct ReplaceAccess {
    user_id: UserId,
    body: Body,
    instance_ids: Vec<InstanceId>,
}

fn ids(standing: &[Standing], which: impl Fn(&Standing) -> bool) -> Vec<InstanceId> {
    let wanted = standing.iter().filter(|instance| which(instance));
    wanted
        .map(|instance| instance.instance_id.clone())
        .collect()
}

impl Change for ReplaceAccess {
    const OPERATION: &'static Operation = &config_service::REPLACE_ACCESS;

    fn chain(&self) -> ChainOf {
        ChainOf::User(self.user_id.clone())
    }

    fn fingerprint(&self) -> String {
        String::new()
    }

    fn reads(&self, caller: &Presented, _now: Timestamp) -> Vec<Statement> {
        let caller = &caller.key.key_id;
        vec![
            users::by_id(&self.user_id),
            access::standing(&self.user_id, None, caller, &self.instance_ids),
        ]
    }

    fn target(&self, decision: &Decision<'_>) -> Result<Target> {
        let user = UserRow::read(&decision.rows(0))?.ok_or_else(fields::missing)?;
        if fields::is_foreign(decision.auth, user.org_id.as_ref()) {
            return Err(fields::missing());
        }
        Ok(Target {
            org_id: user.org_id,
            user_id: Some(user.user_id),
            ..Target::default()
        })
    }

    fn decide(&self, decision: &Decision<'_>) -> Result<Outcome> {
        let wanted: Wanted = self.body.parse()?;
        let standing = Standing::read_all(&decision.rows(1))?;
        check_wanted(&wanted.instance_ids, &standing)?;
        let added = ids(&standing, |x| x.wanted && !x.granted);
        // Rows of instances that are gone already are nobody's any more.
        let leaving = |x: &Standing| x.granted && !x.wanted && x.inside;
        if standing.iter().any(|x| leaving(x) && !x.reached) {
            return Err(fields::no_access());
        }
        let removed = ids(&standing, leaving);
        let answer = Answer::ok(json!({"added": added, "removed": removed}));
        if added.is_empty() && removed.is_empty() {
            return Ok(Outcome::unchanged(answer));
        }
        let (id, by) = (&self.user_id, &decision.auth.principal);
        Ok(Outcome {
            statements: vec![
                access::guard_each_in_organization(id, &added),
                access::guard_room_in_each(&added),
                access::grant_each(id, &added, by, decision.now),
                access::revoke_each(id, &removed),
            ],
            audited: Some(Audited {
                target_type: "user",
                target_id: id.to_string(),
                instance_id: None,
                before: json!({"access": ids(&standing, |x| x.granted && x.inside)}),
                after: json!({"access": ids(&standing, |x| x.wanted)}),
            }),
            answer,
            publish: None,
        })
    }
}

/// Replaces the instances that a user may use, all or nothing; repeatable.
///
/// 1. The user exists in the caller's organization (404), role admin (403), scope `config:write` (403).
/// 2. At most 100 instances (400), each of the user's organization (404); the key reaches all that come or
///    go (403).
/// 3. At most 500 users an instance (409).
///
/// 200 with what was added and removed.
pub(crate) async fn replace<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path(user_id): Path<UserId>,
    body: Body,
) -> Result<Response> {
    let demand = Demand::repeatable(context, presented, IfMatch::Missing, "PUT /user/instance");
    let wanted = body.parse::<Wanted>().ok();
    let change = ReplaceAccess {
        user_id,
        instance_ids: wanted.map(|wanted| wanted.instance_ids).unwrap_or_default(),
        body,
    };
    let answer = deps.mutate(&demand, &change).await?;
    Ok(answer.into_response(demand.context.request_id()))
}

//! `POST /user`.

use super::shown;
use crate::abuse::AbuseGuard;
use crate::access::check_wanted;
use crate::answer::Answer;
use crate::change::{Audited, Body, Change, Decision, Demand, Outcome};
use crate::deps::Deps;
use crate::fields;
use crate::page::word;
use crate::reach::check_gives_role;
use api_types::{InstanceId, OrgId, Role, Timestamp, UserId};
use auth::chain::canonical_json;
use auth::permission::{Operation, Target, config_service};
use axum::extract::State;
use axum::response::Response;
use errors::{Error, Result};
use middleware::{Context, IdempotencyKey, Presented};
use platform::{Ports, Statement};
use serde::Deserialize;
use serde_json::{Value, json};
use store::control::access::{self, Standing};
use store::control::api_keys::{self, Bounds};
use store::control::audit::ChainOf;
use store::control::guard::Quota;
use store::control::organizations::{self, OrganizationRow};
use store::control::users::{self, NewUser, UserRow};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    email: String,
    #[serde(default)]
    name: Option<String>,
    role: Role,
    #[serde(default)]
    org_id: Option<OrgId>,
    #[serde(default)]
    instance_ids: Vec<InstanceId>,
}

struct CreateUser {
    body: Body,
    user_id: UserId,
    org_id: Option<OrgId>,
    instance_ids: Vec<InstanceId>,
}

impl CreateUser {
    fn org_of(&self, decision: &Decision<'_>) -> Option<OrgId> {
        self.org_id.clone().or_else(|| decision.auth.org_id.clone())
    }
}

impl Change for CreateUser {
    const OPERATION: &'static Operation = &config_service::CREATE_USER;

    fn chain(&self) -> ChainOf {
        self.org_id
            .clone()
            .map_or(ChainOf::Caller, ChainOf::Organization)
    }

    fn fingerprint(&self) -> String {
        self.body.0.as_ref().map(canonical_json).unwrap_or_default()
    }

    fn reads(&self, caller: &Presented, _now: Timestamp) -> Vec<Statement> {
        let caller = &caller.key.key_id;
        let org = self.org_id.as_ref();
        vec![
            organizations::named_or_own(org, caller),
            Quota::Users.count_in(org, caller),
            access::standing(&self.user_id, org, caller, &self.instance_ids),
            access::of_organization(org, caller),
            api_keys::bounds(caller),
        ]
    }

    fn target(&self, decision: &Decision<'_>) -> Result<Target> {
        if self.org_id.is_some() && OrganizationRow::read(&decision.rows(0))?.is_none() {
            return Err(fields::missing());
        }
        Ok(Target {
            org_id: self.org_of(decision),
            ..Target::default()
        })
    }

    fn decide(&self, decision: &Decision<'_>) -> Result<Outcome> {
        let wanted: Wanted = self.body.parse()?;
        let email = fields::email("email", &wanted.email)?;
        let name = match &wanted.name {
            Some(name) => fields::name("name", name)?,
            None => String::new(),
        };
        let org_id = match wanted.role {
            Role::Superadmin if decision.auth.role != Role::Superadmin => {
                return Err(fields::role_required("superadmin"));
            }
            Role::Superadmin if wanted.org_id.is_some() => {
                return Err(Error::invalid_field(
                    "org_id",
                    "a superadmin belongs to no organization",
                ));
            }
            Role::Superadmin => None,
            _ => Some(self.org_of(decision).ok_or_else(|| {
                Error::invalid_field("org_id", "must name the organization of the user")
            })?),
        };
        check_gives_role(
            decision.auth,
            &Bounds::read(&decision.rows(4))?,
            wanted.role,
        )?;
        if wanted.role != Role::User && !wanted.instance_ids.is_empty() {
            return Err(Error::invalid_field(
                "instance_ids",
                "only users are assigned to instances; administrators have all of their organization",
            ));
        }
        let standing = Standing::read_all(&decision.rows(2))?;
        check_wanted(&wanted.instance_ids, &standing)?;
        let instance_ids: Vec<InstanceId> = standing.into_iter().map(|x| x.instance_id).collect();
        let now = decision.now;
        let mut statements = Vec::new();
        if let Some(org_id) = &org_id {
            let count = decision.count(1);
            if count >= Quota::Users.limit() {
                return Err(fields::quota_reached(Quota::Users, count));
            }
            statements.push(Quota::Users.guard(org_id.as_str(), &now.to_string()));
        }
        let instances = match wanted.role {
            Role::Admin => access::read_instances(&decision.rows(3))?,
            _ => instance_ids.clone(),
        };
        let role = word(wanted.role);
        statements.push(users::create(&NewUser {
            user_id: &self.user_id,
            email: &email,
            name: &name,
            role: &role,
            org_id: org_id.as_ref(),
            now,
        }));
        if !instance_ids.is_empty() {
            let (id, by) = (&self.user_id, &decision.auth.principal);
            statements.extend([
                access::guard_each_in_organization(id, &instance_ids),
                access::guard_room_in_each(&instance_ids),
                access::grant_each(id, &instance_ids, by, now),
            ]);
        }
        let audited = json!({
            "email": email, "name": name, "role": wanted.role, "instance_ids": instance_ids,
        });
        let user = UserRow {
            user_id: self.user_id.clone(),
            email,
            name,
            role: wanted.role,
            org_id,
            status: "active".into(),
            version: 1,
            created_at: now,
            updated_at: now,
            last_seen_at: None,
            instances,
        };
        Ok(Outcome {
            statements,
            audited: Some(Audited {
                target_type: "user",
                target_id: self.user_id.to_string(),
                instance_id: None,
                before: Value::Null,
                after: audited,
            }),
            answer: Answer::created(shown(&user), format!("/user/{}", self.user_id)).at_version(1),
            publish: None,
        })
    }
}

/// Creates a user.
///
/// 1. Role admin of the organization (404, 403), scope `config:write` (403); role superadmin by a
///    superadmin only, a role above user by a key of no instances with all scopes of that role (403).
/// 2. `email`, `role`, `name` (400); instances of the organization (404) that the key reaches (403).
/// 3. At most 1,000 an organization and 500 an instance, the e-mail is free in the organization (409).
///
/// 201 with `Location`.
pub(crate) async fn create<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    key: IdempotencyKey,
    body: Body,
) -> Result<Response> {
    let demand = Demand::post(context, presented, key, "/user");
    let wanted = body.parse::<Wanted>().ok();
    let change = CreateUser {
        user_id: deps.new_id()?,
        org_id: body.text("org_id").and_then(|id| OrgId::parse(id).ok()),
        instance_ids: wanted.map(|wanted| wanted.instance_ids).unwrap_or_default(),
        body,
    };
    let answer = deps.mutate(&demand, &change).await?;
    Ok(answer.into_response(demand.context.request_id()))
}

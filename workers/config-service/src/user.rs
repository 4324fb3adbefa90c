//! `POST /user`, `GET /user/{user_id}`.

use crate::abuse::AbuseGuard;
use crate::answer::{Answer, unless_known};
use crate::change::{Audited, Body, Change, Decision, Demand, Outcome};
use crate::deps::Deps;
use crate::fields;
use crate::principal::effective_scopes;
use api_types::{InstanceId, OrgId, Role, Scope, Timestamp, UserId};
use auth::chain::canonical_json;
use auth::permission::{Operation, Target, config_service, permit};
use axum::extract::State;
use axum::response::Response;
use errors::{Error, Result};
use http::HeaderMap;
use middleware::{Context, IdempotencyKey, Path, Presented};
use platform::{Ports, Statement};
use serde::Deserialize;
use serde_json::{Value, json};
use store::control::access;
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
            access::in_organization(org, caller, &self.instance_ids),
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
        if wanted.role != Role::User && !wanted.instance_ids.is_empty() {
            return Err(Error::invalid_field(
                "instance_ids",
                "only users are assigned to instances; administrators have all of their organization",
            ));
        }
        let known = access::read_instances(&decision.rows(2))?;
        if !wanted.instance_ids.iter().all(|id| known.contains(id)) {
            return Err(fields::missing());
        }
        let now = decision.now;
        let mut statements = Vec::new();
        if let Some(org_id) = &org_id {
            let count = decision.count(1);
            if count >= Quota::Users.limit() {
                return Err(fields::quota_reached(Quota::Users, count));
            }
            statements.push(Quota::Users.guard(org_id.as_str(), &now.to_string()));
        }
        let role = json!(wanted.role);
        statements.push(users::create(&NewUser {
            user_id: &self.user_id,
            email: &email,
            name: &name,
            role: role.as_str().unwrap_or_default(),
            org_id: org_id.as_ref(),
            now,
        }));
        for instance_id in &wanted.instance_ids {
            let id = instance_id.as_str();
            statements.push(Quota::Access.guard(id, &now.to_string()));
            statements.push(access::grant(
                &self.user_id,
                instance_id,
                &decision.auth.principal,
                now,
            ));
        }
        Ok(Outcome {
            statements,
            audited: Some(Audited {
                target_type: "user",
                target_id: self.user_id.to_string(),
                instance_id: None,
                before: Value::Null,
                after: json!({
                    "email": email, "name": name, "role": wanted.role, "instance_ids": wanted.instance_ids,
                }),
            }),
            answer: Answer::created(
                json!({
                    "user_id": self.user_id, "email": email, "name": name, "role": wanted.role,
                    "org_id": org_id, "status": "active", "instances": wanted.instance_ids,
                    "version": 1, "created_at": now, "updated_at": now,
                }),
                format!("/user/{}", self.user_id),
            )
            .at_version(1),
            publish: None,
        })
    }
}

/// Creates a user.
///
/// 1. Role admin of the organization (404, 403), scope `config:write` (403); role superadmin by a
///    superadmin only (403).
/// 2. `email`, `role`, `name` (400); instances of the organization (404).
/// 3. At most 1,000 an organization, the e-mail is free in it (409).
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

/// One user with what the user may do.
///
/// 1. Own user, or an administrator over it (404, 403).
///
/// 200, or 304 for a known version.
pub(crate) async fn get<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path(user_id): Path<UserId>,
    headers: HeaderMap,
) -> Result<Response> {
    let read = deps
        .read_as(
            &presented.key,
            context.client_ip(),
            None,
            vec![users::by_id(&user_id)],
        )
        .await?;
    context.identify(&read.auth, None, None);
    let user = UserRow::read(&read.rows(0))?.ok_or_else(fields::missing)?;
    let own = read.auth.user.as_ref().map(|own| &own.user_id) == Some(&user.user_id);
    if !own && fields::is_foreign(&read.auth, user.org_id.as_ref()) {
        return Err(fields::missing());
    }
    let target = Target {
        org_id: user.org_id.clone(),
        user_id: Some(user.user_id.clone()),
        ..Target::default()
    };
    permit(&config_service::GET_USER, &read.auth, &target)?;
    let body = json!({
        "user_id": user.user_id, "email": user.email, "name": user.name, "role": user.role,
        "org_id": user.org_id, "status": user.status, "instances": user.instances,
        "permissions": effective_scopes(&[Scope::All], user.role, false),
        "version": user.version, "created_at": user.created_at, "last_seen_at": user.last_seen_at,
    });
    let answer = unless_known(&headers, user.version, Answer::ok(body));
    Ok(answer.into_response(context.request_id()))
}

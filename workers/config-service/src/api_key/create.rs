//! `POST /api-key`: a new key, shown once.
//!
//! In scope: for whom, with which scopes and instances. Out of scope: form and hash of keys (`auth`).

use super::{
    check_end, check_every_scope, check_grantable, check_instance_ids, check_own, check_scopes,
    check_times, end_of_shown,
};
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::change::{Audited, Body, Change, Decision, Demand, Outcome};
use crate::deps::Deps;
use crate::fields;
use crate::principal::default_scopes;
use api_types::{InstanceId, OrgId, ProjectId, Role, Scope, Timestamp, UserId};
use auth::chain::canonical_json;
use auth::key::MintedKey;
use auth::permission::{Operation, Target, config_service};
use axum::extract::State;
use axum::response::Response;
use errors::{Code, Error, Result};
use middleware::{Context, IdempotencyKey, Presented};
use platform::{Ports, Statement};
use serde::Deserialize;
use serde_json::{Value, json};
use store::control::api_keys::{self, Bounds, NewKey};
use store::control::audit::ChainOf;
use store::control::guard::Quota;
use store::control::projects::{self, ProjectRow};
use store::control::users::{self, UserRow};

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default)]
    user_id: Option<UserId>,
    #[serde(default)]
    project_id: Option<ProjectId>,
    name: String,
    #[serde(default)]
    scopes: Option<Vec<Scope>>,
    #[serde(default)]
    instance_ids: Option<Vec<InstanceId>>,
    #[serde(default)]
    expires_at: Option<Timestamp>,
}

struct CreateApiKey {
    body: Body,
    user_id: Option<UserId>,
    project_id: Option<ProjectId>,
    instance_ids: Vec<InstanceId>,
    minted: MintedKey,
}

enum Owner {
    User(UserRow),
    Project(ProjectRow),
}

impl Owner {
    fn org_id(&self) -> Option<&OrgId> {
        match self {
            Self::User(user) => user.org_id.as_ref(),
            Self::Project(project) => Some(&project.org_id),
        }
    }

    fn id(&self) -> &str {
        match self {
            Self::User(user) => user.user_id.as_str(),
            Self::Project(project) => project.project_id.as_str(),
        }
    }
}

impl CreateApiKey {
    fn owner(&self, decision: &Decision<'_>) -> Result<Owner> {
        let owner = if self.project_id.is_some() {
            ProjectRow::read(&decision.rows(0))?.map(Owner::Project)
        } else {
            UserRow::read(&decision.rows(0))?.map(Owner::User)
        };
        owner.ok_or_else(fields::missing)
    }

    fn scopes(wanted: &Wanted, owner: &Owner, decision: &Decision<'_>) -> Result<Vec<Scope>> {
        let of_project = matches!(owner, Owner::Project(_));
        let role = match owner {
            Owner::User(user) => user.role,
            Owner::Project(_) => Role::User,
        };
        let scopes = match &wanted.scopes {
            Some(scopes) if scopes.is_empty() => {
                return Err(Error::invalid_field("scopes", "must not be empty"));
            }
            Some(scopes) => scopes.clone(),
            None => default_scopes(of_project),
        };
        check_scopes(decision.auth, &scopes, role, of_project)?;
        // One that the owner's role does not allow would sleep in the key until the role is a higher one.
        let named = scopes.iter().copied().filter(|scope| *scope != Scope::All);
        check_own(decision.auth, named)?;
        check_every_scope(&Bounds::read(&decision.rows(3))?, &scopes)?;
        Ok(scopes)
    }

    /// Nobody mints instances beyond his own.
    fn check_instances(wanted: &Wanted, owner: &Owner, decision: &Decision<'_>) -> Result<()> {
        if wanted.instance_ids.is_none() {
            return if Bounds::read(&decision.rows(3))?.instance_ids.is_some() {
                Err(Error::new(
                    Code::Forbidden,
                    "This key is restricted to instances, so a key it mints must be too: name instance_ids.",
                ))
            } else {
                Ok(())
            };
        }
        check_grantable(decision.auth, owner.org_id(), &decision.rows(2))
    }
}

impl Change for CreateApiKey {
    const OPERATION: &'static Operation = &config_service::CREATE_API_KEY;

    fn chain(&self) -> ChainOf {
        match (&self.project_id, &self.user_id) {
            (Some(project_id), _) => ChainOf::Project(project_id.clone()),
            (None, Some(user_id)) => ChainOf::User(user_id.clone()),
            (None, None) => ChainOf::Caller,
        }
    }

    fn fingerprint(&self) -> String {
        self.body.0.as_ref().map(canonical_json).unwrap_or_default()
    }

    fn reads(&self, caller: &Presented, now: Timestamp) -> Vec<Statement> {
        let caller = &caller.key.key_id;
        let now = now.to_string();
        let mut statements = match (&self.project_id, &self.user_id) {
            (Some(project_id), _) => vec![
                projects::by_id(project_id),
                Quota::ProjectKeys.count(project_id.as_str(), &now),
            ],
            (None, Some(user_id)) => vec![
                users::by_id(user_id),
                Quota::UserKeys.count(user_id.as_str(), &now),
            ],
            (None, None) => vec![
                users::of_key(caller),
                Quota::UserKeys.count_of_owner(caller, &now),
            ],
        };
        statements.push(api_keys::grantable(caller, &self.instance_ids));
        statements.push(api_keys::bounds(caller));
        statements
    }

    fn target(&self, decision: &Decision<'_>) -> Result<Target> {
        if self.user_id.is_none() && self.project_id.is_none() && decision.auth.user.is_none() {
            // A project key mints nothing; the table says so.
            return Ok(Target {
                org_id: decision.auth.org_id.clone(),
                ..Target::default()
            });
        }
        let owner = self.owner(decision)?;
        if fields::is_foreign(decision.auth, owner.org_id()) {
            return Err(fields::missing());
        }
        let org_id = owner.org_id().cloned();
        Ok(match owner {
            Owner::User(user) => Target {
                org_id,
                user_id: Some(user.user_id),
                ..Target::default()
            },
            Owner::Project(_) if decision.auth.role == Role::User => {
                return Err(fields::role_required("admin"));
            }
            Owner::Project(project) => Target {
                org_id,
                instance_id: Some(project.instance_id),
                project_id: Some(project.project_id),
                ..Target::default()
            },
        })
    }

    fn decide(&self, decision: &Decision<'_>) -> Result<Outcome> {
        let owner = self.owner(decision)?;
        let wanted: Wanted = self.body.parse()?;
        if wanted.user_id.is_some() && wanted.project_id.is_some() {
            return Err(Error::invalid_field(
                "project_id",
                "a key belongs to a user or to a project, not to both",
            ));
        }
        let scopes = Self::scopes(&wanted, &owner, decision)?;
        Self::check_instances(&wanted, &owner, decision)?;
        let name = fields::name("name", &wanted.name)?;
        check_times(wanted.expires_at, decision.now)?;
        let bounds = Bounds::read(&decision.rows(3))?;
        check_end(end_of_shown(decision.auth, &bounds), wanted.expires_at)?;
        check_instance_ids(wanted.instance_ids.as_deref())?;
        let quota = match &owner {
            Owner::User(user) if user.status != "active" => {
                return Err(Error::new(Code::Conflict, "The user is not active."));
            }
            Owner::User(_) => Quota::UserKeys,
            Owner::Project(_) => Quota::ProjectKeys,
        };
        let count = decision.count(1);
        if count >= quota.limit() {
            return Err(fields::quota_reached(quota, count));
        }
        let (user_id, project_id, guard) = match &owner {
            Owner::User(user) => (
                Some(&user.user_id),
                None,
                api_keys::guard_active_user(&user.user_id),
            ),
            Owner::Project(project) => (
                None,
                Some(&project.project_id),
                api_keys::guard_active_project(&project.project_id),
            ),
        };
        let now = decision.now;
        let pepper = decision.settings.peppers()?.current();
        let minted = &self.minted;
        let new = NewKey {
            key_id: &minted.key_id,
            user_id,
            project_id,
            name: &name,
            key_hash: &pepper.key_hash(&minted.secret),
            pepper_id: pepper.id(),
            last4: &minted.last4,
            scopes: &scopes,
            instance_ids: wanted.instance_ids.as_deref(),
            expires_at: wanted.expires_at,
            created_by: &decision.auth.principal,
            now,
        };
        let shared = json!({
            "name": name, "user_id": user_id, "project_id": project_id, "scopes": scopes,
            "instance_ids": wanted.instance_ids, "expires_at": wanted.expires_at,
        });
        let mut body = json!({
            "key_id": minted.key_id, "api_key": minted.api_key.expose(), "shown_once": true,
            "last4": minted.last4, "version": 1, "created_at": now,
        });
        if let (Value::Object(body), Value::Object(shared)) = (&mut body, shared.clone()) {
            body.extend(shared);
        }
        Ok(Outcome {
            statements: vec![
                guard,
                quota.guard(owner.id(), &now.to_string()),
                api_keys::create(&new),
            ],
            audited: Some(Audited {
                target_type: "api_key",
                target_id: minted.key_id.to_string(),
                instance_id: None,
                before: Value::Null,
                after: shared,
            }),
            answer: Answer {
                secret: true,
                ..Answer::created(body, format!("/api-key/{}", minted.key_id))
            }
            .at_version(1),
            publish: None,
        })
    }
}

/// Mints a key; its secret is in this answer only.
///
/// 1. Own user, or an administrator over user or project (404, 403), scope `keys:write` (403).
/// 2. Scopes and instances within the caller's own (403, 404).
/// 3. `name`, `expires_at` (400).
/// 4. The owner is active, at most 20 live keys (409).
///
/// 201 with `Location`; repeated with the same `Idempotency-Key` for 10 minutes.
pub(crate) async fn create<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    key: IdempotencyKey,
    body: Body,
) -> Result<Response> {
    let demand = Demand::post(context, presented, key, "/api-key");
    let wanted = body.parse::<Wanted>().ok();
    let change = CreateApiKey {
        user_id: body.text("user_id").and_then(|id| UserId::parse(id).ok()),
        project_id: body
            .text("project_id")
            .and_then(|id| ProjectId::parse(id).ok()),
        instance_ids: wanted
            .and_then(|wanted| wanted.instance_ids)
            .unwrap_or_default(),
        minted: auth::key::mint(&deps.random),
        body,
    };
    let answer = deps.mutate(&demand, &change).await?;
    Ok(answer.into_response(demand.context.request_id()))
}

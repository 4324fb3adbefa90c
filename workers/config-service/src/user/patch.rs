//! `PATCH /user/{user_id}`.

use super::{check_administered, is_own, known, shown, target};
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::change::{Audited, Body, Change, Decision, Demand, Outcome};
use crate::deps::Deps;
use crate::fields;
use crate::page::word;
use crate::patch::{Members, changes, merge};
use crate::reach::{check_gives_role, check_unrestricted};
use api_types::{Role, Timestamp, UserId};
use auth::permission::{Operation, Target, config_service};
use axum::extract::State;
use axum::response::Response;
use errors::{Code, Error, Result};
use middleware::{Context, IfMatch, Path, Presented, parse_json};
use platform::{Ports, Statement};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::control::api_keys::{self, Bounds};
use store::control::audit::ChainOf;
use store::control::users::{self, UserRow};

const MEMBERS: Members = Members {
    editable: &["name", "role", "status"],
    read_only: &[
        ("user_id", None),
        ("email", None),
        ("org_id", None),
        ("instances", Some("PUT /user/{user_id}/instance")),
        ("permissions", None),
        ("keys", Some("POST /api-key")),
        ("version", None),
        ("created_at", None),
        ("updated_at", None),
        ("last_seen_at", None),
        ("request_id", None),
    ],
};

#[derive(Clone, Copy, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Active,
    Disabled,
}

#[derive(Deserialize)]
struct Edited {
    /// Missing: no name.
    #[serde(default)]
    name: Option<String>,
    role: Role,
    status: Status,
}

impl Edited {
    /// What the row is after the patch.
    fn of(user: &UserRow, patch: &Value) -> Result<Self> {
        let mut now = json!({"role": user.role, "status": user.status});
        if let (Some(members), false) = (now.as_object_mut(), user.name.is_empty()) {
            members.insert("name".into(), json!(user.name));
        }
        parse_json(merge(&now, patch))
    }
}

struct PatchUser {
    user_id: UserId,
    body: Body,
}

impl PatchUser {
    /// A key takes nobody out of instances that it does not reach, nor lets anybody in; and it gives no role, nor the
    /// active keys of one, that can do more than itself.
    ///
    /// # Errors
    /// 403 `forbidden`, `scope_missing`.
    fn check_reach(decision: &Decision<'_>, user: &UserRow, edited: &Edited) -> Result<()> {
        let (raised, role_changed) = (edited.role > user.role, edited.role != user.role);
        let status_changed = word(edited.status) != user.status;
        if !role_changed && !status_changed {
            return Ok(());
        }
        let bounds = Bounds::read(&decision.rows(3))?;
        check_unrestricted(&bounds)?;
        if raised || (status_changed && edited.status == Status::Active) {
            check_gives_role(decision.auth, &bounds, edited.role)?;
        }
        Ok(())
    }

    /// Nobody takes his own role or access away, and nobody moves between organization and platform.
    fn check_role(decision: &Decision<'_>, user: &UserRow, edited: &Edited) -> Result<()> {
        let changed = edited.role != user.role || word(edited.status) != user.status;
        if changed && is_own(decision.auth, &user.user_id) {
            return Err(Error::new(
                Code::Conflict,
                "Nobody changes his own role or status.",
            ));
        }
        if (edited.role == Role::Superadmin) != (user.role == Role::Superadmin) {
            return Err(Error::new(
                Code::Conflict,
                "A superadmin belongs to no organization and nobody else can: create another user.",
            ));
        }
        Ok(())
    }
}

impl Change for PatchUser {
    const OPERATION: &'static Operation = &config_service::UPDATE_USER;

    fn chain(&self) -> ChainOf {
        ChainOf::User(self.user_id.clone())
    }

    fn fingerprint(&self) -> String {
        // A PATCH names its version: it has no stored answer.
        String::new()
    }

    fn reads(&self, caller: &Presented, _now: Timestamp) -> Vec<Statement> {
        let role = self.body.text("role").unwrap_or_default();
        vec![
            users::by_id(&self.user_id),
            users::administered_without(&self.user_id),
            users::instances_as(&self.user_id, role),
            api_keys::bounds(&caller.key.key_id),
        ]
    }

    fn target(&self, decision: &Decision<'_>) -> Result<Target> {
        Ok(target(&known(decision.auth, &decision.rows(0))?))
    }

    fn decide(&self, decision: &Decision<'_>) -> Result<Outcome> {
        let user = known(decision.auth, &decision.rows(0))?;
        let patch = self.body.0.clone()?;
        MEMBERS.check(&patch)?;
        let edited = Edited::of(&user, &patch)?;
        if edited.role == Role::Superadmin && decision.auth.role != Role::Superadmin {
            return Err(fields::role_required("superadmin"));
        }
        Self::check_reach(decision, &user, &edited)?;
        let name = match &edited.name {
            Some(name) => fields::name("name", name)?,
            None => String::new(),
        };
        decision.check_version(user.version, || shown(&user))?;
        let status = word(edited.status);
        let before = json!({"name": user.name, "role": user.role, "status": user.status});
        let after = json!({"name": name, "role": edited.role, "status": status});
        if before == after {
            let answer = Answer::ok(shown(&user)).at_version(user.version);
            return Ok(Outcome::unchanged(answer));
        }
        Self::check_role(decision, &user, &edited)?;
        let now = decision.now;
        let mut statements = vec![users::guard_version(&self.user_id, user.version)];
        if edited.role < user.role || edited.status != Status::Active {
            check_administered(decision, 1)?;
            statements.push(users::guard_administered_without(&self.user_id));
        }
        let role = word(edited.role);
        statements.push(users::update(&self.user_id, &name, &role, &status, now));
        let (before, after) = changes(&before, &after);
        let new = UserRow {
            name,
            role: edited.role,
            status,
            version: user.version + 1,
            updated_at: now,
            instances: if edited.role == user.role {
                user.instances
            } else {
                users::read_instances_as(&decision.rows(2))?
            },
            ..user
        };
        Ok(Outcome {
            statements,
            audited: Some(Audited {
                target_type: "user",
                target_id: self.user_id.to_string(),
                instance_id: None,
                before,
                after,
            }),
            answer: Answer::ok(shown(&new)).at_version(new.version),
            publish: None,
        })
    }
}

/// Changes a user; `status` `disabled` stops all of the user's keys.
///
/// 1. Role admin of the organization (404, 403), scope `config:write` (403); role superadmin by a
///    superadmin only (403). Role and status by a key that is restricted to no instances; to raise the role or to make
///    active again takes all scopes of that role (403).
/// 2. `name`, `role`, `status` (400).
/// 3. `If-Match` (428, 412).
/// 4. Not the own role or status, not between organization and platform (409 `conflict`), not the
///    last active administrator (409 `last_admin`).
///
/// 200 with the user; a patch that changes nothing leaves the version as it is.
pub(crate) async fn patch<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path(user_id): Path<UserId>,
    if_match: IfMatch,
    body: Body,
) -> Result<Response> {
    let demand = Demand::repeatable(context, presented, if_match, "PATCH /user");
    let answer = deps.mutate(&demand, &PatchUser { user_id, body }).await?;
    Ok(answer.into_response(demand.context.request_id()))
}

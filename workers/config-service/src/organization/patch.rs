//! `PATCH /organization/{org_id}`.

use super::{known, shown, target};
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::change::{Audited, Body, Change, Decision, Demand, Outcome};
use crate::deps::Deps;
use crate::fields;
use crate::page::word;
use crate::patch::{Members, changes, merge};
use crate::reach::check_unrestricted;
use api_types::{OrgId, Role, Timestamp};
use auth::permission::{Operation, Target, config_service};
use axum::extract::State;
use axum::response::Response;
use errors::Result;
use middleware::{Context, IfMatch, Path, Presented, parse_json};
use platform::{Ports, Statement};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::control::api_keys::{self, Bounds};
use store::control::audit::ChainOf;
use store::control::organizations::{self, OrganizationRow};

const MEMBERS: Members = Members {
    editable: &["name", "billing_email", "status"],
    read_only: &[
        ("org_id", None),
        ("version", None),
        ("created_at", None),
        ("updated_at", None),
        ("request_id", None),
    ],
};

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Active,
    Suspended,
}

#[derive(Deserialize)]
struct Edited {
    name: String,
    billing_email: String,
    status: Status,
}

struct PatchOrganization {
    org_id: OrgId,
    body: Body,
}

impl Change for PatchOrganization {
    const OPERATION: &'static Operation = &config_service::UPDATE_ORGANIZATION;

    fn chain(&self) -> ChainOf {
        ChainOf::Organization(self.org_id.clone())
    }

    fn fingerprint(&self) -> String {
        // A PATCH names its version: it has no stored answer.
        String::new()
    }

    fn reads(&self, caller: &Presented, _now: Timestamp) -> Vec<Statement> {
        vec![
            organizations::by_id(&self.org_id),
            api_keys::bounds(&caller.key.key_id),
        ]
    }

    fn target(&self, decision: &Decision<'_>) -> Result<Target> {
        Ok(target(&known(decision.auth, &decision.rows(0))?))
    }

    fn decide(&self, decision: &Decision<'_>) -> Result<Outcome> {
        let row = known(decision.auth, &decision.rows(0))?;
        let patch = self.body.0.clone()?;
        MEMBERS.check(&patch)?;
        let before =
            json!({"name": row.name, "billing_email": row.billing_email, "status": row.status});
        let edited: Edited = parse_json(merge(&before, &patch))?;
        let status = word(edited.status);
        if status != row.status && decision.auth.role != Role::Superadmin {
            return Err(fields::role_required("superadmin"));
        }
        if status != row.status {
            check_unrestricted(&Bounds::read(&decision.rows(1))?)?;
        }
        let name = fields::name("name", &edited.name)?;
        let billing_email = fields::email("billing_email", &edited.billing_email)?;
        decision.check_version(row.version, || shown(&row))?;
        let after = json!({"name": name, "billing_email": billing_email, "status": status});
        if before == after {
            let answer = Answer::ok(shown(&row)).at_version(row.version);
            return Ok(Outcome::unchanged(answer));
        }
        let (before, after) = changes(&before, &after);
        let now = decision.now;
        let new = OrganizationRow {
            name,
            billing_email,
            status,
            version: row.version + 1,
            updated_at: now,
            ..row
        };
        Ok(Outcome {
            statements: vec![
                organizations::guard_version(&self.org_id, row.version),
                organizations::update(
                    &self.org_id,
                    &new.name,
                    &new.billing_email,
                    &new.status,
                    now,
                ),
            ],
            audited: Some(Audited {
                target_type: "organization",
                target_id: self.org_id.to_string(),
                instance_id: None,
                before,
                after,
            }),
            answer: Answer::ok(shown(&new)).at_version(new.version),
            publish: None,
        })
    }
}

/// Changes an organization; `status` `suspended` stops all of its keys.
///
/// 1. Role admin of the organization (404, 403), scope `config:write` (403); `status` by a superadmin
///    only, with a key that is restricted to no instances (403).
/// 2. `name`, `billing_email`, `status` (400).
/// 3. `If-Match` (428, 412).
///
/// 200 with the organization; a patch that changes nothing leaves the version as it is.
pub(crate) async fn patch<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path(org_id): Path<OrgId>,
    if_match: IfMatch,
    body: Body,
) -> Result<Response> {
    let demand = Demand::repeatable(context, presented, if_match, "PATCH /organization");
    let change = PatchOrganization { org_id, body };
    let answer = deps.mutate(&demand, &change).await?;
    Ok(answer.into_response(demand.context.request_id()))
}

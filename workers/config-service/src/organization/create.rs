//! `POST /organization`.

use super::shown;
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::change::{Audited, Body, Change, Decision, Demand, Outcome};
use crate::deps::Deps;
use crate::fields;
use api_types::{OrgId, Timestamp};
use auth::chain::canonical_json;
use auth::permission::{Operation, Target, config_service};
use axum::extract::State;
use axum::response::Response;
use errors::Result;
use middleware::{Context, IdempotencyKey, Presented};
use platform::{Ports, Statement};
use serde::Deserialize;
use serde_json::json;
use store::control::audit::ChainOf;
use store::control::guard::Quota;
use store::control::organizations::{self, OrganizationRow};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    name: String,
    billing_email: String,
}

struct CreateOrganization {
    body: Body,
    org_id: OrgId,
}

impl Change for CreateOrganization {
    const OPERATION: &'static Operation = &config_service::CREATE_ORGANIZATION;

    fn chain(&self) -> ChainOf {
        ChainOf::Organization(self.org_id.clone())
    }

    fn fingerprint(&self) -> String {
        self.body.0.as_ref().map(canonical_json).unwrap_or_default()
    }

    fn reads(&self, _caller: &Presented, now: Timestamp) -> Vec<Statement> {
        vec![Quota::Organizations.count("", &now.to_string())]
    }

    fn target(&self, _decision: &Decision<'_>) -> Result<Target> {
        Ok(Target::default())
    }

    fn decide(&self, decision: &Decision<'_>) -> Result<Outcome> {
        let wanted: Wanted = self.body.parse()?;
        let name = fields::name("name", &wanted.name)?;
        let billing_email = fields::email("billing_email", &wanted.billing_email)?;
        let count = decision.count(0);
        if count >= Quota::Organizations.limit() {
            return Err(fields::quota_reached(Quota::Organizations, count));
        }
        let now = decision.now;
        let members = json!({"name": name, "billing_email": billing_email});
        let row = OrganizationRow {
            org_id: self.org_id.clone(),
            name,
            billing_email,
            status: "active".into(),
            version: 1,
            created_at: now,
            updated_at: now,
        };
        Ok(Outcome {
            statements: vec![
                Quota::Organizations.guard("", &now.to_string()),
                organizations::create(&row.org_id, &row.name, &row.billing_email, now),
            ],
            audited: Some(Audited {
                target_type: "organization",
                target_id: self.org_id.to_string(),
                instance_id: None,
                before: json!(null),
                after: members,
            }),
            answer: Answer::created(shown(&row), format!("/organization/{}", self.org_id))
                .at_version(1),
            publish: None,
        })
    }
}

/// Creates an organization.
///
/// 1. Role superadmin, scope `platform:write` (403).
/// 2. `name`, `billing_email` (400).
/// 3. At most 1,000 (409 `quota_reached`).
/// 4. Row and audit entry in one batch.
///
/// 201 with `Location`.
pub(crate) async fn create<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    key: IdempotencyKey,
    body: Body,
) -> Result<Response> {
    let demand = Demand::post(context, presented, key, "/organization");
    let change = CreateOrganization {
        body,
        org_id: deps.new_id()?,
    };
    let answer = deps.mutate(&demand, &change).await?;
    Ok(answer.into_response(demand.context.request_id()))
}

//! `POST /project`.

use super::{settings_text, shown};
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::change::{Audited, Body, Change, Decision, Demand, Outcome};
use crate::deps::Deps;
use crate::fields;
use api_types::{InstanceId, PrincipalKind, ProjectId, Timestamp};
use auth::chain::canonical_json;
use auth::permission::{Operation, Target, config_service};
use axum::extract::State;
use axum::response::Response;
use errors::{Code, Error, Result};
use middleware::{Context, IdempotencyKey, Presented};
use platform::{Ports, Statement};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::control::audit::ChainOf;
use store::control::guard::Quota;
use store::control::instances::{self, InstanceRow};
use store::control::projects::{self, NewProject, ProjectView};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    instance_id: InstanceId,
    name: String,
    #[serde(default)]
    settings: Map<String, Value>,
}

struct CreateProject {
    body: Body,
    project_id: ProjectId,
    instance_id: Option<InstanceId>,
}

impl Change for CreateProject {
    const OPERATION: &'static Operation = &config_service::CREATE_PROJECT;

    fn instance(&self) -> Option<&InstanceId> {
        self.instance_id.as_ref()
    }

    fn chain(&self) -> ChainOf {
        self.instance_id
            .clone()
            .map_or(ChainOf::Caller, ChainOf::Instance)
    }

    fn fingerprint(&self) -> String {
        self.body.0.as_ref().map(canonical_json).unwrap_or_default()
    }

    fn reads(&self, caller: &Presented, now: Timestamp) -> Vec<Statement> {
        match &self.instance_id {
            Some(instance_id) => vec![
                instances::for_caller(&caller.key.key_id, instance_id),
                Quota::Projects.count(instance_id.as_str(), &now.to_string()),
            ],
            None => Vec::new(),
        }
    }

    fn target(&self, decision: &Decision<'_>) -> Result<Target> {
        if self.instance_id.is_none() {
            return Ok(Target {
                org_id: decision.auth.org_id.clone(),
                ..Target::default()
            });
        }
        let row = InstanceRow::read(&decision.rows(0))?.ok_or_else(fields::missing)?;
        Ok(Target {
            org_id: Some(row.org_id),
            instance_id: Some(row.instance_id),
            ..Target::default()
        })
    }

    fn decide(&self, decision: &Decision<'_>) -> Result<Outcome> {
        if decision.auth.kind == PrincipalKind::ProjectKey {
            return Err(Error::new(
                Code::Forbidden,
                "A project key sees its own project only.",
            ));
        }
        let row = InstanceRow::read(&decision.rows(0))?;
        if row.as_ref().is_some_and(|row| !row.allowed) {
            return Err(fields::no_access());
        }
        let wanted: Wanted = self.body.parse()?;
        let name = fields::name("name", &wanted.name)?;
        let text = settings_text(&wanted.settings)?;
        let count = decision.count(1);
        if count >= Quota::Projects.limit() {
            return Err(fields::quota_reached(Quota::Projects, count));
        }
        let now = decision.now;
        let row = row.ok_or_else(fields::missing)?;
        let made = ProjectView {
            project_id: self.project_id.clone(),
            instance_id: wanted.instance_id,
            org_id: row.org_id,
            allowed: true,
            name,
            settings: wanted.settings,
            created_by: decision.auth.principal.clone(),
            version: 1,
            created_at: now,
            updated_at: now,
        };
        let new = NewProject {
            project_id: &made.project_id,
            instance_id: &made.instance_id,
            name: &made.name,
            settings: &text,
            created_by: &made.created_by,
            now,
        };
        Ok(Outcome {
            statements: vec![
                Quota::Projects.guard(made.instance_id.as_str(), &now.to_string()),
                projects::create(&new),
            ],
            audited: Some(Audited {
                target_type: "project",
                target_id: self.project_id.to_string(),
                instance_id: Some(made.instance_id.clone()),
                before: Value::Null,
                after: json!({"name": made.name, "settings": made.settings}),
            }),
            answer: Answer::created(shown(&made), format!("/project/{}", self.project_id))
                .at_version(1),
            publish: None,
        })
    }
}

/// Creates a project.
///
/// 1. The instance exists (404) and may be used (403), any `*:write` scope (403).
/// 2. `name`, `settings` of at most 16 KB (400).
/// 3. At most 1,000 an instance, the name is free (409).
///
/// 201 with `Location`.
pub(crate) async fn create<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    key: IdempotencyKey,
    body: Body,
) -> Result<Response> {
    let demand = Demand::post(context, presented, key, "/project");
    let named = body.text("instance_id");
    let change = CreateProject {
        instance_id: named.and_then(|id| InstanceId::parse(id).ok()),
        project_id: deps.new_id()?,
        body,
    };
    let answer = deps.mutate(&demand, &change).await?;
    Ok(answer.into_response(demand.context.request_id()))
}

//! `PATCH /project/{project_id}`.

use super::{known, settings_text, shown, target, usable};
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::change::{Audited, Body, Change, Decision, Demand, Outcome};
use crate::deps::Deps;
use crate::fields;
use crate::patch::{Members, changes, merge};
use api_types::{ProjectId, Timestamp};
use auth::permission::{Operation, Target, config_service};
use axum::extract::State;
use axum::response::Response;
use errors::Result;
use middleware::{Context, IfMatch, Path, Presented, parse_json};
use platform::{Ports, Statement};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::control::audit::ChainOf;
use store::control::projects::{self, ProjectView};

const MEMBERS: Members = Members {
    editable: &["name", "settings"],
    read_only: &[
        ("project_id", None),
        ("instance_id", None),
        ("org_id", None),
        ("status", Some("DELETE /project/{project_id}")),
        ("created_by", None),
        ("version", None),
        ("created_at", None),
        ("updated_at", None),
        ("request_id", None),
    ],
};

#[derive(Deserialize)]
struct Edited {
    name: String,
    /// Missing: none.
    #[serde(default)]
    settings: Map<String, Value>,
}

struct PatchProject {
    project_id: ProjectId,
    body: Body,
}

impl Change for PatchProject {
    const OPERATION: &'static Operation = &config_service::UPDATE_PROJECT;

    fn chain(&self) -> ChainOf {
        ChainOf::Project(self.project_id.clone())
    }

    fn fingerprint(&self) -> String {
        // A PATCH names its version: it has no stored answer.
        String::new()
    }

    fn reads(&self, caller: &Presented, _now: Timestamp) -> Vec<Statement> {
        vec![projects::for_caller(&caller.key.key_id, &self.project_id)]
    }

    fn target(&self, decision: &Decision<'_>) -> Result<Target> {
        Ok(target(&known(&decision.rows(0))?))
    }

    fn decide(&self, decision: &Decision<'_>) -> Result<Outcome> {
        let row = usable(&decision.rows(0))?;
        let patch = self.body.0.clone()?;
        MEMBERS.check(&patch)?;
        let before = json!({"name": row.name, "settings": row.settings});
        let edited: Edited = parse_json(merge(&before, &patch))?;
        let name = fields::name("name", &edited.name)?;
        let text = settings_text(&edited.settings)?;
        decision.check_version(row.version, || shown(&row))?;
        let after = json!({"name": name, "settings": edited.settings});
        if before == after {
            let answer = Answer::ok(shown(&row)).at_version(row.version);
            return Ok(Outcome::unchanged(answer));
        }
        let (before, after) = changes(&before, &after);
        let now = decision.now;
        let new = ProjectView {
            name,
            settings: edited.settings,
            version: row.version + 1,
            updated_at: now,
            ..row
        };
        Ok(Outcome {
            statements: vec![
                projects::guard_version(&self.project_id, row.version),
                projects::update(&self.project_id, &new.name, &text, now),
            ],
            audited: Some(Audited {
                target_type: "project",
                target_id: self.project_id.to_string(),
                instance_id: Some(new.instance_id.clone()),
                before,
                after,
            }),
            answer: Answer::ok(shown(&new)).at_version(new.version),
            publish: None,
        })
    }
}

/// Changes a project; `settings` are merged member by member.
///
/// 1. It exists in the caller's organization (404), the caller may use its instance, a project key is its own
///    (403), any `*:write` scope (403).
/// 2. `name`, `settings` of at most 16 KB (400).
/// 3. `If-Match` (428, 412).
/// 4. The name is free in the instance (409).
///
/// 200 with the project; a patch that changes nothing leaves the version as it is.
pub(crate) async fn patch<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path(project_id): Path<ProjectId>,
    if_match: IfMatch,
    body: Body,
) -> Result<Response> {
    let demand = Demand::repeatable(context, presented, if_match, "PATCH /project");
    let answer = deps
        .mutate(&demand, &PatchProject { project_id, body })
        .await?;
    Ok(answer.into_response(demand.context.request_id()))
}

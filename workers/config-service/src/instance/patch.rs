//! `PATCH /instance/{instance_id}`: a JSON merge patch of `name` and `config`.

use super::config::{self, Faults, PROVIDER_KEY_ROUTE};
use super::edit::{Current, Document, Edit, reads};
use super::target;
use crate::abuse::AbuseGuard;
use crate::change::{Body, Change, Decision, Demand, Outcome};
use crate::deps::Deps;
use crate::fields;
use crate::patch::merge;
use api_types::{InstanceId, Role, Timestamp};
use auth::permission::{Operation, Target, config_service};
use axum::extract::State;
use axum::response::Response;
use errors::{Code, Error, Result};
use middleware::{Context, IfMatch, Path, Presented};
use platform::{Ports, Statement};
use serde_json::{Map, Value};
use store::control::audit::ChainOf;

struct UpdateInstance {
    instance_id: InstanceId,
    body: Body,
    scopes: Option<Vec<String>>,
}

/// What the patch makes of the document. Mistakes of form are gathered, not told.
fn apply(
    patch: &Map<String, Value>,
    document: Document,
    role: Role,
    faults: &mut Faults,
) -> Result<Document> {
    let mut wanted = document;
    for (member, value) in patch {
        match (member.as_str(), value) {
            ("name", Value::String(name)) => match fields::name("name", name) {
                Ok(name) => wanted.name = name,
                Err(error) => faults.take("/name", error)?,
            },
            ("name", _) => faults.invalid("/name", "must be a string"),
            ("config", Value::Object(members)) => {
                config::derived_members(members, faults);
                if members.contains_key("api_keys") {
                    faults.read_only("/api_keys", PROVIDER_KEY_ROUTE);
                }
                wanted.config = merge(&wanted.config, value);
            }
            ("config", _) => faults.invalid("/config", "must be an object"),
            ("self_hosted", _) if role != Role::Superadmin => {
                return Err(fields::role_required("superadmin"));
            }
            ("self_hosted", Value::Bool(self_hosted)) => wanted.self_hosted = *self_hosted,
            ("self_hosted", _) => faults.invalid("/self_hosted", "must be a boolean"),
            ("api_keys", _) => faults.read_only("/api_keys", PROVIDER_KEY_ROUTE),
            (member, _) => match config::DERIVED.iter().find(|(name, _)| *name == member) {
                Some((_, route)) => faults.read_only(format!("/{member}"), route),
                None => faults.unknown(
                    format!("/{member}"),
                    "there is no such member; known are name, config and self_hosted, and members of the configuration stand in config",
                ),
            },
        }
    }
    Ok(wanted)
}

impl Change for UpdateInstance {
    const OPERATION: &'static Operation = &config_service::UPDATE_INSTANCE;

    fn instance(&self) -> Option<&InstanceId> {
        Some(&self.instance_id)
    }

    fn chain(&self) -> ChainOf {
        ChainOf::Instance(self.instance_id.clone())
    }

    fn fingerprint(&self) -> String {
        String::new()
    }

    fn reads(&self, caller: &Presented, now: Timestamp) -> Vec<Statement> {
        reads(caller, &self.instance_id, self.scopes.as_deref(), now)
    }

    fn target(&self, decision: &Decision<'_>) -> Result<Target> {
        target(decision)
    }

    fn decide(&self, decision: &Decision<'_>) -> Result<Outcome> {
        let current = Current::read(decision)?;
        let body = self.body.0.as_ref().map_err(Clone::clone)?;
        let patch = body.as_object().ok_or_else(|| {
            Error::new(Code::InvalidRequest, "A patch of an instance is an object.")
        })?;
        let role = decision.auth.role;
        let mut faults = Faults::default();
        let wanted = apply(patch, current.document(), role, &mut faults)?;
        let edit = Edit {
            decision,
            current: &current,
            show: &|current: &Current| current.flat(role),
        };
        edit.decide(wanted, faults)
    }
}

/// Changes name and configuration.
///
/// 1. The instance exists in the caller's organization (404), role admin (403), scope `config:write` (403);
///    `self_hosted` by a superadmin only (403).
/// 2. Form of the patch and rules of the whole result, all problems at once (400, 413).
/// 3. `If-Match` (428, 412 with what stands there now).
/// 4. A bucket that is in use (409 `deploy_managed`).
/// 5. Row, effective configuration, audit entry in one batch; publication.
///
/// 200 with the flat answer, also when nothing changed.
pub(crate) async fn update<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path(instance_id): Path<InstanceId>,
    if_match: IfMatch,
    body: Body,
) -> Result<Response> {
    let demand = Demand::repeatable(context, presented, if_match, "PATCH /instance");
    let change = UpdateInstance {
        instance_id,
        scopes: config::scopes_to_look_up(body.at("/config/budgets")),
        body,
    };
    let answer = deps.mutate(&demand, &change).await?;
    Ok(answer.into_response(demand.context.request_id()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn applied(patch: &Value, role: Role) -> Result<Document> {
        let document = Document {
            name: "N".into(),
            config: json!({"environment": "x", "routing": {"max_attempts": 2}}),
            worker_urls: std::collections::BTreeMap::new(),
            self_hosted: false,
        };
        let mut faults = Faults::default();
        let wanted = apply(patch.as_object().unwrap(), document, role, &mut faults)?;
        faults.into_result().map(|()| wanted)
    }

    #[test]
    fn null_removes_and_objects_merge() {
        let patch = json!({"config": {"environment": null, "routing": {"optimize": "cost"}}});
        let wanted = applied(&patch, Role::Admin).unwrap();
        assert_eq!(wanted.name, "N");
        assert_eq!(
            wanted.config,
            json!({"routing": {"max_attempts": 2, "optimize": "cost"}})
        );
    }

    #[test]
    fn all_mistakes_of_form_are_told_and_the_gravest_names_the_answer() {
        let patch = json!({"status": "active", "nmae": "x", "name": 1, "config": {"api_keys": {}, "worker_urls": {}}});
        let error = applied(&patch, Role::Admin).unwrap_err();
        assert_eq!(error.code, Code::ReadOnlyField);
        assert_eq!(error.details["field"], "status");
        assert_eq!(error.details["route"], "PUT /instance/{instance_id}/status");
        let pointers: Vec<&str> = error.details["problems"]
            .as_array()
            .unwrap()
            .iter()
            .map(|problem| problem["pointer"].as_str().unwrap())
            .collect();
        assert_eq!(
            pointers,
            ["/status", "/worker_urls", "/api_keys", "/nmae", "/name"]
        );
        let unknown = applied(&json!({"rate_limits": {}}), Role::Admin).unwrap_err();
        assert_eq!(unknown.code, Code::UnknownField);
        let wrong = applied(&json!({"config": null}), Role::Admin).unwrap_err();
        assert_eq!(wrong.code, Code::InvalidField);
    }

    #[test]
    fn only_a_superadmin_marks_an_instance_as_self_hosted() {
        let patch = json!({"self_hosted": true});
        let refused = applied(&patch, Role::Admin).unwrap_err();
        assert_eq!(refused.code, Code::RoleRequired);
        assert!(applied(&patch, Role::Superadmin).unwrap().self_hosted);
        assert!(applied(&json!({"self_hosted": 1}), Role::Superadmin).is_err());
    }
}

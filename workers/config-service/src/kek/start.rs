//! `POST /admin/kek-rotation`.

use super::{Facts, shown};
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::change::{Audited, Body, Change, Decision, Demand, Outcome};
use crate::deps::Deps;
use api_types::{RotationId, Timestamp};
use auth::chain::canonical_json;
use auth::permission::{Operation, Target, config_service};
use axum::extract::State;
use axum::response::Response;
use errors::{Code, Error, Result};
use middleware::{Context, IdempotencyKey, Presented};
use platform::{Ports, Rows, Statement};
use serde::Deserialize;
use serde_json::{Value, json};
use store::control::audit::ChainOf;
use store::control::kek::{self, Rotation, RotationState};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    to: String,
    #[serde(default)]
    dry_run: bool,
}

struct StartKekRotation<'a, P: Ports, G> {
    deps: &'a Deps<P, G>,
    body: Body,
}

/// The names of workers, with the instance that they serve.
fn workers(rows: &Rows) -> Vec<String> {
    let mut names: Vec<String> = rows
        .rows
        .iter()
        .map(|row| {
            let name = row.text("name").unwrap_or_default();
            match row.text("instance_id").filter(|id| !id.is_empty()) {
                Some(instance_id) => format!("{name} ({instance_id})"),
                None => name.to_owned(),
            }
        })
        .collect();
    names.sort();
    names
}

impl<P: Ports, G: AbuseGuard> Change for StartKekRotation<'_, P, G> {
    const OPERATION: &'static Operation = &config_service::START_KEK_ROTATION;

    fn chain(&self) -> ChainOf {
        ChainOf::Platform
    }

    fn fingerprint(&self) -> String {
        self.body.0.as_ref().map(canonical_json).unwrap_or_default()
    }

    fn reads(&self, _caller: &Presented, _now: Timestamp) -> Vec<Statement> {
        let to = self.body.text("to").unwrap_or_default();
        let mut reads = vec![
            kek::running(),
            kek::lacking(to),
            kek::unasked(),
            kek::lacking_elsewhere(to),
        ];
        reads.extend(Facts::reads(&self.deps.settings));
        reads
    }

    fn target(&self, _decision: &Decision<'_>) -> Result<Target> {
        Ok(Target::default())
    }

    fn decide(&self, decision: &Decision<'_>) -> Result<Outcome> {
        let Wanted { to, dry_run } = self.body.parse()?;
        let keks = decision.settings.keks()?;
        if !keks.knows(&to) {
            let rule = format!(
                "must be the id of a key that is deployed: {}",
                keks.ids().join(", ")
            );
            return Err(Error::invalid_field("to", rule));
        }
        if let Some(running) = Rotation::read(&decision.rows(0))? {
            return Err(
                Error::new(Code::Conflict, "A key rotation is running already.")
                    .with_detail("rotation_id", json!(running.rotation_id)),
            );
        }
        let (lacking, unasked) = (workers(&decision.rows(1)), workers(&decision.rows(2)));
        if !lacking.is_empty() {
            let public = format!(
                "These workers do not have the key {to}: {}.",
                lacking.join(", ")
            );
            return Err(Error::new(Code::Conflict, public)
                .with_detail("workers", lacking)
                .with_hint("Deploy the key to all workers first; their /health names the keys that they have."));
        }
        let rotation = Rotation {
            rotation_id: self.deps.new_id::<RotationId>()?,
            to,
            state: RotationState::Running,
            cursor: String::new(),
            done: 0,
            skipped: 0,
            failed: 0,
            unopened: Vec::new(),
            dry_run,
            started_by: decision.auth.principal.clone(),
            created_at: decision.now,
            ended_at: None,
        };
        let counts: Vec<Rows> = decision.rows.iter().skip(4).cloned().collect();
        let facts = Facts {
            remaining: None,
            ..Facts::read(decision.settings, &counts)
        };
        let mut body = shown(&rotation, &facts);
        if let Some(members) = body.as_object_mut() {
            members.insert("unasked_workers".into(), json!(unasked));
            let elsewhere = workers(&decision.rows(3));
            members.insert("lacking_workers".into(), json!(elsewhere));
        }
        Ok(Outcome {
            statements: kek::create(
                &rotation.rotation_id,
                &rotation.to,
                dry_run,
                &rotation.started_by,
                decision.now,
            ),
            audited: Some(Audited {
                target_type: "kek_rotation",
                target_id: rotation.rotation_id.to_string(),
                instance_id: None,
                before: Value::Null,
                after: json!({"to": rotation.to, "dry_run": dry_run, "state": "running"}),
            }),
            answer: Answer::created(body, "/admin/kek-rotation".to_owned()),
            publish: None,
        })
    }
}

/// Starts the rotation of all stored provider keys to another key-encryption key; a dry run opens each and changes none.
///
/// 1. Role superadmin, scope `platform:write` (403).
/// 2. `to` is deployed here (400).
/// 3. None is running, no worker that the platform registered lacks the key (409).
/// 4. Row and audit entry in one batch.
///
/// 201. The sweeper goes on with it by itself.
pub(crate) async fn start<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    key: IdempotencyKey,
    body: Body,
) -> Result<Response> {
    let demand = Demand::post(context, presented, key, "/admin/kek-rotation");
    let change = StartKekRotation { deps: &deps, body };
    let answer = deps.mutate(&demand, &change).await?;
    Ok(answer.into_response(demand.context.request_id()))
}

//! `POST /admin/kek-rotation/{rotation_id}/cancel`.

use super::{Facts, shown};
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::change::{Audited, Change, Decision, Demand, Outcome};
use crate::deps::Deps;
use crate::fields;
use crate::settings::Settings;
use api_types::{RotationId, Timestamp};
use auth::permission::{Operation, Target, config_service};
use axum::extract::State;
use axum::response::Response;
use errors::{Code, Error, Result};
use middleware::{Context, IdempotencyKey, Path, Presented};
use platform::{Ports, Rows, Statement};
use serde_json::json;
use std::sync::Arc;
use store::control::audit::ChainOf;
use store::control::kek::{self, Rotation, RotationState};

struct CancelKekRotation {
    rotation_id: RotationId,
    settings: Arc<Settings>,
}

impl Change for CancelKekRotation {
    const OPERATION: &'static Operation = &config_service::CANCEL_KEK_ROTATION;

    fn chain(&self) -> ChainOf {
        ChainOf::Platform
    }

    fn fingerprint(&self) -> String {
        self.rotation_id.to_string()
    }

    fn reads(&self, _caller: &Presented, _now: Timestamp) -> Vec<Statement> {
        let mut reads = vec![kek::by_id(&self.rotation_id)];
        reads.extend(Facts::reads(&self.settings));
        reads
    }

    fn target(&self, _decision: &Decision<'_>) -> Result<Target> {
        Ok(Target::default())
    }

    fn decide(&self, decision: &Decision<'_>) -> Result<Outcome> {
        let rotation = Rotation::read(&decision.rows(0))?.ok_or_else(fields::missing)?;
        let counts: Vec<Rows> = decision.rows.iter().skip(1).cloned().collect();
        let facts = Facts::read(decision.settings, &counts);
        match rotation.state {
            RotationState::Running => {}
            RotationState::Cancelled => {
                let answer = Answer::ok(shown(&rotation, &facts));
                return Ok(Outcome::unchanged(answer));
            }
            RotationState::Done | RotationState::Failed => {
                return Err(
                    Error::new(Code::InvalidTransition, "This key rotation has ended.")
                        .with_detail("from", json!(rotation.state))
                        .with_detail("to", "cancelled")
                        .with_detail("allowed", json!([])),
                );
            }
        }
        let cancelled = Rotation {
            state: RotationState::Cancelled,
            ended_at: Some(decision.now),
            ..rotation
        };
        let counts = json!({
            "state": cancelled.state, "done": cancelled.done, "skipped": cancelled.skipped,
            "failed": cancelled.failed,
        });
        Ok(Outcome {
            statements: kek::end(&self.rotation_id, RotationState::Cancelled, decision.now),
            audited: Some(Audited {
                target_type: "kek_rotation",
                target_id: self.rotation_id.to_string(),
                instance_id: None,
                before: json!({"state": "running"}),
                after: counts,
            }),
            answer: Answer::ok(shown(&cancelled, &facts)),
            publish: None,
        })
    }
}

/// Ends a running rotation. What it did stays done: both keys are readable, and a later rotation does the rest.
///
/// 1. Role superadmin, scope `platform:write` (403).
/// 2. It exists (404) and has not ended otherwise (409 `invalid_transition`).
/// 3. Row and audit entry in one batch.
///
/// 200, repeatable.
pub(crate) async fn cancel<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path(rotation_id): Path<RotationId>,
    key: IdempotencyKey,
) -> Result<Response> {
    let demand = Demand::post(context, presented, key, "/admin/kek-rotation/cancel");
    let change = CancelKekRotation {
        rotation_id,
        settings: Arc::clone(&deps.settings),
    };
    let answer = deps.mutate(&demand, &change).await?;
    Ok(answer.into_response(demand.context.request_id()))
}

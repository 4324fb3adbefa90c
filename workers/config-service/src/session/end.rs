//! `DELETE /session/{session_id}`.

use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::change::{Audited, Change, Decision, Demand, Outcome};
use crate::deps::Deps;
use crate::fields;
use api_types::{KeyId, Timestamp};
use auth::permission::{Operation, Target, config_service};
use axum::extract::State;
use axum::response::Response;
use errors::Result;
use middleware::{Context, IfMatch, Path, Presented};
use platform::{Ports, Statement};
use serde_json::json;
use store::control::audit::ChainOf;
use store::control::sessions::{self, SessionView};

struct EndSession {
    session_id: KeyId,
}

impl Change for EndSession {
    const OPERATION: &'static Operation = &config_service::END_SESSION;

    fn chain(&self) -> ChainOf {
        ChainOf::Key(self.session_id.clone())
    }

    fn fingerprint(&self) -> String {
        String::new()
    }

    fn reads(&self, _caller: &Presented, _now: Timestamp) -> Vec<Statement> {
        vec![sessions::by_id(&self.session_id)]
    }

    fn target(&self, decision: &Decision<'_>) -> Result<Target> {
        let session = SessionView::read(&decision.rows(0))?.ok_or_else(fields::missing)?;
        if fields::is_foreign(decision.auth, session.org_id.as_ref()) {
            return Err(fields::missing());
        }
        Ok(Target {
            org_id: session.org_id,
            user_id: Some(session.user_id),
            ..Target::default()
        })
    }

    fn decide(&self, decision: &Decision<'_>) -> Result<Outcome> {
        let session = SessionView::read(&decision.rows(0))?.ok_or_else(fields::missing)?;
        let now = decision.now;
        if session.revoked_at.is_some() || session.expires_at <= now {
            return Ok(Outcome::unchanged(Answer::no_content()));
        }
        Ok(Outcome {
            statements: vec![sessions::end(
                &self.session_id,
                &decision.auth.principal,
                now,
            )],
            audited: Some(Audited {
                target_type: "session",
                target_id: self.session_id.to_string(),
                instance_id: None,
                before: json!({"state": "active"}),
                after: json!({"state": "ended"}),
            }),
            answer: Answer::no_content(),
            publish: None,
        })
    }
}

/// Ends a session; repeatable. A caller's own session may be the one.
///
/// 1. A session of the caller's user, or an administrator over it (404, 403).
///
/// 204: other workers refuse it within 5 seconds.
pub(crate) async fn end<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path(session_id): Path<KeyId>,
) -> Result<Response> {
    let demand = Demand::repeatable(context, presented, IfMatch::Missing, "DELETE /session");
    let change = EndSession { session_id };
    let answer = deps.mutate(&demand, &change).await?;
    Ok(answer.into_response(demand.context.request_id()))
}

//! `Idempotency-Key`: one key is one job.
//!
//! In scope: fingerprint, claim, what a lost claim is answered with. Out of scope: the SQL (`store`), the answer's form.

use crate::deps::Deps;
use crate::jobs::{Found, find_everywhere};
use crate::run::{BeginBy, Report};
use ::jobs::{Deadline, final_error};
use api_types::{GenerateRequest, InstanceConfig, JobId, JobState, JobView, ProjectId};
use auth::chain::canonical_json;
use errors::{Code, Error, Result};
use platform::{CallContext, Clock, DbError, Ports};
use ring::digest::{SHA256, digest};
use serde_json::Value;
use std::fmt::Write as _;
use store::ledger::{Claim, ClaimRow, claim, forget_claim, take_over};

/// A claim whose job nobody knows may be taken over after that long, in milliseconds.
const ABANDONED_MS: u64 = 120_000;
/// The first owner of a claim that old does not acquire any more, in milliseconds: it may be taken over soon.
const TOO_OLD_MS: u64 = 60_000;

/// What a key led to.
pub enum Claimed {
    /// This request runs.
    Ours(Ownership),
    /// The job of the first request, which is over.
    Replay(Box<Found>),
}

/// A claim that this request owns.
#[derive(Clone, Debug)]
pub struct Ownership {
    claim: Claim,
    claimed_at_ms: i64,
}

impl Ownership {
    /// Until when the job may be begun: afterwards somebody else may take the claim over.
    pub fn begin_by(&self) -> BeginBy {
        BeginBy {
            ask: Deadline::after(self.claimed_at_ms, TOO_OLD_MS),
            answered: Deadline::after(self.claimed_at_ms, ABANDONED_MS),
        }
    }

    /// The request has cost nothing and may be sent again.
    pub async fn give_back<P: Ports>(&self, deps: &Deps<P>) {
        if let Err(error) = forget_claim(&deps.database, &self.claim).await {
            tracing::warn!(%error, "a claim is not given back; it can be taken over in two minutes");
        }
    }
}

/// SHA-256 of route and canonical body, hexadecimal. `api_key` is not in the body any more.
pub fn fingerprint(route: &str, body: &Value) -> String {
    let text = format!("{route}\n{}", canonical_json(body));
    let digest = digest(&SHA256, text.as_bytes());
    digest.as_ref().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn unavailable(error: DbError) -> Error {
    Error::new(
        Code::LedgerUnavailable,
        "The ledger does not answer, so the Idempotency-Key cannot be claimed; nothing was sent.",
    )
    .with_internal(error.cause)
    .with_retry_after_ms(1_000)
}

/// What is claimed, besides the key.
pub struct Asked<'a> {
    /// The configuration.
    pub config: &'a InstanceConfig,
    /// The project.
    pub project_id: Option<&'a ProjectId>,
    /// The route as the route table writes it.
    pub route: &'a str,
    /// The whole request.
    pub body: &'a Value,
    /// The job that this request would start.
    pub job_id: &'a JobId,
}

/// Claims the key with one D1 query.
///
/// # Errors
/// 422 `idempotency_mismatch`, 409 `idempotency_in_flight`, 503 `ledger_unavailable`.
pub async fn claim_key<P: Ports>(
    deps: &Deps<P>,
    key: String,
    asked: &Asked<'_>,
    context: &CallContext,
) -> Result<Claimed> {
    let wanted = Claim {
        instance_id: asked.config.instance_id.clone(),
        project_id: asked.project_id.cloned(),
        route: asked.route.to_owned(),
        key,
        fingerprint: fingerprint(asked.route, asked.body),
        job_id: asked.job_id.clone(),
    };
    let now_ms = deps.clock.now_ms();
    let row = claim(&deps.database, &wanted, now_ms)
        .await
        .map_err(unavailable)?;
    if row.job_id == wanted.job_id {
        return Ok(Claimed::Ours(Ownership {
            claim: wanted,
            claimed_at_ms: row.claimed_at_ms,
        }));
    }
    lost(deps, wanted, row, asked.config, context).await
}

async fn lost<P: Ports>(
    deps: &Deps<P>,
    wanted: Claim,
    row: ClaimRow,
    config: &InstanceConfig,
    context: &CallContext,
) -> Result<Claimed> {
    if row.fingerprint != wanted.fingerprint {
        return Err(Error::new(
            Code::IdempotencyMismatch,
            "This Idempotency-Key was used with another request.",
        )
        .with_detail("job_id", row.job_id.as_str()));
    }
    let now_ms = deps.clock.now_ms();
    let anew = match find_everywhere(deps, config, &row.job_id, context).await? {
        Some(found) if came_to_nothing(&found.view) => true,
        Some(found) if found.view.state.is_final() => {
            return Ok(Claimed::Replay(Box::new(found)));
        }
        Some(_) => false,
        // Its owner died before it acquired anything.
        None => Deadline::after(row.claimed_at_ms, ABANDONED_MS).is_over(now_ms),
    };
    if anew
        && take_over(&deps.database, &wanted, &row, now_ms)
            .await
            .map_err(unavailable)?
    {
        return Ok(Claimed::Ours(Ownership {
            claim: wanted,
            claimed_at_ms: now_ms,
        }));
    }
    Err(Error::new(
        Code::IdempotencyInFlight,
        "The first request with this Idempotency-Key has not ended.",
    )
    .with_detail("job_id", row.job_id.as_str())
    .with_retry_after_ms(1_000))
}

/// The request without what names the caller's place: that is the claim's scope already.
pub fn body_of(request: &GenerateRequest) -> Value {
    serde_json::to_value(request).unwrap_or(Value::Null)
}

/// Whether an answer has cost nothing for certain, so that the key may be used again.
pub fn costs_nothing(report: &Report, code: Code) -> bool {
    if report.known {
        report.unspent && may_run_anew(code)
    } else {
        !matches!(code, Code::IdempotencyInFlight | Code::IdempotencyMismatch)
    }
}

/// A refusal that passes, so that the same request is worth another run: replayed, it would last as long as the claim.
fn may_run_anew(code: Code) -> bool {
    matches!(code.status(), 402 | 429 | 503) || code == Code::NoRoute
}

/// Whether a job that somebody else has ended made nothing and cost nothing. At a price of 0 a charge cannot be seen, so
/// such a job is never run again.
fn came_to_nothing(view: &JobView) -> bool {
    matches!(view.state, JobState::Failed | JobState::Dead)
        && view.result.is_none()
        && view.cost_usd_micros == Some(0)
        && view.estimate_usd_micros != Some(0)
        && final_error(view).is_some_and(|error| may_run_anew(error.code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_order_of_members_does_not_matter_and_the_route_does() {
        let a = fingerprint("POST /generate", &json!({"prompt": "a", "n": 1}));
        assert_eq!(
            a,
            fingerprint("POST /generate", &json!({"n": 1, "prompt": "a"}))
        );
        assert_ne!(
            a,
            fingerprint(
                "POST /v1/images/generations",
                &json!({"n": 1, "prompt": "a"})
            )
        );
        assert_ne!(
            a,
            fingerprint("POST /generate", &json!({"n": 2, "prompt": "a"}))
        );
        assert_eq!(a.len(), 64);
    }
}

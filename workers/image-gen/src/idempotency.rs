//! `Idempotency-Key`: one key is one job.
//!
//! In scope: fingerprint, claim, what a lost claim is answered with. Out of scope: the SQL (`store`), the answer's form.

use crate::deps::Deps;
use crate::jobs::{Found, find_everywhere};
use crate::run::BeginBy;
use ::jobs::Deadline;
use api_types::{GenerateRequest, InstanceConfig, JobId, ProjectId};
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
    match find_everywhere(deps, config, &row.job_id, context).await? {
        Some(found) if found.view.state.is_final() => {
            return Ok(Claimed::Replay(Box::new(found)));
        }
        // Its owner died before it acquired anything.
        None if Deadline::after(row.claimed_at_ms, ABANDONED_MS).is_over(now_ms) => {
            let taken = take_over(&deps.database, &wanted, &row, now_ms)
                .await
                .map_err(unavailable)?;
            if taken {
                return Ok(Claimed::Ours(Ownership {
                    claim: wanted,
                    claimed_at_ms: now_ms,
                }));
            }
        }
        _ => {}
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
pub fn costs_nothing(code: Code, known: bool) -> bool {
    !known && !matches!(code, Code::IdempotencyInFlight | Code::IdempotencyMismatch)
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

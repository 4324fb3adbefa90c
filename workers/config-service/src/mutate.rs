//! The one write path: every mutation of every resource.
//!
//! 1. Read batch: caller, audit head, stored answer, the change's own rows (401, 429, 503).
//! 2. Authorize (404, 403).
//! 3. Stored answer of this `Idempotency-Key`: replay, or 422 `idempotency_mismatch`, or 409
//!    `secret_already_shown`.
//! 4. Decide (400, 428, 412, 409).
//! 5. Write batch, atomic: guards, change, audit entry, idempotency row. Where nothing changes, the last of them alone.
//! 6. Publish to KV.
//! 7. Answer.
//!
//! Two round trips. A batch that lost a race is read and decided anew, at most 5 times, then 503
//! `overloaded`. When the database's answer is lost, the audit entry tells whether the batch was written.

use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::caller::Read;
use crate::change::{Audited, Change, Decision, Demand, Outcome};
use crate::deps::Deps;
use api_types::{AuthContext, InstanceConfig, PrincipalKind, Timestamp};
use auth::answer::AnswerContext;
use auth::chain;
use auth::permission::permit;
use errors::{Code, Error, Result};
use platform::{Clock, Database, DbError, DbErrorKind, Ports, Random, Statement};
use serde_json::{Value, json};
use store::control::audit::{self, Entry, Head};
use store::control::guard::Violation;
use store::control::idempotency::{self, StoredAnswer};

/// How often a change is decided when others write at the same time.
const MAX_ATTEMPTS: u32 = 5;
/// Life of a stored answer, in milliseconds.
const ANSWER_LIFE_MS: i64 = 24 * 3_600_000;
/// How long a stored secret may be shown again, in milliseconds.
const SECRET_LIFE_MS: i64 = 600_000;
/// What the key for the hash of a request is derived for.
const IDEMPOTENCY: &str = "idempotency";
/// Most of `before` or `after`, in bytes.
const MAX_AUDITED_BYTES: usize = 8 * 1024;

enum Written {
    Done(Answer, Option<Box<InstanceConfig>>),
    Again,
}

impl<P: Ports, G: AbuseGuard> Deps<P, G> {
    /// Carries out a change.
    ///
    /// # Errors
    /// Those of the steps above.
    pub async fn mutate<C: Change>(&self, demand: &Demand, change: &C) -> Result<Answer> {
        for attempt in 0..MAX_ATTEMPTS {
            if attempt > 0 {
                self.clock.sleep(10 + self.random.next_u64() % 71).await;
            }
            match self.attempt(demand, change).await? {
                Written::Done(answer, publish) => {
                    if let Some(config) = publish {
                        self.publish(*config).await;
                    }
                    return Ok(answer);
                }
                Written::Again => {}
            }
        }
        Err(Error::new(
            Code::Overloaded,
            "Too many changes were made at the same time.",
        )
        .with_retry_after_ms(1_000))
    }

    async fn attempt<C: Change>(&self, demand: &Demand, change: &C) -> Result<Written> {
        let now = self.now();
        let caller = &demand.presented.key.key_id;
        let key = demand.idempotency.as_deref().unwrap_or_default();
        let worker = demand.worker.as_deref().map(AuthContext::of_worker);
        let stored = match &worker {
            None => idempotency::stored(caller, &demand.route, key),
            Some(worker) => idempotency::stored_of(&worker.principal, &demand.route, key),
        };
        let mut statements = vec![audit::head(&change.chain(), caller), stored];
        statements.extend(change.reads(&demand.presented, now));
        let client_ip = demand.context.client_ip();
        let mut read = match worker {
            None => {
                let key = &demand.presented.key;
                self.read_as(key, client_ip, change.instance(), statements)
                    .await?
            }
            Some(auth) => Read {
                auth,
                rows: self.read(statements).await?,
            },
        };
        demand
            .context
            .identify(&read.auth, change.instance(), read.auth.project_id.as_ref());
        let rows = read.rows.split_off(2.min(read.rows.len()));
        let head = Head::read(&read.rows(0))?;
        let stored = StoredAnswer::read(&read.rows(1))?;
        let decision = Decision {
            auth: &read.auth,
            rows: &rows,
            now,
            if_match: &demand.if_match,
            settings: &self.settings,
        };
        permit(C::OPERATION, &read.auth, &change.target(&decision)?)?;
        // With the pepper: a body may hold a provider key, and a stolen table must not serve to test guesses.
        let peppers = self.settings.peppers()?;
        let fingerprint = change.fingerprint();
        let request_sha256 = peppers.current().mac(IDEMPOTENCY, fingerprint.as_bytes());
        let live = |stored: &StoredAnswer| now.ms() - stored.created_at.ms() < ANSWER_LIFE_MS;
        if let Some(stored) = stored.filter(live) {
            // Also under the pepper that was the current one when the answer was stored.
            let same =
                peppers.verify_mac(IDEMPOTENCY, fingerprint.as_bytes(), &stored.request_sha256);
            let answer = self.replay(demand, key, &stored, same, now)?;
            return Ok(Written::Done(answer, None));
        }
        let outcome = change.decide(&decision)?;
        let kept = if key.is_empty() {
            Vec::new()
        } else {
            let principal = &read.auth.principal;
            vec![
                idempotency::forget_ended(principal, &demand.route, key, now),
                self.keep(demand, key, principal, &outcome.answer, request_sha256, now)?,
            ]
        };
        let Some(audited) = &outcome.audited else {
            return self.write_answer(kept, outcome.answer).await;
        };
        let entry = entry_of(C::OPERATION.name, demand, &read.auth, audited, &head, now);
        let mut batch = outcome.statements.clone();
        batch.extend(audit::append(&entry));
        batch.extend(kept);
        self.write(batch, &entry, outcome).await
    }

    /// Nothing changes, and yet a repetition must get this answer, whatever has changed by then.
    async fn write_answer(&self, kept: Vec<Statement>, answer: Answer) -> Result<Written> {
        if kept.is_empty() {
            return Ok(Written::Done(answer, None));
        }
        match self.database.batch(kept).await {
            Ok(_) => Ok(Written::Done(answer, None)),
            Err(error) if Violation::of(&error) == Some(Violation::Idempotency) => {
                Ok(Written::Again)
            }
            // Also when it was stored: who repeats it is answered from there.
            Err(error) => Err(error.into()),
        }
    }

    async fn write(
        &self,
        batch: Vec<Statement>,
        entry: &Entry,
        outcome: Outcome,
    ) -> Result<Written> {
        let done = |outcome: Outcome| Written::Done(outcome.answer, outcome.publish.map(Box::new));
        match self.database.batch(batch).await {
            Ok(_) => Ok(done(outcome)),
            Err(error) if error.kind == DbErrorKind::Unavailable => {
                // Nobody knows whether it was written. Its hash covers the request id, so no other entry has it.
                let there = self
                    .read(vec![audit::hash_at(&entry.org_id, entry.seq)])
                    .await?;
                let hash = there.first().and_then(|rows| rows.first()?.text("hash"));
                if hash == Some(entry.hash.as_str()) {
                    Ok(done(outcome))
                } else {
                    Err(error.into())
                }
            }
            Err(error) => match Violation::of(&error) {
                Some(Violation::AuditHead | Violation::Idempotency | Violation::Guard) => {
                    Ok(Written::Again)
                }
                violation => Err(refused(violation, error)),
            },
        }
    }

    fn replay(
        &self,
        demand: &Demand,
        key: &str,
        stored: &StoredAnswer,
        is_same: bool,
        now: Timestamp,
    ) -> Result<Answer> {
        if !is_same {
            return Err(Error::new(
                Code::IdempotencyMismatch,
                "This Idempotency-Key stands for another request.",
            ));
        }
        if !stored.sealed {
            return Answer::from_stored(stored.status, &stored.response);
        }
        if now.ms() - stored.created_at.ms() >= SECRET_LIFE_MS {
            return Err(Error::new(
                Code::SecretAlreadyShown,
                "The secret in this answer was shown over 10 minutes ago.",
            ));
        }
        let context = AnswerContext {
            principal: &stored.principal,
            route: &demand.route,
            key,
        };
        let text = auth::answer::open(self.settings.keks()?, &context, &stored.response)?;
        Answer::from_stored(stored.status, &text)
    }

    fn keep(
        &self,
        demand: &Demand,
        key: &str,
        principal: &str,
        answer: &Answer,
        request_sha256: String,
        now: Timestamp,
    ) -> Result<Statement> {
        let mut response = answer.to_stored();
        if answer.secret {
            let context = AnswerContext {
                principal,
                route: &demand.route,
                key,
            };
            let keks = self.settings.keks()?;
            response = auth::answer::seal(keks, &self.random, &context, &response)?;
        }
        let stored = StoredAnswer {
            principal: principal.to_owned(),
            request_sha256,
            status: answer.status,
            response,
            sealed: answer.secret,
            created_at: now,
        };
        let ends = now.plus_ms(ANSWER_LIFE_MS);
        Ok(idempotency::store(&demand.route, key, &stored, ends))
    }
}

fn refused(violation: Option<Violation>, error: DbError) -> Error {
    let text = match violation {
        Some(Violation::InstanceId) => "This instance id is taken.",
        Some(Violation::UserEmail) => "The organization has a user with this e-mail already.",
        Some(Violation::ProjectName) => "The instance has a project of this name already.",
        _ => return error.into(),
    };
    Error::new(Code::Conflict, text).with_internal(error.cause)
}

/// Who makes a change, as the audit log names it.
#[derive(Clone, Debug)]
pub(crate) struct By {
    /// `{"principal": ..}` and what else is known.
    pub actor: Value,
    /// The request.
    pub request_id: String,
    /// The client's address.
    pub ip: Option<String>,
}

impl By {
    /// The caller of a request.
    pub(crate) fn caller(auth: &AuthContext, context: &middleware::Context) -> Self {
        let mut actor = json!({"principal": auth.principal});
        if let Some(members) = actor.as_object_mut() {
            if let Some(user) = &auth.user {
                members.insert("user_id".into(), json!(user.user_id));
            }
            if let (PrincipalKind::Session, Some(key)) = (auth.kind, &auth.key) {
                members.insert("session_id".into(), json!(key.key_id));
            }
        }
        Self {
            actor,
            request_id: context.request_id().to_owned(),
            ip: context.client_ip().map(str::to_owned),
        }
    }
}

fn entry_of(
    action: &str,
    demand: &Demand,
    auth: &AuthContext,
    audited: &Audited,
    head: &Head,
    now: Timestamp,
) -> Entry {
    let mut by = By::caller(auth, &demand.context);
    if let (middleware::IfMatch::Any, Some(members)) = (&demand.if_match, by.actor.as_object_mut())
    {
        members.insert("any_version".into(), Value::Bool(true));
    }
    entry(action, &by, audited, head, now)
}

/// The entry that follows `head`.
pub(crate) fn entry(
    action: &str,
    by: &By,
    audited: &Audited,
    head: &Head,
    now: Timestamp,
) -> Entry {
    let prev_hash = head
        .hash
        .clone()
        .unwrap_or_else(|| chain::FIRST_PREV_HASH.to_owned());
    let (before, after) = (bounded(&audited.before), bounded(&audited.after));
    let at = now.to_string();
    let seq = head.seq + 1;
    let whole = json!({
        "org_id": head.org_id, "seq": seq, "at": at, "actor": by.actor, "action": action,
        "target_type": audited.target_type, "target_id": audited.target_id,
        "instance_id": audited.instance_id, "before": before, "after": after,
        "request_id": by.request_id, "ip": by.ip, "prev_hash": prev_hash,
    });
    let text = |value: &Value| (!value.is_null()).then(|| chain::canonical_json(value));
    Entry {
        org_id: head.org_id.clone(),
        seq,
        at,
        actor: chain::canonical_json(&by.actor),
        action: action.to_owned(),
        target_type: audited.target_type.to_owned(),
        target_id: audited.target_id.clone(),
        instance_id: audited.instance_id.as_ref().map(ToString::to_string),
        before: text(&before),
        after: text(&after),
        request_id: by.request_id.clone(),
        ip: by.ip.clone(),
        hash: chain::entry_hash(&prev_hash, &whole),
        prev_hash,
    }
}

/// The value, or the names of its members when it is too large for the log; of names too what there is room for.
fn bounded(value: &Value) -> Value {
    if value.to_string().len() <= MAX_AUDITED_BYTES {
        return value.clone();
    }
    let mut room = MAX_AUDITED_BYTES - 100;
    let names: Vec<&String> = value
        .as_object()
        .into_iter()
        .flat_map(|members| members.keys())
        .take(100)
        .take_while(|name| {
            // Quotes, comma, and every byte escaped at worst.
            let bytes = Value::String((*name).clone()).to_string().len() + 1;
            room = room.saturating_sub(bytes);
            room > 0
        })
        .collect();
    json!({"_truncated": true, "members": names})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_values_are_truncated_in_the_log() {
        let small = json!({"name": "x"});
        assert_eq!(bounded(&small), small);
        let large = bounded(&json!({"config": "x".repeat(9_000)}));
        assert_eq!(large, json!({"_truncated": true, "members": ["config"]}));
        for names in [1, 50, 5_000] {
            let wide: serde_json::Map<String, Value> = (0..names)
                .map(|n| (format!("{n}{}", "\u{1}".repeat(20_000 / names)), json!(n)))
                .collect();
            let text = bounded(&Value::Object(wide)).to_string();
            assert!(text.len() <= MAX_AUDITED_BYTES, "{names}: {}", text.len());
        }
    }
}

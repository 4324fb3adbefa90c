//! `DELETE /instance/{instance_id}/provider-key/{provider}?now=`.

use super::{KEEP_MS, Known, MAX_PREVIOUS, Subject, audited, previous_until};
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::change::{Audited, Change, Decision, Demand, Outcome};
use crate::deps::Deps;
use api_types::{InstanceId, ProviderName, Timestamp};
use auth::permission::{Operation, Target, config_service};
use axum::extract::State;
use axum::response::Response;
use errors::Result;
use middleware::{Context, IfMatch, Path, Presented, Query};
use platform::{Ports, Statement};
use serde::Deserialize;
use serde_json::{Value, json};
use store::control::audit::ChainOf;
use store::control::credentials;

/// Whether the value goes at once.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeleteQuery {
    #[serde(default)]
    now: bool,
}

struct DeleteProviderKey {
    subject: Subject,
    query: Result<DeleteQuery>,
}

impl DeleteProviderKey {
    fn audited(&self, before: Value, after: Value) -> Audited {
        Audited {
            target_type: "provider_key",
            target_id: self.subject.provider.to_string(),
            instance_id: Some(self.subject.instance_id.clone()),
            before,
            after,
        }
    }

    /// There is no current key. What may be left are previous ones, which workers' configuration does not name.
    fn without_current(&self, known: &Known, at_once: bool, now: Timestamp) -> Result<Outcome> {
        if known.previous.is_empty() {
            // A provider that nobody knows is a mistyped one.
            known.settings()?;
        }
        let until = previous_until(&self.subject.provider, &known.previous);
        if !at_once || known.previous.is_empty() {
            return Ok(Outcome::unchanged(Answer::ok(known.item(None, until))));
        }
        let Subject {
            instance_id,
            provider,
        } = &self.subject;
        Ok(Outcome {
            statements: vec![
                credentials::guard_version(instance_id, provider, None),
                credentials::erase_surplus(instance_id, provider, 0, now),
            ],
            audited: Some(self.audited(json!({"previous_until": until}), Value::Null)),
            answer: Answer::ok(known.item(None, None)),
            publish: None,
        })
    }
}

impl Change for DeleteProviderKey {
    const OPERATION: &'static Operation = &config_service::DELETE_PROVIDER_KEY;

    fn instance(&self) -> Option<&InstanceId> {
        Some(&self.subject.instance_id)
    }

    fn chain(&self) -> ChainOf {
        ChainOf::Instance(self.subject.instance_id.clone())
    }

    fn fingerprint(&self) -> String {
        String::new()
    }

    fn reads(&self, caller: &Presented, now: Timestamp) -> Vec<Statement> {
        self.subject.reads(caller, now)
    }

    fn target(&self, decision: &Decision<'_>) -> Result<Target> {
        Subject::target(decision)
    }

    fn decide(&self, decision: &Decision<'_>) -> Result<Outcome> {
        let known = self.subject.known(decision)?;
        let at_once = self.query.as_ref().map_err(Clone::clone)?.now;
        let now = decision.now;
        let Some(old) = &known.current else {
            return self.without_current(&known, at_once, now);
        };
        let previous = previous_until(&self.subject.provider, &known.previous);
        // A leaked key must go for who does not know its version; a stated one is held.
        if *decision.if_match != IfMatch::Missing {
            decision.check_version(old.version, || known.item(Some(old), previous))?;
        }
        let retire_at = now.plus_ms(KEEP_MS);
        let (first, keep, until) = if at_once {
            (credentials::erase(&old.credential_id), 0, None)
        } else {
            let kept = usize::try_from(MAX_PREVIOUS).unwrap_or(0) - 1;
            let older = known.previous.get(..kept).unwrap_or(&known.previous);
            let until = previous_until(&self.subject.provider, older).max(Some(retire_at));
            (
                credentials::retire(&old.credential_id, retire_at),
                MAX_PREVIOUS,
                until,
            )
        };
        let Subject {
            instance_id,
            provider,
        } = &self.subject;
        let changes = vec![
            first,
            credentials::erase_surplus(instance_id, provider, keep, now),
        ];
        let (statements, effective) = known.republished(changes, None, now)?;
        let after = if at_once {
            Value::Null
        } else {
            json!({"previous_until": retire_at})
        };
        Ok(Outcome {
            statements,
            audited: Some(self.audited(audited(old), after)),
            answer: Answer::ok(known.item(None, until)),
            publish: Some(effective),
        })
    }
}

/// Takes the key of a provider out of use. Its value stays for a day, for the jobs that were submitted under it; with
/// `?now=true` it is erased at once, and all previous ones with it. Repeatable.
///
/// 1. The instance exists in the caller's organization (404), role admin (403), scope `secrets:write`
///    (403).
/// 2. `now`, the provider (400).
/// 3. `If-Match` when it is sent (412).
/// 4. Row, effective configuration, audit entry in one batch; publication.
///
/// 200, as a line of the list.
pub(crate) async fn delete<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path((instance_id, provider)): Path<(InstanceId, ProviderName)>,
    query: Result<Query<DeleteQuery>>,
    if_match: IfMatch,
) -> Result<Response> {
    let route = "DELETE /instance/provider-key";
    let demand = Demand::repeatable(context, presented, if_match, route);
    let change = DeleteProviderKey {
        subject: Subject {
            instance_id,
            provider,
        },
        query: query.map(|Query(query)| query),
    };
    let answer = deps.mutate(&demand, &change).await?;
    Ok(answer.into_response(demand.context.request_id()))
}

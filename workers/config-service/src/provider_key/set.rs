//! `PUT /instance/{instance_id}/provider-key/{provider}`.

use super::{Subject, audited, plain, previous_until};
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::change::{Audited, Body, Change, Decision, Demand, Outcome};
use crate::deps::Deps;
use crate::provider_secret::{self, Place};
use api_types::{CredentialId, InstanceId, ProviderName, Secret, Timestamp};
use auth::permission::{Operation, Target, config_service};
use axum::extract::State;
use axum::response::Response;
use errors::Result;
use middleware::{Context, IfMatch, Path, Presented};
use platform::{Ports, Statement};
use serde::Deserialize;
use serde_json::Value;
use store::control::audit::ChainOf;
use store::control::credentials;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    api_key: Secret,
    #[serde(default)]
    account: Option<String>,
    #[serde(default)]
    webhook_secret: Option<Secret>,
}

struct SetProviderKey<'a, P: Ports, G> {
    deps: &'a Deps<P, G>,
    subject: Subject,
    body: Body,
}

impl<P: Ports, G: AbuseGuard> Change for SetProviderKey<'_, P, G> {
    const OPERATION: &'static Operation = &config_service::SET_PROVIDER_KEY;

    fn instance(&self) -> Option<&InstanceId> {
        Some(&self.subject.instance_id)
    }

    fn chain(&self) -> ChainOf {
        ChainOf::Instance(self.subject.instance_id.clone())
    }

    fn fingerprint(&self) -> String {
        // A PUT is repeatable by itself: it has no stored answer.
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
        let wanted: Wanted = self.body.parse()?;
        let plain = plain(wanted.api_key, wanted.account, wanted.webhook_secret)?;
        let host = known.host()?;
        let until = previous_until(&self.subject.provider, &known.previous);
        let old = known.current.as_ref();
        if let Some(old) = old {
            decision.check_version(old.version, || known.item(Some(old), until))?;
        }
        let place = Place {
            org_id: known.row.org_id.clone(),
            instance_id: self.subject.instance_id.clone(),
            provider: self.subject.provider.clone(),
            // The same row: whoever holds its id gets the value that is valid now.
            credential_id: match old {
                Some(old) => old.credential_id.clone(),
                None => self.deps.new_id::<CredentialId>()?,
            },
            host,
        };
        let (now, by) = (decision.now, &decision.auth.principal);
        let version = known.next_version();
        let keks = decision.settings.keks()?;
        let new = provider_secret::seal(keks, &self.deps.random, place, &plain, by, now, version)?;
        let put = vec![credentials::put(&new)];
        let (statements, effective) = known.republished(put, Some(new.clone()), now)?;
        Ok(Outcome {
            statements,
            audited: Some(Audited {
                target_type: "provider_key",
                target_id: self.subject.provider.to_string(),
                instance_id: Some(self.subject.instance_id.clone()),
                before: old.map_or(Value::Null, audited),
                after: audited(&new),
            }),
            answer: Answer {
                status: if old.is_some() { 200 } else { 201 },
                ..Answer::ok(known.item(Some(&new), until))
            }
            .at_version(version),
            publish: Some(effective),
        })
    }
}

/// Sets or replaces the key of a provider, at once.
///
/// 1. The instance exists in the caller's organization (404), role admin (403), scope `secrets:write`
///    (403).
/// 2. The key and its provider (400).
/// 3. `If-Match` where one exists (428, 412).
/// 4. Sealed row, effective configuration, audit entry in one batch; publication.
///
/// 201 for the first key, else 200, as a line of the list.
pub(crate) async fn set<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path((instance_id, provider)): Path<(InstanceId, ProviderName)>,
    if_match: IfMatch,
    body: Body,
) -> Result<Response> {
    let demand = Demand::repeatable(context, presented, if_match, "PUT /instance/provider-key");
    let change = SetProviderKey {
        deps: &deps,
        subject: Subject {
            instance_id,
            provider,
        },
        body,
    };
    let answer = deps.mutate(&demand, &change).await?;
    Ok(answer.into_response(demand.context.request_id()))
}

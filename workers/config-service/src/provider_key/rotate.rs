//! `POST /instance/{instance_id}/provider-key/{provider}/rotate`.

use super::{KEEP_MS, MAX_PREVIOUS, Subject, audited, plain, previous_until};
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::change::{Audited, Body, Change, Decision, Demand, Outcome};
use crate::deps::Deps;
use crate::provider_secret::{self, Place};
use api_types::{CredentialId, InstanceId, ProviderName, Secret, Timestamp};
use auth::chain::canonical_json;
use auth::permission::{Operation, Target, config_service};
use axum::extract::State;
use axum::response::Response;
use errors::{Error, Result};
use middleware::{Context, IdempotencyKey, Path, Presented};
use platform::{Ports, Statement};
use serde::Deserialize;
use serde_json::json;
use store::control::audit::ChainOf;
use store::control::credentials;

/// Longest time that a replaced key is kept, in seconds.
const MAX_KEEP_S: i64 = 604_800;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    api_key: Secret,
    #[serde(default)]
    account: Option<String>,
    #[serde(default)]
    webhook_secret: Option<Secret>,
    #[serde(default)]
    keep_previous_s: Option<i64>,
}

/// How long the replaced key is kept, in milliseconds.
fn keep_ms(keep_previous_s: Option<i64>) -> Result<i64> {
    match keep_previous_s {
        None => Ok(KEEP_MS),
        Some(seconds) if (0..=MAX_KEEP_S).contains(&seconds) => Ok(seconds * 1_000),
        Some(_) => Err(Error::invalid_field(
            "keep_previous_s",
            format!("must be 0 to {MAX_KEEP_S}"),
        )),
    }
}

struct RotateProviderKey<'a, P: Ports, G> {
    deps: &'a Deps<P, G>,
    subject: Subject,
    body: Body,
}

impl<P: Ports, G: AbuseGuard> Change for RotateProviderKey<'_, P, G> {
    const OPERATION: &'static Operation = &config_service::ROTATE_PROVIDER_KEY;

    fn instance(&self) -> Option<&InstanceId> {
        Some(&self.subject.instance_id)
    }

    fn chain(&self) -> ChainOf {
        ChainOf::Instance(self.subject.instance_id.clone())
    }

    fn fingerprint(&self) -> String {
        let body = self.body.0.as_ref().map(canonical_json).unwrap_or_default();
        let Subject {
            instance_id,
            provider,
        } = &self.subject;
        format!("{instance_id} {provider} {body}")
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
        let keep_ms = keep_ms(wanted.keep_previous_s)?;
        let host = known.host()?;
        let old = known
            .current
            .as_ref()
            .ok_or_else(|| Error::not_found("key: the provider has none to rotate"))?;
        let place = Place {
            org_id: known.row.org_id.clone(),
            instance_id: self.subject.instance_id.clone(),
            provider: self.subject.provider.clone(),
            credential_id: self.deps.new_id::<CredentialId>()?,
            host,
        };
        let (now, by) = (decision.now, &decision.auth.principal);
        let version = known.next_version();
        let keks = decision.settings.keks()?;
        let new = provider_secret::seal(keks, &self.deps.random, place, &plain, by, now, version)?;
        let retire_at = (keep_ms > 0).then(|| now.plus_ms(keep_ms));
        // Those that are kept, this one first.
        let kept = usize::try_from(MAX_PREVIOUS).unwrap_or(0) - usize::from(retire_at.is_some());
        let older = known.previous.get(..kept).unwrap_or(&known.previous);
        let until = previous_until(&self.subject.provider, older).max(retire_at);
        let changes = vec![
            match retire_at {
                Some(at) => credentials::retire(&old.credential_id, at),
                None => credentials::erase(&old.credential_id),
            },
            credentials::erase_surplus(
                &self.subject.instance_id,
                &self.subject.provider,
                MAX_PREVIOUS,
                now,
            ),
            credentials::put(&new),
        ];
        let (statements, effective) = known.republished(changes, Some(new.clone()), now)?;
        let mut after = audited(&new);
        if let Some(members) = after.as_object_mut() {
            members.insert("previous_until".into(), json!(retire_at));
        }
        Ok(Outcome {
            statements,
            audited: Some(Audited {
                target_type: "provider_key",
                target_id: self.subject.provider.to_string(),
                instance_id: Some(self.subject.instance_id.clone()),
                before: audited(old),
                after,
            }),
            answer: Answer::ok(known.item(Some(&new), until)).at_version(version),
            publish: Some(effective),
        })
    }
}

/// Replaces the key of a provider and keeps the old one for the jobs that were submitted under it.
///
/// 1. The instance exists in the caller's organization (404), role admin (403), scope `secrets:write`
///    (403).
/// 2. The key, its provider, `keep_previous_s` (400).
/// 3. The provider has a key (404).
/// 4. The old row becomes a previous one, the fourth is erased; new row, effective configuration, audit
///    entry in the same batch; publication.
///
/// 200, as a line of the list.
pub(crate) async fn rotate<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path((instance_id, provider)): Path<(InstanceId, ProviderName)>,
    key: IdempotencyKey,
    body: Body,
) -> Result<Response> {
    let demand = Demand::post(context, presented, key, "/instance/provider-key/rotate");
    let change = RotateProviderKey {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_key_is_kept_for_a_day_or_up_to_a_week() {
        assert_eq!(keep_ms(None).unwrap(), 86_400_000);
        assert_eq!(keep_ms(Some(0)).unwrap(), 0);
        assert_eq!(keep_ms(Some(604_800)).unwrap(), 604_800_000);
        assert!(keep_ms(Some(-1)).is_err());
        assert!(keep_ms(Some(604_801)).is_err());
        assert!(keep_ms(Some(i64::MAX)).is_err());
    }
}

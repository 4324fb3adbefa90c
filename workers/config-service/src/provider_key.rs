//! `GET /instance/{instance_id}/provider-key`, `PUT /instance/{instance_id}/provider-key/{provider}`.

use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::change::{Audited, Body, Change, Decision, Demand, Outcome};
use crate::deps::Deps;
use crate::effective::{self, Parts, settings_of, state};
use crate::fields;
use crate::instance::permitted;
use crate::provider_secret::{self, Place, mask};
use api_types::{
    CredentialId, CredentialState, EditableConfig, InstanceId, ProviderName, Secret, Timestamp,
};
use auth::chain::sha256_hex;
use auth::envelope::ProviderSecretPlain;
use auth::permission::{Operation, Target, config_service};
use axum::extract::State;
use axum::response::Response;
use errors::{Error, Result};
use middleware::{Context, IfMatch, Path, Presented};
use platform::{Ports, Statement};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use store::control::audit::ChainOf;
use store::control::credentials::{self, CredentialRow};
use store::control::instances::{self, InstanceRow};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    api_key: Secret,
    #[serde(default)]
    account: Option<String>,
    #[serde(default)]
    webhook_secret: Option<Secret>,
}

fn item(provider: &ProviderName, state: CredentialState, row: Option<&CredentialRow>) -> Value {
    json!({
        "provider": provider, "state": state,
        "last4": row.map(|row| &row.last4), "set_at": row.map(|row| row.set_at),
        "set_by": row.map(|row| &row.set_by), "previous_until": null,
        "last_used_at": row.and_then(|row| row.last_used_at),
        "last_error": row.and_then(|row| row.last_error.as_ref()),
        "version": row.map(|row| row.version),
    })
}

/// The keys of an instance, one line for each provider; values are never shown.
///
/// 1. It exists in the caller's organization (404), role admin (403), scope `config:read` (403).
pub(crate) async fn list<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path(instance_id): Path<InstanceId>,
) -> Result<Response> {
    let statements = vec![
        instances::for_caller(&presented.key.key_id, &instance_id),
        credentials::current(&instance_id),
    ];
    let read = deps
        .read_as(
            &presented.key,
            context.client_ip(),
            Some(&instance_id),
            statements,
        )
        .await?;
    context.identify(&read.auth, Some(&instance_id), None);
    let row = InstanceRow::read(&read.rows(0))?;
    let row = permitted(&config_service::LIST_PROVIDER_KEYS, &read.auth, row)?;
    let config = edited(&row)?;
    let keys = CredentialRow::read_all(&read.rows(1))?;
    let names: BTreeSet<&ProviderName> = config
        .providers
        .keys()
        .chain(keys.iter().map(|row| &row.provider))
        .collect();
    let items: Vec<Value> = names
        .into_iter()
        .map(|name| {
            let settings = settings_of(&config, name).unwrap_or_default();
            let row = keys.iter().find(|row| row.provider == *name);
            item(name, state(name, &settings, row), row)
        })
        .collect();
    Ok(Answer::ok(json!({ "items": items })).into_response(context.request_id()))
}

fn edited(row: &InstanceRow) -> Result<EditableConfig> {
    serde_json::from_value(row.config.clone()).map_err(|_| {
        Error::internal(format!(
            "the configuration of {} is broken",
            row.instance_id
        ))
    })
}

struct SetProviderKey<'a, P: Ports, G> {
    deps: &'a Deps<P, G>,
    instance_id: InstanceId,
    provider: ProviderName,
    body: Body,
}

impl<P: Ports, G: AbuseGuard> Change for SetProviderKey<'_, P, G> {
    const OPERATION: &'static Operation = &config_service::SET_PROVIDER_KEY;

    fn instance(&self) -> Option<&InstanceId> {
        Some(&self.instance_id)
    }

    fn chain(&self) -> ChainOf {
        ChainOf::Instance(self.instance_id.clone())
    }

    fn fingerprint(&self) -> String {
        // A PUT is repeatable by itself: it has no stored answer.
        String::new()
    }

    fn reads(&self, caller: &Presented, _now: Timestamp) -> Vec<Statement> {
        vec![
            instances::for_caller(&caller.key.key_id, &self.instance_id),
            credentials::current(&self.instance_id),
        ]
    }

    fn target(&self, decision: &Decision<'_>) -> Result<Target> {
        let row = InstanceRow::read(&decision.rows(0))?.ok_or_else(fields::missing)?;
        Ok(Target {
            org_id: Some(row.org_id),
            instance_id: Some(row.instance_id),
            ..Target::default()
        })
    }

    fn decide(&self, decision: &Decision<'_>) -> Result<Outcome> {
        let row = InstanceRow::read(&decision.rows(0))?.ok_or_else(fields::missing)?;
        if !row.allowed {
            return Err(fields::no_access());
        }
        let wanted: Wanted = self.body.parse()?;
        let plain = ProviderSecretPlain {
            api_key: wanted.api_key,
            account: wanted.account,
            webhook_secret: wanted.webhook_secret,
        };
        provider_secret::check("api_key", &plain)?;
        let config = edited(&row)?;
        let settings = settings_of(&config, &self.provider).ok_or_else(|| {
            Error::invalid_field(
                "provider",
                "must be a provider of the configuration or an adapter",
            )
        })?;
        let host = settings
            .credential_host(&self.provider)
            .ok_or_else(|| Error::invalid_field("provider", "has no base_url to bind a key to"))?;
        let mut keys = CredentialRow::read_all(&decision.rows(1))?;
        let old = keys
            .iter()
            .position(|row| row.provider == self.provider)
            .map(|at| keys.remove(at));
        if let Some(old) = &old {
            decision
                .if_match
                .check(old.version)
                .map_err(|error| error.with_detail("current", item_of(&settings, old)))?;
        }
        let place = Place {
            org_id: row.org_id.clone(),
            instance_id: self.instance_id.clone(),
            provider: self.provider.clone(),
            credential_id: match &old {
                Some(old) => old.credential_id.clone(),
                None => self.deps.new_id::<CredentialId>()?,
            },
            host,
        };
        let (now, by) = (decision.now, &decision.auth.principal);
        let version = old.as_ref().map_or(1, |old| old.version + 1);
        let keks = decision.settings.keks()?;
        let new = provider_secret::seal(keks, &self.deps.random, place, &plain, by, now, version)?;
        let answer = item_of(&settings, &new);
        keys.push(new.clone());
        let config_version = row.config_version + 1;
        let effective = effective::build(Parts {
            instance_id: &self.instance_id,
            org_id: &row.org_id,
            name: &row.name,
            self_hosted: row.self_hosted,
            worker_urls: &row.worker_urls,
            config_version,
            edited: config,
            credentials: &keys,
        })?;
        let body = effective::text(&effective)?;
        let sha256 = sha256_hex(body.as_bytes());
        let old_version = old.as_ref().map(|old| old.version);
        let shown = |row: &CredentialRow| json!({"api_key": mask(&row.last4), "host": row.host});
        Ok(Outcome {
            statements: vec![
                instances::guard_config_version(&self.instance_id, row.config_version),
                credentials::guard_version(&self.instance_id, &self.provider, old_version),
                credentials::put(&new),
                instances::set_config_version(&self.instance_id, config_version),
                instances::put_effective(&self.instance_id, config_version, &body, &sha256, now),
            ],
            audited: Some(Audited {
                target_type: "provider_key",
                target_id: self.provider.to_string(),
                instance_id: Some(self.instance_id.clone()),
                before: old.as_ref().map_or(Value::Null, shown),
                after: shown(&new),
            }),
            answer: Answer {
                status: if old.is_some() { 200 } else { 201 },
                ..Answer::ok(answer)
            }
            .at_version(version),
            publish: Some(effective),
        })
    }
}

fn item_of(settings: &api_types::ProviderSettings, row: &CredentialRow) -> Value {
    item(
        &row.provider,
        state(&row.provider, settings, Some(row)),
        Some(row),
    )
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
        instance_id,
        provider,
        body,
    };
    let answer = deps.mutate(&demand, &change).await?;
    Ok(answer.into_response(demand.context.request_id()))
}

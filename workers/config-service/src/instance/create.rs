//! `POST /instance`.
//!
//! In scope: id, status, sealing the keys in the body. Out of scope: reading the configuration (module `config`).

use super::config::{self, Around, Faults};
use super::{Shown, flat};
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::change::{Audited, Body, Change, Decision, Demand, Outcome};
use crate::deps::Deps;
use crate::effective::{self, Parts, settings_of};
use crate::fields;
use crate::provider_secret::{self, Place, mask};
use api_types::{
    CredentialId, EditableConfig, InstanceId, InstanceStatus, OrgId, ProviderName, Timestamp,
    ValidateContext,
};
use auth::chain::{canonical_json, sha256_hex};
use auth::envelope::ProviderSecretPlain;
use auth::permission::{Operation, Target, config_service};
use axum::extract::State;
use axum::response::Response;
use errors::{Code, Error, Result};
use middleware::{Context, IdempotencyKey, Presented};
use platform::{Ports, Statement};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use store::control::audit::ChainOf;
use store::control::credentials::{self, CredentialRow};
use store::control::guard::Quota;
use store::control::instances::{self, NewInstance};
use store::control::organizations::{self, OrganizationRow};
use store::control::prices::{self, PriceOverride};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default)]
    org_id: Option<OrgId>,
    #[serde(default)]
    instance_id: Option<InstanceId>,
    name: String,
    #[serde(default)]
    status: Option<InstanceStatus>,
    #[serde(default)]
    config: Map<String, Value>,
}

/// A configuration as it was sent, apart from the keys in it.
struct Sent {
    stored: Value,
    edited: EditableConfig,
    keys: BTreeMap<ProviderName, ProviderSecretPlain>,
}

fn read_config(
    mut members: Map<String, Value>,
    context: ValidateContext,
    known_scopes: Option<Vec<String>>,
) -> Result<Sent> {
    let mut faults = Faults::default();
    config::derived_members(&members, &mut faults);
    let keys = read_keys(members.shift_remove("api_keys"))?;
    for (member, _) in config::DERIVED {
        members.shift_remove(member);
    }
    let stored = Value::Object(members);
    let around = Around {
        context,
        keyed: keys.keys().cloned().collect(),
        known_scopes,
    };
    let edited = config::read(&stored, &around, &mut faults)?;
    faults.broken(config::homeless_keys(&edited, keys.keys()));
    faults.into_result()?;
    Ok(Sent {
        stored,
        edited,
        keys,
    })
}

fn read_keys(keys: Option<Value>) -> Result<BTreeMap<ProviderName, ProviderSecretPlain>> {
    let Some(keys) = keys else {
        return Ok(BTreeMap::new());
    };
    let Value::Object(keys) = keys else {
        return Err(Error::invalid_field("config.api_keys", "must be an object"));
    };
    keys.into_iter()
        .map(|(name, key)| {
            let field = format!("config.api_keys.{name}");
            let provider = ProviderName::parse(&name)
                .map_err(|error| Error::invalid_field(&field, error.to_string()))?;
            let Value::String(key) = key else {
                return Err(Error::invalid_field(&field, "must be text"));
            };
            let plain = ProviderSecretPlain::from_key(key);
            provider_secret::check(&field, &plain)?;
            Ok((provider, plain))
        })
        .collect()
}

struct CreateInstance<'a, P: Ports, G> {
    deps: &'a Deps<P, G>,
    body: Body,
    org_id: Option<OrgId>,
    instance_id: Option<InstanceId>,
    /// Scopes of budgets that must exist.
    scopes: Option<Vec<String>>,
}

/// What the database says about the wanted id.
enum Id {
    Free,
    Tombstone { version: i64, config_version: i64 },
}

impl<P: Ports, G: AbuseGuard> CreateInstance<'_, P, G> {
    fn org_of(&self, decision: &Decision<'_>) -> Option<OrgId> {
        self.org_id.clone().or_else(|| decision.auth.org_id.clone())
    }

    fn id_state(decision: &Decision<'_>, org_id: &OrgId) -> Result<Id> {
        let rows = decision.rows(4);
        let Some(row) = rows.first() else {
            return Ok(Id::Free);
        };
        let own = row.text("org_id") == Some(org_id.as_str());
        if !own || row.text("status") != Some("deleted") {
            return Err(Error::new(Code::Conflict, "This instance id is taken."));
        }
        Ok(Id::Tombstone {
            version: row.int("version").unwrap_or(1),
            config_version: row.int("config_version").unwrap_or(1),
        })
    }

    fn seal(
        &self,
        sent: &Sent,
        org_id: &OrgId,
        instance_id: &InstanceId,
        decision: &Decision<'_>,
    ) -> Result<Vec<CredentialRow>> {
        let mut rows = Vec::with_capacity(sent.keys.len());
        for (provider, plain) in &sent.keys {
            let host = settings_of(&sent.edited, provider)
                .and_then(|settings| settings.credential_host(provider))
                .ok_or_else(|| Error::internal("a provider without a host passed the rules"))?;
            let place = Place {
                org_id: org_id.clone(),
                instance_id: instance_id.clone(),
                provider: provider.clone(),
                credential_id: self.deps.new_id::<CredentialId>()?,
                host,
            };
            let keks = decision.settings.keks()?;
            let by = &decision.auth.principal;
            rows.push(provider_secret::seal(
                keks,
                &self.deps.random,
                place,
                plain,
                by,
                decision.now,
                1,
            )?);
        }
        Ok(rows)
    }
}

impl<P: Ports, G: AbuseGuard> Change for CreateInstance<'_, P, G> {
    const OPERATION: &'static Operation = &config_service::CREATE_INSTANCE;

    fn chain(&self) -> ChainOf {
        self.org_id
            .clone()
            .map_or(ChainOf::Caller, ChainOf::Organization)
    }

    fn fingerprint(&self) -> String {
        self.body.0.as_ref().map(canonical_json).unwrap_or_default()
    }

    fn reads(&self, caller: &Presented, now: Timestamp) -> Vec<Statement> {
        let caller = &caller.key.key_id;
        let org_id = self.org_id.as_ref();
        let scopes = self.scopes.as_deref().unwrap_or_default();
        let mut statements = vec![
            organizations::named_or_own(org_id, caller),
            Quota::Instances.count_in(org_id, caller),
            prices::of_organization(org_id, caller, now),
            instances::known_scopes(None, org_id, caller, scopes),
        ];
        statements.extend(self.instance_id.as_ref().map(instances::taken));
        statements
    }

    fn target(&self, decision: &Decision<'_>) -> Result<Target> {
        if self.org_id.is_some() && OrganizationRow::read(&decision.rows(0))?.is_none() {
            return Err(fields::missing());
        }
        Ok(Target {
            org_id: self.org_of(decision),
            ..Target::default()
        })
    }

    fn decide(&self, decision: &Decision<'_>) -> Result<Outcome> {
        let wanted: Wanted = self.body.parse()?;
        let name = fields::name("name", &wanted.name)?;
        let instance_id = match wanted.instance_id {
            Some(instance_id) => instance_id,
            None => fields::slug(&name)?,
        };
        let local = decision.settings.is_local();
        let status = match wanted.status {
            None | Some(InstanceStatus::Deploying) => InstanceStatus::Deploying,
            Some(InstanceStatus::Active) if local => InstanceStatus::Active,
            Some(_) => {
                return Err(Error::invalid_field(
                    "status",
                    "a new instance is deploying; active only in local environments",
                ));
            }
        };
        let org_id = wanted
            .org_id
            .or_else(|| self.org_of(decision))
            .ok_or_else(|| {
                Error::invalid_field("org_id", "must name the organization of the instance")
            })?;
        let context = ValidateContext {
            local,
            self_hosted: false,
            now: decision.now,
        };
        let known_scopes = match &self.scopes {
            Some(_) => Some(instances::read_scopes(&decision.rows(3))?),
            None => None,
        };
        let sent = read_config(wanted.config, context, known_scopes)?;
        let count = decision.count(1);
        if count >= Quota::Instances.limit() {
            return Err(fields::quota_reached(Quota::Instances, count));
        }
        let (version, config_version, tombstone) = match Self::id_state(decision, &org_id)? {
            Id::Free => (1, 1, None),
            Id::Tombstone {
                version,
                config_version,
            } => (version + 1, config_version + 1, Some(version)),
        };
        let now = decision.now;
        let sealed = self.seal(&sent, &org_id, &instance_id, decision)?;
        let config = effective::build(Parts {
            instance_id: &instance_id,
            org_id: &org_id,
            name: &name,
            self_hosted: false,
            worker_urls: &BTreeMap::new(),
            config_version,
            edited: sent.edited,
            credentials: &sealed,
            prices: &PriceOverride::read_all(&decision.rows(2))?,
            now,
        })?;
        let body = effective::text(&config)?;
        let status_word = json!(status);
        let new = NewInstance {
            instance_id: &instance_id,
            org_id: &org_id,
            name: &name,
            config: &sent.stored.to_string(),
            status: status_word.as_str().unwrap_or_default(),
            now,
        };
        let mut statements = vec![
            instances::guard_free(&instance_id, &org_id, tombstone),
            Quota::Instances.guard(org_id.as_str(), &now.to_string()),
            instances::create(&new),
        ];
        statements.extend(sealed.iter().map(credentials::put));
        let sha256 = sha256_hex(body.as_bytes());
        statements.push(instances::put_effective(
            &instance_id,
            config_version,
            &body,
            &sha256,
            now,
        ));
        let masked: Map<String, Value> = sealed
            .iter()
            .map(|row| (row.provider.to_string(), mask(&row.last4).into()))
            .collect();
        let shown = Shown {
            status,
            paused_reason: None,
            version,
            created_at: Some(now),
            updated_at: Some(now),
            authorized_users: &[],
            credentials: &sealed,
        };
        Ok(Outcome {
            statements,
            audited: Some(Audited {
                target_type: "instance",
                target_id: instance_id.to_string(),
                instance_id: Some(instance_id.clone()),
                before: Value::Null,
                after: json!({"name": name, "status": status, "config": sent.stored, "api_keys": masked}),
            }),
            answer: Answer::created(
                flat(&config, &shown, decision.auth.role)?,
                format!("/instance/{instance_id}"),
            )
            .at_version(version),
            publish: Some(config),
        })
    }
}

/// Creates an instance.
///
/// 1. Role admin of the organization (404, 403), scope `config:write` (403).
/// 2. Name, id, status, the whole configuration with all problems at once (400, 413).
/// 3. At most 100 an organization, the id is free or a tombstone of the same organization (409).
/// 4. Row, sealed keys, effective configuration, audit entry in one batch; publication.
///
/// 201 with `Location` and the flat answer.
pub(crate) async fn create<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    key: IdempotencyKey,
    body: Body,
) -> Result<Response> {
    let demand = Demand::post(context, presented, key, "/instance");
    let named = match body.text("instance_id") {
        Some(id) => InstanceId::parse(id).ok(),
        None => body
            .text("name")
            .and_then(|name| fields::slug(name.trim()).ok()),
    };
    let change = CreateInstance {
        deps: &deps,
        org_id: body.text("org_id").and_then(|id| OrgId::parse(id).ok()),
        instance_id: named,
        scopes: config::scopes_to_look_up(body.at("/config/budgets")),
        body,
    };
    let answer = deps.mutate(&demand, &change).await?;
    Ok(answer.into_response(demand.context.request_id()))
}

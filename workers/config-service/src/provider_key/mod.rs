//! `/instance/{instance_id}/provider-key`: the keys of an instance's providers, one verb a file.
//!
//! In scope: what all verbs share: reading, showing, giving workers what was changed. Out of scope: what a key must
//! look like and sealing it (`provider_secret`), what workers get (`effective`).

mod delete;
mod list;
mod rotate;
mod set;
mod sweep;

pub(crate) use delete::delete;
pub(crate) use list::list;
pub(crate) use rotate::rotate;
pub(crate) use set::set;

use crate::change::Decision;
use crate::effective::{self, Parts, settings_of, state};
use crate::fields;
use crate::instance::edited;
use crate::provider_secret::{self, mask};
use api_types::{
    CredentialState, EditableConfig, InstanceConfig, InstanceId, ProviderName, ProviderSettings,
    Secret, Timestamp,
};
use auth::chain::sha256_hex;
use auth::envelope::ProviderSecretPlain;
use auth::permission::Target;
use errors::{Error, Result};
use middleware::Presented;
use platform::Statement;
use serde_json::{Value, json};
use store::control::credentials::{self, CredentialRow, PreviousRow};
use store::control::instances::{self, InstanceRow};
use store::control::prices::{self, PriceOverride};

/// Previous keys of one provider that are kept at once.
const MAX_PREVIOUS: i64 = 3;
/// How long a replaced or deleted key stays for the jobs that were submitted under it, where nobody says otherwise, in
/// milliseconds.
const KEEP_MS: i64 = 86_400_000;

/// One line: a provider and its key, without the value.
fn item(
    provider: &ProviderName,
    state: CredentialState,
    row: Option<&CredentialRow>,
    previous_until: Option<Timestamp>,
) -> Value {
    json!({
        "provider": provider, "state": state,
        "last4": row.map(|row| &row.last4), "set_at": row.map(|row| row.set_at),
        "set_by": row.map(|row| &row.set_by), "previous_until": previous_until,
        "last_used_at": row.and_then(|row| row.last_used_at),
        "last_error": row.and_then(|row| row.last_error.as_ref()),
        "version": row.map(|row| row.version),
    })
}

/// Until when any previous key of a provider may be asked for.
fn previous_until(provider: &ProviderName, previous: &[PreviousRow]) -> Option<Timestamp> {
    let own = previous.iter().filter(|row| row.provider == *provider);
    own.map(|row| row.retire_at).max()
}

/// How a key stands in the audit log.
fn audited(row: &CredentialRow) -> Value {
    json!({"api_key": mask(&row.last4), "host": row.host})
}

/// A key as it was sent.
///
/// # Errors
/// 400, without any part of the value.
fn plain(
    api_key: Secret,
    account: Option<String>,
    webhook_secret: Option<Secret>,
) -> Result<ProviderSecretPlain> {
    let plain = ProviderSecretPlain {
        api_key,
        account,
        webhook_secret,
    };
    provider_secret::check("api_key", &plain)?;
    Ok(plain)
}

/// The key that a change is about.
#[derive(Clone, Debug)]
struct Subject {
    instance_id: InstanceId,
    provider: ProviderName,
}

impl Subject {
    fn reads(&self, caller: &Presented, now: Timestamp) -> Vec<Statement> {
        vec![
            instances::for_caller(&caller.key.key_id, &self.instance_id),
            credentials::current(&self.instance_id),
            credentials::previous(&self.instance_id, now),
            prices::of_instance(&self.instance_id, now),
        ]
    }

    /// # Errors
    /// 404.
    fn target(decision: &Decision<'_>) -> Result<Target> {
        let row = InstanceRow::read(&decision.rows(0))?.ok_or_else(fields::missing)?;
        Ok(Target {
            org_id: Some(row.org_id),
            instance_id: Some(row.instance_id),
            ..Target::default()
        })
    }

    /// # Errors
    /// 404; 403 for a key that may not use the instance.
    fn known(&self, decision: &Decision<'_>) -> Result<Known> {
        let row = InstanceRow::read(&decision.rows(0))?.ok_or_else(fields::missing)?;
        if !row.allowed {
            return Err(fields::no_access());
        }
        let config = edited(&row)?;
        let mut others = CredentialRow::read_all(&decision.rows(1))?;
        let current = others
            .iter()
            .position(|row| row.provider == self.provider)
            .map(|at| others.remove(at));
        let mut previous = PreviousRow::read_all(&decision.rows(2))?;
        previous.retain(|row| row.provider == self.provider);
        Ok(Known {
            settings: settings_of(&config, &self.provider),
            subject: self.clone(),
            row,
            config,
            current,
            others,
            previous,
            prices: PriceOverride::read_all(&decision.rows(3))?,
        })
    }
}

/// What is known about that key.
#[derive(Clone, Debug)]
struct Known {
    subject: Subject,
    row: InstanceRow,
    config: EditableConfig,
    settings: Option<ProviderSettings>,
    /// The provider's current key.
    current: Option<CredentialRow>,
    /// The current keys of the other providers.
    others: Vec<CredentialRow>,
    /// The provider's previous keys, the newest first.
    previous: Vec<PreviousRow>,
    /// The instance's own prices.
    prices: Vec<PriceOverride>,
}

impl Known {
    /// The provider's settings.
    ///
    /// # Errors
    /// 400 for a provider that is neither in the configuration nor an adapter.
    fn settings(&self) -> Result<&ProviderSettings> {
        self.settings
            .as_ref()
            .ok_or_else(|| Error::invalid_field("provider", self.config.provider_rule()))
    }

    /// The host that a key entered now is bound to.
    ///
    /// # Errors
    /// 400.
    fn host(&self) -> Result<String> {
        self.settings()?
            .credential_host(&self.subject.provider)
            .ok_or_else(|| Error::invalid_field("provider", "has no base_url to bind a key to"))
    }

    /// Higher than that of any key of this provider that is still there.
    fn next_version(&self) -> i64 {
        let previous = self.previous.iter().map(|row| row.version);
        let current = self.current.iter().map(|row| row.version);
        previous.chain(current).max().unwrap_or(0) + 1
    }

    /// The line about the provider with that current key.
    fn item(&self, row: Option<&CredentialRow>, previous_until: Option<Timestamp>) -> Value {
        let provider = &self.subject.provider;
        let settings = self.settings.clone().unwrap_or_default();
        item(
            provider,
            state(provider, &settings, row),
            row,
            previous_until,
        )
    }

    /// Guards, `changes`, and what workers get when that is the provider's current key.
    ///
    /// # Errors
    /// 413 when the configuration becomes too large.
    fn republished(
        &self,
        changes: Vec<Statement>,
        current: Option<CredentialRow>,
        now: Timestamp,
    ) -> Result<(Vec<Statement>, InstanceConfig)> {
        let (instance_id, provider) = (&self.subject.instance_id, &self.subject.provider);
        let mut keys = self.others.clone();
        keys.extend(current);
        let config_version = self.row.config_version + 1;
        let effective = effective::build(Parts {
            instance_id,
            org_id: &self.row.org_id,
            name: &self.row.name,
            self_hosted: self.row.self_hosted,
            worker_urls: &self.row.worker_urls,
            config_version,
            edited: self.config.clone(),
            credentials: &keys,
            prices: &self.prices,
            now,
        })?;
        let body = effective::text(&effective)?;
        let sha256 = sha256_hex(body.as_bytes());
        let version = self.current.as_ref().map(|row| row.version);
        let mut statements = vec![
            instances::guard_config_version(instance_id, self.row.config_version),
            credentials::guard_version(instance_id, provider, version),
        ];
        statements.extend(changes);
        statements.extend([
            instances::set_config_version(instance_id, config_version),
            instances::put_effective(instance_id, config_version, &body, &sha256, now),
        ]);
        Ok((statements, effective))
    }
}

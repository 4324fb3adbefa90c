//! What workers get: the edited configuration with everything derived.
//!
//! In scope: credentials by host, defaults that follow from an adapter, prices that hold. Out of scope: storing and
//! publishing it.

use crate::price;
use api_types::{
    CredentialState, EditableConfig, InstanceConfig, InstanceId, OrgId, ProviderName,
    ProviderSettings, Timestamp,
};
use errors::{Code, Error, Result};
use std::collections::BTreeMap;
use store::control::credentials::CredentialRow;
use store::control::prices::PriceOverride;

/// Images in progress that an Ideogram organization is allowed, where the configuration says nothing else.
const IDEOGRAM_MAX_INFLIGHT_IMAGES: u32 = 10;
/// Largest effective configuration, in bytes.
pub const MAX_EFFECTIVE_BYTES: usize = 256 * 1024;

/// Everything an effective configuration is made of.
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    /// Id.
    pub instance_id: &'a InstanceId,
    /// Organization.
    pub org_id: &'a OrgId,
    /// Name.
    pub name: &'a str,
    /// Whether a superadmin marked it as self-hosted.
    pub self_hosted: bool,
    /// URLs of its workers.
    pub worker_urls: &'a BTreeMap<String, String>,
    /// Its version.
    pub config_version: i64,
    /// What people edit.
    pub edited: EditableConfig,
    /// The current provider keys.
    pub credentials: &'a [CredentialRow],
    /// Prices of the instance and its organization that hold now or later.
    pub prices: &'a [PriceOverride],
    /// Which of them hold.
    pub now: Timestamp,
}

/// Whether a provider's key can be used with its settings.
pub fn state(
    name: &ProviderName,
    settings: &ProviderSettings,
    row: Option<&CredentialRow>,
) -> CredentialState {
    match row {
        None => CredentialState::Missing,
        Some(row) if settings.credential_host(name).as_deref() != Some(&row.host) => {
            CredentialState::HostChanged
        }
        Some(row) if row.last_error.is_some() => CredentialState::Failing,
        Some(_) => CredentialState::Set,
    }
}

/// The settings of a provider: those of the configuration, else those of the adapter of that name.
pub fn settings_of(config: &EditableConfig, name: &ProviderName) -> Option<ProviderSettings> {
    config.providers.get(name).cloned().or_else(|| {
        let settings = ProviderSettings::default();
        settings.credential_host(name).is_some().then_some(settings)
    })
}

/// Builds it. A key whose host is not the provider's any more stays out.
///
/// # Errors
/// 413 when it is larger than 256 KB; 500 for a stored price that is none.
pub fn build(parts: Parts<'_>) -> Result<InstanceConfig> {
    let mut edited = parts.edited;
    let mut api_keys = BTreeMap::new();
    for row in parts.credentials {
        if let Some(settings) = settings_of(&edited, &row.provider) {
            edited.providers.insert(row.provider.clone(), settings);
        }
    }
    for (name, settings) in &mut edited.providers {
        let row = parts.credentials.iter().find(|row| row.provider == *name);
        // That a provider refused a key is told in lists; a copy that workers hold must not depend on reports.
        settings.credential_state = match state(name, settings, row) {
            CredentialState::Failing => CredentialState::Set,
            other => other,
        };
        settings.credential_id = None;
        if let (CredentialState::Set, Some(row)) = (settings.credential_state, row) {
            settings.credential_id = Some(row.credential_id.clone());
            api_keys.insert(name.clone(), row.ciphertext.clone());
        }
        if settings.adapter_name(name) == "ideogram" {
            let limit = edited.rate_limits.entry(name.clone()).or_default();
            limit
                .max_inflight_images
                .get_or_insert(IDEOGRAM_MAX_INFLIGHT_IMAGES);
        }
    }
    for (name, settings) in &mut edited.providers {
        price::join(name, settings, parts.prices, parts.now)?;
    }
    let ideogram = ProviderName::parse("ideogram").ok();
    for (name, limit) in &mut edited.rate_limits {
        if Some(name) == ideogram.as_ref() && !edited.providers.contains_key(name) {
            limit
                .max_inflight_images
                .get_or_insert(IDEOGRAM_MAX_INFLIGHT_IMAGES);
        }
    }
    let config = InstanceConfig {
        instance_id: parts.instance_id.clone(),
        org_id: parts.org_id.clone(),
        api_keys,
        worker_urls: parts.worker_urls.clone(),
        config_version: parts.config_version,
        name: parts.name.to_owned(),
        self_hosted: parts.self_hosted,
        edited,
    };
    let bytes = text(&config)?.len();
    if bytes > MAX_EFFECTIVE_BYTES {
        return Err(Error::new(
            Code::PayloadTooLarge,
            "The configuration with everything derived is too large.",
        )
        .with_detail("max_bytes", MAX_EFFECTIVE_BYTES));
    }
    Ok(config)
}

/// The JSON text that is stored and published.
///
/// # Errors
/// None in practice: the type always serializes.
pub fn text(config: &InstanceConfig) -> Result<String> {
    serde_json::to_string(config).map_err(|error| Error::internal(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_types::{Ciphertext, CredentialId, Timestamp};
    use serde_json::json;

    fn credential(host: &str) -> CredentialRow {
        CredentialRow {
            credential_id: CredentialId::parse("0198f0c0-0000-7000-8000-000000000001").unwrap(),
            org_id: OrgId::parse("0198f0a0-0000-7000-8000-000000000001").unwrap(),
            instance_id: InstanceId::parse("production").unwrap(),
            provider: ProviderName::parse("ideogram").unwrap(),
            host: host.into(),
            ciphertext: Ciphertext("v1.k1.a.b".into()),
            last4: "9f2c".into(),
            set_at: Timestamp(0),
            set_by: "key:x".into(),
            last_used_at: None,
            last_error: None,
            version: 1,
        }
    }

    fn built(edited: serde_json::Value, credentials: &[CredentialRow]) -> serde_json::Value {
        let config = build(Parts {
            instance_id: &InstanceId::parse("production").unwrap(),
            org_id: &OrgId::parse("0198f0a0-0000-7000-8000-000000000001").unwrap(),
            name: "Production",
            self_hosted: false,
            worker_urls: &BTreeMap::new(),
            config_version: 3,
            edited: serde_json::from_value(edited).unwrap(),
            credentials,
            prices: &[],
            now: Timestamp(0),
        })
        .unwrap();
        serde_json::to_value(config).unwrap()
    }

    #[test]
    fn a_key_for_an_adapter_without_settings_gets_default_settings() {
        let config = built(
            json!({"rate_limits": {"ideogram": {"rpm": 500}}}),
            &[credential("api.ideogram.ai")],
        );
        assert_eq!(config["api_keys"]["ideogram"], "v1.k1.a.b");
        assert_eq!(config["providers"]["ideogram"]["credential_state"], "set");
        assert_eq!(config["rate_limits"]["ideogram"]["max_inflight_images"], 10);
        assert_eq!(config["rate_limits"]["ideogram"]["rpm"], 500);
    }

    #[test]
    fn a_key_of_another_host_stays_out() {
        let edited = json!({"providers": {"ideogram": {"base_url": "https://evil.example"}}});
        let config = built(edited, &[credential("api.ideogram.ai")]);
        assert_eq!(config["api_keys"], json!({}));
        assert_eq!(
            config["providers"]["ideogram"]["credential_state"],
            "host_changed"
        );
        assert_eq!(
            config["providers"]["ideogram"]["credential_id"],
            json!(null)
        );
    }

    /// What people write is bounded by 64 KB; what is derived from it may be larger.
    #[test]
    fn a_configuration_of_more_than_256_kb_is_refused() {
        let of = |padding: usize| {
            build(Parts {
                instance_id: &InstanceId::parse("production").unwrap(),
                org_id: &OrgId::parse("0198f0a0-0000-7000-8000-000000000001").unwrap(),
                name: "Production",
                self_hosted: false,
                worker_urls: &BTreeMap::new(),
                config_version: 3,
                edited: EditableConfig {
                    environment: Some("x".repeat(padding)),
                    ..EditableConfig::default()
                },
                credentials: &[],
                prices: &[],
                now: Timestamp(0),
            })
        };
        let rest = text(&of(0).unwrap()).unwrap().len();
        let most = of(MAX_EFFECTIVE_BYTES - rest).unwrap();
        assert_eq!(text(&most).unwrap().len(), MAX_EFFECTIVE_BYTES);
        let refused = of(MAX_EFFECTIVE_BYTES - rest + 1).unwrap_err();
        assert_eq!(refused.code, Code::PayloadTooLarge);
        assert_eq!(refused.details["max_bytes"], MAX_EFFECTIVE_BYTES);
    }

    #[test]
    fn what_people_set_is_kept() {
        let edited = json!({"providers": {"pictures": {"adapter": "ideogram"}}, "rate_limits": {"pictures": {"max_inflight_images": 4}}});
        let config = built(edited, &[]);
        assert_eq!(config["rate_limits"]["pictures"]["max_inflight_images"], 4);
        assert_eq!(
            config["providers"]["pictures"]["credential_state"],
            "missing"
        );
    }
}

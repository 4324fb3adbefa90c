//! Opens the provider key that an instance's configuration carries sealed.
//!
//! In scope: the context it is bound to, 30 s of memory. Out of scope: sealing and rotation (config-service).

use crate::deps::Deps;
use api_types::url_guard::host_port;
use api_types::{CredentialId, InstanceConfig, ProviderName, ProviderSettings};
use auth::envelope::CredentialContext;
use errors::{Code, Error, Result};
use platform::{Clock, Ports};
use provider_adapters::{ImageAdapter, ProviderSecret};
use url::Url;

/// The id of the credential in use; `None` where the provider has none.
pub fn credential_id(config: &InstanceConfig, provider: &ProviderName) -> Option<CredentialId> {
    config
        .edited
        .providers
        .get(provider)
        .and_then(|settings| settings.credential_id.clone())
}

/// The host that the key was sealed for: that of `base_url`, or the vendor's own.
fn host(settings: &ProviderSettings, adapter: &ImageAdapter) -> String {
    let base = settings
        .base_url
        .as_deref()
        .unwrap_or(&adapter.profile().data().base_url);
    Url::parse(base).map_or_else(|_| String::new(), |url| host_port(&url))
}

/// Opens the key of `provider`. A provider without a sealed key has none (a self-hosted server).
///
/// # Errors
/// 500 `decryption_failed`: the envelope was not sealed for this host, or with a key that is not here.
pub fn open<P: Ports>(
    deps: &Deps<P>,
    config: &InstanceConfig,
    provider: &ProviderName,
    settings: &ProviderSettings,
    adapter: &ImageAdapter,
) -> Result<ProviderSecret> {
    let Some(sealed) = config.api_keys.get(provider) else {
        return Ok(ProviderSecret::of_key(""));
    };
    let now_ms = deps.clock.now_ms();
    let id = settings.credential_id.clone().ok_or_else(|| {
        Error::internal(format!("{provider}: a sealed key without a credential id"))
    })?;
    if let Some(secret) = deps.memory.secret(&id, config.config_version, now_ms) {
        return Ok(secret);
    }
    let context = CredentialContext {
        org_id: config.org_id.clone(),
        instance_id: config.instance_id.clone(),
        provider: provider.clone(),
        credential_id: id.clone(),
        host: host(settings, adapter),
    };
    let plain = deps.keks.open(&context, sealed)?;
    let secret = ProviderSecret::parse(&plain).map_err(|_| {
        Error::new(
            Code::DecryptionFailed,
            "A stored provider key cannot be read.",
        )
        .with_internal(format!(
            "{provider}: the opened credential is not of its form"
        ))
    })?;
    logging::register_secret(secret.api_key.expose());
    deps.memory
        .keep_secret(&id, config.config_version, secret.clone(), now_ms);
    Ok(secret)
}

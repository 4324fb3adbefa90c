//! Opens provider keys: the one that an instance's configuration carries sealed, and those that config-service still has.
//!
//! In scope: the context a key is bound to, 30 s of memory, which key a known job needs, a rejected key read again, reports.
//! Out of scope: sealing and rotation (config-service), what a rejection leads to (`attempt`).

use crate::deps::Deps;
use api_types::{
    Ciphertext, CredentialId, InstanceConfig, JobRef, ProviderName, ProviderSettings, Timestamp,
};
use auth::envelope::CredentialContext;
use errors::{Code, Error, Result};
use lookup::{CredentialOutcome, CredentialReport};
use platform::{Background, CallContext, Clock, Ports};
use provider_adapters::{ImageAdapter, ProviderSecret, registry};

/// An opened key, and which one it is.
#[derive(Clone)]
pub struct Opened {
    /// `None` where the provider has none.
    pub id: Option<CredentialId>,
    /// The only host that it may be sent to; empty where there is nothing to send. The envelope is bound to it.
    pub host: String,
    /// What is sent.
    pub secret: ProviderSecret,
}

impl Opened {
    fn none() -> Self {
        Self {
            id: None,
            host: String::new(),
            secret: ProviderSecret::of_key(""),
        }
    }

    /// Whether it may be sent to where that adapter sends.
    pub fn fits(&self, adapter: &ImageAdapter) -> bool {
        self.id.is_none() || self.host == adapter.profile().host()
    }
}

/// A provider of an instance, whose keys are asked for.
#[derive(Clone, Copy)]
pub struct Holder<'a> {
    /// Configuration of the instance.
    pub config: &'a InstanceConfig,
    /// The provider.
    pub provider: &'a ProviderName,
    /// Its settings.
    pub settings: &'a ProviderSettings,
    /// Its adapter.
    pub adapter: &'a ImageAdapter,
}

/// The id of the credential in use; `None` where the provider has none.
pub fn credential_id(config: &InstanceConfig, provider: &ProviderName) -> Option<CredentialId> {
    config
        .edited
        .providers
        .get(provider)
        .and_then(|settings| settings.credential_id.clone())
}

/// Whether there is a way to `provider`: its key opens, or it needs none. One that does not open is logged once.
///
/// # Errors
/// As [`Holder::current`]; 500 for a provider without an adapter.
pub fn usable<P: Ports>(
    deps: &Deps<P>,
    config: &InstanceConfig,
    provider: &ProviderName,
) -> Result<()> {
    to_submit(deps, config, provider).map(drop)
}

impl Holder<'_> {
    /// `host` is a claim that the envelope confirms: sealed for another one, it does not open.
    fn unseal<P: Ports>(
        self,
        deps: &Deps<P>,
        id: &CredentialId,
        host: String,
        sealed: &Ciphertext,
    ) -> Result<Opened> {
        let context = CredentialContext {
            org_id: self.config.org_id.clone(),
            instance_id: self.config.instance_id.clone(),
            provider: self.provider.clone(),
            credential_id: id.clone(),
            host,
        };
        let opened = deps.keks.open(&context, sealed).and_then(|plain| {
            ProviderSecret::parse(&plain).map_err(|_| {
                Error::new(
                    Code::DecryptionFailed,
                    "A stored provider key cannot be read.",
                )
                .with_internal(format!("the opened credential {id} is not of its form"))
            })
        });
        match opened {
            Ok(secret) => {
                logging::register_secret(secret.api_key.expose());
                Ok(Opened {
                    id: Some(id.clone()),
                    host: context.host,
                    secret,
                })
            }
            Err(error) => {
                // Every request finds it again; the line that somebody is woken by is written once an isolate and version.
                if deps.memory.is_first_failure(id, self.config.config_version) {
                    tracing::error!(
                        %error,
                        provider = self.provider.as_str(),
                        "a provider key cannot be opened"
                    );
                }
                Err(error)
            }
        }
    }

    /// The current key. A provider without a sealed key has none (a self-hosted server).
    ///
    /// # Errors
    /// 500 `decryption_failed`: the envelope was not sealed for this host, or with a key that is not here.
    pub fn current<P: Ports>(self, deps: &Deps<P>) -> Result<Opened> {
        let Some(sealed) = self.config.api_keys.get(self.provider) else {
            return Ok(Opened::none());
        };
        let now_ms = deps.clock.now_ms();
        let version = self.config.config_version;
        let id = self.settings.credential_id.as_ref().ok_or_else(|| {
            Error::internal(format!(
                "{}: a sealed key without a credential id",
                self.provider
            ))
        })?;
        let known = deps.memory.secret(id, version, now_ms);
        if let Some(opened) = known.filter(|opened| opened.fits(self.adapter)) {
            return Ok(opened);
        }
        let host = self.adapter.profile().host();
        let opened = self.unseal(deps, id, host, sealed)?;
        deps.memory.keep_secret(id, version, opened.clone(), now_ms);
        Ok(opened)
    }

    /// The key that a job was submitted under, bound to the host that it was set for: a vendor shows a job to the account
    /// that it belongs to. `None` when that is the current key, or when it is not to be had any more.
    async fn submitted_under<P: Ports>(
        self,
        deps: &Deps<P>,
        id: &CredentialId,
        context: &CallContext,
    ) -> Option<Opened> {
        if self.settings.credential_id.as_ref() == Some(id) {
            return None;
        }
        let now_ms = deps.clock.now_ms();
        let version = self.config.config_version;
        if let Some(opened) = deps.memory.secret(id, version, now_ms) {
            return Some(opened);
        }
        let source = deps.lookup.source();
        let instance_id = &self.config.instance_id;
        let found = source
            .credential(instance_id, self.provider, Some(id), context)
            .await
            .and_then(|sealed| self.unseal(deps, id, sealed.host, &sealed.ciphertext));
        match found {
            Ok(opened) => {
                deps.memory.keep_secret(id, version, opened.clone(), now_ms);
                Some(opened)
            }
            Err(error) => {
                tracing::warn!(
                    %error,
                    credential_id = id.as_str(),
                    "the key that a job was submitted under is not to be had; the current one is used"
                );
                None
            }
        }
    }

    /// The current key past every cache, once a provider has rejected `used`; `None` when it is the same one, or is not to
    /// be had. It is used from now on where this version of the configuration names the rejected one.
    pub async fn renewed<P: Ports>(
        self,
        deps: &Deps<P>,
        used: &Opened,
        context: &CallContext,
    ) -> Option<Opened> {
        let rejected = used.id.as_ref()?;
        let source = deps.lookup.source();
        let instance_id = &self.config.instance_id;
        let found = source
            .credential(instance_id, self.provider, None, context)
            .await
            .and_then(|sealed| {
                let (id, host) = (&sealed.credential_id, sealed.host);
                self.unseal(deps, id, host, &sealed.ciphertext)
            });
        let renewed = match found {
            Ok(opened) => opened,
            Err(error) => {
                tracing::warn!(%error, provider = self.provider.as_str(), "a rejected key was not read again");
                return None;
            }
        };
        if !renewed.fits(self.adapter) {
            tracing::warn!(
                provider = self.provider.as_str(),
                "the current key belongs to another host than the one that rejected its predecessor"
            );
            return None;
        }
        if renewed.secret.api_key.expose() == used.secret.api_key.expose() {
            return None;
        }
        let version = self.config.config_version;
        let now_ms = deps.clock.now_ms();
        for id in [Some(rejected), self.settings.credential_id.as_ref()]
            .into_iter()
            .flatten()
        {
            deps.memory
                .keep_secret(id, version, renewed.clone(), now_ms);
        }
        Some(renewed)
    }
}

/// A provider with the key that goes there. A key is only ever beside an adapter that sends to the key's own host.
pub struct Access {
    /// Settings, with the base URL that the adapter has.
    pub settings: ProviderSettings,
    /// Adapter.
    pub adapter: ImageAdapter,
    /// Key.
    pub opened: Opened,
}

/// The way to a provider for a new submission: today's address, today's key.
///
/// # Errors
/// As [`Holder::current`]; 500 for settings without an adapter.
pub fn to_submit<P: Ports>(
    deps: &Deps<P>,
    config: &InstanceConfig,
    provider: &ProviderName,
) -> Result<Access> {
    // Without settings the name is the adapter.
    let settings = config
        .edited
        .providers
        .get(provider)
        .cloned()
        .unwrap_or_default();
    let adapter = registry::image(provider, &settings)?;
    let holder = Holder {
        config,
        provider,
        settings: &settings,
        adapter: &adapter,
    };
    let opened = holder.current(deps)?;
    Ok(Access {
        settings,
        adapter,
        opened,
    })
}

/// The way to a job that the provider has: the key that it was submitted under, at the host that this key is bound to. If
/// the address of the provider has moved meanwhile, that is the old one, which the job's handle names. Where both cannot be
/// had together, today's key at today's address is all there is.
///
/// # Errors
/// As [`to_submit`].
pub async fn to_resume<P: Ports>(
    deps: &Deps<P>,
    config: &InstanceConfig,
    (provider, job, id): (&ProviderName, &JobRef, Option<&CredentialId>),
    context: &CallContext,
) -> Result<Access> {
    let unset = ProviderSettings::default();
    let settings = config.edited.providers.get(provider).unwrap_or(&unset);
    let adapter = registry::image(provider, settings)?;
    let holder = Holder {
        config,
        provider,
        settings,
        adapter: &adapter,
    };
    let opened = match id {
        Some(id) => holder.submitted_under(deps, id, context).await,
        None => None,
    };
    let Some(opened) = opened else {
        return to_submit(deps, config, provider);
    };
    if opened.fits(&adapter) {
        let settings = settings.clone();
        return Ok(Access {
            settings,
            adapter,
            opened,
        });
    }
    let settings = ProviderSettings {
        base_url: adapter.base_of(job),
        ..settings.clone()
    };
    match registry::image(provider, &settings) {
        Ok(adapter) if opened.fits(&adapter) => Ok(Access {
            settings,
            adapter,
            opened,
        }),
        _ => {
            tracing::warn!(
                credential_id = id.map(CredentialId::as_str),
                "the key that a job was submitted under belongs to another host; the current one is used"
            );
            to_submit(deps, config, provider)
        }
    }
}

/// Tells config-service what a provider made of a key, after the answer and when it is news.
pub fn report<P: Ports>(
    deps: &Deps<P>,
    used: &Opened,
    outcome: CredentialOutcome,
    context: &CallContext,
) {
    let now_ms = deps.clock.now_ms();
    let Some(id) = &used.id else { return };
    if !deps.memory.is_news(id, outcome, now_ms) {
        return;
    }
    let items = [CredentialReport {
        credential_id: id.clone(),
        outcome,
        at: Timestamp(now_ms),
    }];
    let (owned, context) = (deps.clone(), context.clone());
    deps.background.spawn(async move {
        if let Err(error) = owned.lookup.source().report(&items, &context).await {
            tracing::warn!(%error, "what a provider made of a key is not reported");
            for item in &items {
                owned.memory.not_told(&item.credential_id, now_ms);
            }
        }
    });
}

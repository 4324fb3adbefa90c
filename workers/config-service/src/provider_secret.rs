//! A provider key on its way from a request into its envelope.
//!
//! In scope: what is accepted, masking, sealing. Out of scope: who may set one.

use api_types::{CredentialId, InstanceId, OrgId, ProviderName, Timestamp};
use auth::envelope::{CredentialContext, Keks, ProviderSecretPlain};
use errors::{Error, Result};
use platform::Random;
use store::control::credentials::CredentialRow;

/// Most of the plain form, in bytes.
const MAX_BYTES: usize = 8 * 1024;
/// Keys shorter than this show none of their characters.
const MIN_SHOWN: usize = 20;

/// Checks a key as a caller sent it.
///
/// # Errors
/// 400 `invalid_field`, without any part of the value.
pub(crate) fn check(field: &str, plain: &ProviderSecretPlain) -> Result<()> {
    let refuse = |rule: &str| Err(Error::invalid_field(field, rule));
    let key = plain.api_key.expose();
    if key.trim().is_empty() {
        return refuse("must not be empty");
    }
    let parts = [
        Some(key),
        plain.account.as_deref(),
        plain.webhook_secret.as_ref().map(api_types::Secret::expose),
    ];
    if parts
        .into_iter()
        .flatten()
        .any(|part| part.chars().any(char::is_control))
    {
        return refuse("must not hold control characters");
    }
    if plain.to_json().len() > MAX_BYTES {
        return refuse("must be at most 8 KB");
    }
    if auth::key::parse(key).is_ok() {
        return refuse("is an API key of this platform, not one of the provider");
    }
    Ok(())
}

/// The last four characters; empty for keys that are so short that these would say too much.
pub(crate) fn last4(plain: &ProviderSecretPlain) -> String {
    let key = plain.api_key.expose();
    let count = key.chars().count();
    if count < MIN_SHOWN {
        return String::new();
    }
    key.chars().skip(count - 4).collect()
}

/// How a key is shown.
pub(crate) fn mask(last4: &str) -> String {
    format!("****{last4}")
}

/// Where a key goes.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Organization.
    pub org_id: OrgId,
    /// Instance.
    pub instance_id: InstanceId,
    /// Provider.
    pub provider: ProviderName,
    /// Row.
    pub credential_id: CredentialId,
    /// Host it may be sent to.
    pub host: String,
}

/// Seals a key into its row.
///
/// # Errors
/// 500 when the current key-encryption key is missing.
pub(crate) fn seal(
    keks: &Keks,
    random: &impl Random,
    place: Place,
    plain: &ProviderSecretPlain,
    set_by: &str,
    now: Timestamp,
    version: i64,
) -> Result<CredentialRow> {
    let context = CredentialContext {
        org_id: place.org_id,
        instance_id: place.instance_id,
        provider: place.provider,
        credential_id: place.credential_id,
        host: place.host,
    };
    let ciphertext = keks.seal(random, &context, plain.to_json().as_bytes())?;
    Ok(CredentialRow {
        credential_id: context.credential_id,
        org_id: context.org_id,
        instance_id: context.instance_id,
        provider: context.provider,
        host: context.host,
        ciphertext,
        last4: last4(plain),
        set_at: now,
        set_by: set_by.to_owned(),
        last_used_at: None,
        last_error: None,
        version,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_no_provider_key() {
        let key = |text: &str| check("api_key", &ProviderSecretPlain::from_key(text));
        assert!(key("sim-ok-dev").is_ok());
        for bad in [
            "",
            "  ",
            "a\nb",
            &"x".repeat(9_000),
            "sy_4fGh7kQ2mZ0a_3AHOVcjqx4BIPWdkry5CJQXelsz6DKRYfmt07ELSZgn0akblb",
        ] {
            let error = key(bad).unwrap_err();
            assert!(bad.trim().is_empty() || !error.to_string().contains(bad));
        }
    }

    #[test]
    fn short_keys_show_nothing() {
        assert_eq!(last4(&ProviderSecretPlain::from_key("sim-ok-dev")), "");
        assert_eq!(
            last4(&ProviderSecretPlain::from_key("ide-live-0123456789-9f2c")),
            "9f2c"
        );
    }
}

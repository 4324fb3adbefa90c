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

/// Checks a key as a caller sent it; `field` is where the key stands, the other members stand beside it.
///
/// # Errors
/// 400 `invalid_field`, without any part of the value.
pub(crate) fn check(field: &str, plain: &ProviderSecretPlain) -> Result<()> {
    let parts = [
        (field, Some(plain.api_key.expose())),
        ("account", plain.account.as_deref()),
        (
            "webhook_secret",
            plain.webhook_secret.as_ref().map(api_types::Secret::expose),
        ),
    ];
    for (field, part) in parts {
        let Some(part) = part else {
            continue;
        };
        let refuse = |rule: &str| Err(Error::invalid_field(field, rule));
        if part.trim().is_empty() {
            return refuse("must not be empty");
        }
        if part.chars().any(char::is_control) {
            return refuse("must not hold control characters");
        }
        if is_own(part) {
            return refuse("is an API key of this platform, not one of the provider");
        }
    }
    if plain.to_json().len() > MAX_BYTES {
        return Err(Error::invalid_field(field, "must be at most 8 KB"));
    }
    Ok(())
}

/// Whether a text has the outline of one of our own keys. One with a typing error is ours as well.
fn is_own(text: &str) -> bool {
    let mut parts = text.trim().splitn(3, '_');
    let outline = (parts.next(), parts.next(), parts.next());
    let (Some("sy"), Some(id), Some(secret)) = outline else {
        return false;
    };
    let plain = |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric());
    (8..=16).contains(&id.len()) && secret.len() >= 32 && plain(id) && plain(secret)
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
            // With a typing error, cut, with a space around it.
            "sy_4fGh7kQ2mZ0a_3AHOVcjqx4BIPWdkry5CJQXelsz6DKRYfmt07ELSZgn0akbla",
            "sy_4fGh7kQ2mZ0a_3AHOVcjqx4BIPWdkry5CJQXelsz6DKRY",
            " sy_4fGh7kQ2mZ0a_3AHOVcjqx4BIPWdkry5CJQXelsz6DKRYfmt07ELSZgn0akblb ",
        ] {
            let error = key(bad).unwrap_err();
            assert!(bad.trim().is_empty() || !error.to_string().contains(bad));
        }
    }

    #[test]
    fn the_member_that_breaks_a_rule_is_named() {
        let field = |plain: &ProviderSecretPlain| check("api_key", plain).unwrap_err().details;
        let good = ProviderSecretPlain::from_key("sy_is_how_some_vendor_begins_its_keys");
        assert!(check("api_key", &good).is_ok());
        let account = ProviderSecretPlain {
            account: Some("a\u{7f}b".into()),
            ..good.clone()
        };
        assert_eq!(field(&account)["field"], "account");
        let webhook = ProviderSecretPlain {
            webhook_secret: Some(api_types::Secret::new("")),
            ..good.clone()
        };
        assert_eq!(field(&webhook)["field"], "webhook_secret");
        let whole = ProviderSecretPlain {
            account: Some("x".repeat(8_190)),
            ..good
        };
        assert_eq!(field(&whole)["field"], "api_key");
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

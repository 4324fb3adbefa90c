//! Envelopes of provider keys.

use crate::support::{INSTANCE, ORG};
use api_types::{CredentialId, InstanceId, OrgId};
use auth::envelope::{CredentialContext, Keks, ProviderSecretPlain};
use platform::fakes::FakeRandom;
use serde_json::{Value, json};

pub(crate) fn sealed(
    keks: &Keks,
    random: &FakeRandom,
    provider: &str,
    id: &str,
    host: &str,
) -> Value {
    sealed_value(
        keks,
        random,
        provider,
        id,
        host,
        &format!("{provider}-secret"),
    )
}

pub(crate) fn sealed_value(
    keks: &Keks,
    random: &FakeRandom,
    provider: &str,
    id: &str,
    host: &str,
    value: &str,
) -> Value {
    let context = CredentialContext {
        org_id: OrgId::parse(ORG).unwrap(),
        instance_id: InstanceId::parse(INSTANCE).unwrap(),
        provider: api_types::ProviderName::parse(provider).unwrap(),
        credential_id: CredentialId::parse(id).unwrap(),
        host: host.to_owned(),
    };
    let plain = ProviderSecretPlain::from_key(value.to_owned());
    json!(
        keks.seal(random, &context, plain.to_json().as_bytes())
            .unwrap()
    )
}

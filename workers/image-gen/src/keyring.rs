//! The key-encryption keys of this worker, from its variables and secrets.
//!
//! In scope: what makes a configuration unusable, in words that say what to set. Out of scope: the platform's `Env`
//! (`bindings`), opening with them (`credentials`).

use auth::envelope::{KekScope, Keks};
use auth::keyring::Keyring;
use errors::{Error, Result};

/// `KEK_CURRENT`, `KEK_SCOPE` and all secrets `KEK_<id>` among `names`.
///
/// # Errors
/// 500 that names the variable: none that is current, a scope that is neither `platform` nor `instance`, a key that is not
/// 32 bytes in base64. The worker does not start with any of them: it would open nothing, or with the wrong key.
pub(crate) fn keyring(names: &[String], get: impl Fn(&str) -> Option<String>) -> Result<Keks> {
    let scope = KekScope::from_var(get("KEK_SCOPE").as_deref())?;
    let ring = Keyring::read(names, get, "KEK");
    let usable = ring.current.as_ref().filter(|_| ring.problems.is_empty());
    let current = usable.ok_or_else(|| {
        let problems = ring.problems.join(", ");
        Error::internal(format!("missing, or not 32 bytes in base64: {problems}"))
    })?;
    ring.texts()
        .for_each(|text| logging::register_secret(&text));
    Keks::new(current, ring.keys.clone(), scope)
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_types::{CredentialId, InstanceId, OrgId, ProviderName};
    use auth::envelope::CredentialContext;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use platform::fakes::FakeRandom;

    const KEY: [u8; 32] = [9; 32];

    fn read(vars: &[(&str, &str)], key: &str) -> Result<Keks> {
        let names = ["KEK_CURRENT", "KEK_SCOPE", "KEK_k1", "DB"].map(str::to_owned);
        keyring(&names, |name| {
            let mut all = vars.iter().copied().chain([("KEK_k1", key)]);
            all.find(|(known, _)| *known == name)
                .map(|(_, value)| value.to_owned())
        })
    }

    fn context() -> CredentialContext {
        CredentialContext {
            org_id: OrgId::parse("0198f0a0-0000-7000-8000-000000000001").unwrap(),
            instance_id: InstanceId::parse("production").unwrap(),
            provider: ProviderName::parse("ideogram").unwrap(),
            credential_id: CredentialId::parse("0198f0c0-0000-7000-8000-000000000001").unwrap(),
            host: "api.ideogram.ai".to_owned(),
        }
    }

    #[test]
    fn the_scope_says_whether_keys_are_derived() {
        let key = STANDARD.encode(KEY);
        let master = Keks::new("k1", vec![("k1".to_owned(), KEY)], KekScope::Master).unwrap();
        let random = FakeRandom::seeded(7);
        let sealed = master.seal(&random, &context(), b"value").unwrap();
        for vars in [
            &[("KEK_CURRENT", "k1")][..],
            &[("KEK_CURRENT", "k1"), ("KEK_SCOPE", "platform")],
        ] {
            let keks = read(vars, &key).unwrap();
            assert_eq!(keks.ids(), ["k1"]);
            assert_eq!(*keks.open(&context(), &sealed).unwrap(), b"value");
        }
        let own = read(&[("KEK_CURRENT", "k1"), ("KEK_SCOPE", "instance")], &key).unwrap();
        assert!(own.open(&context(), &sealed).is_err());
    }

    #[test]
    fn what_cannot_be_used_is_refused_by_its_name() {
        let key = STANDARD.encode(KEY);
        let short = STANDARD.encode([1; 31]);
        for (vars, key, named) in [
            (&[][..], &key, "KEK_CURRENT"),
            (&[("KEK_CURRENT", "")], &key, "KEK_CURRENT"),
            (&[("KEK_CURRENT", "k2")], &key, "KEK_k2"),
            (
                &[("KEK_CURRENT", "k1"), ("KEK_SCOPE", "Instance")],
                &key,
                "KEK_SCOPE",
            ),
            (
                &[("KEK_CURRENT", "k1"), ("KEK_SCOPE", "master")],
                &key,
                "KEK_SCOPE",
            ),
            (&[("KEK_CURRENT", "k1")], &short, "KEK_k1"),
        ] {
            let error = read(vars, key).map(|_| vars).unwrap_err();
            assert!(error.to_string().contains(named), "{vars:?}: {error}");
            assert!(
                !error.to_string().contains(key.as_str()),
                "{vars:?}: {error}"
            );
        }
    }
}

//! The envelope of provider keys: what makes it unreadable, what rewrapping keeps, and that a second implementation of
//! the same words (HKDF-SHA256, AES-256-GCM) reads what this one writes and the other way round.
#![expect(clippy::unwrap_used, reason = "tests")]

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use api_types::{Ciphertext, CredentialId, InstanceId, OrgId, ProviderName};
use auth::envelope::{CredentialContext, KekScope, Keks, ProviderSecretPlain, derive_instance_kek};
use auth::hash::hex;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use errors::Code;
use hkdf::Hkdf;
use platform::fakes::FakeRandom;
use sha2::Sha256;

const K2: [u8; 32] = [9; 32];
const PINNED: &str = "243df8dfae97f2b90458810e3aec8e6ad3e9f8e5fd8679dd67ae1dd7a08e638d";

fn k1() -> [u8; 32] {
    std::array::from_fn(|at| at as u8)
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

fn keks(current: &str) -> Keks {
    let all = vec![("k1".to_owned(), k1()), ("k2".to_owned(), K2)];
    Keks::new(current, all, KekScope::Master).unwrap()
}

fn only(id: &str, key: [u8; 32], scope: KekScope) -> Keks {
    Keks::new(id, vec![(id.to_owned(), key)], scope).unwrap()
}

fn sealed(seed: u64) -> Ciphertext {
    let random = FakeRandom::seeded(seed);
    keks("k1").seal(&random, &context(), b"secret").unwrap()
}

/// Every other context that differs in one member.
fn swapped() -> Vec<(&'static str, CredentialContext)> {
    let org_id = OrgId::parse("0198f0a0-0000-7000-8000-000000000002").unwrap();
    let instance_id = InstanceId::parse("development").unwrap();
    let provider = ProviderName::parse("openai").unwrap();
    let credential_id = CredentialId::parse("0198f0c0-0000-7000-8000-000000000002").unwrap();
    let host = "evil.example".to_owned();
    vec![
        (
            "organization",
            CredentialContext {
                org_id,
                ..context()
            },
        ),
        (
            "instance",
            CredentialContext {
                instance_id,
                ..context()
            },
        ),
        (
            "provider",
            CredentialContext {
                provider,
                ..context()
            },
        ),
        (
            "row",
            CredentialContext {
                credential_id,
                ..context()
            },
        ),
        ("host", CredentialContext { host, ..context() }),
    ]
}

#[test]
fn the_pinned_derivation_vector_holds() {
    let key = derive_instance_kek(&k1(), &context().org_id, &context().instance_id).unwrap();
    assert_eq!(hex(&key), PINNED);
}

#[test]
fn any_flipped_byte_makes_it_unreadable() {
    let (keks, envelope) = (keks("k1"), sealed(4));
    assert_eq!(*keks.open(&context(), &envelope).unwrap(), b"secret");
    for at in 0..envelope.0.len() {
        for mask in 1..=0x7f_u8 {
            let mut bytes = envelope.0.clone().into_bytes();
            bytes[at] ^= mask;
            // ASCII stays ASCII under these masks.
            let changed = Ciphertext(String::from_utf8(bytes).unwrap());
            let opened = keks.open(&context(), &changed);
            assert!(opened.is_err(), "byte {at} xor {mask:#x}: {changed:?}");
        }
    }
    for cut in 0..envelope.0.len() {
        let short = Ciphertext(envelope.0[..cut].to_owned());
        assert!(keks.open(&context(), &short).is_err(), "cut at {cut}");
        let random = FakeRandom::seeded(1);
        assert!(keks.rewrap(&random, &context(), &short, "k2").is_err());
    }
    let longer = Ciphertext(format!("{}.x", envelope.0));
    assert!(keks.open(&context(), &longer).is_err());
}

#[test]
fn a_swapped_organization_instance_provider_row_or_host_makes_it_unreadable() {
    let (keks, envelope) = (keks("k1"), sealed(4));
    let random = FakeRandom::seeded(8);
    for (what, other) in swapped() {
        assert!(keks.open(&other, &envelope).is_err(), "{what}");
        assert!(
            keks.rewrap(&random, &other, &envelope, "k2").is_err(),
            "{what}"
        );
    }
}

#[test]
fn another_kek_id_makes_it_unreadable_even_when_it_names_the_same_bytes() {
    let envelope = sealed(4);
    let renamed = Ciphertext(envelope.0.replacen("v1.k1.", "v1.k2.", 1));
    assert!(keks("k1").open(&context(), &renamed).is_err());
    // The id is part of what is authenticated, not only the way to the key.
    let twins = vec![("k1".to_owned(), k1()), ("k2".to_owned(), k1())];
    let twins = Keks::new("k1", twins, KekScope::Master).unwrap();
    assert_eq!(*twins.open(&context(), &envelope).unwrap(), b"secret");
    assert!(twins.open(&context(), &renamed).is_err());
}

#[test]
fn parts_of_two_envelopes_do_not_make_a_third() {
    let (a, b) = (sealed(1), sealed(2));
    let (a, b): (Vec<&str>, Vec<&str>) = (a.0.split('.').collect(), b.0.split('.').collect());
    for mixed in [[a[2], b[3]], [b[2], a[3]], [a[3], a[2]]] {
        let mixed = Ciphertext(format!("v1.k1.{}", mixed.join(".")));
        assert!(keks("k1").open(&context(), &mixed).is_err());
    }
}

#[test]
fn a_failure_names_row_and_key_and_nothing_else() {
    let keks = keks("k1");
    let envelope = sealed(4);
    let (_, other) = swapped().remove(4);
    let error = keks.open(&other, &envelope).unwrap_err();
    assert_eq!(error.code, Code::DecryptionFailed);
    assert_eq!(
        error.internal,
        "credential_id=0198f0c0-0000-7000-8000-000000000001 kek_id=k1"
    );
    // What stands where the id should be may be anything, also a secret that somebody stored by mistake.
    let stored_by_mistake = Ciphertext("v1.sk-live-canary-012.x.y".to_owned());
    let error = keks.open(&context(), &stored_by_mistake).unwrap_err();
    assert_eq!(
        error.internal,
        "credential_id=0198f0c0-0000-7000-8000-000000000001 kek_id=?"
    );
}

#[test]
fn rewrapping_keeps_the_value_and_names_the_new_key() {
    let random = FakeRandom::seeded(5);
    let old = sealed(5);
    // Also to a key that is not the current one.
    for current in ["k1", "k2"] {
        let new = keks(current)
            .rewrap(&random, &context(), &old, "k2")
            .unwrap();
        assert_eq!(new.kek_id(), Some("k2"));
        let only_new = only("k2", K2, KekScope::Master);
        assert_eq!(*only_new.open(&context(), &new).unwrap(), b"secret");
        assert_eq!(new.0.split('.').nth(3), old.0.split('.').nth(3));
        assert_ne!(new.0.split('.').nth(2), old.0.split('.').nth(2));
        assert!(
            only("k1", k1(), KekScope::Master)
                .open(&context(), &new)
                .is_err()
        );
        assert_eq!(*keks(current).open(&context(), &old).unwrap(), b"secret");
    }
    let missing = keks("k1")
        .rewrap(&random, &context(), &old, "k3")
        .unwrap_err();
    assert_eq!(missing.code, Code::InternalError);
}

#[test]
fn the_derived_key_opens_its_own_instance_and_no_other() {
    let random = FakeRandom::seeded(3);
    let plain = ProviderSecretPlain::from_key("ide-live-1").to_json();
    let envelope = keks("k1")
        .seal(&random, &context(), plain.as_bytes())
        .unwrap();
    assert!(!envelope.0.contains("ide-live"));
    let derived = derive_instance_kek(&k1(), &context().org_id, &context().instance_id).unwrap();
    let scoped = only("k1", derived, KekScope::Instance);
    let opened = scoped.open(&context(), &envelope).unwrap();
    let opened = ProviderSecretPlain::from_json(&opened).unwrap();
    assert_eq!(opened.api_key.expose(), "ide-live-1");
    let neighbour = CredentialContext {
        instance_id: InstanceId::parse("development").unwrap(),
        ..context()
    };
    let theirs = keks("k1").seal(&random, &neighbour, b"theirs").unwrap();
    assert!(scoped.open(&neighbour, &theirs).is_err());
    // Taking the derived key for a master opens nothing at all.
    assert!(
        only("k1", derived, KekScope::Master)
            .open(&context(), &envelope)
            .is_err()
    );
}

#[test]
fn the_scope_is_one_of_two_words() {
    for master in [None, Some(""), Some("platform")] {
        assert_eq!(KekScope::from_var(master).unwrap(), KekScope::Master);
    }
    assert_eq!(
        KekScope::from_var(Some("instance")).unwrap(),
        KekScope::Instance
    );
    for bad in ["Instance", "master", "production"] {
        assert!(KekScope::from_var(Some(bad)).is_err(), "{bad}");
    }
}

/// The other implementation, written from the description of the format and not from our code.
mod second {
    use super::*;

    fn prefixed(parts: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in parts {
            bytes.push((part.len() / 256) as u8);
            bytes.push((part.len() % 256) as u8);
            bytes.extend(part.bytes());
        }
        bytes
    }

    pub(super) fn instance_key(master: &[u8; 32], org_id: &str, instance_id: &str) -> [u8; 32] {
        let mut key = [0; 32];
        Hkdf::<Sha256>::new(Some(b"switchyard/kek/v1"), master)
            .expand(&prefixed(&[org_id, instance_id]), &mut key)
            .unwrap();
        key
    }

    fn aad(c: &CredentialContext, part: &str) -> Vec<u8> {
        prefixed(&[
            "switchyard/credential/v1",
            c.org_id.as_str(),
            c.instance_id.as_str(),
            c.provider.as_str(),
            c.credential_id.as_str(),
            &c.host,
            part,
        ])
    }

    fn decrypt(key: &[u8], aad: &[u8], part: &str) -> Vec<u8> {
        let bytes = B64.decode(part).unwrap();
        let payload = Payload {
            msg: &bytes[12..],
            aad,
        };
        let cipher = Aes256Gcm::new_from_slice(key).unwrap();
        cipher
            .decrypt(Nonce::from_slice(&bytes[..12]), payload)
            .unwrap()
    }

    fn encrypt(key: &[u8], nonce: [u8; 12], aad: &[u8], plain: &[u8]) -> String {
        let payload = Payload { msg: plain, aad };
        let cipher = Aes256Gcm::new_from_slice(key).unwrap();
        let sealed = cipher.encrypt(Nonce::from_slice(&nonce), payload).unwrap();
        B64.encode([nonce.to_vec(), sealed].concat())
    }

    fn key_of(master: &[u8; 32], c: &CredentialContext) -> [u8; 32] {
        instance_key(master, c.org_id.as_str(), c.instance_id.as_str())
    }

    pub(super) fn open(master: &[u8; 32], c: &CredentialContext, envelope: &str) -> Vec<u8> {
        let parts: Vec<&str> = envelope.split('.').collect();
        assert_eq!((parts.len(), parts[0]), (4, "v1"));
        let aad_key = aad(c, &format!("dek{}", parts[1]));
        let data_key = decrypt(&key_of(master, c), &aad_key, parts[2]);
        assert_eq!(data_key.len(), 32);
        decrypt(&data_key, &aad(c, "val"), parts[3])
    }

    pub(super) fn seal(
        master: &[u8; 32],
        kek_id: &str,
        c: &CredentialContext,
        plain: &[u8],
    ) -> String {
        let data_key = [0x5a; 32];
        let wrapped = encrypt(
            &key_of(master, c),
            [1; 12],
            &aad(c, &format!("dek{kek_id}")),
            &data_key,
        );
        let value = encrypt(&data_key, [2; 12], &aad(c, "val"), plain);
        format!("v1.{kek_id}.{wrapped}.{value}")
    }
}

#[test]
fn a_second_implementation_derives_the_same_keys() {
    let org_id = context().org_id;
    assert_eq!(
        hex(&second::instance_key(&k1(), org_id.as_str(), "production")),
        PINNED
    );
    for name in ["a", "development", "x-0123456789-0123456789-0123456789-012"] {
        let instance_id = InstanceId::parse(name).unwrap();
        assert_eq!(
            derive_instance_kek(&K2, &org_id, &instance_id).unwrap(),
            second::instance_key(&K2, org_id.as_str(), name)
        );
    }
}

#[test]
fn a_second_implementation_reads_what_this_one_writes_and_the_other_way_round() {
    let random = FakeRandom::seeded(7);
    let contexts = swapped().into_iter().map(|(_, other)| other);
    for c in contexts.chain([context()]) {
        for length in [0, 1, 15, 16, 17, 255, 8_192] {
            let plain: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let ours = keks("k1").seal(&random, &c, &plain).unwrap();
            assert_eq!(second::open(&k1(), &c, &ours.0), plain);
            let rewrapped = keks("k1").rewrap(&random, &c, &ours, "k2").unwrap();
            assert_eq!(second::open(&K2, &c, &rewrapped.0), plain);
            let theirs = Ciphertext(second::seal(&K2, "k2", &c, &plain));
            assert_eq!(*keks("k1").open(&c, &theirs).unwrap(), plain);
        }
    }
}

#[test]
fn no_two_envelopes_share_a_data_key_or_a_nonce() {
    let random = FakeRandom::seeded(11);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..2_000 {
        let envelope = keks("k1").seal(&random, &context(), b"the same").unwrap();
        let again = keks("k1")
            .rewrap(&random, &context(), &envelope, "k1")
            .unwrap();
        for part in envelope
            .0
            .split('.')
            .skip(2)
            .chain(again.0.split('.').skip(2).take(1))
        {
            let nonce = B64.decode(part).unwrap()[..12].to_vec();
            assert!(seen.insert(nonce), "a nonce came twice");
        }
    }
}

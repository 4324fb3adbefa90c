//! The form of an API key: `sy_<key_id: 12>_<secret: 43><crc: 6>`, base 62, 65 bytes, case-sensitive.
//!
//! In scope: parsing with the checksum (no I/O), minting. Out of scope: whether the key exists.

use crate::base62;
use api_types::{KeyId, Secret};
use platform::Random;

const PREFIX: &str = "sy_";
const KEY_ID: usize = 12;
const SECRET: usize = 43;
const CRC: usize = 6;
/// Bytes of a key.
pub const KEY_BYTES: usize = PREFIX.len() + KEY_ID + 1 + SECRET + CRC;

/// A key of the right form; whether it exists is not known yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresentedKey {
    /// Public id.
    pub key_id: KeyId,
    /// The secret part, 256 bits.
    pub secret: Secret,
}

/// Wrong length, prefix, alphabet or checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedKey;

/// A new key; `api_key` is shown once and stored nowhere.
#[derive(Clone, Debug)]
pub struct MintedKey {
    /// Public id.
    pub key_id: KeyId,
    /// The whole text.
    pub api_key: Secret,
    /// The secret part.
    pub secret: Secret,
    /// The last four characters of the whole text, for people.
    pub last4: String,
}

/// Parses and checks the checksum. Needs no I/O, so a mistyped key costs nothing.
pub fn parse(text: &str) -> Result<PresentedKey, MalformedKey> {
    if text.len() != KEY_BYTES || !text.is_ascii() {
        return Err(MalformedKey);
    }
    let rest = text.strip_prefix(PREFIX).ok_or(MalformedKey)?;
    let (key_id, rest) = rest.split_at_checked(KEY_ID).ok_or(MalformedKey)?;
    let rest = rest.strip_prefix('_').ok_or(MalformedKey)?;
    let (secret, crc) = rest.split_at_checked(SECRET).ok_or(MalformedKey)?;
    if ![key_id, secret, crc].into_iter().all(base62::is_base62) {
        return Err(MalformedKey);
    }
    let body = text.get(..KEY_BYTES - CRC).ok_or(MalformedKey)?;
    if base62::six_digits(base62::crc32(body.as_bytes())) != crc {
        return Err(MalformedKey);
    }
    Ok(PresentedKey {
        key_id: KeyId::parse(key_id).map_err(|_| MalformedKey)?,
        secret: Secret::new(secret),
    })
}

/// Mints a key with 256 random bits in its secret.
pub fn mint(random: &impl Random) -> MintedKey {
    loop {
        let key_id = base62::random_digits(random, KEY_ID);
        let secret = base62::random_digits(random, SECRET);
        if let Ok(key_id) = KeyId::parse(&key_id) {
            return assemble(key_id, secret);
        }
    }
}

/// A key with the same id and a new secret, for rotation.
pub fn mint_secret(key_id: KeyId, random: &impl Random) -> MintedKey {
    assemble(key_id, base62::random_digits(random, SECRET))
}

fn assemble(key_id: KeyId, secret: String) -> MintedKey {
    let body = format!("{PREFIX}{key_id}_{secret}");
    let text = format!(
        "{body}{}",
        base62::six_digits(base62::crc32(body.as_bytes()))
    );
    let last4 = text.get(KEY_BYTES - 4..).unwrap_or_default().to_owned();
    MintedKey {
        key_id,
        api_key: Secret::new(text),
        secret: Secret::new(secret),
        last4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::fakes::FakeRandom;
    use proptest::prelude::*;

    const VECTOR: &str = "sy_4fGh7kQ2mZ0a_3AHOVcjqx4BIPWdkry5CJQXelsz6DKRYfmt07ELSZgn0akblb";

    #[test]
    fn the_pinned_vector_parses() {
        let key = parse(VECTOR).unwrap();
        assert_eq!(key.key_id.as_str(), "4fGh7kQ2mZ0a");
        assert_eq!(
            key.secret.expose(),
            "3AHOVcjqx4BIPWdkry5CJQXelsz6DKRYfmt07ELSZgn"
        );
    }

    #[test]
    fn every_single_character_typo_is_refused() {
        let random = FakeRandom::seeded(7);
        let mut tried = 0_u32;
        for _ in 0..52 {
            let key = mint(&random);
            let text = key.api_key.expose();
            assert_eq!(parse(text).unwrap().key_id, key.key_id);
            for at in 0..text.len() {
                for replacement in
                    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
                {
                    let mut typo = text.as_bytes().to_vec();
                    if typo[at] == *replacement {
                        continue;
                    }
                    typo[at] = *replacement;
                    assert_eq!(
                        parse(std::str::from_utf8(&typo).unwrap()),
                        Err(MalformedKey)
                    );
                    tried += 1;
                }
            }
        }
        assert!(tried > 200_000, "{tried}");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "sy_",
            &VECTOR.to_lowercase(),
            &VECTOR[..64],
            &format!("{VECTOR}x"),
            &format!("sy_{VECTOR}"),
            &"a".repeat(10_240),
            &VECTOR.replace('_', " "),
        ] {
            assert_eq!(parse(text), Err(MalformedKey), "{text}");
        }
    }

    /// Chi-square over the 62 characters, of ids and of secrets: 61 degrees of freedom, so 120 is passed by chance once
    /// in 100,000 runs, and a modulo of plain bytes would give thousands.
    #[test]
    fn minted_characters_are_uniform() {
        let random = FakeRandom::seeded(1);
        let (mut ids, mut secrets) = (String::new(), String::new());
        for _ in 0..4_000 {
            let key = mint(&random);
            ids.push_str(key.key_id.as_str());
            secrets.push_str(key.secret.expose());
        }
        for text in [ids, secrets] {
            let mut counts = std::collections::BTreeMap::new();
            for c in text.chars() {
                *counts.entry(c).or_insert(0_u32) += 1;
            }
            assert_eq!(counts.len(), 62);
            let mean = text.len() as f64 / 62.0;
            let distance = |n: &u32| (f64::from(*n) - mean).powi(2) / mean;
            let chi_square: f64 = counts.values().map(distance).sum();
            assert!(chi_square < 120.0, "{chi_square}");
        }
    }

    proptest! {
        #[test]
        fn parsing_random_bytes_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&String::from_utf8_lossy(&bytes));
        }

        /// Whatever stands at the place of some characters, also what is several bytes long.
        #[test]
        fn parsing_a_broken_key_never_panics(text in ".{0,4}", at in 0..KEY_BYTES, cut in 0..4_usize) {
            let end = (at + cut).min(KEY_BYTES);
            let broken = format!("{}{text}{}", &VECTOR[..at], &VECTOR[end..]);
            prop_assert_eq!(parse(&broken).is_ok(), broken == VECTOR);
        }
    }
}

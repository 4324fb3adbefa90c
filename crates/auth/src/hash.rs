//! Stored form of a key's secret: hex HMAC-SHA256 under a pepper that is not in the database, so that a stolen table
//! alone cannot be tested against guesses.

use api_types::Secret;
use errors::Error;
use ring::hmac;
use std::fmt::Write as _;

/// One pepper.
#[derive(Clone)]
pub struct Pepper {
    id: String,
    key: hmac::Key,
}

impl std::fmt::Debug for Pepper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pepper({})", self.id)
    }
}

impl Pepper {
    /// A pepper of that id.
    pub fn new(id: impl Into<String>, bytes: &[u8; 32]) -> Self {
        Self {
            id: id.into(),
            key: hmac::Key::new(hmac::HMAC_SHA256, bytes),
        }
    }

    /// Its id, as in the column `pepper_id`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Hex HMAC-SHA256 of the secret.
    pub fn key_hash(&self, secret: &Secret) -> String {
        hex(hmac::sign(&self.key, secret.expose().as_bytes()).as_ref())
    }

    /// Compares in constant time.
    pub fn verify(&self, secret: &Secret, key_hash: &str) -> bool {
        let expected = unhex(key_hash).unwrap_or_default();
        hmac::verify(&self.key, secret.expose().as_bytes(), &expected).is_ok()
    }

    /// HMAC-SHA256 of other things of the house (audit checkpoints), with a key derived for that purpose.
    pub fn mac(&self, purpose: &str, data: &[u8]) -> String {
        hex(hmac::sign(&self.derived(purpose), data).as_ref())
    }

    /// Compares such an HMAC in constant time.
    pub fn verify_mac(&self, purpose: &str, data: &[u8], mac: &str) -> bool {
        let expected = unhex(mac).unwrap_or_default();
        hmac::verify(&self.derived(purpose), data, &expected).is_ok()
    }

    fn derived(&self, purpose: &str) -> hmac::Key {
        let derived = hmac::sign(&self.key, purpose.as_bytes());
        hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref())
    }
}

/// All peppers that a worker knows, and which one new hashes use.
#[derive(Clone, Debug)]
pub struct Peppers {
    current: usize,
    all: Vec<Pepper>,
}

impl Peppers {
    /// Fails when the current one is not among them.
    pub fn new(current_id: &str, all: Vec<Pepper>) -> Result<Self, Error> {
        let current = all
            .iter()
            .position(|pepper| pepper.id == current_id)
            .ok_or_else(|| Error::internal(format!("KEY_PEPPER_{current_id} is missing")))?;
        Ok(Self { current, all })
    }

    /// The one that new hashes use.
    #[expect(
        clippy::indexing_slicing,
        reason = "`current` is a position in `all`, which never changes"
    )]
    pub fn current(&self) -> &Pepper {
        &self.all[self.current]
    }

    /// The one of that id.
    pub fn get(&self, id: &str) -> Option<&Pepper> {
        self.all.iter().find(|pepper| pepper.id == id)
    }

    /// Whether it is an HMAC of [`Pepper::mac`] under any of them, so that one from before a change of the current
    /// pepper holds.
    pub fn verify_mac(&self, purpose: &str, data: &[u8], mac: &str) -> bool {
        let holds = |pepper: &Pepper| pepper.verify_mac(purpose, data, mac);
        self.all.iter().any(holds)
    }

    /// Ids of all of them.
    pub fn ids(&self) -> Vec<&str> {
        self.all.iter().map(Pepper::id).collect()
    }

    /// Spends the time of a verification for a key that does not exist. Always false.
    pub fn verify_dummy(&self, secret: &Secret) -> bool {
        const DUMMY: &str = "0000000000000000000000000000000000000000000000000000000000000000";
        std::hint::black_box(self.current().verify(secret, DUMMY));
        false
    }
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pinned_vector_hashes() {
        let bytes: [u8; 32] = std::array::from_fn(|i| i as u8);
        let pepper = Pepper::new("p1", &bytes);
        let secret = Secret::new("3AHOVcjqx4BIPWdkry5CJQXelsz6DKRYfmt07ELSZgn");
        let hash = "edf52ce9a2b9c957cf13ea7122c0e7079cff8781701cc5eb6fe02fefa6319eea";
        assert_eq!(pepper.key_hash(&secret), hash);
        assert!(pepper.verify(&secret, hash));
        assert!(!pepper.verify(&Secret::new("x"), hash));
        assert!(!pepper.verify(&secret, "zz"));
        assert!(!pepper.verify(&secret, ""));
    }

    #[test]
    fn a_missing_current_pepper_is_said_by_name() {
        let error = Peppers::new("p2", vec![Pepper::new("p1", &[0; 32])]).unwrap_err();
        assert!(error.internal.contains("KEY_PEPPER_p2"));
    }

    #[test]
    fn an_unknown_key_never_verifies() {
        let peppers = Peppers::new("p1", vec![Pepper::new("p1", &[0; 32])]).unwrap();
        assert!(!peppers.verify_dummy(&Secret::new("x")));
    }
}

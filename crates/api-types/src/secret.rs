//! Values that must not be printed, and sealed values that may be stored.

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A secret text: prints as `*****` and has no `Serialize`, so it cannot slip into an answer or a row. Its memory is
/// overwritten when it is dropped.
#[derive(Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself; the one place where it leaves the type.
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn wipe(&mut self) {
        self.0.zeroize();
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.wipe();
    }
}

impl ZeroizeOnDrop for Secret {}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("*****")
    }
}

/// A sealed value: `v1.<kek_id>.<wrapped data key>.<ciphertext>`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ciphertext(pub String);

impl Ciphertext {
    /// The id of the key-encryption key it was sealed under.
    pub fn kek_id(&self) -> Option<&str> {
        self.0.split('.').nth(1)
    }
}

impl std::fmt::Debug for Ciphertext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ciphertext({})", self.kek_id().unwrap_or("?"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_overwritten() {
        const fn overwritten<T: ZeroizeOnDrop>() {}
        overwritten::<Secret>();
        assert!(std::mem::needs_drop::<Secret>());
        let mut secret = Secret::new("ide-live-1");
        secret.wipe();
        assert_eq!(secret.expose(), "");
    }

    #[test]
    fn secrets_do_not_print() {
        assert_eq!(format!("{:?}", Secret::new("ide-live-1")), "*****");
        assert_eq!(
            format!("{:?}", Ciphertext("v1.k1.abc.def".into())),
            "Ciphertext(k1)"
        );
    }
}

//! How a stored answer that holds a secret is sealed until its `Idempotency-Key` may be repeated.
//!
//! In scope: seal and open, bound to principal, route and key. Out of scope: how long it may be opened.
//! Form: `a1.<kek_id>.<base64url nonce+answer+tag>`. Only the master key-encryption key can do it.

use crate::envelope::{Keks, broken, derive, length_prefixed, open_part, seal_part};
use errors::{Error, Result};
use platform::Random;

const CONTEXT: &str = "switchyard/answer/v1";

/// What a sealed answer is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerContext<'a> {
    /// Principal that asked.
    pub principal: &'a str,
    /// Route.
    pub route: &'a str,
    /// `Idempotency-Key`.
    pub key: &'a str,
}

impl AnswerContext<'_> {
    fn aad(&self) -> Vec<u8> {
        length_prefixed(&[CONTEXT, self.principal, self.route, self.key])
    }
}

fn sealing_key(keks: &Keks, id: &str) -> Result<[u8; 32]> {
    let master = keks
        .bytes(id)
        .ok_or_else(|| broken(&format!("KEK_{id} is not known")))?;
    derive(master, &["platform", "idempotency"])
}

/// Seals an answer under the current key.
///
/// # Errors
/// None in practice: the cipher refuses no key of that length.
pub fn seal(
    keks: &Keks,
    random: &impl Random,
    context: &AnswerContext<'_>,
    answer: &str,
) -> Result<String> {
    let id = keks.current_id();
    let key = sealing_key(keks, id)?;
    let sealed = seal_part(random, &key, &context.aad(), answer.as_bytes())?;
    Ok(format!("a1.{id}.{sealed}"))
}

/// Opens it again.
///
/// # Errors
/// `decryption_failed` for another context, another key or changed bytes.
pub fn open(keks: &Keks, context: &AnswerContext<'_>, sealed: &str) -> Result<String> {
    let mut parts = sealed.splitn(3, '.');
    let (Some("a1"), Some(id), Some(text)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(broken("a sealed answer has three parts"));
    };
    let plain = open_part(&sealing_key(keks, id)?, &context.aad(), text)?;
    let text = std::str::from_utf8(&plain);
    text.map(str::to_owned)
        .map_err(|_| Error::internal("a sealed answer is not text"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::KekScope;
    use platform::fakes::FakeRandom;

    #[test]
    fn it_opens_only_for_the_same_caller_route_and_key() {
        let keks = Keks::new("k1", vec![("k1".into(), [7; 32])], KekScope::Master).unwrap();
        let own = AnswerContext {
            principal: "key:4fGh7kQ2mZ0a",
            route: "POST /api-key",
            key: "1",
        };
        let sealed = seal(&keks, &FakeRandom::seeded(1), &own, "sy_secret").unwrap();
        assert!(!sealed.contains("sy_secret"));
        assert_eq!(open(&keks, &own, &sealed).unwrap(), "sy_secret");
        for other in [
            AnswerContext {
                principal: "key:000000000000",
                ..own
            },
            AnswerContext {
                route: "POST /session",
                ..own
            },
            AnswerContext { key: "2", ..own },
        ] {
            assert!(open(&keks, &other, &sealed).is_err());
        }
        assert!(open(&keks, &own, &sealed.replace("a1.k1.", "a1.k2.")).is_err());
        assert!(open(&keks, &own, "").is_err());
    }
}

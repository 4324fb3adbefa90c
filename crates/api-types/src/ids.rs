//! Ids as types, so that one cannot be passed for another.
//!
//! In scope: their form and parsing. Out of scope: minting (platform) and names of objects and keys (their owners).

use serde::{Deserialize, Serialize};

/// A text that is not an id of its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidId {
    /// What was expected.
    pub rule: &'static str,
}

impl std::fmt::Display for InvalidId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "must be {}", self.rule)
    }
}

impl std::error::Error for InvalidId {}

/// `[a-z0-9]` and inner hyphens, 1 to 40 characters.
pub fn is_slug(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 40
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// A UUID in lower-case hyphenated form.
pub fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_digit() || (b'a'..=b'f').contains(&b),
        })
}

macro_rules! ids {
    ($($(#[$doc:meta])+ $name:ident $check:expr, $rule:literal;)+) => {
        $(
            $(#[$doc])+
            #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
            #[serde(try_from = "String", into = "String")]
            pub struct $name(String);

            impl $name {
                /// Checks the form.
                pub fn parse(text: &str) -> Result<Self, InvalidId> {
                    let check: fn(&str) -> bool = $check;
                    if check(text) { Ok(Self(text.to_owned())) } else { Err(InvalidId { rule: $rule }) }
                }

                /// The text.
                pub fn as_str(&self) -> &str {
                    &self.0
                }
            }

            impl TryFrom<String> for $name {
                type Error = InvalidId;
                fn try_from(text: String) -> Result<Self, InvalidId> {
                    Self::parse(&text)
                }
            }

            impl From<$name> for String {
                fn from(id: $name) -> String {
                    id.0
                }
            }

            impl std::fmt::Display for $name {
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str(&self.0)
                }
            }

            impl AsRef<str> for $name {
                fn as_ref(&self) -> &str {
                    &self.0
                }
            }
        )+
    };
}

ids! {
    /// An instance: a slug, unique in the whole system.
    InstanceId |t| is_slug(t) && t != "platform" && t != "all", "1 to 40 of a-z, 0-9 and inner hyphens (platform and all are reserved)";
    /// A provider as the instance names it: a slug; not the adapter.
    ProviderName is_slug, "1 to 40 of a-z, 0-9 and inner hyphens";
    /// An organization.
    OrgId is_uuid, "a UUID";
    /// A user.
    UserId is_uuid, "a UUID";
    /// A project: a label inside an instance.
    ProjectId is_uuid, "a UUID";
    /// A stored provider credential.
    CredentialId is_uuid, "a UUID";
    /// A rotation of the key-encryption key (UUIDv7).
    RotationId is_uuid, "a UUID";
    /// A price of an organization (UUIDv7).
    PriceId is_uuid, "a UUID";
    /// A job (UUIDv7).
    JobId is_uuid, "a UUID";
    /// A lease: one attempt of a job at one provider (UUIDv7).
    LeaseId is_uuid, "a UUID";
    /// A stored image (UUIDv7).
    ImageId is_uuid, "a UUID";
    /// The public part of an API key.
    KeyId |t| t.len() == 12 && t.bytes().all(|b| b.is_ascii_alphanumeric()), "12 letters and digits";
}

impl KeyId {
    /// The id of no key: it is never minted, because its secret would have to be.
    pub fn nobody() -> Self {
        Self("000000000000".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_refuse_what_is_not_their_form() {
        for bad in [
            "",
            "-a",
            "a-",
            "A",
            "../x",
            "platform",
            "all",
            &"a".repeat(41),
        ] {
            assert!(InstanceId::parse(bad).is_err(), "{bad}");
        }
        assert!(InstanceId::parse("production").is_ok());
        assert!(JobId::parse("0199a1c2-0000-7000-8000-000000000001").is_ok());
        assert!(JobId::parse("0199A1C2-0000-7000-8000-000000000001").is_err());
        assert!(KeyId::parse("4fGh7kQ2mZ0a").is_ok());
        assert!(serde_json::from_str::<InstanceId>("\"../x\"").is_err());
    }
}

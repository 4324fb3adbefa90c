//! Headers that make a write conditional or repeatable.

use axum::extract::FromRequestParts;
use errors::{Code, Error, Result};
use http::request::Parts;

/// `If-Match`, not yet compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IfMatch {
    /// The header is missing.
    Missing,
    /// `*`: whatever is there.
    Any,
    /// Strong entity tags; weak ones never match and are not kept.
    Versions(Vec<String>),
}

impl IfMatch {
    /// Compares with the current version of an existing row.
    ///
    /// # Errors
    /// 428 `precondition_required` when it is missing, 412 `version_mismatch` with `details.current_version`.
    pub fn check(&self, current_version: i64) -> Result<()> {
        match self {
            Self::Missing => Err(Error::new(
                Code::PreconditionRequired,
                "This changes something that exists: say which version with If-Match.",
            )
            .with_detail("current_version", current_version)),
            Self::Any => Ok(()),
            Self::Versions(versions) if versions.contains(&current_version.to_string()) => Ok(()),
            Self::Versions(_) => Err(Error::new(
                Code::VersionMismatch,
                "It was changed since that version.",
            )
            .with_detail("current_version", current_version)),
        }
    }

    fn parse(text: &str) -> Result<Self> {
        if text.trim() == "*" {
            return Ok(Self::Any);
        }
        let malformed = || Error::invalid_field("If-Match", "must be quoted versions or *");
        let mut versions = Vec::new();
        for member in text.split(',').map(str::trim) {
            let (weak, tag) = member
                .strip_prefix("W/")
                .map_or((false, member), |tag| (true, tag));
            let tag = tag
                .strip_prefix('"')
                .and_then(|tag| tag.strip_suffix('"'))
                .filter(|tag| !tag.contains('"'))
                .ok_or_else(malformed)?;
            // RFC 9110 13.1.1: If-Match compares strongly, so a weak tag matches nothing.
            if !weak {
                versions.push(tag.to_owned());
            }
        }
        Ok(Self::Versions(versions))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Error;

    /// # Errors
    /// 400 `invalid_field`.
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self> {
        let Some(value) = parts.headers.get("if-match") else {
            return Ok(Self::Missing);
        };
        let text = value
            .to_str()
            .map_err(|_| Error::invalid_field("If-Match", "must be text"))?;
        Self::parse(text)
    }
}

/// `Idempotency-Key`, if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(pub Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Error;

    /// # Errors
    /// 400 `invalid_field` unless it is 1 to 255 printable ASCII characters, and when it holds a credential: it is stored.
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self> {
        let mut values = parts.headers.get_all("idempotency-key").iter();
        let Some(value) = values.next() else {
            return Ok(Self(None));
        };
        let bytes = value.as_bytes();
        let good = (1..=255).contains(&bytes.len())
            && bytes.iter().all(|b| (0x20..0x7f).contains(b))
            && values.next().is_none();
        match value.to_str() {
            Ok(text) if good && logging::holds_credential(text) => Err(Error::invalid_field(
                "Idempotency-Key",
                "must not hold an API key or another credential",
            )),
            Ok(text) if good => Ok(Self(Some(text.to_owned()))),
            _ => Err(Error::invalid_field(
                "Idempotency-Key",
                "must be one value of 1 to 255 printable ASCII characters",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_match_is_compared_strongly() {
        assert_eq!(IfMatch::parse("*").unwrap(), IfMatch::Any);
        assert!(IfMatch::parse("\"8\"").unwrap().check(8).is_ok());
        assert!(IfMatch::parse("\"7\", \"8\"").unwrap().check(8).is_ok());
        for (text, code) in [
            ("\"7\"", Code::VersionMismatch),
            ("W/\"8\"", Code::VersionMismatch),
        ] {
            let error = IfMatch::parse(text).unwrap().check(8).unwrap_err();
            assert_eq!(error.code, code, "{text}");
            assert_eq!(error.details["current_version"], 8);
        }
        for bad in ["8", "\"8", "\"8\" \"9\"", "", "\"8\","] {
            assert_eq!(
                IfMatch::parse(bad).unwrap_err().code,
                Code::InvalidField,
                "{bad}"
            );
        }
        assert_eq!(
            IfMatch::Missing.check(1).unwrap_err().code,
            Code::PreconditionRequired
        );
    }
    #[tokio::test]
    async fn an_idempotency_key_is_one_short_text_without_a_credential() {
        let api_key = "sy_4fGh7kQ2mZ0a_3AHOVcjqx4BIPWdkry5CJQXelsz6DKRYfmt07ELSZgn0akblb";
        for (text, good) in [
            ("order-17", true),
            ("0199a1c2-0000-7000-8000-00000000dead", true),
            (api_key, false),
            ("", false),
        ] {
            let request = http::Request::builder().header("idempotency-key", text);
            let (mut parts, ()) = request.body(()).unwrap().into_parts();
            let key = IdempotencyKey::from_request_parts(&mut parts, &()).await;
            assert_eq!(key.is_ok(), good, "{text}");
            let said = key.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(!said.contains("3AHOV"), "{said}");
        }
    }
}

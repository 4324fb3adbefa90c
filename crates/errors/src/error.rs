//! The error value: what the caller may read and what only the log may read are different members.
//!
//! In scope: building an error. Out of scope: the response (module `render`), logging.

use crate::Code;
use serde_json::Value;

/// How long callers wait when a code says to wait and the error does not say how long, in milliseconds.
const DEFAULT_WAIT_MS: u64 = 1_000;

/// A result whose error is the platform's.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One failure, with the public text apart from the internal one.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    /// What happened, from the closed table.
    pub code: Code,
    /// One sentence for the caller. Never holds a secret, an address of the house or a vendor's raw text.
    pub public: String,
    /// For the log only; empty when the public text says everything.
    pub internal: String,
    /// What to do; `None` uses the code's own hint.
    pub hint: Option<String>,
    /// Machine-readable details; `Value::Null` when there are none.
    pub details: Value,
    /// When the same request may succeed, in milliseconds from now.
    pub retry_after_ms: Option<u64>,
}

impl Error {
    /// An error with a public sentence.
    pub fn new(code: Code, public: impl Into<String>) -> Self {
        Self {
            code,
            public: public.into(),
            internal: String::new(),
            hint: None,
            details: Value::Null,
            retry_after_ms: None,
        }
    }

    /// A failure of our own: the caller learns nothing but the request id, the log learns `internal`.
    pub fn internal(internal: impl Into<String>) -> Self {
        Self::new(Code::InternalError, "Something went wrong on our side.").with_internal(internal)
    }

    /// `invalid_field` for the member at `field`, saying the rule it breaks.
    pub fn invalid_field(field: &str, rule: impl Into<String>) -> Self {
        let rule = rule.into();
        Self::new(Code::InvalidField, format!("{field}: {rule}"))
            .with_details(serde_json::json!({ "field": field, "rule": rule }))
    }

    /// `not_found`; missing and foreign things get the same text.
    pub fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("There is no such {what}."))
    }

    /// Adds text for the log.
    #[must_use]
    pub fn with_internal(mut self, internal: impl Into<String>) -> Self {
        self.internal = internal.into();
        self
    }

    /// Replaces the code's hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Sets the details.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> Self {
        self.details = details;
        self
    }

    /// Adds one member to the details.
    #[must_use]
    pub fn with_detail(mut self, name: &str, value: impl Into<Value>) -> Self {
        if !self.details.is_object() {
            self.details = Value::Object(serde_json::Map::new());
        }
        if let Value::Object(members) = &mut self.details {
            members.insert(name.to_owned(), value.into());
        }
        self
    }

    /// When the same request may be sent again, in milliseconds from now: as set, or a second where the code says to
    /// wait and nobody said how long.
    pub fn wait_ms(&self) -> Option<u64> {
        let unsaid = || self.code.retryable().then_some(DEFAULT_WAIT_MS);
        self.retry_after_ms.or_else(unsaid)
    }

    /// Sets when the same request may succeed.
    #[must_use]
    pub fn with_retry_after_ms(mut self, retry_after_ms: u64) -> Self {
        self.retry_after_ms = Some(retry_after_ms);
        self
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.public)?;
        if !self.internal.is_empty() {
            write!(f, " ({})", self.internal)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

//! The JSON body of an error, and with the feature `axum` the whole response.
//!
//! In scope: shape and headers that follow from the error alone. Out of scope: the request id, which the
//! middleware's outermost layer adds to body and header.

use crate::{Code, Error};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The body of every error answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The code.
    pub error: Code,
    /// One sentence for a person.
    pub message: String,
    /// What to do.
    pub hint: String,
    /// Machine-readable details.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub details: Value,
    /// When the same request may succeed, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Where the code is explained.
    pub docs: String,
    /// Quote it when you ask for help.
    pub request_id: String,
}

impl ErrorBody {
    /// The body for one request.
    pub fn new(error: &Error, request_id: &str) -> Self {
        Self {
            error: error.code,
            message: error.public.clone(),
            hint: error
                .hint
                .clone()
                .unwrap_or_else(|| error.code.hint().to_owned()),
            details: error.details.clone(),
            retry_after_ms: error.wait_ms(),
            docs: error.code.docs_path(),
            request_id: request_id.to_owned(),
        }
    }

    /// The error that another worker of the house answered with, to be passed on.
    pub fn into_error(self) -> Error {
        Error {
            code: self.error,
            public: self.message,
            internal: String::new(),
            hint: Some(self.hint),
            details: self.details,
            retry_after_ms: self.retry_after_ms,
        }
    }
}

impl Error {
    /// The headers that follow from the error: `Retry-After` in whole seconds, rounded up,
    /// `x-should-retry` (which the vendors' SDKs obey) and `WWW-Authenticate`.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![("x-should-retry", self.code.retryable().to_string())];
        if let Some(ms) = self.wait_ms() {
            headers.push(("retry-after", ms.div_ceil(1000).to_string()));
            headers.push(("retry-after-ms", ms.to_string()));
        }
        if self.code == Code::AuthFailed {
            headers.push(("www-authenticate", "Bearer".to_owned()));
        }
        headers
    }
}

#[cfg(feature = "axum")]
impl axum::response::IntoResponse for Error {
    /// The response carries the error as an extension; the middleware's `render` layer writes the body,
    /// because only it knows the request id.
    fn into_response(self) -> axum::response::Response {
        let status = axum::http::StatusCode::from_u16(self.code.status())
            .unwrap_or(axum::http::StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = axum::response::Response::new(axum::body::Body::empty());
        *response.status_mut() = status;
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_body_format_unchanged() {
        let error = Error::new(
            Code::RateLimited,
            "The limit of 500 requests a minute is reached.",
        )
        .with_internal("object instance:production:provider:ideogram")
        .with_detail("source", "own")
        .with_retry_after_ms(13_001);
        assert_eq!(
            serde_json::to_string(&ErrorBody::new(&error, "0199a1c2")).unwrap(),
            r#"{"error":"rate_limited","message":"The limit of 500 requests a minute is reached.","hint":"Wait for Retry-After, then send the same request again.","details":{"source":"own"},"retry_after_ms":13001,"docs":"/docs/errors#rate_limited","request_id":"0199a1c2"}"#
        );
        assert!(error.headers().contains(&("retry-after", "14".to_owned())));
        assert!(
            error
                .headers()
                .contains(&("x-should-retry", "true".to_owned()))
        );
    }

    /// `w` means: wait for `Retry-After`. So there always is one, and SDKs that obey `x-should-retry` know how long.
    #[test]
    fn every_code_that_asks_to_wait_says_how_long() {
        for code in Code::ALL {
            let error = Error::new(*code, "x");
            let headers = error.headers();
            let wait = headers.iter().find(|(name, _)| *name == "retry-after");
            let again = headers.iter().find(|(name, _)| *name == "x-should-retry");
            assert_eq!(wait.is_some(), code.retryable(), "{code}");
            assert_eq!(again.unwrap().1, code.retryable().to_string(), "{code}");
            let body = ErrorBody::new(&error, "r");
            assert_eq!(body.retry_after_ms.is_some(), code.retryable(), "{code}");
        }
        let exact = Error::new(Code::QueueFull, "x").with_retry_after_ms(1);
        assert!(exact.headers().contains(&("retry-after", "1".to_owned())));
        assert!(
            exact
                .headers()
                .contains(&("retry-after-ms", "1".to_owned()))
        );
    }

    #[test]
    fn internal_text_never_reaches_the_body() {
        let body =
            serde_json::to_string(&ErrorBody::new(&Error::internal("pepper p1 missing"), "r"))
                .unwrap();
        assert!(!body.contains("pepper"));
    }
}

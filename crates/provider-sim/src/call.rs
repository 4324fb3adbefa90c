//! One call as a vendor sees it, and the answer that a vendor gives.
//!
//! In scope: reading a call's credentials and query, building answers. Not in scope: sending them (`exchange`).

use crate::journal::ViolationKind;
use crate::ledger::ChargeNumber;
use crate::links::Links;
use crate::picture::PictureError;
use crate::vendor::Vendor;
use axum::http::{HeaderMap, Method};
use bytes::Bytes;
use serde_json::Value;
use std::sync::Arc;

/// One call.
pub(crate) struct Call {
    pub(crate) vendor: Vendor,
    pub(crate) method: Method,
    /// Without the vendor's prefix.
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) now_ms: u64,
    pub(crate) virtual_clock: bool,
    pub(crate) request_id: Option<String>,
    /// SHA-256 of vendor, path and body.
    pub(crate) fingerprint: String,
    pub(crate) links: Arc<Links>,
    /// Filled by the vendor once the key is read.
    pub(crate) account: Option<String>,
    /// Filled by the vendor: the scenario that was met.
    pub(crate) scenario: String,
    pub(crate) violations: Vec<(ViolationKind, String)>,
}

impl Call {
    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The first value of a query parameter.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(self.query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    pub(crate) fn violate(&mut self, kind: ViolationKind, detail: impl Into<String>) {
        self.violations.push((kind, detail.into()));
    }

    /// Whether the body says that it is JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.header("content-type")
            .and_then(|value| value.split(';').next())
            .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
    }
}

/// Work that is done after the books are closed again, such as drawing.
type Draw = Box<dyn FnOnce() -> Result<Bytes, PictureError> + Send>;

/// The body of an answer.
pub(crate) enum Payload {
    Ready(Bytes),
    Later(Draw),
}

/// An answer and how it leaves.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) content_type: &'static str,
    pub(crate) payload: Payload,
    /// Wait before the first byte.
    pub(crate) delay_ms: u64,
    /// Time over which the body is spread.
    pub(crate) body_ms: u64,
    /// Without a length.
    pub(crate) chunked: bool,
    /// Never leaves.
    pub(crate) silent: bool,
    /// The connection is reset instead.
    pub(crate) cut: bool,
    /// Marked as answered once it has left.
    pub(crate) charge: Option<ChargeNumber>,
}

impl Answer {
    pub(crate) fn new(status: u16, content_type: &'static str, payload: Payload) -> Self {
        Self {
            status,
            headers: Vec::new(),
            content_type,
            payload,
            delay_ms: 0,
            body_ms: 0,
            chunked: false,
            silent: false,
            cut: false,
            charge: None,
        }
    }

    pub(crate) fn json(status: u16, value: &Value) -> Self {
        Self::new(
            status,
            "application/json",
            Payload::Ready(value.to_string().into()),
        )
    }

    pub(crate) fn text(status: u16, text: impl Into<String>) -> Self {
        Self::new(
            status,
            "text/plain; charset=utf-8",
            Payload::Ready(text.into().into()),
        )
    }

    pub(crate) fn html(status: u16, title: &str) -> Self {
        let page = format!(
            "<!DOCTYPE html><html><head><title>{title}</title></head><body><center><h1>{title}</h1></center><hr></body></html>"
        );
        Self::new(
            status,
            "text/html; charset=utf-8",
            Payload::Ready(page.into()),
        )
    }

    /// The connection is reset before anything leaves.
    pub(crate) fn reset() -> Self {
        Self {
            cut: true,
            ..Self::text(200, "")
        }
    }

    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Changes the body once it is there.
    pub(crate) fn change(&mut self, change: impl FnOnce(Bytes) -> Bytes + Send + 'static) {
        let payload = std::mem::replace(&mut self.payload, Payload::Ready(Bytes::new()));
        self.payload = match payload {
            Payload::Ready(bytes) => Payload::Ready(change(bytes)),
            Payload::Later(draw) => Payload::Later(Box::new(move || draw().map(change))),
        };
    }
}

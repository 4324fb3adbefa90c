//! What the other side of an HTTP exchange answers in a test.

use crate::SendPhase;
use bytes::Bytes;

/// One scripted answer.
#[derive(Clone, Debug)]
pub struct FakeReply {
    pub(super) status: u16,
    pub(super) headers: http::HeaderMap,
    pub(super) chunks: Vec<Bytes>,
    pub(super) delay_ms: u64,
    pub(super) chunk_delay_ms: u64,
    pub(super) cut: bool,
    pub(super) failure: Option<(SendPhase, String)>,
}

impl FakeReply {
    /// An answer without a body.
    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: http::HeaderMap::new(),
            chunks: Vec::new(),
            delay_ms: 0,
            chunk_delay_ms: 0,
            cut: false,
            failure: None,
        }
    }

    /// A JSON answer.
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::bytes(status, "application/json", body.to_string())
    }

    /// An answer of that content type.
    pub fn bytes(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self {
            chunks: vec![body.into()],
            ..Self::status(status).header("content-type", content_type)
        }
    }

    /// No answer.
    pub fn failure(phase: SendPhase, cause: &str) -> Self {
        Self {
            failure: Some((phase, cause.to_owned())),
            ..Self::status(0)
        }
    }

    /// Adds a header; an invalid one is left out.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let (Ok(name), Ok(value)) = (name.parse::<http::HeaderName>(), value.parse()) {
            self.headers.append(name, value);
        }
        self
    }

    /// The head comes after `ms`.
    #[must_use]
    pub fn delayed(mut self, ms: u64) -> Self {
        self.delay_ms = ms;
        self
    }

    /// The body comes in chunks of at most `size` bytes.
    #[must_use]
    pub fn chunked(mut self, size: usize) -> Self {
        let all = self.chunks.concat();
        let cut = all.chunks(size.max(1));
        self.chunks = cut.map(Bytes::copy_from_slice).collect();
        self
    }

    /// `ms` before each chunk.
    #[must_use]
    pub fn dripping(mut self, ms: u64) -> Self {
        self.chunk_delay_ms = ms;
        self
    }

    /// The connection breaks after `bytes` of the body.
    #[must_use]
    pub fn cut_after(mut self, bytes: usize) -> Self {
        let all = self.chunks.concat();
        let kept = all.get(..bytes).unwrap_or(&all);
        self.chunks = vec![Bytes::copy_from_slice(kept)];
        self.cut = true;
        self
    }
}

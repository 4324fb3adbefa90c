//! Requests to the outside, and to other workers by service binding.

use crate::PortError;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use std::future::Future;
use std::pin::Pin;

/// A body as it arrives.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, PortError>> + Send>>;

/// One request; redirects are never followed.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// Method.
    pub method: http::Method,
    /// Absolute URL. On a service binding only path and query count.
    pub url: String,
    /// Headers.
    pub headers: http::HeaderMap,
    /// Body; empty for none.
    pub body: Bytes,
    /// Whole exchange, body included, in milliseconds; then it is aborted.
    pub timeout_ms: u64,
}

/// An answer whose head has arrived.
pub struct HttpResponse {
    /// Status.
    pub status: u16,
    /// Headers.
    pub headers: http::HeaderMap,
    /// Body.
    pub body: ByteStream,
}

/// How far a failed request got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendPhase {
    /// Certainly no byte left: only for refusals from a closed list.
    NotSent,
    /// The other side may have it.
    MaybeSent,
}

/// A request that got no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendFailure {
    /// How far it got.
    pub phase: SendPhase,
    /// Whether our own deadline ended it.
    pub timed_out: bool,
    /// The runtime's text; for the log only.
    pub cause: String,
}

/// Sends requests.
pub trait HttpClient: Clone + Send + Sync + 'static {
    /// Sends once and returns as soon as the head is there.
    fn send(
        &self,
        request: HttpRequest,
    ) -> impl Future<Output = Result<HttpResponse, SendFailure>> + Send;
}

/// Why a body could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplyError {
    /// More bytes than allowed.
    TooLarge {
        /// The cap.
        max_bytes: u64,
    },
    /// The stream broke.
    Broken(String),
    /// What was in it could not be stored.
    Storage(String),
    /// It is not what it should be.
    Malformed(String),
}

/// Reads the body of a provider's answer: buffering it, or streaming the images in it to their place.
pub trait ReplyReader: Send {
    /// Returns the JSON text of the answer, in which each large base64 string is replaced by `blob:<index>`;
    /// an answer that is itself an image is `blob:0`.
    fn read(
        &mut self,
        content_type: &str,
        body: ByteStream,
        max_bytes: u64,
    ) -> impl Future<Output = Result<Bytes, ReplyError>> + Send;
}

/// Reads a whole body of at most `max_bytes`.
pub async fn collect(mut body: ByteStream, max_bytes: u64) -> Result<Bytes, ReplyError> {
    let mut all = BytesMut::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| ReplyError::Broken(error.cause))?;
        if (all.len() + chunk.len()) as u64 > max_bytes {
            return Err(ReplyError::TooLarge { max_bytes });
        }
        all.extend_from_slice(&chunk);
    }
    Ok(all.freeze())
}

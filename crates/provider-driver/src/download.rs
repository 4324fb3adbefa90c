//! Opens a result for reading, trusting nobody: hosts, redirects, lengths, silence.
//!
//! In scope: the checks on the way in. Out of scope: what the bytes are (`r2-manager`).

use bytes::Bytes;
use futures_util::future::{Either, select};
use futures_util::{StreamExt, stream};
use platform::{ByteStream, Clock, PortError};
use std::pin::pin;

/// Largest file, in bytes.
pub const MAX_FILE_BYTES: u64 = 32 << 20;
/// Most redirects.
pub(crate) const MAX_REDIRECTS: u32 = 3;
/// Longest silence inside a body, in milliseconds.
pub(crate) const IDLE_MS: u64 = 20_000;
/// Port of the errors in a checked body.
pub const DOWNLOAD_PORT: &str = "download";

/// A file that is being downloaded. Its body ends in a `PortError` of port `download` when it is empty, too large,
/// shorter or longer than announced, or silent.
pub struct Download {
    /// The server's `Content-Type`; the bytes decide.
    pub content_type: Option<String>,
    /// Announced length, in bytes, at most 32 MiB.
    pub content_length: Option<u64>,
    /// The file.
    pub body: ByteStream,
}

struct State<C> {
    body: ByteStream,
    clock: C,
    announced: Option<u64>,
    seen: u64,
    over: bool,
}

fn fail(cause: impl Into<String>) -> PortError {
    PortError::new(DOWNLOAD_PORT, cause)
}

impl<C: Clock> State<C> {
    async fn next(&mut self) -> Option<Result<Bytes, PortError>> {
        if self.over {
            return None;
        }
        let item = {
            let silence = self.clock.sleep(IDLE_MS);
            match select(self.body.next(), pin!(silence)).await {
                Either::Left((item, _)) => item,
                Either::Right(((), _)) => Some(Err(fail(format!("no byte for {IDLE_MS} ms")))),
            }
        };
        let checked = match item {
            Some(Ok(chunk)) => self.count(chunk),
            Some(Err(error)) => Err(fail(error.cause)),
            None => {
                self.over = true;
                return self.end();
            }
        };
        self.over = checked.is_err();
        Some(checked)
    }

    fn count(&mut self, chunk: Bytes) -> Result<Bytes, PortError> {
        self.seen += chunk.len() as u64;
        if self.seen > MAX_FILE_BYTES {
            return Err(fail(format!("larger than {MAX_FILE_BYTES} bytes")));
        }
        if self.announced.is_some_and(|length| self.seen > length) {
            return Err(fail("longer than announced"));
        }
        Ok(chunk)
    }

    fn end(&self) -> Option<Result<Bytes, PortError>> {
        if self.seen == 0 {
            return Some(Err(fail("empty body")));
        }
        let short = self.announced.is_some_and(|length| self.seen < length);
        short.then(|| Err(fail("shorter than announced")))
    }
}

/// The same body, checked on the way.
pub(crate) fn checked<C: Clock>(body: ByteStream, announced: Option<u64>, clock: C) -> ByteStream {
    let state = State {
        body,
        clock,
        announced,
        seen: 0,
        over: false,
    };
    Box::pin(stream::unfold(state, |mut state| async move {
        let item = state.next().await?;
        Some((item, state))
    }))
}

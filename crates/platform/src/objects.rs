//! The object store (R2): streamed puts of known length, multipart uploads, ranged reads.

use crate::{ByteStream, PortError};
use bytes::Bytes;
use std::any::Any;
use std::future::Future;
use std::sync::Arc;

/// What to store.
pub enum PutBody {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A stream whose length is known: R2 refuses others.
    Stream {
        /// The bytes.
        stream: ByteStream,
        /// Their number.
        length_bytes: u64,
    },
}

/// How to store it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutOptions {
    /// `Content-Type`.
    pub content_type: String,
    /// Custom metadata; names and values at most 8,192 bytes together.
    pub metadata: Vec<(String, String)>,
}

/// What is known of a stored object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its key.
    pub key: String,
    /// Its size.
    pub size_bytes: u64,
    /// Its entity tag with quotes, as it goes into the `ETag` header.
    pub etag: String,
    /// Its `Content-Type`.
    pub content_type: String,
    /// Its custom metadata.
    pub metadata: Vec<(String, String)>,
    /// When it was stored, in milliseconds since the epoch.
    pub uploaded_ms: i64,
}

impl ObjectInfo {
    /// One custom metadata value.
    pub fn meta(&self, name: &str) -> Option<&str> {
        self.metadata
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// A range of bytes as asked by a `Range` header, already checked for syntax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// From `offset`, `length` bytes or to the end.
    From {
        /// First byte.
        offset: u64,
        /// How many; `None` to the end.
        length: Option<u64>,
    },
    /// The last bytes.
    Suffix {
        /// How many.
        length: u64,
    },
}

/// An object read as a stream through our own memory.
pub struct ObjectRead {
    /// What is known of it.
    pub info: ObjectInfo,
    /// Its bytes.
    pub body: ByteStream,
}

/// A body that only the runtime understands; it passes to the response untouched.
#[derive(Clone)]
pub struct NativeBody(pub Arc<dyn Any + Send + Sync>);

/// The body of an object on its way to a client.
pub enum ServedBody {
    /// Through our memory (fakes).
    Stream(ByteStream),
    /// Past our memory (Workers).
    Native(NativeBody),
}

/// An object opened to be served to a client.
pub struct ObjectServe {
    /// What is known of it.
    pub info: ObjectInfo,
    /// First byte and length of what the body holds.
    pub range: Option<(u64, u64)>,
    /// The bytes.
    pub body: ServedBody,
}

/// One bucket.
pub trait ObjectStore: Clone + Send + Sync + 'static {
    /// Stores; an object of the same key is replaced.
    fn put(
        &self,
        key: &str,
        body: PutBody,
        options: &PutOptions,
    ) -> impl Future<Output = Result<ObjectInfo, PortError>> + Send;

    /// Starts a multipart upload and returns its id.
    fn multipart_create(
        &self,
        key: &str,
        options: &PutOptions,
    ) -> impl Future<Output = Result<String, PortError>> + Send;

    /// Uploads part `number` (from 1; all but the last of equal size, at least 5 MiB) and returns its tag.
    fn multipart_part(
        &self,
        key: &str,
        upload_id: &str,
        number: u16,
        bytes: Bytes,
    ) -> impl Future<Output = Result<String, PortError>> + Send;

    /// Completes it with the parts' numbers and tags.
    fn multipart_complete(
        &self,
        key: &str,
        upload_id: &str,
        parts: &[(u16, String)],
    ) -> impl Future<Output = Result<ObjectInfo, PortError>> + Send;

    /// Gives it up.
    fn multipart_abort(
        &self,
        key: &str,
        upload_id: &str,
    ) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Reads it.
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<ObjectRead>, PortError>> + Send;

    /// Opens it to be served to a client.
    fn serve(
        &self,
        key: &str,
        range: Option<ByteRange>,
    ) -> impl Future<Output = Result<Option<ObjectServe>, PortError>> + Send;

    /// What is known of it.
    fn head(&self, key: &str)
    -> impl Future<Output = Result<Option<ObjectInfo>, PortError>> + Send;

    /// Removes it; a missing one is fine.
    fn delete(&self, key: &str) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Objects whose keys start with `prefix`, at most 1,000, with their metadata.
    fn list(&self, prefix: &str)
    -> impl Future<Output = Result<Vec<ObjectInfo>, PortError>> + Send;
}

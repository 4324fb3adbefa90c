//! One bucket in memory.

use super::multipart::Uploads;
use super::stored::{Stored, check, failed, gather, info, resolve};
use super::world::{World, lock};
use crate::{
    ByteRange, ByteStream, Clock, ObjectInfo, ObjectRead, ObjectServe, ObjectStore, PortError,
    PutBody, PutOptions, ServedBody,
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

const MAX_LISTED: usize = 1_000;
/// Bodies come in chunks of this size, so that no consumer relies on one chunk.
const CHUNK_BYTES: usize = 16 * 1_024;

#[derive(Debug, Default)]
struct Bucket {
    objects: BTreeMap<String, Stored>,
    uploads: Uploads,
}

/// A bucket. Faults: `objects`, `objects.<method>`; `objects.body` breaks a body that is read, half-way.
#[derive(Clone, Debug)]
pub struct FakeObjects {
    world: World,
    bucket: Arc<Mutex<Bucket>>,
}

impl FakeObjects {
    /// An empty bucket.
    pub fn new(world: &World) -> Self {
        Self {
            world: world.clone(),
            bucket: Arc::default(),
        }
    }

    /// The same bucket in another world.
    #[must_use]
    pub fn with_world(&self, world: &World) -> Self {
        Self {
            world: world.clone(),
            ..self.clone()
        }
    }

    /// The bytes of an object.
    pub fn bytes(&self, key: &str) -> Option<Bytes> {
        let bucket = lock(&self.bucket);
        bucket.objects.get(key).map(|stored| stored.bytes.clone())
    }

    /// All keys in order.
    pub fn keys(&self) -> Vec<String> {
        lock(&self.bucket).objects.keys().cloned().collect()
    }

    /// What is known of each object.
    pub(super) fn infos(&self) -> Vec<ObjectInfo> {
        let bucket = lock(&self.bucket);
        let infos = bucket.objects.values().map(|stored| stored.info.clone());
        infos.collect()
    }

    /// Multipart uploads that were neither completed nor aborted.
    pub fn open_uploads(&self) -> usize {
        lock(&self.bucket).uploads.open()
    }

    /// Puts `bytes` in the place of an object's, as damage would.
    pub fn corrupt(&self, key: &str, bytes: Bytes) {
        if let Some(stored) = lock(&self.bucket).objects.get_mut(key) {
            stored.bytes = bytes;
        }
    }

    async fn enter(&self, operation: &str) -> Result<super::world::Leaving, PortError> {
        self.world.ops.add_r2_ops(1);
        let entered = self.world.enter("objects", operation).await;
        entered.map_err(failed)
    }

    fn stored(&self, key: &str) -> Option<Stored> {
        lock(&self.bucket).objects.get(key).cloned()
    }

    fn body(&self, bytes: &Bytes) -> ByteStream {
        let broken = self.world.faults.strike("objects.body", "read").1;
        let half = broken.as_ref().map(|_| bytes.len() / 2);
        let mut rest = bytes.slice(..half.unwrap_or(bytes.len()));
        let mut chunks = Vec::new();
        while !rest.is_empty() {
            chunks.push(Ok(rest.split_to(rest.len().min(CHUNK_BYTES))));
        }
        chunks.extend(broken.map(|(_, cause)| Err(failed(cause))));
        stream::iter(chunks).boxed()
    }
}

impl ObjectStore for FakeObjects {
    async fn put(
        &self,
        key: &str,
        body: PutBody,
        options: &PutOptions,
    ) -> Result<ObjectInfo, PortError> {
        self.world.ops.add_r2_puts(1);
        let leaving = self.enter("put").await?;
        check(key, options)?;
        let bytes = gather(body).await?;
        let info = info(key, &bytes, options, self.world.clock.now_ms());
        let stored = Stored {
            info: info.clone(),
            bytes,
        };
        lock(&self.bucket).objects.insert(key.to_owned(), stored);
        leaving.leave().map_err(failed)?;
        Ok(info)
    }

    async fn multipart_create(&self, key: &str, options: &PutOptions) -> Result<String, PortError> {
        self.world.ops.add_r2_puts(1);
        let leaving = self.enter("multipart_create").await?;
        check(key, options)?;
        let id = lock(&self.bucket).uploads.create(key, options);
        leaving.leave().map_err(failed)?;
        Ok(id)
    }

    async fn multipart_part(
        &self,
        key: &str,
        upload_id: &str,
        number: u16,
        bytes: Bytes,
    ) -> Result<String, PortError> {
        let leaving = self.enter("multipart_part").await?;
        let tag = lock(&self.bucket)
            .uploads
            .part(key, upload_id, number, bytes)?;
        leaving.leave().map_err(failed)?;
        Ok(tag)
    }

    async fn multipart_complete(
        &self,
        key: &str,
        upload_id: &str,
        parts: &[(u16, String)],
    ) -> Result<ObjectInfo, PortError> {
        let leaving = self.enter("multipart_complete").await?;
        let info = {
            let mut bucket = lock(&self.bucket);
            let (bytes, options) = bucket.uploads.complete(key, upload_id, parts)?;
            let info = info(key, &bytes, &options, self.world.clock.now_ms());
            let stored = Stored {
                info: info.clone(),
                bytes,
            };
            bucket.objects.insert(key.to_owned(), stored);
            info
        };
        leaving.leave().map_err(failed)?;
        Ok(info)
    }

    async fn multipart_abort(&self, key: &str, upload_id: &str) -> Result<(), PortError> {
        let leaving = self.enter("multipart_abort").await?;
        lock(&self.bucket).uploads.abort(key, upload_id);
        leaving.leave().map_err(failed)
    }

    async fn get(&self, key: &str) -> Result<Option<ObjectRead>, PortError> {
        let leaving = self.enter("get").await?;
        leaving.leave().map_err(failed)?;
        Ok(self.stored(key).map(|stored| ObjectRead {
            body: self.body(&stored.bytes),
            info: stored.info,
        }))
    }

    async fn serve(
        &self,
        key: &str,
        range: Option<ByteRange>,
    ) -> Result<Option<ObjectServe>, PortError> {
        let leaving = self.enter("serve").await?;
        leaving.leave().map_err(failed)?;
        Ok(self.stored(key).map(|stored| {
            let size = stored.info.size_bytes;
            let held = range.and_then(|range| resolve(range, size));
            let bytes = match (range, held) {
                (None, _) => stored.bytes,
                (Some(_), None) => Bytes::new(),
                (Some(_), Some((offset, length))) => {
                    let end = offset + length;
                    stored.bytes.slice(offset as usize..end as usize)
                }
            };
            ObjectServe {
                body: ServedBody::Stream(self.body(&bytes)),
                info: stored.info,
                range: held,
            }
        }))
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>, PortError> {
        let leaving = self.enter("head").await?;
        leaving.leave().map_err(failed)?;
        Ok(self.stored(key).map(|stored| stored.info))
    }

    async fn delete(&self, key: &str) -> Result<(), PortError> {
        let leaving = self.enter("delete").await?;
        lock(&self.bucket).objects.remove(key);
        leaving.leave().map_err(failed)
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, PortError> {
        let leaving = self.enter("list").await?;
        leaving.leave().map_err(failed)?;
        let bucket = lock(&self.bucket);
        let listed = bucket
            .objects
            .values()
            .filter(|stored| stored.info.key.starts_with(prefix));
        Ok(listed
            .take(MAX_LISTED)
            .map(|stored| stored.info.clone())
            .collect())
    }
}

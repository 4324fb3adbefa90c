//! Streams one image into a bucket with constant memory, hashing and probing it on the way.
//!
//! In scope: one put of known length, a small object from memory, multipart uploads; three tries where the bytes are at
//! hand, and a second bucket. Out of scope: fetching the bytes again when they are not (image-gen).

use crate::key::ImageKey;
use crate::probe::{Probe, ProbeError, Prober};
use api_types::{ImageFormat, ImageId, InstanceId, ProjectId, Timestamp};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use platform::{ByteStream, Clock, ObjectStore, PortError, PutBody, PutOptions};
use ring::digest::{Context, SHA256};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

/// The largest image.
pub const MAX_IMAGE_BYTES: u64 = 32 * 1024 * 1024;
/// Parts of a multipart upload; R2 wants all but the last of one size, at least this.
pub const PART_BYTES: usize = 5 * 1024 * 1024;
/// Before each try of one operation, in milliseconds: a bucket that refuses is seldom back at once.
pub const PAUSES_MS: [u64; 3] = [0, 200, 1_000];
/// The format is known from that many bytes.
const SNIFF_BYTES: usize = 32;

/// Where the bytes of one image come from; they are read once.
pub struct Source {
    /// The bytes.
    pub body: ByteStream,
    /// How many, where that is known: then none is kept.
    pub length_bytes: Option<u64>,
}

/// Whose image it is, and what stands beside it.
#[derive(Clone, Debug)]
pub struct StorageOptions {
    /// Instance.
    pub instance_id: InstanceId,
    /// Project.
    pub project_id: Option<ProjectId>,
    /// Name that the caller chose.
    pub filename: Option<String>,
    /// When the job was admitted.
    pub admitted_at: Timestamp,
    /// The image.
    pub image_id: ImageId,
    /// Custom metadata.
    pub metadata: Vec<(String, String)>,
}

impl StorageOptions {
    /// Its key as a file of that format, which the bytes tell.
    pub fn r2_path(&self, format: ImageFormat) -> String {
        ImageKey {
            instance_id: &self.instance_id,
            project_id: self.project_id.as_ref(),
            admitted_at: self.admitted_at,
            filename: self.filename.as_deref(),
            image_id: &self.image_id,
            format,
        }
        .to_string()
    }
}

/// One stored image. Its URL is not here: a private one ends, so each answer makes its own ([`crate::UrlForms::image_url`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadResult {
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub r2_path: String,
    /// Its size.
    pub size_bytes: u64,
    /// Lower-case hexadecimal.
    pub sha256: String,
    /// What its bytes say.
    pub probe: Probe,
}

/// Why an image is not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// Larger than [`MAX_IMAGE_BYTES`].
    TooLarge,
    /// The bytes stopped coming, or were fewer or more than announced.
    Source(String),
    /// The bucket refused.
    Storage(String),
    /// The bytes are no whole picture.
    Malformed(ProbeError),
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLarge => write!(f, "larger than {MAX_IMAGE_BYTES} bytes"),
            Self::Source(cause) => write!(f, "the download broke: {cause}"),
            Self::Storage(cause) => write!(f, "the bucket refused: {cause}"),
            Self::Malformed(cause) => write!(f, "{cause}"),
        }
    }
}

fn storage(error: PortError) -> StoreError {
    StoreError::Storage(error.cause)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Sees all bytes of one image.
struct Watch {
    prober: Prober,
    sha256: Context,
    source_error: Option<StoreError>,
}

impl Watch {
    fn new() -> Self {
        Self {
            prober: Prober::default(),
            sha256: Context::new(&SHA256),
            source_error: None,
        }
    }

    fn see(&mut self, chunk: &[u8]) -> Result<(), StoreError> {
        self.prober.feed(chunk);
        self.sha256.update(chunk);
        if self.prober.length_bytes() > MAX_IMAGE_BYTES {
            return Err(StoreError::TooLarge);
        }
        Ok(())
    }

    fn format(&self) -> Result<ImageFormat, StoreError> {
        self.prober
            .format()
            .ok_or(StoreError::Malformed(if self.prober.length_bytes() == 0 {
                ProbeError::Empty
            } else {
                ProbeError::NotAnImage
            }))
    }

    fn stored(&self, bucket: &str, r2_path: String) -> Result<UploadResult, StoreError> {
        Ok(UploadResult {
            bucket: bucket.to_owned(),
            r2_path,
            size_bytes: self.prober.length_bytes(),
            sha256: hex(self.sha256.clone().finish().as_ref()),
            probe: self.prober.finish().map_err(StoreError::Malformed)?,
        })
    }
}

fn put_options(format: ImageFormat, metadata: &[(String, String)]) -> PutOptions {
    PutOptions {
        content_type: format.content_type().to_owned(),
        metadata: metadata.to_vec(),
    }
}

/// An image that arrives in pieces of unknown number: at most one part is in memory.
pub struct Upload<S, C> {
    /// Buckets to try, in order, with their names.
    targets: Vec<(String, S)>,
    clock: C,
    options: StorageOptions,
    watch: Watch,
    buffer: Vec<u8>,
    multipart: Option<Multipart<S>>,
}

struct Multipart<S> {
    bucket: String,
    store: S,
    key: String,
    id: String,
    parts: Vec<(u16, String)>,
}

impl<S: ObjectStore, C: Clock> Upload<S, C> {
    /// Nothing is sent before the first part is full or the image is over.
    pub fn new(targets: Vec<(String, S)>, clock: C, options: StorageOptions) -> Self {
        Self {
            targets,
            clock,
            options,
            watch: Watch::new(),
            buffer: Vec::new(),
            multipart: None,
        }
    }

    /// The next bytes. After an error the upload is given up.
    pub async fn write(&mut self, mut chunk: &[u8]) -> Result<(), StoreError> {
        if let Err(error) = self.watch.see(chunk) {
            self.abort().await;
            return Err(error);
        }
        while !chunk.is_empty() {
            if self.buffer.len() == PART_BYTES
                && let Err(error) = self.send_part().await
            {
                self.abort().await;
                return Err(error);
            }
            let room = PART_BYTES - self.buffer.len();
            let (now, later) = chunk.split_at(room.min(chunk.len()));
            self.grow(now.len());
            self.buffer.extend_from_slice(now);
            chunk = later;
        }
        Ok(())
    }

    /// Doubling past half a part would hold more than a part in memory.
    fn grow(&mut self, more: usize) {
        let needed = self.buffer.len() + more;
        if needed > self.buffer.capacity() && needed > PART_BYTES / 4 {
            self.buffer.reserve_exact(PART_BYTES - self.buffer.len());
        }
    }

    async fn send_part(&mut self) -> Result<(), StoreError> {
        let bytes = Bytes::from(std::mem::take(&mut self.buffer));
        if self.multipart.is_none() {
            self.multipart = Some(self.create().await?);
        }
        let Some(multipart) = &mut self.multipart else {
            return Ok(());
        };
        let number = u16::try_from(multipart.parts.len() + 1).unwrap_or(u16::MAX);
        let mut last = None;
        for pause_ms in PAUSES_MS {
            pause(&self.clock, pause_ms).await;
            let sent = multipart
                .store
                .multipart_part(&multipart.key, &multipart.id, number, bytes.clone())
                .await;
            match sent {
                Ok(tag) => {
                    multipart.parts.push((number, tag));
                    return Ok(());
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.map_or(StoreError::Storage(String::new()), storage))
    }

    async fn create(&self) -> Result<Multipart<S>, StoreError> {
        let format = self.watch.format()?;
        let key = self.options.r2_path(format);
        let options = put_options(format, &self.options.metadata);
        let mut last = StoreError::Storage("no bucket".to_owned());
        for (bucket, store) in &self.targets {
            for pause_ms in PAUSES_MS {
                pause(&self.clock, pause_ms).await;
                match store.multipart_create(&key, &options).await {
                    Ok(id) => {
                        return Ok(Multipart {
                            bucket: bucket.clone(),
                            store: store.clone(),
                            key,
                            id,
                            parts: Vec::new(),
                        });
                    }
                    Err(error) => last = storage(error),
                }
            }
        }
        Err(last)
    }

    /// The image is over: it is checked, then stored. Nothing of a broken one stays.
    pub async fn finish(mut self) -> Result<UploadResult, StoreError> {
        let checked = self.watch.format().and_then(|format| {
            self.watch
                .prober
                .finish()
                .map(|_| format)
                .map_err(StoreError::Malformed)
        });
        let format = match checked {
            Ok(format) => format,
            Err(error) => {
                self.abort().await;
                return Err(error);
            }
        };
        if self.multipart.is_none() {
            return self.put(format).await;
        }
        if !self.buffer.is_empty()
            && let Err(error) = self.send_part().await
        {
            self.abort().await;
            return Err(error);
        }
        let Some(multipart) = self.multipart.take() else {
            return Err(StoreError::Storage("no upload".to_owned()));
        };
        let mut last = StoreError::Storage(String::new());
        for pause_ms in PAUSES_MS {
            pause(&self.clock, pause_ms).await;
            let completed = multipart
                .store
                .multipart_complete(&multipart.key, &multipart.id, &multipart.parts)
                .await;
            match completed {
                Ok(_) => return self.watch.stored(&multipart.bucket, multipart.key),
                Err(error) => last = storage(error),
            }
        }
        // The answer of a completion may be lost, and the upload is then unknown when it is completed again.
        match multipart.store.head(&multipart.key).await {
            Ok(Some(info)) if info.size_bytes == self.watch.prober.length_bytes() => {
                self.watch.stored(&multipart.bucket, multipart.key)
            }
            _ => Err(last),
        }
    }

    async fn put(&mut self, format: ImageFormat) -> Result<UploadResult, StoreError> {
        let key = self.options.r2_path(format);
        let options = put_options(format, &self.options.metadata);
        let bytes = Bytes::from(std::mem::take(&mut self.buffer));
        let mut last = StoreError::Storage("no bucket".to_owned());
        for (bucket, store) in &self.targets {
            for pause_ms in PAUSES_MS {
                pause(&self.clock, pause_ms).await;
                let body = PutBody::Bytes(bytes.clone());
                match store.put(&key, body, &options).await {
                    Ok(_) => return self.watch.stored(bucket, key),
                    Err(error) => last = storage(error),
                }
            }
        }
        Err(last)
    }

    /// Gives it up. A failure is harmless: R2 removes unfinished uploads after a week.
    pub async fn abort(&mut self) {
        if let Some(multipart) = self.multipart.take() {
            let _ = multipart
                .store
                .multipart_abort(&multipart.key, &multipart.id)
                .await;
        }
    }
}

async fn pause(clock: &impl Clock, ms: u64) {
    if ms > 0 {
        clock.sleep(ms).await;
    }
}

/// Stores what a download yields. With a known length it is one put and no byte is kept; a refusing bucket then fails
/// at once, because the bytes are gone: the caller fetches them again.
///
/// # Errors
/// [`StoreError`]; nothing of a broken file stays.
pub async fn upload_image<S: ObjectStore>(
    source: Source,
    options: StorageOptions,
    target: (String, S),
    clock: impl Clock,
) -> Result<UploadResult, StoreError> {
    let Source {
        mut body,
        length_bytes,
    } = source;
    let Some(length_bytes) = length_bytes else {
        let mut upload = Upload::new(vec![target], clock, options);
        while let Some(chunk) = body.next().await {
            match chunk {
                Ok(chunk) => upload.write(&chunk).await?,
                Err(error) => {
                    upload.abort().await;
                    return Err(StoreError::Source(error.cause));
                }
            }
        }
        return upload.finish().await;
    };
    if length_bytes > MAX_IMAGE_BYTES {
        return Err(StoreError::TooLarge);
    }
    let mut first = Vec::new();
    while first.len() < SNIFF_BYTES {
        match body.next().await {
            Some(Ok(chunk)) => first.extend_from_slice(&chunk),
            Some(Err(error)) => return Err(StoreError::Source(error.cause)),
            None => break,
        }
    }
    let mut sniffed = Watch::new();
    sniffed.see(&first)?;
    let format = sniffed.format()?;
    let (bucket, store) = target;
    let key = options.r2_path(format);
    let watch = Arc::new(Mutex::new(Watch::new()));
    let stream = watched(
        watch.clone(),
        stream::iter([Ok(Bytes::from(first))]).chain(body).boxed(),
        length_bytes,
    );
    let body = PutBody::Stream {
        stream,
        length_bytes,
    };
    let put = store
        .put(&key, body, &put_options(format, &options.metadata))
        .await;
    let stored = {
        let watch = watch.lock().unwrap_or_else(PoisonError::into_inner);
        match (put, &watch.source_error) {
            (_, Some(error)) => Err(error.clone()),
            (Err(error), None) => Err(storage(error)),
            (Ok(_), None) => watch.stored(&bucket, key.clone()),
        }
    };
    // A put whose bytes broke off has changed nothing, and what is there may be the picture of another try.
    if matches!(stored, Err(StoreError::Malformed(_))) {
        // What is there now is no picture.
        let _ = store.delete(&key).await;
    }
    stored
}

/// Passes the bytes on and looks at them; refuses to yield more or fewer than announced.
fn watched(watch: Arc<Mutex<Watch>>, body: ByteStream, length_bytes: u64) -> ByteStream {
    let fail = |watch: &Mutex<Watch>, error: StoreError| {
        let cause = error.to_string();
        watch
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .source_error = Some(error);
        Some(Err(PortError::new("http", cause)))
    };
    stream::unfold(Some((watch, body)), move |state| async move {
        let (watch, mut body) = state?;
        let next = body.next().await;
        let item = match next {
            Some(Ok(chunk)) => {
                let seen = {
                    let mut watch = watch.lock().unwrap_or_else(PoisonError::into_inner);
                    watch.see(&chunk).and_then(|()| {
                        if watch.prober.length_bytes() > length_bytes {
                            Err(StoreError::Source("more bytes than announced".to_owned()))
                        } else {
                            Ok(())
                        }
                    })
                };
                match seen {
                    Ok(()) => return Some((Ok(chunk), Some((watch, body)))),
                    Err(error) => fail(&watch, error),
                }
            }
            Some(Err(error)) => fail(&watch, StoreError::Source(error.cause)),
            None => {
                let seen = watch
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .prober
                    .length_bytes();
                if seen < length_bytes {
                    fail(
                        &watch,
                        StoreError::Source(format!("{seen} of {length_bytes} bytes")),
                    )
                } else {
                    None
                }
            }
        };
        item.map(|item| (item, None))
    })
    .boxed()
}

//! Objects of the fake bucket: what may be stored and what is known of it.

use crate::{ByteRange, ObjectInfo, PortError, PutBody, PutOptions};
use bytes::Bytes;
use futures_util::StreamExt;

const MAX_METADATA_BYTES: usize = 8_192;

#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) info: ObjectInfo,
    pub(super) bytes: Bytes,
}

pub(super) fn failed(cause: impl Into<String>) -> PortError {
    PortError::new("objects", cause)
}

pub(super) fn check(key: &str, options: &PutOptions) -> Result<(), PortError> {
    if key.is_empty() || key.len() > 1_024 {
        return Err(failed("the key must have 1 to 1,024 bytes"));
    }
    let size = |(name, value): &(String, String)| name.len() + value.len();
    if options.metadata.iter().map(size).sum::<usize>() > MAX_METADATA_BYTES {
        return Err(failed("the metadata is larger than 8,192 bytes"));
    }
    Ok(())
}

/// An entity tag that depends on the bytes alone (FNV-1a), in quotes.
pub(super) fn etag(bytes: &[u8]) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("\"{hash:016x}\"")
}

pub(super) fn info(key: &str, bytes: &[u8], options: &PutOptions, now_ms: i64) -> ObjectInfo {
    let mut metadata = options.metadata.clone();
    metadata.sort();
    ObjectInfo {
        key: key.to_owned(),
        size_bytes: bytes.len() as u64,
        etag: etag(bytes),
        content_type: options.content_type.clone(),
        metadata,
        uploaded_ms: now_ms,
    }
}

pub(super) async fn gather(body: PutBody) -> Result<Bytes, PortError> {
    match body {
        PutBody::Bytes(bytes) => Ok(bytes),
        PutBody::Stream {
            mut stream,
            length_bytes,
        } => {
            let mut all = Vec::new();
            while let Some(chunk) = stream.next().await {
                all.extend_from_slice(&chunk?);
            }
            if all.len() as u64 != length_bytes {
                let got = all.len();
                return Err(failed(format!(
                    "{got} bytes came, {length_bytes} were announced"
                )));
            }
            Ok(all.into())
        }
    }
}

/// First byte and length of the part of `size` bytes that a range names; `None` where it names none.
pub(super) fn resolve(range: ByteRange, size: u64) -> Option<(u64, u64)> {
    let (offset, length) = match range {
        ByteRange::From { offset, length } => {
            let rest = size.checked_sub(offset)?;
            (offset, length.map_or(rest, |asked| asked.min(rest)))
        }
        ByteRange::Suffix { length } => {
            let length = length.min(size);
            (size - length, length)
        }
    };
    (length > 0).then_some((offset, length))
}

//! Promises of the object store.

use super::{Verdict, equal, holds, refusal, step};
use crate::{
    ByteRange, ByteStream, ObjectServe, ObjectStore, PortError, PutBody, PutOptions, ServedBody,
    collect,
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};

const PART_BYTES: usize = 5 * 1_024 * 1_024;

fn options() -> PutOptions {
    PutOptions {
        content_type: "image/png".to_owned(),
        metadata: vec![
            ("job_id".to_owned(), "j-1".to_owned()),
            ("prompt".to_owned(), "a%20cat".to_owned()),
        ],
    }
}

fn stream_of(chunks: &[&'static [u8]]) -> ByteStream {
    let chunks: Vec<_> = chunks.iter().map(|c| Ok(Bytes::from_static(c))).collect();
    stream::iter(chunks).boxed()
}

/// Runs on keys that start with `unique`, which must be new in each run.
pub async fn objects(store: &impl ObjectStore, unique: &str) -> Verdict {
    plain(store, unique).await?;
    streamed(store, unique).await?;
    multipart(store, unique).await?;
    ranges(store, unique).await?;
    listed(store, unique).await
}

async fn plain(store: &impl ObjectStore, unique: &str) -> Verdict {
    let key = format!("{unique}/plain/ä b.png");
    let missing = step("get of a missing object", store.get(&key).await)?;
    holds("a missing object is none", missing.is_none())?;
    let missing = step("head of a missing object", store.head(&key).await)?;
    holds("a missing object has no head", missing.is_none())?;
    let missing = step("serve of a missing object", store.serve(&key, None).await)?;
    holds("a missing object cannot be served", missing.is_none())?;

    let body = PutBody::Bytes(Bytes::from_static(b"hello"));
    let put = step("put", store.put(&key, body, &options()).await)?;
    equal("put says the size", &put.size_bytes, &5)?;
    equal("put says the key", &put.key, &key)?;
    let quoted = put.etag.len() > 2 && put.etag.starts_with('"') && put.etag.ends_with('"');
    holds("the entity tag is quoted", quoted)?;
    holds("put says when", put.uploaded_ms > 1_600_000_000_000)?;
    equal("put says the metadata", &put.metadata, &options().metadata)?;

    let head = step("head", store.head(&key).await)?;
    equal("head says what put said", &head.as_ref(), &Some(&put))?;
    let read = step("get", store.get(&key).await)?.ok_or("get finds the object")?;
    equal("get says what put said", &read.info, &put)?;
    let bytes = step("body", collect(read.body, 100).await)?;
    equal("the bytes come back", &&bytes[..], &&b"hello"[..])?;

    let body = PutBody::Bytes(Bytes::from_static(b"other"));
    let again = step("second put", store.put(&key, body, &options()).await)?;
    holds("other bytes have another tag", again.etag != put.etag)?;

    step("delete", store.delete(&key).await)?;
    step("delete of a missing object", store.delete(&key).await)?;
    let gone = step("head", store.head(&key).await)?;
    holds("a deleted object is gone", gone.is_none())
}

async fn streamed(store: &impl ObjectStore, unique: &str) -> Verdict {
    let key = format!("{unique}/streamed");
    let put = async |chunks: ByteStream, length_bytes: u64| {
        let body = PutBody::Stream {
            stream: chunks,
            length_bytes,
        };
        store.put(&key, body, &options()).await
    };
    refusal(
        "a stream shorter than announced is refused",
        put(stream_of(&[b"ab", b"c"]), 4).await,
    )?;
    refusal(
        "a stream longer than announced is refused",
        put(stream_of(&[b"ab", b"cde"]), 4).await,
    )?;
    let broken = PortError::new("http", "the source broke");
    let chunks = [Ok(Bytes::from_static(b"ab")), Err(broken)];
    let error = refusal(
        "a broken stream fails the put",
        put(stream::iter(chunks).boxed(), 4).await,
    )?;
    holds(
        "a broken stream's own cause comes through",
        error.cause.contains("the source broke"),
    )?;
    let head = step("head", store.head(&key).await)?;
    holds("nothing of a refused stream is stored", head.is_none())?;

    let info = step("streamed put", put(stream_of(&[b"ab", b"cd"]), 4).await)?;
    equal("a streamed put says the size", &info.size_bytes, &4)?;
    let read = step("get", store.get(&key).await)?.ok_or("get finds the object")?;
    let bytes = step("body", collect(read.body, 100).await)?;
    equal("streamed bytes come back", &&bytes[..], &&b"abcd"[..])?;
    let empty = step("empty streamed put", put(stream_of(&[]), 0).await)?;
    equal("an empty stream is an object", &empty.size_bytes, &0)
}

async fn multipart(store: &impl ObjectStore, unique: &str) -> Verdict {
    let key = format!("{unique}/multipart");
    let id = step("create", store.multipart_create(&key, &options()).await)?;
    let head = step("head", store.head(&key).await)?;
    holds("an open upload is not an object", head.is_none())?;
    let first = Bytes::from(vec![1; PART_BYTES]);
    let tag1 = step("part 1", store.multipart_part(&key, &id, 1, first).await)?;
    let last = Bytes::from_static(b"end");
    let tag2 = step("part 2", store.multipart_part(&key, &id, 2, last).await)?;
    let parts = [(1, tag1), (2, tag2)];
    let info = store.multipart_complete(&key, &id, &parts).await;
    let info = step("complete", info)?;
    let size = PART_BYTES as u64 + 3;
    equal("the parts are one object", &info.size_bytes, &size)?;
    let metadata = options().metadata;
    equal(
        "a multipart object has its metadata",
        &info.metadata,
        &metadata,
    )?;
    let suffix = Some(ByteRange::Suffix { length: 4 });
    let served = step("serve", store.serve(&key, suffix).await)?;
    let served = served.ok_or("serve finds the object")?;
    equal("parts join in order", &served.range, &Some((size - 4, 4)))?;

    let id = step("create", store.multipart_create(&key, &options()).await)?;
    step("abort", store.multipart_abort(&key, &id).await)?;
    let late = store.multipart_part(&key, &id, 1, Bytes::new()).await;
    refusal("an aborted upload takes no part", late)?;
    Ok(())
}

async fn ranges(store: &impl ObjectStore, unique: &str) -> Verdict {
    let key = format!("{unique}/ranges");
    let body = PutBody::Bytes(Bytes::from_static(b"0123456789"));
    step("put", store.put(&key, body, &options()).await)?;
    let from = |offset, length| Some(ByteRange::From { offset, length });
    let suffix = |length| Some(ByteRange::Suffix { length });
    let cases = [
        (None, None, &b"0123456789"[..]),
        (from(0, None), Some((0, 10)), b"0123456789"),
        (from(2, Some(3)), Some((2, 3)), b"234"),
        (from(8, Some(30)), Some((8, 2)), b"89"),
        (suffix(4), Some((6, 4)), b"6789"),
        (suffix(40), Some((0, 10)), b"0123456789"),
        // Out of reach: no range, no bytes, and the size to answer 416 with.
        (from(10, None), None, b""),
    ];
    for (asked, range, bytes) in cases {
        let served = step("serve", store.serve(&key, asked).await)?;
        let served: ObjectServe = served.ok_or("serve finds the object")?;
        equal(&format!("range of {asked:?}"), &served.range, &range)?;
        equal("serve says the whole size", &served.info.size_bytes, &10)?;
        // A native body passes to the client; only a whole worker can look into it.
        if let ServedBody::Stream(body) = served.body {
            let got = step("body", collect(body, 100).await)?;
            equal(&format!("bytes of {asked:?}"), &&got[..], &bytes)?;
        }
    }
    Ok(())
}

async fn listed(store: &impl ObjectStore, unique: &str) -> Verdict {
    let prefix = format!("{unique}/listed/");
    for name in ["b", "a", "c"] {
        let key = format!("{prefix}{name}");
        let body = PutBody::Bytes(Bytes::new());
        step("put", store.put(&key, body, &options()).await)?;
    }
    let listed = step("list", store.list(&prefix).await)?;
    let keys: Vec<_> = listed.iter().map(|info| info.key.clone()).collect();
    let wanted: Vec<_> = ["a", "b", "c"].map(|n| format!("{prefix}{n}")).to_vec();
    equal("list gives the prefix in order", &keys, &wanted)?;
    let job = listed.first().and_then(|info| info.meta("job_id"));
    equal("list gives the metadata", &job, &Some("j-1"))?;
    let kind = listed.first().map(|info| info.content_type.as_str());
    equal("list gives the content type", &kind, &Some("image/png"))
}

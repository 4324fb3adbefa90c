//! Streaming into a bucket: what is stored, in how many operations, and what stays when something breaks.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of a test: what is not there fails it"
)]

use api_types::{ImageFormat, ImageId, InstanceId, Timestamp};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use platform::fakes::{FakeClock, FakeObjects, When, World};
use platform::{ByteStream, Clock, PortError, ReplyError, ReplyReader};
use r2_manager::{
    PART_BYTES, ProbeError, Source, StorageOptions, StoreError, StreamingReader, Upload,
    upload_image,
};

fn png(body: usize) -> Vec<u8> {
    let mut file =
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR\x00\x00\x04\x00\x00\x00\x03\x00".to_vec();
    file.extend(b"\x08\x02\x00\x00\x00crc!");
    file.extend((0..body).map(|i| (i % 251) as u8));
    file.extend(b"\x00\x00\x00\x00IEND\xaeB`\x82");
    file
}

fn body(bytes: &[u8], chunk: usize) -> ByteStream {
    let chunks: Vec<Result<Bytes, PortError>> = bytes
        .chunks(chunk)
        .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
        .collect();
    stream::iter(chunks).boxed()
}

fn options(name: &str) -> StorageOptions {
    StorageOptions {
        instance_id: InstanceId::parse("acme").unwrap(),
        project_id: None,
        filename: Some(name.to_owned()),
        admitted_at: Timestamp(7),
        image_id: ImageId::parse("0199a1c2-0000-7000-8000-0000000000ab").unwrap(),
        metadata: vec![("image_id".to_owned(), name.to_owned())],
    }
}

/// The key of a PNG with those options.
fn key(name: &str) -> String {
    options(name).r2_path(ImageFormat::Png)
}

fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest
        .as_ref()
        .iter()
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

struct Setting {
    world: World,
    bucket: FakeObjects,
}

fn setting() -> Setting {
    let world = World::auto();
    Setting {
        bucket: FakeObjects::new(&world),
        world,
    }
}

impl Setting {
    fn target(&self) -> (String, FakeObjects) {
        ("main".to_owned(), self.bucket.clone())
    }

    fn clock(&self) -> FakeClock {
        self.world.clock.clone()
    }
}

#[tokio::test]
async fn a_known_length_is_one_put_and_the_facts_come_from_the_bytes() {
    let s = setting();
    let file = png(200_000);
    let stored = upload_image(
        Source {
            body: body(&file, 7_000),
            length_bytes: Some(file.len() as u64),
        },
        options("a"),
        s.target(),
        s.clock(),
    )
    .await
    .unwrap();
    assert_eq!(stored.r2_path, "acme/default/7_a-000000ab.png");
    assert_eq!(stored.size_bytes, file.len() as u64);
    assert_eq!(stored.sha256, sha256(&file));
    assert_eq!(stored.probe.dimensions(), "1024x768");
    assert_eq!(s.bucket.bytes(&key("a")).unwrap(), file);
    assert_eq!(s.world.ops.count().r2_ops, 1);
}

#[tokio::test]
async fn an_unknown_length_is_one_put_when_small_and_parts_when_large() {
    let s = setting();
    let small = png(1_000);
    upload_image(
        Source {
            body: body(&small, 100),
            length_bytes: None,
        },
        options("small"),
        s.target(),
        s.clock(),
    )
    .await
    .unwrap();
    assert_eq!(s.world.ops.count().r2_ops, 1);
    for size in [PART_BYTES - 65, PART_BYTES - 64, 2 * PART_BYTES + 1_000] {
        let large = png(size);
        let stored = upload_image(
            Source {
                body: body(&large, 300_000),
                length_bytes: None,
            },
            options("large"),
            s.target(),
            s.clock(),
        )
        .await
        .unwrap();
        assert_eq!(stored.sha256, sha256(&large));
        assert_eq!(s.bucket.bytes(&key("large")).unwrap(), large);
    }
    assert_eq!(s.bucket.open_uploads(), 0);
}

#[tokio::test]
async fn nothing_of_a_broken_file_stays() {
    let s = setting();
    let whole = png(300_000);
    let cut = &whole[..whole.len() - 1];
    let known = Some(cut.len() as u64);
    for (bytes, length, expected) in [
        (cut, known, StoreError::Malformed(ProbeError::Truncated)),
        (cut, None, StoreError::Malformed(ProbeError::Truncated)),
        (
            &b"<html>no</html>"[..],
            Some(15),
            StoreError::Malformed(ProbeError::NotAnImage),
        ),
        (&b""[..], Some(0), StoreError::Malformed(ProbeError::Empty)),
        (
            &whole[..],
            Some(whole.len() as u64 - 5),
            StoreError::Source("more bytes than announced".to_owned()),
        ),
        (
            cut,
            Some(whole.len() as u64),
            StoreError::Source(format!("{} of {} bytes", cut.len(), whole.len())),
        ),
        (cut, Some(1 << 40), StoreError::TooLarge),
    ] {
        let stored = upload_image(
            Source {
                body: body(bytes, 50_000),
                length_bytes: length,
            },
            options("x"),
            s.target(),
            s.clock(),
        )
        .await;
        assert_eq!(stored, Err(expected));
        assert!(s.bucket.keys().is_empty());
    }
    let large = png(PART_BYTES + 70_000);
    let stored = upload_image(
        Source {
            body: body(&large[..large.len() - 1], 100_000),
            length_bytes: None,
        },
        options("x"),
        s.target(),
        s.clock(),
    )
    .await;
    assert_eq!(stored, Err(StoreError::Malformed(ProbeError::Truncated)));
    assert!(s.bucket.keys().is_empty());
    assert_eq!(s.bucket.open_uploads(), 0);
}

#[tokio::test]
async fn a_download_that_breaks_leaves_what_was_stored_before() {
    let s = setting();
    let whole = png(300_000);
    let length = Some(whole.len() as u64);
    let store = |bytes| {
        upload_image(
            Source {
                body: body(bytes, 50_000),
                length_bytes: length,
            },
            options("x"),
            s.target(),
            s.clock(),
        )
    };
    store(&whole[..]).await.unwrap();
    let cut = store(&whole[..whole.len() / 2]).await;
    assert!(matches!(cut, Err(StoreError::Source(_))), "{cut:?}");
    assert_eq!(s.bucket.bytes(&key("x")).unwrap(), whole);
}

#[tokio::test]
async fn an_endless_body_is_cut_off_and_its_upload_given_up() {
    let s = setting();
    let chunk = Bytes::from(png(1_000_000));
    let endless = stream::repeat_with(move || Ok(chunk.clone())).boxed();
    let stored = upload_image(
        Source {
            body: endless,
            length_bytes: None,
        },
        options("x"),
        s.target(),
        s.clock(),
    )
    .await;
    assert_eq!(stored, Err(StoreError::TooLarge));
    assert!(s.bucket.keys().is_empty());
    assert_eq!(s.bucket.open_uploads(), 0);
}

#[tokio::test]
async fn bytes_at_hand_survive_two_refusals_and_then_go_to_the_other_bucket() {
    let s = setting();
    let other = FakeObjects::new(&s.world);
    let targets = || vec![s.target(), ("other".to_owned(), other.clone())];
    let file = png(1_000);
    for (failures, bucket) in [(2, "main"), (3, "other")] {
        for nth in 1..=failures {
            s.world.faults.fail("objects.put", nth, When::Before);
        }
        let before_ms = s.clock().now_ms();
        let mut upload = Upload::new(targets(), s.clock(), options("a"));
        upload.write(&file).await.unwrap();
        assert_eq!(upload.finish().await.unwrap().bucket, bucket);
        // A bucket that refuses is not asked again at once.
        assert_eq!(s.clock().now_ms() - before_ms, 1_200);
        assert_eq!(s.world.faults.pending(), 0);
    }
    assert_eq!(other.bytes(&key("a")).unwrap(), file);
}

#[tokio::test]
async fn a_refusing_bucket_fails_a_stream_at_once() {
    let s = setting();
    s.world.faults.fail("objects.put", 1, When::Before);
    let file = png(1_000);
    let stored = upload_image(
        Source {
            body: body(&file, 100),
            length_bytes: Some(file.len() as u64),
        },
        options("a"),
        s.target(),
        s.clock(),
    )
    .await;
    assert!(matches!(stored, Err(StoreError::Storage(_))));
}

#[tokio::test]
async fn a_part_that_fails_is_sent_again() {
    let s = setting();
    for (operation, when) in [
        ("multipart_create", When::Before),
        ("multipart_part", When::Before),
        ("multipart_part", When::After),
        ("multipart_complete", When::Before),
        ("multipart_complete", When::After),
    ] {
        s.world
            .faults
            .fail(&format!("objects.{operation}"), 1, when);
        let file = png(PART_BYTES * 2);
        let stored = upload_image(
            Source {
                body: body(&file, 400_000),
                length_bytes: None,
            },
            options("a"),
            s.target(),
            s.clock(),
        )
        .await;
        assert_eq!(stored.unwrap().sha256, sha256(&file), "{operation}");
    }
}

#[tokio::test]
async fn images_inside_json_are_stored_in_order() {
    use base64::Engine as _;
    let s = setting();
    let (a, b) = (png(9_000), png(12_000));
    let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let answer = format!(
        r#"{{"data":[{{"b64_json":"{}"}},{{"b64_json":"{}"}}]}}"#,
        encode(&a),
        encode(&b)
    );
    let mut reader = StreamingReader::new(vec![s.target()], s.clock(), |index| {
        Some(options(if index == 0 { "first" } else { "second" }))
    });
    let json = reader
        .read("application/json", body(answer.as_bytes(), 1_000), 1 << 25)
        .await
        .unwrap();
    assert_eq!(
        json,
        r#"{"data":[{"b64_json":"blob:0"},{"b64_json":"blob:1"}]}"#
    );
    assert_eq!(s.bucket.bytes(&key("first")).unwrap(), a);
    assert_eq!(s.bucket.bytes(&key("second")).unwrap(), b);
    let stored = reader.into_stored();
    assert_eq!(stored.len(), 2);
    assert_eq!(stored[1].as_ref().unwrap().sha256, sha256(&b));
}

#[tokio::test]
async fn an_answer_that_is_an_image_is_the_first_blob() {
    let s = setting();
    let file = png(5_000);
    let mut reader = StreamingReader::new(vec![s.target()], s.clock(), |_| Some(options("a")));
    let json = reader
        .read("image/png", body(&file, 999), 1 << 25)
        .await
        .unwrap();
    assert_eq!(json, "\"blob:0\"");
    assert_eq!(s.bucket.bytes(&key("a")).unwrap(), file);
}

#[tokio::test]
async fn one_broken_image_does_not_lose_the_others() {
    use base64::Engine as _;
    let s = setting();
    let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let (good, bad) = (png(9_000), vec![b'x'; 9_000]);
    let answer = format!(
        r#"[{{"b64_json":"{}"}},{{"b64_json":"{}"}}]"#,
        encode(&bad),
        encode(&good)
    );
    let mut reader = StreamingReader::new(vec![s.target()], s.clock(), |index| {
        Some(options(if index == 0 { "first" } else { "second" }))
    });
    reader
        .read("application/json", body(answer.as_bytes(), 1_000), 1 << 25)
        .await
        .unwrap();
    let stored = reader.into_stored();
    assert_eq!(
        stored[0],
        Err(StoreError::Malformed(ProbeError::NotAnImage))
    );
    assert!(stored[1].is_ok());
    assert_eq!(s.bucket.keys(), [key("second")]);
}

#[tokio::test]
async fn what_came_whole_before_an_answer_broke_off_is_stored_and_nothing_else() {
    use base64::Engine as _;
    let s = setting();
    let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let (first, second) = (png(9_000), png(PART_BYTES + 70_000));
    let whole = format!(
        r#"{{"data":[{{"b64_json":"{}"}},{{"b64_json":"{}"}}],"usage":{{}}}}"#,
        encode(&first),
        encode(&second)
    );
    let tail = whole.len() - 5;
    let inside = whole.len() - 1_000;
    for (end, images) in [(tail, 2), (inside, 1)] {
        let cut = body(&whole.as_bytes()[..end], 50_000);
        let lost = stream::iter([Err(PortError::new("http", "reset"))]);
        let mut reader = StreamingReader::new(vec![s.target()], s.clock(), |index| {
            Some(options(if index == 0 { "first" } else { "second" }))
        });
        let read = reader.read("application/json", cut.chain(lost).boxed(), 1 << 25);
        assert_eq!(read.await, Err(ReplyError::Broken("reset".to_owned())));
        let stored = reader.into_stored();
        assert_eq!(stored.iter().filter(|it| it.is_ok()).count(), images);
        assert_eq!(stored.len(), images);
        assert_eq!(s.bucket.open_uploads(), 0, "cut at {end}");
    }
    let bad = format!(
        r#"[{{"b64_json":"{}"}},{{"b64_json":"{}!"#,
        encode(&first),
        encode(&first)
    );
    let mut reader = StreamingReader::new(vec![s.target()], s.clock(), |_| Some(options("first")));
    let read = reader.read("application/json", body(bad.as_bytes(), 1 << 20), 1 << 25);
    assert!(matches!(read.await, Err(ReplyError::Malformed(_))));
    assert_eq!(reader.into_stored().len(), 1);
}

#[tokio::test]
async fn an_image_that_breaks_off_leaves_no_upload_behind() {
    let s = setting();
    let file = png(PART_BYTES + 70_000);
    let cut = body(&file[..file.len() - 10], 500_000);
    let lost = stream::iter([Err(PortError::new("http", "reset"))]);
    let mut reader = StreamingReader::new(vec![s.target()], s.clock(), |_| Some(options("a")));
    let read = reader.read("image/png", cut.chain(lost).boxed(), 1 << 25);
    assert!(matches!(read.await, Err(ReplyError::Broken(_))));
    assert_eq!(s.bucket.open_uploads(), 0);
    assert!(reader.into_stored().is_empty());
}

#[tokio::test]
async fn an_image_without_a_place_is_read_past_and_the_others_are_stored() {
    use base64::Engine as _;
    let s = setting();
    let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let (first, second) = (png(9_000), png(PART_BYTES + 70_000));
    let answer = format!(
        r#"[{{"b64_json":"{}"}},{{"b64_json":"{}"}}]"#,
        encode(&second),
        encode(&first)
    );
    let mut reader = StreamingReader::new(vec![s.target()], s.clock(), |index| {
        (index == 1).then(|| options("a"))
    });
    reader
        .read("application/json", body(answer.as_bytes(), 50_000), 1 << 25)
        .await
        .unwrap();
    let stored = reader.into_stored();
    assert!(matches!(stored[0], Err(StoreError::Storage(_))));
    assert_eq!(stored[1].as_ref().unwrap().sha256, sha256(&first));
    assert_eq!(s.bucket.keys(), [key("a")]);
    assert_eq!(s.bucket.open_uploads(), 0);
}

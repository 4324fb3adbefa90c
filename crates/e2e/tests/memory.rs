//! Journey: large images pass through the worker in pieces.
//!
//! 1. eight images of 6 MB are made at once, by the vendor that answers with them inside its JSON; 2. each arrives whole;
//! 3. the worker's linear memory, which never shrinks, has grown by at most 12 MiB an image and is below the 128 MB of the
//!    platform.

use api_types::{Fallback, FallbackWord, GenerateRequest};
use e2e::{Client, Options, Stack};

const IMAGES: u64 = 8;
const IMAGE_BYTES: u64 = 6_000_000;
const MIB: u64 = 1 << 20;

fn boat(prompt: String) -> GenerateRequest {
    GenerateRequest {
        prompt,
        provider: Some("openai".to_owned()),
        fallback: Some(Fallback::Word(FallbackWord::None)),
        ..GenerateRequest::default()
    }
}

async fn memory(client: &Client) -> u64 {
    let health = client.get("/api/image-gen/health").await.json();
    health["wasm_memory_bytes"].as_u64().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_large_images_at_once_stay_within_their_memory() {
    let stack = Stack::start(Options::default());
    let admin = stack.admin();
    admin.picture(boat("a small boat".to_owned())).await;
    let before = memory(&admin).await;
    assert!(before > 0, "health tells no memory");
    let making = (0..IMAGES).map(|n| {
        let client = admin.clone();
        tokio::spawn(async move {
            let prompt = format!("sim:bytes={IMAGE_BYTES} boat {n}");
            client.picture(boat(prompt)).await
        })
    });
    for made in making.collect::<Vec<_>>() {
        let (_, made) = made.await.unwrap();
        let size = made.images[0].size_bytes;
        assert!(size > IMAGE_BYTES * 9 / 10, "{size}");
    }
    let after = memory(&admin).await;
    println!("wasm memory: {before} bytes idle, {after} bytes after {IMAGES} images at once");
    assert!(after <= before + IMAGES * 12 * MIB, "{before} -> {after}");
    assert!(after < 128_000_000, "{after}");
}

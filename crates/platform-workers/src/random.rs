//! Randomness of the runtime.

use crate::js;
use js_sys::Uint8Array;
use platform::Random;

/// The most that `getRandomValues` fills in one call.
const MAX_BYTES: usize = 65_536;

/// `crypto.getRandomValues`.
#[derive(Clone, Copy, Debug, Default)]
pub struct WorkerRandom;

impl Random for WorkerRandom {
    #[expect(
        clippy::panic,
        reason = "keys and ids out of predictable bytes would be worse than no answer"
    )]
    fn fill(&self, bytes: &mut [u8]) {
        let crypto = js::peek(&js_sys::global(), "crypto");
        for chunk in bytes.chunks_mut(MAX_BYTES) {
            let array = Uint8Array::new_with_length(chunk.len() as u32);
            if let Err(thrown) = js::call(&crypto, "getRandomValues", &[array.clone().into()]) {
                panic!("no randomness: {}", js::text(&thrown));
            }
            array.copy_to(chunk);
        }
    }
}

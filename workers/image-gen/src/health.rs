//! `GET /health`: whether this worker has what it needs. No secret, no call.

use crate::deps::Deps;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use platform::Ports;
use serde_json::json;

/// Bytes of linear memory; it never shrinks, so this is the most that was ever used. 0 outside of wasm.
fn wasm_memory_bytes() -> u64 {
    #[cfg(target_arch = "wasm32")]
    {
        core::arch::wasm32::memory_size::<0>() as u64 * 65_536
    }
    #[cfg(not(target_arch = "wasm32"))]
    {
        0
    }
}

/// Bindings were all found, or this worker would not answer at all.
pub async fn health<P: Ports>(State(deps): State<Deps<P>>) -> Response {
    axum::Json(json!({
        "status": "ok",
        "worker": "image-gen",
        "version": env!("CARGO_PKG_VERSION"),
        "version_id": deps.settings.version_id,
        "git_sha": deps.settings.git_sha,
        "bindings": {
            "RATE_LIMITER": "ok",
            "DB": "ok",
            "CONFIG_SERVICE": "ok",
            "CONFIG": "ok",
        },
        "buckets": deps.buckets.names(),
        "kek_ids": deps.keks.ids(),
        "wasm_memory_bytes": wasm_memory_bytes(),
    }))
    .into_response()
}

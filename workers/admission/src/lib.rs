#![doc = include_str!("../README.md")]

mod bindings;
mod deps;
mod limiter_do;
#[cfg(feature = "test-routes")]
mod panicking;
#[cfg(feature = "test-routes")]
mod probe;
#[cfg(feature = "test-routes")]
mod probe_service;
mod routes;

pub use deps::{Deps, Health};
pub use limiter_do::RateLimiter;
pub use routes::{OPENAPI, routes};

#[cfg(feature = "test-routes")]
use panicking::PanickingStorage as Storage;
#[cfg(not(feature = "test-routes"))]
use platform_workers::WorkerStorage as Storage;
use worker::{Context, Env, Result, event};

/// The fetch event.
#[event(fetch)]
async fn fetch(request: web_sys::Request, env: Env, context: Context) -> Result<web_sys::Response> {
    bindings::start_logging(&env);
    let deps = bindings::deps(&env, &context);
    let request = platform_workers::request(request)?;
    #[cfg(feature = "test-routes")]
    if probe::is_probe(request.uri().path()) {
        let response = probe::answer(request, &env, &context).await;
        return platform_workers::respond(response).await;
    }
    let app = routes().into_app(deps);
    platform_workers::respond(app.handle(request).await).await
}

/// The probe's queue event: contract tests only send.
#[cfg(feature = "test-routes")]
#[event(queue)]
async fn queue(batch: worker::MessageBatch<()>, _: Env, _: Context) -> Result<()> {
    batch.ack_all();
    Ok(())
}

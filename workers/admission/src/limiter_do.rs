//! The class `RateLimiter`: a shell that hands events to `rate_limiter::LimiterObject`.

#![expect(missing_docs, reason = "of the exports that the macro makes")]

use crate::bindings::{self, Limiter};
use platform::{ActorReply, PortError};
use std::panic::AssertUnwindSafe;
use tracing::Instrument;
use worker::{DurableObject, Env, Request, Response, Result, State, durable_object};

/// One object: a provider of an instance. Exports `fetch` and `alarm`.
#[durable_object(alarm)]
pub struct RateLimiter {
    /// A panic leaves nothing half-done behind: the object takes its memory out while it decides, and tables roll back.
    limiter: AssertUnwindSafe<std::result::Result<Limiter, PortError>>,
    #[cfg(feature = "test-routes")]
    probe: AssertUnwindSafe<crate::probe::ProbeObject>,
}

impl DurableObject for RateLimiter {
    fn new(state: State, env: Env) -> Self {
        bindings::start_logging(&env);
        Self {
            limiter: AssertUnwindSafe(bindings::limiter(&state, &env)),
            #[cfg(feature = "test-routes")]
            probe: AssertUnwindSafe(crate::probe::ProbeObject::new(&state)),
        }
    }

    /// `POST /v1/{command}`.
    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let command = request.path().trim_start_matches("/v1/").to_owned();
        let request_id = request.headers().get("x-request-id")?.unwrap_or_default();
        let body = request.text().await?;
        #[cfg(feature = "test-routes")]
        if let Some(reply) = self.probe.handle(&command, &body).await {
            return answer(reply);
        }
        let span = tracing::info_span!("command", request_id, command);
        match &*self.limiter {
            Ok(limiter) => answer(limiter.handle(&command, &body).instrument(span).await),
            Err(error) => Response::error(error.to_string(), 500),
        }
    }

    async fn alarm(&self) -> Result<Response> {
        match &*self.limiter {
            Ok(limiter) => limiter.alarm().await,
            Err(error) => tracing::error!(%error, "the object cannot start"),
        }
        Response::empty()
    }
}

fn answer(reply: ActorReply) -> Result<Response> {
    let mut response = Response::ok(reply.body)?.with_status(reply.status);
    let headers = response.headers_mut();
    headers.set("content-type", "application/json")?;
    Ok(response)
}

//! One file a layer. `guard` is layers 6 to 12, in that order, around each handler.

pub(crate) mod access_log;
pub(crate) mod auth;
pub(crate) mod body_cap;
pub(crate) mod content_type;
pub(crate) mod cors;
pub(crate) mod headers;
pub(crate) mod internal;
pub(crate) mod permit;
pub(crate) mod render;
pub(crate) mod resolve;
pub(crate) mod status;

use crate::context::Context;
use crate::routes::RouteMark;
use crate::state::AppState;
use ::auth::permission::Class;
use axum::extract::Request;
use errors::{Error, Result};
use platform::Clock;

/// Layers 6 to 12. No I/O on a warm isolate.
pub(crate) async fn guard<D: AppState>(
    state: &D,
    mark: &RouteMark,
    request: Request,
) -> Result<Request> {
    let context = request
        .extensions()
        .get::<Context>()
        .cloned()
        .ok_or_else(|| Error::internal("the request did not pass through middleware::App"))?;
    context.facts().route = Some(mark.path);
    let started_ms = state.clock().now_ms();
    // An internal route must look like no route at all before anything else is checked.
    internal::check(mark.operation, &request)?;
    let request = body_cap::check(mark, request)?;
    content_type::check(&request)?;
    let mut request = auth::present(mark, request).await?;
    if mark.operation.class == Class::Public {
        return Ok(request);
    }
    // The body is not `Sync`, so only the extensions may be borrowed over the await.
    let extensions = request.extensions().clone();
    if let Some(caller) = resolve::resolve(state, mark.operation, &context, &extensions).await? {
        context.timing("auth", started_ms, state.clock().now_ms());
        status::check(mark.operation, &caller)?;
        permit::check(mark.operation, &caller)?;
        request.extensions_mut().insert(caller);
    }
    Ok(request)
}

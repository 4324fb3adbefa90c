//! Layer 10: who the key belongs to, with as much as the route needs.

use crate::context::Context;
use crate::extract::{Caller, MaybePresented, PreparedBody};
use crate::state::AppState;
use auth::permission::Operation;
use errors::{Code, Error, Result};
use http::Extensions;
use lookup::Hints;
use std::sync::Arc;

/// `None` where the handler resolves the caller.
///
/// # Errors
/// As `lookup::Lookup::resolve`.
pub(crate) async fn resolve<D: AppState>(
    state: &D,
    operation: &Operation,
    context: &Context,
    extensions: &Extensions,
) -> Result<Option<Caller>> {
    let (Some(lookup), Some(need)) = (state.lookup(), operation.need) else {
        return Ok(None);
    };
    let Some(MaybePresented(Some(Ok(presented)))) = extensions.get::<MaybePresented>() else {
        return Err(Error::internal("a route that needs a caller has no key"));
    };
    let hints = extensions.get::<Hints>().cloned().unwrap_or_default();
    let resolved = lookup
        .resolve(
            &presented.key,
            &presented.raw,
            &hints,
            need,
            context.client_ip(),
            context.call(),
        )
        .await
        .map_err(|error| unread_body(error, extensions))?;
    context.identify(
        &resolved.auth,
        resolved.instance.as_ref().map(|it| &it.instance_id),
        resolved.project.as_ref().map(|it| &it.project_id),
    );
    context.facts().config_age_ms = resolved.freshness.stale_config_ms;
    Ok(Some(Caller(Arc::new(resolved))))
}

/// A body that cannot be read may well have named the instance: its fault is what the caller has to mend first.
fn unread_body(error: Error, extensions: &Extensions) -> Error {
    match extensions.get::<PreparedBody>() {
        Some(PreparedBody(Err(fault))) if error.code == Code::InstanceRequired => fault.clone(),
        _ => error,
    }
}

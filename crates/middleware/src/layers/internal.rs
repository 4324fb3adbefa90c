//! Layer 8: routes for workers of the house do not exist for anybody else.
//!
//! It runs before layers 6 and 7, so that a foreign caller gets 404 before his body or its type is looked at.

use crate::extract::Props;
use auth::permission::{Class, Operation};
use axum::extract::Request;
use errors::{Error, Result};

/// # Errors
/// 404, like any unknown route.
pub(crate) fn check(operation: &Operation, request: &Request) -> Result<()> {
    let Class::System(callers) = operation.class else {
        return Ok(());
    };
    let caller = request
        .extensions()
        .get::<Props>()
        .and_then(|props| props.caller.as_deref());
    match caller {
        Some(caller) if callers.contains(&caller) => Ok(()),
        _ => Err(Error::not_found("route")),
    }
}

//! `/worker`: the registry of workers, and how they are.
//!
//! One file a route; `health` decides what a check means, `probe` asks, `sweep` asks all of them each minute.

pub(crate) mod check;
pub(crate) mod get;
pub(crate) mod health;
pub(crate) mod list;
mod name;
mod probe;
pub(crate) mod register;
mod sweep;
mod view;

use crate::fields;
use api_types::{AuthContext, InstanceId, Role};
use errors::{Error, Result};
use name::WorkerName;
use serde::Deserialize;

/// Whose worker a path is about.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Whose {
    /// The instance; none for a worker of the platform.
    instance_id: Option<InstanceId>,
}

/// Workers of the platform serve all organizations, so only a superadmin changes anything about them.
///
/// # Errors
/// 403 `role_required`.
fn only_superadmin(auth: &AuthContext) -> Result<(), Error> {
    match auth.role {
        Role::Superadmin => Ok(()),
        _ => Err(fields::role_required("superadmin")),
    }
}

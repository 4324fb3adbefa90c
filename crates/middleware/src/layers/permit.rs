//! Layer 12: class and scope of the operation against the caller.

use crate::extract::Caller;
use auth::permission::{Operation, Target, permit};
use errors::Result;

/// # Errors
/// 404 and 403 as `auth::permission::permit`.
pub(crate) fn check(operation: &Operation, caller: &Caller) -> Result<()> {
    let target = Target {
        org_id: caller.config.as_ref().map(|config| config.org_id.clone()),
        instance_id: caller.instance.as_ref().map(|it| it.instance_id.clone()),
        project_id: caller.project.as_ref().map(|it| it.project_id.clone()),
        ..Target::default()
    };
    permit(operation, &caller.auth, &target)
}

//! Layer 11: new work only in active instances.

use crate::extract::Caller;
use api_types::InstanceStatus;
use auth::permission::Operation;
use errors::{Code, Error, Result};

/// # Errors
/// 403 `instance_paused`, 409 `instance_not_active`.
pub(crate) fn check(operation: &Operation, caller: &Caller) -> Result<()> {
    let Some(instance) = caller.instance.as_ref().filter(|_| operation.work) else {
        return Ok(());
    };
    match instance.status {
        InstanceStatus::Active => Ok(()),
        InstanceStatus::Paused => Err(Error::new(
            Code::InstancePaused,
            "The instance is paused and takes no new work.",
        )),
        InstanceStatus::Deploying | InstanceStatus::Deleting | InstanceStatus::Deleted => {
            Err(Error::new(
                Code::InstanceNotActive,
                "The instance is not active and takes no new work.",
            )
            .with_retry_after_ms(5_000))
        }
    }
}

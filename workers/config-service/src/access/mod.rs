//! `/user/{user_id}/instance`, `/access`: who may use which instance.
//!
//! In scope: one file a verb, what all of them check. Out of scope: administrators, who have all of their organization
//! without a grant. Grants have no version: repeating one changes nothing.

mod grant;
mod list;
mod replace;
mod revoke;

pub(crate) use grant::grant;
pub(crate) use list::AccessList;
pub(crate) use replace::replace;
pub(crate) use revoke::revoke;

use crate::change::Decision;
use crate::fields;
use api_types::{InstanceId, UserId};
use auth::permission::Target;
use errors::{Error, Result};
use middleware::Presented;
use platform::Statement;
use store::control::access::{self, Standing};
use store::control::guard::Quota;
use store::control::instances::{self, InstanceRow};
use store::control::users::{self, UserRow};

/// Instances that one request may name: as many as an organization may have.
const MAX_INSTANCES: usize = 100;

/// One user and one instance.
struct Pair {
    user_id: UserId,
    instance_id: InstanceId,
}

impl Pair {
    /// What [`Pair::target`] and [`Pair::is_granted`] read, in that order.
    fn reads(&self, caller: &Presented) -> Vec<Statement> {
        vec![
            users::by_id(&self.user_id),
            instances::for_caller(&caller.key.key_id, &self.instance_id),
            access::exists(&self.user_id, &self.instance_id),
        ]
    }

    /// Both, in one organization.
    ///
    /// # Errors
    /// 404.
    fn target(decision: &Decision<'_>) -> Result<Target> {
        let user = UserRow::read(&decision.rows(0))?.ok_or_else(fields::missing)?;
        let instance = InstanceRow::read(&decision.rows(1))?.ok_or_else(fields::missing)?;
        if user.org_id.as_ref() != Some(&instance.org_id) {
            return Err(fields::missing());
        }
        Ok(Target {
            org_id: Some(instance.org_id),
            instance_id: Some(instance.instance_id),
            user_id: Some(user.user_id),
            ..Target::default()
        })
    }

    /// Whether the grant exists.
    ///
    /// # Errors
    /// 403 for a key that is restricted to other instances.
    fn is_granted(decision: &Decision<'_>) -> Result<bool> {
        if InstanceRow::read(&decision.rows(1))?.is_some_and(|row| !row.allowed) {
            return Err(fields::no_access());
        }
        Ok(decision.rows(2).first().is_some())
    }
}

/// Checks instances that a user shall have, all or nothing.
///
/// # Errors
/// 400 for too many, 404 for missing and foreign ones, 403 for those that the key does not reach, 409 `quota_reached`.
pub(crate) fn check_wanted(wanted: &[InstanceId], standing: &[Standing]) -> Result<()> {
    if wanted.len() > MAX_INSTANCES {
        return Err(Error::invalid_field(
            "instance_ids",
            format!("must name at most {MAX_INSTANCES} instances"),
        ));
    }
    let wanted = || standing.iter().filter(|instance| instance.wanted);
    if wanted().any(|instance| !instance.inside) {
        return Err(fields::missing());
    }
    if wanted().any(|instance| !instance.reached && !instance.granted) {
        return Err(fields::no_access());
    }
    let full = wanted().find(|instance| instance.users >= Quota::Access.limit());
    match full {
        Some(instance) => Err(fields::quota_reached(Quota::Access, instance.users)
            .with_detail("instance_id", instance.instance_id.as_str())),
        None => Ok(()),
    }
}

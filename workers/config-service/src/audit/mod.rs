//! `/audit`: who changed what, as a chain that can be verified.
//!
//! `list` reads pages, `verify` walks a chain, `checkpoint` seals the ends of all chains once a day. Out of scope:
//! writing entries, which only `mutate` does.

mod checkpoint;
pub(crate) mod list;
pub(crate) mod verify;
mod view;

use crate::fields;
use api_types::{AuthContext, OrgId, Role};
use auth::permission::{Operation, Target, permit};
use errors::{Error, Result};
use platform::Rows;
use store::control::audit::{ChainOf, Head, PLATFORM_CHAIN};
use store::control::organizations::OrganizationRow;

/// The chain that a query asks for; without `org_id` the caller's own.
///
/// # Errors
/// 400 `invalid_field`.
fn chain_of(org_id: Option<&str>) -> Result<ChainOf> {
    match org_id {
        None => Ok(ChainOf::Caller),
        Some(PLATFORM_CHAIN) => Ok(ChainOf::Platform),
        Some(text) => OrgId::parse(text)
            .map(ChainOf::Organization)
            .map_err(|error| Error::invalid_field("org_id", format!("{error}, or platform"))),
    }
}

/// The organization of a chain, to be read beside its head.
fn named(chain: &ChainOf) -> Option<&OrgId> {
    match chain {
        ChainOf::Organization(org_id) => Some(org_id),
        _ => None,
    }
}

/// Who may read a chain: administrators of its organization; the one of the platform is for superadmins. An organization
/// that was deleted still has its chain.
///
/// # Errors
/// 404, 403.
fn permit_chain(
    operation: &'static Operation,
    auth: &AuthContext,
    head: &Head,
    organization: &Rows,
) -> Result<()> {
    let org_id = if head.org_id == PLATFORM_CHAIN {
        // Of no organization, so the class alone would let any administrator in.
        if auth.role == Role::Admin {
            return Err(fields::role_required("superadmin"));
        }
        auth.org_id.clone()
    } else {
        let exists = head.seq > 0 || OrganizationRow::read(organization)?.is_some();
        let org_id = OrgId::parse(&head.org_id).ok().filter(|_| exists);
        Some(org_id.ok_or_else(fields::missing)?)
    };
    let target = Target {
        org_id,
        ..Target::default()
    };
    permit(operation, auth, &target)
}

//! Table `api_keys`: showing without hashes, minting, narrowing, rotating, revoking, and what using a key leaves behind.
//!
//! In scope: keys. Out of scope: sessions, which are rows of the same table (`sessions`); verifying (`resolve`).

mod bounds;
mod used;
mod view;
mod write;

pub use bounds::{Bounds, Grantable, bounds, grantable};
pub use used::{count_old_peppers, empty_ended, record_first_use, record_use, rehash};
pub use view::{KeyState, KeyView, ListFilter, by_id, edge, list};
pub use write::{
    Narrowed, NewKey, NewSecret, create, end_sessions, guard_active_project, guard_active_user,
    guard_secret, guard_version, narrow, replace_unused, revoke, revoke_of_project, revoke_of_user,
    rotate,
};

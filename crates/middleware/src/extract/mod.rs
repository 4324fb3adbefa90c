//! What handlers take from a request. Every refusal is an `errors::Error`, so it is rendered like all others.

mod caller;
mod conditions;
mod explain;
mod json;
mod object;
mod parameters;
pub(crate) mod strict;

pub(crate) use caller::MaybePresented;
pub use caller::{Caller, Presented, Props, RequestHints};
pub use conditions::{IdempotencyKey, IfMatch};
pub(crate) use json::{BodyCap, PreparedBody};
pub use json::{Json, parse_json, read_body};
pub use parameters::{Path, Query};

//! D1 `ledger` on the real migrations.
#![expect(
    clippy::unwrap_used,
    reason = "what is set up here is part of the tests that use it"
)]

mod flushes;
mod plans;
mod support;
mod upkeep;

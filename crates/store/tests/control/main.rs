//! D1 `control` on the real migrations.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod constraints;
mod instances;
mod parts;
mod people;
mod people_lists;
mod plans;
mod prices;
mod resolving;
mod schema;
mod support;
mod writes;

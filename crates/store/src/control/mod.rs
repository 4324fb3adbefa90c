//! D1 `control`: organizations, instances, people, keys, audit. config-service is its only user.
//!
//! In scope: statements and the rows they give, one file per table. Out of scope: decisions, secrets in the clear.
//! Reads and writes are both [`platform::Statement`]s, because the service puts them into one batch each.

pub mod access;
pub mod api_keys;
pub mod audit;
pub mod audit_trail;
pub mod checkpoints;
pub mod columns;
pub mod credentials;
pub mod deployments;
pub mod guard;
pub mod idempotency;
pub mod instances;
pub mod kek;
pub mod lifecycle;
pub mod organizations;
pub mod parts;
pub mod prices;
pub mod projects;
pub mod registry;
pub mod resolve;
pub mod sessions;
pub mod users;
pub mod walk;

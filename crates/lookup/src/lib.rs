#![doc = include_str!("../README.md")]

mod bounded;
mod cache;
mod choose;
#[cfg(feature = "fakes")]
pub mod fakes;
pub mod kv;
mod resolve;
mod source;

pub use cache::LookupCache;
pub use choose::{Choice, Hints, choose};
pub use resolve::{Lookup, Resolved};
pub use source::{
    ConfigSource, CredentialOutcome, CredentialReport, NoSource, SealedCredential, ServiceSource,
};

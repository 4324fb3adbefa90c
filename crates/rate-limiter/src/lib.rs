#![doc = include_str!("../README.md")]

mod acquire;
mod alarm;
mod client;
mod flush;
mod gate;
mod hold;
mod lease;
mod object;
mod outbox;
mod overdue;
mod places;
mod schema;
mod settle;
mod state;
mod tuning;
mod view;
pub mod window;

pub use client::LimiterClient;
pub use lease::{Attempt, Report, lease_key, lease_text};
pub use object::{FlushStatements, LimiterObject};
pub use state::{
    Applied, AttemptSource, Changes, CommandError, Identity, LimiterState, Meta, WindowEntry,
};
pub use tuning::Tuning;

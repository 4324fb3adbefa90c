#![doc = include_str!("../README.md")]

mod account;
mod call;
mod clock;
mod config;
mod contract;
mod control;
mod exchange;
mod fault;
mod files;
mod job;
mod journal;
mod ledger;
mod links;
mod listener;
mod picture;
mod scenario;
mod simulator;
mod vendor;
mod world;

pub use clock::RealClock;
pub use config::{ClockMode, SimConfig};
pub use journal::{Entry, Violation, ViolationKind};
pub use ledger::{Charge, Duplicates};
pub use simulator::Simulator;

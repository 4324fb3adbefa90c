#![doc = include_str!("../README.md")]

pub mod answer;
mod base62;
pub mod bootstrap;
pub mod chain;
pub mod checkpoint;
pub mod envelope;
pub mod hash;
pub mod key;
pub mod keyring;
pub mod permission;

#![doc = include_str!("../README.md")]

pub mod bench;
pub mod bootstrap;
pub mod browser;
pub mod check;
pub mod cli;
pub mod clock;
pub mod dev;
pub mod digest;
pub mod docs;
pub mod failure;
pub mod hold;
pub mod http;
pub mod interrupt;
pub mod layout;
pub mod linters;
pub mod openapi;
pub mod process;
pub mod procfs;
pub mod progress;
pub mod render;
pub mod say;
#[cfg(test)]
mod scratch;
pub mod secrets;
pub mod session;
pub mod setup;
pub mod stack;
pub mod test_run;
pub mod tidy;
pub mod versions;
pub mod wasm;
pub mod web;
pub mod workers;

#![doc = include_str!("../README.md")]

mod encoded;
mod entry;
mod event;
mod layer;
mod redact;
mod secrets;

pub use entry::Level;
pub use event::Event;
pub use layer::{dispatch, init};
pub use redact::{holds_credential, redact, redact_tokens, redact_tokens_value, redact_value};
pub use secrets::register_secret;

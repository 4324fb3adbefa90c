#![doc = include_str!("../README.md")]

mod deadline;
mod state;
mod view;

pub use deadline::{Deadline, HOLDER_MS, RENEW_MS, RUN_JOB_STYLE_MS};
pub use state::{Event, TRANSITIONS, Transition, follow};
pub use view::{eta_ms, final_error, newest, status_path, with_urls};

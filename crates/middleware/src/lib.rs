#![doc = include_str!("../README.md")]

mod app;
mod context;
mod extract;
mod layers;
mod routes;
mod state;
#[cfg(feature = "fakes")]
pub mod testing;

pub use app::App;
pub use context::Context;
pub use extract::{
    Caller, IdempotencyKey, IfMatch, Json, Path, Presented, Props, Query, RequestHints, parse_json,
    read_body,
};
pub use layers::cors::parse_origins;
pub use routes::{Guarded, RouteMark, Routes};
pub use state::AppState;

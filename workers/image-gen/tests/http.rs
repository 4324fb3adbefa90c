//! The worker on fakes: the real router, the real limiter objects, vendors played by the test.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what is set up here is part of the tests that use it"
)]

#[path = "http/answer.rs"]
mod answer;
#[path = "http/canary.rs"]
mod canary;
#[path = "http/cost.rs"]
mod cost;
#[path = "http/crash.rs"]
mod crash;
#[path = "http/credentials.rs"]
mod credentials;
#[path = "http/delivery.rs"]
mod delivery;
#[path = "http/fallback.rs"]
mod fallback;
#[path = "http/generate.rs"]
mod generate;
#[path = "http/handles.rs"]
mod handles;
#[path = "http/handover.rs"]
mod handover;
#[path = "http/idempotency.rs"]
mod idempotency;
#[path = "http/images.rs"]
mod images;
#[path = "http/jobs.rs"]
mod jobs;
#[path = "http/late.rs"]
mod late;
#[path = "http/marks.rs"]
mod marks;
#[path = "http/matrix.rs"]
mod matrix;
#[path = "http/money.rs"]
mod money;
#[path = "http/openai.rs"]
mod openai;
#[path = "http/outcomes.rs"]
mod outcomes;
#[path = "http/reconcile.rs"]
mod reconcile;
#[path = "http/refusals.rs"]
mod refusals;
#[path = "http/running.rs"]
mod running;
#[path = "http/sealed.rs"]
mod sealed;
#[path = "http/status_rows.rs"]
mod status_rows;
#[path = "http/status_table.rs"]
mod status_table;
#[path = "http/support.rs"]
mod support;
#[path = "http/vendors.rs"]
mod vendors;

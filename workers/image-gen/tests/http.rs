//! The worker on fakes: the real router, the real limiter objects, vendors played by the test.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what is set up here is part of the tests that use it"
)]

#[path = "http/crash.rs"]
mod crash;
#[path = "http/fallback.rs"]
mod fallback;
#[path = "http/generate.rs"]
mod generate;
#[path = "http/idempotency.rs"]
mod idempotency;
#[path = "http/images.rs"]
mod images;
#[path = "http/jobs.rs"]
mod jobs;
#[path = "http/openai.rs"]
mod openai;
#[path = "http/support.rs"]
mod support;
#[path = "http/vendors.rs"]
mod vendors;

//! Rings 0 and 1 of the limiter.

mod crash;
mod decision;
mod lease;
mod mirror;
mod support;
mod window;

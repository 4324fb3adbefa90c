//! Rings 0 and 1 of the limiter.

mod support;
mod window;

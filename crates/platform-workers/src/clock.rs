//! Time of the runtime.

use platform::Clock;
use std::future::Future;
use std::time::Duration;
use worker::Delay;
use worker::send::SendFuture;

/// `Date.now()` and `setTimeout`.
#[derive(Clone, Copy, Debug, Default)]
pub struct WorkerClock;

impl Clock for WorkerClock {
    fn now_ms(&self) -> i64 {
        js_sys::Date::now() as i64
    }

    fn sleep(&self, ms: u64) -> impl Future<Output = ()> + Send {
        // `setTimeout` takes a signed 32-bit number of milliseconds: 24 days.
        let ms = ms.min(i32::MAX as u64);
        SendFuture::new(Delay::from(Duration::from_millis(ms)))
    }
}

//! A bound on how long something may take.
//!
//! Pure: the timer is given. What runs out of time is dropped, and with it whatever it holds: a fetch is aborted.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// The timer was first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

/// The result of `work`, unless `timer` ends before it. When both are ready the result counts.
///
/// # Errors
/// [`Elapsed`]; then `work` was dropped unfinished.
pub async fn with_timeout<T>(
    work: impl Future<Output = T>,
    timer: impl Future<Output = ()>,
) -> Result<T, Elapsed> {
    let (mut work, mut timer) = (pin!(work), pin!(timer));
    poll_fn(|context| {
        if let Poll::Ready(done) = work.as_mut().poll(context) {
            return Poll::Ready(Ok(done));
        }
        timer.as_mut().poll(context).map(|()| Err(Elapsed))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::future::{pending, ready};
    use std::task::{Context, Waker};

    fn poll<T>(future: impl Future<Output = T>) -> Poll<T> {
        pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    /// Says when it is dropped, as a fetch that is aborted.
    struct Held<'a>(&'a Cell<bool>);

    impl Drop for Held<'_> {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }

    #[test]
    fn the_first_one_wins_and_the_loser_is_dropped() {
        assert_eq!(poll(with_timeout(ready(5), pending())), Poll::Ready(Ok(5)));
        assert_eq!(poll(with_timeout(ready(5), ready(()))), Poll::Ready(Ok(5)));
        assert_eq!(
            poll(with_timeout(pending::<()>(), pending())),
            Poll::Pending
        );
        let dropped = Cell::new(false);
        let work = async {
            let _held = Held(&dropped);
            pending::<()>().await;
        };
        assert_eq!(
            poll(with_timeout(work, ready(()))),
            Poll::Ready(Err(Elapsed))
        );
        assert!(dropped.get());
    }
}

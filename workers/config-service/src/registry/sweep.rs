//! Each minute: the workers that were checked longest ago.

use crate::abuse::AbuseGuard;
use crate::deps::Deps;
use errors::Result;
use futures_util::future::join_all;
use platform::{Database, Ports};
use store::control::registry::{self, WorkerRow};

/// Checks of one run.
const MAX_CHECKS: i64 = 50;
/// Checks at the same time.
const AT_ONCE: usize = 4;
/// Whoever was checked so lately is not due, in milliseconds: two runs that overlap do not count a failure twice.
const REST_MS: i64 = 30_000;

impl<P: Ports, G: AbuseGuard> Deps<P, G> {
    /// Checks those that are due, the oldest first. Gives how many.
    ///
    /// # Errors
    /// 503 when D1 does not answer.
    pub(crate) async fn check_workers(&self) -> Result<usize> {
        let before = self.now().plus_ms(-REST_MS);
        let rows = self
            .database
            .query(registry::due(before, MAX_CHECKS))
            .await?;
        let due = WorkerRow::read_all(&rows)?;
        let mut checked = 0;
        for some in due.chunks(AT_ONCE) {
            let checks = some.iter().map(|worker| self.check_worker(worker.clone()));
            for outcome in join_all(checks).await {
                outcome?;
                checked += 1;
            }
        }
        Ok(checked)
    }
}

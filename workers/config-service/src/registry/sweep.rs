//! Each minute: the workers that were checked longest ago, those of the platform first.
//!
//! An organization may register thousands. So the organizations take turns, and what they have takes nothing from the
//! platform.

use crate::abuse::AbuseGuard;
use crate::deps::Deps;
use errors::Result;
use futures_util::future::join_all;
use platform::{Database, Ports};
use store::control::registry::{self, WorkerRow};

/// Checks of one run.
const MAX_CHECKS: usize = 50;
/// Of these, how many are left for workers of organizations although more of the platform's are due.
const LEFT_FOR_OTHERS: usize = 10;
/// Of one organization, when the others have nothing due: they take turns.
const MAX_OF_ORGANIZATION: i64 = 50;
/// Checks at the same time.
const AT_ONCE: usize = 4;
/// Whoever was checked so lately is not due, in milliseconds: two runs that overlap do not count a failure twice.
const REST_MS: i64 = 30_000;

impl<P: Ports, G: AbuseGuard> Deps<P, G> {
    /// Checks those that are due. Gives how many.
    ///
    /// # Errors
    /// 503 when D1 does not answer.
    pub(crate) async fn check_workers(&self) -> Result<usize> {
        let before = self.now().plus_ms(-REST_MS);
        let most = MAX_CHECKS as i64;
        let reads = vec![
            registry::due_of_platform(before, most),
            registry::due_of_organizations(before, MAX_OF_ORGANIZATION, most),
        ];
        let mut due = Vec::new();
        for rows in self.database.batch(reads).await? {
            due.push(WorkerRow::read_all(&rows)?);
        }
        let others = due.pop().unwrap_or_default();
        let mut due = due.pop().unwrap_or_default();
        due.truncate(MAX_CHECKS - others.len().min(LEFT_FOR_OTHERS));
        due.extend(others);
        due.truncate(MAX_CHECKS);
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

//! Erasing previous keys whose time is over.

use crate::abuse::AbuseGuard;
use crate::deps::Deps;
use errors::Result;
use platform::{Database, Ports};
use store::control::credentials;

/// Keys erased in one run.
const MAX_ERASED: i64 = 500;

impl<P: Ports, G: AbuseGuard> Deps<P, G> {
    /// One run; answers how many were erased. They were not readable any more: this removes the bytes.
    ///
    /// # Errors
    /// What the database said.
    pub(crate) async fn erase_retired_keys(&self) -> Result<u64> {
        let retired = credentials::erase_retired(self.now(), MAX_ERASED);
        Ok(self.database.query(retired).await?.changes)
    }
}

//! What the minute's sweep does with keys: previous secrets whose time is over, sessions that ended long ago.

use crate::abuse::AbuseGuard;
use crate::deps::Deps;
use crate::sweep::Swept;
use api_types::Timestamp;
use platform::{Database, Ports};
use store::control::{api_keys, sessions};

/// Previous secrets emptied in one run.
const MAX_SECRETS: i64 = 500;
/// Ended sessions removed in one run.
const MAX_SESSIONS: i64 = 500;
/// Ended sessions are kept this long, in milliseconds: 30 days.
const KEEP_SESSIONS_MS: i64 = 30 * 86_400_000;

impl<P: Ports, G: AbuseGuard> Deps<P, G> {
    /// Two steps, each on its own.
    pub(crate) async fn sweep_keys(&self, now: Timestamp, swept: &mut Swept) {
        let ended = api_keys::empty_ended(now, MAX_SECRETS);
        match self.database.query(ended).await {
            Ok(rows) => swept.emptied_secrets = rows.changes,
            Err(error) => swept.fail("previous_secrets", &error.into()),
        }
        let ended = sessions::delete_ended(now.plus_ms(-KEEP_SESSIONS_MS), MAX_SESSIONS);
        match self.database.query(ended).await {
            Ok(rows) => swept.removed_sessions = rows.changes,
            Err(error) => swept.fail("sessions", &error.into()),
        }
    }
}

//! Who calls, within the read batch of the handler: one round trip for the caller and what the handler needs.
//!
//! 1. A blocked address is refused without I/O (429).
//! 2. One D1 batch.
//! 3. The key is verified; failures are counted (401, 429).
//! 4. A first use is recorded before the answer; later uses, a new hash: in the background.

use crate::abuse::{self, AbuseGuard};
use crate::deps::Deps;
use crate::principal::{Verified, verify};
use api_types::{AuthContext, InstanceId, KeyId, Timestamp};
use auth::key::PresentedKey;
use errors::{Error, Result};
use platform::{Background, Database, Ports, Rows, Statement};
use store::control::api_keys;
use store::control::resolve::{KeyRow, key};

/// A verified caller, and the results of the handler's own statements.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    /// Who calls.
    pub auth: AuthContext,
    /// One result for each of the handler's statements.
    pub rows: Vec<Rows>,
}

impl Read {
    /// The result of one statement.
    pub(crate) fn rows(&self, index: usize) -> Rows {
        self.rows.get(index).cloned().unwrap_or_default()
    }
}

impl<P: Ports, G: AbuseGuard> Deps<P, G> {
    /// Reads caller and statements in one batch. With `hint` the caller's choices are narrowed to that instance.
    ///
    /// # Errors
    /// 401 `auth_failed`, 429 `too_many_auth_failures`, 503 `database_unavailable`, 500.
    pub(crate) async fn read_as(
        &self,
        presented: &PresentedKey,
        client_ip: Option<&str>,
        hint: Option<&InstanceId>,
        statements: Vec<Statement>,
    ) -> Result<Read> {
        let now = self.now();
        abuse::check(&self.memory, client_ip, now)?;
        let peppers = self.settings.peppers()?;
        let mut batch = vec![key(&presented.key_id, hint)];
        batch.extend(statements);
        let mut rows = self.read(batch).await?;
        let own = if rows.is_empty() {
            Rows::default()
        } else {
            rows.remove(0)
        };
        match verify(KeyRow::read(&own)?, presented, peppers, now)? {
            Ok(verified) => {
                self.leave_traces(&presented.key_id, &verified, now).await?;
                Ok(Read {
                    auth: verified.auth,
                    rows,
                })
            }
            Err(refusal) => Err(abuse::failed(
                &self.guard,
                &self.memory,
                &presented.key_id,
                client_ip,
                now,
                Error::from(refusal),
            )
            .await),
        }
    }

    async fn leave_traces(
        &self,
        key_id: &KeyId,
        verified: &Verified,
        now: Timestamp,
    ) -> Result<()> {
        if verified.first_use {
            self.database
                .query(api_keys::record_first_use(key_id, now))
                .await?;
        }
        let mut later = Vec::new();
        if verified.touch && !verified.first_use {
            later.push(api_keys::record_use(key_id, now));
        }
        if let Some((old, new, pepper_id)) = &verified.rehash {
            later.push(api_keys::rehash(key_id, old, new, pepper_id));
        }
        if !later.is_empty() {
            let database = self.database.clone();
            self.background.spawn(async move {
                if let Err(error) = database.batch(later).await {
                    tracing::warn!(error = %error, "the use of a key was not recorded");
                }
            });
        }
        Ok(())
    }
}

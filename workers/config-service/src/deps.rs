//! What every handler of this worker has.

use crate::abuse::AbuseGuard;
use crate::memory::Memory;
use crate::settings::Settings;
use api_types::Timestamp;
use errors::{Error, Result};
use lookup::NoSource;
use middleware::AppState;
use platform::{Clock, Database, DbErrorKind, Ops, Ports, Rows, Statement, new_uuid};
use std::sync::Arc;

/// The dependencies, made for each event; `settings` and `memory` are the isolate's.
#[derive(Debug)]
pub struct Deps<P: Ports, G> {
    /// Time.
    pub clock: P::Clock,
    /// Randomness.
    pub random: P::Random,
    /// D1 `control`.
    pub database: P::Database,
    /// KV `CONFIG`; this worker alone writes it.
    pub kv: P::Kv,
    /// The outside: the health of registered workers.
    pub http: P::Http,
    /// image-gen, which knows what runs; `None` where it is not bound.
    pub image_gen: Option<P::Service>,
    /// After the answer.
    pub background: P::Background,
    /// Counts wrong keys.
    pub guard: G,
    /// Vars and secrets.
    pub settings: Arc<Settings>,
    /// What the isolate remembers.
    pub memory: Arc<Memory>,
    /// The event's counter.
    pub ops: Ops,
    /// Version of this deployment as the platform names it; `None` locally.
    pub version_id: Option<String>,
    /// Whether log lines are sent to telemetry.
    pub has_log_sink: bool,
}

impl<P: Ports, G: Clone> Clone for Deps<P, G> {
    fn clone(&self) -> Self {
        Self {
            clock: self.clock.clone(),
            random: self.random.clone(),
            database: self.database.clone(),
            kv: self.kv.clone(),
            http: self.http.clone(),
            image_gen: self.image_gen.clone(),
            background: self.background.clone(),
            guard: self.guard.clone(),
            settings: Arc::clone(&self.settings),
            memory: Arc::clone(&self.memory),
            ops: self.ops.clone(),
            version_id: self.version_id.clone(),
            has_log_sink: self.has_log_sink,
        }
    }
}

impl<P: Ports, G: AbuseGuard> Deps<P, G> {
    /// Now.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.clock.now_ms())
    }

    /// A new id of any UUID kind.
    ///
    /// # Errors
    /// None in practice: a made UUID is one.
    pub fn new_id<T: TryFrom<String>>(&self) -> Result<T> {
        T::try_from(new_uuid(&self.clock, &self.random))
            .map_err(|_| Error::internal("a made id is not of its form"))
    }

    /// Reads a batch; a database that does not answer is asked once more.
    ///
    /// # Errors
    /// 503 `database_unavailable`, 500.
    pub async fn read(&self, statements: Vec<Statement>) -> Result<Vec<Rows>> {
        match self.database.batch(statements.clone()).await {
            Err(error) if error.kind == DbErrorKind::Unavailable => {
                self.clock.sleep(20).await;
                Ok(self.database.batch(statements).await?)
            }
            other => Ok(other?),
        }
    }
}

impl<P: Ports, G: AbuseGuard> AppState for Deps<P, G> {
    type Ports = P;
    type Source = NoSource;

    fn service(&self) -> &'static str {
        "config-service"
    }

    fn clock(&self) -> &P::Clock {
        &self.clock
    }

    fn random(&self) -> &P::Random {
        &self.random
    }

    fn ops(&self) -> Ops {
        self.ops.clone()
    }

    fn allowed_origins(&self) -> &[String] {
        &self.settings.allowed_origins
    }
}

//! The object itself: commands in, alarm, wake-ups, one transaction per command.
//!
//! In scope: parsing, committing, arming the alarm. Out of scope: decisions (`LimiterState`), bringing rows to the
//! ledger (module `flush`), the platform's object class (worker `admission`).
//!
//! Invariant: memory is borrowed only between two awaits, never across one, so that commands that arrive meanwhile find
//! a whole state.

use crate::Tuning;
use crate::alarm::AlarmGuard;
use crate::schema::{self, Source};
use crate::state::{Applied, Changes, CommandError, LimiterState};
use api_types::{
    Acquire, JobMessage, LIMITER_VERSION, LimiterRefusal, OutboxRow, Release, Renew, Settle,
    StateQuery, Submitted, SweepReply, Take,
};
use errors::Code;
use platform::{
    ActorReply, ActorStorage, Clock, Database, MessageQueue, PortError, Random, Statement,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};

/// Makes the ledger's statements for rows of the outbox (`store::ledger::flush`).
pub type FlushStatements = fn(&[OutboxRow]) -> Vec<Statement>;

/// Overdue rows handled in one transaction.
const OVERDUE_ROWS: usize = 100;
/// Such transactions in one alarm.
const OVERDUE_ROUNDS: u32 = 20;
/// Rows removed in one alarm.
const PRUNE_ROWS: u32 = 5_000;
/// Rows are removed at most so often, in milliseconds.
const PRUNE_EVERY_MS: i64 = 60_000;
/// An alarm that should have rung that long ago is set again, in milliseconds.
const ALARM_LOST_MS: i64 = 10_000;

/// `take` on the wire.
#[derive(Deserialize)]
struct TakeBody {
    #[serde(flatten)]
    take: Take,
    #[serde(default)]
    taker: String,
}

/// What is known of the platform's one alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Armed {
    /// Not asked yet.
    Unread,
    /// There is none.
    Off,
    /// It rings then.
    At(i64),
}

/// A command that was executed: its answer and what follows from it.
struct Done {
    body: String,
    wakes: Vec<JobMessage>,
}

/// One limiter object over its ports.
pub struct LimiterObject<S, D, Q, C, R> {
    pub(crate) storage: S,
    pub(crate) database: D,
    queue: Q,
    pub(crate) clock: C,
    random: R,
    pub(crate) statements: FlushStatements,
    tuning: Tuning,
    state: RefCell<Option<LimiterState>>,
    armed: Cell<Armed>,
    guard: RefCell<AlarmGuard>,
    /// When the flush under way began; another one waits for it.
    pub(crate) flushing_ms: Cell<Option<i64>>,
}

impl<S, D, Q, C, R> LimiterObject<S, D, Q, C, R>
where
    S: ActorStorage,
    D: Database,
    Q: MessageQueue,
    C: Clock,
    R: Random,
{
    /// An object that has not read its storage yet.
    pub fn new(
        storage: S,
        database: D,
        queue: Q,
        clock: C,
        random: R,
        statements: FlushStatements,
        tuning: Tuning,
    ) -> Self {
        Self {
            storage,
            database,
            queue,
            clock,
            random,
            statements,
            tuning,
            state: RefCell::new(None),
            armed: Cell::new(Armed::Unread),
            guard: RefCell::new(AlarmGuard::default()),
            flushing_ms: Cell::new(None),
        }
    }

    /// Executes `POST /v1/{command}`: 1. parse (400). 2. decide. 3. write (500). 4. arm the alarm. 5. wake. 6. answer.
    pub async fn handle(&self, command: &str, body: &str) -> ActorReply {
        self.read_alarm().await;
        if command == "sweep" {
            return self.sweep().await;
        }
        match self.execute(command, body) {
            Ok(done) => {
                self.arm().await;
                self.send(done.wakes).await;
                ActorReply {
                    status: 200,
                    body: done.body,
                }
            }
            Err(error) => refusal(command, error),
        }
    }

    /// The alarm: overdue rows, then the outbox, then old rows; armed again whatever happened.
    pub async fn alarm(&self) {
        self.armed.set(Armed::Off);
        let now_ms = self.clock.now_ms();
        self.guard.borrow_mut().rang(now_ms);
        let worked = self
            .expire()
            .await
            .and(self.flush().await)
            .and_then(|_| self.prune());
        if let Err(error) = &worked {
            tracing::error!(%error, "alarm failed");
        }
        self.guard.borrow_mut().done(worked.is_ok());
        self.arm().await;
    }

    /// Does what the alarm would do now; for the cron that finds lost alarms.
    async fn sweep(&self) -> ActorReply {
        let dispatched = self.expire().await;
        let flushed = self.flush().await;
        // Asked for anew: the alarm may have been lost.
        self.armed.set(Armed::Unread);
        self.arm().await;
        match (dispatched, flushed) {
            (Ok(dispatched), Ok(flushed)) => ActorReply {
                status: 200,
                body: crate::state::json(&SweepReply {
                    dispatched,
                    flushed,
                }),
            },
            (Err(error), _) | (_, Err(error)) => refusal("sweep", error.into()),
        }
    }

    fn execute(&self, command: &str, body: &str) -> Result<Done, CommandError> {
        let random = self.random.next_u64();
        let source = Source(&self.storage);
        match command {
            "acquire" => {
                let command: Acquire = parse(body)?;
                self.commit(|state, now_ms| state.acquire(&source, &command, now_ms, random))
            }
            "submitted" => {
                let command: Submitted = parse(body)?;
                self.commit(|state, now_ms| state.submitted(&source, &command, now_ms))
            }
            "renew" => {
                let command: Renew = parse(body)?;
                self.commit(|state, now_ms| state.renew(&source, &command, now_ms))
            }
            "settle" => {
                let command: Settle = parse(body)?;
                self.commit(|state, now_ms| state.settle(&source, &command, now_ms, random))
            }
            "release" => {
                let command: Release = parse(body)?;
                self.commit(|state, now_ms| state.release(&source, &command, now_ms, random))
            }
            "take" => {
                let command: TakeBody = parse(body)?;
                self.commit(|state, now_ms| {
                    state.take(&source, &command.take, &command.taker, now_ms, random)
                })
            }
            "state" => {
                let query: StateQuery = parse(body)?;
                let alarm_ms = match self.armed.get() {
                    Armed::At(at_ms) => Some(at_ms),
                    Armed::Unread | Armed::Off => None,
                };
                self.commit(|state, now_ms| {
                    let reply = state.query(&source, &query, now_ms, alarm_ms)?;
                    Ok((reply, Changes::default()))
                })
            }
            other => Err(CommandError::Refused(
                Code::NotFound,
                format!("no command {other}"),
            )),
        }
    }

    /// Decides on the memory and writes the changes in one transaction. When reading or writing fails, the memory no
    /// longer mirrors the tables and is dropped.
    pub(crate) fn apply<T>(
        &self,
        decide: impl FnOnce(&mut LimiterState, i64) -> Applied<T>,
    ) -> Result<(T, Vec<JobMessage>), CommandError> {
        let now_ms = self.clock.now_ms();
        // Taken out while it decides: a panic in between leaves no half-changed memory, the tables are read again.
        let mut state = match self.state.take() {
            Some(state) => state,
            None => self.load(now_ms)?,
        };
        let written = decide(&mut state, now_ms).and_then(|(reply, changes)| {
            if !changes.is_empty() {
                self.storage
                    .transaction(|| schema::write(&self.storage, &changes))?;
            }
            Ok((reply, changes.wakes))
        });
        if !matches!(&written, Err(CommandError::Port(_))) {
            self.state.replace(Some(state));
        }
        written
    }

    fn commit<T: Serialize>(
        &self,
        decide: impl FnOnce(&mut LimiterState, i64) -> Applied<T>,
    ) -> Result<Done, CommandError> {
        let (reply, wakes) = self.apply(decide)?;
        Ok(Done {
            body: crate::state::json(&reply),
            wakes,
        })
    }

    fn load(&self, now_ms: i64) -> Result<LimiterState, PortError> {
        schema::create(&self.storage)?;
        schema::load(&self.storage, self.tuning.clone(), now_ms)
    }

    /// Rows whose deadline is over; the number of wake-ups.
    async fn expire(&self) -> Result<u32, PortError> {
        let mut dispatched = 0;
        for _ in 0..OVERDUE_ROUNDS {
            let random = self.random.next_u64();
            let source = Source(&self.storage);
            let applied = self.apply(|state, now_ms| {
                let changes = state.expire(&source, now_ms, OVERDUE_ROWS, random)?;
                Ok((changes.rows.len(), changes))
            });
            let (rows, wakes) = match applied {
                Ok(done) => done,
                Err(CommandError::Port(error)) => return Err(error),
                Err(CommandError::Refused(_, message)) => {
                    // Memory and tables differ: read them again.
                    *self.state.borrow_mut() = None;
                    return Err(PortError::new("actor", message));
                }
            };
            dispatched += u32::try_from(wakes.len()).unwrap_or(u32::MAX);
            self.send(wakes).await;
            if rows < OVERDUE_ROWS {
                break;
            }
        }
        Ok(dispatched)
    }

    /// Removes rows that ended long ago.
    fn prune(&self) -> Result<(), PortError> {
        let applied = self.apply(|state, now_ms| {
            if state.prune_ms.is_some_and(|at_ms| at_ms <= now_ms) {
                schema::prune(&self.storage, now_ms - state.keep_ms(), PRUNE_ROWS)?;
                let oldest_ms = schema::oldest_settled(&self.storage)?;
                state.prune_ms = oldest_ms
                    .map(|settled_ms| (settled_ms + state.keep_ms()).max(now_ms + PRUNE_EVERY_MS));
            }
            Ok(((), Changes::default()))
        });
        match applied {
            Ok(_) => Ok(()),
            Err(CommandError::Port(error)) => Err(error),
            Err(CommandError::Refused(_, message)) => Err(PortError::new("actor", message)),
        }
    }

    /// Sends wake-ups. A lost one changes nothing: the row's next deadline repeats it.
    async fn send(&self, wakes: Vec<JobMessage>) {
        for wake in wakes {
            if let Err(error) = self.queue.send(&crate::state::json(&wake)).await {
                tracing::warn!(%error, lease_id = %wake.lease_id, "wake-up not sent");
            }
        }
    }

    /// Asks the platform for the alarm, once in the life of this memory.
    async fn read_alarm(&self) {
        if self.armed.get() != Armed::Unread {
            return;
        }
        match self.storage.get_alarm().await {
            Ok(at_ms) if self.armed.get() == Armed::Unread => {
                self.armed.set(at_ms.map_or(Armed::Off, Armed::At));
            }
            // Another event has set it meanwhile.
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "alarm not read"),
        }
    }

    /// Sets the alarm if it would ring too late, or not at all.
    async fn arm(&self) {
        self.read_alarm().await;
        let now_ms = self.clock.now_ms();
        // An object whose storage cannot be read is tried again later.
        let wanted_ms = match self.next_ms(now_ms) {
            Ok(None) => return,
            Ok(Some(at_ms)) => at_ms,
            Err(error) => {
                tracing::error!(%error, "storage not read");
                now_ms
            }
        };
        let at_ms = self.guard.borrow_mut().allowed(wanted_ms, now_ms);
        match self.armed.get() {
            Armed::At(known_ms) if known_ms <= at_ms && now_ms - known_ms < ALARM_LOST_MS => {
                return;
            }
            _ => {}
        }
        self.armed.set(Armed::At(at_ms));
        if let Err(error) = self.storage.set_alarm(at_ms).await {
            tracing::error!(%error, "alarm not set");
            self.armed.set(Armed::Unread);
        }
    }

    fn next_ms(&self, now_ms: i64) -> Result<Option<i64>, PortError> {
        let mut slot = self.state.borrow_mut();
        let state = match slot.as_mut() {
            Some(state) => state,
            None => slot.insert(self.load(now_ms)?),
        };
        let next_ms = state.next_alarm_ms();
        // A flush under way is not started a second time.
        Ok(match self.flushing_ms.get() {
            Some(_) => next_ms.map(|at_ms| at_ms.max(now_ms + crate::flush::UNDER_WAY_MS)),
            None => next_ms,
        })
    }
}

fn parse<T: DeserializeOwned>(body: &str) -> Result<T, CommandError> {
    /// Version of the commands; absent in none.
    #[derive(Deserialize)]
    struct Versioned {
        #[serde(default = "current")]
        v: u32,
    }
    fn current() -> u32 {
        LIMITER_VERSION
    }
    let invalid =
        |error: serde_json::Error| CommandError::Refused(Code::InvalidRequest, error.to_string());
    let versioned: Versioned = serde_json::from_str(body).map_err(invalid)?;
    if versioned.v != LIMITER_VERSION {
        return Err(CommandError::Refused(
            Code::InvalidRequest,
            "unknown version".to_owned(),
        ));
    }
    serde_json::from_str(body).map_err(invalid)
}

fn refusal(command: &str, error: CommandError) -> ActorReply {
    let (code, message) = match error {
        CommandError::Refused(code, message) => (code, message),
        CommandError::Port(error) => {
            tracing::error!(command, %error, "command failed");
            (Code::InternalError, "storage failed".to_owned())
        }
    };
    ActorReply {
        status: code.status(),
        body: crate::state::json(&LimiterRefusal {
            error: code,
            message,
        }),
    }
}

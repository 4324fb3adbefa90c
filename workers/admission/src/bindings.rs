//! Names of bindings and variables, and what is made from them. The only file that knows them.

use crate::Storage;
use crate::deps::{Deps, Health};
use platform::{Ops, PortError};
use platform_workers::{
    ConsoleLevel, WorkerClock, WorkerDatabase, WorkerPorts, WorkerQueue, WorkerRandom, console_log,
    var, version_id,
};
use rate_limiter::{LimiterObject, Tuning};
use worker::{Context, Env, State};

/// D1 `ledger`, written through `store`.
const DATABASE: &str = "DB";
/// The queue of wake-ups.
const QUEUE: &str = "JOBS";
/// What a deployment tells of its version.
const VERSION: &str = "VERSION_METADATA";
/// The class that this worker hosts.
pub(crate) const LIMITERS: &str = "RATE_LIMITER";

/// The limiter object over the ports of Workers.
pub(crate) type Limiter =
    LimiterObject<Storage, WorkerDatabase, WorkerQueue, WorkerClock, WorkerRandom>;

/// Log lines go to the console, from where the platform takes them.
pub(crate) fn start_logging(env: &Env) {
    let level = var(env, "LOG_LEVEL");
    logging::init(
        "admission",
        level.as_deref(),
        WorkerClock,
        WorkerRandom,
        |level, line| {
            let level = match level {
                logging::Level::Debug => ConsoleLevel::Debug,
                logging::Level::Info => ConsoleLevel::Info,
                logging::Level::Warn => ConsoleLevel::Warn,
                logging::Level::Error => ConsoleLevel::Error,
            };
            console_log(level, line);
        },
    );
}

/// The dependencies of a fetch event.
pub(crate) fn deps(env: &Env, context: &Context) -> Deps<WorkerPorts> {
    let ops = Ops::default();
    let ports = WorkerPorts::of_event(env, context, ops.clone());
    Deps {
        clock: ports.clock(),
        random: ports.random(),
        ops,
        health: Health {
            git_sha: var(env, "GIT_SHA").unwrap_or_else(|| "unknown".to_owned()),
            version_id: version_id(env, VERSION),
            bindings: [
                (DATABASE, ports.database(DATABASE).is_ok()),
                (QUEUE, ports.queue(QUEUE).is_ok()),
                (LIMITERS, ports.actors(LIMITERS).is_ok()),
            ]
            .into(),
        },
    }
}

/// The object behind one Durable Object. Fails when a binding is absent.
pub(crate) fn limiter(state: &State, env: &Env) -> Result<Limiter, PortError> {
    let ports = WorkerPorts::of_object(env, state, Ops::default());
    let environment = var(env, "ENVIRONMENT").unwrap_or_else(|| "production".to_owned());
    Ok(LimiterObject::new(
        Storage::new(state)?,
        ports.database(DATABASE)?,
        ports.queue(QUEUE)?,
        ports.clock(),
        ports.random(),
        store::ledger::flush,
        Tuning::from_vars(&environment, |name| var(env, name)),
    ))
}

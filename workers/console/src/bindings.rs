//! The one place that names bindings and vars: `Env` -> `Deps`.

use crate::gateway::{Gateway, PROBE, WORKERS};
use crate::state::{Deps, Upstream};
use logging::Level;
use platform::Ops;
use platform_workers::{ConsoleLevel, WorkerPorts, console_log, var};
use worker::{Context, Env};

/// Dependencies of one event; also makes the log of the isolate.
pub(crate) fn deps(env: &Env, context: &Context) -> Deps<WorkerPorts> {
    let ports = WorkerPorts::of_event(env, context, Ops::default());
    logging::init(
        "console",
        var(env, "LOG_LEVEL").as_deref(),
        ports.clock(),
        ports.random(),
        |level, line| console_log(console_level(level), line),
    );
    let environment = var(env, "ENVIRONMENT").unwrap_or_else(|| "production".to_owned());
    let upstreams: Vec<_> = WORKERS
        .iter()
        .map(|target| Upstream {
            worker: target.worker,
            binding: target.binding,
            service: ports.service(target.binding).ok(),
        })
        .collect();
    Deps {
        clock: ports.clock(),
        random: ports.random(),
        ops: ports.ops(),
        upstreams,
        gateway: Gateway {
            local: matches!(environment.as_str(), "local" | "test"),
            probe: environment == "test" && ports.service(PROBE.binding).is_ok(),
        },
        git_sha: var(env, "GIT_SHA").unwrap_or_else(|| "unknown".to_owned()),
    }
}

const fn console_level(level: Level) -> ConsoleLevel {
    match level {
        Level::Debug => ConsoleLevel::Debug,
        Level::Info => ConsoleLevel::Info,
        Level::Warn => ConsoleLevel::Warn,
        Level::Error => ConsoleLevel::Error,
    }
}

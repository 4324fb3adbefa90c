//! The one place that names bindings and vars: `Env` -> `Deps`.

use crate::gateway::{Gateway, PROBE};
use crate::state::{Deps, upstreams};
use crate::{assets, registry};
use logging::Level;
use middleware::parse_origins;
use platform::Ops;
use platform_workers::{ConsoleLevel, WorkerPorts, console_log, var};
use std::collections::BTreeSet;
use worker::js_sys::Object;
use worker::wasm_bindgen::JsCast;
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
    let bindings = names(env);
    let upstreams = upstreams(&bindings, |binding| ports.service(binding).ok());
    Deps {
        clock: ports.clock(),
        random: ports.random(),
        ops: ports.ops(),
        upstreams,
        assets: ports.service(assets::BINDING).ok(),
        gateway: Gateway {
            local: matches!(environment.as_str(), "local" | "test"),
            probe: environment == "test" && ports.service(PROBE.binding).is_ok(),
            public_origins: listed(env, "PUBLIC_ORIGINS", parse_origins),
            worker_hosts: listed(env, "WORKER_HOSTS", registry::parse_hosts),
            bindings,
        },
        known: registry::of_isolate(),
        environment,
        simulator: var(env, "SIMULATOR").as_deref() == Some("on"),
        git_sha: var(env, "GIT_SHA").unwrap_or_else(|| "unknown".to_owned()),
    }
}

/// The entries of a variable that holds a list; one bad entry and none is used.
fn listed(
    env: &Env,
    name: &str,
    parse: impl Fn(&str) -> Result<Vec<String>, String>,
) -> Vec<String> {
    parse(&var(env, name).unwrap_or_default()).unwrap_or_else(|entry| {
        tracing::error!(
            name,
            entry,
            "a list holds what may not be in it; none of it is used"
        );
        Vec::new()
    })
}

/// Names of everything that is bound.
fn names(env: &Env) -> BTreeSet<String> {
    let names = Object::keys(env.unchecked_ref::<Object>());
    names.iter().filter_map(|name| name.as_string()).collect()
}

const fn console_level(level: Level) -> ConsoleLevel {
    match level {
        Level::Debug => ConsoleLevel::Debug,
        Level::Info => ConsoleLevel::Info,
        Level::Warn => ConsoleLevel::Warn,
        Level::Error => ConsoleLevel::Error,
    }
}

//! The one place that names bindings, vars and secrets: `Env` -> `Deps`.

use crate::abuse::AbuseGuard;
use crate::deps::Deps;
use crate::memory::Memory;
use crate::settings::Settings;
use platform::{Ops, PortError};
use platform_workers::{ConsoleLevel, WorkerPorts, console_log, secret, var, version_id};
use std::sync::{Arc, OnceLock};
use worker::js_sys::Object;
use worker::send::SendFuture;
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::{Env, RateLimiter};

/// D1 `control`.
const DATABASE: &str = "DB";
/// KV of configurations.
const CONFIG: &str = "CONFIG";
/// Counts wrong keys.
const AUTH_GUARD: &str = "AUTH_GUARD";
/// image-gen, asked for running work; optional.
const IMAGE_GEN: &str = "IMAGE_GEN";
/// The sink of log lines; optional.
const LOG_SINK: &str = "LOG_SINK";
/// Which version of the worker this is; a laptop has none.
const VERSION: &str = "VERSION_METADATA";

/// The rate-limit binding; without it nothing is counted.
#[derive(Clone, Debug)]
pub(crate) struct RateLimitGuard(Option<Arc<RateLimiter>>);

impl AbuseGuard for RateLimitGuard {
    fn is_bound(&self) -> bool {
        self.0.is_some()
    }

    async fn admit(&self, key: &str) -> bool {
        let Some(limiter) = self.0.clone() else {
            return true;
        };
        let key = key.to_owned();
        match SendFuture::new(async move { limiter.limit(key).await }).await {
            Ok(outcome) => outcome.success,
            // A shield that fails must not lock anybody out.
            Err(error) => {
                tracing::warn!(error = %error, "AUTH_GUARD does not answer");
                true
            }
        }
    }
}

/// Vars and secrets do not change while an isolate lives.
static SETTINGS: OnceLock<Arc<Settings>> = OnceLock::new();
static MEMORY: OnceLock<Arc<Memory>> = OnceLock::new();

fn settings(env: &Env) -> Arc<Settings> {
    let read = || {
        let keys = Object::keys(env.unchecked_ref::<Object>());
        let names: Vec<String> = keys.iter().filter_map(|name| name.as_string()).collect();
        Arc::new(Settings::read(&names, |name| secret(env, name)))
    };
    Arc::clone(SETTINGS.get_or_init(read))
}

/// The dependencies of one event. Fails when `DB` or `CONFIG` is absent.
pub(crate) fn deps(
    env: &Env,
    ports: &WorkerPorts,
) -> Result<Deps<WorkerPorts, RateLimitGuard>, PortError> {
    logging::init(
        "config-service",
        var(env, "LOG_LEVEL").as_deref(),
        ports.clock(),
        ports.random(),
        |level, line| console_log(console_level(level), line),
    );
    Ok(Deps {
        clock: ports.clock(),
        random: ports.random(),
        database: ports.database(DATABASE)?,
        kv: ports.kv(CONFIG)?,
        http: ports.http(),
        image_gen: ports.service(IMAGE_GEN).ok(),
        background: ports.background(),
        guard: RateLimitGuard(env.rate_limiter(AUTH_GUARD).ok().map(Arc::new)),
        settings: settings(env),
        memory: Arc::clone(MEMORY.get_or_init(Arc::default)),
        ops: ports.ops(),
        version_id: version_id(env, VERSION),
        has_log_sink: ports.service(LOG_SINK).is_ok(),
    })
}

/// The ports of an event that has no `waitUntil` of its own: nothing may be left for after it.
pub(crate) fn ports_of_cron(env: &Env) -> WorkerPorts {
    WorkerPorts::of_context(env, JsValue::UNDEFINED, Ops::default())
}

const fn console_level(level: logging::Level) -> ConsoleLevel {
    match level {
        logging::Level::Debug => ConsoleLevel::Debug,
        logging::Level::Info => ConsoleLevel::Info,
        logging::Level::Warn => ConsoleLevel::Warn,
        logging::Level::Error => ConsoleLevel::Error,
    }
}

//! The one place that names bindings, vars and secrets: `Env` -> `Deps`.

use crate::deps::{Deps, Parts, Settings};
use crate::keyring::keyring;
use crate::memory::Memory;
use api_types::Secret;
use auth::envelope::Keks;
use errors::{Error, Result};
use lookup::{Lookup, LookupCache, ServiceSource};
use platform::Ops;
use platform_workers::{ConsoleLevel, WorkerPorts, console_log, secret, var, version_id};
use r2_manager::{CdnKind, SigningKeys, UrlForms};
use serde_json::{Map, Value};
use std::sync::{Arc, OnceLock};
use worker::Env;
use worker::js_sys::Object;
use worker::wasm_bindgen::{JsCast, JsValue};

static CACHE: OnceLock<Arc<LookupCache>> = OnceLock::new();
static MEMORY: OnceLock<Arc<Memory>> = OnceLock::new();

/// The dependencies of one event. Fails when a binding, var or secret is absent.
pub(crate) fn deps(env: &Env, ports: &WorkerPorts) -> Result<Deps<WorkerPorts>> {
    start_logging(env, ports);
    let source = ServiceSource::new(ports.service("CONFIG_SERVICE").map_err(missing)?);
    let lookup = Lookup::new(
        Arc::clone(CACHE.get_or_init(Arc::default)),
        source,
        ports.kv("CONFIG").map_err(missing)?,
        ports.clock(),
        ports.random(),
        ports.background(),
    );
    Ok(Deps::new(Parts {
        clock: ports.clock(),
        random: ports.random(),
        ops: ports.ops(),
        database: ports.database("DB").map_err(missing)?,
        limiter: ports.actors("RATE_LIMITER").map_err(missing)?,
        buckets: buckets(env, ports)?,
        http: ports.http(),
        background: ports.background(),
        lookup,
        keks: keks(env)?,
        forms: forms(env)?,
        settings: Settings {
            version_id: version_id(env, "VERSION_METADATA"),
            ..Settings::from_vars(|name| var(env, name))
        },
        memory: Arc::clone(MEMORY.get_or_init(Arc::default)),
    }))
}

/// The names of all bindings, variables and secrets that [`deps`] needs and that are absent or malformed.
pub(crate) fn missing_parts(env: &Env, ports: &WorkerPorts) -> Vec<String> {
    let r2 = needed(env, "R2_BUCKETS")
        .and_then(|text| serde_json::from_str::<Map<String, Value>>(&text).map_err(missing));
    let parts = [
        ("CONFIG_SERVICE", ports.service("CONFIG_SERVICE").is_ok()),
        ("CONFIG", ports.kv("CONFIG").is_ok()),
        ("DB", ports.database("DB").is_ok()),
        ("RATE_LIMITER", ports.actors("RATE_LIMITER").is_ok()),
        ("R2_BUCKETS", r2.is_ok()),
        ("KEK_CURRENT, KEK_<id>", keks(env).is_ok()),
        ("PUBLIC_BASE_URL", var(env, "PUBLIC_BASE_URL").is_some()),
        (
            "URL_SIGNING_KEYS",
            secret(env, "URL_SIGNING_KEYS")
                .is_some_and(|keys| SigningKeys::parse(&Secret::new(keys)).is_ok()),
        ),
        (
            "CDN_KIND",
            var(env, "CDN_KIND").is_none_or(|kind| CdnKind::parse(&kind).is_some()),
        ),
    ];
    let absent = parts.into_iter().filter(|(_, there)| !there);
    let mut names: Vec<String> = absent.map(|(name, _)| name.to_owned()).collect();
    for binding in r2.iter().flat_map(Map::values) {
        let name = binding.as_str().unwrap_or_default();
        if ports.objects(name).is_err() {
            names.push(name.to_owned());
        }
    }
    names
}

/// The ports of an event that has no `waitUntil` of its own: nothing may be left for after it.
pub(crate) fn ports_of_cron(env: &Env) -> WorkerPorts {
    WorkerPorts::of_context(env, JsValue::UNDEFINED, Ops::default())
}

fn missing(error: impl std::fmt::Display) -> Error {
    Error::internal(error.to_string())
}

fn needed(env: &Env, name: &str) -> Result<String> {
    var(env, name).ok_or_else(|| missing(format!("there is no variable `{name}`")))
}

fn start_logging(env: &Env, ports: &WorkerPorts) {
    let level = var(env, "LOG_LEVEL");
    logging::init(
        "image-gen",
        level.as_deref(),
        ports.clock(),
        ports.random(),
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

/// `R2_BUCKETS` is `{"<bucket>": "<binding>"}`; the first one is the default.
fn buckets(
    env: &Env,
    ports: &WorkerPorts,
) -> Result<Vec<(String, platform_workers::WorkerObjects)>> {
    let text = needed(env, "R2_BUCKETS")?;
    let names: Map<String, Value> = serde_json::from_str(&text).map_err(missing)?;
    names
        .into_iter()
        .map(|(bucket, binding)| {
            let objects = ports.objects(binding.as_str().unwrap_or_default());
            Ok((bucket, objects.map_err(missing)?))
        })
        .collect()
}

/// All secrets `KEK_<id>`.
fn keks(env: &Env) -> Result<Keks> {
    let names: Vec<String> = Object::keys(env.unchecked_ref::<Object>())
        .iter()
        .filter_map(|name| name.as_string())
        .collect();
    keyring(&names, |name| secret(env, name))
}

fn forms(env: &Env) -> Result<UrlForms> {
    let public_base_url = needed(env, "PUBLIC_BASE_URL")?;
    let kind = var(env, "CDN_KIND").unwrap_or_else(|| "worker".to_owned());
    let keys = secret(env, "URL_SIGNING_KEYS")
        .ok_or_else(|| missing("there is no secret `URL_SIGNING_KEYS`"))?;
    Ok(UrlForms {
        kind: CdnKind::parse(&kind)
            .ok_or_else(|| missing("CDN_KIND must be worker, custom_domain or r2_dev"))?,
        cdn_base_url: var(env, "CDN_BASE_URL").unwrap_or_else(|| public_base_url.clone()),
        public_base_url,
        keys: SigningKeys::parse(&Secret::new(keys))?,
    })
}

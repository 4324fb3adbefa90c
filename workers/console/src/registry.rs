//! Where an instance's own worker answers when none is bound: at the URL that the registry of instances has.
//!
//! In scope: asking config-service as the caller, the rules for such a URL, the isolate's memory of it, what a request
//! without an instance is told. Out of scope: when this way is taken (module `gateway`), sending (module `forward`).

use crate::control_plane::{Told, ask, bearer};
use crate::gateway::{Forward, Gateway, Route};
use crate::head::Head;
use crate::state::Deps;
use api_types::InstanceId;
use auth::chain::sha256_hex;
use errors::{Code, Error, ErrorBody, Result};
use http::header::{AUTHORIZATION, HeaderValue};
use http::{Method, Uri};
use middleware::Context;
use platform::{Clock, Ports};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

/// A URL is used without asking again for so long, in milliseconds.
const FRESH_MS: i64 = 60_000;
/// Most instances of callers that one isolate remembers.
const MAX_ENTRIES: usize = 256;
/// Most instances that an error names.
const MAX_NAMED: usize = 20;

/// A worker that can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// Over this binding.
    Binding(String),
    /// At this URL, which the path is added to.
    Url(String),
}

/// The members of `GET /instance/{instance_id}` that are used here.
#[derive(Deserialize)]
struct Instance {
    worker_urls: BTreeMap<String, String>,
}

/// The members of `GET /session` that are used here.
#[derive(Deserialize)]
struct Access {
    instances: Vec<Accessible>,
    instances_more: bool,
}

#[derive(Deserialize)]
struct Accessible {
    instance_id: String,
}

#[derive(Debug)]
struct Entry {
    /// SHA-256 of the caller's `Authorization`: no key is kept in memory.
    caller: String,
    instance: InstanceId,
    asked_ms: i64,
    urls: BTreeMap<String, String>,
}

/// What one isolate remembers of the registry. It says where a worker is, never who may use it: that is the worker's.
#[derive(Debug, Default)]
pub struct Known(Mutex<Vec<Entry>>);

impl Known {
    fn get(
        &self,
        caller: &str,
        instance: &InstanceId,
        now_ms: i64,
    ) -> Option<BTreeMap<String, String>> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that went backwards makes nothing live longer.
        entries.retain(|entry| (0..FRESH_MS).contains(&(now_ms - entry.asked_ms)));
        let found = entries
            .iter()
            .find(|entry| entry.caller == caller && entry.instance == *instance);
        found.map(|entry| entry.urls.clone())
    }

    fn put(&self, entry: Entry) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|it| it.caller != entry.caller || it.instance != entry.instance);
        if entries.len() >= MAX_ENTRIES {
            entries.remove(0);
        }
        entries.push(entry);
    }
}

/// The host suffixes of a comma-separated list.
///
/// # Errors
/// The first entry that is no host name.
pub fn parse_hosts(listed: &str) -> std::result::Result<Vec<String>, String> {
    let entries = listed.split(',').map(str::trim).filter(|it| !it.is_empty());
    entries
        .map(|entry| {
            let host = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
            let whole = entry.bytes().all(host) && !entry.starts_with('.') && !entry.ends_with('.');
            if whole {
                Ok(entry.to_ascii_lowercase())
            } else {
                Err(entry.to_owned())
            }
        })
        .collect()
}

/// Checks a URL of the registry, because requests with keys go there: https, on loopback of a local stack also http;
/// no user information, query or fragment; a host that is one of `WORKER_HOSTS` or below it. config-service has parsed
/// it by the WHATWG rules when it was saved; here only what needs no parser of all URLs is let through: the tables of
/// international names would be a fifth of this worker.
///
/// # Errors
/// The broken rule and the host.
fn allowed(url: &str, gateway: &Gateway) -> std::result::Result<String, (&'static str, String)> {
    let refuse = |rule, host: &str| Err((rule, host.to_owned()));
    let parsed = url.parse::<Uri>().ok();
    let Some((uri, authority)) = parsed.as_ref().and_then(|it| Some((it, it.authority()?))) else {
        return refuse("must be an absolute URL", "");
    };
    let host = authority.host().to_ascii_lowercase();
    // The parser of `http` drops a fragment in silence and takes a backslash in a path, which the runtime reads as `/`.
    if uri.query().is_some() || url.contains(['#', '\\']) {
        return refuse("must not hold a query, fragment or backslash", &host);
    }
    let port = authority.port_u16().map(|it| format!(":{it}"));
    let port = port.unwrap_or_default();
    if !authority
        .as_str()
        .eq_ignore_ascii_case(&format!("{host}{port}"))
    {
        return refuse(
            "must not hold user information or a port that is none",
            &host,
        );
    }
    let loopback = gateway.local && matches!(&*host, "127.0.0.1" | "[::1]" | "localhost");
    let scheme = uri.scheme_str().unwrap_or_default();
    if scheme != "https" && !(loopback && scheme == "http") {
        return refuse("must be https outside of loopback", &host);
    }
    let address = host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok();
    let mut labels = host.split('.');
    // A name whose last part begins with a digit is an address in another notation, or none.
    let number = labels
        .clone()
        .next_back()
        .is_some_and(|it| it.starts_with(|c: char| c.is_ascii_digit()));
    if labels.any(str::is_empty) || (number && !address) {
        return refuse("must be on a host name or an address", &host);
    }
    if !gateway.local && (address || !host.contains('.')) {
        return refuse("must be a public name", &host);
    }
    let known = gateway.worker_hosts.iter().any(|known| {
        host.strip_suffix(known.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    });
    if !known {
        return refuse("must be on a host of WORKER_HOSTS", &host);
    }
    Ok(format!(
        "{scheme}://{host}{port}{}",
        uri.path().trim_end_matches('/')
    ))
}

/// Where a forward goes. A binding costs nothing; the registry one call of config-service, at most once a minute for a
/// caller and an instance.
///
/// 1. The request names an instance (400 `instance_required` with the caller's).
/// 2. config-service knows it and the caller may see it (401, 403, 404, 429 as it says, 503).
/// 3. It has a URL of that worker (503 `worker_not_deployed`).
/// 4. The URL is one that keys may be sent to (502 `upstream_refused`; the log line has the host).
pub(crate) async fn locate<P: Ports>(
    deps: &Deps<P>,
    context: &Context,
    head: &Head,
    forward: &Forward,
) -> Result<To> {
    let own = head.headers.get(AUTHORIZATION).cloned();
    let identity = own.or_else(|| forward.bearer.as_ref().and_then(bearer));
    let instance = match &forward.route {
        Route::Binding(name) => return Ok(To::Binding(name.clone())),
        Route::Unnamed => return Err(unnamed(deps, context, identity).await),
        Route::Registered(instance) => instance,
    };
    let worker = forward.target.worker;
    let urls = urls(deps, context, identity, instance).await?;
    let Some(url) = urls.get(&forward.target.registered()) else {
        return Err(Error::new(
            Code::WorkerNotDeployed,
            format!("The worker {worker} is not deployed for the instance {instance}."),
        )
        .with_detail("worker", worker)
        .with_detail("instance_id", instance.as_str())
        .with_retry_after_ms(30_000));
    };
    allowed(url, &deps.gateway)
        .map(To::Url)
        .map_err(|(rule, host)| {
            // The host is for the log only: whoever asks may not be whoever registered it.
            Error::new(
                Code::UpstreamRefused,
                format!("Keys may not be sent to the registered URL of {worker} for the instance {instance}."),
            )
            .with_internal(format!("the URL {rule}; its host is {host:?}"))
            .with_detail("worker", worker)
            .with_detail("instance_id", instance.as_str())
            .with_detail("rule", rule)
        })
}

async fn urls<P: Ports>(
    deps: &Deps<P>,
    context: &Context,
    identity: Option<HeaderValue>,
    instance: &InstanceId,
) -> Result<BTreeMap<String, String>> {
    let presented = identity.as_ref().map_or(&b""[..], HeaderValue::as_bytes);
    let caller = sha256_hex(presented);
    let asked_ms = deps.clock.now_ms();
    if let Some(urls) = deps.known.get(&caller, instance, asked_ms) {
        return Ok(urls);
    }
    let path = format!("/instance/{instance}");
    let told = ask(deps, context, identity, Method::GET, &path, None).await?;
    if told.status != 200 {
        return Err(refusal(&told));
    }
    let Instance { worker_urls: urls } = told.read()?;
    deps.known.put(Entry {
        caller,
        instance: instance.clone(),
        asked_ms,
        urls: urls.clone(),
    });
    Ok(urls)
}

/// A refusal of config-service is the caller's: his key, his access, his instance.
fn refusal(told: &Told) -> Error {
    let body = serde_json::from_slice::<ErrorBody>(&told.body);
    body.map_or_else(
        |_| Error::internal(format!("config-service answered {}", told.status)),
        ErrorBody::into_error,
    )
}

/// What a request is told that names no instance where each has its own workers.
async fn unnamed<P: Ports>(
    deps: &Deps<P>,
    context: &Context,
    identity: Option<HeaderValue>,
) -> Error {
    let error = Error::new(Code::InstanceRequired, "The request names no instance.")
        .with_hint("Name an instance: header X-Instance-ID, or __instance in the query.");
    match ask(deps, context, identity, Method::GET, "/session", None).await {
        Ok(told) if told.status == 200 => match told.read::<Access>() {
            Ok(access) => {
                let more = access.instances_more || access.instances.len() > MAX_NAMED;
                let named = access.instances.into_iter().take(MAX_NAMED);
                let names: Vec<String> = named.map(|it| it.instance_id).collect();
                error
                    .with_detail("more", more)
                    .with_detail("instances", names)
            }
            Err(unread) => error.with_internal(unread.internal),
        },
        // Whose key is not good has another thing to mend first.
        Ok(told) => refusal(&told),
        // What is wrong with the request is known without the list.
        Err(failed) => error.with_internal(failed.internal),
    }
}

/// Memory of the isolate.
pub(crate) fn of_isolate() -> Arc<Known> {
    static KNOWN: std::sync::OnceLock<Arc<Known>> = std::sync::OnceLock::new();
    Arc::clone(KNOWN.get_or_init(Arc::default))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PARTS: &str = "(https|http|ftp|HTTPS)?(:|/|//|\\\\|@|#|\\?|\\.|%2e|%40|:443|:0|a|evil\\.example|acme\\.workers\\.dev|workers\\.dev|127\\.0\\.0\\.1|localhost|\\[::1\\]|key){0,7}";

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        /// Whatever stands in the registry: what is called is https, or loopback in a local stack, on a host of the list.
        #[test]
        fn no_url_leads_outside_of_the_list(
            scheme in "(https://|http://|)",
            rest in PARTS,
            local in any::<bool>(),
        ) {
            let worker_hosts = vec!["acme.workers.dev".to_owned(), "127.0.0.1".to_owned()];
            let gateway = Gateway { local, worker_hosts, ..Gateway::default() };
            let Ok(base) = allowed(&format!("{scheme}{rest}"), &gateway) else {
                return Ok(());
            };
            let (scheme, rest) = base.split_once("://").unwrap();
            let authority = rest.split('/').next().unwrap();
            prop_assert!(!authority.contains(['@', '\\', '#', '?', '%']), "{}", base);
            let host = authority.split(':').next().unwrap();
            let loopback = host == "127.0.0.1";
            let listed = host == "acme.workers.dev" || host.ends_with(".acme.workers.dev");
            prop_assert!(listed || (local && loopback), "{}", base);
            prop_assert!(scheme == "https" || (local && loopback && scheme == "http"), "{}", base);
            prop_assert!(!base.ends_with('/') && !base.contains(['#', '?']), "{}", base);
        }
    }
}

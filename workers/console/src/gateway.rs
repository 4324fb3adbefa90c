//! The gateway's decision: the head of a request in, what to do with it out. Pure.
//!
//! In scope: which worker, which path, whose identity, which instance, what is refused. Out of scope: sending (module
//! `forward`), access: each worker denies by default, and the gateway never decides about it.

use crate::assets;
use crate::cookie::SessionCookie;
use crate::head::Head;
use api_types::{InstanceId, Secret};
use errors::{Code, Error};
use http::{Method, header};
use std::collections::BTreeSet;

/// A worker that `/api/<worker>/..` reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name in the path.
    pub worker: &'static str,
    /// Its binding where one worker serves all instances; the stem of the others.
    pub binding: &'static str,
    /// Only `/health` and `/openapi.json`.
    pub description_only: bool,
    /// Each instance may have its own, and `__instance` in the query may name it.
    pub of_instance: bool,
}

impl Target {
    /// The binding of an instance's own: `IMAGE_GEN__PRODUCTION`.
    pub fn binding_of(&self, instance: &InstanceId) -> String {
        let instance = instance.as_str().to_ascii_uppercase().replace('-', "_");
        format!("{}__{instance}", self.binding)
    }

    /// The instance whose own worker that binding is.
    pub fn instance_of(&self, binding: &str) -> Option<InstanceId> {
        let instance = binding.strip_prefix(self.binding)?.strip_prefix("__")?;
        // A name that is not all capitals is another kind of binding.
        let capitals = !instance.bytes().any(|b| b.is_ascii_lowercase());
        let id = instance.to_ascii_lowercase().replace('_', "-");
        InstanceId::parse(&id).ok().filter(|_| capitals)
    }

    /// Its name among an instance's `worker_urls`.
    pub fn registered(&self) -> String {
        self.worker.replace('-', "_")
    }
}

/// All of them.
pub const WORKERS: [Target; 3] = [
    Target {
        worker: "config-service",
        binding: "CONFIG_SERVICE",
        description_only: false,
        of_instance: false,
    },
    Target {
        worker: "image-gen",
        binding: "IMAGE_GEN",
        description_only: false,
        of_instance: true,
    },
    Target {
        worker: "admission",
        binding: "ADMISSION",
        description_only: true,
        of_instance: true,
    },
];

/// The contract tests' worker; bound in tests only.
pub const PROBE: Target = Target {
    worker: "probe",
    binding: "PROBE",
    description_only: false,
    of_instance: false,
};

/// The header that no form and no link of another site can set.
pub const CONSOLE_HEADER: &str = "x-switchyard-console";
/// The query member that names the instance where no header can be set: images, downloads, sockets.
pub const INSTANCE_MEMBER: &str = "__instance";
/// The header that names the instance.
const INSTANCE_HEADER: &str = "x-instance-id";
/// Largest body that is forwarded, in bytes; smaller caps are the workers'.
const MAX_BODY_BYTES: u64 = 52 * 1024 * 1024;

/// Paths that the console itself answers, besides `/auth/..` and the application's pages.
pub const OWN: [&str; 4] = ["/testing-gui", "/admin-panel", "/health", "/openapi.json"];

/// What the decision depends on besides the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gateway {
    /// `ENVIRONMENT` is `local` or `test`: only loopback hosts are served.
    pub local: bool,
    /// `PROBE` is bound and `ENVIRONMENT` is `test`.
    pub probe: bool,
    /// Origins besides the request's own that pages may call from.
    pub public_origins: Vec<String>,
    /// Names of the bindings of workers that are there.
    pub bindings: BTreeSet<String>,
    /// Hosts that a registered URL may have, and what is below them.
    pub worker_hosts: Vec<String>,
}

/// How a worker is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Over the binding of that name.
    Binding(String),
    /// At the URL that the registry has for that instance.
    Registered(InstanceId),
    /// Not at all: each instance has its own, and the request names none.
    Unnamed,
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Which worker.
    pub target: Target,
    /// How it is reached.
    pub route: Route,
    /// Path and query there.
    pub path_and_query: String,
    /// The session key that becomes `Authorization`; `None` when the request has its own or none.
    pub bearer: Option<Secret>,
    /// The instance that becomes `X-Instance-ID`; `None` when the request has its own or none.
    pub instance: Option<InstanceId>,
}

/// What happens to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// The console answers.
    Own,
    /// The application's page.
    Page,
    /// A file of the application, if there is one.
    File,
    /// One call of a worker.
    Forward(Forward),
    /// An error, nothing is called.
    Reject(Error),
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(name, _)| name),
        None => host.split(':').next().unwrap_or_default(),
    };
    matches!(name, "127.0.0.1" | "::1") || name.eq_ignore_ascii_case("localhost")
}

/// Percent-decodes ASCII, so that an encoded word is compared as the worker would.
fn decoded(segment: &str) -> String {
    let mut out = String::new();
    let mut rest = segment;
    while let Some(first) = rest.chars().next() {
        let code = rest
            .strip_prefix('%')
            .and_then(|after| after.get(..2))
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let taken = if let Some(byte) = code {
            out.push(char::from(byte));
            3
        } else {
            out.push(first);
            first.len_utf8()
        };
        rest = rest.get(taken..).unwrap_or_default();
    }
    out
}

fn unclean(path: &str) -> bool {
    let decoded_path = decoded(path);
    let mut segments = path.split('/').skip(1);
    let first_two: Vec<String> = segments.by_ref().take(2).map(decoded).collect();
    path.contains("//")
        || path.contains('\\')
        || decoded_path.contains('\0')
        // The runtime resolves both when the request is rebuilt, behind the checks that follow.
        || path.split('/').any(|segment| matches!(decoded(segment).as_str(), "." | ".."))
        || first_two.iter().any(|it| it.contains(['/', '\\']))
}

fn unknown_worker(gateway: &Gateway) -> Error {
    let probe = gateway.probe.then_some(PROBE.worker);
    let known: Vec<&str> = WORKERS.iter().map(|it| it.worker).chain(probe).collect();
    Error::not_found("worker").with_detail("workers", known)
}

/// Whether a path is task-master's: clients look for MCP and its authorization at the top of an origin.
fn is_mcp(path: &str) -> bool {
    path == "/mcp"
        || path.starts_with("/mcp/")
        || path.starts_with("/.well-known/oauth-protected-resource")
}

/// Steps: 1. host, 403. 2. `/auth/..`: cross-site rules, 403. 3. MCP, 404. 4. pages, own paths, files. 5. clean path,
/// 400. 6. known worker, 404. 7. open path, 404. 8. identity; cross-site rules where it is the cookie's, 403.
/// 9. instance, 400. 10. size, 413.
pub fn decide(head: &Head, gateway: &Gateway) -> Decision {
    if gateway.local && !is_loopback(&head.host) {
        return Decision::Reject(Error::new(
            Code::OriginRefused,
            "This console is served on loopback host names only.",
        ));
    }
    if head.path.starts_with("/auth/") {
        // With or without a cookie: nobody signs a visitor in from outside.
        return match same_site(head, gateway) {
            Ok(()) => Decision::Own,
            Err(error) => Decision::Reject(error),
        };
    }
    if is_mcp(&head.path) {
        return Decision::Reject(
            Error::new(
                Code::NotFound,
                "MCP is served by the worker task-master, which this deployment does not have.",
            )
            .with_hint("Use the workers that GET /health names, below /api/<worker>/.")
            .with_detail("worker", "task-master"),
        );
    }
    let Some(rest) = head.path.strip_prefix("/api/") else {
        return if assets::is_page(&head.path) {
            Decision::Page
        } else if OWN.contains(&head.path.as_str()) {
            Decision::Own
        } else {
            Decision::File
        };
    };
    match forward(rest, head, gateway) {
        Ok(forward) => Decision::Forward(forward),
        Err(error) => Decision::Reject(error),
    }
}

fn forward(rest: &str, head: &Head, gateway: &Gateway) -> Result<Forward, Error> {
    if unclean(&format!("/{rest}")) {
        return Err(Error::new(
            Code::InvalidRequest,
            "The path holds ., .., //, NUL or an encoded slash.",
        ));
    }
    let (name, path) = rest.split_once('/').unwrap_or((rest, ""));
    let target = WORKERS
        .into_iter()
        .chain(gateway.probe.then_some(PROBE))
        .find(|target| target.worker == name)
        .ok_or_else(|| unknown_worker(gateway))?;
    let first = decoded(path.split('/').next().unwrap_or_default());
    let closed = first.eq_ignore_ascii_case("internal")
        || (target.description_only && !matches!(path, "health" | "openapi.json"));
    if closed {
        return Err(Error::not_found("route"));
    }
    let bearer = bearer(head, gateway)?;
    let mut query = head.query.clone();
    let mut named = None;
    let mut route = Route::Binding(target.binding.to_owned());
    if target.of_instance {
        (query, named) = instance(head)?;
        if !gateway.bindings.contains(target.binding) {
            (route, named) = of_instance(&target, head, gateway, named)?;
        }
    }
    let length = head
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .map(|value| value.parse::<u64>().unwrap_or(u64::MAX));
    if length.is_some_and(|bytes| bytes > MAX_BODY_BYTES) {
        return Err(Error::new(Code::PayloadTooLarge, "The body is too large.")
            .with_detail("max_bytes", MAX_BODY_BYTES));
    }
    Ok(Forward {
        target,
        route,
        path_and_query: format!("/{path}{query}"),
        bearer,
        instance: named,
    })
}

/// The way to an instance's own worker where no worker serves all of them: its binding, or its URL. The second is the
/// instance that becomes `X-Instance-ID`.
fn of_instance(
    target: &Target,
    head: &Head,
    gateway: &Gateway,
    named: Option<InstanceId>,
) -> Result<(Route, Option<InstanceId>), Error> {
    let header = if head.headers.contains_key(INSTANCE_HEADER) {
        let text = head.text(INSTANCE_HEADER).unwrap_or_default();
        let id = InstanceId::parse(text)
            .map_err(|error| Error::invalid_field("X-Instance-ID", error.to_string()))?;
        Some(id)
    } else {
        None
    };
    if let Some(instance) = header.as_ref().or(named.as_ref()) {
        let binding = target.binding_of(instance);
        let route = if gateway.bindings.contains(&binding) {
            Route::Binding(binding)
        } else {
            Route::Registered(instance.clone())
        };
        return Ok((route, named));
    }
    let mut bound = gateway
        .bindings
        .iter()
        .filter_map(|binding| Some((binding, target.instance_of(binding)?)));
    match (bound.next(), bound.next()) {
        (Some((binding, only)), None) => Ok((Route::Binding(binding.clone()), Some(only))),
        _ => Ok((Route::Unnamed, None)),
    }
}

/// The session key of a request without `Authorization`, once the cross-site rules hold.
fn bearer(head: &Head, gateway: &Gateway) -> Result<Option<Secret>, Error> {
    if head.headers.contains_key(header::AUTHORIZATION) {
        return Ok(None);
    }
    let Some(session) = SessionCookie::at(head, gateway).read(head) else {
        return Ok(None);
    };
    same_site(head, gateway)?;
    Ok(Some(session.raw))
}

fn cross_site(rule: &str) -> Error {
    Error::new(
        Code::CsrfRejected,
        "This request did not come from the console's own pages.",
    )
    .with_internal(rule.to_owned())
}

/// The cross-site rules. A browser cannot be made to break them by another site: `Origin` and `Sec-Fetch-Site` are its
/// own words, and the console's header needs a permission (CORS) that is never given.
fn same_site(head: &Head, gateway: &Gateway) -> Result<(), Error> {
    if head.headers.contains_key("sec-fetch-site")
        && !matches!(head.text("sec-fetch-site"), Some("same-origin" | "none"))
    {
        return Err(cross_site("Sec-Fetch-Site is not same-origin or none"));
    }
    let reads = matches!(head.method, Method::GET | Method::HEAD);
    if reads && !head.is_upgrade() {
        return Ok(());
    }
    let own = head.origin();
    let known = head.text("origin").is_some_and(|origin| {
        origin == own || gateway.public_origins.iter().any(|known| known == origin)
    });
    if !known {
        return Err(cross_site("Origin is missing or another one"));
    }
    // A socket cannot carry the header.
    if !reads && head.text(CONSOLE_HEADER) != Some("1") {
        return Err(cross_site("X-Switchyard-Console is missing"));
    }
    Ok(())
}

/// The query without `__instance`, and the instance that it names unless the header does.
fn instance(head: &Head) -> Result<(String, Option<InstanceId>), Error> {
    let Some(query) = head.query.strip_prefix('?') else {
        return Ok((head.query.clone(), None));
    };
    let mut named = None;
    let mut kept = Vec::new();
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if decoded(name) != INSTANCE_MEMBER {
            kept.push(pair);
            continue;
        }
        let id = InstanceId::parse(&decoded(value))
            .map_err(|error| Error::invalid_field(INSTANCE_MEMBER, error.to_string()))?;
        if named.replace(id).is_some() {
            return Err(Error::invalid_field(INSTANCE_MEMBER, "must stand once"));
        }
    }
    let query = if kept.is_empty() {
        String::new()
    } else {
        format!("?{}", kept.join("&"))
    };
    let named = named.filter(|_| !head.headers.contains_key(INSTANCE_HEADER));
    Ok((query, named))
}

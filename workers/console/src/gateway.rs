//! The gateway's decision: the head of a request in, what to do with it out. Pure.
//!
//! In scope: which worker, which path, what is refused. Out of scope: sending (module `forward`), access: each worker
//! denies by default, and the gateway never decides about it.

use axum::body::Body;
use errors::{Code, Error};
use http::{HeaderMap, Method, Request, header};

/// A worker that `/api/<worker>/..` reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name in the path.
    pub worker: &'static str,
    /// Its binding.
    pub binding: &'static str,
    /// Only `/health` and `/openapi.json`.
    pub description_only: bool,
}

/// All of them.
pub const WORKERS: [Target; 3] = [
    Target {
        worker: "config-service",
        binding: "CONFIG_SERVICE",
        description_only: false,
    },
    Target {
        worker: "image-gen",
        binding: "IMAGE_GEN",
        description_only: false,
    },
    Target {
        worker: "admission",
        binding: "ADMISSION",
        description_only: true,
    },
];

/// The contract tests' worker; bound in tests only.
pub const PROBE: Target = Target {
    worker: "probe",
    binding: "PROBE",
    description_only: false,
};

/// Largest body that is forwarded, in bytes; smaller caps are the workers'.
const MAX_BODY_BYTES: u64 = 52 * 1024 * 1024;

/// What the decision depends on besides the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gateway {
    /// `ENVIRONMENT` is `local` or `test`: only loopback hosts are served.
    pub local: bool,
    /// `PROBE` is bound and `ENVIRONMENT` is `test`.
    pub probe: bool,
}

/// A request without its body.
#[derive(Clone, Debug)]
pub struct Head {
    /// Method.
    pub method: Method,
    /// Path as it was sent, still encoded.
    pub path: String,
    /// Query with its `?`, or empty.
    pub query: String,
    /// Host and port that the client named.
    pub host: String,
    /// Whether it came over https.
    pub secure: bool,
    /// Headers.
    pub headers: HeaderMap,
}

impl Head {
    /// From what the runtime says about a request; `url` is absolute.
    pub fn new(method: &str, url: &str, headers: HeaderMap) -> Self {
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let rest = rest.split('#').next().unwrap_or_default();
        let (path, query) = rest.find('?').map_or((rest, ""), |at| rest.split_at(at));
        let host = headers
            .get(header::HOST)
            .and_then(|value| value.to_str().ok())
            .unwrap_or(authority);
        Self {
            method: Method::from_bytes(method.as_bytes()).unwrap_or(Method::GET),
            path: if path.is_empty() { "/" } else { path }.to_owned(),
            query: query.to_owned(),
            host: host.to_owned(),
            secure: scheme == "https",
            headers,
        }
    }

    /// The same head for the console's own layers, without a body.
    pub fn into_request(self) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = self.method;
        if let Ok(uri) = format!("{}{}", self.path, self.query).parse() {
            *request.uri_mut() = uri;
        }
        *request.headers_mut() = self.headers;
        request
    }
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Which worker.
    pub target: Target,
    /// Path and query there.
    pub path_and_query: String,
}

/// What happens to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// The console answers.
    Own,
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

fn unknown_worker(gateway: Gateway) -> Error {
    let probe = gateway.probe.then_some(PROBE.worker);
    let known: Vec<&str> = WORKERS.iter().map(|it| it.worker).chain(probe).collect();
    Error::not_found("worker").with_detail("workers", known)
}

/// Steps: 1. host, 403. 2. own path. 3. clean path, 400. 4. known worker, 404. 5. open path, 404. 6. size, 413.
pub fn decide(head: &Head, gateway: Gateway) -> Decision {
    if gateway.local && !is_loopback(&head.host) {
        return Decision::Reject(Error::new(
            Code::OriginRefused,
            "This console is served on loopback host names only.",
        ));
    }
    let Some(rest) = head.path.strip_prefix("/api/") else {
        return Decision::Own;
    };
    match target(rest, head, gateway) {
        Ok(forward) => Decision::Forward(forward),
        Err(error) => Decision::Reject(error),
    }
}

fn target(rest: &str, head: &Head, gateway: Gateway) -> Result<Forward, Error> {
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
        path_and_query: format!("/{path}{}", head.query),
    })
}

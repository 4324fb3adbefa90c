//! Headers that every answer of this origin has, and which headers of a forwarded exchange stay.
//!
//! In scope: the constants and the pure rules. Out of scope: reading and writing the runtime's header objects.

use crate::gateway::{CONSOLE_HEADER, Forward};
use crate::head::Head;
use axum::body::Body;
use http::{HeaderName, HeaderValue, Response};
use platform::CallContext;
use std::fmt::Write;

/// What the page of this origin may load.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; worker-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// For answers of workers that are not JSON: whatever they hold, it is never a page of this origin.
pub const SANDBOX_POLICY: &str = "default-src 'none'; sandbox";

/// On every answer.
pub const SECURITY: [(&str, &str); 7] = [
    ("content-security-policy", CONTENT_SECURITY_POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    (
        "permissions-policy",
        "camera=(), microphone=(), geolocation=()",
    ),
    ("x-robots-tag", "noindex"),
];

/// On every answer over https.
pub const TRANSPORT: (&str, &str) = ("strict-transport-security", "max-age=31536000");

/// Headers by which a worker would let other origins in.
const CORS: [&str; 3] = [
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-expose-headers",
];

/// Types that a browser may show; everything else of a worker is a download.
const SHOWN: [&str; 9] = [
    "application/json",
    "application/x-ndjson",
    "text/event-stream",
    "text/plain",
    "image/png",
    "image/jpeg",
    "image/webp",
    "image/avif",
    "image/gif",
];

/// Names the build that answers, so that a page can tell that it is of another one.
pub const BUILD: &str = "x-switchyard-build";

/// The security headers and the build, on an answer of our own.
pub fn secured(mut response: Response<Body>, secure: bool, git_sha: &str) -> Response<Body> {
    let transport = secure.then_some(TRANSPORT);
    let headers = response.headers_mut();
    for (name, value) in SECURITY.into_iter().chain(transport) {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    if let Ok(build) = HeaderValue::from_str(git_sha) {
        headers.insert(HeaderName::from_static(BUILD), build);
    }
    response
}

/// The file `_headers` of the bundle: what the store puts on files. Hashed names never change; everything else is asked
/// for again.
///
/// `TRANSPORT` is not in it, as its rules cannot tell http from https: this worker, which passes every file on, adds it.
pub fn of_files() -> String {
    let mut text = String::from("/*\n");
    for (name, value) in SECURITY {
        let _infallible = writeln!(text, "  {name}: {value}");
    }
    // A rule that matches later would add to the first value: `!` takes that away before.
    text.push_str(
        "  cache-control: no-cache\n/assets/*\n  ! cache-control\n  cache-control: public, max-age=31536000, immutable\n",
    );
    text
}

/// Whether a header of the client is kept back from the worker. `name` is in lower case.
pub fn kept_from_worker(name: &str) -> bool {
    const NAMES: [&str; 9] = [
        "cookie",
        "origin",
        CONSOLE_HEADER,
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
    ];
    NAMES.contains(&name) || name.starts_with("sec-fetch-")
}

/// Changes to a set of headers: `(name, None)` is removed, the others are set.
pub type Changes<N> = Vec<(N, Option<String>)>;

/// What changes on a forwarded request. The values of `authorization` are secrets.
pub fn request_changes(head: &Head, forward: &Forward, call: &CallContext) -> Changes<String> {
    let kept_back = head.headers.keys().map(HeaderName::as_str);
    let mut changes: Changes<String> = kept_back
        .filter(|name| kept_from_worker(name))
        .map(|name| (name.to_owned(), None))
        .collect();
    let mut set = |name: &str, value: &str| changes.push((name.to_owned(), Some(value.to_owned())));
    set("x-request-id", &call.request_id);
    set("traceparent", &call.traceparent);
    set("x-forwarded-host", &head.host);
    set(
        "x-forwarded-proto",
        if head.secure { "https" } else { "http" },
    );
    // The runtime says of every client that it takes br and gzip, and the answer is passed on as it comes. What the client
    // does take is the business of whoever encodes last, which is the edge before this worker.
    set("accept-encoding", "identity");
    if let Some(key) = &forward.bearer {
        set("authorization", &format!("Bearer {}", key.expose()));
    }
    if let Some(instance) = &forward.instance {
        set("x-instance-id", instance.as_str());
    }
    changes
}

/// What the changes to a worker's answer depend on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answered<'a> {
    /// `Content-Type`.
    pub content_type: Option<&'a str>,
    /// `Content-Disposition`.
    pub disposition: Option<&'a str>,
    /// Whether there is a body; 204, 304 and answers to HEAD have none.
    pub has_body: bool,
    /// Whether the worker sent `Cache-Control`.
    pub has_cache_control: bool,
}

/// What changes on a worker's answer.
pub fn answer_changes(
    answered: Answered<'_>,
    secure: bool,
    git_sha: &str,
) -> Changes<&'static str> {
    let mut changes: Changes<&'static str> = SECURITY
        .into_iter()
        .chain(secure.then_some(TRANSPORT))
        .map(|(name, value)| (name, Some(value.to_owned())))
        .collect();
    // No page of another origin may read what is answered here, whatever a worker allows at its own address.
    for name in CORS.into_iter().chain(["set-cookie", "server"]) {
        changes.push((name, None));
    }
    changes.push((BUILD, Some(git_sha.to_owned())));
    if !answered.has_cache_control {
        changes.push(("cache-control", Some("no-store".to_owned())));
    }
    let kind = answered
        .content_type
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    // Also where nothing is said: a browser puts the headers of a 304 onto what it has kept.
    if kind != "application/json" {
        changes.push(("content-security-policy", Some(SANDBOX_POLICY.to_owned())));
    }
    // A worker's own `attachment` names the file.
    let attached = answered.disposition.is_some_and(|text| {
        let kind = text.split(';').next().unwrap_or_default();
        kind.trim().eq_ignore_ascii_case("attachment")
    });
    let typed = answered.content_type.is_some() || answered.has_body;
    if typed && !attached && !SHOWN.contains(&kind.as_str()) {
        changes.push(("content-disposition", Some("attachment".to_owned())));
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn set(changes: &Changes<&'static str>, name: &str) -> Option<String> {
        let last = changes.iter().rev().find(|(it, _)| *it == name);
        last.and_then(|(_, value)| value.clone())
    }

    fn of(kind: &str) -> Answered<'_> {
        Answered {
            content_type: Some(kind),
            ..Answered::default()
        }
    }

    #[test]
    fn only_known_types_are_shown_and_only_json_shares_our_policy() {
        for (kind, shown, ours) in [
            ("application/json", true, true),
            ("Application/JSON; charset=utf-8", true, true),
            ("image/png", true, false),
            ("text/event-stream", true, false),
            ("text/html", false, false),
            ("image/svg+xml", false, false),
            ("application/javascript", false, false),
            ("", false, false),
        ] {
            let changes = answer_changes(of(kind), false, "ab12cd3");
            let disposition = set(&changes, "content-disposition");
            assert_eq!(disposition.is_none(), shown, "{kind}");
            let policy = set(&changes, "content-security-policy").unwrap();
            assert_eq!(policy == CONTENT_SECURITY_POLICY, ours, "{kind}");
            assert_eq!(set(&changes, "cache-control").unwrap(), "no-store");
            assert_eq!(set(&changes, BUILD).unwrap(), "ab12cd3");
            for removed in ["set-cookie", "server", "access-control-allow-origin"] {
                assert!(changes.contains(&(removed, None)), "{removed}");
            }
        }
        // Nothing is said of what it is: with a body a download; without one the headers may end up on what a browser has
        // kept, so they take nothing back.
        for has_body in [true, false] {
            let untyped = Answered {
                has_body,
                ..Answered::default()
            };
            let changes = answer_changes(untyped, false, "x");
            let disposition = set(&changes, "content-disposition");
            assert_eq!(disposition.is_some(), has_body);
            let policy = set(&changes, "content-security-policy").unwrap();
            assert_eq!(policy, SANDBOX_POLICY);
        }
        let cached = Answered {
            has_cache_control: true,
            ..Answered::default()
        };
        let changes = answer_changes(cached, true, "x");
        assert_eq!(set(&changes, "cache-control"), None);
        assert!(set(&changes, "strict-transport-security").is_some());
    }

    #[test]
    fn a_download_keeps_the_name_that_its_worker_gave() {
        for (disposition, kept) in [
            ("attachment; filename=\"a.rs\"", true),
            ("Attachment", true),
            ("inline", false),
            ("attachmentx", false),
            ("", false),
        ] {
            let answered = Answered {
                disposition: Some(disposition),
                ..of("text/html")
            };
            let changed = set(&answer_changes(answered, false, "x"), "content-disposition");
            assert_eq!(changed.is_none(), kept, "{disposition}");
        }
    }

    #[test]
    fn identity_of_the_browser_never_leaves() {
        for name in ["cookie", "origin", "sec-fetch-site", "x-switchyard-console"] {
            assert!(kept_from_worker(name), "{name}");
        }
        for name in [
            "authorization",
            "x-instance-id",
            "idempotency-key",
            "range",
            "if-match",
            "prefer",
            "last-event-id",
            "cf-connecting-ip",
            "sec-websocket-protocol",
        ] {
            assert!(!kept_from_worker(name), "{name}");
        }
    }

    #[test]
    fn security_headers_and_the_build_are_on_our_answers() {
        let answer = || Response::new(Body::empty());
        let bare = secured(answer(), false, "ab12cd3");
        for (name, value) in SECURITY {
            assert_eq!(bare.headers()[name], value);
        }
        assert_eq!(bare.headers()[BUILD], "ab12cd3");
        assert!(!bare.headers().contains_key("strict-transport-security"));
        assert!(!CONTENT_SECURITY_POLICY.contains("unsafe"));
        let secure = secured(answer(), true, "ab12cd3");
        assert!(secure.headers().contains_key("strict-transport-security"));
    }

    /// `cargo x build` copies this file into the bundle.
    #[test]
    fn the_committed_headers_of_files_are_these() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("_headers");
        if std::env::var_os("UPDATE_HEADERS").is_some() {
            std::fs::write(&path, of_files()).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == of_files(),
            "workers/console/_headers differs: UPDATE_HEADERS=1 cargo test -p console --lib headers"
        );
        // A line of the platform's format is at most 2,000 characters, a rule is a path and has no port or query.
        assert!(committed.lines().all(|line| line.len() < 2_000));
    }
}

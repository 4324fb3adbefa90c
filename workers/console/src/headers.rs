//! Headers that every answer of this origin has, and which headers of a forwarded exchange stay.
//!
//! In scope: the constants and the pure rules. Out of scope: reading and writing the runtime's header objects.

use axum::body::Body;
use http::{HeaderName, HeaderValue, Response};

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

/// The security headers, on an answer of our own.
pub fn secured(mut response: Response<Body>, secure: bool) -> Response<Body> {
    let transport = secure.then_some(TRANSPORT);
    for (name, value) in SECURITY.into_iter().chain(transport) {
        response.headers_mut().insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    response
}

/// Whether a header of the client is kept back from the worker. `name` is in lower case.
pub fn kept_from_worker(name: &str) -> bool {
    const NAMES: [&str; 9] = [
        "cookie",
        "origin",
        "x-switchyard-console",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
    ];
    NAMES.contains(&name) || name.starts_with("sec-fetch-")
}

/// What changes on a worker's answer: `(name, None)` is removed, the others are set.
pub fn answer_changes(
    content_type: Option<&str>,
    has_cache_control: bool,
    secure: bool,
    git_sha: &str,
) -> Vec<(&'static str, Option<String>)> {
    let mut changes: Vec<(&'static str, Option<String>)> = SECURITY
        .into_iter()
        .chain(secure.then_some(TRANSPORT))
        .map(|(name, value)| (name, Some(value.to_owned())))
        .collect();
    changes.push(("set-cookie", None));
    changes.push(("server", None));
    changes.push(("x-switchyard-build", Some(git_sha.to_owned())));
    if !has_cache_control {
        changes.push(("cache-control", Some("no-store".to_owned())));
    }
    if let Some(content_type) = content_type {
        let kind = content_type
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        if kind != "application/json" {
            changes.push(("content-security-policy", Some(SANDBOX_POLICY.to_owned())));
        }
        if !SHOWN.contains(&kind.as_str()) {
            changes.push(("content-disposition", Some("attachment".to_owned())));
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(changes: &[(&'static str, Option<String>)], name: &str) -> Option<String> {
        let last = changes.iter().rev().find(|(it, _)| *it == name);
        last.and_then(|(_, value)| value.clone())
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
            let changes = answer_changes(Some(kind), false, false, "ab12cd3");
            let disposition = set(&changes, "content-disposition");
            assert_eq!(disposition.is_none(), shown, "{kind}");
            let policy = set(&changes, "content-security-policy").unwrap();
            assert_eq!(policy == CONTENT_SECURITY_POLICY, ours, "{kind}");
            assert_eq!(set(&changes, "cache-control").unwrap(), "no-store");
            assert_eq!(set(&changes, "x-switchyard-build").unwrap(), "ab12cd3");
            assert!(changes.contains(&("set-cookie", None)));
        }
        let changes = answer_changes(None, true, true, "x");
        assert_eq!(set(&changes, "cache-control"), None);
        assert!(set(&changes, "strict-transport-security").is_some());
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
}

//! What a forward carries to the worker, whatever the request was.

use crate::gateway::{CONSOLE, FROM_PAGE, HOUSE, local};
use crate::house::{KEY, bound, head};
use console::Head;
use console::gateway::{Decision, Forward, Gateway, WORKERS, decide};
use console::headers::request_changes;
use http::{HeaderMap, HeaderName, HeaderValue};
use platform::CallContext;
use proptest::prelude::*;

/// The headers as the worker gets them.
fn sent(head: &Head, forward: &Forward) -> HeaderMap {
    let call = CallContext {
        request_id: "0199a1c2-0000-7000-8000-000000000001".to_owned(),
        traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned(),
    };
    let mut headers = head.headers.clone();
    for (name, value) in request_changes(head, forward, &call) {
        let name: HeaderName = name.parse().unwrap();
        match value {
            Some(value) => {
                headers.insert(name, HeaderValue::from_str(&value).unwrap());
            }
            None => {
                headers.remove(name);
            }
        }
    }
    headers
}

#[test]
fn a_forward_carries_ids_identity_instance_and_nothing_of_the_browser() {
    let cookie = format!("theme=dark; sy_session_8787={KEY}");
    let url = format!("{HOUSE}/api/image-gen/generate?__instance=production&dry_run=1");
    let asked = head(
        "POST",
        &url,
        &[
            ("host", "127.0.0.1:8787"),
            ("cookie", &cookie),
            FROM_PAGE,
            CONSOLE,
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-mode", "cors"),
            ("idempotency-key", "k"),
            ("range", "bytes=0-1"),
            ("x-request-id", "of the client"),
        ],
    );
    let Decision::Forward(forward) = decide(&asked, &local()) else {
        panic!("not forwarded")
    };
    let sent = sent(&asked, &forward);
    let mut text: Vec<String> = sent
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    text.sort();
    assert_eq!(
        text,
        [
            "accept-encoding: identity",
            &format!("authorization: Bearer {KEY}"),
            "host: 127.0.0.1:8787",
            "idempotency-key: k",
            "range: bytes=0-1",
            "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "x-forwarded-host: 127.0.0.1:8787",
            "x-forwarded-proto: http",
            "x-instance-id: production",
            "x-request-id: 0199a1c2-0000-7000-8000-000000000001",
        ]
    );
    assert!(!format!("{forward:?}").contains(KEY));
}

#[test]
fn no_worker_is_asked_to_encode_its_answer() {
    // The second is what the runtime says of every client, also of one that reads neither.
    for pairs in [&[] as &[_], &[("accept-encoding", "br, gzip")]] {
        let asked = head("GET", &format!("{HOUSE}/api/image-gen/health"), pairs);
        let Decision::Forward(forward) = decide(&asked, &local()) else {
            panic!("not forwarded")
        };
        assert_eq!(sent(&asked, &forward)["accept-encoding"], "identity");
    }
}

const NAMES: &str = "cookie|origin|authorization|sec-fetch-site|sec-fetch-mode|x-switchyard-console|upgrade|host|x-instance-id|content-length|te|proxy-authorization|x-any";
const VALUES: &str = "sy_session_8787=KEY|a=b; sy_session_8787=KEY|__Host-sy_session=KEY|secret=s3cret|same-origin|cross-site|none|1|websocket|Bearer x|http://127\\.0\\.0\\.1:8787|http://evil\\.example|127\\.0\\.0\\.1:8787|localhost|production|[ -~]{0,12}";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever the path: what is forwarded is a path of a known worker that is not internal.
    #[test]
    fn nothing_internal_is_ever_forwarded(
        rest in "(config-service|image-gen|admission|\\.\\.|%2[eEfF]|/|\\\\|internal|%69nternal|health|[a-z%0-9.?#]){0,8}",
    ) {
        let head = head("GET", &format!("http://localhost/api/{rest}"), &[]);
        if let Decision::Forward(forward) = decide(&head, &local()) {
            prop_assert!(WORKERS.contains(&forward.target));
            let path = forward.path_and_query.split('?').next().unwrap().to_ascii_lowercase();
            prop_assert!(path.starts_with('/') && !path.starts_with("//"));
            let first = path.split('/').nth(1).unwrap_or_default();
            prop_assert_ne!(first, "internal");
            prop_assert!(!path.split('/').any(|segment| segment == ".."));
        }
    }

    /// Whatever the request: no cookie reaches a worker, no header of the browser's identity, no other worker than those
    /// of the table; and the session only where the cross-site rules hold.
    #[test]
    fn no_input_forwards_a_cookie(
        method in "GET|HEAD|POST|PUT|DELETE|OPTIONS|get|X",
        local_gateway in any::<bool>(),
        plain in any::<bool>(),
        secure in any::<bool>(),
        path in "/api/(image-gen|config-service|admission|probe|x)/(generate|health|images/a\\.png)(\\?__instance=(production|a%0d%0acookie:x|[a-z]{1,4}))?",
        pairs in proptest::collection::vec((NAMES, VALUES), 0..8),
    ) {
        let scheme = if secure { "https" } else { "http" };
        let url = format!("{scheme}://127.0.0.1:8787{path}");
        let pairs: Vec<(String, String)> = pairs
            .into_iter()
            .map(|(name, value)| (name, value.replace("KEY", KEY)))
            .collect();
        let borrowed: Vec<(&str, &str)> =
            pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let asked = head(&method, &url, &borrowed);
        let bindings = if plain { bound() } else { ["IMAGE_GEN__PRODUCTION".to_owned()].into() };
        let gateway = Gateway { local: local_gateway, bindings, ..Gateway::default() };
        let Decision::Forward(forward) = decide(&asked, &gateway) else {
            return Ok(());
        };
        prop_assert!(WORKERS.contains(&forward.target));
        let sent = sent(&asked, &forward);
        for (name, value) in &sent {
            let name = name.as_str();
            let kept_back = name == "cookie" || name == "origin" || name == "te"
                || name == "x-switchyard-console" || name.starts_with("sec-fetch-")
                || name.starts_with("proxy-");
            prop_assert!(!kept_back, "{} is forwarded", name);
            // Except where the client itself put the cookie's text into another header.
            let from_client = pairs.iter().any(|(_, text)| text.as_bytes() == value.as_bytes());
            let text = value.to_str().unwrap_or_default();
            prop_assert!(from_client || name == "authorization" || !text.contains(KEY));
        }
        let own_key = asked.headers.contains_key("authorization");
        if own_key {
            prop_assert_eq!(sent.get_all("authorization").iter().collect::<Vec<_>>(),
                asked.headers.get_all("authorization").iter().collect::<Vec<_>>());
            prop_assert!(forward.bearer.is_none());
        } else if forward.bearer.is_some() {
            let site = asked.headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
            prop_assert!(matches!(site, None | Some(b"same-origin" | b"none")));
            let reads = matches!(asked.method.as_str(), "GET" | "HEAD");
            if !reads || asked.headers.contains_key("upgrade") {
                let origin = asked.headers.get("origin").unwrap().to_str().unwrap();
                prop_assert_eq!(origin, asked.origin());
            }
            if !reads {
                prop_assert_eq!(&asked.headers["x-switchyard-console"], "1");
            }
        } else {
            prop_assert!(!sent.contains_key("authorization"));
        }
    }
}

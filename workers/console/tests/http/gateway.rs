//! What the gateway decides, by the head of a request alone.

use crate::house::{KEY, bound, head};
use console::gateway::{Decision, Gateway, OWN, PROBE, Route, decide};
use errors::Code;
use serde_json::json;

pub(crate) const HOUSE: &str = "http://127.0.0.1:8787";

pub(crate) fn local() -> Gateway {
    Gateway {
        local: true,
        public_origins: vec!["http://127.0.0.1:5173".to_owned()],
        bindings: bound(),
        ..Gateway::default()
    }
}

fn deployed() -> Gateway {
    Gateway {
        public_origins: vec!["https://console.acme.example".to_owned()],
        bindings: bound(),
        ..Gateway::default()
    }
}

/// The way, path and query of a forward with what is added to it; `own`, `page`, `file`, or the code of a refusal.
fn short(decision: &Decision) -> String {
    match decision {
        Decision::Own => "own".to_owned(),
        Decision::Page => "page".to_owned(),
        Decision::File => "file".to_owned(),
        Decision::Reject(error) => error.code.as_str().to_owned(),
        Decision::Forward(forward) => {
            let way = match &forward.route {
                Route::Binding(name) => name.clone(),
                Route::Registered(instance) => format!("{instance}'s {}", forward.target.worker),
                Route::Unnamed => format!("which {}", forward.target.worker),
            };
            let mut text = format!("{way} {}", forward.path_and_query);
            if let Some(key) = &forward.bearer {
                assert_eq!(key.expose(), KEY);
                text.push_str(" +session");
            }
            if let Some(instance) = &forward.instance {
                text.push_str(" +");
                text.push_str(instance.as_str());
            }
            text
        }
    }
}

fn decided(gateway: &Gateway, method: &str, url: &str, pairs: &[(&str, &str)]) -> String {
    short(&decide(&head(method, url, pairs), gateway))
}

const PATHS: &[(&str, &str)] = &[
    ("/", "page"),
    ("", "page"),
    ("/?x=1", "page"),
    ("/login", "page"),
    ("/play", "page"),
    ("/play/x/y?z=1#top", "page"),
    ("/admin/instances/production", "page"),
    ("/PLAY", "file"),
    ("/played", "file"),
    ("//play", "file"),
    ("/index.html", "file"),
    ("/assets/index-5f3a.js", "file"),
    ("/docs/errors", "file"),
    ("/openapi/image-gen.json", "file"),
    ("/openapi.json", "own"),
    ("/health", "own"),
    ("/testing-gui", "own"),
    ("/admin-panel", "own"),
    ("/healthy", "file"),
    ("/mcp", "not_found"),
    ("/mcp/sse", "not_found"),
    ("/mcpx", "file"),
    ("/.well-known/oauth-protected-resource", "not_found"),
    ("/.well-known/oauth-protected-resource/mcp", "not_found"),
    ("/.well-known/security.txt", "file"),
    ("/api", "file"),
    ("/apix/image-gen/health", "file"),
    ("/API/image-gen/health", "file"),
    ("/internal/v1/resolve", "file"),
    ("/auth", "file"),
    ("/auth/session", "own"),
    ("/api/image-gen/generate", "IMAGE_GEN /generate"),
    (
        "/api/image-gen/generate?dry_run=1&x=a/b//c",
        "IMAGE_GEN /generate?dry_run=1&x=a/b//c",
    ),
    ("/api/image-gen/generate#top", "IMAGE_GEN /generate"),
    ("/api/image-gen", "IMAGE_GEN /"),
    ("/api/image-gen/", "IMAGE_GEN /"),
    ("/api/image-gen?x=1", "IMAGE_GEN /?x=1"),
    (
        "/api/image-gen/v1/models/ideogram/ideogram-3",
        "IMAGE_GEN /v1/models/ideogram/ideogram-3",
    ),
    (
        "/api/image-gen/v1/models/ideogram%2Fideogram-3",
        "IMAGE_GEN /v1/models/ideogram%2Fideogram-3",
    ),
    (
        "/api/image-gen/images/production/default/1_a.png?exp=1&sig=x",
        "IMAGE_GEN /images/production/default/1_a.png?exp=1&sig=x",
    ),
    (
        "/api/config-service/instance/production",
        "CONFIG_SERVICE /instance/production",
    ),
    ("/api/admission/health", "ADMISSION /health"),
    ("/api/admission/openapi.json", "ADMISSION /openapi.json"),
    ("/api/admission/health/x", "not_found"),
    ("/api/admission", "not_found"),
    ("/api/admission/acquire", "not_found"),
    ("/api/", "not_found"),
    ("/api/nope/tasks", "not_found"),
    ("/api/probe/kv", "not_found"),
    ("/api/console/health", "not_found"),
    ("/api/Image-Gen/generate", "not_found"),
    ("/api/config-service/internal/v1/resolve", "not_found"),
    ("/api/config-service/internal", "not_found"),
    ("/api/config-service/INTERNAL/v1/resolve", "not_found"),
    ("/api/config-service/%69nternal/v1/resolve", "not_found"),
    ("/api/config-service/intern%61l/v1/resolve", "not_found"),
    ("/api/image-gen/internal/x", "not_found"),
    (
        "/api/config-service/%2Finternal/v1/resolve",
        "invalid_request",
    ),
    (
        "/api/config-service//internal/v1/resolve",
        "invalid_request",
    ),
    ("/api//config-service/health", "invalid_request"),
    (
        "/api/config-service/./internal/v1/resolve",
        "invalid_request",
    ),
    (
        "/api/config-service/%2e/internal/v1/resolve",
        "invalid_request",
    ),
    ("/api/config-service/%2E/./internal/x", "invalid_request"),
    ("/api/./config-service/health", "invalid_request"),
    (
        "/api/config-service/x/../internal/v1/resolve",
        "invalid_request",
    ),
    (
        "/api/config-service/x/%2e%2E/internal/v1/resolve",
        "invalid_request",
    ),
    ("/api/config-service/..", "invalid_request"),
    ("/api/config-service/a%2Fb", "invalid_request"),
    ("/api/config-service/a%5Cb", "invalid_request"),
    ("/api/config-service%2Fhealth", "invalid_request"),
    ("/api/image-gen/images/a/%00", "invalid_request"),
    ("/api/image-gen/a\\b", "invalid_request"),
    ("/api/image-gen/a%zz", "IMAGE_GEN /a%zz"),
    ("/api/image-gen/%", "IMAGE_GEN /%"),
];

/// Query and `X-Instance-ID` of a request to image-gen.
const INSTANCES: &[(&str, &str, &str)] = &[
    ("", "", "IMAGE_GEN /x"),
    ("", "production", "IMAGE_GEN /x"),
    ("?__instance=production", "", "IMAGE_GEN /x +production"),
    (
        "?a=1&__instance=production&b=%20",
        "",
        "IMAGE_GEN /x?a=1&b=%20 +production",
    ),
    ("?%5f_instance=production", "", "IMAGE_GEN /x +production"),
    ("?__instance=prod%75ction", "", "IMAGE_GEN /x +production"),
    // The header wins, and the worker never sees the member.
    ("?a=1&__instance=b", "production", "IMAGE_GEN /x?a=1"),
    ("?", "", "IMAGE_GEN /x?"),
    ("?__instances=b", "", "IMAGE_GEN /x?__instances=b"),
    ("?a=__instance=b", "", "IMAGE_GEN /x?a=__instance=b"),
    ("?__instance", "", "invalid_field"),
    ("?__instance=", "", "invalid_field"),
    ("?__instance=../x", "", "invalid_field"),
    ("?__instance=A", "", "invalid_field"),
    ("?__instance=a%0d%0aX-Evil:1", "", "invalid_field"),
    ("?__instance=a&__instance=b", "", "invalid_field"),
    ("?__instance=a&__instance=a", "", "invalid_field"),
];

/// What is bound beside `CONFIG_SERVICE`, query and `X-Instance-ID` of a request to image-gen where no worker serves all.
const WAYS: &[(&[&str], &str, &str, &str)] = &[
    (&[], "", "", "which image-gen /x"),
    (&[], "", "production", "production's image-gen /x"),
    (
        &[],
        "?__instance=production&a=1",
        "",
        "production's image-gen /x?a=1 +production",
    ),
    (&[], "?__instance=a", "b", "b's image-gen /x"),
    (&[], "", "Production", "invalid_field"),
    (&[], "", "../x", "invalid_field"),
    (&[], "", "all", "invalid_field"),
    (
        &["IMAGE_GEN__PRODUCTION"],
        "",
        "",
        "IMAGE_GEN__PRODUCTION /x +production",
    ),
    (
        &["IMAGE_GEN__PRODUCTION"],
        "",
        "production",
        "IMAGE_GEN__PRODUCTION /x",
    ),
    (
        &["IMAGE_GEN__PRODUCTION"],
        "?__instance=production",
        "",
        "IMAGE_GEN__PRODUCTION /x +production",
    ),
    // The only one that is bound is not taken for another that is named.
    (
        &["IMAGE_GEN__PRODUCTION"],
        "",
        "staging",
        "staging's image-gen /x",
    ),
    (
        &["IMAGE_GEN__EU_WEST_1"],
        "",
        "eu-west-1",
        "IMAGE_GEN__EU_WEST_1 /x",
    ),
    (
        &["IMAGE_GEN__EU_WEST_1", "IMAGE_GEN__PRODUCTION"],
        "",
        "",
        "which image-gen /x",
    ),
    (
        &["IMAGE_GEN__EU_WEST_1", "IMAGE_GEN__PRODUCTION"],
        "",
        "production",
        "IMAGE_GEN__PRODUCTION /x",
    ),
    // A worker of all instances chooses for itself.
    (
        &["IMAGE_GEN", "IMAGE_GEN__PRODUCTION"],
        "",
        "",
        "IMAGE_GEN /x",
    ),
    // Bindings of other workers and of another form are none of image-gen's.
    (
        &[
            "ADMISSION__PRODUCTION",
            "IMAGE_GEN_PRODUCTION",
            "IMAGE_GEN__x",
            "IMAGE_GEN__ALL",
        ],
        "",
        "",
        "which image-gen /x",
    ),
];

pub(crate) const FROM_PAGE: (&str, &str) = ("origin", HOUSE);
pub(crate) const CONSOLE: (&str, &str) = ("x-switchyard-console", "1");
const SOCKET: (&str, &str) = ("upgrade", "websocket");
const BEARER: (&str, &str) = ("authorization", "Bearer x");

/// Method, headers, decision.
type Row = (
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
);

/// Method and headers beside the session's cookie -> whether it is forwarded with the session, without, or refused.
const IDENTITIES: &[Row] = &[
    ("GET", &[], "+session"),
    ("HEAD", &[], "+session"),
    ("GET", &[("sec-fetch-site", "same-origin")], "+session"),
    ("GET", &[("sec-fetch-site", "none")], "+session"),
    ("GET", &[("sec-fetch-site", "same-site")], "csrf_rejected"),
    ("GET", &[("sec-fetch-site", "cross-site")], "csrf_rejected"),
    ("HEAD", &[("sec-fetch-site", "cross-site")], "csrf_rejected"),
    ("GET", &[("sec-fetch-site", "")], "csrf_rejected"),
    (
        "GET",
        &[("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")],
        "csrf_rejected",
    ),
    // Reading needs no origin: browsers send none with it.
    ("GET", &[("origin", "http://evil.example")], "+session"),
    ("POST", &[], "csrf_rejected"),
    ("POST", &[FROM_PAGE], "csrf_rejected"),
    ("POST", &[CONSOLE], "csrf_rejected"),
    ("POST", &[FROM_PAGE, CONSOLE], "+session"),
    ("PUT", &[FROM_PAGE, CONSOLE], "+session"),
    ("PATCH", &[FROM_PAGE, CONSOLE], "+session"),
    ("DELETE", &[FROM_PAGE, CONSOLE], "+session"),
    ("DELETE", &[FROM_PAGE], "csrf_rejected"),
    (
        "OPTIONS",
        &[("origin", "http://evil.example")],
        "csrf_rejected",
    ),
    (
        "POST",
        &[FROM_PAGE, CONSOLE, ("sec-fetch-site", "same-origin")],
        "+session",
    ),
    (
        "POST",
        &[FROM_PAGE, CONSOLE, ("sec-fetch-site", "same-site")],
        "csrf_rejected",
    ),
    (
        "POST",
        &[("origin", "http://127.0.0.1:5173"), CONSOLE],
        "+session",
    ),
    (
        "POST",
        &[("origin", "http://127.0.0.1:5174"), CONSOLE],
        "csrf_rejected",
    ),
    (
        "POST",
        &[("origin", "http://localhost:8787"), CONSOLE],
        "csrf_rejected",
    ),
    (
        "POST",
        &[("origin", "https://127.0.0.1:8787"), CONSOLE],
        "csrf_rejected",
    ),
    (
        "POST",
        &[("origin", "http://127.0.0.1"), CONSOLE],
        "csrf_rejected",
    ),
    (
        "POST",
        &[("origin", "http://127.0.0.1:8787/"), CONSOLE],
        "csrf_rejected",
    ),
    (
        "POST",
        &[("origin", "http://127.0.0.1:8787.evil.example"), CONSOLE],
        "csrf_rejected",
    ),
    ("POST", &[("origin", "null"), CONSOLE], "csrf_rejected"),
    ("POST", &[("origin", ""), CONSOLE], "csrf_rejected"),
    ("POST", &[FROM_PAGE, FROM_PAGE, CONSOLE], "csrf_rejected"),
    (
        "POST",
        &[FROM_PAGE, ("x-switchyard-console", "true")],
        "csrf_rejected",
    ),
    ("POST", &[FROM_PAGE, CONSOLE, CONSOLE], "csrf_rejected"),
    ("GET", &[SOCKET], "csrf_rejected"),
    ("GET", &[SOCKET, FROM_PAGE], "+session"),
    (
        "GET",
        &[SOCKET, ("origin", "http://127.0.0.1:5173")],
        "+session",
    ),
    (
        "GET",
        &[SOCKET, ("origin", "http://evil.example")],
        "csrf_rejected",
    ),
    ("GET", &[SOCKET, ("origin", "null")], "csrf_rejected"),
    (
        "GET",
        &[SOCKET, FROM_PAGE, ("sec-fetch-site", "cross-site")],
        "csrf_rejected",
    ),
    // With a key of its own a request is nobody's browser, whatever else it says.
    ("GET", &[BEARER], ""),
    ("POST", &[BEARER], ""),
    ("POST", &[BEARER, ("origin", "http://evil.example")], ""),
    ("POST", &[BEARER, ("sec-fetch-site", "cross-site")], ""),
    ("GET", &[BEARER, SOCKET], ""),
    ("POST", &[("authorization", "")], ""),
    ("POST", &[BEARER, BEARER], ""),
];

/// Method and headers, never a cookie: the rules hold for signing in and out all the same.
const SIGNING: &[Row] = &[
    ("GET", &[], "own"),
    ("GET", &[("sec-fetch-site", "cross-site")], "csrf_rejected"),
    ("POST", &[], "csrf_rejected"),
    ("POST", &[FROM_PAGE], "csrf_rejected"),
    ("POST", &[CONSOLE], "csrf_rejected"),
    ("POST", &[FROM_PAGE, CONSOLE], "own"),
    (
        "POST",
        &[("origin", "http://evil.example"), CONSOLE],
        "csrf_rejected",
    ),
    ("POST", &[BEARER], "csrf_rejected"),
    ("DELETE", &[], "csrf_rejected"),
    ("DELETE", &[FROM_PAGE, CONSOLE], "own"),
];

/// Host -> whether a local console serves it.
const HOSTS: &[(&str, bool)] = &[
    ("127.0.0.1:8787", true),
    ("127.0.0.1", true),
    ("localhost:1", true),
    ("LOCALHOST", true),
    ("[::1]:8787", true),
    ("[::1]", true),
    ("evil.example:8787", false),
    ("127.0.0.1.evil.example", false),
    ("localhost.evil.example", false),
    ("[::2]:8787", false),
    ("::1", false),
    ("", false),
    ("127.0.0.1@evil.example", false),
];

#[test]
fn the_tables_hold_at_least_120_heads() {
    let rows =
        PATHS.len() + INSTANCES.len() + WAYS.len() + IDENTITIES.len() + SIGNING.len() + HOSTS.len();
    assert!(rows >= 120, "{rows}");
}

#[test]
fn every_form_of_path_has_its_decision() {
    for (path, want) in PATHS {
        let got = decided(&local(), "GET", &format!("{HOUSE}{path}"), &[]);
        assert_eq!(got, *want, "{path}");
    }
}

#[test]
fn a_query_names_the_instance_where_no_header_can() {
    for (query, header, want) in INSTANCES {
        let url = format!("{HOUSE}/api/image-gen/x{query}");
        let named = [("x-instance-id", *header)];
        let pairs: &[(&str, &str)] = if header.is_empty() { &[] } else { &named };
        assert_eq!(decided(&local(), "GET", &url, pairs), *want, "{query}");
    }
    // config-service has the instance in its paths, and the member is not its business.
    let url = format!("{HOUSE}/api/config-service/x?__instance=a");
    let got = decided(&local(), "GET", &url, &[]);
    assert_eq!(got, "CONFIG_SERVICE /x?__instance=a");
}

#[test]
fn where_no_worker_serves_all_instances_the_request_says_which() {
    for (bindings, query, header, want) in WAYS {
        let gateway = Gateway {
            bindings: bindings.iter().map(|it| (*it).to_owned()).collect(),
            ..local()
        };
        let url = format!("{HOUSE}/api/image-gen/x{query}");
        let named = [("x-instance-id", *header)];
        let pairs: &[(&str, &str)] = if header.is_empty() { &[] } else { &named };
        let got = decided(&gateway, "GET", &url, pairs);
        assert_eq!(got, *want, "{bindings:?} {query} {header}");
        // The control plane is one for all.
        let url = format!("{HOUSE}/api/config-service/x");
        let got = decided(&gateway, "GET", &url, pairs);
        assert_eq!(got, "CONFIG_SERVICE /x", "{bindings:?}");
    }
    let twice = [("x-instance-id", "a"), ("x-instance-id", "a")];
    let url = format!("{HOUSE}/api/image-gen/x");
    let got = decided(&Gateway::default(), "GET", &url, &twice);
    assert_eq!(got, "invalid_field");
}

#[test]
fn the_own_paths_are_those_of_the_table() {
    let table = console::routes::routes::<platform::fakes::FakePorts>();
    let served = table.marks().iter().map(|mark| mark.path);
    let mut served: Vec<&str> = served
        .filter(|it| !["/", "/auth/session"].contains(it))
        .collect();
    let mut own = OWN.to_vec();
    served.sort_unstable();
    own.sort_unstable();
    assert_eq!(served, own);
}

#[test]
fn a_session_is_sent_for_the_consoles_own_pages_only() {
    let cookie = format!("a=b; sy_session_8787={KEY}");
    for (worker, binding) in [
        ("config-service", "CONFIG_SERVICE"),
        ("image-gen", "IMAGE_GEN"),
    ] {
        for (method, pairs, want) in IDENTITIES {
            let mut pairs = pairs.to_vec();
            pairs.push(("cookie", &cookie));
            let url = format!("{HOUSE}/api/{worker}/x");
            let got = decided(&local(), method, &url, &pairs);
            let want = match *want {
                "csrf_rejected" => "csrf_rejected".to_owned(),
                "" => format!("{binding} /x"),
                added => format!("{binding} /x {added}"),
            };
            assert_eq!(got, want, "{method} {pairs:?}");
        }
    }
}

#[test]
fn without_a_session_the_rules_are_the_workers_business() {
    let typo = format!("sy_session_8787={}", KEY.replace("akblb", "akblc"));
    let other_port = format!("sy_session_8788={KEY}");
    let other_name = format!("__Host-sy_session={KEY}");
    for cookie in ["", "a=b", &typo, &other_port, &other_name] {
        for (method, pairs, _) in IDENTITIES {
            let mut pairs = pairs.to_vec();
            pairs.push(("cookie", cookie));
            let got = decided(
                &local(),
                method,
                &format!("{HOUSE}/api/image-gen/x"),
                &pairs,
            );
            assert_eq!(got, "IMAGE_GEN /x", "{method} {pairs:?}");
        }
    }
}

#[test]
fn a_deployment_takes_its_own_cookie_and_origins() {
    let good = format!("__Host-sy_session={KEY}");
    let loopback = format!("sy_session_443={KEY}");
    for (cookie, origin, want) in [
        (&good, "https://console.example", "IMAGE_GEN /x +session"),
        (
            &good,
            "https://console.acme.example",
            "IMAGE_GEN /x +session",
        ),
        (&good, "http://console.example", "csrf_rejected"),
        (&good, "https://console.example:443", "csrf_rejected"),
        (&good, "https://acme.example", "csrf_rejected"),
        (&loopback, "https://evil.example", "IMAGE_GEN /x"),
    ] {
        let pairs = [("cookie", cookie.as_str()), ("origin", origin), CONSOLE];
        let url = "https://console.example/api/image-gen/x";
        assert_eq!(decided(&deployed(), "POST", url, &pairs), want, "{origin}");
    }
    // Browsers write hosts in lower case, whatever the link said.
    let pairs = [
        ("cookie", good.as_str()),
        ("host", "Console.Example"),
        ("origin", "https://console.example"),
        CONSOLE,
    ];
    let url = "https://console.example/api/image-gen/x";
    assert_eq!(
        decided(&deployed(), "POST", url, &pairs),
        "IMAGE_GEN /x +session"
    );
}

#[test]
fn nobody_signs_a_visitor_in_or_out_from_outside() {
    for (method, pairs, want) in SIGNING {
        let got = decided(&local(), method, &format!("{HOUSE}/auth/session"), pairs);
        assert_eq!(got, *want, "{method} {pairs:?}");
    }
}

#[test]
fn a_local_stack_serves_loopback_names_only() {
    for (host, served) in HOSTS {
        for path in ["/api/image-gen/health", "/auth/session", "/play", "/health"] {
            let url = format!("{HOUSE}{path}");
            let got = decided(&local(), "GET", &url, &[("host", host)]);
            let refused = got == Code::OriginRefused.as_str();
            assert_eq!(!refused, *served, "{host} {path}");
            let open = decided(&Gateway::default(), "GET", &url, &[("host", host)]);
            assert_ne!(open, Code::OriginRefused.as_str(), "{host} {path}");
        }
    }
    // Without the header the URL says which host was meant.
    let got = decided(&local(), "GET", "http://evil.example/", &[]);
    assert_eq!(got, "origin_refused");
}

#[test]
fn the_probe_is_there_in_tests_only() {
    let probing = Gateway {
        probe: true,
        ..local()
    };
    let ask = head("POST", "http://localhost/api/probe/kv/get?x=1", &[]);
    let Decision::Forward(forward) = decide(&ask, &probing) else {
        panic!("not forwarded")
    };
    assert_eq!(
        (forward.target, forward.path_and_query.as_str()),
        (PROBE, "/kv/get?x=1")
    );
    let Decision::Reject(error) = decide(&ask, &local()) else {
        panic!("forwarded")
    };
    assert_eq!(
        error.details["workers"],
        json!(["config-service", "image-gen", "admission"])
    );
}

#[test]
fn bodies_over_the_largest_cap_are_refused_unread() {
    for (length, want) in [
        ("54525952", "IMAGE_GEN /generate"),
        ("54525953", "payload_too_large"),
        ("99999999999999999999", "payload_too_large"),
    ] {
        let url = "http://localhost/api/image-gen/generate";
        let got = decided(&local(), "POST", url, &[("content-length", length)]);
        assert_eq!(got, want, "{length}");
    }
}

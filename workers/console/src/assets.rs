//! The application's page and files, and where earlier addresses of it went.
//!
//! In scope: which paths are pages, page and files read from `ASSETS`. Out of scope: what is under a page, which the
//! application decides; which files there are and how long they may be kept (`_headers`), which the build decides.

use crate::head::Head;
use crate::state::Deps;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use errors::{Code, Error, Result};
use http::header::{
    CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH, LOCATION,
};
use http::{HeaderMap, Method, StatusCode};
use middleware::Context;
use platform::{HttpClient, HttpRequest, Ports, collect};
use std::sync::LazyLock;

/// The binding's name in errors and in `/health`.
pub(crate) const BINDING: &str = "ASSETS";
/// The page is a few kilobytes; more is not it.
const MAX_PAGE_BYTES: u64 = 256 * 1024;
/// The platform stores no larger file.
const MAX_FILE_BYTES: u64 = 25 * 1024 * 1024;
/// The platform reads it from its own store, in milliseconds.
const TIMEOUT_MS: u64 = 10_000;
/// Where the documents are, and their page for what is none of them.
const DOCS: &str = "/docs/";
const NO_DOCUMENT: &str = "/docs/404";
/// First segments of the application's routes; the application's own list.
const ROUTES: &str = include_str!("../web/src/routes.json");

static PAGES: LazyLock<Vec<String>> =
    LazyLock::new(|| serde_json::from_str(ROUTES).unwrap_or_default());

/// First segments of the application's routes.
pub fn pages() -> &'static [String] {
    &PAGES
}

/// Whether the application has a page there: by the first segment. Folders of files are none, so that an old chunk is
/// 404 after a deployment and never HTML.
pub fn is_page(path: &str) -> bool {
    let first = path
        .strip_prefix('/')
        .and_then(|rest| rest.split('/').next());
    path == "/" || first.is_some_and(|first| pages().iter().any(|page| page == first))
}

/// What the store answered.
pub(crate) struct Stored {
    status: u16,
    headers: HeaderMap,
    body: axum::body::Bytes,
}

impl Stored {
    /// As an answer, with those of its headers.
    fn into_response(self, kept: &[HeaderName]) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        for name in kept {
            if let Some(value) = self.headers.get(name) {
                response.headers_mut().insert(name, value.clone());
            }
        }
        response
    }
}

fn unavailable(cause: String) -> Error {
    Error::new(
        Code::UpstreamUnavailable,
        "The application's files cannot be read.",
    )
    .with_internal(cause)
    .with_detail("worker", BINDING)
    .with_retry_after_ms(2_000)
}

/// Reads from `ASSETS`.
///
/// # Errors
/// 502 `upstream_unavailable` when the binding is missing, fails, or has too much.
async fn read<P: Ports>(
    deps: &Deps<P>,
    method: Method,
    target: &str,
    if_none_match: Option<&HeaderValue>,
    max_bytes: u64,
) -> Result<Stored> {
    let service = deps
        .assets
        .as_ref()
        .ok_or_else(|| unavailable("the binding ASSETS is missing".to_owned()))?;
    let mut headers = HeaderMap::new();
    if let Some(value) = if_none_match {
        headers.insert(IF_NONE_MATCH, value.clone());
    }
    let response = service
        .send(HttpRequest {
            method,
            url: format!("http://assets{target}"),
            headers,
            body: axum::body::Bytes::new(),
            timeout_ms: TIMEOUT_MS,
        })
        .await
        .map_err(|failure| unavailable(failure.cause))?;
    let body = collect(response.body, max_bytes)
        .await
        .map_err(|error| unavailable(format!("{error:?}")))?;
    Ok(Stored {
        status: response.status,
        headers: response.headers,
        body,
    })
}

/// The page, read as `/`: `/index.html` would be a redirect.
async fn read_page<P: Ports>(
    deps: &Deps<P>,
    method: Method,
    if_none_match: Option<&HeaderValue>,
) -> Result<Stored> {
    let page = read(deps, method, "/", if_none_match, MAX_PAGE_BYTES).await?;
    if matches!(page.status, 200 | 304) {
        return Ok(page);
    }
    Err(unavailable(format!(
        "ASSETS answered {} for the page: the web bundle is missing or incomplete",
        page.status
    )))
}

/// A page of the application: always the same HTML, `no-cache` with its `ETag`.
///
/// 1. The page from `ASSETS` (502). 200, or 304 for the version that the client has.
pub(crate) async fn page<P: Ports>(State(deps): State<Deps<P>>, head: Head) -> Result<Response> {
    let method = head.method.clone();
    let page = read_page(&deps, method, head.headers.get(IF_NONE_MATCH)).await?;
    let mut response = page.into_response(&[CONTENT_TYPE, ETAG]);
    let no_cache = HeaderValue::from_static("no-cache");
    response.headers_mut().insert(CACHE_CONTROL, no_cache);
    Ok(response)
}

/// A file of the application.
///
/// 1. The file from `ASSETS` (404, 502). 2. A method that files know (405).
///
/// 200, 304, or the store's own redirect, kept as long as `_headers` says.
pub(crate) async fn file<P: Ports>(deps: &Deps<P>, head: &Head) -> Result<Response> {
    let served = matches!(head.method, Method::GET | Method::HEAD);
    // Whether there is a file decides between 404 and 405.
    let method = if served {
        head.method.clone()
    } else {
        Method::HEAD
    };
    let target = format!("{}{}", head.path, head.query);
    let if_none_match = head.headers.get(IF_NONE_MATCH);
    let stored = read(deps, method, &target, if_none_match, MAX_FILE_BYTES).await?;
    match stored.status {
        200 | 304 | 307 if !served => Err(Error::new(
            Code::MethodNotAllowed,
            "A file can only be read.",
        )),
        200 | 304 | 307 => Ok(stored.into_response(&[CONTENT_TYPE, ETAG, CACHE_CONTROL, LOCATION])),
        404 if head.path.starts_with(DOCS) => no_document(deps, &head.method).await,
        404 => Err(Error::not_found("page or file")),
        other => Err(unavailable(format!(
            "ASSETS answered {other} for {}",
            head.path
        ))),
    }
}

/// The documents' own page for an address that leads to nothing; the JSON error when the bundle has none.
async fn no_document<P: Ports>(deps: &Deps<P>, method: &Method) -> Result<Response> {
    let method = if method == Method::HEAD {
        Method::HEAD
    } else {
        Method::GET
    };
    let mut page = read(deps, method, NO_DOCUMENT, None, MAX_PAGE_BYTES).await?;
    if page.status != 200 {
        return Err(Error::not_found("page or file"));
    }
    page.status = 404;
    let mut response = page.into_response(&[CONTENT_TYPE]);
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, no_store);
    Ok(response)
}

fn moved(to: &str, head: &Head) -> (StatusCode, [(HeaderName, String); 1]) {
    // The query is the caller's and stays: it comes from a URL, so it is one line of ASCII.
    let to = format!("{to}{}", head.query);
    (StatusCode::PERMANENT_REDIRECT, [(LOCATION, to)])
}

/// `/testing-gui`: 308 to the playground.
pub(crate) async fn testing_gui(head: Head) -> impl IntoResponse {
    moved("/play", &head)
}

/// `/admin-panel`: 308 to the instances.
pub(crate) async fn admin_panel(head: Head) -> impl IntoResponse {
    moved("/admin/instances", &head)
}

/// The version of the bundle that is served: the page names every other file by its hash, so its `ETag` stands for all.
/// `None` when the page cannot be read.
pub(crate) async fn version<P: Ports>(deps: &Deps<P>, context: &Context) -> Option<String> {
    match read_page(deps, Method::HEAD, None).await {
        Ok(page) => {
            let tag = page.headers.get(ETAG)?.to_str().ok()?;
            let tag = tag.trim_start_matches("W/").trim_matches('"');
            (!tag.is_empty()).then(|| tag.to_owned())
        }
        Err(error) => {
            let request_id = context.request_id();
            tracing::warn!(request_id, cause = %error, "the application's page cannot be read");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    #[test]
    fn pages_are_told_by_their_first_segment() {
        for yes in [
            "/",
            "/login",
            "/play",
            "/admin",
            "/admin/instances",
            "/play/",
        ] {
            assert!(is_page(yes), "{yes}");
        }
        for no in [
            "",
            "play",
            "//play",
            "/Play",
            "/playx",
            "/x/play",
            "/assets/play",
            "/index.html",
            "/%70lay",
            "/health",
        ] {
            assert!(!is_page(no), "{no}");
        }
    }

    #[test]
    fn no_page_hides_a_file_or_a_route_of_the_console() {
        assert!(pages().len() >= 3, "{:?}", pages());
        for page in pages() {
            let taken = [
                "api", "auth", "assets", "docs", "openapi", "mcp", "health", "index", "internal",
            ];
            assert!(!taken.contains(&page.as_str()), "{page}");
            let plain = page.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
            assert!(plain && !page.is_empty(), "{page}");
        }
    }

    /// First segments of the paths that the files under `routes/` declare: `path: "/admin/users"`.
    fn declared(routes: &Path) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for entry in std::fs::read_dir(routes).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                found.extend(declared(&path));
            } else if path
                .extension()
                .is_some_and(|end| end == "tsx" || end == "ts")
            {
                let text = std::fs::read_to_string(&path).unwrap();
                let paths = text.split("path: \"/").skip(1);
                let first = paths.filter_map(|rest| rest.split(['/', '"']).next());
                found.extend(first.filter(|it| !it.is_empty()).map(ToOwned::to_owned));
            }
        }
        found
    }

    #[test]
    fn the_list_is_that_of_the_application() {
        let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
        let routes = web.join("src/routes");
        assert!(
            routes.is_dir() || !web.join("package.json").exists(),
            "the application has no folder src/routes"
        );
        if routes.is_dir() {
            let listed: BTreeSet<String> = pages().iter().cloned().collect();
            assert_eq!(listed, declared(&routes), "web/src/routes.json");
        }
    }
}

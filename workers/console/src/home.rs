//! The first page: what is running, and the line that makes an image.
//!
//! In scope: one page without script and without inline style, every value escaped. Out of scope: signing in,
//! administration.

use crate::health::{WorkerHealth, ask_all};
use crate::state::Deps;
use axum::extract::State;
use axum::response::{Html, IntoResponse};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST};
use http::{HeaderMap, Uri};
use middleware::Context;
use platform::Ports;
use std::fmt::Write;

const STYLE: &str = include_str!("style.css");

/// Text as it stands in HTML, also inside a quoted attribute.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// Host and port, if they are that and nothing else: the line that is copied into a shell must not carry more.
fn clean_host(headers: &HeaderMap, uri: &Uri) -> String {
    let host = headers
        .get(HOST)
        .and_then(|value| value.to_str().ok())
        .or_else(|| uri.authority().map(http::uri::Authority::as_str))
        .unwrap_or_default();
    let clean = !host.is_empty()
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']'));
    if clean { host } else { "127.0.0.1:8787" }.to_owned()
}

/// `GET /`.
pub(crate) async fn page<P: Ports>(
    State(deps): State<Deps<P>>,
    context: Context,
    uri: Uri,
    headers: HeaderMap,
) -> Html<String> {
    let workers = ask_all(&deps, &context).await;
    let scheme = if uri.scheme_str() == Some("https") {
        "https"
    } else {
        "http"
    };
    let origin = format!("{scheme}://{}", clean_host(&headers, &uri));
    Html(html(&origin, &deps.git_sha, &workers))
}

/// `GET /style.css`.
pub(crate) async fn style() -> impl IntoResponse {
    (
        [
            (CONTENT_TYPE, "text/css; charset=utf-8"),
            (CACHE_CONTROL, "no-cache"),
        ],
        STYLE,
    )
}

fn row(out: &mut String, worker: &WorkerHealth) {
    let (name, status) = (worker.worker, worker.status);
    let known = |text: &Option<String>| escape(text.as_deref().unwrap_or("unknown"));
    let _infallible = write!(
        out,
        r#"<tr><th scope="row">{name}</th><td><span class="state {status}">{status}</span></td><td>{version}</td><td><code>{git_sha}</code></td><td class="num">{took} ms</td><td><a href="/api/{name}/openapi.json">openapi.json</a></td></tr>"#,
        version = known(&worker.version),
        git_sha = known(&worker.git_sha),
        took = worker.took_ms,
    );
}

fn html(origin: &str, git_sha: &str, workers: &[WorkerHealth]) -> String {
    let mut rows = String::new();
    let own = WorkerHealth {
        worker: "console",
        binding: "",
        status: "ok",
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        git_sha: Some(git_sha.to_owned()),
        took_ms: 0,
    };
    row(&mut rows, &own);
    for worker in workers {
        row(&mut rows, worker);
    }
    // The console describes itself at its own root.
    let rows = rows.replace("/api/console/openapi.json", "/openapi.json");
    let up = workers.iter().filter(|it| it.status == "ok").count() + 1;
    let all = workers.len() + 1;
    let (class, summary) = if up == all {
        ("ok", format!("All {all} workers are up"))
    } else {
        ("degraded", format!("{up} of {all} workers are up"))
    };
    let curl = escape(&format!(
        "curl -s {origin}/api/image-gen/generate \\\n  -H \"Authorization: Bearer $KEY\" \\\n  -H 'Content-Type: application/json' \\\n  -d '{{\"prompt\":\"a lighthouse\",\"instance_id\":\"development\"}}'"
    ));
    format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Switchyard</title>
<link rel="stylesheet" href="/style.css">
</head>
<body>
<header>
<p class="brand"><span class="mark" aria-hidden="true"></span>Switchyard</p>
<p class="summary {class}">{summary}</p>
</header>
<main>
<h1>One key, many providers</h1>
<p class="lead">Switchyard generates images through the providers of your instance: with its own keys, limits, prices and storage.</p>
<section aria-labelledby="make">
<h2 id="make">Make an image</h2>
<p>Put an API key into <code>KEY</code>, then:</p>
<pre tabindex="0"><code>{curl}</code></pre>
<p>The answer holds <code>image_url</code>, what it cost, and how it was made. The same works with any OpenAI client at <code>{base}/api/image-gen/v1</code>.</p>
</section>
<section aria-labelledby="running">
<h2 id="running">What is running</h2>
<div class="scroll" tabindex="0" role="region" aria-labelledby="running">
<table>
<thead><tr><th scope="col">Worker</th><th scope="col">State</th><th scope="col">Version</th><th scope="col">Commit</th><th scope="col" class="num">Answered in</th><th scope="col">Interface</th></tr></thead>
<tbody>{rows}</tbody>
</table>
</div>
</section>
</main>
<footer><a href="/health">health</a> <a href="/openapi.json">openapi.json</a></footer>
</body>
</html>
"#,
        base = escape(origin),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_worker_says_stays_text() {
        let evil = WorkerHealth {
            worker: "image-gen",
            binding: "IMAGE_GEN",
            status: "ok",
            version: Some("<script>alert(1)</script>".into()),
            git_sha: Some("\"'><img src=x>&".into()),
            took_ms: 3,
        };
        let page = html("http://127.0.0.1:8787", "</code><b>", &[evil]);
        for bad in ["<script", "<img", "<b>", "style=", "onload", "javascript:"] {
            assert!(!page.contains(bad), "{bad}");
        }
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    }

    #[test]
    fn only_a_clean_host_reaches_the_command_line() {
        let host = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, text.parse().unwrap());
            clean_host(&headers, &Uri::from_static("/"))
        };
        assert_eq!(host("localhost:8787"), "localhost:8787");
        assert_eq!(host("[::1]:9"), "[::1]:9");
        for evil in ["a;rm -rf ~", "a$(id)", "a'b", "a b", "a/b", ""] {
            assert_eq!(host(evil), "127.0.0.1:8787", "{evil}");
        }
    }
}

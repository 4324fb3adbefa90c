//! Requests with a secret where it does not belong.
//!
//! In scope: the places of a request that a caller fills, taken from its recipe. Out of scope: which secrets, in which
//! encoding, and what must not become of them (`platform::fakes::Watch` and the worker's tests).

use super::matrix::{Filled, Listed, Recipe};
use super::{TestApp, TestResponse};
use crate::state::AppState;
use http::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Headers that callers and proxies set.
const HEADERS: [&str; 26] = [
    "x-api-key",
    "x-request-id",
    "traceparent",
    "tracestate",
    "baggage",
    "x-instance-id",
    "x-project-id",
    "idempotency-key",
    "user-agent",
    "cookie",
    "proxy-authorization",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "range",
    "referer",
    "origin",
    "access-control-request-headers",
    "accept",
    "accept-language",
    "prefer",
    "forwarded",
    "x-forwarded-for",
    "cf-connecting-ip",
    "x-amz-security-token",
    "x-unknown",
];

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub struct Misplaced {
    /// Where the secret stands: `header cookie`, `path key_id`, `member name`.
    pub place: String,
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Option<(&'static str, String)>,
    /// Whether the caller's own key goes with it.
    keyed: bool,
}

/// Everything that has a meaning in a URL is encoded; what is encoded already stays as it is.
fn in_url(text: &str) -> String {
    text.bytes().fold(String::new(), |mut url, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte) {
            url.push(char::from(byte));
        } else {
            let _ = write!(url, "%{byte:02X}");
        }
        url
    })
}

impl Misplaced {
    fn of(filled: &Filled, place: String) -> Self {
        let headers = filled.headers.clone();
        let body = filled.body.as_ref();
        Self {
            place,
            method: filled.method.clone(),
            path: filled.path.clone(),
            headers,
            body: body.map(|body| ("application/json", body.to_string())),
            keyed: true,
        }
    }

    /// With another value of that header than the recipe's.
    fn header(mut self, name: &'static str, value: String) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value));
        self
    }

    /// Sends it; `key` is that of the caller who may do what is asked for.
    pub async fn send<D: AppState>(&self, app: &TestApp<D>, key: &str) -> TestResponse {
        let mut request = app.request(self.method.clone(), &self.path);
        if self.keyed && !key.is_empty() {
            request = request.key(key);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some((kind, body)) = &self.body {
            request = request.text(kind, body.clone());
        }
        request.send().await
    }
}

/// The request of that recipe with the secret in each place of its head in turn.
pub fn in_heads(filled: &Filled, secret: &str) -> Vec<Misplaced> {
    let of = |place: String| Misplaced::of(filled, place);
    let mut all: Vec<Misplaced> = HEADERS
        .into_iter()
        .map(|name| of(format!("header {name}")).header(name, secret.to_owned()))
        .collect();
    for value in [
        format!("Bearer {secret}"),
        format!("Basic {secret}"),
        format!("Bearer {secret},{secret}"),
        format!("token {secret}"),
        secret.to_owned(),
    ] {
        let mut asked = of("header authorization".to_owned()).header("authorization", value);
        asked.keyed = false;
        all.push(asked);
    }
    all.push(of("header cookie".to_owned()).header("cookie", format!("sy_session={secret}; a=b")));
    all.push(of("header tracestate".to_owned()).header("tracestate", format!("a={secret},b=c")));
    all.push(of("header baggage".to_owned()).header("baggage", format!("k={secret};p=1")));
    let and = if filled.path.contains('?') { '&' } else { '?' };
    let url = in_url(secret);
    for query in [
        format!("q={url}"),
        format!("cursor={url}"),
        format!("limit={url}"),
        format!("sort={url}"),
        format!("instance_id={url}"),
        format!("api_key={url}"),
        format!("{url}=1"),
        url.clone(),
    ] {
        let mut asked = of(format!("query {query}"));
        asked.path = format!("{}{and}{query}", filled.path);
        all.push(asked);
    }
    for path in [
        format!("/{url}"),
        format!("{}/{url}", filled.path.split('?').next().unwrap_or("/")),
    ] {
        let mut asked = of("path".to_owned());
        asked.path = path;
        all.push(asked);
    }
    all
}

/// Requests that are refused before anything is asked of the platform, because the caller's key is none: a secret in each
/// place of the head, and a secret with a character too few for a key. Cheap, for reading many log lines.
pub fn refused(filled: &Filled, secret: &str) -> Vec<Misplaced> {
    let cut = secret.get(..secret.len() - 1).unwrap_or_default();
    let keyless = |mut asked: Misplaced| {
        let other = asked.place == "header authorization";
        if !other {
            asked = asked.header("authorization", format!("Bearer {cut}"));
        }
        asked.keyed = false;
        // Read before the key is looked at, and of no use here.
        asked.body = None;
        asked
    };
    in_heads(filled, secret).into_iter().map(keyless).collect()
}

/// The request of that recipe with the secret in each of its path parameters in turn.
///
/// # Errors
/// A placeholder that nothing fills.
pub fn in_paths(
    recipe: &Recipe,
    listed: &Listed,
    values: &BTreeMap<&'static str, String>,
    secret: &str,
) -> Result<Vec<Misplaced>, String> {
    let names = listed.path.split('{').skip(1);
    let names = names.filter_map(|rest| rest.split('}').next());
    let names: Vec<&str> = names.map(|name| name.trim_start_matches('*')).collect();
    let mut all = Vec::new();
    for name in names {
        // The body and the query may name it too: what is looked at is the path.
        let mut path = listed.path.clone();
        path = path.replace(&format!("{{{name}}}"), &in_url(secret));
        path = path.replace(&format!("{{*{name}}}"), &in_url(secret));
        let elsewhere = Listed {
            path,
            ..listed.clone()
        };
        let filled = recipe.request(&elsewhere, values)?;
        all.push(Misplaced::of(&filled, format!("path {name}")));
    }
    Ok(all)
}

/// The request of that recipe with the secret in its body: in every member, beside them, as a name, in a broken text.
pub fn in_bodies(filled: &Filled, secret: &str) -> Vec<Misplaced> {
    let whole = filled.body.clone().unwrap_or_else(|| json!({}));
    let mut all = Vec::new();
    let mut put = |place: String, kind: &'static str, body: String| {
        let mut asked = Misplaced::of(filled, place);
        asked.body = Some((kind, body));
        all.push(asked);
    };
    let json = "application/json";
    let members = whole.as_object().cloned().unwrap_or_default();
    for name in members.keys() {
        for value in [
            json!(secret),
            json!([secret]),
            json!({secret: secret}),
            json!({"api_key": secret}),
        ] {
            let mut members = members.clone();
            members.insert(name.clone(), value);
            put(
                format!("member {name}"),
                json,
                Value::Object(members).to_string(),
            );
        }
    }
    for name in ["api_key", "x_more", "name", "prompt", "config", secret] {
        for value in [json!(secret), json!([secret])] {
            let mut members = members.clone();
            members.insert(name.to_owned(), value);
            put(
                format!("unknown member {name}"),
                json,
                Value::Object(members).to_string(),
            );
        }
    }
    let text = whole.to_string();
    let open = text.trim_end_matches('}');
    for (place, body) in [
        ("a cut text", format!("{open},\"api_key\":\"{secret}")),
        ("a text that goes on", format!("{text}{secret}")),
        ("a bare word", format!("{{\"api_key\":{secret}}}")),
        ("a control character", format!("\u{1}{secret}")),
        (
            "a member twice",
            format!("{{\"{secret}\":1,\"{secret}\":2}}"),
        ),
        ("a bad escape", format!("{{\"a\":\"\\x{secret}\"}}")),
        ("an array", format!("[\"{secret}\"]")),
        ("a text", format!("\"{secret}\"")),
    ] {
        put(place.to_owned(), json, body);
    }
    put("another type".to_owned(), "text/plain", secret.to_owned());
    put(
        "a form".to_owned(),
        "application/x-www-form-urlencoded",
        format!("api_key={}", in_url(secret)),
    );
    all
}

#[cfg(test)]
mod tests {
    use super::super::matrix::Kind;
    use super::*;

    #[test]
    fn every_place_holds_the_secret_and_every_path_is_one() {
        let listed = Listed {
            id: "update_thing".to_owned(),
            method: Method::PATCH,
            path: "/thing/{thing_id}/{*rest}".to_owned(),
            class: "A".to_owned(),
            scope: None,
            success: vec![200],
        };
        let recipe = Recipe::of("update_thing", "A", "-", Kind::Instance)
            .query("a=1")
            .body(json!({"name": "x", "to": {"a": 1}}));
        let values = BTreeMap::from([("thing_id", "t1".to_owned()), ("rest", "r".to_owned())]);
        let plain = Listed {
            path: "/thing/{thing_id}/{rest}".to_owned(),
            ..listed.clone()
        };
        let filled = recipe.request(&plain, &values).unwrap();
        let secret = "a+secret/with=everything";
        let in_path = in_paths(&recipe, &plain, &values, secret).unwrap();
        let all: Vec<Misplaced> = in_heads(&filled, secret)
            .into_iter()
            .chain(in_path)
            .chain(in_bodies(&filled, secret))
            .collect();
        for asked in &all {
            assert!(asked.path.parse::<http::Uri>().is_ok(), "{}", asked.path);
            let whole = format!("{asked:?}");
            assert!(
                whole.contains(secret) || whole.contains(&in_url(secret)),
                "{whole}"
            );
        }
        for place in [
            "header cookie",
            "path thing_id",
            "path rest",
            "member name",
            "member to",
            "a cut text",
        ] {
            assert!(all.iter().any(|asked| asked.place == place), "{place}");
        }
        for asked in refused(&filled, secret) {
            let key = asked
                .headers
                .iter()
                .filter(|(name, _)| *name == "authorization");
            assert_eq!(key.count(), 1, "{asked:?}");
            assert!(!asked.keyed && asked.body.is_none());
        }
    }
}

//! The head of a request: what is decided by, before a body is read.
//!
//! In scope: method, path, query, host, scheme, the origin that follows from them. Out of scope: what is done with it.

use axum::body::Body;
use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, Method, Request, header};
use std::convert::Infallible;

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

    /// The origin that a browser gives to pages of this address: RFC 6454 section 6.2, host in lower case.
    pub fn origin(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}", self.host.to_ascii_lowercase())
    }

    /// The one text of a header; `None` when it is missing, repeated or not text.
    pub fn text(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let first = values.next()?.to_str().ok();
        first.filter(|_| values.next().is_none())
    }

    /// Whether the client asks for another protocol on this connection.
    pub fn is_upgrade(&self) -> bool {
        self.headers.contains_key(header::UPGRADE)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Head {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let url = parts.uri.to_string();
        Ok(Self::new(
            parts.method.as_str(),
            &url,
            parts.headers.clone(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_target_is_read_with_the_host_header() {
        let mut headers = HeaderMap::new();
        headers.insert("host", "LocalHost:8787".parse().unwrap());
        let head = Head::new("GET", "http:///play?x=1#y", headers);
        assert_eq!((head.path.as_str(), head.query.as_str()), ("/play", "?x=1"));
        assert_eq!(head.origin(), "http://localhost:8787");
    }

    #[test]
    fn a_repeated_header_has_no_one_text() {
        let mut headers = HeaderMap::new();
        headers.append("origin", "http://a".parse().unwrap());
        let head = |headers: &HeaderMap| Head::new("GET", "http://a/", headers.clone());
        assert_eq!(head(&headers).text("origin"), Some("http://a"));
        headers.append("origin", "http://a".parse().unwrap());
        assert_eq!(head(&headers).text("origin"), None);
        assert_eq!(head(&headers).text("host"), None);
    }
}

//! What a handler answers with, in a form that can be stored and replayed.
//!
//! In scope: status, body, `ETag`, Location; the request id in bodies. Out of scope: errors (`errors`, `middleware`).

use axum::response::{IntoResponse, Response};
use errors::{Error, Result};
use http::header::{CACHE_CONTROL, ETAG, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};

/// One answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// JSON object; `None` for answers without a body.
    pub body: Option<Value>,
    /// Version of the resource, which is its `ETag`.
    pub version: Option<i64>,
    /// Path of what was made.
    pub location: Option<String>,
    /// It holds a secret: it is stored sealed and never cached.
    pub secret: bool,
    /// It is an earlier answer again.
    pub replayed: bool,
}

impl Answer {
    /// 200 with a body.
    pub fn ok(body: Value) -> Self {
        Self {
            status: 200,
            body: Some(body),
            version: None,
            location: None,
            secret: false,
            replayed: false,
        }
    }

    /// 201 with a body and the path of what was made.
    pub fn created(body: Value, location: String) -> Self {
        Self {
            status: 201,
            location: Some(location),
            ..Self::ok(body)
        }
    }

    /// 204.
    pub fn no_content() -> Self {
        Self {
            status: 204,
            body: None,
            ..Self::ok(Value::Null)
        }
    }

    /// With that version as `ETag`.
    #[must_use]
    pub fn at_version(mut self, version: i64) -> Self {
        self.version = Some(version);
        self
    }

    /// The text that is stored for an `Idempotency-Key`.
    pub fn to_stored(&self) -> String {
        json!({"body": self.body, "version": self.version, "location": self.location}).to_string()
    }

    /// An answer that was stored.
    pub fn from_stored(status: u16, text: &str) -> Result<Self> {
        let mut stored: Value = serde_json::from_str(text)
            .map_err(|_| Error::internal("a stored answer is not in our form"))?;
        let body = stored
            .get_mut("body")
            .map(Value::take)
            .filter(|body| !body.is_null());
        Ok(Self {
            status,
            body,
            version: stored.get("version").and_then(Value::as_i64),
            location: stored
                .get("location")
                .and_then(Value::as_str)
                .map(str::to_owned),
            secret: false,
            replayed: true,
        })
    }

    /// The response, with `request_id` as the last member of the body.
    pub fn into_response(self, request_id: &str) -> Response {
        let mut headers = HeaderMap::new();
        let mut set = |name: HeaderName, text: String| {
            if let Ok(value) = HeaderValue::from_str(&text) {
                headers.insert(name, value);
            }
        };
        if let Some(version) = self.version {
            set(ETAG, format!("\"{version}\""));
        }
        if let Some(location) = self.location {
            set(LOCATION, location);
        }
        if self.replayed {
            set(
                HeaderName::from_static("idempotent-replayed"),
                "true".into(),
            );
        }
        set(CACHE_CONTROL, "no-store".into());
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        match self.body {
            Some(mut body) => {
                if let Some(members) = body.as_object_mut() {
                    members.insert("request_id".into(), request_id.into());
                }
                (status, headers, axum::Json(body)).into_response()
            }
            None => (status, headers).into_response(),
        }
    }
}

/// 304 when the client has that version already, else the answer.
pub fn unless_known(request: &HeaderMap, version: i64, answer: Answer) -> Answer {
    let tag = format!("\"{version}\"");
    // If-None-Match compares weakly: a proxy may have marked our tag so.
    let known = request
        .get(http::header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|tags| {
            tags.split(',')
                .map(|member| member.trim().trim_start_matches("W/"))
                .any(|member| member == tag || member == "*")
        });
    if known {
        Answer {
            status: 304,
            body: None,
            ..answer
        }
        .at_version(version)
    } else {
        answer.at_version(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_answer_format_unchanged() {
        let answer =
            Answer::created(json!({"org_id": "x"}), "/organization/x".into()).at_version(1);
        let text = answer.to_stored();
        assert_eq!(
            text,
            r#"{"body":{"org_id":"x"},"version":1,"location":"/organization/x"}"#
        );
        let replay = Answer::from_stored(201, &text).unwrap();
        assert_eq!(
            replay,
            Answer {
                replayed: true,
                ..answer
            }
        );
        assert!(
            Answer::from_stored(204, &Answer::no_content().to_stored())
                .unwrap()
                .body
                .is_none()
        );
    }
}

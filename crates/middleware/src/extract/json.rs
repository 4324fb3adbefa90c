//! The strict body.

use super::{explain, object, strict};
use crate::layers::body_cap::too_large;
use crate::layers::content_type::{is_json, unsupported};
use axum::body::Body;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use errors::{Code, Error, Result};
use http::Extensions;
use http_body_util::{BodyExt, LengthLimitError};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::error::Error as _;

/// The cap that layer `body_cap` put on this body, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyCap(pub(crate) usize);

/// The body as layer `auth` left it, with the member `api_key` taken out, or why it cannot be read.
#[derive(Clone, Debug)]
pub(crate) struct PreparedBody(pub(crate) Result<Value>);

/// A JSON body of exactly that form: no unknown or repeated members (the type says `deny_unknown_fields`), nothing
/// after it, at most 32 levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Json<T>(pub T);

/// Reads a body up to its cap.
///
/// # Errors
/// 413 `payload_too_large`; 400 `invalid_request` when the client broke off.
pub async fn read_body(extensions: &Extensions, body: Body) -> Result<Bytes> {
    match body.collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) => {
            let mut source = error.source();
            let mut over = false;
            while let Some(inner) = source {
                over |= inner.is::<LengthLimitError>();
                source = inner.source();
            }
            if over {
                let cap = extensions.get::<BodyCap>().map_or(0, |cap| cap.0);
                return Err(too_large(cap));
            }
            Err(Error::new(
                Code::InvalidRequest,
                "The body could not be read to its end.",
            )
            .with_internal(error.to_string()))
        }
    }
}

/// Reads a type out of a parsed body.
///
/// # Errors
/// 400 `unknown_field` or `invalid_field` with `details.field`.
pub fn parse_json<T: DeserializeOwned>(value: Value) -> Result<T> {
    serde_path_to_error::deserialize(object::Strict(value)).map_err(|error| {
        let path = error.path().to_string();
        explain::explain(&path, &error.inner().to_string(), "body")
    })
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Error;

    /// # Errors
    /// 415 without a JSON content type, 413, 400.
    async fn from_request(request: Request, _state: &S) -> Result<Self> {
        let (parts, body) = request.into_parts();
        if !is_json(&parts.headers) {
            return Err(unsupported());
        }
        let value = match parts.extensions.get::<PreparedBody>() {
            Some(PreparedBody(prepared)) => prepared.clone()?,
            None => strict::parse(&read_body(&parts.extensions, body).await?)?,
        };
        parse_json(value).map(Json)
    }
}

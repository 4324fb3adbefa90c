//! Path and query parameters, refused in the house's form.

use super::explain;
use axum::extract::{FromRequestParts, RawPathParams};
use errors::{Error, Result};
use http::request::Parts;
use serde::de::DeserializeOwned;

/// Path parameters, as axum's `Path`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path<T>(pub T);

/// Query parameters; the type says `deny_unknown_fields`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Error;

    /// # Errors
    /// 400 `invalid_field`.
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(rejection) => {
                let names = RawPathParams::from_request_parts(parts, state).await.ok();
                let names: Vec<String> = names
                    .iter()
                    .flatten()
                    .map(|(name, _)| name.to_owned())
                    .collect();
                Err(
                    Error::invalid_field(&names.join(", "), "has not the form of such an id")
                        .with_internal(rejection.body_text()),
                )
            }
        }
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    /// # Errors
    /// 400 `unknown_field` or `invalid_field`.
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        match axum::extract::Query::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => {
                let text = rejection.body_text();
                let text = text
                    .strip_prefix("Failed to deserialize query string: ")
                    .unwrap_or(&text);
                // Newer versions put the parameter's name before the message.
                let known = |text: &str| {
                    ["unknown ", "missing ", "invalid ", "duplicate ", "must "]
                        .iter()
                        .any(|start| text.starts_with(start))
                };
                let (name, message) = match text.split_once(": ") {
                    Some((name, message)) if !known(text) => (name, message),
                    _ => ("", text),
                };
                Err(explain::explain(name, message, "query"))
            }
        }
    }
}

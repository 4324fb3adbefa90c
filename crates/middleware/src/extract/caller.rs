//! Who calls: the resolved caller, the presented key, the worker of the house.

use crate::layers::auth::auth_failed;
use api_types::{InstanceConfig, InstanceId, InstanceVerdict, ProjectId, Secret};
use auth::key::PresentedKey;
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use errors::{Error, Result};
use http::request::Parts;
use lookup::{Hints, Resolved};
use serde::Deserialize;
use std::ops::Deref;
use std::sync::Arc;

/// The resolved caller of a route with a `need`. Derefs to `lookup::Resolved`. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Caller(pub(crate) Arc<Resolved>);

impl Deref for Caller {
    type Target = Resolved;

    fn deref(&self) -> &Resolved {
        &self.0
    }
}

impl From<Resolved> for Caller {
    fn from(resolved: Resolved) -> Self {
        Self(Arc::new(resolved))
    }
}

fn lacks(what: &str) -> Error {
    Error::internal(format!("the route's operation does not resolve the {what}"))
}

impl Caller {
    /// The instance.
    ///
    /// # Errors
    /// 500 when the route's operation has no need for one: a mistake of ours.
    pub fn instance(&self) -> Result<&InstanceVerdict> {
        self.0.instance.as_ref().ok_or_else(|| lacks("instance"))
    }

    /// The instance's id.
    ///
    /// # Errors
    /// As `instance`.
    pub fn instance_id(&self) -> Result<&InstanceId> {
        Ok(&self.instance()?.instance_id)
    }

    /// The instance's configuration.
    ///
    /// # Errors
    /// As `instance`.
    pub fn config(&self) -> Result<&Arc<InstanceConfig>> {
        self.0.config.as_ref().ok_or_else(|| lacks("configuration"))
    }

    /// The project's id, if there is one.
    pub fn project_id(&self) -> Option<&ProjectId> {
        self.0.project.as_ref().map(|project| &project.project_id)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self> {
        parts
            .extensions
            .get::<Caller>()
            .cloned()
            .ok_or_else(|| lacks("caller"))
    }
}

/// A key whose form is good. Whether it is valid is not known yet.
#[derive(Clone, Debug)]
pub struct Presented {
    /// Its parts.
    pub key: PresentedKey,
    /// The whole key.
    pub raw: Secret,
}

/// What layer `auth` found: nothing, a good form, or why not.
#[derive(Clone)]
pub(crate) struct MaybePresented(pub(crate) Option<Result<Presented>>);

impl<S: Send + Sync> FromRequestParts<S> for Presented {
    type Rejection = Error;

    /// # Errors
    /// 401 without a key or with a malformed one.
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self> {
        match parts.extensions.get::<MaybePresented>() {
            Some(MaybePresented(Some(presented))) => presented.clone(),
            _ => Err(auth_failed("missing")),
        }
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Presented {
    type Rejection = Error;

    /// # Errors
    /// 401 for a malformed key; on public routes only, elsewhere the layer refuses first.
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>> {
        match parts.extensions.get::<MaybePresented>() {
            Some(MaybePresented(Some(presented))) => presented.clone().map(Some),
            _ => Ok(None),
        }
    }
}

/// What the calling worker's service binding says. The worker's shell puts it into the request's extensions; on public
/// HTTP it is empty, and no header can forge it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Props {
    /// The calling worker.
    pub caller: Option<String>,
    /// The one instance that the calling set of workers serves.
    pub instance_id: Option<InstanceId>,
}

impl Props {
    /// From the members of the binding's props; a malformed instance is none.
    pub fn new(caller: Option<String>, instance_id: Option<&str>) -> Self {
        Self {
            caller,
            instance_id: instance_id.and_then(|id| InstanceId::parse(id).ok()),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Props {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self> {
        Ok(parts.extensions.get::<Props>().cloned().unwrap_or_default())
    }
}

/// `lookup::Hints` belongs to another crate, so handlers that resolve the caller themselves take it in this way.
#[derive(Clone, Debug, Default)]
pub struct RequestHints(pub Hints);

impl<S: Send + Sync> FromRequestParts<S> for RequestHints {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self> {
        Ok(Self(
            parts.extensions.get::<Hints>().cloned().unwrap_or_default(),
        ))
    }
}

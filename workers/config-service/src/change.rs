//! What a mutation is: the description that the module `mutate` carries out.
//!
//! In scope: the steps a resource fills in. Out of scope: their order, atomicity, publication.

use crate::answer::Answer;
use crate::fields;
use crate::settings::Settings;
use api_types::{AuthContext, InstanceConfig, InstanceId, KeyId, Secret, Timestamp};
use auth::key::PresentedKey;
use auth::permission::{Operation, Target};
use axum::extract::{FromRequest, Request};
use errors::{Code, Error, Result};
use middleware::{Context, IdempotencyKey, IfMatch, Json, Presented, parse_json};
use platform::{Rows, Statement};
use serde::de::DeserializeOwned;
use serde_json::Value;
use store::control::audit::ChainOf;

/// The request around a mutation.
#[derive(Clone, Debug)]
pub struct Demand {
    /// Ids, address, trace.
    pub context: Context,
    /// The key.
    pub presented: Presented,
    /// Which version may be changed.
    pub if_match: IfMatch,
    /// `Idempotency-Key`; only of POST.
    pub idempotency: Option<String>,
    /// Method and path, the name of the route in `idempotency`.
    pub route: String,
    /// The worker of the house that calls by its binding, without a key.
    pub worker: Option<String>,
}

impl Demand {
    /// Of a POST.
    pub fn post(context: Context, presented: Presented, key: IdempotencyKey, path: &str) -> Self {
        Self {
            context,
            presented,
            if_match: IfMatch::Missing,
            idempotency: key.0,
            route: format!("POST {path}"),
            worker: None,
        }
    }

    /// Of a PUT or DELETE, which are repeatable by themselves.
    pub fn repeatable(
        context: Context,
        presented: Presented,
        if_match: IfMatch,
        path: &str,
    ) -> Self {
        Self {
            context,
            presented,
            if_match,
            idempotency: None,
            route: path.to_owned(),
            worker: None,
        }
    }

    /// Of a POST by a worker of the house, which the route's operation names.
    pub fn by_worker(context: Context, worker: &str, key: IdempotencyKey, path: &str) -> Self {
        // There is no key: statements that judge one find nothing.
        let nobody = Presented {
            key: PresentedKey {
                key_id: KeyId::nobody(),
                secret: Secret::new(""),
            },
            raw: Secret::new(""),
        };
        Self {
            worker: Some(worker.to_owned()),
            ..Self::post(context, nobody, key, path)
        }
    }
}

/// A body whose mistakes are told only after the caller was authorized. Its size and type are checked at once.
#[derive(Clone, Debug)]
pub struct Body(pub Result<Value>);

impl Body {
    /// The body as a type; its mistakes stay inside.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        self.0.clone().and_then(parse_json)
    }

    /// A part of the body by its JSON pointer, also when others are wrong.
    pub fn at(&self, pointer: &str) -> Option<&Value> {
        self.0.as_ref().ok()?.pointer(pointer)
    }

    /// A member of the body as text, also when others are wrong: what the target is, is needed for authorizing.
    pub fn text(&self, member: &str) -> Option<&str> {
        self.0.as_ref().ok()?.get(member)?.as_str()
    }
}

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Error;

    /// # Errors
    /// 413, 415.
    async fn from_request(request: Request, state: &S) -> Result<Self> {
        match Json::<Value>::from_request(request, state).await {
            Ok(Json(value)) => Ok(Self(fields::no_credentials(&value).map(|()| value))),
            Err(error) => match error.code {
                Code::PayloadTooLarge | Code::UnsupportedMediaType => Err(error),
                _ => Ok(Self(Err(error))),
            },
        }
    }
}

/// What a change is decided on.
#[derive(Clone, Copy, Debug)]
pub struct Decision<'a> {
    /// Who.
    pub auth: &'a AuthContext,
    /// Results of the change's own reads.
    pub rows: &'a [Rows],
    /// Now.
    pub now: Timestamp,
    /// Which version may be changed.
    pub if_match: &'a IfMatch,
    /// Vars and secrets.
    pub settings: &'a Settings,
}

impl Decision<'_> {
    /// The result of one read.
    pub fn rows(&self, index: usize) -> Rows {
        self.rows.get(index).cloned().unwrap_or_default()
    }

    /// Compares `If-Match` with a row that exists; who lost the race is told what is there now.
    ///
    /// # Errors
    /// 428 `precondition_required`, 412 `version_mismatch` with `details {"current_version","current"}`.
    pub fn check_version(&self, version: i64, current: impl FnOnce() -> Value) -> Result<()> {
        self.if_match.check(version).map_err(|error| {
            if error.code == Code::VersionMismatch {
                error.with_detail("current", current())
            } else {
                error
            }
        })
    }

    /// The count `n` of one read.
    pub fn count(&self, index: usize) -> i64 {
        self.rows
            .get(index)
            .and_then(|rows| rows.first()?.int("n"))
            .unwrap_or(0)
    }
}

/// What the audit log says about a change.
#[derive(Clone, Debug)]
pub struct Audited {
    /// Kind of the thing.
    pub target_type: &'static str,
    /// Its id.
    pub target_id: String,
    /// The instance it belongs to.
    pub instance_id: Option<InstanceId>,
    /// Changed members before; secrets masked.
    pub before: Value,
    /// Changed members after; secrets masked.
    pub after: Value,
}

/// What was decided.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Guards and writes, in order.
    pub statements: Vec<Statement>,
    /// The audit entry; `None` when nothing changes, then nothing but the answer to an `Idempotency-Key` is written.
    pub audited: Option<Audited>,
    /// What the caller gets.
    pub answer: Answer,
    /// The new effective configuration.
    pub publish: Option<InstanceConfig>,
}

impl Outcome {
    /// Everything is as wanted already.
    pub fn unchanged(answer: Answer) -> Self {
        Self {
            statements: Vec::new(),
            audited: None,
            answer,
            publish: None,
        }
    }
}

/// One mutation of one resource. It may be decided several times, each time on newer rows.
pub trait Change: Send + Sync {
    /// Its line in the permission table.
    const OPERATION: &'static Operation;

    /// The instance it is about, to narrow the caller's choices.
    fn instance(&self) -> Option<&InstanceId> {
        None
    }

    /// The audit chain it belongs to.
    fn chain(&self) -> ChainOf;

    /// The text that tells one request body from another.
    fn fingerprint(&self) -> String;

    /// What it needs to know.
    fn reads(&self, caller: &Presented, now: Timestamp) -> Vec<Statement>;

    /// What it is about.
    ///
    /// # Errors
    /// 404 when it does not exist.
    fn target(&self, decision: &Decision<'_>) -> Result<Target>;

    /// Decides. Runs only for a permitted caller.
    ///
    /// # Errors
    /// 403 beyond the permission table, 400, 428, 412, 409.
    fn decide(&self, decision: &Decision<'_>) -> Result<Outcome>;
}

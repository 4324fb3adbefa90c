//! All ports of one event.

use crate::{
    WorkerActors, WorkerBackground, WorkerClock, WorkerDatabase, WorkerHttp, WorkerKv,
    WorkerObjects, WorkerQueue, WorkerRandom, WorkerService, js,
};
use platform::{Ops, PortError, Ports};
use wasm_bindgen::JsValue;
use worker::{Context, Env, State};

/// The family of Workers ports, and what they are made from: per event, never kept for the next one.
#[derive(Clone)]
pub struct WorkerPorts {
    env: Env,
    context: JsValue,
    ops: Ops,
}

impl WorkerPorts {
    /// The ports of a fetch or queue event.
    pub fn of_event(env: &Env, context: &Context, ops: Ops) -> Self {
        let context: &JsValue = context.as_ref().as_ref();
        Self {
            env: env.clone(),
            context: context.clone(),
            ops,
        }
    }

    /// The ports inside a Durable Object.
    pub fn of_object(env: &Env, state: &State, ops: Ops) -> Self {
        let context: &JsValue = state.as_raw().as_ref();
        Self {
            env: env.clone(),
            context: context.clone(),
            ops,
        }
    }

    /// The ports of anything else that has `waitUntil`, such as a scheduled event.
    pub fn of_context(env: &Env, context: JsValue, ops: Ops) -> Self {
        Self {
            env: env.clone(),
            context,
            ops,
        }
    }

    /// The counter that all of them share.
    pub fn ops(&self) -> Ops {
        self.ops.clone()
    }

    /// Time.
    pub fn clock(&self) -> WorkerClock {
        WorkerClock
    }

    /// Randomness.
    pub fn random(&self) -> WorkerRandom {
        WorkerRandom
    }

    /// A KV namespace.
    pub fn kv(&self, binding: &str) -> Result<WorkerKv, PortError> {
        let namespace = self.binding("kv", binding)?;
        Ok(WorkerKv::new(namespace, self.ops()))
    }

    /// An R2 bucket.
    pub fn objects(&self, binding: &str) -> Result<WorkerObjects, PortError> {
        let bucket = self.binding("objects", binding)?;
        Ok(WorkerObjects::new(bucket, self.ops()))
    }

    /// A D1 database.
    pub fn database(&self, binding: &str) -> Result<WorkerDatabase, PortError> {
        let database = self.binding("database", binding)?;
        Ok(WorkerDatabase::new(database, self.ops()))
    }

    /// A queue.
    pub fn queue(&self, binding: &str) -> Result<WorkerQueue, PortError> {
        Ok(WorkerQueue::new(self.binding("queue", binding)?))
    }

    /// A Durable Object namespace.
    pub fn actors(&self, binding: &str) -> Result<WorkerActors, PortError> {
        let namespace = self.binding("actors", binding)?;
        Ok(WorkerActors::new(namespace, self.ops()))
    }

    /// The outside.
    pub fn http(&self) -> WorkerHttp {
        WorkerHttp::new(self.ops())
    }

    /// Another worker.
    pub fn service(&self, binding: &str) -> Result<WorkerService, PortError> {
        let fetcher = self.binding("service", binding)?;
        Ok(WorkerService::new(fetcher, self.ops()))
    }

    /// After the answer.
    pub fn background(&self) -> WorkerBackground {
        WorkerBackground::new(self.context.clone())
    }

    fn binding(&self, port: &'static str, name: &str) -> Result<JsValue, PortError> {
        let binding = js::peek(&self.env, name);
        if binding.is_object() || binding.is_function() {
            Ok(binding)
        } else {
            Err(PortError::new(
                port,
                format!("there is no binding `{name}`"),
            ))
        }
    }
}

impl std::fmt::Debug for WorkerPorts {
    /// Without the environment, which holds the secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WorkerPorts")
    }
}

/// The text of a variable; `None` when it is not set or empty.
pub fn var(env: &Env, name: &str) -> Option<String> {
    let text = js::peek(env, name).as_string();
    text.filter(|text| !text.is_empty())
}

/// The text of a secret; `None` when it is not set or empty.
pub fn secret(env: &Env, name: &str) -> Option<String> {
    var(env, name)
}

/// The platform's id of this version of the worker, from a binding of type `version_metadata`; `None` where there is none,
/// as on a laptop.
pub fn version_id(env: &Env, name: &str) -> Option<String> {
    let id = js::peek(&js::peek(env, name), "id").as_string();
    id.filter(|id| !id.is_empty())
}

impl Ports for WorkerPorts {
    type Clock = WorkerClock;
    type Random = WorkerRandom;
    type Kv = WorkerKv;
    type Objects = WorkerObjects;
    type Database = WorkerDatabase;
    type Queue = WorkerQueue;
    type Actors = WorkerActors;
    type Http = WorkerHttp;
    type Service = WorkerService;
    type Background = WorkerBackground;
}

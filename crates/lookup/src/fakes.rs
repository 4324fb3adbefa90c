//! A scripted config-service for tests.

use crate::source::{ConfigSource, unavailable};
use api_types::{InstanceConfig, InstanceId, ResolveReply, ResolveRequest};
use errors::{Code, Error, Result};
use platform::CallContext;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Default)]
struct Script {
    replies: BTreeMap<String, Result<ResolveReply>>,
    configs: BTreeMap<InstanceId, InstanceConfig>,
    asked: Vec<ResolveRequest>,
    config_calls: u32,
    down: bool,
    configs_down: bool,
}

/// Answers by the whole key; unknown keys get 401. Instances are known by the configurations of the replies.
#[derive(Clone, Default)]
pub struct FakeSource(Arc<Mutex<Script>>);

impl FakeSource {
    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What that key gets from now on.
    pub fn answer(&self, api_key: &str, reply: Result<ResolveReply>) {
        let mut script = self.script();
        if let Ok(ResolveReply {
            config: Some(config),
            ..
        }) = &reply
        {
            script
                .configs
                .insert(config.instance_id.clone(), config.clone());
        }
        script.replies.insert(api_key.to_owned(), reply);
    }

    /// Whether every call fails from now on.
    pub fn set_down(&self, down: bool) {
        self.script().down = down;
    }

    /// Whether every call for a configuration without a caller fails from now on.
    pub fn set_configs_down(&self, down: bool) {
        self.script().configs_down = down;
    }

    /// The questions so far, failed ones included.
    pub fn asked(&self) -> Vec<ResolveRequest> {
        self.script().asked.clone()
    }

    /// How often a configuration was asked for without a caller.
    pub fn config_calls(&self) -> u32 {
        self.script().config_calls
    }
}

impl ConfigSource for FakeSource {
    async fn resolve(
        &self,
        request: ResolveRequest,
        _context: &CallContext,
    ) -> Result<ResolveReply> {
        let mut script = self.script();
        script.asked.push(request.clone());
        if script.down {
            return Err(unavailable("down"));
        }
        let mut reply = script
            .replies
            .get(request.credential.expose())
            .cloned()
            .unwrap_or_else(|| {
                Err(Error::new(Code::AuthFailed, "The key is not valid.")
                    .with_detail("reason", "unknown"))
            })?;
        if let (Some(have), Some(instance)) = (&request.have, &reply.instance)
            && have.instance_id == instance.instance_id
            && have.config_version == instance.config_version
        {
            reply.config = None;
        }
        Ok(reply)
    }

    async fn config(
        &self,
        instance_id: &InstanceId,
        have: Option<i64>,
        _context: &CallContext,
    ) -> Result<Option<InstanceConfig>> {
        let mut script = self.script();
        script.config_calls += 1;
        if script.down || script.configs_down {
            return Err(unavailable("down"));
        }
        let config = script
            .configs
            .get(instance_id)
            .ok_or_else(|| Error::not_found("instance"))?;
        Ok((have != Some(config.config_version)).then(|| config.clone()))
    }
}

//! A small house for the look-up's tests: one config-service whose state, speed and health the test decides.

use api_types::{
    AuthContext, InstanceConfig, InstanceId, InstanceStatus, InstanceVerdict, KeyId, KeyRef, Need,
    OrgId, PrincipalKind, ResolveReply, ResolveRequest, Role, Scope, Secret, SecretVersion,
    Timestamp, UserId, UserRef,
};
use auth::key::{MintedKey, PresentedKey};
use errors::{Code, Error, Result};
use lookup::{ConfigSource, Hints, Lookup, LookupCache, Resolved, kv};
use platform::fakes::{FakeClock, FakePorts, FakeRandom, World};
use platform::{CallContext, Clock, KvStore, Random};
use std::sync::{Arc, Mutex, MutexGuard};

pub(crate) const INSTANCE: &str = "production";

#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) down: bool,
    pub(crate) hang: bool,
    pub(crate) delay_ms: u64,
    /// Each way takes up to so long, drawn anew for each.
    pub(crate) travel_ms: u64,
    pub(crate) refuse: Option<Code>,
    pub(crate) version: i64,
    pub(crate) asked: Vec<ResolveRequest>,
    pub(crate) config_calls: u32,
}

/// config-service, seen from its binding.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) state: Arc<Mutex<State>>,
    clock: FakeClock,
    random: FakeRandom,
}

impl Source {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    async fn travel(&self) {
        let most_ms = self.state().travel_ms;
        if most_ms > 0 {
            // Mostly quick, sometimes almost as slow as the caller's patience.
            let most_ms = if self.random.next_u64().is_multiple_of(4) {
                most_ms
            } else {
                20
            };
            self.clock.sleep(self.random.next_u64() % most_ms).await;
        }
    }

    async fn work(&self) -> Result<()> {
        let (delay_ms, hang, down) = {
            let state = self.state();
            (state.delay_ms, state.hang, state.down)
        };
        if hang {
            std::future::pending::<()>().await;
        }
        if delay_ms > 0 {
            self.clock.sleep(delay_ms).await;
        }
        if down {
            return Err(Error::new(Code::ConfigUnavailable, "down"));
        }
        Ok(())
    }
}

pub(crate) fn config(version: i64) -> InstanceConfig {
    serde_json::from_value(serde_json::json!({
        "instance_id": INSTANCE,
        "org_id": "0198f0a0-0000-7000-8000-000000000001",
        "config_version": version,
        "name": "Production",
    }))
    .unwrap()
}

pub(crate) fn reply(version: i64, key_id: &KeyId, checked_ms: i64) -> ResolveReply {
    let org_id = OrgId::parse("0198f0a0-0000-7000-8000-000000000001").unwrap();
    ResolveReply {
        v: 1,
        checked_at: Timestamp(checked_ms),
        auth: AuthContext {
            principal: format!("key:{key_id}"),
            kind: PrincipalKind::UserKey,
            role: Role::User,
            user: Some(UserRef {
                user_id: UserId::parse("0198f0a1-0000-7000-8000-000000000001").unwrap(),
                email: "user@acme.example".into(),
                org_id: Some(org_id.clone()),
            }),
            org_id: Some(org_id),
            key: Some(KeyRef {
                key_id: key_id.clone(),
                secret: SecretVersion::Current,
                expires_at: None,
            }),
            project_id: None,
            instances: vec![InstanceId::parse(INSTANCE).unwrap()],
            instances_more: false,
            permissions: vec![Scope::All],
        },
        instance: Some(InstanceVerdict {
            instance_id: InstanceId::parse(INSTANCE).unwrap(),
            status: InstanceStatus::Active,
            config_version: version,
        }),
        project: None,
        config: Some(config(version)),
    }
}

impl ConfigSource for Source {
    async fn resolve(
        &self,
        request: ResolveRequest,
        _context: &CallContext,
    ) -> Result<ResolveReply> {
        self.travel().await;
        // What is true when the question arrives is the answer, however long it travels.
        let (refuse, version) = {
            let mut state = self.state();
            state.asked.push(request.clone());
            (state.refuse, state.version)
        };
        self.work().await?;
        self.travel().await;
        if let Some(code) = refuse {
            return Err(Error::new(code, "refused"));
        }
        let key = auth::key::parse(request.credential.expose()).unwrap();
        let mut reply = reply(version, &key.key_id, self.clock.now_ms());
        if request
            .have
            .is_some_and(|have| have.config_version == version)
        {
            reply.config = None;
        }
        Ok(reply)
    }

    async fn config(
        &self,
        _instance_id: &InstanceId,
        have: Option<i64>,
        _context: &CallContext,
    ) -> Result<Option<InstanceConfig>> {
        let version = {
            let mut state = self.state();
            state.config_calls += 1;
            state.version
        };
        self.work().await?;
        Ok((have != Some(version)).then(|| config(version)))
    }
}

/// Everything one test needs.
pub(crate) struct House {
    pub(crate) ports: FakePorts,
    pub(crate) source: Source,
    pub(crate) cache: Arc<LookupCache>,
    pub(crate) key: MintedKey,
    presented: PresentedKey,
}

impl House {
    pub(crate) fn new(world: World) -> Self {
        let key = auth::key::mint(&FakeRandom::seeded(7));
        let presented = auth::key::parse(key.api_key.expose()).unwrap();
        let source = Source {
            state: Arc::new(Mutex::new(State {
                down: false,
                hang: false,
                delay_ms: 0,
                travel_ms: 0,
                refuse: None,
                version: 17,
                asked: Vec::new(),
                config_calls: 0,
            })),
            clock: world.clock.clone(),
            random: FakeRandom::seeded(11),
        };
        Self {
            ports: FakePorts::new(world).unwrap(),
            source,
            cache: Arc::new(LookupCache::default()),
            key,
            presented,
        }
    }

    pub(crate) fn clock(&self) -> &FakeClock {
        &self.ports.world.clock
    }

    pub(crate) fn lookup(&self) -> Lookup<FakePorts, Source> {
        Lookup::new(
            Arc::clone(&self.cache),
            self.source.clone(),
            self.ports.kv.clone(),
            self.ports.world.clock.clone(),
            self.ports.world.random.clone(),
            self.ports.background.clone(),
        )
    }

    /// Another isolate of the same worker.
    pub(crate) fn cold(&mut self) {
        self.cache = Arc::new(LookupCache::default());
    }

    pub(crate) async fn resolve(&self) -> Result<Resolved> {
        self.resolve_with(&Hints::default(), &self.key.api_key, Need::Instance)
            .await
    }

    pub(crate) async fn resolve_with(
        &self,
        hints: &Hints,
        raw: &Secret,
        need: Need,
    ) -> Result<Resolved> {
        self.ask_from("203.0.113.9", hints, raw, need).await
    }

    /// By somebody at that address.
    pub(crate) async fn resolve_from(&self, address: &str, raw: &Secret) -> Result<Resolved> {
        self.ask_from(address, &Hints::default(), raw, Need::Instance)
            .await
    }

    async fn ask_from(
        &self,
        address: &str,
        hints: &Hints,
        raw: &Secret,
        need: Need,
    ) -> Result<Resolved> {
        self.lookup()
            .resolve(
                &self.presented,
                raw,
                hints,
                need,
                Some(address),
                &CallContext::default(),
            )
            .await
    }

    pub(crate) async fn config(&self) -> Result<(Arc<InstanceConfig>, api_types::Freshness)> {
        let id = InstanceId::parse(INSTANCE).unwrap();
        self.lookup().config(&id, &CallContext::default()).await
    }

    /// Calls so far: verdicts and configurations.
    pub(crate) fn calls(&self) -> (usize, u32) {
        let state = self.source.state();
        (state.asked.len(), state.config_calls)
    }

    pub(crate) fn kv_reads(&self) -> u32 {
        self.ports.world.faults.calls("kv.get")
    }

    /// As config-service would publish it, confirmed at that time.
    pub(crate) async fn publish(&self, version: i64, confirmed_ms: i64) {
        let id = InstanceId::parse(INSTANCE).unwrap();
        let value = kv::encode(&config(version), Timestamp(confirmed_ms));
        self.ports
            .kv
            .put(&kv::key(&id), &value, Some(kv::EXPIRES_S))
            .await
            .unwrap();
    }
}

//! One deployment in memory: the worker, its limiter objects, its queue, and the vendors.

use crate::answer::told_in_full;
use crate::sealed::{sealed, sealed_value};
use crate::vendors::Vendors;
use api_types::{
    AuthContext, InstanceConfig, InstanceId, InstanceStatus, InstanceVerdict, JobView, KeyRef,
    OrgId, PrincipalKind, ProjectId, ProjectVerdict, ResolveReply, Role, Scope, Secret,
    SecretVersion, Timestamp, UserId, UserRef,
};
use auth::envelope::{KekScope, Keks};
use auth::key::{MintedKey, mint};
use base64::Engine as _;
use errors::{Code, Error, ErrorBody};
use image_gen::consumer::{self, Verdict};
use image_gen::deps::{Deps, Parts, Settings};
use image_gen::memory::Memory;
use image_gen::{routes, sweep};
use lookup::{Lookup, LookupCache, ServiceSource};
use middleware::testing::{TestApp, TestResponse};
use platform::fakes::{
    FakeClock, FakeObjects, FakePorts, FakeQueue, FakeRandom, FakeReply, FakeStorage, Kept,
    SqliteDatabase, World,
};
use platform::{ActorReply, Clock, Ops, Statement};
use r2_manager::{CdnKind, SigningKeys, UrlForms};
use rate_limiter::{LimiterObject, Tuning};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

pub(crate) const INSTANCE: &str = "production";
pub(crate) const PROJECT: &str = "0198f0a2-0000-7000-8000-00000000000a";
pub(crate) const OTHER_PROJECT: &str = "0198f0a2-0000-7000-8000-00000000000b";
pub(crate) const ORG: &str = "0198f0a2-0000-7000-8000-000000000001";
const USER: &str = "0198f0a2-0000-7000-8000-000000000002";
pub(crate) const IDEOGRAM_KEY: &str = "0198f0a2-0000-7000-8000-000000000003";
pub(crate) const NEW_IDEOGRAM_KEY: &str = "0198f0a2-0000-7000-8000-000000000005";
pub(crate) const OPENAI_KEY: &str = "0198f0a2-0000-7000-8000-000000000004";

/// How long the platform lets work go on after an answer or a disconnect, in milliseconds.
const AFTER_ANSWER_MS: u64 = 30_000;

type Object = LimiterObject<FakeStorage, SqliteDatabase, FakeQueue, FakeClock, FakeRandom>;

/// Drives a future that only waits for fakes, on this thread.
fn drive<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..1_000_000 {
        if let Poll::Ready(done) = work.as_mut().poll(&mut context) {
            return done;
        }
    }
    panic!("a limiter object waits for something that never comes");
}

struct Limiters {
    ports: FakePorts,
    objects: BTreeMap<String, (Object, FakeStorage)>,
}

impl Limiters {
    fn object(&mut self, name: &str) -> &mut (Object, FakeStorage) {
        let ports = &self.ports;
        self.objects.entry(name.to_owned()).or_insert_with(|| {
            let storage = ports.storage().unwrap();
            let object = LimiterObject::new(
                storage.clone(),
                ports.database.clone(),
                ports.queue.clone(),
                ports.world.clock.clone(),
                ports.world.random.clone(),
                store::ledger::flush,
                Tuning::default(),
            );
            (object, storage)
        })
    }

    fn ring(&mut self) -> usize {
        let mut rang = 0;
        for (object, storage) in self.objects.values() {
            if storage.take_due_alarm() {
                rang += 1;
                drive(object.alarm());
            }
        }
        rang
    }

    fn next_alarm_ms(&self) -> Option<i64> {
        let alarms = self.objects.values();
        alarms.filter_map(|(_, storage)| storage.alarm_ms()).min()
    }
}

/// Who may call and what the instance is like; answered by the played config-service.
#[derive(Clone)]
struct Control(Arc<Mutex<ControlState>>);

struct ControlState {
    config: Value,
    status: InstanceStatus,
    callers: BTreeMap<String, AuthContext>,
    /// Keys that the control plane still has, by id: provider and envelope.
    credentials: BTreeMap<String, (String, Value)>,
    /// The current key of a provider where the configuration that workers hold names an older one.
    current: BTreeMap<String, String>,
    /// What config-service says of the host that keys are bound to, by id; the vendor's own where nothing is said.
    hosts: BTreeMap<String, String>,
    /// Keys that config-service refuses, and with what.
    refused: BTreeMap<String, Error>,
    asked_keys: Vec<String>,
    reports: Vec<Value>,
    down: bool,
}

/// The deployment.
pub(crate) struct Stage {
    pub(crate) ports: FakePorts,
    pub(crate) vendors: Vendors,
    limiters: Arc<Mutex<Limiters>>,
    control: Control,
    cache: Arc<LookupCache>,
    memory: Arc<Memory>,
    keks: Keks,
    /// Buckets besides the default one.
    pub(crate) further_buckets: Vec<(String, FakeObjects)>,
    /// A user's key with all scopes.
    pub(crate) key: String,
    pub(crate) settings: Settings,
}

fn keks() -> Keks {
    Keks::new("k1", vec![("k1".to_owned(), [9; 32])], KekScope::Master).unwrap()
}

fn forms() -> UrlForms {
    let signing = base64::engine::general_purpose::STANDARD.encode([7; 32]);
    UrlForms {
        kind: CdnKind::Worker,
        public_base_url: "https://api.example.com".to_owned(),
        cdn_base_url: "https://cdn.example.com".to_owned(),
        keys: SigningKeys::parse(&Secret::new(format!("u1:{signing}"))).unwrap(),
    }
}

fn caller(minted: &MintedKey) -> AuthContext {
    AuthContext {
        principal: format!("key:{}", minted.key_id),
        kind: PrincipalKind::UserKey,
        role: Role::User,
        user: Some(UserRef {
            user_id: UserId::parse(USER).unwrap(),
            email: "a@example.com".to_owned(),
            org_id: Some(OrgId::parse(ORG).unwrap()),
        }),
        org_id: Some(OrgId::parse(ORG).unwrap()),
        key: Some(KeyRef {
            key_id: minted.key_id.clone(),
            secret: SecretVersion::Current,
            expires_at: None,
        }),
        project_id: None,
        instances: vec![InstanceId::parse(INSTANCE).unwrap()],
        instances_more: false,
        permissions: vec![Scope::All],
    }
}

impl Stage {
    /// One instance with `ideogram` (polled) and `openai` (at once).
    pub(crate) fn new() -> Self {
        let world = World::auto();
        // 2026-11-21T10:00:00Z: the prices of the adapters' data are in force.
        world.clock.set(1_795_255_200_000);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/ledger");
        let ports = FakePorts::migrated(world, &folder).unwrap();
        let keks = keks();
        let vendors = Vendors::default();
        let played = vendors.clone();
        ports.http.handle(move |request| {
            let reply = played.answer(&request);
            async move { reply }
        });
        let limiters = Arc::new(Mutex::new(Limiters {
            ports: ports.clone(),
            objects: BTreeMap::new(),
        }));
        let objects = Arc::clone(&limiters);
        ports.actors.handle(move |name, command, body| {
            let mut limiters = objects.lock().unwrap();
            let (object, _) = limiters.object(&name);
            let reply: ActorReply = drive(object.handle(&command, &body));
            async move { reply }
        });
        let minted = mint(&ports.world.random);
        let control = Control(Arc::new(Mutex::new(ControlState {
            config: config(&keks, &ports.world.random),
            status: InstanceStatus::Active,
            callers: BTreeMap::from([(minted.api_key.expose().to_owned(), caller(&minted))]),
            credentials: BTreeMap::new(),
            current: BTreeMap::new(),
            hosts: BTreeMap::new(),
            refused: BTreeMap::new(),
            asked_keys: Vec::new(),
            reports: Vec::new(),
            down: false,
        })));
        let answering = control.clone();
        let clock = ports.world.clock.clone();
        ports.service.handle(move |request| {
            let reply = answering.answer(&request, clock.now_ms());
            async move { reply }
        });
        Self {
            key: minted.api_key.expose().to_owned(),
            ports,
            vendors,
            limiters,
            control,
            cache: Arc::default(),
            memory: Arc::default(),
            keks,
            further_buckets: Vec::new(),
            settings: Settings::default(),
        }
    }

    /// Changes the configuration; workers see it with the next look-up.
    pub(crate) fn configure(&self, change: impl FnOnce(&mut Value)) {
        let mut state = self.control.0.lock().unwrap();
        change(&mut state.config);
        let version = state.config["config_version"].as_i64().unwrap();
        state.config["config_version"] = json!(version + 1);
    }

    /// The key of `ideogram` is rotated: `ideogram-new` is current, and the old one stays readable by its id while it
    /// overlaps. Workers hold the old configuration until `configure` is called.
    pub(crate) fn rotate_ideogram(&self, overlaps: bool) -> Value {
        let new = sealed_value(
            &self.keks,
            &self.ports.world.random,
            "ideogram",
            NEW_IDEOGRAM_KEY,
            "api.ideogram.ai",
            "ideogram-new",
        );
        let mut state = self.control.0.lock().unwrap();
        let old = state.config["api_keys"]["ideogram"].clone();
        let mut known = BTreeMap::from([(
            NEW_IDEOGRAM_KEY.to_owned(),
            ("ideogram".to_owned(), new.clone()),
        )]);
        if overlaps {
            known.insert(IDEOGRAM_KEY.to_owned(), ("ideogram".to_owned(), old));
        }
        state.credentials = known;
        state
            .current
            .insert("ideogram".to_owned(), NEW_IDEOGRAM_KEY.to_owned());
        new
    }

    /// The provider `ideogram` gets another key that is bound to `host`, which workers do not know of yet; the old one stays
    /// readable by its id, and config-service says that it is bound to `old_host`.
    pub(crate) fn rebind_ideogram(&self, host: &str, old_host: &str) -> Value {
        let new = sealed_value(
            &self.keks,
            &self.ports.world.random,
            "ideogram",
            NEW_IDEOGRAM_KEY,
            host,
            "ideogram-new",
        );
        let mut state = self.control.0.lock().unwrap();
        let old = state.config["api_keys"]["ideogram"].clone();
        let named = |sealed: Value| ("ideogram".to_owned(), sealed);
        state.credentials = BTreeMap::from([
            (NEW_IDEOGRAM_KEY.to_owned(), named(new.clone())),
            (IDEOGRAM_KEY.to_owned(), named(old)),
        ]);
        state.hosts = BTreeMap::from([
            (NEW_IDEOGRAM_KEY.to_owned(), host.to_owned()),
            (IDEOGRAM_KEY.to_owned(), old_host.to_owned()),
        ]);
        let current = NEW_IDEOGRAM_KEY.to_owned();
        state.current.insert("ideogram".to_owned(), current);
        new
    }

    /// The provider `ideogram` stands at `base_url` from the start, its key bound to `host`.
    pub(crate) fn place_ideogram(&self, base_url: &str, host: &str) {
        let random = &self.ports.world.random;
        let key = sealed(&self.keks, random, "ideogram", IDEOGRAM_KEY, host);
        self.configure(|config| {
            config["api_keys"]["ideogram"] = key;
            config["providers"]["ideogram"]["base_url"] = json!(base_url);
        });
    }

    /// Workers see another key of `openai`, `openai-new`, with the next look-up; the old one is gone.
    pub(crate) fn replace_openai(&self) {
        let new = sealed_value(
            &self.keks,
            &self.ports.world.random,
            "openai",
            NEW_IDEOGRAM_KEY,
            "api.openai.com",
            "openai-new",
        );
        self.configure(|config| {
            config["api_keys"]["openai"] = new;
            config["providers"]["openai"]["credential_id"] = json!(NEW_IDEOGRAM_KEY);
        });
        self.ports.world.clock.advance(6_000);
    }

    /// Workers see the rotated key with the next look-up.
    pub(crate) fn publish_rotated(&self, new: &Value) {
        self.configure(|config| {
            config["api_keys"]["ideogram"] = new.clone();
            config["providers"]["ideogram"]["credential_id"] = json!(NEW_IDEOGRAM_KEY);
        });
        self.ports.world.clock.advance(6_000);
    }

    /// The queries of keys that were asked of config-service.
    pub(crate) fn asked_keys(&self) -> Vec<String> {
        self.control.0.lock().unwrap().asked_keys.clone()
    }

    /// `(credential_id, outcome)` of all reports.
    pub(crate) fn reports(&self) -> Vec<(String, String)> {
        let text = |item: &Value, name: &str| item[name].as_str().unwrap().to_owned();
        let state = self.control.0.lock().unwrap();
        let reports = state.reports.iter();
        reports
            .map(|item| (text(item, "credential_id"), text(item, "outcome")))
            .collect()
    }

    pub(crate) fn set_status(&self, status: InstanceStatus) {
        self.control.0.lock().unwrap().status = status;
    }

    pub(crate) fn set_config_service_down(&self, down: bool) {
        self.control.0.lock().unwrap().down = down;
    }

    /// Another key, changed as the test needs it.
    pub(crate) fn further_key(&self, change: impl FnOnce(&mut AuthContext)) -> String {
        let minted = mint(&self.ports.world.random);
        let mut auth = caller(&minted);
        change(&mut auth);
        let key = minted.api_key.expose().to_owned();
        let mut state = self.control.0.lock().unwrap();
        state.callers.insert(key.clone(), auth);
        key
    }

    /// A well-formed key that config-service answers so.
    pub(crate) fn refused_key(&self, error: Error) -> String {
        let key = mint(&self.ports.world.random).api_key;
        let mut state = self.control.0.lock().unwrap();
        state.refused.insert(key.expose().to_owned(), error);
        key.expose().to_owned()
    }

    /// What the limiter object of that provider has stored of its attempts, by one column.
    pub(crate) fn attempts(&self, provider: &str, column: &str) -> Vec<String> {
        let instance = InstanceId::parse(INSTANCE).unwrap();
        let provider = api_types::ProviderName::parse(provider).unwrap();
        let name = api_types::limiter_object_name(&instance, &provider);
        let mut limiters = self.limiters.lock().unwrap();
        let (_, storage) = limiters.object(&name);
        let sql = format!("SELECT {column} FROM attempts ORDER BY created_ms, attempt_no");
        storage.with(|connection| {
            let mut statement = connection.prepare(&sql).unwrap();
            let rows = statement.query_map([], |row| row.get(0)).unwrap();
            rows.map(Result::unwrap).collect()
        })
    }

    /// The dependencies of one event, with its own counter.
    pub(crate) fn deps(&self) -> (Deps<FakePorts>, Ops) {
        let ops = Ops::default();
        let ports = self.ports.with_ops(ops.clone());
        let lookup = Lookup::new(
            Arc::clone(&self.cache),
            ServiceSource::new(ports.service.clone()),
            ports.kv.clone(),
            ports.world.clock.clone(),
            ports.world.random.clone(),
            ports.background.clone(),
        );
        let deps = Deps::new(Parts {
            clock: ports.world.clock.clone(),
            random: ports.world.random.clone(),
            ops: ops.clone(),
            database: ports.database.clone(),
            limiter: ports.actors.clone(),
            buckets: [("prod-images".to_owned(), ports.objects.clone())]
                .into_iter()
                .chain(self.further_buckets.iter().cloned())
                .collect(),
            http: ports.http.clone(),
            background: ports.background.clone(),
            lookup,
            keks: self.keks.clone(),
            forms: forms(),
            settings: self.settings.clone(),
            memory: Arc::clone(&self.memory),
        });
        (deps, ops)
    }

    /// What the limiter objects hold.
    pub(crate) fn kept_by_limiters(&self) -> Vec<Kept> {
        let limiters = self.limiters.lock().unwrap();
        let objects = limiters.objects.values();
        objects.flat_map(|(_, storage)| storage.kept()).collect()
    }

    /// The worker for one request, and what it asks of the platform.
    pub(crate) fn app(&self) -> (TestApp<Deps<FakePorts>>, Ops) {
        let (deps, ops) = self.deps();
        let app = routes().into_app(deps.clone());
        (TestApp::new(app, &deps), ops)
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> TestResponse {
        self.post_with(path, body, &[]).await
    }

    pub(crate) async fn post_with(
        &self,
        path: &str,
        body: Value,
        headers: &[(&str, &str)],
    ) -> TestResponse {
        let (app, _) = self.app();
        let mut request = app.post(path).key(&self.key).json(&body);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let response = request.send().await;
        self.after_answer().await;
        response
    }

    /// What goes on after an answer, for as long as the platform lets it.
    pub(crate) async fn after_answer(&self) {
        let cut = self.ports.world.clock.sleep(AFTER_ANSWER_MS);
        self.ports.background.drain_until(cut).await;
    }

    pub(crate) async fn get(&self, path: &str) -> TestResponse {
        let (app, _) = self.app();
        let response = app.get(path).key(&self.key).send().await;
        self.ports.background.drain().await;
        response
    }

    /// `POST /generate` of one image by one provider.
    pub(crate) async fn generate(&self, provider: &str) -> TestResponse {
        self.post("/generate", request(provider)).await
    }

    /// Rings due alarms and delivers the queue's messages until neither has anything to do.
    pub(crate) async fn settle_down(&self) {
        for _ in 0..50 {
            let rang = self.limiters.lock().unwrap().ring();
            let messages = self.ports.queue.take();
            let quiet = rang == 0 && messages.is_empty();
            for message in messages {
                self.deliver("jobs", &message).await;
            }
            if quiet {
                return;
            }
        }
        panic!("the deployment does not come to rest");
    }

    pub(crate) async fn deliver(&self, queue: &str, message: &str) -> Verdict {
        let (deps, _) = self.deps();
        let verdict = Box::pin(consumer::handle(&deps, queue, "m1", Some(message))).await;
        self.ports.background.drain().await;
        verdict
    }

    /// `POST /generate` while alarms ring and wake-ups are delivered, second by second.
    pub(crate) async fn generate_meanwhile(&self, body: &Value, seconds: u32) -> TestResponse {
        let (app, _) = self.app();
        let send = app.post("/generate").key(&self.key).json(body).send();
        let others = async {
            for _ in 0..seconds {
                self.ports.world.clock.sleep(1_000).await;
                self.settle_down().await;
            }
        };
        let (response, ()) = tokio::join!(send, others);
        self.ports.background.drain().await;
        response
    }

    /// Another isolate: nothing is in memory.
    pub(crate) fn forget(&mut self) {
        self.cache = Arc::default();
        self.memory = Arc::default();
    }

    /// Lets time pass, alarm by alarm.
    pub(crate) async fn pass(&self, ms: i64) {
        let clock = self.ports.world.clock.clone();
        let end = clock.now_ms() + ms;
        loop {
            self.settle_down().await;
            let next = self.limiters.lock().unwrap().next_alarm_ms();
            match next.filter(|at| *at <= end) {
                Some(at) => clock.set(at.max(clock.now_ms() + 1)),
                None => break,
            }
            if clock.now_ms() >= end {
                break;
            }
        }
        if clock.now_ms() < end {
            clock.set(end);
        }
        self.settle_down().await;
    }

    pub(crate) async fn sweep(&self) -> sweep::Swept {
        let (deps, _) = self.deps();
        let swept = sweep::run(&deps).await;
        self.ports.background.drain().await;
        swept
    }

    pub(crate) async fn job(&self, job_id: &str) -> JobView {
        let response = self.get(&format!("/jobs/{job_id}")).await;
        assert_eq!(response.status.as_u16(), 200, "{}", response.text());
        told_in_full(serde_json::from_value(response.json()).unwrap())
    }

    pub(crate) async fn rows(&self, sql: &'static str) -> Vec<platform::Row> {
        use platform::Database;
        let rows = self.ports.database.query(Statement::new(sql)).await;
        rows.unwrap().rows
    }
}

impl Control {
    fn answer(&self, request: &platform::HttpRequest, now_ms: i64) -> FakeReply {
        let mut state = self.0.lock().unwrap();
        if state.down {
            return FakeReply::status(500);
        }
        if request.url.ends_with("/internal/v1/credentials/report") {
            let report: Value = serde_json::from_slice(&request.body).unwrap();
            state
                .reports
                .extend(report["items"].as_array().unwrap().iter().cloned());
            return FakeReply::status(204);
        }
        if let Some((_, asked)) = request.url.split_once("/internal/v1/credentials/") {
            state.asked_keys.push(asked.to_owned());
            return state.credential(asked);
        }
        let config: InstanceConfig = serde_json::from_value(state.config.clone()).unwrap();
        if request.url.contains("/internal/v1/config/") {
            if !request.url.contains(&format!("/config/{INSTANCE}")) {
                return refusal(&Error::not_found("instance"));
            }
            let have = format!("have={}", config.config_version);
            return if request.url.ends_with(&have) {
                FakeReply::status(304)
            } else {
                FakeReply::json(200, &json!(config))
            };
        }
        let asked: Value = serde_json::from_slice(&request.body).unwrap();
        if let Some(error) = state.refused.get(asked["credential"].as_str().unwrap()) {
            return refusal(error);
        }
        let Some(auth) = state.callers.get(asked["credential"].as_str().unwrap()) else {
            return refusal(&Error::new(Code::AuthFailed, "The key is not valid."));
        };
        let instance = asked["instance_hint"].as_str().unwrap_or(INSTANCE);
        if instance != INSTANCE {
            return refusal(&Error::not_found("instance"));
        }
        let named = asked["project_hint"].as_str().map(str::to_owned);
        let bound = auth.project_id.as_ref().map(ToString::to_string);
        let project = named.or(bound).map(|id| ProjectVerdict {
            project_id: ProjectId::parse(&id).unwrap(),
            name: "p".to_owned(),
        });
        let reply = ResolveReply {
            v: 1,
            checked_at: Timestamp(now_ms),
            auth: auth.clone(),
            instance: Some(InstanceVerdict {
                instance_id: config.instance_id.clone(),
                status: state.status,
                config_version: config.config_version,
            }),
            project,
            config: Some(config),
        };
        FakeReply::json(200, &json!(reply))
    }
}

impl ControlState {
    /// `{instance_id}/{provider}?credential_id=`.
    fn credential(&self, asked: &str) -> FakeReply {
        let (path, query) = asked.split_once('?').unwrap_or((asked, ""));
        let provider = path.strip_prefix(INSTANCE).unwrap().trim_start_matches('/');
        let named = query.strip_prefix("credential_id=").map(str::to_owned);
        let id = named
            .or_else(|| self.current.get(provider).cloned())
            .or_else(|| {
                let id = &self.config["providers"][provider]["credential_id"];
                id.as_str().map(str::to_owned)
            });
        let id = id.unwrap();
        let known = self.credentials.get(&id).filter(|(of, _)| of == provider);
        let configured = &self.config["providers"][provider]["credential_id"];
        let ciphertext = match known {
            Some((_, ciphertext)) => ciphertext,
            None if self.credentials.is_empty() && *configured == json!(id) => {
                &self.config["api_keys"][provider]
            }
            None => return refusal(&Error::not_found("credential")),
        };
        let own = format!(
            "api.{provider}.{}",
            if provider == "openai" { "com" } else { "ai" }
        );
        FakeReply::json(
            200,
            &json!({
                "credential_id": id, "org_id": ORG, "instance_id": INSTANCE, "provider": provider,
                "host": self.hosts.get(&id).unwrap_or(&own), "ciphertext": ciphertext, "version": 1,
            }),
        )
    }
}

fn refusal(error: &Error) -> FakeReply {
    FakeReply::json(error.code.status(), &json!(ErrorBody::new(error, "r")))
}

fn config(keks: &Keks, random: &FakeRandom) -> Value {
    json!({
        "instance_id": INSTANCE, "org_id": ORG, "config_version": 1, "r2_bucket": "prod-images",
        "api_keys": {
            "ideogram": sealed(keks, random, "ideogram", IDEOGRAM_KEY, "api.ideogram.ai"),
            "openai": sealed(keks, random, "openai", OPENAI_KEY, "api.openai.com"),
        },
        "providers": {
            "ideogram": {"credential_id": IDEOGRAM_KEY, "credential_state": "set"},
            "openai": {"credential_id": OPENAI_KEY, "credential_state": "set"},
        },
        "rate_limits": {"ideogram": {"rpm": 500}, "openai": {"rpm": 100}},
    })
}

/// One image by one provider, no fallback.
pub(crate) fn request(provider: &str) -> Value {
    json!({"prompt": "a cat on a roof", "provider": provider, "size": "1024x1024", "fallback": "none", "timeout_ms": 60_000})
}

//! The worker on fakes with the seed's two organizations, and their keys.
#![expect(
    dead_code,
    clippy::unwrap_used,
    reason = "each test binary uses its own part"
)]

mod chains;
pub(crate) mod neighbour;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use config_service::abuse::AbuseGuard;
use config_service::deps::Deps;
use config_service::memory::Memory;
use config_service::routes::routes;
use config_service::settings::Settings;
use http::Method;
use middleware::testing::{TestApp, TestResponse};
use platform::fakes::{FakePorts, Journal, Ran, SqliteDatabase, World};
use platform::{Database, Row, Statement};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

pub(crate) const ROOT: &str = "sy_root00000001_root00000001root00000001root00000001root0000Sc9Cx";
pub(crate) const ADMIN: &str = "sy_4fGh7kQ2mZ0a_3AHOVcjqx4BIPWdkry5CJQXelsz6DKRYfmt07ELSZgn0akblb";
pub(crate) const USER: &str = "sy_user00000001_user00000001user00000001user00000001user0000bf5Bh";
pub(crate) const PROJECT: &str =
    "sy_proj00000001_proj00000001proj00000001proj00000001proj0001uwlZB";
pub(crate) const FOREIGN: &str =
    "sy_fore00000001_fore00000001fore00000001fore00000001fore0003QvvkN";
pub(crate) const REVOKED: &str =
    "sy_revoked00001_revoked00001revoked00001revoked00001revoked3DbD1u";
pub(crate) const EXPIRED: &str =
    "sy_expired00001_expired00001expired00001expired00001expired38NhvH";

pub(crate) const ACME: &str = "0198f0a0-0000-7000-8000-000000000001";
pub(crate) const FOREIGN_LTD: &str = "0198f0a0-0000-7000-8000-000000000002";
pub(crate) const ROOT_USER: &str = "0198f0a1-0000-7000-8000-000000000000";
pub(crate) const ADMIN_USER: &str = "0198f0a1-0000-7000-8000-000000000001";
pub(crate) const USER_USER: &str = "0198f0a1-0000-7000-8000-000000000002";
pub(crate) const FOREIGN_USER: &str = "0198f0a1-0000-7000-8000-000000000004";
pub(crate) const NOBODY: &str = "0198f0a1-0000-7000-8000-0000000000ff";
pub(crate) const CHAT: &str = "0198f0a2-0000-7000-8000-000000000002";
pub(crate) const FORGE: &str = "0198f0a2-0000-7000-8000-000000000001";
pub(crate) const FOREIGN_PROJECT: &str = "0198f0a2-0000-7000-8000-000000000003";

/// Counts as the binding does: ten a key, here without end.
#[derive(Clone, Debug, Default)]
pub(crate) struct FakeGuard {
    counts: Arc<Mutex<BTreeMap<String, u32>>>,
    absent: bool,
}

impl FakeGuard {
    /// As of a deployment without the binding.
    pub(crate) fn absent() -> Self {
        Self {
            absent: true,
            ..Self::default()
        }
    }
}

impl AbuseGuard for FakeGuard {
    fn is_bound(&self) -> bool {
        !self.absent
    }

    async fn admit(&self, key: &str) -> bool {
        if self.absent {
            return true;
        }
        let mut counts = self.counts.lock().unwrap();
        let count = counts.entry(key.to_owned()).or_insert(0);
        *count += 1;
        *count <= 10
    }
}

pub(crate) type TestDeps = Deps<FakePorts, FakeGuard>;

pub(crate) struct Service {
    pub(crate) app: TestApp<TestDeps>,
    pub(crate) deps: TestDeps,
    pub(crate) ports: FakePorts,
    journal: Journal,
    recorded_from: AtomicUsize,
    tampered: AtomicBool,
}

/// Whatever a test did: see `chains`.
impl Drop for Service {
    fn drop(&mut self) {
        if std::thread::panicking() || self.tampered.load(Ordering::Relaxed) {
            return;
        }
        let problems = self.problems();
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }
}

pub(crate) fn settings(environment: &str) -> Settings {
    settings_with(environment, &[])
}

/// With further or other variables and secrets.
pub(crate) fn settings_with(environment: &str, others: &[(&'static str, String)]) -> Settings {
    let pepper: [u8; 32] = std::array::from_fn(|i| i as u8);
    let mut vars = BTreeMap::from([
        ("ENVIRONMENT", environment.to_owned()),
        ("GIT_SHA", "ab12cd3".to_owned()),
        ("KEK_CURRENT", "k1".to_owned()),
        ("KEK_k1", STANDARD.encode([9; 32])),
        ("KEY_PEPPER_CURRENT", "p1".to_owned()),
        ("KEY_PEPPER_p1", STANDARD.encode(pepper)),
    ]);
    vars.extend(others.iter().cloned());
    let names: Vec<String> = vars.keys().map(|name| (*name).to_owned()).collect();
    Settings::read(&names, |name| vars.get(name).cloned())
}

/// The migrated database with the seed, made once: each service begins with a copy.
fn seeded() -> &'static SqliteDatabase {
    static SEEDED: OnceLock<SqliteDatabase> = OnceLock::new();
    SEEDED.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let database = SqliteDatabase::from_migrations(&root.join("migrations/control")).unwrap();
        let seed = std::fs::read_to_string(root.join("crates/store/fixtures/control_seed.sql"));
        let seed = seed.unwrap();
        database.with(|connection| connection.execute_batch(&seed).unwrap());
        database
    })
}

/// Two key-encryption keys, of which `current` seals new values.
pub(crate) fn keyed_settings(current: &str, ids: &[&str]) -> Settings {
    let pepper: [u8; 32] = std::array::from_fn(|i| i as u8);
    let get = |name: &str| match name {
        "ENVIRONMENT" => Some("test".to_owned()),
        "KEK_CURRENT" => Some(current.to_owned()),
        "KEK_k1" => Some(STANDARD.encode([9; 32])),
        "KEK_k2" => Some(STANDARD.encode([8; 32])),
        "KEY_PEPPER_CURRENT" => Some("p1".to_owned()),
        "KEY_PEPPER_p1" => Some(STANDARD.encode(pepper)),
        _ => None,
    };
    let names: Vec<String> = ids.iter().map(|id| format!("KEK_{id}")).collect();
    Settings::read(&names, get)
}

impl Service {
    pub(crate) fn new() -> Self {
        Self::with(settings("test"))
    }

    pub(crate) fn with(settings: Settings) -> Self {
        Self::bound(seeded(), settings, true)
    }

    /// As deployed: image-gen belongs to each instance and is not bound.
    pub(crate) fn unbound() -> Self {
        Self::bound(seeded(), settings("test"), false)
    }

    /// With a copy of that database.
    pub(crate) fn on(database: &SqliteDatabase, settings: Settings) -> Self {
        Self::bound(database, settings, true)
    }

    fn bound(database: &SqliteDatabase, settings: Settings, image_gen: bool) -> Self {
        let ports = FakePorts::with_copy(World::auto(), database).unwrap();
        let journal = Journal::default();
        let deps = Deps {
            clock: ports.world.clock.clone(),
            random: ports.world.random.clone(),
            database: ports.database.journaled(&journal),
            kv: ports.kv.clone(),
            http: ports.http.clone(),
            image_gen: image_gen.then(|| ports.service.clone()),
            background: ports.background.clone(),
            guard: FakeGuard::default(),
            settings: Arc::new(settings),
            memory: Arc::new(Memory::default()),
            ops: ports.world.ops.clone(),
            version_id: None,
            has_log_sink: false,
        };
        Self {
            app: TestApp::new(routes().into_app(deps.clone()), &deps),
            deps,
            ports,
            journal,
            recorded_from: AtomicUsize::new(0),
            tampered: AtomicBool::new(false),
        }
    }

    /// The same state under other settings, as after a deployment.
    pub(crate) fn deployed(&self, settings: Settings) -> Self {
        self.with_deps(Deps {
            settings: Arc::new(settings),
            memory: Arc::new(Memory::default()),
            ..self.deps.clone()
        })
    }

    /// The same state, deployed without the counter of wrong keys.
    pub(crate) fn unguarded(&self) -> Self {
        self.with_deps(Deps {
            guard: FakeGuard::absent(),
            memory: Arc::new(Memory::default()),
            ..self.deps.clone()
        })
    }

    fn with_deps(&self, deps: TestDeps) -> Self {
        Self {
            app: TestApp::new(routes().into_app(deps.clone()), &deps),
            deps,
            ports: self.ports.clone(),
            journal: self.journal.clone(),
            recorded_from: AtomicUsize::new(0),
            tampered: AtomicBool::new(self.tampered.load(Ordering::Relaxed)),
        }
    }

    pub(crate) async fn get(&self, key: &str, path: &str) -> TestResponse {
        self.app.get(path).key(key).send().await
    }

    pub(crate) async fn post(&self, key: &str, path: &str, body: &Value) -> TestResponse {
        self.app.post(path).key(key).json(body).send().await
    }

    pub(crate) async fn put(&self, key: &str, path: &str, body: &Value) -> TestResponse {
        self.app
            .request(Method::PUT, path)
            .key(key)
            .json(body)
            .send()
            .await
    }

    pub(crate) async fn delete(&self, key: &str, path: &str) -> TestResponse {
        self.app.request(Method::DELETE, path).key(key).send().await
    }

    /// A request at a version: `"1"`, `*`; none for no header.
    pub(crate) async fn at(
        &self,
        method: Method,
        key: &str,
        path: &str,
        version: &str,
        body: Option<&Value>,
    ) -> TestResponse {
        let mut request = self.app.request(method, path).key(key);
        if !version.is_empty() {
            request = request.header("if-match", version);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        request.send().await
    }

    /// The newest copy of a configuration in KV.
    pub(crate) fn copy(&self, instance: &str) -> Option<Value> {
        let text = self.ports.kv.newest(&format!("cfg:v1:{instance}"))?;
        serde_json::from_str(&text).ok()
    }

    /// The members of the newest entry of an organization's chain.
    pub(crate) async fn last_entry(&self, org_id: &str) -> Value {
        let row = self
            .row(&format!(
                "SELECT * FROM audit_log WHERE org_id = '{org_id}' ORDER BY seq DESC LIMIT 1"
            ))
            .await;
        let parsed = |name: &str| {
            row.text(name)
                .map_or(Value::Null, |text| serde_json::from_str(text).unwrap())
        };
        json!({
            "action": row.text("action"), "target_type": row.text("target_type"), "target_id": row.text("target_id"),
            "actor": parsed("actor"), "before": parsed("before"), "after": parsed("after"),
        })
    }

    pub(crate) async fn resolve(&self, caller: &str, body: &Value) -> TestResponse {
        self.app
            .post("/internal/v1/resolve")
            .from_worker(caller)
            .json(body)
            .send()
            .await
    }

    /// Runs what was left for after the answers.
    pub(crate) async fn settle(&self) {
        self.ports.background.drain().await;
    }

    pub(crate) async fn row(&self, sql: &str) -> Row {
        let rows = self
            .ports
            .database
            .query(Statement::new(sql.to_owned()))
            .await
            .unwrap();
        rows.first().cloned().unwrap_or_default()
    }

    pub(crate) async fn count(&self, of: &str) -> i64 {
        self.row(&format!("SELECT count(*) AS n FROM {of}"))
            .await
            .int("n")
            .unwrap()
    }

    /// Changes the audit log past its triggers, as somebody with the database could. What is left behind is not looked
    /// at any more.
    pub(crate) fn tamper(&self, sql: &str) {
        self.tampered.store(true, Ordering::Relaxed);
        let whole = format!(
            "DROP TRIGGER IF EXISTS audit_log_is_never_changed; DROP TRIGGER IF EXISTS audit_log_is_never_deleted; \
             DROP TRIGGER IF EXISTS audit_checkpoints_are_never_changed; DROP TRIGGER IF EXISTS audit_checkpoints_are_never_deleted; {sql}"
        );
        self.ports
            .database
            .with(|connection| connection.execute_batch(&whole).unwrap());
    }

    /// What the test put into the database itself is not looked at when the service is dropped.
    pub(crate) fn made_up(&self) {
        self.tampered.store(true, Ordering::Relaxed);
    }

    /// Forgets what the worker asked of the database so far, for [`Service::recorded`].
    pub(crate) fn record(&self) {
        let place = self.journal.place();
        self.recorded_from.store(place, Ordering::Relaxed);
    }

    /// What the worker asked of the database since it was begun or [`Service::record`].
    pub(crate) fn recorded(&self) -> Vec<Ran> {
        let place = self.recorded_from.load(Ordering::Relaxed);
        self.journal.since(place)
    }

    /// Steps of the machine for all of that.
    pub(crate) fn steps(&self) -> u64 {
        self.recorded().iter().map(|ran| ran.steps).sum()
    }

    /// What would be complained about when the service is dropped now.
    pub(crate) fn problems(&self) -> Vec<String> {
        chains::problems(&self.ports.database, &self.journal)
    }

    pub(crate) async fn run(&self, sql: &str) {
        self.ports
            .database
            .query(Statement::new(sql.to_owned()))
            .await
            .unwrap();
    }
}

pub(crate) fn ask(key: &str, instance: Option<&str>) -> Value {
    json!({"v": 1, "credential": key, "instance_hint": instance, "need": "instance"})
}

/// Another secret with a good checksum: the form passes, the hash does not.
pub(crate) fn tampered(key: &str) -> String {
    let parsed = auth::key::parse(key).unwrap();
    let random = platform::fakes::FakeRandom::seeded(99);
    auth::key::mint_secret(parsed.key_id, &random)
        .api_key
        .expose()
        .to_owned()
}

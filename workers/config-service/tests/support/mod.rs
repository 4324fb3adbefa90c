//! The worker on fakes with the seed's two organizations, and their keys.
#![expect(
    dead_code,
    clippy::unwrap_used,
    reason = "each test binary uses its own part"
)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use config_service::abuse::AbuseGuard;
use config_service::deps::Deps;
use config_service::memory::Memory;
use config_service::routes::routes;
use config_service::settings::Settings;
use http::Method;
use middleware::testing::{TestApp, TestResponse};
use platform::fakes::{FakePorts, World};
use platform::{Database, Row, Statement};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

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
pub(crate) struct FakeGuard(Arc<Mutex<BTreeMap<String, u32>>>);

impl AbuseGuard for FakeGuard {
    async fn admit(&self, key: &str) -> bool {
        let mut counts = self.0.lock().unwrap();
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
}

pub(crate) fn settings(environment: &str) -> Settings {
    let pepper: [u8; 32] = std::array::from_fn(|i| i as u8);
    let vars = BTreeMap::from([
        ("ENVIRONMENT", environment.to_owned()),
        ("GIT_SHA", "ab12cd3".to_owned()),
        ("KEK_CURRENT", "k1".to_owned()),
        ("KEK_k1", STANDARD.encode([9; 32])),
        ("KEY_PEPPER_CURRENT", "p1".to_owned()),
        ("KEY_PEPPER_p1", STANDARD.encode(pepper)),
    ]);
    let names: Vec<String> = vars.keys().map(|name| (*name).to_owned()).collect();
    Settings::read(&names, |name| vars.get(name).cloned())
}

impl Service {
    pub(crate) fn new() -> Self {
        Self::with(settings("test"))
    }

    pub(crate) fn with(settings: Settings) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let ports = FakePorts::migrated(World::auto(), &root.join("migrations/control")).unwrap();
        let seed = std::fs::read_to_string(root.join("crates/store/fixtures/control_seed.sql"));
        let seed = seed.unwrap();
        ports
            .database
            .with(|connection| connection.execute_batch(&seed).unwrap());
        let deps = Deps {
            clock: ports.world.clock.clone(),
            random: ports.world.random.clone(),
            database: ports.database.clone(),
            kv: ports.kv.clone(),
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

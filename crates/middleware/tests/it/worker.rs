//! The worker under test: one route for each kind of mark.

use api_types::{
    AuthContext, InstanceId, InstanceStatus, InstanceVerdict, KeyId, KeyRef, OrgId, PrincipalKind,
    ResolveReply, Role, Scope, SecretVersion, Timestamp, UserId, UserRef,
};
use auth::permission::{config_service, image_gen};
use axum::body::Body;
use axum::response::IntoResponse;
use errors::{Code, Error};
use http::Method;
use lookup::fakes::FakeSource;
use lookup::{Lookup, LookupCache};
use middleware::testing::TestApp;
use middleware::{AppState, Caller, Context, Json, Presented, Props, Query, RequestHints, Routes};
use platform::Ops;
use platform::fakes::{FakeClock, FakePorts, FakeRandom, START_MS, World};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

pub(crate) const ORG: &str = "0198f0a0-0000-7000-8000-000000000001";
pub(crate) const INTERNAL: &str = "pepper p1 is missing";

#[derive(Clone)]
pub(crate) struct Deps {
    pub(crate) ports: FakePorts,
    lookup: Lookup<FakePorts, FakeSource>,
    origins: Vec<String>,
}

impl AppState for Deps {
    type Ports = FakePorts;
    type Source = FakeSource;

    fn service(&self) -> &'static str {
        "image-gen"
    }

    fn clock(&self) -> &FakeClock {
        &self.ports.world.clock
    }

    fn random(&self) -> &FakeRandom {
        &self.ports.world.random
    }

    fn ops(&self) -> Ops {
        self.ports.world.ops.clone()
    }

    fn allowed_origins(&self) -> &[String] {
        &self.origins
    }

    fn lookup(&self) -> Option<&Lookup<FakePorts, FakeSource>> {
        Some(&self.lookup)
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    #[serde(default)]
    quality: Option<Quality>,
    #[serde(default)]
    seeds: Vec<u32>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Quality {
    Low,
    High,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Generate {
    prompt: String,
    #[serde(default)]
    n: Option<u32>,
    #[serde(default)]
    instance_id: Option<String>,
    #[serde(default)]
    project_id: Option<String>,
    #[serde(default)]
    options: Option<Options>,
}

async fn generate(caller: Caller, Json(body): Json<Generate>) -> Result<impl IntoResponse, Error> {
    Ok(axum::Json(json!({
        "instance": caller.instance_id()?,
        "version": caller.config()?.config_version,
        "body": body,
    })))
}

async fn models(caller: Caller, context: Context) -> Result<axum::Json<Value>, Error> {
    let now_ms = context.started_ms();
    context.timing("plan", now_ms, now_ms + 4);
    Ok(axum::Json(json!({ "instance": caller.instance_id()? })))
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    limit: Option<u32>,
}

async fn job(Query(filter): Query<Filter>) -> axum::Json<Value> {
    axum::Json(json!({ "limit": filter.limit }))
}

async fn file(
    presented: Option<Presented>,
    RequestHints(hints): RequestHints,
) -> axum::Json<Value> {
    axum::Json(json!({"key": presented.map(|it| it.key.key_id), "instance": hints.instance}))
}

async fn health() -> impl IntoResponse {
    (
        [("cache-control", "max-age=1")],
        axum::Json(json!({"status": "ok"})),
    )
}

async fn broken() -> Error {
    Error::internal(INTERNAL)
}

async fn plain() -> impl IntoResponse {
    (http::StatusCode::UNPROCESSABLE_ENTITY, "a library's words")
}

async fn refused(body: String) -> Error {
    match Code::parse(&body) {
        Some(code) => Error::new(code, "as asked").with_detail("field", "prompt"),
        None => Error::internal("no such code"),
    }
}

async fn read(_: Caller, body: String) -> String {
    body
}

async fn resolve(props: Props, body: Body) -> axum::Json<Value> {
    drop(body);
    axum::Json(json!({ "caller": props.caller }))
}

pub(crate) fn routes() -> Routes<Deps> {
    Routes::new()
        .openai_errors_under("/v1/")
        .body_cap(1_000)
        .route(&image_gen::GENERATE, Method::POST, "/generate", generate)
        .route(&image_gen::LIST_MODELS, Method::GET, "/v1/models", models)
        .route(&image_gen::GET_JOB, Method::GET, "/jobs/{id}", job)
        .route(
            &image_gen::GET_IMAGE_FILE,
            Method::GET,
            "/images/{*path}",
            file,
        )
        .route(&image_gen::HEALTH, Method::GET, "/health", health)
        .route(&image_gen::OPENAPI, Method::GET, "/broken", broken)
        .route(&image_gen::OPENAPI, Method::GET, "/plain", plain)
        .route(&image_gen::OPENAPI, Method::POST, "/v1/refused", refused)
        .route(&image_gen::GET_MODEL, Method::POST, "/v1/read", read)
        .route(
            &config_service::RESOLVE,
            Method::POST,
            "/internal/v1/resolve",
            resolve,
        )
}

/// The worker, its config-service and a valid key.
pub(crate) struct House {
    pub(crate) app: TestApp<Deps>,
    pub(crate) deps: Deps,
    pub(crate) source: FakeSource,
    pub(crate) key: String,
    pub(crate) worker: middleware::App<Deps>,
}

pub(crate) fn reply(status: InstanceStatus, scopes: &[Scope]) -> ResolveReply {
    let org_id = OrgId::parse(ORG).unwrap();
    let instance_id = InstanceId::parse("development").unwrap();
    ResolveReply {
        v: 1,
        checked_at: Timestamp(START_MS),
        auth: AuthContext {
            principal: "key:4fGh7kQ2mZ0a".into(),
            kind: PrincipalKind::UserKey,
            role: Role::User,
            user: Some(UserRef {
                user_id: UserId::parse("0198f0a1-0000-7000-8000-000000000001").unwrap(),
                email: "user@acme.example".into(),
                org_id: Some(org_id.clone()),
            }),
            org_id: Some(org_id),
            key: Some(KeyRef {
                key_id: KeyId::parse("4fGh7kQ2mZ0a").unwrap(),
                secret: SecretVersion::Current,
                expires_at: None,
            }),
            project_id: None,
            instances: vec![instance_id.clone()],
            instances_more: false,
            permissions: scopes.to_vec(),
        },
        instance: Some(InstanceVerdict {
            instance_id,
            status,
            config_version: 17,
        }),
        project: None,
        config: Some(
            serde_json::from_value(
                json!({"instance_id": "development", "org_id": ORG, "config_version": 17}),
            )
            .unwrap(),
        ),
    }
}

impl House {
    pub(crate) fn new() -> Self {
        Self::open_to(&[])
    }

    /// A house that lists those origins.
    pub(crate) fn open_to(origins: &[&str]) -> Self {
        let ports = FakePorts::new(World::auto()).unwrap();
        let source = FakeSource::default();
        let lookup = Lookup::new(
            Arc::new(LookupCache::default()),
            source.clone(),
            ports.kv.clone(),
            ports.world.clock.clone(),
            ports.world.random.clone(),
            ports.background.clone(),
        );
        let deps = Deps {
            ports,
            lookup,
            origins: origins.iter().map(|it| (*it).to_owned()).collect(),
        };
        let worker = routes().into_app(deps.clone());
        let key = auth::key::mint(&FakeRandom::seeded(3)).api_key;
        let key = key.expose().to_owned();
        source.answer(&key, Ok(reply(InstanceStatus::Active, &[Scope::All])));
        Self {
            app: TestApp::new(worker.clone(), &deps),
            deps,
            source,
            key,
            worker,
        }
    }
}

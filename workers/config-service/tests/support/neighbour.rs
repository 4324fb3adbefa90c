//! Another worker of the house: isolates with a memory of their own that ask config-service's real routes.

use super::Service;
use api_types::InstanceId;
use auth::permission::image_gen as op;
use axum::body::Body;
use axum::extract::State;
use http::{HeaderValue, Method, Request, header};
use lookup::{Lookup, LookupCache, ServiceSource};
use middleware::testing::TestApp;
use middleware::{AppState, Caller, Context, Path, Props, Routes};
use platform::fakes::{
    FakeBackground, FakeClock, FakeHttp, FakePorts, FakeRandom, FakeReply, World,
};
use platform::{Clock, HttpRequest, Ops};
use serde_json::{Value, json};
use std::sync::Arc;

pub(crate) type Asking = Lookup<FakePorts, ServiceSource<FakeHttp>>;

#[derive(Clone)]
pub(crate) struct NeighbourDeps {
    world: World,
    pub(crate) lookup: Asking,
}

impl AppState for NeighbourDeps {
    type Ports = FakePorts;
    type Source = ServiceSource<FakeHttp>;

    fn service(&self) -> &'static str {
        "image-gen"
    }

    fn clock(&self) -> &FakeClock {
        &self.world.clock
    }

    fn random(&self) -> &FakeRandom {
        &self.world.random
    }

    fn ops(&self) -> Ops {
        self.world.ops.clone()
    }

    fn lookup(&self) -> Option<&Asking> {
        Some(&self.lookup)
    }
}

/// One isolate of the neighbour: `GET /v1/models` to whom config-service lets, `GET /images/{instance_id}` to anybody.
#[derive(Clone)]
pub(crate) struct Isolate {
    pub(crate) app: TestApp<NeighbourDeps>,
    pub(crate) deps: NeighbourDeps,
    pub(crate) background: FakeBackground,
}

async fn models(caller: Caller) -> errors::Result<axum::Json<Value>> {
    let version = caller.config()?.config_version;
    Ok(axum::Json(
        json!({"instance": caller.instance_id()?, "version": version}),
    ))
}

/// As a signed URL or a queue message is served: without a caller.
async fn config_of(
    State(deps): State<NeighbourDeps>,
    context: Context,
    Path(instance_id): Path<InstanceId>,
) -> errors::Result<axum::Json<Value>> {
    let (config, _) = deps.lookup.config(&instance_id, context.call()).await?;
    Ok(axum::Json(
        json!({"instance": config.instance_id, "version": config.config_version}),
    ))
}

impl Service {
    /// A cold isolate next door.
    pub(crate) fn isolate(&self) -> Isolate {
        self.isolate_behind(|_| 0)
    }

    /// A cold isolate whose questions travel `way(0)` milliseconds and their answers `way(1)`.
    pub(crate) fn isolate_behind(
        &self,
        way: impl Fn(u8) -> u64 + Send + Sync + 'static,
    ) -> Isolate {
        let world = self.ports.world.clone();
        let binding = FakeHttp::service(&world);
        let (app, clock) = (self.app.clone(), world.clock.clone());
        let way = Arc::new(way);
        binding.handle(move |request| {
            let (app, clock, way) = (app.clone(), clock.clone(), Arc::clone(&way));
            async move {
                clock.sleep(way(0)).await;
                let reply = answered(&app, request).await;
                clock.sleep(way(1)).await;
                reply
            }
        });
        let background = FakeBackground::new();
        let lookup = Lookup::new(
            Arc::new(LookupCache::default()),
            ServiceSource::new(binding),
            self.ports.kv.clone(),
            world.clock.clone(),
            world.random.clone(),
            background.clone(),
        );
        let deps = NeighbourDeps { world, lookup };
        let routes = Routes::new()
            .route(&op::LIST_MODELS, Method::GET, "/v1/models", models)
            .route(
                &op::GET_IMAGE_FILE,
                Method::GET,
                "/images/{instance_id}",
                config_of,
            );
        Isolate {
            app: TestApp::new(routes.into_app(deps.clone()), &deps),
            deps,
            background,
        }
    }
}

/// config-service's answer to a worker whose binding says that it is image-gen.
async fn answered(app: &TestApp<super::TestDeps>, request: HttpRequest) -> FakeReply {
    let path = request.url.strip_prefix("http://config-service").unwrap();
    let mut asked = Request::new(Body::from(request.body));
    *asked.method_mut() = request.method;
    *asked.uri_mut() = path.parse().unwrap();
    *asked.headers_mut() = request.headers;
    asked
        .extensions_mut()
        .insert(Props::new(Some("image-gen".to_owned()), None));
    let answer = app.answer(asked).await;
    let kind = answer.headers.get(header::CONTENT_TYPE);
    let kind = kind.map_or("", |it: &HeaderValue| it.to_str().unwrap());
    FakeReply::bytes(answer.status.as_u16(), kind, answer.body)
}

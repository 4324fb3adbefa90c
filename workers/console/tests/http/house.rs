//! The console in process: decision, router, security headers, on fakes.

use api_types::Secret;
use axum::body::{Body, Bytes, to_bytes};
use console::gateway::{Decision, Forward, Gateway, WORKERS};
use console::registry::To;
use console::{Console, Deps, Head, headers, upstreams};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use middleware::Context;
use platform::fakes::{FakeHttp, FakePorts, FakeReply, World};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use tracing::instrument::WithSubscriber;

/// The commit that the console under test was built from.
pub(crate) const BUILD: &str = "ab12cd3";
/// The address of the console under test.
pub(crate) const BASE: &str = "http://127.0.0.1:8787";
/// A user's key.
pub(crate) const KEY: &str = "sy_4fGh7kQ2mZ0a_3AHOVcjqx4BIPWdkry5CJQXelsz6DKRYfmt07ELSZgn0akblb";

/// Headers of a write that the console's own page sends.
pub(crate) const OWN_PAGE: [(&str, &str); 3] = [
    ("origin", BASE),
    ("x-switchyard-console", "1"),
    ("sec-fetch-site", "same-origin"),
];

/// A key of the right form.
pub(crate) fn minted(world: &World) -> Secret {
    auth::key::mint(&world.random).api_key
}

/// A head from its parts.
pub(crate) fn head(method: &str, url: &str, pairs: &[(&str, &str)]) -> Head {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    Head::new(method, url, map)
}

/// The console under test.
pub(crate) struct House {
    pub(crate) world: World,
    pub(crate) services: BTreeMap<String, FakeHttp>,
    pub(crate) assets: FakeHttp,
    console: Console<FakePorts>,
    dispatch: tracing::Dispatch,
    lines: Arc<Mutex<Vec<Value>>>,
}

/// One answer, read to its end; or the forward that was decided.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) forward: Option<(Forward, To)>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    pub(crate) fn outcome(&self) -> (u16, String) {
        let code = self.json()["error"].as_str().unwrap_or("").to_owned();
        (self.status.as_u16(), code)
    }
}

/// The bindings of a local console.
pub(crate) fn bound() -> BTreeSet<String> {
    let workers = WORKERS.iter().map(|target| target.binding);
    workers.chain(["ASSETS"]).map(ToOwned::to_owned).collect()
}

/// What differs between the houses of tests.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) gateway: Gateway,
}

impl Default for Plan {
    fn default() -> Self {
        let gateway = Gateway {
            bindings: bound(),
            ..Gateway::default()
        };
        Self { gateway }
    }
}

impl Plan {
    pub(crate) fn local() -> Self {
        let mut plan = Self::default();
        plan.gateway.local = true;
        plan
    }

    /// Without one binding.
    pub(crate) fn without(mut self, binding: &str) -> Self {
        assert!(self.gateway.bindings.remove(binding), "{binding}");
        self
    }

    /// With one binding more.
    pub(crate) fn with(mut self, binding: &str) -> Self {
        self.gateway.bindings.insert(binding.to_owned());
        self
    }
}

impl House {
    pub(crate) fn local() -> Self {
        Self::new(Plan::local())
    }

    pub(crate) fn new(plan: Plan) -> Self {
        let world = World::auto();
        let bindings = &plan.gateway.bindings;
        let services: BTreeMap<String, FakeHttp> = bindings
            .iter()
            .filter(|binding| *binding != "ASSETS")
            .map(|binding| (binding.clone(), FakeHttp::service(&world)))
            .collect();
        let has_assets = bindings.contains("ASSETS");
        let assets = FakeHttp::service(&world);
        let deps = Deps::<FakePorts> {
            clock: world.clock.clone(),
            random: world.random.clone(),
            ops: world.ops.clone(),
            upstreams: upstreams(bindings, |binding| services.get(binding).cloned()),
            assets: has_assets.then(|| assets.clone()),
            known: Arc::default(),
            environment: if plan.gateway.local {
                "local".to_owned()
            } else {
                "production".to_owned()
            },
            simulator: plan.gateway.local,
            gateway: plan.gateway,
            git_sha: BUILD.to_owned(),
        };
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        let dispatch = logging::dispatch(
            "console",
            Some("DEBUG"),
            world.clock.clone(),
            world.random.clone(),
            move |_, line| {
                let line = serde_json::from_str(line).unwrap();
                kept.lock().unwrap().push(line);
            },
        );
        Self {
            world,
            services,
            assets,
            console: Console::new(deps),
            dispatch,
            lines,
        }
    }

    /// The control plane.
    pub(crate) fn config(&self) -> &FakeHttp {
        self.service("CONFIG_SERVICE")
    }

    /// What is bound under that name.
    pub(crate) fn service(&self, binding: &str) -> &FakeHttp {
        &self.services[binding]
    }

    /// Every worker is well and the bundle is there.
    pub(crate) fn healthy(&self) {
        for service in self.services.values() {
            let body = json!({"status": "ok", "version": "0.1.0", "git_sha": "ff00ff0"});
            service.reply(FakeReply::json(200, &body));
        }
        self.assets.reply(page());
    }

    /// Log lines so far.
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.lines.lock().unwrap().clone()
    }

    /// As the shell does it; a forward is not sent but answered with what was decided.
    pub(crate) async fn send(
        &self,
        method: Method,
        url: &str,
        pairs: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answer {
        let url = if url.starts_with('/') {
            format!("{BASE}{url}")
        } else {
            url.to_owned()
        };
        let host = url.split('/').nth(2).unwrap().to_owned();
        let mut pairs = pairs.to_vec();
        if !pairs.iter().any(|(name, _)| *name == "host") {
            pairs.push(("host", &host));
        }
        if body.is_some() {
            pairs.push(("content-type", "application/json"));
        }
        let head = head(method.as_str(), &url, &pairs);
        let secure = head.secure;
        let mut request = Request::new(body.map_or_else(Body::empty, |it| it.to_string().into()));
        *request.method_mut() = method;
        *request.uri_mut() = url.parse().unwrap();
        *request.headers_mut() = head.headers.clone();
        let answering = async {
            match self.console.decide(&head) {
                Decision::Forward(forward) => {
                    let context =
                        Context::open(&head.headers, &self.world.clock, &self.world.random);
                    match self.console.locate(&context, &head, &forward).await {
                        Ok(to) => Err((forward, to)),
                        Err(error) => Ok(self.console.refuse(request, error).await),
                    }
                }
                Decision::Reject(error) => Ok(self.console.refuse(request, error).await),
                Decision::Page => Ok(self.console.page(request).await),
                Decision::File => Ok(self.console.file(head.clone()).await),
                Decision::Own => Ok(self.console.own(request).await),
            }
        };
        match answering.with_subscriber(self.dispatch.clone()).await {
            Err(forward) => Answer {
                status: StatusCode::OK,
                headers: HeaderMap::new(),
                body: Bytes::new(),
                forward: Some(forward),
            },
            Ok(response) => {
                let (parts, body) = headers::secured(response, secure, BUILD).into_parts();
                Answer {
                    status: parts.status,
                    headers: parts.headers,
                    body: to_bytes(body, usize::MAX).await.unwrap(),
                    forward: None,
                }
            }
        }
    }

    pub(crate) async fn get(&self, url: &str) -> Answer {
        self.send(Method::GET, url, &[], None).await
    }
}

/// What `ASSETS` answers for the page.
pub(crate) fn page() -> FakeReply {
    FakeReply::bytes(200, "text/html; charset=utf-8", "<!doctype html>")
        .header("etag", "\"5f3a\"")
        .header("cache-control", "public, max-age=0, must-revalidate")
        .header("cf-cache-status", "HIT")
}

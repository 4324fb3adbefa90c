//! Ring 3: the routes of admission, in process.

use admission::{Deps, Health, routes};
use middleware::testing::TestApp;
use middleware::testing::matrix::{Kind, Recipe, differences, operations};
use platform::Ops;
use platform::fakes::{FakePorts, World};
use serde_json::json;
use std::collections::BTreeMap;

fn app(bindings: &[(&'static str, bool)]) -> TestApp<Deps<FakePorts>> {
    let world = World::auto();
    let deps = Deps {
        clock: world.clock,
        random: world.random,
        ops: Ops::default(),
        health: Health {
            git_sha: "ab12cd3".to_owned(),
            version_id: None,
            bindings: bindings.iter().copied().collect(),
        },
    };
    TestApp::new(routes().into_app(deps.clone()), &deps)
}

#[tokio::test]
async fn health_names_version_and_bindings() {
    let answer = app(&[("DB", true), ("JOBS", true)])
        .get("/health")
        .send()
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json(),
        json!({
            "status": "ok",
            "version": "0.1.0",
            "version_id": null,
            "git_sha": "ab12cd3",
            "bindings": { "DB": "ok", "JOBS": "ok" },
        })
    );
}

#[tokio::test]
async fn health_is_503_when_a_binding_is_absent() {
    let answer = app(&[("DB", false), ("JOBS", true)])
        .get("/health")
        .send()
        .await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["bindings"]["DB"], "absent");
}

#[tokio::test]
async fn there_is_no_other_route() {
    let app = app(&[("DB", true)]);
    for path in ["/", "/v1/acquire", "/__probe/panic", "/__probe/served"] {
        assert_eq!(
            app.post(path).send().await.outcome(),
            (404, "not_found".to_owned()),
            "{path}"
        );
        assert_eq!(
            app.get(path).send().await.outcome(),
            (404, "not_found".to_owned()),
            "{path}"
        );
    }
    let wrong = app.post("/health").send().await;
    assert_eq!(wrong.outcome(), (405, "method_not_allowed".to_owned()));
}

#[tokio::test]
async fn health_asks_nothing_of_the_platform() {
    let world = World::auto();
    let deps: Deps<FakePorts> = Deps {
        clock: world.clock,
        random: world.random,
        ops: Ops::default(),
        health: Health::default(),
    };
    let app = TestApp::new(routes().into_app(deps.clone()), &deps);
    assert_eq!(app.get("/health").send().await.status, 200);
    assert_eq!(deps.ops.count(), platform::OpsCount::default());
}

/// All that is served is public and asks nothing of the platform, whoever comes with whatever key.
#[tokio::test]
async fn the_matrix_of_this_worker_is_public_routes_alone() {
    let document = operations(admission::OPENAPI).unwrap();
    let recipes = [
        Recipe::of("health", "P", "-", Kind::Nothing),
        Recipe::of("openapi", "P", "-", Kind::Nothing),
    ];
    assert_eq!(differences(&document, &recipes, &[]), Vec::<String>::new());
    let keys = [
        "",
        "sy_4fGh7kQ2mZ0a_3AHOVcjqx4BIPWdkry5CJQXelsz6DKRYfmt07ELSZgn0akblb",
        "no key at all",
    ];
    for (recipe, listed) in recipes.iter().zip(&document) {
        let filled = recipe.request(listed, &BTreeMap::new()).unwrap();
        let app = app(&[("DB", true)]);
        let mut seen = Vec::new();
        for key in keys {
            let mut request = app.request(filled.method.clone(), &filled.path);
            if !key.is_empty() {
                request = request.key(key);
            }
            let answer = request.send().await;
            assert_eq!(answer.status.as_u16(), recipe.done(listed), "{key}");
            seen.push(answer.body);
        }
        assert!(seen.iter().all(|body| *body == seen[0]));
    }
}

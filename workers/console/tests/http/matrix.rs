//! The authorization matrix of the console: every operation of its document by every principal.
//!
//! All are public here: the console judges no key, config-service does. So nobody's answer may depend on whose key it
//! is, what is asked of a worker goes there with the caller's key as it came, and only the three routes that pass a key
//! on may ask anybody at all.

use crate::house::{House, OWN_PAGE};
use http::Method;
use middleware::testing::matrix::{Kind, Recipe, Who, differences, operations};
use platform::fakes::FakeReply;
use serde_json::json;
use std::collections::BTreeMap;

const DOCUMENT: &str = include_str!("../../../../docs/openapi/console.json");
/// Keys of the principals; whose they are is not in them.
const KEYS: [(Who, &str); 4] = [
    (
        Who::Superadmin,
        "sy_root00000001_root00000001root00000001root00000001root0000Sc9Cx",
    ),
    (
        Who::Admin,
        "sy_4fGh7kQ2mZ0a_3AHOVcjqx4BIPWdkry5CJQXelsz6DKRYfmt07ELSZgn0akblb",
    ),
    (
        Who::User,
        "sy_user00000001_user00000001user00000001user00000001user0000bf5Bh",
    ),
    (
        Who::ProjectKey,
        "sy_proj00000001_proj00000001proj00000001proj00000001proj0001uwlZB",
    ),
];

// One recipe a line, so that the table can be read as one.
#[rustfmt::skip]
fn recipes() -> Vec<Recipe> {
    let public = |operation| Recipe::of(operation, "P", "-", Kind::Nothing);
    vec![
        public("page"),
        public("moved_testing_gui"),
        public("moved_admin_panel"),
        public("sign_in").body(json!({"api_key": "{key}"})).success(200),
        public("signed_in").success(200),
        public("sign_out").success(204),
        public("health"),
        public("openapi"),
        public("forward").fix("worker", "config-service").fix("rest", "instance/foreign"),
    ]
}

#[test]
fn document_and_recipes_have_the_same_operations_classes_and_scopes() {
    let mut listed = operations(DOCUMENT).unwrap();
    // What is forwarded is answered by the worker that serves it.
    for operation in &mut listed {
        if operation.id == "forward" {
            operation.success = vec![200];
        }
    }
    let found = differences(&listed, &recipes(), &[]);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[tokio::test]
async fn whose_key_it_is_decides_nothing_here() {
    let listed = operations(DOCUMENT).unwrap();
    for recipe in recipes() {
        let operation = listed.iter().find(|it| it.id == recipe.operation).unwrap();
        let mut seen = Vec::new();
        for (who, key) in KEYS {
            let house = House::local();
            house.healthy();
            // The control plane says no, whoever asks: the console must not know better.
            let no = json!({"error": "auth_failed", "message": "m", "hint": "h", "docs": "d", "request_id": "r"});
            for service in house.services.values() {
                service.handle({
                    let no = no.clone();
                    move |_| {
                        let no = no.clone();
                        async move { FakeReply::json(401, &no) }
                    }
                });
            }
            let values = BTreeMap::from([("key", key.to_owned())]);
            let filled = recipe.request(operation, &values).unwrap();
            let bearer = format!("Bearer {key}");
            let mut headers = OWN_PAGE.to_vec();
            headers.push(("authorization", &bearer));
            headers.push(("x-request-id", "0199a1c2-0000-7000-8000-000000000001"));
            let answer = house
                .send(filled.method.clone(), &filled.path, &headers, filled.body)
                .await;
            if let Some((forward, _)) = &answer.forward {
                assert_eq!(recipe.operation, "forward");
                // The caller's own key goes on as it came.
                assert_eq!(forward.bearer, None, "{who:?}");
                assert_eq!(forward.path_and_query, "/instance/foreign", "{who:?}");
            }
            if filled.method == Method::GET {
                assert_ne!(answer.status.as_u16(), 403, "{who:?} {}", recipe.operation);
            }
            seen.push((answer.status, answer.text().replace(key, "KEY")));
        }
        assert!(
            seen.iter().all(|answer| *answer == seen[0]),
            "{}: {seen:?}",
            recipe.operation
        );
    }
}

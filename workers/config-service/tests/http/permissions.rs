//! Who may do what, by role, target and scope.

use crate::support::*;
use http::Method;
use serde_json::{Value, json};

/// Roles by own, sibling and foreign, for each public route that has an instance, a user or a key in it.
#[tokio::test]
async fn the_matrix_of_roles_holds() {
    let service = Service::new();
    let principals = [ROOT, ADMIN, USER, PROJECT];
    let secret = json!({"api_key": "0123456789"});
    let cases: Vec<(Method, String, Option<Value>, [u16; 4])> = vec![
        (
            Method::GET,
            "/instance/development".into(),
            None,
            [200, 200, 200, 403],
        ),
        (
            Method::GET,
            "/instance/production".into(),
            None,
            [200, 200, 403, 403],
        ),
        (
            Method::GET,
            "/instance/foreign".into(),
            None,
            [200, 404, 404, 404],
        ),
        (
            Method::GET,
            "/instance/nowhere".into(),
            None,
            [404, 404, 404, 404],
        ),
        (Method::GET, "/instance".into(), None, [200, 200, 200, 403]),
        (
            Method::GET,
            "/instance/development/provider-key".into(),
            None,
            [200, 200, 403, 403],
        ),
        (
            Method::GET,
            "/instance/foreign/provider-key".into(),
            None,
            [200, 404, 404, 404],
        ),
        (
            Method::PUT,
            "/instance/development/provider-key/openai".into(),
            Some(secret.clone()),
            [201, 428, 403, 403],
        ),
        (
            Method::PUT,
            "/instance/foreign/provider-key/openai".into(),
            Some(secret.clone()),
            [201, 404, 404, 404],
        ),
        (
            Method::PUT,
            "/instance/nowhere/provider-key/openai".into(),
            Some(secret),
            [404, 404, 404, 404],
        ),
        (
            Method::PATCH,
            "/instance/development".into(),
            Some(json!({"name": "N"})),
            [428, 428, 403, 403],
        ),
        (
            Method::PATCH,
            "/instance/foreign".into(),
            Some(json!({"name": "N"})),
            [428, 404, 404, 404],
        ),
        (
            Method::PATCH,
            "/instance/nowhere".into(),
            Some(json!({"name": "N"})),
            [404, 404, 404, 404],
        ),
        (
            Method::DELETE,
            "/instance/development".into(),
            None,
            [428, 428, 403, 403],
        ),
        (
            Method::DELETE,
            "/instance/foreign".into(),
            None,
            [428, 404, 404, 404],
        ),
        (
            Method::PUT,
            "/instance/development/status".into(),
            Some(json!({"status": "deleting"})),
            [428, 428, 403, 403],
        ),
        (
            Method::PUT,
            "/instance/foreign/status".into(),
            Some(json!({"status": "deleting"})),
            [428, 404, 404, 404],
        ),
        (
            Method::PUT,
            "/instance/development/worker-urls".into(),
            Some(json!({})),
            [428, 428, 403, 403],
        ),
        (
            Method::PUT,
            "/instance/foreign/worker-urls".into(),
            Some(json!({})),
            [428, 404, 404, 404],
        ),
        (
            Method::POST,
            "/instance/development/pause".into(),
            Some(json!({})),
            [400, 400, 403, 403],
        ),
        (
            Method::POST,
            "/instance/foreign/pause".into(),
            Some(json!({})),
            [400, 404, 404, 404],
        ),
        (
            Method::POST,
            "/instance/development/resume".into(),
            None,
            [200, 200, 403, 403],
        ),
        (
            Method::POST,
            "/instance/foreign/resume".into(),
            None,
            [200, 404, 404, 404],
        ),
        (
            Method::GET,
            "/instance/development/limits".into(),
            None,
            [200, 200, 200, 403],
        ),
        (
            Method::GET,
            "/instance/production/limits".into(),
            None,
            [200, 200, 403, 403],
        ),
        (
            Method::GET,
            "/instance/foreign/limits".into(),
            None,
            [200, 404, 404, 404],
        ),
        (
            Method::PUT,
            "/instance/development/rate-limit/ideogram".into(),
            Some(json!({})),
            [428, 428, 403, 403],
        ),
        (
            Method::PUT,
            "/instance/foreign/rate-limit/ideogram".into(),
            Some(json!({})),
            [428, 404, 404, 404],
        ),
        (
            Method::DELETE,
            "/instance/development/rate-limit/ideogram".into(),
            None,
            [428, 428, 403, 403],
        ),
        (
            Method::DELETE,
            "/instance/foreign/rate-limit/ideogram".into(),
            None,
            [428, 404, 404, 404],
        ),
        (
            Method::PUT,
            "/instance/development/budgets".into(),
            Some(json!([])),
            [428, 428, 403, 403],
        ),
        (
            Method::PUT,
            "/instance/foreign/budgets".into(),
            Some(json!([])),
            [428, 404, 404, 404],
        ),
        (
            Method::GET,
            "/instance/development/deployments".into(),
            None,
            [200, 200, 200, 403],
        ),
        (
            Method::GET,
            "/instance/production/deployments".into(),
            None,
            [200, 200, 403, 403],
        ),
        (
            Method::GET,
            "/instance/foreign/deployments".into(),
            None,
            [200, 404, 404, 404],
        ),
        (Method::GET, "/price".into(), None, [200, 200, 200, 403]),
        (
            Method::POST,
            "/price".into(),
            Some(json!({"instance_id": "development"})),
            [400, 400, 403, 403],
        ),
        (
            Method::POST,
            "/price".into(),
            Some(json!({"instance_id": "foreign"})),
            [400, 404, 404, 404],
        ),
        (
            Method::POST,
            "/price".into(),
            Some(json!({"instance_id": "../x"})),
            [404, 404, 404, 404],
        ),
        (
            Method::POST,
            "/price".into(),
            Some(json!({"org_id": FOREIGN_LTD})),
            [400, 404, 404, 404],
        ),
        (
            Method::POST,
            "/price".into(),
            Some(json!({"org_id": NOBODY})),
            [404, 404, 404, 404],
        ),
        (
            Method::POST,
            "/price".into(),
            Some(json!({})),
            [400, 400, 403, 403],
        ),
        (
            Method::DELETE,
            format!("/price/{NOBODY}"),
            None,
            [404, 404, 404, 404],
        ),
        (
            Method::POST,
            "/organization".into(),
            Some(json!({"name": "N", "billing_email": "a@b"})),
            [201, 403, 403, 403],
        ),
        (
            Method::POST,
            "/instance".into(),
            Some(json!({"name": "No one", "org_id": FOREIGN_LTD})),
            [201, 404, 404, 404],
        ),
        (
            Method::POST,
            "/instance".into(),
            Some(json!({"name": "N", "org_id": NOBODY})),
            [404, 404, 404, 404],
        ),
        (
            Method::POST,
            "/instance".into(),
            Some(json!({"name": "Own"})),
            [400, 201, 403, 403],
        ),
        (
            Method::POST,
            "/user".into(),
            Some(json!({"email": "n@b", "role": "user", "org_id": FOREIGN_LTD})),
            [201, 404, 404, 404],
        ),
        (
            Method::POST,
            "/user".into(),
            Some(json!({"email": "m@b", "role": "user"})),
            [400, 201, 403, 403],
        ),
        (
            Method::POST,
            "/user".into(),
            Some(json!({"email": "r@b", "role": "superadmin"})),
            [201, 403, 403, 403],
        ),
        (
            Method::POST,
            "/user".into(),
            Some(json!({"email": "i@b", "role": "user", "instance_ids": ["foreign"]})),
            [400, 404, 403, 403],
        ),
        (
            Method::GET,
            format!("/user/{USER_USER}"),
            None,
            [200, 200, 200, 403],
        ),
        (
            Method::GET,
            format!("/user/{ADMIN_USER}"),
            None,
            [200, 200, 403, 403],
        ),
        (
            Method::GET,
            format!("/user/{FOREIGN_USER}"),
            None,
            [200, 404, 404, 404],
        ),
        (
            Method::GET,
            format!("/user/{ROOT_USER}"),
            None,
            [200, 404, 404, 404],
        ),
        (
            Method::GET,
            format!("/user/{NOBODY}"),
            None,
            [404, 404, 404, 404],
        ),
        (
            Method::PUT,
            format!("/user/{USER_USER}/instance/production"),
            None,
            [204, 204, 403, 403],
        ),
        (
            Method::PUT,
            format!("/user/{USER_USER}/instance/foreign"),
            None,
            [404, 404, 404, 404],
        ),
        (
            Method::PUT,
            format!("/user/{FOREIGN_USER}/instance/foreign"),
            None,
            [204, 404, 404, 404],
        ),
        (
            Method::POST,
            "/project".into(),
            Some(json!({"instance_id": "development", "name": "A"})),
            [201, 409, 409, 403],
        ),
        (
            Method::POST,
            "/project".into(),
            Some(json!({"instance_id": "foreign", "name": "A"})),
            [201, 404, 404, 404],
        ),
        (Method::GET, "/api-key".into(), None, [200, 200, 200, 200]),
        (
            Method::GET,
            "/api-key/user00000001".into(),
            None,
            [200, 200, 200, 403],
        ),
        (
            Method::GET,
            "/api-key/4fGh7kQ2mZ0a".into(),
            None,
            [200, 200, 403, 403],
        ),
        (
            Method::GET,
            "/api-key/proj00000001".into(),
            None,
            [200, 200, 403, 200],
        ),
        (
            Method::GET,
            "/api-key/fore00000001".into(),
            None,
            [200, 404, 404, 404],
        ),
        (
            Method::GET,
            "/api-key/root00000001".into(),
            None,
            [200, 404, 404, 404],
        ),
        (
            Method::GET,
            "/api-key/000000000000".into(),
            None,
            [404, 404, 404, 404],
        ),
        (
            Method::POST,
            "/api-key".into(),
            Some(json!({"user_id": USER_USER, "name": "n"})),
            [201, 201, 201, 403],
        ),
        (
            Method::POST,
            "/api-key".into(),
            Some(json!({"user_id": ADMIN_USER, "name": "n"})),
            [201, 201, 403, 403],
        ),
        (
            Method::POST,
            "/api-key".into(),
            Some(json!({"user_id": ROOT_USER, "name": "n"})),
            [201, 404, 404, 404],
        ),
        (
            Method::POST,
            "/api-key".into(),
            Some(json!({"user_id": FOREIGN_USER, "name": "n"})),
            [201, 404, 404, 404],
        ),
        (
            Method::POST,
            "/api-key".into(),
            Some(json!({"project_id": CHAT, "name": "n"})),
            [201, 201, 403, 403],
        ),
        (
            Method::POST,
            "/api-key".into(),
            Some(json!({"project_id": FOREIGN_PROJECT, "name": "n"})),
            [201, 404, 404, 404],
        ),
        (
            Method::DELETE,
            "/api-key/revoked00001".into(),
            None,
            [200, 200, 403, 403],
        ),
        (
            Method::DELETE,
            "/api-key/fuser0000001".into(),
            None,
            [200, 404, 404, 404],
        ),
        (
            Method::DELETE,
            "/api-key/proj00000001".into(),
            None,
            [200, 200, 403, 401],
        ),
        (Method::GET, "/session".into(), None, [200, 200, 200, 401]),
    ];
    for (method, path, body, want) in cases {
        for (key, want) in principals.iter().zip(want) {
            let mut request = service.app.request(method.clone(), &path).key(key);
            if let Some(body) = &body {
                request = request.json(body);
            }
            let answer = request.send().await;
            assert_eq!(
                answer.status.as_u16(),
                want,
                "{method} {path} by {key}: {}",
                answer.text()
            );
        }
    }
    service.settle().await;
}

#[tokio::test]
async fn foreign_and_missing_things_get_the_same_bytes_for_the_same_queries() {
    let service = Service::new();
    service.get(USER, "/session").await;
    service.get(ADMIN, "/session").await;
    service.settle().await;
    let pairs = [
        ("/instance/foreign", "/instance/nowhere"),
        (
            "/instance/foreign/provider-key",
            "/instance/nowhere/provider-key",
        ),
        ("/instance/foreign/limits", "/instance/nowhere/limits"),
        (
            "/instance/foreign/deployments",
            "/instance/nowhere/deployments",
        ),
        ("/api-key/fore00000001", "/api-key/000000000000"),
        (
            "/user/0198f0a1-0000-7000-8000-000000000004",
            "/user/0198f0a1-0000-7000-8000-0000000000ff",
        ),
    ];
    for key in [ADMIN, USER] {
        for (foreign, missing) in pairs {
            let mut seen = Vec::new();
            for path in [foreign, missing] {
                let before = service.ports.world.ops.count().d1_queries;
                let id = "0199a1c2-0000-7000-8000-000000000001";
                let answer = service
                    .app
                    .get(path)
                    .key(key)
                    .header("x-request-id", id)
                    .send()
                    .await;
                seen.push((
                    answer.status,
                    answer.text(),
                    service.ports.world.ops.count().d1_queries - before,
                ));
            }
            assert_eq!(seen[0], seen[1], "{foreign}");
            assert_eq!(seen[0].0, 404);
        }
    }
    service.settle().await;
}

#[tokio::test]
async fn scopes_bound_every_operation() {
    let service = Service::new();
    let mint = async |scopes: Value| {
        let answer = service
            .post(
                ADMIN,
                "/api-key",
                &json!({"name": "narrow", "scopes": scopes}),
            )
            .await;
        answer.json()["api_key"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let images = mint(json!(["images:write"])).await;
    let secret = json!({"api_key": "0123456789"});
    for (method, path, body, scope) in [
        (Method::GET, "/instance/production", None, "config:read"),
        (Method::GET, "/instance", None, "config:read"),
        (
            Method::GET,
            "/instance/production/provider-key",
            None,
            "config:read",
        ),
        (
            Method::PUT,
            "/instance/production/provider-key/openai",
            Some(secret),
            "secrets:write",
        ),
        (
            Method::POST,
            "/instance",
            Some(json!({"name": "x"})),
            "config:write",
        ),
        (
            Method::PATCH,
            "/instance/production",
            Some(json!({})),
            "config:write",
        ),
        (Method::DELETE, "/instance/production", None, "config:write"),
        (
            Method::PUT,
            "/instance/production/status",
            Some(json!({})),
            "config:write",
        ),
        (
            Method::PUT,
            "/instance/production/worker-urls",
            Some(json!({})),
            "config:write",
        ),
        (
            Method::POST,
            "/instance/production/pause",
            Some(json!({})),
            "config:write",
        ),
        (
            Method::POST,
            "/instance/production/resume",
            None,
            "config:write",
        ),
        (
            Method::PUT,
            "/instance/production/rate-limit/ideogram",
            Some(json!({})),
            "config:write",
        ),
        (
            Method::DELETE,
            "/instance/production/rate-limit/ideogram",
            None,
            "config:write",
        ),
        (
            Method::PUT,
            "/instance/production/budgets",
            Some(json!([])),
            "config:write",
        ),
        (
            Method::GET,
            "/instance/production/limits",
            None,
            "config:read",
        ),
        (
            Method::GET,
            "/instance/production/deployments",
            None,
            "config:read",
        ),
        (Method::GET, "/price", None, "config:read"),
        (Method::POST, "/price", Some(json!({})), "config:write"),
        (
            Method::POST,
            "/user",
            Some(json!({"email": "x@y", "role": "user"})),
            "config:write",
        ),
        (
            Method::PUT,
            "/user/0198f0a1-0000-7000-8000-000000000002/instance/production",
            None,
            "config:write",
        ),
        (
            Method::POST,
            "/api-key",
            Some(json!({"name": "x"})),
            "keys:write",
        ),
        (Method::DELETE, "/api-key/user00000001", None, "keys:write"),
    ] {
        let mut request = service.app.request(method, path).key(&images);
        if let Some(body) = &body {
            request = request.json(body);
        }
        let answer = request.send().await;
        assert_eq!(answer.outcome(), (403, "scope_missing".into()), "{path}");
        assert_eq!(answer.json()["details"]["scope"], scope, "{path}");
    }
    // Any scope that writes may make projects; one that only reads may not.
    let project = json!({"instance_id": "production", "name": "p"});
    assert_eq!(
        service.post(&images, "/project", &project).await.status,
        201
    );
    let reads = mint(json!(["images:read"])).await;
    assert_eq!(
        service.post(&reads, "/project", &project).await.outcome(),
        (403, "scope_missing".into())
    );
    // Nobody mints scopes beyond his own, `*` included.
    let keys = mint(json!(["keys:write", "images:read"])).await;
    for scopes in [json!(["images:write"]), json!(["*"])] {
        let answer = service
            .post(&keys, "/api-key", &json!({"name": "x", "scopes": scopes}))
            .await;
        assert_eq!(answer.outcome(), (403, "scope_missing".into()));
    }
    let within = service
        .post(
            &keys,
            "/api-key",
            &json!({"name": "x", "scopes": ["images:read"]}),
        )
        .await;
    assert_eq!(within.status, 201, "{}", within.text());
    service.settle().await;
}

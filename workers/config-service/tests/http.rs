//! Every public route in process: status, body, who may, what stays behind.

mod support;

use http::Method;
use platform::fakes::When;
use serde_json::{Value, json};
use support::*;

fn new_instance(name: &str) -> Value {
    json!({
        "name": name,
        "config": {
            "api_keys": {"ideogram": "ide-live-canary-0123456789f2c9"},
            "rate_limits": {"ideogram": {"rpm": 500}},
            "r2_bucket": "prod-images",
        },
    })
}

#[tokio::test]
async fn an_instance_is_created_sealed_published_and_shown() {
    let service = Service::new();
    let answer = service
        .post(ADMIN, "/instance", &new_instance("Staging One"))
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let body = answer.json();
    assert_eq!(answer.header("location"), "/instance/staging-one");
    assert_eq!(answer.header("etag"), "\"1\"");
    assert_eq!(body["instance_id"], "staging-one");
    assert_eq!(body["org_id"], ACME);
    assert_eq!(body["status"], "deploying");
    assert_eq!(body["version"], 1);
    assert_eq!(body["api_keys"], json!({"ideogram": "****f2c9"}));
    assert_eq!(body["rate_limits"]["ideogram"]["rpm"], 500);
    assert_eq!(body["rate_limits"]["ideogram"]["max_inflight_images"], 10);
    assert_eq!(body["worker_urls"], json!({}));
    assert_eq!(body["r2_bucket"], "prod-images");
    assert_eq!(body["request_id"], answer.header("x-request-id"));
    let copy: Value =
        serde_json::from_str(&service.ports.kv.newest("cfg:v1:staging-one").unwrap()).unwrap();
    assert_eq!(copy["config_version"], 1);
    assert!(
        copy["config"]["api_keys"]["ideogram"]
            .as_str()
            .unwrap()
            .starts_with("v1.k1.")
    );
    service.settle().await;
    let row = service
        .row("SELECT published_version, config FROM instances WHERE instance_id = 'staging-one'")
        .await;
    assert_eq!(row.int("published_version"), Some(1));
    assert!(!row.text("config").unwrap().contains("api_keys"));

    let shown = service.get(ADMIN, "/instance/staging-one").await;
    assert_eq!(shown.status, 200);
    let mut expected = body.clone();
    expected["request_id"] = shown.json()["request_id"].clone();
    assert_eq!(shown.json(), expected);
    let again = service
        .app
        .get("/instance/staging-one")
        .key(ADMIN)
        .header("if-none-match", "\"1\"")
        .send()
        .await;
    // Its provider keys and access may have changed without a new version, so the whole answer comes again.
    assert_eq!(again.status, 200);
    assert_eq!(again.header("etag"), "\"1\"");
    service.settle().await;
}

#[tokio::test]
async fn a_mutation_is_two_round_trips_and_one_put() {
    let service = Service::new();
    service.get(ADMIN, "/session").await;
    service.settle().await;
    let (batches, puts) = (
        service.ports.world.faults.calls("database"),
        service.ports.world.faults.calls("kv.put"),
    );
    service
        .post(ADMIN, "/instance", &new_instance("Staging"))
        .await;
    assert_eq!(service.ports.world.faults.calls("database") - batches, 2);
    assert_eq!(service.ports.world.faults.calls("kv.put") - puts, 1);
    let batches = service.ports.world.faults.calls("database");
    service.get(ADMIN, "/instance/staging").await;
    assert_eq!(service.ports.world.faults.calls("database") - batches, 1);
    service.settle().await;
}

#[tokio::test]
async fn users_see_no_part_of_a_provider_key() {
    let service = Service::new();
    let put = service
        .put(
            ADMIN,
            "/instance/development/provider-key/ideogram",
            &json!({"api_key": "ide-live-canary-0123456789f2c9"}),
        )
        .await;
    assert_eq!(put.status, 201, "{}", put.text());
    let shown = service.get(USER, "/instance/development").await;
    assert_eq!(shown.json()["api_keys"], json!({"ideogram": "****"}));
    assert_eq!(shown.json()["authorized_users"], json!([USER_USER]));
    let shown = service.get(ADMIN, "/instance/development").await;
    assert_eq!(shown.json()["api_keys"], json!({"ideogram": "****f2c9"}));
    service.settle().await;
}

#[tokio::test]
async fn wrong_configurations_are_refused_with_all_problems() {
    let service = Service::new();
    let post = async |config: Value| {
        let answer = service
            .post(
                ADMIN,
                "/instance",
                &json!({"name": "x y", "config": config}),
            )
            .await;
        (answer.outcome(), answer.json())
    };
    let (outcome, body) = post(json!({
        "rate_limits": {"ideogram": {"rpm": 0}}, "r2_bucket": "X",
        "routing": {"default_provider": "nobody"},
        "providers": {"openai": {"base_url": "http://169.254.169.254"}},
    }))
    .await;
    assert_eq!(outcome, (400, "invalid_config".into()));
    let pointers: Vec<&str> = body["details"]["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["pointer"].as_str().unwrap())
        .collect();
    for pointer in [
        "/rate_limits/ideogram/rpm",
        "/r2_bucket",
        "/routing/default_provider",
        "/providers/openai/base_url",
    ] {
        assert!(pointers.contains(&pointer), "{pointers:?}");
    }
    for (config, status, code) in [
        (json!({"budgest": []}), 400, "unknown_field"),
        (
            json!({"providers": {"openai": {"tiemout_ms": 1}}}),
            400,
            "unknown_field",
        ),
        (json!({"worker_urls": {}}), 400, "read_only_field"),
        (json!({"authorized_users": []}), 400, "read_only_field"),
        (json!({"config_version": 3}), 400, "read_only_field"),
        (
            json!({"providers": {"openai": {"credential_id": "x"}}}),
            400,
            "read_only_field",
        ),
        (
            json!({"api_keys": {"nobody": "0123456789"}}),
            400,
            "invalid_config",
        ),
        (json!({"api_keys": {"openai": ""}}), 400, "invalid_field"),
        (json!({"api_keys": {"openai": ADMIN}}), 400, "invalid_field"),
        (
            json!({"api_keys": {"openai": "a\nb"}}),
            400,
            "invalid_field",
        ),
        (json!({"api_keys": []}), 400, "invalid_field"),
        (
            json!({"providers": {"openai": {}}, "routing": {"default_provider": "openai"}}),
            400,
            "invalid_config",
        ),
        (
            json!({"rate_limits": {"ideogram": {"rpm": "many"}}}),
            400,
            "invalid_field",
        ),
        (
            json!({"environment": "x".repeat(70_000)}),
            413,
            "payload_too_large",
        ),
        (json!([]), 400, "invalid_field"),
    ] {
        let (outcome, body) = post(config.clone()).await;
        assert_eq!(outcome, (status, code.to_owned()), "{config} {body}");
    }
    assert_eq!(service.count("instances").await, 3);
    assert_eq!(service.count("audit_log").await, 0);
    service.settle().await;
}

#[tokio::test]
async fn only_local_environments_make_active_instances() {
    let body = json!({"name": "Quick", "status": "active"});
    let service = Service::new();
    assert_eq!(
        service.post(ADMIN, "/instance", &body).await.json()["status"],
        "active"
    );
    service.settle().await;
    let service = Service::with(settings("production"));
    assert_eq!(
        service.post(ADMIN, "/instance", &body).await.outcome(),
        (400, "invalid_field".into())
    );
    let private = json!({"name": "Quick", "config": {"providers": {"openai": {"base_url": "http://127.0.0.1:1", "allow_private_host": true}}}});
    assert_eq!(
        service.post(ADMIN, "/instance", &private).await.outcome(),
        (400, "invalid_config".into())
    );
    service.settle().await;
}

#[tokio::test]
async fn taken_ids_conflict_and_own_tombstones_are_made_again() {
    let service = Service::new();
    for id in ["production", "foreign"] {
        let answer = service
            .post(ADMIN, "/instance", &json!({"instance_id": id, "name": "x"}))
            .await;
        assert_eq!(answer.outcome(), (409, "conflict".into()));
    }
    service
        .run("UPDATE instances SET status = 'deleted', version = 4, config_version = 6")
        .await;
    assert_eq!(
        service
            .post(
                ADMIN,
                "/instance",
                &json!({"instance_id": "foreign", "name": "x"})
            )
            .await
            .status,
        409
    );
    let again = service
        .post(
            ADMIN,
            "/instance",
            &json!({"instance_id": "production", "name": "x"}),
        )
        .await;
    assert_eq!(
        (again.status.as_u16(), again.header("etag")),
        (201, "\"5\"")
    );
    assert_eq!(again.json()["config_version"], 7);
    service.settle().await;
}

#[tokio::test]
async fn the_seed_of_a_local_stack_is_made_over_http() {
    let service = Service::new();
    let org = service
        .post(
            ROOT,
            "/organization",
            &json!({"name": "New Inc.", "billing_email": "b@new.example"}),
        )
        .await;
    assert_eq!(org.status, 201, "{}", org.text());
    let org_id = org.json()["org_id"].as_str().unwrap().to_owned();
    let provider = json!({
        "adapter": "ideogram", "base_url": "http://127.0.0.1:8123/ideogram", "allow_private_host": true,
        "extra_result_hosts": ["127.0.0.1:8124"], "extra_api_hosts": ["127.0.0.1:8125"],
    });
    let instance = json!({
        "org_id": org_id, "instance_id": "main", "name": "Main", "status": "active",
        "config": {
            "api_keys": {"ideogram": "sim-ok-dev"}, "environment": "development", "providers": {"ideogram": provider},
            "rate_limits": {"ideogram": {"rpm": 60, "max_inflight_images": 4}}, "r2_bucket": "dev-images",
        },
    });
    let made = service.post(ROOT, "/instance", &instance).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(
        made.json()["providers"]["ideogram"]["credential_state"],
        "set"
    );
    assert_eq!(made.json()["api_keys"]["ideogram"], "****");
    let user = service
        .post(
            ROOT,
            "/user",
            &json!({"email": "u@new.example", "name": "u", "role": "user", "org_id": org_id}),
        )
        .await;
    let user_id = user.json()["user_id"].as_str().unwrap().to_owned();
    let granted = service
        .put(ROOT, &format!("/user/{user_id}/instance/main"), &json!({}))
        .await;
    assert_eq!((granted.status.as_u16(), granted.body.len()), (204, 0));
    let project = service
        .post(
            ROOT,
            "/project",
            &json!({"instance_id": "main", "name": "Content", "settings": {}}),
        )
        .await;
    assert_eq!(project.status, 201, "{}", project.text());
    let key = service
        .post(
            ROOT,
            "/api-key",
            &json!({"user_id": user_id, "name": "dev", "scopes": ["*"]}),
        )
        .await;
    assert_eq!(key.status, 201, "{}", key.text());
    let api_key = key.json()["api_key"].as_str().unwrap().to_owned();
    let me = service.get(&api_key, "/session").await.json();
    assert_eq!(me["user"]["email"], "u@new.example");
    assert_eq!(me["organization"]["name"], "New Inc.");
    assert_eq!(
        me["instances"][0],
        json!({"instance_id": "main", "name": "Main", "environment": "development", "status": "active"})
    );
    assert_eq!(service.get(&api_key, "/instance/main").await.status, 200);
    let verdict = service
        .resolve("image-gen", &ask(&api_key, None))
        .await
        .json();
    assert_eq!(verdict["instance"]["instance_id"], "main");
    assert!(
        verdict["config"]["api_keys"]["ideogram"]
            .as_str()
            .unwrap()
            .starts_with("v1.")
    );
    service.settle().await;
}

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

#[tokio::test]
async fn a_key_that_ends_mints_no_key_that_outlives_it() {
    let service = Service::new();
    let end = "2026-11-30T00:00:00.000Z";
    let short = service
        .post(
            ADMIN,
            "/api-key",
            &json!({"name": "contractor", "expires_at": end}),
        )
        .await;
    assert_eq!(short.status, 201, "{}", short.json());
    let key = short.json()["api_key"].as_str().unwrap().to_owned();
    for wanted in [
        json!({"name": "for ever"}),
        json!({"name": "longer", "expires_at": "2026-12-01T00:00:00.000Z"}),
    ] {
        let refused = service.post(&key, "/api-key", &wanted).await;
        assert_eq!(refused.status, 403, "{}", refused.json());
        assert!(refused.json()["hint"].as_str().unwrap().contains(end));
    }
    let allowed = json!({"name": "as long", "expires_at": end});
    assert_eq!(service.post(&key, "/api-key", &allowed).await.status, 201);
    service.settle().await;
}

#[tokio::test]
async fn nobody_mints_instances_beyond_his_own() {
    let service = Service::new();
    let mint = async |key: &str, ids: Value| {
        let answer = service
            .post(key, "/api-key", &json!({"name": "x", "instance_ids": ids}))
            .await;
        (
            answer.outcome(),
            answer.json()["api_key"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        )
    };
    assert_eq!(
        mint(USER, json!(["production"])).await.0,
        (403, "forbidden".into())
    );
    assert_eq!(mint(USER, json!(["foreign"])).await.0.0, 404);
    assert_eq!(mint(ADMIN, json!(["nowhere"])).await.0.0, 404);
    assert_eq!(
        mint(ADMIN, json!([])).await.0,
        (400, "invalid_field".into())
    );
    let (outcome, narrow) = mint(ADMIN, json!(["development"])).await;
    assert_eq!(outcome.0, 201);
    assert_eq!(
        service.get(&narrow, "/instance/development").await.status,
        200
    );
    assert_eq!(
        service.get(&narrow, "/instance/production").await.status,
        403
    );
    assert_eq!(
        service
            .put(
                &narrow,
                "/instance/production/provider-key/openai",
                &json!({"api_key": "x"})
            )
            .await
            .status,
        403
    );
    assert_eq!(
        service.get(&narrow, "/instance").await.json()["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        mint(&narrow, Value::Null).await.0,
        (403, "forbidden".into())
    );
    assert_eq!(mint(&narrow, json!(["production"])).await.0.0, 403);
    assert_eq!(mint(&narrow, json!(["development"])).await.0.0, 201);
    service.settle().await;
}

#[tokio::test]
async fn a_repeated_post_is_answered_once_and_shows_its_secret_for_ten_minutes() {
    let service = Service::new();
    let post = async |path: &str, key: &str, body: &Value| {
        service
            .app
            .post(path)
            .key(ADMIN)
            .header("idempotency-key", key)
            .json(body)
            .send()
            .await
    };
    let body = json!({"user_id": USER_USER, "name": "laptop"});
    let first = post("/api-key", "k-1", &body).await;
    let second = post("/api-key", "k-1", &body).await;
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (201, 201));
    assert_eq!(first.json()["api_key"], second.json()["api_key"]);
    assert_eq!(second.header("idempotent-replayed"), "true");
    assert_eq!(second.header("location"), first.header("location"));
    assert_eq!(first.header("idempotent-replayed"), "");
    assert_eq!(service.count("api_keys WHERE name = 'laptop'").await, 1);
    let stored = service
        .row("SELECT response, sealed FROM idempotency")
        .await;
    assert!(stored.flag("sealed") && !stored.text("response").unwrap().contains("sy_"));
    let other = post(
        "/api-key",
        "k-1",
        &json!({"user_id": USER_USER, "name": "other"}),
    )
    .await;
    assert_eq!(other.outcome(), (422, "idempotency_mismatch".into()));
    service.ports.world.clock.advance(600_000);
    assert_eq!(
        post("/api-key", "k-1", &body).await.outcome(),
        (409, "secret_already_shown".into())
    );
    service.ports.world.clock.advance(24 * 3_600_000);
    let next_day = post("/api-key", "k-1", &body).await;
    assert_eq!(next_day.status, 201);
    assert_ne!(next_day.json()["key_id"], first.json()["key_id"]);

    let project = json!({"instance_id": "production", "name": "Once"});
    let first = post("/project", "p", &project).await.json();
    service.ports.world.clock.advance(3_600_000);
    assert_eq!(
        post("/project", "p", &project).await.json()["project_id"],
        first["project_id"]
    );
    assert_eq!(
        post("/project", "q", &project).await.outcome(),
        (409, "conflict".into())
    );
    assert_eq!(
        post("/project", &"k".repeat(256), &project).await.outcome(),
        (400, "invalid_field".into())
    );
    assert_eq!(
        service
            .post(
                USER,
                "/project",
                &json!({"instance_id": "development", "name": "x"})
            )
            .await
            .status,
        201
    );
    service.settle().await;
}

#[tokio::test]
async fn change_and_audit_row_are_together_when_the_database_fails() {
    let service = Service::new();
    service.get(ADMIN, "/session").await;
    service.settle().await;
    let faults = &service.ports.world.faults;
    let post = async |name: &str| {
        service
            .post(
                ADMIN,
                "/project",
                &json!({"instance_id": "production", "name": name}),
            )
            .await
    };
    // The write never arrives.
    faults.fail("database", 2, When::Before);
    let lost = post("before").await;
    assert_eq!(lost.outcome(), (503, "database_unavailable".into()));
    assert_eq!(lost.header("x-should-retry"), "true");
    assert_eq!(
        (
            service.count("projects WHERE name = 'before'").await,
            service.count("audit_log").await
        ),
        (0, 0)
    );
    // It arrives and its answer is lost: the audit entry tells.
    faults.fail("database", 2, When::After);
    let done = post("after").await;
    assert_eq!(done.status, 201, "{}", done.text());
    assert_eq!(
        (
            service.count("projects WHERE name = 'after'").await,
            service.count("audit_log").await
        ),
        (1, 1)
    );
    // A read is repeated once.
    faults.fail("database", 1, When::Before);
    assert_eq!(post("read").await.status, 201);
    faults.fail_every("database", When::Before);
    assert_eq!(
        post("down").await.outcome(),
        (503, "database_unavailable".into())
    );
    assert_eq!(
        service.get(ADMIN, "/instance/production").await.outcome(),
        (503, "database_unavailable".into())
    );
    faults.heal_all();
    assert_eq!(post("up").await.status, 201);
    assert_eq!(service.count("audit_log").await, 3);
    service.settle().await;
}

#[tokio::test]
async fn publication_that_fails_is_repeated_and_then_swept() {
    let service = Service::new();
    let faults = &service.ports.world.faults;
    faults.fail("kv.put", 1, When::Before);
    assert_eq!(
        service
            .post(ADMIN, "/instance", &json!({"name": "one"}))
            .await
            .status,
        201
    );
    assert!(service.ports.kv.newest("cfg:v1:one").is_none());
    service.settle().await;
    assert!(service.ports.kv.newest("cfg:v1:one").is_some());
    assert_eq!(
        service
            .row("SELECT published_version AS n FROM instances WHERE instance_id = 'one'")
            .await
            .int("n"),
        Some(1)
    );
    faults.fail_every("kv.put", When::Before);
    assert_eq!(
        service
            .post(ADMIN, "/instance", &json!({"name": "two"}))
            .await
            .status,
        201
    );
    service.settle().await;
    assert_eq!(service.deps.sweep().await.published, 0);
    faults.heal_all();
    // The seed's three are unpublished too.
    let swept = service.deps.sweep().await;
    assert_eq!((swept.published, swept.failed_steps), (4, 0));
    assert!(service.ports.kv.newest("cfg:v1:two").is_some());
    assert_eq!(service.deps.sweep().await.published, 0);
    service.ports.world.clock.advance(12 * 3_600_000 + 1);
    assert_eq!(service.deps.sweep().await.confirmed, 5);
    assert_eq!(service.deps.sweep().await.confirmed, 0);
    // One failing step does not stop the next.
    service.run("INSERT INTO idempotency (principal, route, key, request_sha256, status, response, created_at, expires_at) VALUES ('p', 'r', 'k', hex(zeroblob(32)), 200, '{}', '2025-01-01T00:00:00.000Z', '2025-01-02T00:00:00.000Z')").await;
    faults.fail("database", 1, When::Before);
    let swept = service.deps.sweep().await;
    assert_eq!((swept.failed_steps, swept.forgotten), (1, 1));
    service.settle().await;
}

#[tokio::test]
async fn provider_keys_are_replaced_with_the_version_that_was_read() {
    let service = Service::new();
    let path = "/instance/production/provider-key/ideogram";
    let put = async |if_match: Option<&str>, key: &str| {
        let mut request = service
            .app
            .request(Method::PUT, path)
            .key(ADMIN)
            .json(&json!({"api_key": key, "webhook_secret": "whsec-canary"}));
        if let Some(tag) = if_match {
            request = request.header("if-match", tag);
        }
        request.send().await
    };
    let first = put(None, "ide-live-canary-0000000001").await;
    assert_eq!(
        (first.status.as_u16(), first.header("etag")),
        (201, "\"1\"")
    );
    assert_eq!(first.json()["state"], "set");
    assert_eq!(first.json()["last4"], "0001");
    assert_eq!(
        put(None, "x").await.outcome(),
        (428, "precondition_required".into())
    );
    let stale = put(Some("\"7\""), "x").await;
    assert_eq!(stale.outcome(), (412, "version_mismatch".into()));
    assert_eq!(stale.json()["details"]["current_version"], 1);
    assert_eq!(stale.json()["details"]["current"]["last4"], "0001");
    assert_eq!(
        put(Some("8"), "x").await.outcome(),
        (400, "invalid_field".into())
    );
    assert_eq!(put(Some("W/\"1\""), "x").await.outcome().0, 412);
    let second = put(Some("\"1\""), "ide-live-canary-0000000002").await;
    assert_eq!(
        (second.status.as_u16(), second.header("etag")),
        (200, "\"2\"")
    );
    assert_eq!(
        put(Some("*"), "ide-live-canary-0000000003").await.status,
        200
    );
    let row = service
        .row("SELECT config_version, version FROM instances WHERE instance_id = 'production'")
        .await;
    assert_eq!(
        (row.int("config_version"), row.int("version")),
        (Some(4), Some(1))
    );
    assert_eq!(service.count("provider_credentials").await, 1);
    let list = service
        .get(ADMIN, "/instance/production/provider-key")
        .await
        .json();
    assert_eq!(list["items"][0]["last4"], "0003");
    assert_eq!(list["items"][0]["version"], 3);
    let unknown = service
        .put(
            ADMIN,
            "/instance/production/provider-key/nobody",
            &json!({"api_key": "x"}),
        )
        .await;
    assert_eq!(unknown.outcome(), (400, "invalid_field".into()));
    let bad = service
        .put(ADMIN, path, &json!({"api_key": "x", "key": "y"}))
        .await;
    assert_eq!(bad.outcome(), (400, "unknown_field".into()));
    service.settle().await;
}

#[tokio::test]
async fn revoking_is_final_and_repeatable() {
    let service = Service::new();
    let now = service.deps.now();
    let first = service
        .delete(ADMIN, "/api-key/user00000001?reason=lost")
        .await;
    assert_eq!(first.status, 200, "{}", first.text());
    assert_eq!(first.json()["revoked_at"], json!(now));
    assert_eq!(first.json()["effective_by"], json!(now.plus_ms(5_000)));
    let used = service.get(USER, "/session").await;
    assert_eq!(used.outcome(), (401, "auth_failed".into()));
    assert_eq!(used.json()["details"]["reason"], "revoked");
    service.ports.world.clock.advance(60_000);
    let again = service.delete(ADMIN, "/api-key/user00000001").await;
    assert_eq!(again.json()["revoked_at"], json!(now));
    assert_eq!(service.count("audit_log").await, 1);
    assert_eq!(
        service.get(ADMIN, "/api-key/user00000001").await.json()["state"],
        "revoked"
    );
    let list = service.get(ADMIN, "/api-key?status=revoked").await.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
    assert_eq!(
        service.get(ADMIN, "/api-key?status=gone").await.outcome(),
        (400, "invalid_field".into())
    );
    assert_eq!(
        service.get(ADMIN, "/api-key?cursor=x").await.outcome(),
        (400, "invalid_cursor".into())
    );
    let page = service.get(ADMIN, "/api-key?limit=1").await.json();
    let cursor = page["next_cursor"].as_str().unwrap();
    assert_eq!(
        service
            .get(ADMIN, &format!("/api-key?limit=1&cursor={cursor}"))
            .await
            .status,
        200
    );
    assert_eq!(
        service
            .get(ADMIN, &format!("/api-key?status=active&cursor={cursor}"))
            .await
            .outcome(),
        (400, "invalid_cursor".into())
    );
    service.settle().await;
}

#[tokio::test]
async fn quotas_are_named() {
    let service = Service::new();
    for n in 1..20 {
        assert_eq!(
            service
                .post(USER, "/api-key", &json!({"name": format!("k{n}")}))
                .await
                .status,
            201
        );
    }
    let over = service
        .post(USER, "/api-key", &json!({"name": "over"}))
        .await;
    assert_eq!(over.outcome(), (409, "quota_reached".into()));
    assert_eq!(over.json()["details"], json!({"limit": 20, "current": 20}));
    let past = service
        .post(
            ADMIN,
            "/api-key",
            &json!({"name": "x", "expires_at": "2020-01-01T00:00:00Z"}),
        )
        .await;
    assert_eq!(past.outcome(), (400, "invalid_field".into()));
    let far = service
        .post(
            ADMIN,
            "/api-key",
            &json!({"name": "x", "expires_at": "2040-01-01T00:00:00Z"}),
        )
        .await;
    assert_eq!(far.outcome(), (400, "invalid_field".into()));
    service.settle().await;
}

#[tokio::test]
async fn the_audit_chain_can_be_recomputed() {
    let service = Service::new();
    service
        .post(
            ADMIN,
            "/project",
            &json!({"instance_id": "production", "name": "one"}),
        )
        .await;
    service.post(ADMIN, "/instance", &new_instance("Two")).await;
    service
        .put(
            ADMIN,
            "/instance/production/provider-key/openai",
            &json!({"api_key": "canary-0123456789-0123456789"}),
        )
        .await;
    let mut prev = auth::chain::FIRST_PREV_HASH.to_owned();
    for seq in 1..=3 {
        let row = service
            .row(&format!(
                "SELECT * FROM audit_log WHERE org_id = '{ACME}' AND seq = {seq}"
            ))
            .await;
        let text = |name: &str| row.text(name).map_or(Value::Null, Value::from);
        let parsed = |name: &str| {
            row.text(name)
                .map_or(Value::Null, |t| serde_json::from_str(t).unwrap())
        };
        let entry = json!({
            "org_id": text("org_id"), "seq": seq, "at": text("at"), "actor": parsed("actor"), "action": text("action"),
            "target_type": text("target_type"), "target_id": text("target_id"), "instance_id": text("instance_id"),
            "before": parsed("before"), "after": parsed("after"), "request_id": text("request_id"), "ip": text("ip"), "prev_hash": prev,
        });
        assert_eq!(row.text("prev_hash"), Some(prev.as_str()));
        prev = auth::chain::entry_hash(&prev, &entry);
        assert_eq!(row.text("hash"), Some(prev.as_str()), "entry {seq}");
        assert!(!entry.to_string().contains("canary"));
    }
    service.settle().await;
}

#[tokio::test]
async fn parallel_writers_make_a_chain_without_gap() {
    let service = Service::new();
    // Each round trip takes a while, so that all of them read the same head of the chain.
    service.ports.world.faults.slow("database", 5);
    let writes = (0..20).map(|n| {
        let service = &service;
        async move {
            service
                .post(
                    ADMIN,
                    "/project",
                    &json!({"instance_id": "production", "name": format!("p{n}")}),
                )
                .await
                .status
                .as_u16()
        }
    });
    let statuses = futures_util::future::join_all(writes).await;
    let done = statuses.iter().filter(|status| **status == 201).count() as i64;
    assert!(
        done >= 5 && statuses.iter().all(|status| [201, 503].contains(status)),
        "{statuses:?}"
    );
    assert_eq!(service.count("audit_log").await, done);
    assert_eq!(
        service
            .count("projects WHERE instance_id = 'production'")
            .await,
        done + 1
    );
    let row = service.row("SELECT max(seq) AS n FROM audit_log").await;
    assert_eq!(row.int("n"), Some(done));
    service.settle().await;
}

#[tokio::test]
async fn bodies_are_told_wrong_only_to_who_may_ask() {
    let service = Service::new();
    let bad = json!({"nmae": "x"});
    assert_eq!(
        service.post(USER, "/organization", &bad).await.outcome(),
        (403, "role_required".into())
    );
    assert_eq!(
        service.post(ROOT, "/organization", &bad).await.outcome(),
        (400, "unknown_field".into())
    );
    assert_eq!(
        service
            .post(ROOT, "/organization", &json!({"name": "x"}))
            .await
            .outcome()
            .0,
        400
    );
    assert_eq!(
        service
            .post(
                ROOT,
                "/organization",
                &json!({"name": "", "billing_email": "a@b"})
            )
            .await
            .outcome(),
        (400, "invalid_field".into())
    );
    let text = service
        .app
        .post("/organization")
        .key(ROOT)
        .text("text/plain", "x")
        .send()
        .await;
    assert_eq!(text.outcome(), (415, "unsupported_media_type".into()));
    let large = service
        .app
        .post("/organization")
        .key(USER)
        .text("application/json", "x".repeat(300_000))
        .send()
        .await;
    assert_eq!(large.outcome(), (413, "payload_too_large".into()));
    let trailing = service
        .app
        .post("/organization")
        .key(ROOT)
        .text("application/json", "{} {}")
        .send()
        .await;
    assert_eq!(trailing.status, 400);
    assert_eq!(
        service
            .app
            .request(Method::PATCH, "/session")
            .key(ROOT)
            .send()
            .await
            .outcome(),
        (405, "method_not_allowed".into())
    );
    assert_eq!(
        service.get(ROOT, "/nowhere").await.outcome(),
        (404, "not_found".into())
    );
    service.settle().await;
}

/// Secrets planted in headers and bodies come back in no answer and stand in no log line.
#[tokio::test]
async fn planted_secrets_are_nowhere() {
    let service = Service::new();
    let mut texts = Vec::new();
    let provider = "canary-provider-0123456789abcdef";
    for (path, body) in [
        (
            "/instance",
            json!({"name": "Canary", "config": {"api_keys": {"openai": provider}}}),
        ),
        (
            "/instance",
            json!({"name": "Canary 2", "config": {"api_keys": {"openai": provider, "nobody": provider}}}),
        ),
        (
            "/instance",
            json!({"name": "Canary 3", "config": {"api_keys": {"openai": {"x": provider}}}}),
        ),
    ] {
        texts.push(service.post(ADMIN, path, &body).await.text());
    }
    let path = "/instance/production/provider-key/openai";
    texts.push(
        service
            .put(
                ADMIN,
                path,
                &json!({"api_key": provider, "webhook_secret": provider}),
            )
            .await
            .text(),
    );
    texts.push(
        service
            .put(
                ADMIN,
                path,
                &json!({"api_key": provider, "wrong": provider}),
            )
            .await
            .text(),
    );
    texts.push(
        service
            .put(ADMIN, path, &json!({"api_key": [provider]}))
            .await
            .text(),
    );
    texts.push(service.get(ADMIN, "/instance/canary").await.text());
    texts.push(
        service
            .get(ADMIN, "/instance/production/provider-key")
            .await
            .text(),
    );
    texts.push(service.get(ADMIN, "/api-key").await.text());
    texts.push(service.get(REVOKED, "/session").await.text());
    texts.push(
        service
            .resolve("image-gen", &ask(ADMIN, Some("canary")))
            .await
            .text(),
    );
    texts.push(
        service
            .resolve("image-gen", &ask(REVOKED, Some("canary")))
            .await
            .text(),
    );
    texts.push(
        service
            .resolve("image-gen", &json!({"credential": ADMIN, "need": ADMIN}))
            .await
            .text(),
    );
    service.settle().await;
    texts.extend(service.app.lines().iter().map(Value::to_string));
    for key in service.ports.kv.keys() {
        texts.push(service.ports.kv.newest(&key).unwrap());
    }
    let admin_secret = &ADMIN[16..59];
    for text in &texts {
        for secret in [provider, ADMIN, admin_secret, REVOKED, "edf52ce9a2b9c957"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    for table in [
        "instances",
        "instance_effective",
        "provider_credentials",
        "audit_log",
        "idempotency",
        "api_keys",
    ] {
        let rows = platform::Database::query(
            &service.ports.database,
            platform::Statement::new(format!("SELECT * FROM {table}")),
        )
        .await
        .unwrap();
        let text = format!("{:?}", rows.rows);
        assert!(
            !text.contains(provider) && !text.contains(admin_secret),
            "{table}"
        );
    }
}

#[tokio::test]
async fn health_names_what_is_missing() {
    let service = Service::new();
    let good = service.app.get("/health").send().await;
    assert_eq!(good.status, 200);
    assert_eq!(
        good.json(),
        json!({
            "status": "ok", "version": env!("CARGO_PKG_VERSION"), "version_id": null, "git_sha": "ab12cd3",
            "bindings": {"DB": "ok", "CONFIG": "ok", "LOG_SINK": "absent"}, "kek_ids": ["k1"], "pepper_ids": ["p1"],
            "old_kek_rows": 0, "old_pepper_rows": 0,
        })
    );
    let vars = |name: &str| match name {
        "KEK_CURRENT" => Some("k1".to_owned()),
        "KEY_PEPPER_CURRENT" => Some("p1".to_owned()),
        "KEK_k1" => Some("not base64 of 32 bytes".to_owned()),
        _ => None,
    };
    let broken = Service::with(config_service::settings::Settings::read(
        &["KEK_k1".to_owned()],
        vars,
    ));
    let answer = broken.app.get("/health").send().await;
    assert_eq!(answer.status, 503);
    assert_eq!(
        answer.json()["missing_secrets"],
        json!(["KEK_k1", "KEY_PEPPER_p1"])
    );
    assert_eq!(
        broken.get(ADMIN, "/session").await.outcome(),
        (500, "internal_error".into())
    );
    let down = Service::new();
    down.ports.world.faults.fail_every("database", When::Before);
    let answer = down.app.get("/health").send().await;
    assert_eq!(
        (
            answer.status.as_u16(),
            answer.json()["bindings"]["DB"].clone()
        ),
        (503, json!("error"))
    );
}

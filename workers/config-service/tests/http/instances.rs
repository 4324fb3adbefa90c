//! Instances: made, refused, seeded, counted.

use crate::new_instance;
use crate::support::*;
use serde_json::{Value, json};

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

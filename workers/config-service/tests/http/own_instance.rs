//! Workers that are deployed for one instance, and workers that open no provider keys.

use crate::support::*;
use http::Method;
use middleware::testing::TestResponse;
use serde_json::{Value, json};

/// What a worker asks whose binding names `production`.
async fn of_production(
    service: &Service,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> TestResponse {
    let request = service.app.request(method, path).from_worker("image-gen");
    let mut request = request.of_instance("production");
    if let Some(body) = body {
        request = request.json(body);
    }
    request.send().await
}

/// Keys of two instances, and the id of each.
async fn keyed(service: &Service) -> [String; 2] {
    let mut ids = Vec::new();
    for instance in ["production", "development"] {
        let path = format!("/instance/{instance}/provider-key/ideogram");
        let key = json!({"api_key": "ide-live-canary-0123456789f2c9"});
        let set = service.put(ADMIN, &path, &key).await;
        assert_eq!(set.status, 201, "{}", set.text());
        let row = service
            .row(&format!(
                "SELECT credential_id AS id FROM provider_credentials WHERE instance_id = '{instance}'"
            ))
            .await;
        ids.push(row.text("id").unwrap().to_owned());
    }
    service.settle().await;
    ids.try_into().unwrap()
}

#[tokio::test]
async fn a_worker_of_one_instance_gets_that_instance_only() {
    let service = Service::new();
    let [own, other] = keyed(&service).await;
    let id = "0199a1c2-0000-7000-8000-000000000001";
    for kind in ["config/{}", "credentials/{}/ideogram"] {
        let path = |instance: &str| format!("/internal/v1/{}", kind.replace("{}", instance));
        let get = async |instance: &str| {
            let request = service.app.get(&path(instance)).from_worker("image-gen");
            let request = request.of_instance("production");
            request.header("x-request-id", id).send().await
        };
        assert_eq!(get("production").await.status, 200, "{kind}");
        let (refused, missing) = (get("development").await, get("nowhere").await);
        assert_eq!(refused.outcome(), (404, "not_found".into()), "{kind}");
        assert_eq!(refused.text(), missing.text(), "{kind}");
        // The platform's own set gets both.
        let both = service.app.get(&path("development"));
        assert_eq!(both.from_worker("image-gen").send().await.status, 200);
    }
    // Not by the id of the other's key either.
    for (instance, status) in [("production", 404), ("development", 404)] {
        let path = format!("/internal/v1/credentials/{instance}/ideogram?credential_id={other}");
        let answer = of_production(&service, Method::GET, &path, None).await;
        assert_eq!(answer.status, status, "{instance}");
    }
    // What it reports of another instance's key is not noted.
    let at = service.deps.now();
    let items: Vec<Value> = [&own, &other]
        .iter()
        .map(|id| json!({"credential_id": id, "outcome": "auth_failed", "at": at}))
        .collect();
    let path = "/internal/v1/credentials/report";
    let report = json!({ "items": items });
    let answer = of_production(&service, Method::POST, path, Some(&report)).await;
    assert_eq!(answer.status, 204);
    for (id, error) in [(own, Some("auth_failed")), (other, None)] {
        let row = service
            .row(&format!(
                "SELECT last_error FROM provider_credentials WHERE credential_id = '{id}'"
            ))
            .await;
        assert_eq!(row.text("last_error"), error);
    }
    service.settle().await;
}

#[tokio::test]
async fn a_set_of_one_instance_sends_who_may_use_another_to_the_right_address() {
    let service = Service::new();
    let urls = json!({"image_gen": "https://images-development.example.com"});
    let path = "/instance/development/worker-urls";
    let set = service.at(Method::PUT, ADMIN, path, "*", Some(&urls)).await;
    assert_eq!(set.status, 200, "{}", set.text());
    let resolve = async |key: &str, instance: Option<&str>| {
        let path = "/internal/v1/resolve";
        let body = ask(key, instance);
        of_production(&service, Method::POST, path, Some(&body)).await
    };
    let own = resolve(ADMIN, None).await;
    assert_eq!(own.json()["instance"]["instance_id"], "production");
    for key in [ADMIN, USER, PROJECT] {
        let elsewhere = resolve(key, Some("development")).await;
        assert_eq!(elsewhere.outcome(), (400, "instance_mismatch".into()));
        assert_eq!(elsewhere.json()["details"]["url"], urls["image_gen"]);
        assert!(!elsewhere.text().contains("config_version"));
    }
    // Who may not use it learns nothing of it, and who may not use the set's own is told that.
    for (key, instance, outcome) in [
        (FOREIGN, Some("development"), (404, "not_found")),
        (FOREIGN, None, (404, "not_found")),
        (USER, Some("production"), (403, "forbidden")),
        (USER, None, (403, "forbidden")),
    ] {
        let answer = resolve(key, instance).await;
        assert_eq!(
            answer.outcome(),
            (outcome.0, outcome.1.to_owned()),
            "{key} {instance:?} {}",
            answer.text()
        );
        assert!(!answer.text().contains("images-development"));
    }
    // Another worker of the set has an address of its own: none is known.
    let body = ask(ADMIN, Some("development"));
    let request = service.app.post("/internal/v1/resolve").json(&body);
    let other = request.from_worker("repo-agent").of_instance("production");
    let other = other.send().await;
    assert_eq!(other.outcome(), (400, "instance_mismatch".into()));
    assert_eq!(other.json()["details"]["url"], Value::Null);
    service.settle().await;
}

#[tokio::test]
async fn sealed_keys_go_to_the_three_workers_that_open_them_and_to_nobody_else() {
    let service = Service::new();
    keyed(&service).await;
    for (caller, opens) in [
        ("image-gen", true),
        ("task-master", true),
        ("repo-agent", true),
        ("telemetry", false),
        ("console", false),
    ] {
        let config = "/internal/v1/config/production";
        let config = service.app.get(config).from_worker(caller).send().await;
        let verdict = service
            .resolve(caller, &ask(ADMIN, Some("production")))
            .await;
        for (keys, whole) in [
            (config.json()["api_keys"].clone(), config.text()),
            (verdict.json()["config"]["api_keys"].clone(), verdict.text()),
        ] {
            let keys = keys.as_object().unwrap();
            assert_eq!(keys.contains_key("ideogram"), opens, "{caller}");
            assert_eq!(whole.contains("v1.k1."), opens, "{caller}");
        }
    }
    service.settle().await;
}

/// Workers are deployed one after another: the newer one asks the older.
#[tokio::test]
async fn members_of_a_later_release_are_ignored() {
    let service = Service::new();
    let mut body = ask(ADMIN, Some("production"));
    body["a_later_member"] = json!(1);
    assert_eq!(service.resolve("image-gen", &body).await.status, 200);
    let report = json!({"items": [], "a_later_member": 1});
    let report = service
        .app
        .post("/internal/v1/credentials/report")
        .json(&report);
    assert_eq!(report.from_worker("image-gen").send().await.status, 204);
    service.settle().await;
}

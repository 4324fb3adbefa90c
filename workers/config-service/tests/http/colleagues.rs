//! What a restricted or narrow key of an administrator cannot do by way of somebody else.

use crate::support::*;
use http::Method;
use serde_json::{Value, json};

const OF_USER: &str = "/user/0198f0a1-0000-7000-8000-000000000002";
/// All that the role user allows.
const OF_ROLE_USER: [&str; 10] = [
    "images:read",
    "images:write",
    "tasks:read",
    "tasks:write",
    "repo:read",
    "repo:write",
    "telemetry:read",
    "telemetry:write",
    "config:read",
    "keys:write",
];

async fn minted(service: &Service, by: &str, body: &Value) -> String {
    let answer = service.post(by, "/api-key", body).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["api_key"].as_str().unwrap().to_owned()
}

/// An administrator's key for one instance.
async fn restricted(service: &Service) -> String {
    let body = json!({"name": "staging only", "instance_ids": ["development"]});
    minted(service, ADMIN, &body).await
}

/// An administrator's key that can do what a user can, and edit users.
async fn narrow(service: &Service) -> String {
    let mut scopes = OF_ROLE_USER.to_vec();
    scopes.push("config:write");
    minted(service, ADMIN, &json!({"name": "hr", "scopes": scopes})).await
}

async fn patch(service: &Service, by: &str, path: &str, body: Value) -> (u16, String) {
    service
        .at(Method::PATCH, by, path, "*", Some(&body))
        .await
        .outcome()
}

/// The key of a colleague whom it made an administrator would reach production.
#[tokio::test]
async fn a_restricted_key_makes_nobody_an_administrator() {
    let service = Service::new();
    let key = restricted(&service).await;
    let refused = (403, "forbidden".to_owned());
    let raise = json!({"role": "admin"});
    assert_eq!(patch(&service, &key, OF_USER, raise.clone()).await, refused);
    let secret = json!({"api_key": "ide-live-0123456789abcdef"});
    let path = "/instance/production/provider-key/ideogram";
    let put = service.put(USER, path, &secret).await;
    assert_eq!(put.status, 403, "{}", put.text());
    let new = json!({"email": "new@acme.example", "role": "admin"});
    assert_eq!(service.post(&key, "/user", &new).await.outcome(), refused);
    // A session of the key is bounded as the key is.
    let session = service.post(&key, "/session", &json!({})).await.json();
    let session = session["key"].as_str().unwrap();
    assert_eq!(patch(&service, session, OF_USER, raise).await, refused);
    service.settle().await;
}

/// Each of these takes other instances from somebody, or gives them back.
#[tokio::test]
async fn a_restricted_key_takes_nobody_out_of_other_instances() {
    let service = Service::new();
    let key = restricted(&service).await;
    let second = json!({"email": "second@acme.example", "role": "admin"});
    let second = service.post(ADMIN, "/user", &second).await.json();
    let second = format!("/user/{}", second["user_id"].as_str().unwrap());
    let refused = (403, "forbidden".to_owned());
    for path in [OF_USER, second.as_str()] {
        let disable = json!({"status": "disabled"});
        assert_eq!(patch(&service, &key, path, disable).await, refused);
        let delete = service.at(Method::DELETE, &key, path, "*", None).await;
        assert_eq!(delete.outcome(), refused, "{path}");
    }
    let lower = json!({"role": "user"});
    assert_eq!(patch(&service, &key, &second, lower).await, refused);
    let disable = json!({"status": "disabled"});
    assert_eq!(patch(&service, ADMIN, OF_USER, disable).await.0, 200);
    let enable = json!({"status": "active"});
    assert_eq!(patch(&service, &key, OF_USER, enable).await, refused);
    // A name is nobody's reach, and what changes nothing is no change.
    for body in [json!({"name": "Renamed"}), json!({"role": "user"})] {
        assert_eq!(patch(&service, &key, OF_USER, body).await.0, 200);
    }
    service.settle().await;
}

/// `*` sleeps in a key until the role of its owner is a higher one.
#[tokio::test]
async fn a_narrow_key_gives_no_scope_by_way_of_a_role() {
    let service = Service::new();
    let key = narrow(&service).await;
    let missing = (403, "scope_missing".to_owned());
    let everything = json!({"name": "later", "user_id": USER_USER, "scopes": ["*"]});
    for body in [everything, json!({"name": "later", "user_id": USER_USER})] {
        let mint = service.post(&key, "/api-key", &body).await;
        assert_eq!(mint.outcome(), missing, "{body}");
    }
    let path = "/api-key/user00000001/rotate";
    let rotate = service.post(&key, path, &json!({})).await;
    assert_eq!(rotate.outcome(), missing);
    let raise = json!({"role": "admin"});
    assert_eq!(patch(&service, &key, OF_USER, raise.clone()).await, missing);
    let new = json!({"email": "new@acme.example", "role": "admin"});
    assert_eq!(service.post(&key, "/user", &new).await.outcome(), missing);
    // Who has them all gives them, and takes them for a while; only the narrow key does not give them back.
    assert_eq!(patch(&service, ADMIN, OF_USER, raise).await.0, 200);
    let disable = json!({"status": "disabled"});
    assert_eq!(patch(&service, &key, OF_USER, disable).await.0, 200);
    let enable = json!({"status": "active"});
    assert_eq!(
        patch(&service, &key, OF_USER, enable.clone()).await,
        missing
    );
    assert_eq!(patch(&service, ADMIN, OF_USER, enable).await.0, 200);
    // Down is no gift, and scopes that it has it gives.
    let lower = json!({"role": "user"});
    assert_eq!(patch(&service, &key, OF_USER, lower).await.0, 200);
    let named = json!({"name": "all named", "user_id": USER_USER, "scopes": OF_ROLE_USER});
    minted(&service, &key, &named).await;
    service.settle().await;
}

/// A superadmin whose key is restricted suspends no organization and deletes none.
#[tokio::test]
async fn a_restricted_key_of_the_platform_stops_no_organization() {
    let service = Service::new();
    let body = json!({"name": "one", "instance_ids": ["development"]});
    let key = minted(&service, ROOT, &body).await;
    let acme = format!("/organization/{ACME}");
    let suspend = json!({"status": "suspended"});
    assert_eq!(
        patch(&service, &key, &acme, suspend).await,
        (403, "forbidden".into())
    );
    assert_eq!(
        patch(&service, &key, &acme, json!({"name": "Acme"}))
            .await
            .0,
        200
    );
    service.settle().await;
}

/// What happened to an instance that the key does not reach is not told, neither by a page nor by its end.
#[tokio::test]
async fn a_restricted_key_reads_the_log_of_its_instances_only() {
    let service = Service::new();
    for instance in ["production", "development", "production"] {
        let path = format!("/instance/{instance}");
        let name = json!({"name": format!("{instance} {}", service.count("audit_log").await)});
        assert_eq!(patch(&service, ADMIN, &path, name).await.0, 200);
    }
    let key = restricted(&service).await;
    let session = service.post(&key, "/session", &json!({})).await.json();
    let session = session["key"].as_str().unwrap().to_owned();
    for caller in [key.as_str(), session.as_str()] {
        let log = service.get(caller, "/audit").await.json();
        let told: Vec<_> = log["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| (entry["action"].clone(), entry["instance_id"].clone()))
            .collect();
        assert_eq!(
            told,
            [
                (json!("create_session"), Value::Null),
                (json!("create_api_key"), Value::Null),
                (json!("update_instance"), json!("development")),
            ]
        );
        let one = service.get(caller, "/audit?target=instance:production");
        assert_eq!(one.await.json()["items"], json!([]));
    }
    // Pages go on behind entries that are not shown.
    let mut path = "/audit?limit=1".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = service.get(&key, &path).await.json();
        for entry in page["items"].as_array().unwrap() {
            seen.push(entry["action"].as_str().unwrap().to_owned());
        }
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/audit?limit=1&cursor={cursor}");
    }
    assert_eq!(
        seen,
        ["create_session", "create_api_key", "update_instance"]
    );
    let all = service.get(ADMIN, "/audit").await.json();
    assert_eq!(all["items"].as_array().unwrap().len(), 5);
    service.settle().await;
}

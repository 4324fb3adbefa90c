//! Limits of the specification that are reached: the last one that fits, and the one that does not.

use crate::support::*;
use serde_json::{Value, json};

const AT: &str = "'2025-11-21T09:00:00.000Z'";

/// Fills up by SQL and then by the route, which must take the last one and refuse the next with limit and count.
async fn reach(service: &Service, fill: &str, path: &str, body: impl Fn(u32) -> Value, limit: i64) {
    service.made_up();
    service.run(fill).await;
    let last = service.post(ADMIN, path, &body(1)).await;
    assert_eq!(last.status, 201, "{}", last.text());
    let refused = async |n: u32| {
        let over = service.post(ADMIN, path, &body(n)).await;
        assert_eq!(over.outcome(), (409, "quota_reached".into()));
        let details = over.json()["details"].clone();
        assert_eq!(
            (&details["limit"], &details["current"]),
            (&json!(limit), &json!(limit))
        );
    };
    refused(2).await;
    refused(3).await;
}

#[tokio::test]
async fn an_organization_has_at_most_100_instances() {
    let service = Service::new();
    // Two are there; tombstones and those of others do not count.
    let fill = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 97) \
         INSERT INTO instances (instance_id, org_id, name, config, created_at, status, updated_at) \
         SELECT 'more-' || i, '{ACME}', 'More', '{{}}', {AT}, 'active', {AT} FROM n \
         UNION ALL SELECT 'gone-' || i, '{ACME}', 'Gone', '{{}}', {AT}, 'deleted', {AT} FROM n \
         UNION ALL SELECT 'theirs-' || i, '{FOREIGN_LTD}', 'Theirs', '{{}}', {AT}, 'active', {AT} FROM n"
    );
    let body = |n: u32| json!({"name": format!("Last {n}")});
    reach(&service, &fill, "/instance", body, 100).await;
    let count = format!("instances WHERE org_id = '{ACME}' AND status <> 'deleted'");
    assert_eq!(service.count(&count).await, 100);
    // One goes, another one may come.
    service
        .run("UPDATE instances SET status = 'deleted' WHERE instance_id = 'more-1'")
        .await;
    let again = service.post(ADMIN, "/instance", &body(4)).await;
    assert_eq!(again.status, 201, "{}", again.text());
    service.settle().await;
}

#[tokio::test]
async fn a_project_has_at_most_20_live_keys() {
    let service = Service::new();
    // One is there; revoked and expired ones and those of another project do not count.
    let fill = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 18) \
         INSERT INTO api_keys (key_id, project_id, name, key_hash, pepper_id, last4, scopes, revoked_at, expires_at, created_by, created_at) \
         SELECT printf('live%08d', i), '{CHAT}', 'live', printf('%064d', i), 'p1', 'xxxx', '[]', NULL, NULL, 's', {AT} FROM n \
         UNION ALL SELECT printf('gone%08d', i), '{CHAT}', 'gone', printf('%064d', i), 'p1', 'xxxx', '[]', {AT}, NULL, 's', {AT} FROM n \
         UNION ALL SELECT printf('past%08d', i), '{CHAT}', 'past', printf('%064d', i), 'p1', 'xxxx', '[]', NULL, '2025-11-21T09:00:01.000Z', 's', {AT} FROM n \
         UNION ALL SELECT printf('forg%08d', i), '{FORGE}', 'forge', printf('%064d', i), 'p1', 'xxxx', '[]', NULL, NULL, 's', {AT} FROM n"
    );
    let body =
        |n: u32| json!({"project_id": CHAT, "name": format!("k{n}"), "scopes": ["images:read"]});
    reach(&service, &fill, "/api-key", body, 20).await;
    let revoked = service.delete(ADMIN, "/api-key/live00000001").await;
    assert_eq!(revoked.status, 200, "{}", revoked.text());
    let again = service.post(ADMIN, "/api-key", &body(4)).await;
    assert_eq!(again.status, 201, "{}", again.text());
    service.settle().await;
}

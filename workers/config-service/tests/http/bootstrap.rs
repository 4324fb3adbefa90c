//! The first superadmin (`auth::bootstrap`): rows that no route makes.

use crate::support::*;
use auth::bootstrap::{Bootstrap, superadmin};
use serde_json::json;

const DISABLED: &str = "UPDATE users SET status = 'disabled' WHERE role = 'superadmin'";

fn pepper() -> [u8; 32] {
    std::array::from_fn(|i| i as u8)
}

fn first(service: &Service) -> Bootstrap {
    let random = &service.ports.world.random;
    superadmin(random, service.deps.now(), "p1", &pepper()).unwrap()
}

fn execute(service: &Service, sql: &str) {
    service
        .ports
        .database
        .with(|connection| connection.execute_batch(sql).unwrap());
}

/// Superadmins, their keys, entries of the platform's chain.
async fn made(service: &Service) -> [i64; 3] {
    [
        service.count("users WHERE role = 'superadmin'").await,
        service.count("api_keys WHERE name = 'bootstrap'").await,
        service.count("audit_log WHERE org_id = 'platform'").await,
    ]
}

/// The chain is whole, as its new owner is told.
async fn assert_whole(service: &Service, by: &Bootstrap, entries: i64) {
    let verdict = service.get(by.api_key.expose(), "/audit/verify").await;
    let found = verdict.json();
    assert_eq!(
        (&found["org_id"], &found["ok"], &found["entries"]),
        (&json!("platform"), &json!(true), &json!(entries)),
        "{found}"
    );
}

#[tokio::test]
async fn the_first_superadmin_is_made_once_with_his_entry() {
    let service = Service::new();
    let early = first(&service);
    execute(&service, &early.sql);
    assert_eq!(made(&service).await, [1, 0, 0], "one is active");
    execute(&service, DISABLED);
    let one = first(&service);
    execute(&service, &one.sql);
    assert_eq!(made(&service).await, [2, 1, 1]);
    // The same again, and another one.
    execute(&service, &one.sql);
    execute(&service, &first(&service).sql);
    assert_eq!(made(&service).await, [2, 1, 1]);
    assert_whole(&service, &one, 1).await;
    service.settle().await;
}

/// As when the process dies between two statements and the next start runs the file again.
#[tokio::test]
async fn an_interrupted_start_is_finished_by_the_next() {
    let service = Service::new();
    execute(&service, DISABLED);
    let one = first(&service);
    let parts: Vec<&str> = one.sql.split_inclusive(";\n").collect();
    assert_eq!(parts.len(), 3);
    for until in 1..=parts.len() {
        execute(
            &service,
            &parts.iter().take(until).copied().collect::<String>(),
        );
    }
    assert_eq!(made(&service).await, [2, 1, 1]);
    assert_whole(&service, &one, 1).await;
    service.settle().await;
}

#[tokio::test]
async fn nobody_is_made_without_an_entry_in_the_chain_that_there_is() {
    let service = Service::new();
    let body = json!({"version": "1.4.0", "git_sha": "ab12cd3", "url": "https://control.example.com", "capabilities": []});
    let registered = service.put(ROOT, "/worker/config-service", &body).await;
    assert_eq!(registered.status, 201, "{}", registered.text());
    let entries = service.count("audit_log WHERE org_id = 'platform'").await;
    assert!(entries > 0);
    execute(&service, DISABLED);
    execute(&service, &first(&service).sql);
    assert_eq!(made(&service).await, [1, 0, entries]);
    service.settle().await;
}

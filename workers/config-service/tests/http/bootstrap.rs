//! The first superadmin, and one for a house that has lost its last (`auth::bootstrap`): rows that no route makes.

use crate::support::*;
use auth::bootstrap::{Bootstrap, CHAIN_END, ChainEnd, superadmin, superadmin_after};
use platform::{Database, Statement};
use serde_json::json;

const DISABLED: &str = "UPDATE users SET status = 'disabled' WHERE role = 'superadmin'";

fn pepper() -> [u8; 32] {
    std::array::from_fn(|i| i as u8)
}

fn first(service: &Service) -> Bootstrap {
    let random = &service.ports.world.random;
    superadmin(random, service.deps.now(), "p1", &pepper()).unwrap()
}

/// Behind the end of the chain, as a person who recovers reads it.
async fn next(service: &Service) -> Bootstrap {
    let rows = service.ports.database.query(Statement::new(CHAIN_END));
    let end = rows
        .await
        .unwrap()
        .first()
        .map_or_else(ChainEnd::default, |row| ChainEnd {
            seq: row.int("seq").unwrap(),
            hash: row.text("hash").unwrap().to_owned(),
        });
    let random = &service.ports.world.random;
    superadmin_after(random, service.deps.now(), "p1", &pepper(), &end).unwrap()
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
    // It was read, and meanwhile the chain grew.
    let late = next(&service).await;
    let one = next(&service).await;
    execute(&service, &one.sql);
    execute(&service, DISABLED);
    execute(&service, &late.sql);
    assert_eq!(made(&service).await, [2, 1, entries + 1]);
    execute(
        &service,
        "UPDATE users SET status = 'active' WHERE email LIKE 'superadmin%'",
    );
    assert_whole(&service, &one, entries + 1).await;
    service.settle().await;
}

#[tokio::test]
async fn a_house_whose_superadmins_are_all_disabled_gets_another() {
    let service = Service::new();
    execute(&service, DISABLED);
    // The plain address is the first one's, and stays his.
    for count in 1..=3 {
        let one = next(&service).await;
        execute(&service, &one.sql);
        execute(&service, &one.sql);
        assert_eq!(made(&service).await, [1 + count, count, count]);
        assert_whole(&service, &one, count).await;
        service.settle().await;
        execute(&service, DISABLED);
    }
}

//! What effective configurations are made of, and writing many of them.

use crate::support::*;
use api_types::InstanceId;
use platform::{Database, DbErrorKind, Statement};
use serde_json::json;
use store::control::audit::{self, ChainOf, Head};
use store::control::parts::{Parts, Rebuilt, Which, mark_recounted, put_all};

#[tokio::test]
async fn parts_are_joined_by_instance() {
    let database = seeded();
    let t = NOW.to_string();
    run(&database, &format!(
        "INSERT INTO provider_credentials (credential_id, org_id, instance_id, provider, host, ciphertext, kek_id, set_at, set_by, created_at) \
         VALUES ('0198f0c0-0000-7000-8000-000000000001', '{ACME}', 'production', 'ideogram', 'h', 'v1.k1.a.b', 'k1', '{t}', 's', '{t}')"
    )).await;
    add(
        &database,
        &price(1, Some("development"), NOW.plus_ms(-HOUR), None),
    )
    .await;
    add(&database, &price(2, None, NOW.plus_ms(-HOUR), None)).await;
    add(&database, &price(3, None, NOW.plus_ms(-HOUR), Some(NOW))).await;
    let read = async |which: Which<'_>| {
        let rows = database
            .batch(which.statements(NOW).to_vec())
            .await
            .unwrap();
        let all = Parts::read_all(&rows).unwrap();
        let told: Vec<(String, usize, usize, bool)> = all
            .into_iter()
            .map(|one| {
                let id = one.instance_id.to_string();
                (
                    id,
                    one.credentials.len(),
                    one.prices.len(),
                    one.body.is_some(),
                )
            })
            .collect();
        told
    };
    let ids = [
        instance("foreign"),
        instance("development"),
        instance("nowhere"),
    ];
    let one = |id: &str, keys, prices| (id.to_owned(), keys, prices, true);
    assert_eq!(
        read(Which::Ids(&ids)).await,
        [one("foreign", 0, 0), one("development", 0, 2)]
    );
    let (admin, root) = (key_id(ADMIN_KEY), key_id(ROOT_KEY));
    let both = [one("development", 0, 2), one("production", 1, 1)];
    assert_eq!(read(Which::Organization(None, &admin)).await, both);
    let acme = org(ACME);
    assert_eq!(read(Which::Organization(Some(&acme), &root)).await, both);
    assert!(read(Which::Organization(None, &root)).await.is_empty());
    let (own, all) = (price_id(1), price_id(2));
    assert_eq!(read(Which::OfPrice(&own)).await, [one("development", 0, 2)]);
    assert_eq!(read(Which::OfPrice(&all)).await, both);
    let chain = audit::head(&ChainOf::Price(own), &root);
    let head = Head::read(&database.query(chain).await.unwrap()).unwrap();
    assert_eq!(head.org_id, ACME);
    // Each body is compared once a day.
    let day = NOW.plus_ms(-24 * HOUR);
    let first = read(Which::NotRecountedSince(day, 2)).await;
    assert_eq!(first.len(), 2);
    let done: Vec<InstanceId> = first.iter().map(|(id, ..)| instance(id)).collect();
    database.query(mark_recounted(&done, NOW)).await.unwrap();
    assert_eq!(read(Which::NotRecountedSince(day, 2)).await.len(), 1);
    let next = read(Which::NotRecountedSince(NOW.plus_ms(1), 20)).await;
    assert_eq!(next.len(), 3);
    run(
        &database,
        "DELETE FROM instance_effective WHERE instance_id = 'production'",
    )
    .await;
    let ids = [instance("production")];
    assert!(!read(Which::Ids(&ids)).await[0].3);
}

#[tokio::test]
async fn many_bodies_are_written_in_a_few_statements_or_not_at_all() {
    let database = seeded();
    let rebuilt = |id: &str, was: i64, size: usize| Rebuilt {
        instance_id: instance(id),
        was,
        config_version: was + 1,
        body: json!({"text": "\"".repeat(size)}).to_string(),
        sha256: "0".repeat(64),
    };
    assert!(put_all(&[], NOW).is_empty());
    let small = [rebuilt("production", 1, 1), rebuilt("development", 1, 1)];
    assert_eq!(put_all(&small, NOW).len(), 3);
    // Bodies of a quarter of a megabyte, each quotation mark of them escaped twice.
    let large: Vec<Rebuilt> = ["production", "development", "foreign"]
        .map(|id| rebuilt(id, 1, 100_000))
        .into();
    let statements = put_all(&large, NOW);
    assert_eq!(statements.len(), 4);
    for statement in &statements {
        for value in &statement.params {
            assert!(!matches!(value, platform::SqlValue::Text(text) if text.len() > 2_000_000));
        }
    }
    let mut stale = large.clone();
    stale[2].was = 2;
    let refused = database.batch(put_all(&stale, NOW)).await.unwrap_err();
    assert_eq!(refused.kind, DbErrorKind::Guard);
    database.batch(statements).await.unwrap();
    for one in &large {
        let id = &one.instance_id;
        let row = run(&database, &format!(
            "SELECT e.body, e.config_version, e.created_at, i.config_version AS version, i.version AS row_version \
             FROM instance_effective e JOIN instances i ON i.instance_id = e.instance_id WHERE i.instance_id = '{id}'"
        )).await;
        assert_eq!(row.text("body"), Some(one.body.as_str()));
        assert_eq!(
            (row.int("config_version"), row.int("version")),
            (Some(2), Some(2))
        );
        assert_eq!(row.int("row_version"), Some(1));
        assert_eq!(row.text("created_at"), Some(NOW.to_string().as_str()));
    }
    let mut batch = put_all(&[rebuilt("production", 2, 1)], NOW);
    batch.push(Statement::new(
        "UPDATE instances SET status = 'deleted' WHERE instance_id = 'production'",
    ));
    database.batch(batch).await.unwrap();
    let late = database
        .batch(put_all(&[rebuilt("production", 3, 1)], NOW))
        .await;
    assert_eq!(late.unwrap_err().kind, DbErrorKind::Guard);
}

//! The seeded database, and what its rows are called.

use api_types::{InstanceId, KeyId, OrgId, PriceId, ProjectId, ProviderName, Timestamp, UserId};
use platform::fakes::SqliteDatabase;
use platform::{Database, DbErrorKind, Row, Rows, Statement};
use serde_json::json;
use std::path::Path;
use store::control::prices::{self, PriceOverride};
use store::control::{audit, idempotency};

pub(crate) const SEED: &str = include_str!("../../fixtures/control_seed.sql");
pub(crate) const ACME: &str = "0198f0a0-0000-7000-8000-000000000001";
pub(crate) const USER: &str = "0198f0a1-0000-7000-8000-000000000002";
pub(crate) const ROOT_KEY: &str = "root00000001";
pub(crate) const ADMIN_KEY: &str = "4fGh7kQ2mZ0a";
pub(crate) const USER_KEY: &str = "user00000001";
pub(crate) const PROJECT_KEY: &str = "proj00000001";
pub(crate) const CHAT: &str = "0198f0a2-0000-7000-8000-000000000002";
pub(crate) const FORGE: &str = "0198f0a2-0000-7000-8000-000000000001";
pub(crate) const FOREIGN_PROJECT: &str = "0198f0a2-0000-7000-8000-000000000003";
pub(crate) const NOW: Timestamp = Timestamp(1_763_719_200_000);
pub(crate) const FOREIGN_LTD: &str = "0198f0a0-0000-7000-8000-000000000002";
pub(crate) const ROOT_USER: &str = "0198f0a1-0000-7000-8000-000000000000";
pub(crate) const ADMIN_USER: &str = "0198f0a1-0000-7000-8000-000000000001";
pub(crate) const FOREIGN_USER: &str = "0198f0a1-0000-7000-8000-000000000004";
pub(crate) const NOBODY: &str = "0198f0a1-0000-7000-8000-0000000000ff";
pub(crate) const HOUR: i64 = 3_600_000;

pub(crate) fn empty() -> SqliteDatabase {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/control");
    SqliteDatabase::from_migrations(&folder).unwrap()
}

pub(crate) fn seeded() -> SqliteDatabase {
    let database = empty();
    database.with(|connection| connection.execute_batch(SEED).unwrap());
    database
}

pub(crate) fn instance(id: &str) -> InstanceId {
    InstanceId::parse(id).unwrap()
}

pub(crate) fn key_id(id: &str) -> KeyId {
    KeyId::parse(id).unwrap()
}

pub(crate) async fn refused(database: &SqliteDatabase, sql: &str) -> (DbErrorKind, String) {
    let error = database
        .query(Statement::new(sql.to_owned()))
        .await
        .expect_err(sql);
    (error.kind, error.cause)
}

pub(crate) fn entry(org_id: &str, seq: i64, prev_hash: &str, seed: &str) -> audit::Entry {
    audit::Entry {
        org_id: org_id.into(),
        seq,
        at: NOW.to_string(),
        actor: "{}".into(),
        action: "create_user".into(),
        target_type: "user".into(),
        target_id: seed.into(),
        instance_id: None,
        before: None,
        after: None,
        request_id: "r".into(),
        ip: None,
        prev_hash: prev_hash.into(),
        hash: seed.repeat(64),
    }
}

pub(crate) fn answer(at: Timestamp) -> idempotency::StoredAnswer {
    idempotency::StoredAnswer {
        principal: format!("key:{ADMIN_KEY}"),
        request_sha256: "0".repeat(64),
        status: 201,
        response: "{}".into(),
        sealed: false,
        created_at: at,
    }
}

pub(crate) fn org(id: &str) -> OrgId {
    OrgId::parse(id).unwrap()
}

pub(crate) fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

pub(crate) fn project(id: &str) -> ProjectId {
    ProjectId::parse(id).unwrap()
}

pub(crate) fn instances(ids: &[&str]) -> Vec<InstanceId> {
    ids.iter()
        .map(|id| InstanceId::parse(id).unwrap())
        .collect()
}

pub(crate) fn key(id: &str) -> KeyId {
    KeyId::parse(id).unwrap()
}

pub(crate) async fn rows(database: &SqliteDatabase, statement: Statement) -> Rows {
    database.query(statement).await.unwrap()
}

pub(crate) async fn row(database: &SqliteDatabase, sql: &str) -> Row {
    let rows = rows(database, Statement::new(sql.to_owned())).await;
    rows.first().cloned().unwrap_or_default()
}

pub(crate) fn ideogram() -> ProviderName {
    ProviderName::parse("ideogram").unwrap()
}

pub(crate) fn price_id(n: u32) -> PriceId {
    PriceId::parse(&format!("0198f0d0-0000-7000-8000-{n:012}")).unwrap()
}

pub(crate) fn price(
    n: u32,
    of: Option<&str>,
    from: Timestamp,
    to: Option<Timestamp>,
) -> PriceOverride {
    PriceOverride {
        price_id: price_id(n),
        org_id: org(ACME),
        instance_id: of.map(instance),
        provider: ideogram(),
        model: "m".into(),
        row: json!({"unit": "image", "usd_micros": 5}),
        valid_from: from,
        valid_to: to,
        created_by: "seed".into(),
        created_at: NOW,
    }
}

pub(crate) async fn run(database: &SqliteDatabase, sql: &str) -> Row {
    let rows = database.query(Statement::new(sql.to_owned())).await;
    rows.expect(sql).first().cloned().unwrap_or_default()
}

pub(crate) async fn count(database: &SqliteDatabase, of: &str) -> i64 {
    let row = run(database, &format!("SELECT count(*) AS n FROM {of}")).await;
    row.int("n").unwrap()
}

pub(crate) async fn add(database: &SqliteDatabase, price: &PriceOverride) {
    database.query(prices::create(price)).await.unwrap();
}

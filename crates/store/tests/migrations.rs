//! Each series of migrations from every earlier state of it: a database that is older keeps every row of every table as it
//! was, and nothing in it refers to what is not there.
//!
//! An older database runs the same files in the same order as a new one, so its schema is the same without a test.
#![expect(clippy::unwrap_used, reason = "tests")]

use platform::fakes::{SqliteDatabase, World};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const SEED: &str = include_str!("../fixtures/control_seed.sql");
const ZEROS: &str = "'0000000000000000000000000000000000000000000000000000000000000000'";

/// For each table that the seed leaves empty: a row of the columns that it began with.
const CONTROL: [(&str, &str); 9] = [
    (
        "provider_credentials",
        "(credential_id, org_id, instance_id, provider, host, ciphertext, kek_id, set_at, set_by, created_at) \
         VALUES ('c1', '0198f0a0-0000-7000-8000-000000000001', 'production', 'ideogram', 'h', 'v1.k1.x.y', 'k1', 't', 's', 't')",
    ),
    (
        "price_overrides",
        "(price_id, org_id, provider, model, row, valid_from, created_by, created_at) \
         VALUES ('p1', '0198f0a0-0000-7000-8000-000000000001', 'ideogram', 'm', '{}', 't', 's', 't')",
    ),
    (
        "worker_registry",
        "(name, instance_id, version, git_sha, url, health_detail, registered_at, created_at) VALUES \
         ('image-gen', '', '1', 'x', 'u', '{\"kek_ids\":[\"k1\"]}', 't', 't'), ('image-gen', 'production', '1', 'x', 'u', NULL, 't', 't')",
    ),
    (
        "worker_versions",
        "(instance_id, name, version, git_sha, registered_at, created_at) VALUES ('', 'image-gen', '1', 'x', 't', 't')",
    ),
    (
        "audit_log",
        "(org_id, seq, at, actor, action, target_type, target_id, request_id, prev_hash, hash) \
         VALUES ('platform', 1, 't', '{}', 'a', 'k', 'i', 'r', ZEROS, ZEROS)",
    ),
    (
        "audit_checkpoints",
        "(org_id, seq, hash, mac, pepper_id, created_at) VALUES ('platform', 1, ZEROS, ZEROS, 'p1', 't')",
    ),
    (
        "idempotency",
        "(principal, route, key, request_sha256, status, response, created_at, expires_at) VALUES ('p', 'r', 'k', ZEROS, 200, '{}', 't', 't')",
    ),
    (
        "kek_rotations",
        "(rotation_id, to_kek, state, started_by, created_at) VALUES ('r1', 'k2', 'running', 's', 't')",
    ),
    (
        "deployments",
        "(deployment_id, account_id, status, actor, source, created_at) VALUES ('d1', 'a', 'failed', 'a', 'cli', 't')",
    ),
];

const LEDGER: [(&str, &str); 7] = [
    (
        "usage_logs",
        "(log_id, instance_id, timestamp, provider, lease_id, work, model, outcome, billed, phase, cost_basis) \
         VALUES ('l1', 'production', 1, 'ideogram', 'x', 'w', 'm', 'ok', 'yes', 'charge', 'exact')",
    ),
    (
        "jobs",
        "(job_id, instance_id, kind, state, version, provider, model, object_name, attempts, created_at, updated_at) \
         VALUES ('j1', 'production', 'image', 'running', 1, 'ideogram', 'm', 'o', 1, 1, 1)",
    ),
    (
        "images",
        "(image_id, job_id, instance_id, bucket, r2_path, provider, model, prompt, format, size_bytes, visibility, created_at) \
         VALUES ('i1', 'j1', 'production', 'b', 'p', 'ideogram', 'm', 'a cat', 'png', 1, 'private', 1)",
    ),
    (
        "limiter_objects",
        "(name, instance_id, provider, last_flush_at) VALUES ('o', 'production', 'ideogram', 1)",
    ),
    (
        "queue_rejects",
        "(id, queue, body, reason, at) VALUES ('q1', 'q', 'b', 'r', 1)",
    ),
    ("maintenance", "(job, last_run_at) VALUES ('m1', 1)"),
    (
        "idempotency_keys",
        "(instance_id, route, key, fingerprint, job_id, claimed_at, expires_at) VALUES ('production', 'r', 'k', 'f', 'j1', 1, 1)",
    ),
];

fn series(name: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    let entries = std::fs::read_dir(folder.join(name)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "sql"));
    files.sort();
    assert!(!files.is_empty());
    files
}

fn apply(connection: &Connection, files: &[PathBuf]) {
    for file in files {
        let sql = std::fs::read_to_string(file).unwrap();
        connection.execute_batch(&sql).unwrap();
    }
}

fn texts(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

/// The tables there are; those inside a full-text index are its own.
fn tables(connection: &Connection) -> Vec<String> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '%\\_fts\\_%' ESCAPE '\\' ORDER BY name";
    texts(connection, sql)
}

fn columns(connection: &Connection, table: &str) -> Vec<String> {
    let sql = format!("SELECT name FROM pragma_table_info('{table}')");
    texts(connection, &sql)
}

/// Every row of those columns, in one order.
fn rows(connection: &Connection, table: &str, columns: &[String]) -> Vec<String> {
    let quoted: Vec<String> = columns.iter().map(|c| format!("quote(\"{c}\")")).collect();
    let sql = format!(
        "SELECT {} FROM \"{table}\" ORDER BY 1",
        quoted.join(" || ', ' || ")
    );
    texts(connection, &sql)
}

/// A row at least in every table of that state.
fn fill(connection: &Connection, database: &str) {
    let there = tables(connection);
    let further: &[(&str, &str)] = if database == "control" {
        connection.execute_batch(SEED).unwrap();
        &CONTROL
    } else {
        &LEDGER
    };
    for (table, row) in further {
        if there.iter().any(|name| name == table) {
            let sql = format!("INSERT INTO {table} {}", row.replace("ZEROS", ZEROS));
            connection.execute_batch(&sql).unwrap();
        }
    }
}

#[test]
fn an_older_database_keeps_every_row_of_every_table() {
    for name in ["control", "ledger"] {
        let files = series(name);
        for known in 1..=files.len() {
            let (before, after) = files.split_at(known);
            let database = SqliteDatabase::empty(&World::auto()).unwrap();
            database.with(|connection| {
                apply(connection, before);
                fill(connection, name);
                let had: BTreeMap<String, _> = tables(connection)
                    .into_iter()
                    .map(|table| {
                        let columns = columns(connection, &table);
                        let rows = rows(connection, &table, &columns);
                        assert!(!rows.is_empty(), "{name} from {known}: {table} is empty");
                        (table, (columns, rows))
                    })
                    .collect();
                apply(connection, after);
                for (table, (columns, had)) in &had {
                    let has = rows(connection, table, columns);
                    assert_eq!(&has, had, "{name} from {known}: {table}");
                }
                let broken = texts(
                    connection,
                    "SELECT \"table\" || ' ' || parent FROM pragma_foreign_key_check",
                );
                assert!(broken.is_empty(), "{name} from {known}: {broken:?}");
            });
        }
    }
}

/// What a migration works out for rows that are there: which workers are the platform's, and whose the others are.
#[test]
fn workers_from_before_are_told_apart() {
    let files = series("control");
    let database = SqliteDatabase::empty(&World::auto()).unwrap();
    let sql =
        "SELECT instance_id || ' ' || by_platform || ' ' || org_id FROM worker_registry ORDER BY 1";
    let told = database.with(|connection| {
        let (before, after) = files.split_at(7);
        apply(connection, before);
        fill(connection, "control");
        apply(connection, after);
        texts(connection, sql)
    });
    let acme = "production 0 0198f0a0-0000-7000-8000-000000000001";
    assert_eq!(told, [" 1 ", acme]);
}

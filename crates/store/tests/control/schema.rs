//! Every CHECK, FOREIGN KEY, UNIQUE and PRIMARY KEY of the schema refuses a row, alone and by name.
//!
//! The list comes from the schema as all migrations leave it: a new constraint without a row in [`OFFENDING`] fails, and so
//! does a row for a constraint that is gone.

use crate::support::*;
use rusqlite::Connection;
use std::collections::BTreeSet;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// Its expression, for `name`.
    Check { name: String, expression: String },
    /// Its number in `foreign_key_list`.
    ForeignKey(i64),
    /// What SQLite says was not unique.
    Unique(String),
}

#[derive(Clone, Debug)]
struct Constraint {
    table: String,
    /// What it is called in [`OFFENDING`].
    name: String,
    kind: Kind,
}

/// Columns and the expressions that they get.
type Columns = &'static [(&'static str, &'static str)];

/// A row of each table, which may be written once more if these columns are changed.
#[rustfmt::skip]
const ACCEPTED: &[(&str, Columns)] = &[
    ("organizations", &[("org_id", "'new'")]),
    ("instances", &[("instance_id", "'new'")]),
    ("instance_effective", &[("instance_id", "'spare'")]),
    ("users", &[("user_id", "'new'"), ("email", "'new@acme.example'")]),
    ("user_instance_access", &[("instance_id", "'spare'")]),
    ("projects", &[("project_id", "'new'"), ("name", "'New'")]),
    ("api_keys", &[("key_id", "'new000000001'")]),
    ("provider_credentials", &[("credential_id", "'new'"), ("provider", "'new'")]),
    ("price_overrides", &[("price_id", "'new'")]),
    ("worker_registry", &[("name", "'new'")]),
    ("worker_versions", &[("version", "'new'")]),
    ("audit_log", &[("seq", "2")]),
    ("audit_checkpoints", &[("seq", "2")]),
    ("idempotency", &[("key", "'new'")]),
    ("kek_rotations", &[("rotation_id", "'new'"), ("state", "'done'")]),
    ("deployments", &[("deployment_id", "'new'"), ("account_id", "'new'")]),
];

/// Table, constraint, and the change of the accepted row that it refuses.
#[rustfmt::skip]
const OFFENDING: &[(&str, &str, Columns)] = &[
    ("organizations", "CHECK length(name) BETWEEN 1 AND 200", &[("name", "''")]),
    ("organizations", "CHECK status IN ('active', 'suspended')", &[("status", "'gone'")]),
    ("organizations", "CHECK version >= 1", &[("version", "0")]),
    ("organizations", "PRIMARY KEY (org_id)", &[("org_id", "org_id")]),

    ("instances", "CHECK length(instance_id) BETWEEN 1 AND 40", &[("instance_id", "printf('%041d', 1)")]),
    ("instances", "CHECK length(name) BETWEEN 1 AND 200", &[("name", "printf('%0201d', 1)")]),
    ("instances", "CHECK json_valid(config)", &[("config", "'{'")]),
    ("instances", "CHECK status IN ('deploying', 'active', 'paused', 'deleting', 'deleted')", &[("status", "'broken'")]),
    ("instances", "CHECK self_hosted IN (0, 1)", &[("self_hosted", "2")]),
    ("instances", "CHECK json_valid(worker_urls)", &[("worker_urls", "'x'")]),
    ("instances", "CHECK version >= 1", &[("version", "0")]),
    ("instances", "CHECK config_version >= 1", &[("config_version", "0")]),
    ("instances", "FOREIGN KEY org_id -> organizations", &[("org_id", "'nobody'")]),
    ("instances", "PRIMARY KEY (instance_id)", &[("instance_id", "instance_id")]),

    ("instance_effective", "CHECK config_version >= 1", &[("config_version", "0")]),
    ("instance_effective", "CHECK json_valid(body)", &[("body", "'{'")]),
    ("instance_effective", "CHECK length(sha256) = 64", &[("sha256", "'short'")]),
    ("instance_effective", "FOREIGN KEY instance_id -> instances", &[("instance_id", "'nowhere'")]),
    ("instance_effective", "PRIMARY KEY (instance_id)", &[("instance_id", "instance_id")]),

    ("users", "CHECK length(email) BETWEEN 3 AND 254", &[("email", "'a'")]),
    ("users", "CHECK role IN ('user', 'admin', 'superadmin')", &[("role", "'owner'"), ("org_id", "'0198f0a0-0000-7000-8000-000000000001'")]),
    ("users", "CHECK status IN ('active', 'disabled', 'deleted')", &[("status", "'asleep'")]),
    ("users", "CHECK version >= 1", &[("version", "0")]),
    ("users", "CHECK superadmins_have_no_organization", &[("role", "'admin'"), ("org_id", "NULL")]),
    ("users", "FOREIGN KEY org_id -> organizations", &[("role", "'user'"), ("org_id", "'nobody'")]),
    ("users", "UNIQUE users_by_email", &[("email", "upper(email)")]),
    ("users", "PRIMARY KEY (user_id)", &[("user_id", "user_id")]),

    ("user_instance_access", "FOREIGN KEY instance_id -> instances", &[("instance_id", "'nowhere'")]),
    ("user_instance_access", "FOREIGN KEY user_id -> users", &[("user_id", "'nobody'")]),
    ("user_instance_access", "PRIMARY KEY (user_id, instance_id)", &[("instance_id", "instance_id")]),

    ("projects", "CHECK length(name) BETWEEN 1 AND 200", &[("name", "''")]),
    ("projects", "CHECK json_valid(settings)", &[("settings", "'{'")]),
    ("projects", "CHECK status IN ('active', 'deleted')", &[("status", "'gone'")]),
    ("projects", "CHECK version >= 1", &[("version", "0")]),
    ("projects", "FOREIGN KEY instance_id -> instances", &[("instance_id", "'nowhere'")]),
    ("projects", "UNIQUE projects_by_name", &[("name", "upper(name)")]),
    ("projects", "PRIMARY KEY (project_id)", &[("project_id", "project_id")]),

    ("api_keys", "CHECK length(key_id) = 12", &[("key_id", "'short'")]),
    ("api_keys", "CHECK length(key_hash) = 64", &[("key_hash", "'short'")]),
    ("api_keys", "CHECK kind IN ('key', 'session')", &[("kind", "'token'"), ("expires_at", "created_at")]),
    ("api_keys", "CHECK json_valid(scopes)", &[("scopes", "'all'")]),
    ("api_keys", "CHECK instance_ids IS NULL OR json_valid(instance_ids)", &[("instance_ids", "'all'")]),
    ("api_keys", "CHECK secret_version >= 1", &[("secret_version", "0")]),
    ("api_keys", "CHECK version >= 1", &[("version", "0")]),
    ("api_keys", "CHECK one_owner", &[("user_id", "NULL"), ("project_id", "NULL")]),
    ("api_keys", "CHECK sessions_have_parents", &[("parent_key_id", "key_id")]),
    ("api_keys", "CHECK sessions_end", &[("kind", "'session'"), ("parent_key_id", "key_id"), ("expires_at", "NULL")]),
    ("api_keys", "FOREIGN KEY parent_key_id -> api_keys", &[("kind", "'session'"), ("parent_key_id", "'none'"), ("expires_at", "created_at")]),
    ("api_keys", "FOREIGN KEY project_id -> projects", &[("user_id", "NULL"), ("project_id", "'none'")]),
    ("api_keys", "FOREIGN KEY user_id -> users", &[("user_id", "'nobody'"), ("project_id", "NULL")]),
    ("api_keys", "PRIMARY KEY (key_id)", &[("key_id", "key_id")]),

    ("provider_credentials", "CHECK length(provider) BETWEEN 1 AND 40", &[("provider", "''")]),
    ("provider_credentials", "CHECK slot IN ('current', 'previous')", &[("slot", "'next'"), ("retire_at", "set_at")]),
    ("provider_credentials", "CHECK ciphertext LIKE 'v1.%'", &[("ciphertext", "'in the clear'")]),
    ("provider_credentials", "CHECK version >= 1", &[("version", "0")]),
    ("provider_credentials", "CHECK previous_keys_end", &[("slot", "'previous'"), ("retire_at", "NULL")]),
    ("provider_credentials", "FOREIGN KEY instance_id -> instances", &[("instance_id", "'nowhere'")]),
    ("provider_credentials", "FOREIGN KEY org_id -> organizations", &[("org_id", "'nobody'")]),
    ("provider_credentials", "UNIQUE provider_credentials_current", &[("provider", "provider")]),
    ("provider_credentials", "PRIMARY KEY (credential_id)", &[("credential_id", "credential_id")]),

    ("price_overrides", "CHECK json_valid(row)", &[("row", "'{'")]),
    ("price_overrides", "CHECK prices_end_after_they_begin", &[("valid_to", "valid_from")]),
    ("price_overrides", "FOREIGN KEY instance_id -> instances", &[("instance_id", "'nowhere'")]),
    ("price_overrides", "FOREIGN KEY org_id -> organizations", &[("org_id", "'nobody'")]),
    ("price_overrides", "PRIMARY KEY (price_id)", &[("price_id", "price_id")]),

    ("worker_registry", "CHECK json_valid(capabilities)", &[("capabilities", "'['")]),
    ("worker_registry", "CHECK json_valid(bindings)", &[("bindings", "'{'")]),
    ("worker_registry", "CHECK health IN ('unknown', 'healthy', 'degraded', 'unhealthy')", &[("health", "'ill'")]),
    ("worker_registry", "CHECK health_detail IS NULL OR json_valid(health_detail)", &[("health_detail", "'{'")]),
    ("worker_registry", "CHECK by_platform IN (0, 1)", &[("by_platform", "2")]),
    ("worker_registry", "PRIMARY KEY (instance_id, name)", &[("name", "name")]),

    ("worker_versions", "PRIMARY KEY (instance_id, name, version)", &[("version", "version")]),

    ("audit_log", "CHECK seq >= 1", &[("seq", "0")]),
    ("audit_log", "CHECK json_valid(actor)", &[("actor", "'{'")]),
    ("audit_log", "CHECK before IS NULL OR json_valid(before)", &[("before", "'{'")]),
    ("audit_log", "CHECK after IS NULL OR json_valid(after)", &[("after", "'{'")]),
    ("audit_log", "CHECK length(prev_hash) = 64", &[("prev_hash", "'short'")]),
    ("audit_log", "CHECK length(hash) = 64", &[("hash", "'short'")]),
    ("audit_log", "PRIMARY KEY (org_id, seq)", &[("seq", "seq")]),

    ("audit_checkpoints", "CHECK seq >= 1", &[("seq", "0")]),
    ("audit_checkpoints", "CHECK length(hash) = 64", &[("hash", "'short'")]),
    ("audit_checkpoints", "CHECK length(mac) = 64", &[("mac", "'short'")]),
    ("audit_checkpoints", "PRIMARY KEY (org_id, seq)", &[("seq", "seq")]),

    ("idempotency", "CHECK length(key) BETWEEN 1 AND 255", &[("key", "''")]),
    ("idempotency", "CHECK length(request_sha256) = 64", &[("request_sha256", "'short'")]),
    ("idempotency", "CHECK status BETWEEN 200 AND 299", &[("status", "404")]),
    ("idempotency", "CHECK sealed IN (0, 1)", &[("sealed", "2")]),
    ("idempotency", "PRIMARY KEY (principal, route, key)", &[("key", "key")]),

    ("kek_rotations", "CHECK state IN ('running', 'done', 'cancelled', 'failed')", &[("state", "'paused'")]),
    ("kek_rotations", "CHECK dry_run IN (0, 1)", &[("dry_run", "2")]),
    ("kek_rotations", "UNIQUE kek_rotations_running", &[("state", "'running'")]),
    ("kek_rotations", "PRIMARY KEY (rotation_id)", &[("rotation_id", "rotation_id")]),

    ("deployments", "CHECK status IN ('running', 'succeeded', 'failed', 'rolled_back', 'rollback_blocked')", &[("status", "'paused'")]),
    ("deployments", "CHECK plan IS NULL OR json_valid(plan)", &[("plan", "'{'")]),
    ("deployments", "CHECK journal IS NULL OR json_valid(journal)", &[("journal", "'{'")]),
    ("deployments", "CHECK anchor IS NULL OR json_valid(anchor)", &[("anchor", "'{'")]),
    ("deployments", "CHECK secrets_mark IS NULL OR json_valid(secrets_mark)", &[("secrets_mark", "'{'")]),
    ("deployments", "CHECK result IS NULL OR json_valid(result)", &[("result", "'{'")]),
    ("deployments", "CHECK running_deployments_have_a_lease", &[("lease_expires_at", "NULL")]),
    ("deployments", "UNIQUE deployments_running", &[("account_id", "account_id")]),
    ("deployments", "PRIMARY KEY (deployment_id)", &[("deployment_id", "deployment_id")]),
];

/// The seed has no rows of these tables.
fn filled(connection: &Connection) {
    let t = "2025-11-21T09:00:00.000Z";
    let hash = "0".repeat(64);
    let sql = format!(
        "
INSERT INTO instances (instance_id, org_id, name, config, created_at, status, updated_at) VALUES ('spare', '{ACME}', 'Spare', '{{}}', '{t}', 'active', '{t}');
INSERT INTO provider_credentials (credential_id, org_id, instance_id, provider, host, ciphertext, kek_id, set_at, set_by, created_at) VALUES ('c', '{ACME}', 'production', 'ideogram', 'h', 'v1.k1.a.b', 'k1', '{t}', 's', '{t}');
INSERT INTO price_overrides (price_id, org_id, instance_id, provider, model, row, valid_from, created_by, created_at) VALUES ('p', '{ACME}', 'production', 'x', 'y', '{{}}', '1', 's', '{t}');
INSERT INTO worker_registry (name, version, git_sha, url, registered_at, created_at) VALUES ('w', '1', 'x', 'u', '{t}', '{t}');
INSERT INTO worker_versions (instance_id, name, version, git_sha, registered_at, created_at) VALUES ('', 'w', '1', 'x', '{t}', '{t}');
INSERT INTO audit_log (org_id, seq, at, actor, action, target_type, target_id, request_id, prev_hash, hash) VALUES ('platform', 1, '{t}', '{{}}', 'x', 'user', 'u', 'r', '{hash}', '{hash}');
INSERT INTO audit_checkpoints (org_id, seq, hash, mac, pepper_id, created_at) VALUES ('platform', 1, '{hash}', '{hash}', 'p1', '{t}');
INSERT INTO idempotency (principal, route, key, request_sha256, status, response, created_at, expires_at) VALUES ('p', 'r', 'k', '{hash}', 200, '{{}}', '{t}', '{t}');
INSERT INTO kek_rotations (rotation_id, to_kek, state, started_by, created_at) VALUES ('r', 'k2', 'running', 's', '{t}');
INSERT INTO deployments (deployment_id, account_id, status, actor, source, lease_expires_at, created_at) VALUES ('d', 'a', 'running', 's', 'cli', '{t}', '{t}');
"
    );
    connection.execute_batch(&sql).unwrap();
}

fn texts(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

fn tables(connection: &Connection) -> Vec<(String, String)> {
    let sql = "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid";
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

/// The CHECKs in the text of a table: no pragma lists them.
fn checks(sql: &str) -> Vec<Kind> {
    let lines = sql.lines().map(|line| line.split("--").next().unwrap());
    let sql = lines.collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for (at, _) in sql.match_indices("CHECK (") {
        let start = at + "CHECK (".len();
        let mut depth = 1;
        let end = sql[start..].find(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth == 0
        });
        let expression = sql[start..start + end.unwrap()].to_owned();
        let mut before = sql[..at].split_whitespace().rev();
        let (last, constraint) = (before.next(), before.next());
        let name = match constraint {
            Some("CONSTRAINT") => last.unwrap().to_owned(),
            _ => expression.clone(),
        };
        found.push(Kind::Check { name, expression });
    }
    assert_eq!(found.len(), sql.matches("CHECK").count(), "{sql}");
    found
}

fn foreign_keys(connection: &Connection, table: &str) -> Vec<(String, Kind)> {
    let sql = format!(
        "SELECT id, group_concat(\"from\", ', '), \"table\" FROM pragma_foreign_key_list('{table}') GROUP BY id"
    );
    let mut statement = connection.prepare(&sql).unwrap();
    let rows = statement.query_map([], |row| {
        let (columns, target): (String, String) = (row.get(1)?, row.get(2)?);
        let name = format!("FOREIGN KEY {columns} -> {target}");
        Ok((name, Kind::ForeignKey(row.get(0)?)))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

fn unique(connection: &Connection, table: &str) -> Vec<(String, Kind)> {
    let sql = format!("SELECT name, origin FROM pragma_index_list('{table}') WHERE \"unique\"");
    let mut statement = connection.prepare(&sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    let rows: Vec<(String, String)> = rows.unwrap().map(Result::unwrap).collect();
    rows.into_iter()
        .map(|(index, origin)| {
            let sql = format!("SELECT coalesce(name, '') FROM pragma_index_info('{index}')");
            let columns = texts(connection, &sql);
            let said = if columns.iter().any(String::is_empty) {
                format!("index '{index}'")
            } else {
                let columns = columns.iter().map(|column| format!("{table}.{column}"));
                columns.collect::<Vec<_>>().join(", ")
            };
            let name = match origin.as_str() {
                "pk" => format!("PRIMARY KEY ({})", columns.join(", ")),
                _ => format!("UNIQUE {index}"),
            };
            (name, Kind::Unique(said))
        })
        .collect()
}

fn constraints(connection: &Connection) -> Vec<Constraint> {
    let mut all = Vec::new();
    for (table, sql) in tables(connection) {
        let checks = checks(&sql).into_iter().map(|kind| match &kind {
            Kind::Check { name, .. } => (format!("CHECK {name}"), kind),
            _ => unreachable!(),
        });
        let of_table = checks
            .chain(foreign_keys(connection, &table))
            .chain(unique(connection, &table));
        all.extend(of_table.map(|(name, kind)| Constraint {
            table: table.clone(),
            name,
            kind,
        }));
    }
    all
}

/// The first row of a table with these columns changed; later changes win.
fn changed(connection: &Connection, table: &str, changes: &[Columns]) -> String {
    let columns = texts(
        connection,
        &format!("SELECT name FROM pragma_table_info('{table}')"),
    );
    let find = |column: &str| {
        let mut all = changes.iter().rev().flat_map(|columns| columns.iter());
        all.find(|(name, _)| *name == column)
    };
    for (name, _) in changes.iter().flat_map(|columns| columns.iter()) {
        assert!(columns.iter().any(|column| column == name), "{name}");
    }
    let values = columns
        .iter()
        .map(|column| find(column).map_or(column.as_str(), |(_, value)| value));
    let values = values.zip(&columns);
    let values: Vec<_> = values
        .map(|(value, column)| format!("{value} AS {column}"))
        .collect();
    // A superadmin comes first among the users, and belongs to no organization.
    let which = if table == "users" {
        "WHERE org_id IS NOT NULL"
    } else {
        ""
    };
    format!(
        "SELECT {} FROM (SELECT * FROM {table} {which} LIMIT 1)",
        values.join(", ")
    )
}

/// Writes the row, and takes it back.
fn written<T>(
    connection: &Connection,
    table: &str,
    row: &str,
    then: impl FnOnce() -> T,
) -> Result<T, String> {
    connection.execute_batch("SAVEPOINT row").unwrap();
    let done = connection.execute(&format!("INSERT INTO {table} {row}"), []);
    let outcome = done.map(|_| then()).map_err(|error| error.to_string());
    let undo = "ROLLBACK TO row; RELEASE row";
    connection.execute_batch(undo).unwrap();
    outcome
}

/// The CHECKs of a table that a row does not meet.
fn failing(connection: &Connection, all: &[Constraint], table: &str, row: &str) -> Vec<String> {
    let of_table = all.iter().filter(|it| it.table == table);
    let checks = of_table.filter_map(|it| match &it.kind {
        Kind::Check { name, expression } => Some((name, expression)),
        _ => None,
    });
    checks
        .filter(|(_, expression)| {
            // NULL passes a CHECK.
            let sql = format!("SELECT coalesce({expression}, 1) FROM ({row})");
            let met: bool = connection.query_row(&sql, [], |row| row.get(0)).unwrap();
            !met
        })
        .map(|(name, _)| name.clone())
        .collect()
}

#[test]
fn every_constraint_refuses_alone_and_by_name() {
    let database = seeded();
    database.with(|connection| {
        filled(connection);
        let all = constraints(connection);
        let known: BTreeSet<_> = all.iter().map(|it| (&*it.table, &*it.name)).collect();
        let tried: BTreeSet<_> = OFFENDING.iter().map(|it| (it.0, it.1)).collect();
        assert_eq!(known, tried, "constraints of the schema, and those tried");
        assert_eq!((known.len(), all.len()), (OFFENDING.len(), OFFENDING.len()));

        for (table, columns) in ACCEPTED {
            let row = changed(connection, table, &[columns]);
            written(connection, table, &row, || ()).unwrap();
        }
        for (table, name, columns) in OFFENDING {
            let of = all.iter().find(|it| it.table == *table && it.name == *name);
            let accepted = ACCEPTED.iter().find(|(of, _)| of == table).unwrap().1;
            let row = changed(connection, table, &[accepted, columns]);
            let failing = failing(connection, &all, table, &row);
            let said = written(connection, table, &row, || ());
            let said = said.expect_err(&format!("{table}: {name}"));
            match &of.unwrap().kind {
                Kind::Check { name, .. } => {
                    assert_eq!(said, format!("CHECK constraint failed: {name}"), "{table}");
                    assert_eq!(failing, [name.as_str()], "{table}");
                }
                Kind::Unique(what) => {
                    assert_eq!(said, format!("UNIQUE constraint failed: {what}"), "{table}");
                    assert_eq!(failing, [""; 0], "{table}: {name}");
                }
                // SQLite does not say which: the row is the only one that refers to nothing once they are not looked at.
                Kind::ForeignKey(id) => {
                    assert_eq!(said, "FOREIGN KEY constraint failed", "{table}: {name}");
                    assert_eq!(failing, [""; 0], "{table}: {name}");
                    let off = "PRAGMA foreign_keys = OFF";
                    connection.execute_batch(off).unwrap();
                    let sql = format!("SELECT fkid || '' FROM pragma_foreign_key_check('{table}')");
                    let broken = written(connection, table, &row, || texts(connection, &sql));
                    connection
                        .execute_batch("PRAGMA foreign_keys = ON")
                        .unwrap();
                    assert_eq!(broken.unwrap(), [id.to_string()], "{table}: {name}");
                }
            }
        }
    });
}

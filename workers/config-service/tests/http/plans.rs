//! Query plans of every statement that this worker really runs.
//!
//! The statements are those that the database ran while every recipe was carried out by every principal in every place,
//! with and without `Idempotency-Key`, while the internal routes were asked, the sweeper ran, and rare states were made.
//! A statement of the store that none of this runs fails: nobody has looked at its plan.

use crate::matrix::{arrived, prepare};
use crate::places::{ask_for, furnished, key_of, values};
use crate::support::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use middleware::testing::TestResponse;
use middleware::testing::matrix::Who;
use platform::fakes::{SqliteDatabase, When};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Tables that only time bounds. Sessions are rows of `api_keys`.
const GROWING: [&str; 3] = ["audit_log", "idempotency", "api_keys"];

fn keep(statements: &mut BTreeSet<String>, service: &Service) {
    statements.extend(service.recorded().into_iter().map(|ran| ran.sql));
}

async fn every_recipe(statements: &mut BTreeSet<String>) {
    for (recipe, listed) in arrived() {
        for who in Who::ALL {
            for place in recipe.kind.places() {
                let Some(values) = values(who, recipe.kind, *place) else {
                    continue;
                };
                let service = furnished();
                prepare(&service, &recipe, *place, &values).await;
                let mut filled = recipe.request(&listed, &values).unwrap();
                if listed.method == Method::POST {
                    let key = ("idempotency-key", "planned".to_owned());
                    filled.headers.push(key);
                    ask_for(&service, key_of(who), &filled).await;
                }
                ask_for(&service, key_of(who), &filled).await;
                service.settle().await;
                keep(statements, &service);
            }
        }
    }
}

/// Internal routes, lists with every filter, lost answers, and the sweeper.
async fn everything_else(statements: &mut BTreeSet<String>) {
    let service = furnished();
    for who in Who::ALL {
        for hint in [None, Some("development"), Some("foreign"), Some("nowhere")] {
            for project in [None, Some(CHAT)] {
                let mut question = ask(key_of(who), hint);
                question["project_hint"] = json!(project);
                service.resolve("image-gen", &question).await;
            }
        }
    }
    for path in [
        "/internal/v1/config/development",
        "/internal/v1/config/development?have=1",
        "/internal/v1/credentials/development/ideogram",
        "/internal/v1/credentials/development/ideogram?credential_id=0198f0c0-0000-7000-8000-000000000001",
    ] {
        service.app.get(path).from_worker("image-gen").send().await;
    }
    let report = json!({"items": [{"credential_id": "0198f0c0-0000-7000-8000-000000000001", "outcome": "ok", "at": "2025-11-21T10:00:00.000Z"}]});
    let reported = service
        .app
        .post("/internal/v1/credentials/report")
        .from_worker("image-gen");
    reported.json(&report).send().await;
    let lists = [
        format!("/api-key?user_id={USER_USER}&limit=1"),
        format!("/api-key?project_id={CHAT}&status=active&unused_days=3"),
        format!("/instance?org_id={ACME}&status=active&q=dev&limit=1"),
    ];
    for path in lists {
        for key in [ROOT, ADMIN] {
            let page = service.get(key, &path).await.json();
            if let Some(cursor) = page["next_cursor"].as_str() {
                service.get(key, &format!("{path}&cursor={cursor}")).await;
            }
        }
    }
    // A use that is a minute old is recorded later, a new secret's at once, an older pepper's hash anew.
    service
        .run("UPDATE api_keys SET secret_first_used_at = NULL WHERE key_id = 'user00000001'")
        .await;
    service.get(USER, "/session").await;
    service.get(ADMIN, "/session").await;
    service.app.get("/health").send().await;
    service.settle().await;
    keep(statements, &service);
    // A key under an older pepper is hashed anew.
    let newer = [
        ("KEY_PEPPER_CURRENT", "p2".to_owned()),
        ("KEY_PEPPER_p2", STANDARD.encode([7; 32])),
    ];
    let service = Service::with(settings_with("test", &newer));
    service.get(USER, "/session").await;
    service.settle().await;
    // Two entries of one chain; the answer of the second batch is lost.
    let user = |email: &str| json!({"email": email, "role": "user"});
    service.post(ADMIN, "/user", &user("a@acme.example")).await;
    let faults = &service.ports.world.faults;
    faults.fail("database.batch", 2, When::After);
    let answer = service.post(ADMIN, "/user", &user("b@acme.example")).await;
    assert_eq!((answer.status.as_u16(), faults.pending()), (201, 0));
    service.settle().await;
    service.deps.sweep().await;
    service.settle().await;
    keep(statements, &service);
}

/// Changes of states that no recipe makes.
async fn rare_states(statements: &mut BTreeSet<String>) {
    let service = furnished();
    let done = |answer: TestResponse| assert!(answer.status.is_success(), "{}", answer.text());
    // A price for all instances of the organization, and another one that closes it.
    let price = json!({
        "provider": "ideogram", "model": "ideogram-3", "row": {"unit": "image", "usd_micros": 1, "basis": "exact"},
    });
    for _ in 0..2 {
        service.ports.world.clock.advance(60_000);
        done(service.post(ADMIN, "/price", &price).await);
    }
    let access = format!("/user/{USER_USER}/instance/development");
    done(service.delete(ADMIN, &access).await);
    done(service.post(ADMIN, "/api-key", &json!({"name": "x"})).await);
    let sealed = "/instance/development/provider-key/openai";
    let secret = json!({"api_key": "0123456789"});
    done(service.put(ADMIN, sealed, &secret).await);
    let at_once = format!("{sealed}?now=true");
    done(service.at(Method::DELETE, ADMIN, &at_once, "*", None).await);
    let pause = service.app.post("/instance/production/pause");
    let pause = pause
        .from_worker("telemetry")
        .header("idempotency-key", "once");
    done(pause.json(&json!({"reason": "cost_guard"})).send().await);
    // An instance that ends, and the sweep that takes its copy away for good.
    let (status, deleting) = (
        "/instance/development/status",
        json!({"status": "deleting"}),
    );
    done(
        service
            .at(Method::PUT, ADMIN, status, "*", Some(&deleting))
            .await,
    );
    done(
        service
            .at(Method::DELETE, ADMIN, "/instance/development", "*", None)
            .await,
    );
    service.settle().await;
    service.ports.world.clock.advance(600_000);
    service.deps.sweep().await;
    service.settle().await;
    keep(statements, &service);
    // Lists of everything that stop somewhere.
    let service = furnished();
    for path in [
        "/instance?q=x",
        "/user?q=x",
        "/project?q=x",
        "/worker?health=healthy",
        "/api-key?status=active",
    ] {
        done(service.get(ROOT, path).await);
    }
    service.settle().await;
    keep(statements, &service);
    // A rotation of the key-encryption key during which a value is sealed behind its cursor.
    let service = Service::with(keyed_settings("k1", &["k1", "k2"]));
    for number in 10..31 {
        let body = json!({"name": format!("i{number}"), "org_id": ACME, "config": {"api_keys": {"openai": "x"}}});
        done(service.post(ROOT, "/instance", &body).await);
    }
    let started = service
        .post(ROOT, "/admin/kek-rotation", &json!({"to": "k2"}))
        .await
        .json();
    let run = format!(
        "/admin/kek-rotation/{}/run",
        started["rotation_id"].as_str().unwrap()
    );
    done(service.app.post(&run).key(ROOT).send().await);
    let behind = "/instance/i10/provider-key/openai";
    let other = json!({"api_key": "entered meanwhile"});
    done(
        service
            .at(Method::PUT, ROOT, behind, "*", Some(&other))
            .await,
    );
    done(service.app.post(&run).key(ROOT).send().await);
    service.settle().await;
    keep(statements, &service);
}

async fn all_statements() -> BTreeSet<String> {
    let mut statements = BTreeSet::new();
    every_recipe(&mut statements).await;
    everything_else(&mut statements).await;
    rare_states(&mut statements).await;
    statements
}

/// The table behind a name in a plan: itself, or what the statement calls by that name.
fn table_of<'a>(sql: &'a str, name: &'a str) -> Vec<&'a str> {
    let words: Vec<&str> = sql
        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .filter(|word| !word.is_empty())
        .collect();
    let mut tables = vec![name];
    for pair in words.windows(3) {
        match pair {
            [table, by, alias] if by.eq_ignore_ascii_case("as") && *alias == name => {
                tables.push(table);
            }
            [table, alias, _] | [_, table, alias] if *alias == name => tables.push(table),
            _ => {}
        }
    }
    tables
}

/// Scans of growing tables in one statement; a walk along a whole index is one too.
fn scans(database: &SqliteDatabase, sql: &str) -> Vec<String> {
    let plan = database
        .plan(sql)
        .map_err(|error| format!("{error}: {sql}"))
        .unwrap();
    plan.into_iter()
        .filter(|line| {
            // An automatic index is made for the one query, by a scan.
            let scans = line.starts_with("SCAN ") || line.contains(" AUTOMATIC ");
            let name = line.split(' ').nth(1).unwrap_or_default();
            let tables = table_of(sql, name);
            scans && tables.iter().any(|table| GROWING.contains(table))
        })
        .collect()
}

#[tokio::test]
async fn no_statement_scans_a_table_that_grows() {
    let statements = all_statements().await;
    let database = furnished().ports.database.clone();
    let mut found = Vec::new();
    for sql in &statements {
        let lines = scans(&database, sql);
        found.extend(lines.into_iter().map(|line| format!("{line}\n    {sql}")));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    let escaped = unplanned(&statements);
    assert!(
        escaped.is_empty(),
        "never run here:\n{}",
        escaped.join("\n")
    );
}

#[test]
fn a_scan_is_found_by_table_and_by_alias() {
    let database = furnished().ports.database.clone();
    for sql in [
        "SELECT * FROM audit_log WHERE action = ?1",
        "SELECT k.name FROM users u JOIN api_keys AS k ON k.name = u.name",
        "SELECT (SELECT count(*) FROM idempotency i WHERE i.status = 201)",
        "DELETE FROM api_keys WHERE kind = 'session'",
    ] {
        assert!(!scans(&database, sql).is_empty(), "{sql}");
    }
    for sql in [
        "SELECT * FROM api_keys WHERE key_id = ?1",
        "SELECT * FROM organizations",
        "SELECT max(seq) FROM audit_log WHERE org_id = ?1",
    ] {
        assert_eq!(scans(&database, sql), Vec::<String>::new(), "{sql}");
    }
}

/// One line of blanks and words.
fn plain(sql: &str) -> String {
    sql.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let entries = entries.map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// Texts of statements in the store that no route and no sweep has run: a plan that nobody has looked at.
fn unplanned(ran: &BTreeSet<String>) -> Vec<String> {
    let ran: Vec<String> = ran.iter().map(|sql| plain(sql)).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/store/src/control");
    let mut missing = Vec::new();
    for path in files(&folder) {
        let source = std::fs::read_to_string(&path).unwrap();
        let code = source.split("#[cfg(test)]").next().unwrap();
        for text in literals(code) {
            let text = plain(&text);
            let verb = text.split(' ').next().unwrap_or_default();
            if !["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"].contains(&verb) {
                continue;
            }
            // What stands between the parts that are filled in.
            let parts = text.split(['{', '}']).step_by(2);
            let longest = parts
                .max_by_key(|part| part.len())
                .unwrap_or_default()
                .trim();
            if !ran.iter().any(|sql| sql.contains(longest)) {
                let file = path.file_name().unwrap().to_string_lossy().into_owned();
                missing.push(format!("{file}: {text}"));
            }
        }
    }
    missing
}

/// The string literals of a source text, with the line ends that a backslash hides taken out.
fn literals(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut chars = code.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '/' && chars.peek() == Some(&'/') {
            chars.by_ref().find(|c| *c == '\n');
        }
        if c != '"' {
            continue;
        }
        let mut text = String::new();
        while let Some(c) = chars.next() {
            match c {
                '"' => break,
                '\\' => match chars.next() {
                    Some('n') => text.push('\n'),
                    Some('\n') => {
                        while chars.peek().is_some_and(|c| c.is_whitespace()) {
                            chars.next();
                        }
                    }
                    Some(other) => text.push(other),
                    None => break,
                },
                other => text.push(other),
            }
        }
        found.push(text);
    }
    found
}

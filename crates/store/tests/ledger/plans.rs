//! The plan of every statement of this database: those that ran while each function of the store was called, and none of
//! the store's texts that did not.

use crate::support::*;
use api_types::AttemptState;
use platform::Database;
use platform::fakes::{Journal, SqliteDatabase};
use std::collections::BTreeSet;
use std::path::Path;
use store::ledger::{
    Claim, claim, finish_maintenance, flush, forget_claim, forget_expired_claims,
    forget_old_rejects, job, limiter_objects, limiter_objects_of, open_jobs, reject_message,
    take_over,
};

/// Tables that only time bounds, or the work of a house. `limiter_objects` has one row for each instance and provider and
/// `maintenance` one for each job of the sweeper: the sweep over the limiters reads all of the former and takes some by
/// chance, which no index could help.
const GROWING: [&str; 7] = [
    "usage_logs",
    "usage_daily",
    "jobs",
    "images",
    "images_fts",
    "queue_rejects",
    "idempotency_keys",
];

/// An index that holds what is going on now, of all instances: reading it whole is meant, and so is sorting that.
const OPEN_WORK: &str = "INDEXED BY jobs_open";

/// Runs everything that the store has for this database.
async fn all_statements() -> BTreeSet<String> {
    let journal = Journal::default();
    let database = database().journaled(&journal);
    let mut late = running(3);
    late.attempt.state = AttemptState::Handover;
    let mut statements = flush(&[succeeded(1), running(2), late]);
    statements.extend([
        forget_expired_claims(0),
        forget_old_rejects(0),
        reject_message("q1", "generate", "x", "no JSON", 0),
        finish_maintenance("sweep", 0, ""),
    ]);
    database.batch(statements).await.unwrap();
    let own = Claim {
        instance_id: instance(),
        project_id: None,
        route: "POST /generate".to_owned(),
        key: "k-1".to_owned(),
        fingerprint: "f".to_owned(),
        job_id: job_id(1),
    };
    let row = claim(&database, &own, 0).await.unwrap();
    assert!(take_over(&database, &own, &row, 1).await.unwrap());
    forget_claim(&database, &own).await.unwrap();
    job(&database, &instance(), &job_id(1)).await.unwrap();
    open_jobs(&database, &instance(), 10).await.unwrap();
    limiter_objects(&database, 0).await.unwrap();
    limiter_objects_of(&database, &instance()).await.unwrap();
    journal.since(0).into_iter().map(|ran| ran.sql).collect()
}

/// Walks of a whole growing table or of a whole index of one, and sorting what they find.
fn walks(database: &SqliteDatabase, sql: &str) -> Vec<String> {
    let touches = GROWING.iter().any(|table| {
        sql.split(|c: char| !(c.is_alphanumeric() || c == '_'))
            .any(|word| word == *table)
    });
    let mut lines = database.plan(sql).unwrap();
    // What a statement was given as JSON is a virtual table, whatever it is called.
    lines.retain(|line| {
        (line.starts_with("SCAN ") && !line.contains("VIRTUAL TABLE"))
            || line.contains(" AUTOMATIC ")
            || line.contains("TEMP B-TREE FOR ORDER BY")
    });
    lines.retain(|line| {
        let open_work = sql.contains(OPEN_WORK)
            && (line.contains("USING INDEX jobs_open") || line.contains("TEMP B-TREE"));
        touches && !open_work
    });
    lines
}

#[tokio::test]
async fn no_statement_scans_a_table_that_grows() {
    let statements = all_statements().await;
    let database = database();
    for sql in &statements {
        assert_eq!(walks(&database, sql), Vec::<String>::new(), "{sql}");
    }
    let escaped = unplanned(&statements);
    assert!(escaped.is_empty(), "never run here: {escaped:#?}");
}

#[test]
fn a_walk_is_found() {
    let database = database();
    for sql in [
        "SELECT job_id FROM jobs WHERE provider = 'a'",
        "SELECT job_id FROM jobs ORDER BY created_at DESC LIMIT 5",
        "DELETE FROM idempotency_keys WHERE job_id = 'a'",
        "UPDATE jobs AS late SET stage = 'x' WHERE late.model = 'm'",
    ] {
        assert!(!walks(&database, sql).is_empty(), "{sql}");
    }
    let by_index = "SELECT job_id FROM jobs WHERE instance_id = 'a' ORDER BY created_at DESC";
    assert_eq!(walks(&database, by_index), Vec::<String>::new());
}

/// One line of blanks and words.
fn plain(sql: &str) -> String {
    sql.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Texts of statements in the store that nothing above has run. No text there holds a quotation mark.
fn unplanned(ran: &BTreeSet<String>) -> Vec<String> {
    let ran: Vec<String> = ran.iter().map(|sql| plain(sql)).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ledger");
    let mut missing = Vec::new();
    let mut found = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let source = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let code: Vec<&str> = source
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect();
        for text in code.join("\n").split('"').skip(1).step_by(2) {
            let text = plain(text);
            let verb = text.split(' ').next().unwrap_or_default();
            if !["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"].contains(&verb) {
                continue;
            }
            found += 1;
            // What stands between the parts that are filled in.
            let parts = text.split(['{', '}']).step_by(2);
            let longest = parts.max_by_key(|part| part.len()).unwrap_or_default();
            if !ran.iter().any(|sql| sql.contains(longest.trim())) {
                missing.push(text);
            }
        }
    }
    assert!(found >= 12, "{found} statements were found");
    missing
}

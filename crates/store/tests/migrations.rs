//! Each series of migrations from empty and from every earlier state of it: a database that is older becomes the same as
//! a new one, and keeps its rows.
#![expect(clippy::unwrap_used, reason = "tests")]

use platform::fakes::{SqliteDatabase, World};
use platform::{Database, Statement};
use std::path::{Path, PathBuf};

fn series(name: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    let entries = std::fs::read_dir(folder.join(name)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "sql"));
    files.sort();
    assert!(!files.is_empty());
    files
}

fn apply(database: &SqliteDatabase, files: &[PathBuf]) {
    for file in files {
        let sql = std::fs::read_to_string(file).unwrap();
        database.with(|connection| connection.execute_batch(&sql).unwrap());
    }
}

/// Names and columns of everything, in the order of names: the texts of a schema differ by how it came about.
async fn schema(database: &SqliteDatabase) -> Vec<String> {
    let sql = "SELECT m.type || ' ' || m.name || ' ' || coalesce((SELECT group_concat(c.name || ' ' || c.type || ' ' || c.\"notnull\" || ' ' || coalesce(c.dflt_value, '-')) \
        FROM pragma_table_info(m.name) c), '') AS line FROM sqlite_schema m WHERE m.name NOT LIKE 'sqlite_%' ORDER BY m.type, m.name";
    let rows = database.query(Statement::new(sql)).await.unwrap();
    let line = |row: &platform::Row| row.text("line").unwrap().to_owned();
    rows.rows.iter().map(line).collect()
}

#[tokio::test]
async fn an_older_database_becomes_the_same_as_a_new_one() {
    for (name, row) in [
        (
            "control",
            "INSERT INTO organizations (org_id, name, billing_email, created_at, updated_at) VALUES ('kept', 'x', 'a@b', '2025', '2025')",
        ),
        (
            "ledger",
            "INSERT INTO maintenance (job, last_run_at) VALUES ('kept', 1)",
        ),
    ] {
        let files = series(name);
        let new = SqliteDatabase::empty(&World::auto()).unwrap();
        apply(&new, &files);
        let expected = schema(&new).await;
        assert!(expected.len() > 5, "{expected:?}");
        for known in 1..=files.len() {
            let (before, after) = files.split_at(known);
            let old = SqliteDatabase::empty(&World::auto()).unwrap();
            apply(&old, before);
            old.with(|connection| connection.execute(row, []).unwrap());
            apply(&old, after);
            assert_eq!(schema(&old).await, expected, "{name} from {known}");
            let table = row.split(' ').nth(2).unwrap();
            let count = format!("SELECT count(*) AS n FROM {table}");
            let kept = old.query(Statement::new(count)).await.unwrap();
            assert_eq!(
                kept.first().unwrap().int("n"),
                Some(1),
                "{name} from {known}"
            );
        }
    }
}

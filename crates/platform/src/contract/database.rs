//! Promises of the relational database.

use super::{Verdict, equal, holds, refusal, step};
use crate::{Database, DbErrorKind, Row, SqlValue, Statement};

const SCHEMA: [&str; 7] = [
    "DROP TABLE IF EXISTS contract_child",
    "DROP TABLE IF EXISTS contract_parent",
    "DROP TABLE IF EXISTS contract_value",
    "CREATE TABLE contract_parent (id TEXT PRIMARY KEY, n INTEGER CHECK (n >= 0)) STRICT",
    "CREATE TABLE contract_child (id TEXT PRIMARY KEY, parent TEXT NOT NULL REFERENCES contract_parent(id)) STRICT",
    "CREATE TABLE contract_value (i INTEGER, r REAL, t TEXT) STRICT",
    "CREATE TRIGGER contract_guard BEFORE INSERT ON contract_parent WHEN NEW.id = 'stale' \
     BEGIN SELECT RAISE(ABORT, 'guard_failed'); END",
];

/// Creates and drops tables named `contract_..`.
pub async fn database(database: &impl Database) -> Verdict {
    let schema = SCHEMA.iter().map(|sql| Statement::new(*sql)).collect();
    step("schema", database.batch(schema).await)?;
    values(database).await?;
    counts(database).await?;
    atomic(database).await?;
    errors(database).await?;
    let drop = SCHEMA[..3].iter().map(|sql| Statement::new(*sql)).collect();
    step("drop", database.batch(drop).await)?;
    let empty = step("empty batch", database.batch(Vec::new()).await)?;
    holds("an empty batch has no results", empty.is_empty())
}

async fn query(database: &impl Database, statement: Statement) -> Result<Vec<Row>, String> {
    let name = statement.sql.clone();
    Ok(step(&name, database.query(statement).await)?.rows)
}

async fn values(database: &impl Database) -> Verdict {
    let big = 9_007_199_254_740_991_i64;
    let text = "ä\u{1F600}'\"\n\0x";
    let insert = Statement::new("INSERT INTO contract_value VALUES (?1, ?2, ?3)");
    let rows = [
        [big.into(), SqlValue::Real(0.5), text.into()],
        [SqlValue::Integer(-big), SqlValue::Null, "".into()],
        [SqlValue::Null, SqlValue::Real(2.0), SqlValue::Null],
    ];
    for row in &rows {
        let mut statement = insert.clone();
        statement.params = row.to_vec();
        step("insert", database.query(statement).await)?;
    }
    let select = "SELECT t, r, i, i AS again, typeof(i) AS kind FROM contract_value ORDER BY rowid";
    let found = query(database, Statement::new(select)).await?;
    let first = found.first().ok_or("rows come back")?;
    let names: Vec<_> = first
        .columns
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    let wanted = vec!["t", "r", "i", "again", "kind"];
    equal("columns keep their order", &names, &wanted)?;
    equal("text comes back", &first.text("t"), &Some(text))?;
    equal("a real comes back", first.get("r"), &SqlValue::Real(0.5))?;
    equal(
        "integers beyond 32 bits come back",
        first.get("i"),
        &big.into(),
    )?;
    equal(
        "integers are integers",
        &first.text("kind"),
        &Some("integer"),
    )?;
    let second = found.get(1).ok_or("rows come back")?;
    equal(
        "negative ones too",
        second.get("i"),
        &SqlValue::Integer(-big),
    )?;
    equal("NULL comes back", second.get("r"), &SqlValue::Null)?;
    equal("the empty text is not NULL", &second.text("t"), &Some(""))?;
    let third = found.get(2).ok_or("rows come back")?;
    equal(
        "a whole real is an integer",
        third.get("r"),
        &SqlValue::Integer(2),
    )?;

    let inexact = Statement::new("SELECT ?1").bind(big + 2);
    refusal(
        "an integer beyond 2^53 is refused",
        database.query(inexact).await,
    )?;

    let computed = "SELECT 7 / ?1 AS half, 'v' || ?1 AS label, ?2 = 1 AS flag, typeof(?1) AS kind";
    let computed = Statement::new(computed).bind(2_i64).bind(true);
    let row = query(database, computed).await?.pop().unwrap_or_default();
    equal(
        "an integer parameter is a REAL",
        &row.text("kind"),
        &Some("real"),
    )?;
    equal(
        "so it divides as one",
        row.get("half"),
        &SqlValue::Real(3.5),
    )?;
    equal("and reads as one", &row.text("label"), &Some("v2.0"))?;
    holds("a flag is a number", row.flag("flag"))?;

    let many: Vec<String> = (0..500).map(|n| format!("{{\"n\":{n}}}")).collect();
    let json = format!("[{}]", many.join(","));
    let sql = "INSERT INTO contract_value (i) SELECT value ->> 'n' FROM json_each(?1) RETURNING i";
    let rows = query(database, Statement::new(sql).bind(json)).await?;
    equal(
        "json_each inserts many rows in one statement",
        &rows.len(),
        &500,
    )?;
    let limited = Statement::new("SELECT i FROM contract_value LIMIT ?1").bind(3_i64);
    equal(
        "a limit can be bound",
        &query(database, limited).await?.len(),
        &3,
    )?;
    let none = Statement::new("SELECT i FROM contract_value WHERE i = -5");
    holds(
        "no row is no error",
        query(database, none).await?.is_empty(),
    )?;
    let mut wide = Statement::new("SELECT 1");
    wide.params = vec![SqlValue::Null; 101];
    refusal("101 parameters are refused", database.query(wide).await)?;
    Ok(())
}

async fn counts(database: &impl Database) -> Verdict {
    let batch = vec![
        Statement::new("INSERT INTO contract_parent VALUES ('a', 1), ('b', 2)"),
        Statement::new("UPDATE contract_parent SET n = n + 1 WHERE n > 0"),
        Statement::new("SELECT id FROM contract_parent ORDER BY id"),
    ];
    let results = step("batch", database.batch(batch).await)?;
    equal("one result a statement", &results.len(), &3)?;
    let [insert, update, select] = &results[..] else {
        return Err("one result a statement".to_owned());
    };
    equal("an insert counts its rows", &insert.changes, &2)?;
    equal("an update counts its rows", &update.changes, &2)?;
    holds("written rows are counted", insert.rows_written >= 2)?;
    holds("read rows are counted", select.rows_read >= 2)?;
    equal("a select writes nothing", &select.rows_written, &0)?;
    let second = select.rows.get(1).and_then(|row| row.text("id"));
    equal("later statements see earlier ones", &second, &Some("b"))
}

async fn atomic(database: &impl Database) -> Verdict {
    let batch = vec![
        Statement::new("INSERT INTO contract_parent VALUES ('new', 1)"),
        Statement::new("INSERT INTO contract_parent VALUES ('a', 1)"),
    ];
    refusal("a batch fails as a whole", database.batch(batch).await)?;
    let look = Statement::new("SELECT id FROM contract_parent WHERE id = 'new'");
    let left = query(database, look).await?;
    holds("nothing of a failed batch stays", left.is_empty())
}

async fn errors(database: &impl Database) -> Verdict {
    use DbErrorKind::{Constraint, Guard, Other};
    let cases = [
        ("INSERT INTO contract_parent VALUES ('a', 1)", Constraint),
        (
            "INSERT INTO contract_child VALUES ('c', 'nobody')",
            Constraint,
        ),
        ("INSERT INTO contract_parent VALUES ('c', -1)", Constraint),
        ("INSERT INTO contract_parent VALUES ('stale', 1)", Guard),
        ("SELECT * FROM contract_nothing", Other),
        ("SELEC", Other),
        ("BEGIN", Other),
    ];
    for (sql, kind) in cases {
        let error = refusal(sql, database.query(Statement::new(sql)).await)?;
        equal(&format!("{sql}: {}", error.cause), &error.kind, &kind)?;
    }
    Ok(())
}

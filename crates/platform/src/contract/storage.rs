//! Promises of the storage inside an actor.

use super::{Verdict, equal, holds, refusal, step};
use crate::{ActorStorage, PortError, Row, SqlValue};

/// Creates and drops a table named `contract`, and leaves no alarm. `now_ms` is the time of the caller's clock.
pub async fn storage(storage: &impl ActorStorage, now_ms: i64) -> Verdict {
    rows(storage)?;
    transactions(storage)?;
    step("drop", storage.exec("DROP TABLE contract", &[]))?;
    alarm(storage, now_ms).await
}

fn count(storage: &impl ActorStorage) -> Result<i64, String> {
    let rows = step(
        "count",
        storage.exec("SELECT COUNT(*) AS n FROM contract", &[]),
    )?;
    let n = rows.first().and_then(|row| row.int("n"));
    n.ok_or_else(|| "a count is an integer".to_owned())
}

fn rows(storage: &impl ActorStorage) -> Verdict {
    step("drop", storage.exec("DROP TABLE IF EXISTS contract", &[]))?;
    let create = "CREATE TABLE contract (id INTEGER PRIMARY KEY, i INTEGER, r REAL, t TEXT) STRICT";
    let none = step("create", storage.exec(create, &[]))?;
    holds("a statement without rows gives none", none.is_empty())?;
    let big = 9_007_199_254_740_991_i64;
    let text = "ä\u{1F600}'\n";
    let insert = "INSERT INTO contract (i, r, t) VALUES (?1, ?2, ?3)";
    let params = [big.into(), SqlValue::Real(0.5), text.into()];
    step("insert", storage.exec(insert, &params))?;
    let params = [SqlValue::Null, SqlValue::Null, SqlValue::Null];
    step("insert of NULLs", storage.exec(insert, &params))?;
    let select = "SELECT t, r, i, typeof(i) AS kind FROM contract ORDER BY id";
    let found = step("select", storage.exec(select, &[]))?;
    let wanted = Row {
        columns: vec![
            ("t".to_owned(), text.into()),
            ("r".to_owned(), SqlValue::Real(0.5)),
            ("i".to_owned(), big.into()),
            ("kind".to_owned(), "integer".into()),
        ],
    };
    equal("values and order come back", &found.first(), &Some(&wanted))?;
    let nulls = found.get(1).map(|row| row.get("i").clone());
    equal("NULL comes back", &nulls, &Some(SqlValue::Null))?;
    let none = "SELECT t FROM contract WHERE id = 99";
    let none = step("select of nothing", storage.exec(none, &[]))?;
    holds("no row is no error", none.is_empty())?;
    let params = [SqlValue::Integer(2)];
    let computed = "SELECT typeof(?1) AS kind, 7 / ?1 AS half";
    let row = step("computation", storage.exec(computed, &params))?;
    let row = row.first().cloned().unwrap_or_default();
    equal(
        "an integer parameter is a REAL",
        &row.text("kind"),
        &Some("real"),
    )?;
    let returning = "UPDATE contract SET i = 1 WHERE id = 1 RETURNING i";
    let row = step("returning", storage.exec(returning, &[]))?;
    equal("RETURNING gives rows", &row.len(), &1)?;

    refusal("a wrong statement is an error", storage.exec("SELEC", &[]))?;
    let twice = "INSERT INTO contract (id) VALUES (1)";
    let error = refusal("a constraint is an error", storage.exec(twice, &[]))?;
    let told = error.cause.contains("UNIQUE constraint");
    holds("a constraint is named in the text", told)?;
    refusal("BEGIN is refused", storage.exec("BEGIN", &[]))?;
    let inexact = [SqlValue::Integer(big + 2)];
    let inexact = storage.exec("SELECT ?1", &inexact);
    refusal("an integer beyond 2^53 is refused", inexact)?;
    Ok(())
}

fn transactions(storage: &impl ActorStorage) -> Verdict {
    step("empty", storage.exec("DELETE FROM contract", &[]))?;
    let insert = || storage.exec("INSERT INTO contract (i) VALUES (1)", &[]);
    let kept = storage.transaction(|| {
        insert()?;
        insert()?;
        Ok(7)
    });
    let kept = step("transaction", kept)?;
    equal("a transaction gives the value of its work", &kept, &7)?;
    equal("its writes stay", &count(storage)?, &2)?;

    let lost = storage.transaction(|| {
        insert()?;
        Err::<(), _>(PortError::new("test", "on purpose"))
    });
    let error = refusal("a failed transaction says so", lost)?;
    equal("with its own error", &error.cause.as_str(), &"on purpose")?;
    equal("and its writes are gone", &count(storage)?, &2)?;

    let lost = storage.transaction(|| {
        insert()?;
        storage.exec("INSERT INTO contract (id) VALUES (1)", &[])
    });
    refusal("a failed statement fails its transaction", lost)?;
    equal("and the writes before it are gone", &count(storage)?, &2)?;

    let outer = storage.transaction(|| {
        insert()?;
        let inner = storage.transaction(|| {
            insert()?;
            Err::<(), _>(PortError::new("test", "inner"))
        });
        Ok(inner.is_err())
    });
    let inner_failed = step("outer transaction", outer)?;
    holds("an inner transaction fails alone", inner_failed)?;
    equal("and only its writes are gone", &count(storage)?, &3)
}

async fn alarm(storage: &impl ActorStorage, now_ms: i64) -> Verdict {
    step("delete_alarm", storage.delete_alarm().await)?;
    let none = step("get_alarm", storage.get_alarm().await)?;
    equal("no alarm is none", &none, &None)?;
    let (late, later) = (now_ms + 3_600_000, now_ms + 7_200_000);
    step("set_alarm", storage.set_alarm(late).await)?;
    let set = step("get_alarm", storage.get_alarm().await)?;
    equal(
        "an alarm is set for a time, not an offset",
        &set,
        &Some(late),
    )?;
    step("set_alarm", storage.set_alarm(later).await)?;
    let set = step("get_alarm", storage.get_alarm().await)?;
    equal("a second alarm replaces the first", &set, &Some(later))?;
    step("delete_alarm", storage.delete_alarm().await)?;
    let none = step("get_alarm", storage.get_alarm().await)?;
    equal("a deleted alarm is none", &none, &None)
}

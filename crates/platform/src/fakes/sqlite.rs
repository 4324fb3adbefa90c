//! What the SQLite behind the database fake and the one behind the actor storage fake have in common.

use crate::{Row, Rows, SqlValue};
use rusqlite::limits::Limit;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, StatementStatus, ToSql};

/// Numbers travel as doubles on the platform: larger ones would silently change.
const MAX_EXACT: u64 = 1 << 53;
const MAX_PARAMS: usize = 100;
/// More than any worker has.
const CACHED_STATEMENTS: usize = 512;

impl ToSql for SqlValue {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Value::Null),
            // As on the platform, where every number is a double: `7 / ?1` is no integer division there,
            // and `'v' || ?1` reads `v2.0`. Columns declared INTEGER turn it back.
            Self::Integer(value) => ToSqlOutput::Owned(Value::Real(*value as f64)),
            Self::Real(value) => ToSqlOutput::Owned(Value::Real(*value)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}

/// What the runtime's own SQLite refuses and another would take.
const LIMITS: [(Limit, i32); 5] = [
    (Limit::SQLITE_LIMIT_SQL_LENGTH, 100_000),
    (Limit::SQLITE_LIMIT_COLUMN, 100),
    (Limit::SQLITE_LIMIT_EXPR_DEPTH, 100),
    (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 5),
    (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 100),
];

pub(super) fn open() -> Result<Connection, String> {
    let connection = Connection::open_in_memory().map_err(|error| text(&error))?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    let pragma = connection.pragma_update(None, "foreign_keys", true);
    pragma.map_err(|error| text(&error))?;
    for (limit, most) in LIMITS {
        let set = connection.set_limit(limit, most);
        set.map_err(|error| text(&error))?;
    }
    Ok(connection)
}

/// The text of an error as the platform gives it: message, then the name of the code.
pub(super) fn text(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(code, message) => {
            let message = message.clone().unwrap_or_else(|| code.to_string());
            let name = match code.code {
                rusqlite::ErrorCode::ConstraintViolation => "SQLITE_CONSTRAINT",
                rusqlite::ErrorCode::TypeMismatch => "SQLITE_MISMATCH",
                rusqlite::ErrorCode::TooBig => "SQLITE_TOOBIG",
                _ => "SQLITE_ERROR",
            };
            format!("{message}: {name}")
        }
        rusqlite::Error::SqlInputError { msg, offset, .. } => {
            format!("{msg} at offset {offset}: SQLITE_ERROR")
        }
        other => other.to_string(),
    }
}

/// Transactions are the platform's: their words are refused as there.
fn refused(sql: &str) -> bool {
    let first = sql
        .trim_start()
        .split(|c: char| !c.is_alphanumeric())
        .next();
    let word = first.unwrap_or("").to_ascii_uppercase();
    matches!(
        word.as_str(),
        "BEGIN" | "COMMIT" | "ROLLBACK" | "SAVEPOINT" | "RELEASE" | "ATTACH" | "VACUUM"
    )
}

/// Runs one statement inside whatever transaction is open.
pub(super) fn run(connection: &Connection, sql: &str, params: &[SqlValue]) -> Result<Rows, String> {
    run_counted(connection, sql, params).map(|(rows, _)| rows)
}

/// The same, and how many steps SQLite's machine took: the work itself, which grows with every row that is visited.
pub(super) fn run_counted(
    connection: &Connection,
    sql: &str,
    params: &[SqlValue],
) -> Result<(Rows, u64), String> {
    if refused(sql) {
        return Err(
            "use the platform's transactions instead of SQL statements: SQLITE_AUTH".into(),
        );
    }
    if params.len() > MAX_PARAMS {
        return Err("too many SQL variables: SQLITE_ERROR".into());
    }
    let inexact =
        |value: &SqlValue| matches!(value, SqlValue::Integer(n) if n.unsigned_abs() > MAX_EXACT);
    if params.iter().any(inexact) {
        return Err("an integer beyond 2^53 would lose its last digits".into());
    }
    let describe = |error: rusqlite::Error| text(&error);
    let before = connection.total_changes();
    let mut statement = connection.prepare_cached(sql).map_err(describe)?;
    // A statement that is used again goes on counting.
    statement.reset_status(StatementStatus::FullscanStep);
    statement.reset_status(StatementStatus::VmStep);
    let names: Vec<String> = statement
        .column_names()
        .into_iter()
        .map(str::to_owned)
        .collect();
    let mut rows = Vec::new();
    {
        let bound = rusqlite::params_from_iter(params);
        let mut found = statement.query(bound).map_err(describe)?;
        while let Some(row) = found.next().map_err(describe)? {
            let mut columns = Vec::with_capacity(names.len());
            for (index, name) in names.iter().enumerate() {
                let value = row.get_ref(index).map_err(describe)?;
                columns.push((name.clone(), value_of(value)?));
            }
            rows.push(Row { columns });
        }
    }
    let steps = statement.get_status(StatementStatus::FullscanStep);
    let scanned = u64::try_from(steps).unwrap_or(0);
    let scanned = if scanned > 0 { scanned + 1 } else { 0 };
    let machine = statement.get_status(StatementStatus::VmStep);
    let changes = connection.total_changes() - before;
    let rows = Rows {
        changes,
        rows_read: scanned.max(rows.len() as u64),
        rows_written: changes,
        rows,
    };
    Ok((rows, u64::try_from(machine).unwrap_or(0)))
}

fn value_of(value: ValueRef<'_>) -> Result<SqlValue, String> {
    Ok(match value {
        ValueRef::Null => SqlValue::Null,
        ValueRef::Integer(value) => SqlValue::Integer(value),
        // A whole double cannot be told from an integer once it was a JavaScript number.
        ValueRef::Real(value) if value.fract() == 0.0 && value.abs() <= MAX_EXACT as f64 => {
            SqlValue::Integer(value as i64)
        }
        ValueRef::Real(value) => SqlValue::Real(value),
        ValueRef::Text(bytes) => SqlValue::Text(String::from_utf8_lossy(bytes).into_owned()),
        ValueRef::Blob(_) => return Err("a BLOB column has no place in this port".into()),
    })
}

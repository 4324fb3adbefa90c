//! The relational database (D1): statements with bound parameters, batches are atomic.

use std::borrow::Cow;
use std::future::Future;

/// A bound parameter or a returned value. D1 has no boolean and returns numbers as doubles: stay below 2^53.
#[derive(Clone, Debug, PartialEq)]
pub enum SqlValue {
    /// NULL.
    Null,
    /// INTEGER.
    Integer(i64),
    /// REAL.
    Real(f64),
    /// TEXT.
    Text(String),
}

impl From<&str> for SqlValue {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}
impl From<String> for SqlValue {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}
impl From<&String> for SqlValue {
    fn from(value: &String) -> Self {
        Self::Text(value.clone())
    }
}
impl From<i64> for SqlValue {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}
impl From<u32> for SqlValue {
    fn from(value: u32) -> Self {
        Self::Integer(i64::from(value))
    }
}
impl From<bool> for SqlValue {
    fn from(value: bool) -> Self {
        Self::Integer(i64::from(value))
    }
}
impl<T: Into<SqlValue>> From<Option<T>> for SqlValue {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// One SQL statement with its parameters (`?1`, `?2`, ..; at most 100).
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// The text.
    pub sql: Cow<'static, str>,
    /// The parameters in order.
    pub params: Vec<SqlValue>,
}

impl Statement {
    /// A statement without parameters.
    pub fn new(sql: impl Into<Cow<'static, str>>) -> Self {
        Self {
            sql: sql.into(),
            params: Vec::new(),
        }
    }

    /// Binds the next parameter.
    #[must_use]
    pub fn bind(mut self, value: impl Into<SqlValue>) -> Self {
        self.params.push(value.into());
        self
    }
}

/// One returned row, columns in the order of the query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// Name and value of each column.
    pub columns: Vec<(String, SqlValue)>,
}

impl Row {
    /// The value of a column; `Null` when it is missing.
    pub fn get(&self, name: &str) -> &SqlValue {
        self.columns
            .iter()
            .find(|(column, _)| column == name)
            .map_or(&SqlValue::Null, |(_, value)| value)
    }

    /// The text of a column; `None` for NULL or another type.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            SqlValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The integer of a column; D1 returns doubles, so whole ones count.
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.get(name) {
            SqlValue::Integer(value) => Some(*value),
            SqlValue::Real(value) if value.fract() == 0.0 => Some(*value as i64),
            _ => None,
        }
    }

    /// The integer of a column as a flag.
    pub fn flag(&self, name: &str) -> bool {
        self.int(name).is_some_and(|value| value != 0)
    }
}

/// The result of one statement.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// The rows.
    pub rows: Vec<Row>,
    /// Rows changed by it.
    pub changes: u64,
    /// Rows that the database read for it.
    pub rows_read: u64,
    /// Rows that the database wrote for it, indexes included.
    pub rows_written: u64,
}

impl Rows {
    /// The first row.
    pub fn first(&self) -> Option<&Row> {
        self.rows.first()
    }
}

/// Why a statement failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DbErrorKind {
    /// UNIQUE or FOREIGN KEY: the data contradicts what is there.
    Constraint,
    /// A guard row refused: the state was not what the writer had read.
    Guard,
    /// The database could not be reached or was reset; a write may have happened.
    Unavailable,
    /// Anything else: a mistake of ours.
    Other,
}

/// A failed statement or batch. Nothing of a failed batch stays, unless the kind is `Unavailable`: then nobody knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DbError {
    /// What kind of failure.
    pub kind: DbErrorKind,
    /// The database's text; for the log only.
    pub cause: String,
}

impl DbError {
    /// Classifies by the database's text; D1 has no error codes. One function for both shapes of D1 errors.
    pub fn from_text(cause: impl Into<String>) -> Self {
        let cause = cause.into();
        let has = |part: &str| cause.contains(part);
        let kind = if has("guard_failed") {
            DbErrorKind::Guard
        } else if has("UNIQUE constraint") || has("FOREIGN KEY") || has("CHECK constraint") {
            DbErrorKind::Constraint
        } else if has("Network connection lost")
            || has("storage caused object to be reset")
            || has("reset because its code was updated")
            || has("overloaded")
        {
            DbErrorKind::Unavailable
        } else {
            DbErrorKind::Other
        };
        Self { kind, cause }
    }
}

impl std::fmt::Display for DbError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.cause)
    }
}

impl std::error::Error for DbError {}

impl From<DbError> for errors::Error {
    fn from(error: DbError) -> Self {
        use errors::Code;
        match error.kind {
            DbErrorKind::Constraint => Self::new(
                Code::Conflict,
                "This contradicts something that exists already.",
            )
            .with_internal(error.cause),
            DbErrorKind::Guard => Self::new(Code::Conflict, "It was changed in the meantime.")
                .with_internal(error.cause),
            DbErrorKind::Unavailable => {
                Self::new(Code::DatabaseUnavailable, "The database does not answer.")
                    .with_internal(error.cause)
                    .with_retry_after_ms(1_000)
            }
            DbErrorKind::Other => Self::internal(error.cause),
        }
    }
}

/// A database. A batch is one transaction and one round trip.
pub trait Database: Clone + Send + Sync + 'static {
    /// Runs all statements in one transaction; one result for each.
    fn batch(
        &self,
        statements: Vec<Statement>,
    ) -> impl Future<Output = Result<Vec<Rows>, DbError>> + Send;

    /// Runs one statement.
    fn query(&self, statement: Statement) -> impl Future<Output = Result<Rows, DbError>> + Send {
        async move { Ok(self.batch(vec![statement]).await?.pop().unwrap_or_default()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_texts_are_classified() {
        for (text, kind) in [
            (
                "D1_ERROR: UNIQUE constraint failed: instances.instance_id: SQLITE_CONSTRAINT",
                DbErrorKind::Constraint,
            ),
            (
                "D1_ERROR: FOREIGN KEY constraint failed: SQLITE_CONSTRAINT",
                DbErrorKind::Constraint,
            ),
            (
                "guard_failed: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_TRIGGER)",
                DbErrorKind::Guard,
            ),
            ("Error: Network connection lost.", DbErrorKind::Unavailable),
            (
                "D1 DB is overloaded. Requests queued for too long.",
                DbErrorKind::Unavailable,
            ),
            ("no such table: x", DbErrorKind::Other),
        ] {
            assert_eq!(DbError::from_text(text).kind, kind, "{text}");
        }
    }
}

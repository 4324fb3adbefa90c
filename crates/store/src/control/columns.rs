//! Typed reading of a row's columns.
//!
//! In scope: ids, times, enums and JSON in TEXT columns. A value that is not of its form is a fault of ours, because
//! only this crate writes these rows.

use api_types::Timestamp;
use errors::{Error, Result};
use platform::Row;
use serde::de::DeserializeOwned;
use serde_json::Value;

fn broken(column: &str) -> Error {
    Error::internal(format!("column {column} is not of its form"))
}

/// The text of a column that is never NULL.
pub fn text(row: &Row, column: &str) -> Result<String> {
    row.text(column)
        .map(str::to_owned)
        .ok_or_else(|| broken(column))
}

/// The text of a column that may be NULL.
pub fn text_or_null(row: &Row, column: &str) -> Option<String> {
    row.text(column).map(str::to_owned)
}

/// The integer of a column that is never NULL.
pub fn int(row: &Row, column: &str) -> Result<i64> {
    row.int(column).ok_or_else(|| broken(column))
}

/// A time that is never NULL.
pub fn time(row: &Row, column: &str) -> Result<Timestamp> {
    row.text(column)
        .and_then(Timestamp::parse)
        .ok_or_else(|| broken(column))
}

/// A time that may be NULL.
pub fn time_or_null(row: &Row, column: &str) -> Result<Option<Timestamp>> {
    match row.text(column) {
        None => Ok(None),
        Some(text) => Timestamp::parse(text)
            .map(Some)
            .ok_or_else(|| broken(column)),
    }
}

/// An id or an enum: whatever is written as one JSON string.
pub fn word<T: DeserializeOwned>(row: &Row, column: &str) -> Result<T> {
    word_or_null(row, column)?.ok_or_else(|| broken(column))
}

/// The same where NULL is possible.
pub fn word_or_null<T: DeserializeOwned>(row: &Row, column: &str) -> Result<Option<T>> {
    row.text(column)
        .map(|text| serde_json::from_value(Value::String(text.to_owned())))
        .transpose()
        .map_err(|_| broken(column))
}

/// JSON that is never NULL.
pub fn json<T: DeserializeOwned>(row: &Row, column: &str) -> Result<T> {
    json_or_null(row, column)?.ok_or_else(|| broken(column))
}

/// JSON that may be NULL.
pub fn json_or_null<T: DeserializeOwned>(row: &Row, column: &str) -> Result<Option<T>> {
    row.text(column)
        .map(serde_json::from_str)
        .transpose()
        .map_err(|_| broken(column))
}

/// Where a list of ids, newest first, goes on; the first page begins after every id.
pub(super) fn before(after: Option<&str>) -> String {
    after.unwrap_or("~").to_owned()
}

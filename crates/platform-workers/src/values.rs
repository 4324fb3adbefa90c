//! SQL values to and from JavaScript: what D1 and the SQL storage of objects have in common.

use js_sys::{Array, Number};
use platform::{Row, SqlValue};
use wasm_bindgen::{JsCast, JsValue};

/// Numbers are doubles on the other side; a larger integer would silently change.
const MAX_EXACT: u64 = 1 << 53;

pub(crate) fn bind(value: &SqlValue) -> Result<JsValue, String> {
    Ok(match value {
        SqlValue::Null => JsValue::NULL,
        SqlValue::Integer(value) if value.unsigned_abs() > MAX_EXACT => {
            return Err(format!(
                "{value} is beyond 2^53 and would lose its last digits"
            ));
        }
        SqlValue::Integer(value) => JsValue::from_f64(*value as f64),
        SqlValue::Real(value) => JsValue::from_f64(*value),
        SqlValue::Text(text) => JsValue::from_str(text),
    })
}

pub(crate) fn bind_all(values: &[SqlValue]) -> Result<Vec<JsValue>, String> {
    values.iter().map(bind).collect()
}

pub(crate) fn value(value: &JsValue) -> Result<SqlValue, String> {
    if value.is_null() || value.is_undefined() {
        return Ok(SqlValue::Null);
    }
    if let Some(text) = value.as_string() {
        return Ok(SqlValue::Text(text));
    }
    if let Some(number) = value.as_f64() {
        let whole = Number::is_integer(value) && number.abs() <= MAX_EXACT as f64;
        return Ok(if whole {
            SqlValue::Integer(number as i64)
        } else {
            SqlValue::Real(number)
        });
    }
    value
        .as_bool()
        .map(|flag| SqlValue::Integer(i64::from(flag)))
        .ok_or_else(|| "a BLOB column has no place in this port".to_owned())
}

/// A row from its values in the order of the columns.
pub(crate) fn row(names: &[String], values: &JsValue) -> Result<Row, String> {
    let values: &Array = values.unchecked_ref();
    let columns = names.iter().zip(values.iter());
    let columns = columns.map(|(name, found)| Ok((name.clone(), value(&found)?)));
    Ok(Row {
        columns: columns.collect::<Result<_, String>>()?,
    })
}

//! D1.

use crate::{js, values};
use js_sys::{Array, Object};
use platform::{Database, DbError, Ops, Row, Rows, Statement};
use std::future::Future;
use wasm_bindgen::{JsCast, JsValue};
use worker::send::SendFuture;

/// One D1 database.
#[derive(Clone, Debug)]
pub struct WorkerDatabase {
    database: JsValue,
    ops: Ops,
}

impl WorkerDatabase {
    pub(crate) fn new(database: JsValue, ops: Ops) -> Self {
        Self { database, ops }
    }

    fn prepare(&self, statement: &Statement) -> Result<JsValue, DbError> {
        let params = values::bind_all(&statement.params).map_err(DbError::from_text)?;
        let sql = JsValue::from_str(&statement.sql);
        let prepared = js::call(&self.database, "prepare", &[sql]).map_err(|t| failed(&t))?;
        if params.is_empty() {
            return Ok(prepared);
        }
        js::call(&prepared, "bind", &params).map_err(|thrown| failed(&thrown))
    }

    async fn run(&self, statements: &[Statement]) -> Result<Vec<Rows>, DbError> {
        let prepared = statements.iter().map(|statement| self.prepare(statement));
        let prepared = prepared.collect::<Result<Vec<_>, _>>()?;
        let batch: Array = prepared.iter().collect();
        let results = js::ask(&self.database, "batch", &[batch.into()]).await;
        let results: Array = results.map_err(|thrown| failed(&thrown))?.unchecked_into();
        results.iter().map(|result| self.rows(&result)).collect()
    }

    fn rows(&self, result: &JsValue) -> Result<Rows, DbError> {
        // A failed statement may also come as a result that says so instead of as an exception.
        if js::peek(result, "success").is_falsy() {
            return Err(DbError::from_text(js::string(result, "error")));
        }
        let meta = js::peek(result, "meta");
        let rows_read = js::number(&meta, "rows_read") as u64;
        let rows_written = js::number(&meta, "rows_written") as u64;
        self.ops.add_d1_rows_read(rows_read as u32);
        self.ops.add_d1_rows_written(rows_written as u32);
        let found = js::peek(result, "results");
        let found = found.dyn_ref::<Array>();
        let rows = found.map(|found| found.iter().map(|row| object_row(&row)).collect());
        Ok(Rows {
            rows: rows.unwrap_or_else(|| Ok(Vec::new()))?,
            changes: js::number(&meta, "changes") as u64,
            rows_read,
            rows_written,
        })
    }
}

/// D1 returns rows as objects, whose members keep the order of the columns.
fn object_row(object: &JsValue) -> Result<Row, DbError> {
    let entries = Object::entries(object.unchecked_ref());
    let columns = entries.iter().map(|entry| {
        let entry: Array = entry.unchecked_into();
        let name = entry.get(0).as_string().unwrap_or_default();
        Ok((name, values::value(&entry.get(1))?))
    });
    let columns = columns.collect::<Result<_, String>>();
    columns
        .map(|columns| Row { columns })
        .map_err(DbError::from_text)
}

fn failed(thrown: &JsValue) -> DbError {
    DbError::from_text(js::text(thrown))
}

impl Database for WorkerDatabase {
    fn batch(
        &self,
        statements: Vec<Statement>,
    ) -> impl Future<Output = Result<Vec<Rows>, DbError>> + Send {
        SendFuture::new(async move {
            // D1 refuses an empty batch.
            if statements.is_empty() {
                return Ok(Vec::new());
            }
            self.ops.add_d1_round_trips(1);
            self.ops.add_d1_queries(statements.len() as u32);
            self.run(&statements).await
        })
    }
}

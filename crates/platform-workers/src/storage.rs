//! The storage inside a Durable Object.

use crate::{js, values};
use js_sys::Array;
use platform::{ActorStorage, PortError, Row, SqlValue};
use std::future::Future;
use wasm_bindgen::closure::ScopedClosure;
use wasm_bindgen::{JsCast, JsValue};
use worker::State;
use worker::send::SendFuture;

/// SQLite and the alarm of one object.
#[derive(Clone, Debug)]
pub struct WorkerStorage {
    storage: JsValue,
    sql: JsValue,
}

impl WorkerStorage {
    /// The storage of the object whose state this is.
    pub fn new(state: &State) -> Result<Self, PortError> {
        let state: &JsValue = state.as_raw().as_ref();
        let storage = js::get(state, "storage").map_err(|thrown| failed(&thrown))?;
        let sql = js::get(&storage, "sql").map_err(|thrown| failed(&thrown))?;
        Ok(Self { storage, sql })
    }

    fn run(&self, sql: &str, params: Vec<JsValue>) -> Result<(Vec<String>, JsValue), JsValue> {
        let mut args = vec![JsValue::from_str(sql)];
        args.extend(params);
        let cursor = js::call(&self.sql, "exec", &args)?;
        let names: Array = js::get(&cursor, "columnNames")?.unchecked_into();
        let names = names
            .iter()
            .map(|name| name.as_string().unwrap_or_default());
        let names = names.collect();
        let raw = js::call(&cursor, "raw", &[])?;
        let class = js::get(&js_sys::global(), "Array")?;
        Ok((names, js::call(&class, "from", &[raw])?))
    }

    fn ask(
        &self,
        method: &str,
        args: &[JsValue],
    ) -> impl Future<Output = Result<JsValue, PortError>> + use<> {
        // Called before the first poll: two alarms set one after the other keep their order.
        let promise = js::call(&self.storage, method, args);
        SendFuture::new(async move {
            let answer = js::settle(promise.map_err(|thrown| failed(&thrown))?).await;
            answer.map_err(|thrown| failed(&thrown))
        })
    }
}

fn failed(thrown: &JsValue) -> PortError {
    PortError::new("storage", js::text(thrown))
}

fn refused(cause: String) -> PortError {
    PortError::new("storage", cause)
}

impl ActorStorage for WorkerStorage {
    fn exec(&self, sql: &str, params: &[SqlValue]) -> Result<Vec<Row>, PortError> {
        let params = values::bind_all(params).map_err(refused)?;
        let (names, rows) = self.run(sql, params).map_err(|thrown| failed(&thrown))?;
        let rows: Array = rows.unchecked_into();
        let rows = rows.iter().map(|row| values::row(&names, &row));
        rows.collect::<Result<_, _>>().map_err(refused)
    }

    fn transaction<T>(&self, work: impl FnOnce() -> Result<T, PortError>) -> Result<T, PortError> {
        let mut work = Some(work);
        let mut done = None;
        let mut run = || -> Result<JsValue, JsValue> {
            let outcome = work.take().map(|work| work());
            let failed = !matches!(outcome, Some(Ok(_)));
            done = outcome;
            // Throwing is what rolls back.
            if failed {
                Err(JsValue::from_str("rolled back"))
            } else {
                Ok(JsValue::UNDEFINED)
            }
        };
        // `work` may unwind: the runtime then sees an exception and rolls back as well.
        let closure: ScopedClosure<'_, dyn FnMut() -> Result<JsValue, JsValue>> =
            ScopedClosure::borrow_mut_assert_unwind_safe(&mut run);
        let args = [closure.as_js_value().clone()];
        let ran = js::call(&self.storage, "transactionSync", &args);
        drop(closure);
        match (ran, done) {
            (Ok(_), Some(done)) | (Err(_), Some(done @ Err(_))) => done,
            (Err(thrown), _) => Err(failed(&thrown)),
            (Ok(_), None) => Err(refused("the transaction was not run".to_owned())),
        }
    }

    fn get_alarm(&self) -> impl Future<Output = Result<Option<i64>, PortError>> {
        let asked = self.ask("getAlarm", &[]);
        async move { Ok(asked.await?.as_f64().map(|at_ms| at_ms as i64)) }
    }

    fn set_alarm(&self, at_ms: i64) -> impl Future<Output = Result<(), PortError>> {
        let asked = self.ask("setAlarm", &[JsValue::from_f64(at_ms as f64)]);
        async move { asked.await.map(|_| ()) }
    }

    fn delete_alarm(&self) -> impl Future<Output = Result<(), PortError>> {
        let asked = self.ask("deleteAlarm", &[]);
        async move { asked.await.map(|_| ()) }
    }
}

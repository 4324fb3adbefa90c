//! Lines for the console of the runtime.

use crate::js;
use wasm_bindgen::JsValue;

/// Which method of the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsoleLevel {
    /// `console.debug`
    Debug,
    /// `console.info`
    Info,
    /// `console.warn`
    Warn,
    /// `console.error`
    Error,
}

/// Writes one line.
pub fn console_log(level: ConsoleLevel, line: &str) {
    let method = match level {
        ConsoleLevel::Debug => "debug",
        ConsoleLevel::Info => "info",
        ConsoleLevel::Warn => "warn",
        ConsoleLevel::Error => "error",
    };
    let console = js::peek(&js_sys::global(), "console");
    // There is no place left to report a failure to write.
    let _ = js::call(&console, method, &[JsValue::from_str(line)]);
}

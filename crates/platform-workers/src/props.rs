//! Who called over a service binding.

use crate::js;
use wasm_bindgen::JsValue;
use worker::Context;

/// The props of the service binding that called; both `None` on public HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Props {
    /// The worker that called.
    pub caller: Option<String>,
    /// The instance that it is dedicated to.
    pub instance_id: Option<String>,
}

/// Reads the props of the event. The runtime sets them from the caller's configuration: a client cannot.
pub fn props(context: &Context) -> Props {
    let context: &JsValue = context.as_ref().as_ref();
    let props = js::peek(context, "props");
    if !props.is_object() {
        return Props::default();
    }
    Props {
        caller: js::peek(&props, "caller").as_string(),
        instance_id: js::peek(&props, "instance_id").as_string(),
    }
}

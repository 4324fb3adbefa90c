//! Layer 2: exactly one `request` event for each request, also when the client leaves.

use crate::context::Context;
use crate::state::AppState;
use errors::Error;
use http::{Method, StatusCode};
use platform::{Clock, OpsCount};
use serde_json::{Value, json};

/// Emits the event when it is finished, or when it is dropped because the client left.
pub(crate) struct AccessLog<D: AppState> {
    deps: D,
    context: Context,
    method: Method,
    before: OpsCount,
    done: bool,
}

/// What the log calls a request whose client left; a status that is never sent.
const CLIENT_LEFT: u16 = 499;

impl<D: AppState> AccessLog<D> {
    pub(crate) fn start(deps: &D, context: &Context, method: &Method) -> Self {
        Self {
            deps: deps.clone(),
            context: context.clone(),
            method: method.clone(),
            before: deps.ops().count(),
            done: false,
        }
    }

    pub(crate) fn finish(mut self, status: StatusCode, error: Option<&Error>) {
        self.done = true;
        self.emit(status.as_u16(), error.map(|error| error.code.as_str()));
    }

    fn emit(&self, status: u16, code: Option<&str>) {
        let facts = self.context.facts().clone();
        let spans: Value = facts
            .timings
            .iter()
            .map(|part| json!({"name": part.name, "start_ms": part.start_ms, "ms": part.ms}))
            .collect();
        let ops = json!(difference(self.deps.ops().count(), self.before));
        let ended_ms = self.deps.clock().now_ms();
        tracing::info!(
            event = logging::Event::Request.as_str(),
            route = facts.route.unwrap_or("unmatched"),
            method = self.method.as_str(),
            status,
            code,
            duration_ms = ended_ms.saturating_sub(self.context.started_ms()),
            key_id = facts.key_id,
            org_id = facts.org_id,
            project_id = facts.project_id,
            client_request_id = self.context.client_request_id(),
            ops.json = %ops,
            spans.json = %spans,
            "request"
        );
    }
}

impl<D: AppState> Drop for AccessLog<D> {
    fn drop(&mut self) {
        if !self.done {
            self.emit(CLIENT_LEFT, Some("client_left"));
        }
    }
}

/// What this request added; the counter may be shared in tests.
fn difference(after: OpsCount, before: OpsCount) -> OpsCount {
    OpsCount {
        do_calls: after.do_calls - before.do_calls,
        d1_round_trips: after.d1_round_trips - before.d1_round_trips,
        d1_queries: after.d1_queries - before.d1_queries,
        d1_rows_read: after.d1_rows_read - before.d1_rows_read,
        d1_rows_written: after.d1_rows_written - before.d1_rows_written,
        kv_ops: after.kv_ops - before.kv_ops,
        r2_ops: after.r2_ops - before.r2_ops,
        r2_puts: after.r2_puts - before.r2_puts,
        subrequests: after.subrequests - before.subrequests,
        service_calls: after.service_calls - before.service_calls,
    }
}

//! Lines as the writer gets them: ids from spans, levels, limits.

#[cfg(test)]
mod tests {
    use logging::{Event, Level, dispatch};
    use platform::fakes::{FakeClock, FakeRandom};
    use serde_json::Value;
    use std::sync::{Arc, Mutex};
    use tracing::field::Empty;

    type Lines = Arc<Mutex<Vec<(Level, Value)>>>;

    fn written(level: &str, work: impl FnOnce()) -> Vec<(Level, Value)> {
        let lines: Lines = Arc::default();
        let kept = Arc::clone(&lines);
        let dispatch = dispatch(
            "image-gen",
            Some(level),
            FakeClock::manual(),
            FakeRandom::seeded(1),
            move |level, line| {
                let value = serde_json::from_str(line).unwrap();
                kept.lock().unwrap().push((level, value));
            },
        );
        tracing::dispatcher::with_default(&dispatch, work);
        lines.lock().unwrap().clone()
    }

    #[test]
    fn ids_come_from_the_enclosing_spans() {
        let lines = written("INFO", || {
            let span = tracing::info_span!(
                "request",
                request_id = "r1",
                trace_id = "t1",
                instance_id = Empty,
                user_id = Empty
            );
            let _entered = span.enter();
            tracing::info!("before");
            span.record("instance_id", "production");
            span.record("user_id", "u1");
            let inner = tracing::info_span!("attempt", attempt = 2);
            let _inner = inner.enter();
            tracing::warn!(provider = "ideogram", took_ms = 12, "after");
        });
        assert_eq!(lines[0].1["request_id"], "r1");
        assert_eq!(lines[0].1.get("instance_id"), None);
        let (level, line) = &lines[1];
        assert_eq!(*level, Level::Warn);
        assert_eq!(line["timestamp"], "2025-11-21T10:00:00.000Z");
        assert_eq!(line["message"], "after");
        assert_eq!(line["instance_id"], "production");
        assert_eq!(line["user_id"], "u1");
        assert_eq!(line["component"], "image-gen");
        assert_eq!(
            line["metadata"],
            serde_json::json!({"provider": "ideogram", "took_ms": 12, "trace_id": "t1", "attempt": 2})
        );
    }

    #[test]
    fn a_line_outside_any_request_is_an_orphan_with_an_id_of_its_own() {
        let lines = written("INFO", || {
            tracing::info!("one");
            tracing::info!("two");
        });
        assert_eq!(lines[0].1["metadata"]["orphan"], true);
        assert_eq!(lines[0].1["request_id"].as_str().unwrap().len(), 36);
        assert_ne!(lines[0].1["request_id"], lines[1].1["request_id"]);
    }

    #[test]
    fn lines_below_the_level_are_dropped_and_events_are_not() {
        let lines = written("ERROR", || {
            tracing::debug!("no");
            tracing::warn!("no");
            tracing::error!("yes");
            tracing::info!(event = Event::Usage.as_str(), images = 2, "usage");
            tracing::info!(event = "gossip", "not in the closed list");
        });
        let messages: Vec<_> = lines
            .iter()
            .map(|(_, line)| line["message"].clone())
            .collect();
        assert_eq!(messages, ["yes", "usage"]);
        let unknown = written("INFO", || tracing::info!(event = "gossip", "x"));
        assert_eq!(unknown[0].1["metadata"]["unknown_event"], "gossip");
        assert_eq!(unknown[0].1["metadata"].get("event"), None);
    }

    #[test]
    fn after_fifty_lines_a_request_only_reports_errors_and_events() {
        let lines = written("DEBUG", || {
            let _entered = tracing::info_span!("request", request_id = "r1").entered();
            for n in 0..80 {
                tracing::info!(n, "line");
            }
            tracing::error!("error");
            tracing::info!(event = Event::Request.as_str(), "request");
        });
        assert_eq!(lines.len(), 52);
        assert_eq!(lines[50].1["message"], "error");
        assert_eq!(lines[51].1["metadata"]["lines_suppressed"], 30);
    }

    #[test]
    fn json_fields_are_nested_and_secrets_hidden() {
        let lines = written("INFO", || {
            tracing::info!(ops.json = %r#"{"kv_ops":1}"#, bad.json = "{", api_key = "abc", "sent with Bearer abcdef");
        });
        let line = &lines[0].1;
        assert_eq!(line["metadata"]["ops"]["kv_ops"], 1);
        assert_eq!(line["metadata"]["bad"], "{");
        assert_eq!(line["metadata"]["api_key"], "*****");
        assert_eq!(line["message"], "sent with Bearer *****");
    }
}

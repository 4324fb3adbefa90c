//! The `request` events of the workers, read from the runtime's log: what each request asked of the platform.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::clock;
use crate::failure::{Context, Failure, Result};
use crate::interrupt;
use crate::stack::Stack;

/// Lines reach the log within moments; the limit only ends a run whose workers log nothing any more.
const LIMIT: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(100);

/// One event.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) component: String,
    pub(super) route: String,
    pub(super) request_id: String,
    pub(super) status: u64,
    ops: Value,
}

impl Event {
    fn parse(line: &str) -> Option<Self> {
        // The runtime may put its own prefix before a line of ours.
        let line = line.get(line.find("{\"timestamp\"")?..)?;
        let value: Value = serde_json::Deserializer::from_str(line)
            .into_iter()
            .next()?
            .ok()?;
        let metadata = value.get("metadata")?;
        if metadata.get("event")? != "request" {
            return None;
        }
        let text = |from: &Value, name: &str| {
            let text = from.get(name).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        Some(Self {
            component: text(&value, "component"),
            route: text(metadata, "route"),
            request_id: text(&value, "request_id"),
            status: metadata.get("status").and_then(Value::as_u64)?,
            ops: metadata.get("ops")?.clone(),
        })
    }

    /// One count; a run fails when the workers do not tell it.
    pub(super) fn ops(&self, name: &str) -> Result<u64> {
        self.ops
            .get(name)
            .and_then(Value::as_u64)
            .context(format!("events have no ops.{name}"))
    }
}

/// A place in the log.
#[derive(Debug)]
pub(super) struct Mark {
    path: PathBuf,
    at: u64,
}

impl Mark {
    /// Where the log ends now.
    pub(super) fn now(stack: &Stack) -> Result<Self> {
        let path = stack.logs().join("wrangler.log");
        let at = path.metadata().context(path.display())?.len();
        Ok(Self { path, at })
    }

    /// All events since.
    fn events(&self) -> Result<Vec<Event>> {
        let shown = self.path.display();
        let mut file = File::open(&self.path).context(shown)?;
        file.seek(SeekFrom::Start(self.at)).context("log")?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).context("log")?;
        let text = String::from_utf8_lossy(&bytes);
        Ok(text.lines().filter_map(Event::parse).collect())
    }

    /// The events of `component` about these requests, as soon as there is one of each.
    pub(super) fn of(&self, component: &str, request_ids: &[String]) -> Result<Vec<Event>> {
        let wanted: BTreeSet<&str> = request_ids.iter().map(String::as_str).collect();
        self.wait(
            wanted.len(),
            |event| event.component == component && wanted.contains(event.request_id.as_str()),
            |found| {
                let seen: BTreeSet<&str> = found.iter().map(|it| it.request_id.as_str()).collect();
                seen.len()
            },
        )
    }

    /// The events of a route of `component`, as soon as there are so many.
    pub(super) fn on(&self, component: &str, route: &str, count: usize) -> Result<Vec<Event>> {
        self.wait(
            count,
            |event| event.component == component && event.route == route,
            <[Event]>::len,
        )
    }

    fn wait(
        &self,
        enough: usize,
        wanted: impl Fn(&Event) -> bool,
        counted: impl Fn(&[Event]) -> usize,
    ) -> Result<Vec<Event>> {
        let started = clock::now();
        loop {
            let mut found = self.events()?;
            found.retain(&wanted);
            let seen = counted(&found);
            if seen >= enough {
                return Ok(found);
            }
            if started.elapsed() > LIMIT {
                return Err(Failure::failed(format!(
                    "{seen} events instead of {enough} in {}",
                    self.path.display()
                )));
            }
            interrupt::check()?;
            std::thread::sleep(POLL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_request_events_are_read_with_any_prefix_and_suffix() {
        let line = r#"[wrangler:info] {"timestamp":"t","component":"config-service","request_id":"r1","metadata":{"event":"request","route":"/x","status":200,"ops":{"d1_queries":3}}} trailing"#;
        let event = Event::parse(line).unwrap();
        assert_eq!(
            (event.component.as_str(), event.route.as_str(), event.status),
            ("config-service", "/x", 200)
        );
        assert_eq!(event.ops("d1_queries").unwrap(), 3);
        assert!(event.ops("nothing").is_err());
        for other in [
            "GET /x 200 OK",
            r#"{"timestamp":"t","metadata":{"event":"cron"}}"#,
            r#"{"timestamp":"t","metad"#,
        ] {
            assert!(Event::parse(other).is_none(), "{other}");
        }
    }
}

//! The `tracing` layer that turns events into lines.
//!
//! In scope: fields of events and spans, the level, counting lines per request. Out of scope: shape and limits of a
//! line (module `entry`), redaction.

use crate::entry::{Entry, Level};
use crate::event::Event;
use api_types::Timestamp;
use platform::{Clock, Random, new_uuid};
use serde_json::{Map, Value};
use std::sync::atomic::{AtomicU32, Ordering};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

/// Lines of one request that are written whatever their level.
const MAX_LINES: u32 = 50;

struct JsonLayer<C, R, W> {
    component: &'static str,
    level: Level,
    clock: C,
    random: R,
    writer: W,
}

/// Fields of one span.
#[derive(Default)]
struct Fields(Map<String, Value>);

/// Lines written and suppressed under one root span.
#[derive(Default)]
struct Count {
    lines: AtomicU32,
    suppressed: AtomicU32,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        self.0.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name().strip_suffix(".json") {
            Some(name) => {
                let parsed = serde_json::from_str(value).unwrap_or_else(|_| value.into());
                self.0.insert(name.to_owned(), parsed);
            }
            None => self.put(field, value.into()),
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.record_str(field, &value.to_string());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}

fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

impl<S, C, R, W> Layer<S> for JsonLayer<C, R, W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    C: Clock,
    R: Random,
    W: Fn(Level, &str) + Send + Sync + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            let mut extensions = span.extensions_mut();
            extensions.insert(fields);
            extensions.insert(Count::default());
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &tracing::Event<'_>, context: Context<'_, S>) {
        let level = match *event.metadata().level() {
            tracing::Level::ERROR => Level::Error,
            tracing::Level::WARN => Level::Warn,
            tracing::Level::INFO => Level::Info,
            _ => Level::Debug,
        };
        let mut fields = Fields::default();
        event.record(&mut fields);
        let Fields(mut own) = fields;
        let message = own.shift_remove("message").map(text).unwrap_or_default();
        let named = own.get("event").and_then(Value::as_str).map(Event::parse);
        let known = named.flatten();
        if named == Some(None)
            && let Some(unknown) = own.shift_remove("event")
        {
            own.insert("unknown_event".to_owned(), unknown);
        }
        if level < self.level && known.is_none() {
            return;
        }
        let mut found = Map::new();
        let mut suppressed = None;
        if let Some(scope) = context.event_scope(event) {
            for (depth, span) in scope.from_root().enumerate() {
                let extensions = span.extensions();
                if let Some(Fields(fields)) = extensions.get() {
                    found.extend(fields.clone());
                }
                if let Some(count) = extensions.get::<Count>().filter(|_| depth == 0) {
                    let over = count.lines.fetch_add(1, Ordering::Relaxed) >= MAX_LINES;
                    if over && level < Level::Error && known.is_none() {
                        count.suppressed.fetch_add(1, Ordering::Relaxed);
                        return;
                    }
                    suppressed = Some(count.suppressed.load(Ordering::Relaxed));
                }
            }
        }
        let mut take = |name: &str| found.shift_remove(name).map(text);
        let (request_id, instance_id, user_id) =
            (take("request_id"), take("instance_id"), take("user_id"));
        if known == Some(Event::Request)
            && let Some(lines) = suppressed
        {
            own.insert("lines_suppressed".to_owned(), lines.into());
        }
        let orphan = request_id.is_none();
        let mut metadata = own;
        let instance_id = instance_id.or_else(|| metadata.shift_remove("instance_id").map(text));
        for (name, value) in found {
            metadata.entry(name).or_insert(value);
        }
        if orphan {
            metadata.insert("orphan".to_owned(), Value::Bool(true));
        }
        let entry = Entry {
            timestamp: Timestamp(self.clock.now_ms()),
            level,
            message,
            request_id: request_id.unwrap_or_else(|| new_uuid(&self.clock, &self.random)),
            instance_id,
            user_id,
            component: self.component,
            metadata,
        };
        (self.writer)(level, &entry.render());
    }
}

/// A subscriber that writes lines of that component; `level` is `LOG_LEVEL`, INFO when it is missing or unknown.
pub fn dispatch(
    component: &'static str,
    level: Option<&str>,
    clock: impl Clock,
    random: impl Random,
    writer: impl Fn(Level, &str) + Send + Sync + 'static,
) -> Dispatch {
    let layer = JsonLayer {
        component,
        level: level.and_then(Level::parse).unwrap_or(Level::Info),
        clock,
        random,
        writer,
    };
    Dispatch::new(Registry::default().with(layer))
}

/// Makes it the subscriber of this isolate. Later calls change nothing, so every event handler may call it.
pub fn init(
    component: &'static str,
    level: Option<&str>,
    clock: impl Clock,
    random: impl Random,
    writer: impl Fn(Level, &str) + Send + Sync + 'static,
) {
    if !tracing::dispatcher::has_been_set() {
        // Lost only against a call that has set it meanwhile.
        let _already_set = tracing::dispatcher::set_global_default(dispatch(
            component, level, clock, random, writer,
        ));
    }
}

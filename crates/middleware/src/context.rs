//! What one request carries through all layers: its ids, its start, and what is learned about it on the way.
//!
//! In scope: request id, trace context (W3C), facts for log line and headers, timings. Out of scope: writing them.

use api_types::{AuthContext, InstanceId, ProjectId, SecretVersion, Timestamp};
use axum::extract::FromRequestParts;
use errors::Error;
use http::HeaderMap;
use http::request::Parts;
use platform::{CallContext, Clock, Random, new_uuid};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Timings kept per request.
const MAX_TIMINGS: usize = 32;
/// Keys that end this soon are announced, in milliseconds.
const EXPIRING_MS: i64 = 7 * 86_400_000;

/// What is learned about a request while it runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) route: Option<&'static str>,
    pub(crate) key_id: Option<String>,
    pub(crate) org_id: Option<String>,
    pub(crate) project_id: Option<String>,
    pub(crate) key_expires: Option<Timestamp>,
    pub(crate) config_age_ms: Option<u64>,
    pub(crate) timings: Vec<Timing>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    pub(crate) name: &'static str,
    pub(crate) start_ms: i64,
    pub(crate) ms: i64,
}

#[derive(Debug)]
struct Inner {
    call: CallContext,
    client_request_id: Option<String>,
    client_ip: Option<String>,
    started_ms: i64,
    facts: Mutex<Facts>,
}

/// One request. Cheap to clone; an extractor.
#[derive(Clone, Debug)]
pub struct Context(Arc<Inner>);

impl Context {
    /// Reads what the caller sent and mints what he did not. `App` does it for every request; shells that forward
    /// requests past the router do it themselves.
    pub fn open(headers: &HeaderMap, clock: &impl Clock, random: &impl Random) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let sent = text("x-request-id");
        let request_id = sent
            .map(str::to_ascii_lowercase)
            .filter(|id| api_types::is_uuid(id))
            .unwrap_or_else(|| new_uuid(clock, random));
        let client_request_id = sent
            .filter(|sent| !sent.eq_ignore_ascii_case(&request_id))
            .map(|sent| sent.chars().take(64).collect());
        Self(Arc::new(Inner {
            call: CallContext {
                request_id,
                traceparent: child_traceparent(text("traceparent"), random),
            },
            client_request_id,
            // It is stored with every change, so it must be what it says.
            client_ip: text("cf-connecting-ip")
                .filter(|ip| ip.parse::<IpAddr>().is_ok())
                .map(ToOwned::to_owned),
            started_ms: clock.now_ms(),
            facts: Mutex::new(Facts::default()),
        }))
    }

    /// What goes into every call of this request.
    pub fn call(&self) -> &CallContext {
        &self.0.call
    }

    /// The request id.
    pub fn request_id(&self) -> &str {
        &self.0.call.request_id
    }

    /// The trace id inside `traceparent`.
    pub fn trace_id(&self) -> &str {
        self.0.call.traceparent.split('-').nth(1).unwrap_or("")
    }

    /// When the request arrived, in milliseconds since the epoch.
    pub fn started_ms(&self) -> i64 {
        self.0.started_ms
    }

    /// Address of the client, if the platform told it.
    pub fn client_ip(&self) -> Option<&str> {
        self.0.client_ip.as_deref()
    }

    /// What was sent as `X-Request-Id` and is not one of ours.
    pub(crate) fn client_request_id(&self) -> Option<&str> {
        self.0.client_request_id.as_deref()
    }

    pub(crate) fn facts(&self) -> MutexGuard<'_, Facts> {
        // Facts are plain values, whole after every statement.
        self.0.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes who calls, for the log lines of this request and for `X-Key-Expires`. The layer `resolve` does it;
    /// handlers that resolve the caller themselves must.
    pub fn identify(
        &self,
        auth: &AuthContext,
        instance_id: Option<&InstanceId>,
        project_id: Option<&ProjectId>,
    ) {
        let span = tracing::Span::current();
        if let Some(user) = &auth.user {
            span.record("user_id", user.user_id.as_str());
        }
        if let Some(instance_id) = instance_id {
            span.record("instance_id", instance_id.as_str());
        }
        let mut facts = self.facts();
        facts.key_id = auth.key.as_ref().map(|key| key.key_id.to_string());
        facts.org_id = auth.org_id.as_ref().map(ToString::to_string);
        facts.project_id = project_id.map(ToString::to_string);
        facts.key_expires = auth.key.as_ref().and_then(|key| {
            let at = key.expires_at?;
            let soon = at.ms().saturating_sub(self.0.started_ms) < EXPIRING_MS;
            (key.secret == SecretVersion::Previous || soon).then_some(at)
        });
    }

    /// Notes how long a part took, for `Server-Timing` and the `request` event: `name` is a short word.
    pub fn timing(&self, name: &'static str, start_ms: i64, end_ms: i64) {
        let mut facts = self.facts();
        if facts.timings.len() < MAX_TIMINGS {
            facts.timings.push(Timing {
                name,
                start_ms: start_ms.saturating_sub(self.0.started_ms),
                ms: end_ms.saturating_sub(start_ms),
            });
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Context {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Error> {
        parts
            .extensions
            .get::<Context>()
            .cloned()
            .ok_or_else(|| Error::internal("the request did not pass through middleware::App"))
    }
}

/// A `traceparent` of this hop: the caller's trace with a new span, or a new trace.
fn child_traceparent(parent: Option<&str>, random: &impl Random) -> String {
    let span = hex(random.next_u64().max(1));
    match parent.and_then(valid_trace) {
        Some((trace, flags)) => format!("00-{trace}-{span}-{flags}"),
        None => format!(
            "00-{}{}-{span}-01",
            hex(random.next_u64()),
            hex(random.next_u64().max(1))
        ),
    }
}

fn hex(number: u64) -> String {
    format!("{number:016x}")
}

/// Trace id and flags of a well-formed `traceparent`, version 00 or a later one.
fn valid_trace(parent: &str) -> Option<(&str, &str)> {
    let mut parts = parent.split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str, len: usize| {
        text.len() == len
            && text
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let not_zero = |text: &str| text.bytes().any(|b| b != b'0');
    let ends = parts.next().is_none() || version != "00";
    (is_hex(version, 2)
        && version != "ff"
        && is_hex(trace, 32)
        && not_zero(trace)
        && is_hex(span, 16)
        && not_zero(span)
        && is_hex(flags, 2)
        && ends)
        .then_some((trace, flags))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_well_formed_traces_are_continued() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(
            valid_trace(good),
            Some(("4bf92f3577b34da6a3ce929d0e0e4736", "01"))
        );
        for bad in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert_eq!(valid_trace(bad), None, "{bad}");
        }
    }
    #[test]
    fn the_address_of_the_client_is_an_address() {
        let world = platform::fakes::World::manual();
        for (sent, kept) in [
            ("203.0.113.9", Some("203.0.113.9")),
            ("2001:db8::1", Some("2001:db8::1")),
            (
                "sy_4fGh7kQ2mZ0a_3AHOVcjqx4BIPWdkry5CJQXelsz6DKRYfmt07ELSZgn0akblb",
                None,
            ),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("cf-connecting-ip", sent.parse().unwrap());
            let context = Context::open(&headers, &world.clock, &world.random);
            assert_eq!(context.client_ip(), kept);
        }
    }
}

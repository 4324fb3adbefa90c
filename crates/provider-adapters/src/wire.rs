//! Reads what vendors send: JSON without trust, waiting times in all their spellings.
//!
//! In scope: lenient access, `Retry-After`. Out of scope: what an answer means (module `classify`).

use crate::types::RawResponse;
use api_types::Timestamp;
use http::HeaderMap;
use serde_json::Value;

/// Shortest and longest wait that a vendor can ask for, in milliseconds.
const WAIT_MS: (u64, u64) = (500, 3_600_000);

/// A header as text; empty when it is absent or not text.
pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// The body as JSON, whatever the content type says.
pub(crate) fn json(response: &RawResponse) -> Option<Value> {
    serde_json::from_slice(&response.body).ok()
}

/// Whether the content type is JSON; an absent one is believed to be.
pub(crate) fn says_json(headers: &HeaderMap) -> bool {
    let kind = header(headers, "content-type");
    kind.is_empty() || kind.to_ascii_lowercase().contains("json")
}

/// The first characters of the body, for the log.
pub(crate) fn excerpt(body: &[u8]) -> String {
    let head = body.get(..4_000).unwrap_or(body);
    String::from_utf8_lossy(head).chars().take(1_500).collect()
}

/// How long the vendor asks us to wait, in milliseconds: `retry-after-ms`, `Retry-After` in seconds or as a date.
pub(crate) fn retry_after_ms(headers: &HeaderMap, now: Timestamp) -> Option<u64> {
    let number = |name: &str| header(headers, name).trim().parse::<f64>().ok();
    let ms = number("retry-after-ms")
        .or_else(|| number("retry-after").map(|seconds| seconds * 1_000.0))
        .or_else(|| {
            let date =
                chrono::DateTime::parse_from_rfc2822(header(headers, "retry-after").trim()).ok()?;
            Some((date.timestamp_millis() - now.ms()) as f64)
        })?;
    // Also answers NaN and infinity, which parse as numbers.
    if !ms.is_finite() {
        return None;
    }
    Some((ms.max(0.0).ceil() as u64).clamp(WAIT_MS.0, WAIT_MS.1))
}

/// Whether the vendor says that asking again is useless.
pub(crate) fn forbids_retry(headers: &HeaderMap) -> bool {
    header(headers, "x-should-retry").eq_ignore_ascii_case("false")
}

/// The value of the first member of that name in JSON text that may be cut or broken.
pub(crate) fn scan_string<'a>(body: &'a [u8], name: &str) -> Option<&'a str> {
    let text = std::str::from_utf8(body).unwrap_or_else(|error| {
        body.get(..error.valid_up_to())
            .and_then(|valid| std::str::from_utf8(valid).ok())
            .unwrap_or_default()
    });
    let (_, rest) = text.split_once(&format!("\"{name}\""))?;
    let rest = rest
        .trim_start()
        .strip_prefix(':')?
        .trim_start()
        .strip_prefix('"')?;
    let (value, _) = rest.split_once('"')?;
    (!value.is_empty() && !value.contains('\\')).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn waits_are_read_in_every_spelling_and_clamped() {
        let now = Timestamp::parse("2026-11-21T10:00:00Z").unwrap();
        let wait = |pairs: &[(&'static str, &str)]| retry_after_ms(&headers(pairs), now);
        assert_eq!(wait(&[("retry-after", "14")]), Some(14_000));
        assert_eq!(wait(&[("retry-after", "1.5")]), Some(1_500));
        assert_eq!(
            wait(&[("retry-after", "9"), ("retry-after-ms", "2500")]),
            Some(2_500)
        );
        assert_eq!(
            wait(&[("retry-after", "Sat, 21 Nov 2026 10:00:05 GMT")]),
            Some(5_000)
        );
        assert_eq!(
            wait(&[("retry-after", "Sat, 21 Nov 2026 09:00:05 GMT")]),
            Some(500)
        );
        assert_eq!(wait(&[("retry-after", "0")]), Some(500));
        assert_eq!(wait(&[("retry-after", "999999")]), Some(3_600_000));
        for none in ["", "soon", "NaN", "inf"] {
            assert_eq!(wait(&[("retry-after", none)]), None, "{none}");
        }
    }

    #[test]
    fn an_id_is_found_in_cut_json() {
        let body = br#"{"generation_id": "dGVzdA","generation_kind":"sam"#;
        assert_eq!(scan_string(body, "generation_id"), Some("dGVzdA"));
        assert_eq!(
            scan_string(br#"{"generation_id":"dGV"#, "generation_id"),
            None
        );
        assert_eq!(scan_string(b"<html>", "generation_id"), None);
    }
}

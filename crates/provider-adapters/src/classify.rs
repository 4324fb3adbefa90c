//! Judges failures: what a status, an error body or a broken connection means, and what the vendor may have accepted.
//!
//! In scope: the rules that hold for all vendors. Out of scope: each vendor's own words, which its adapter passes in
//! as a [`Verdict`] and which come first.

use crate::error::{Accepted, Advice, Kind, ProviderError};
use crate::types::{Flow, Phase, RawResponse};
use crate::wire;
use api_types::{Billed, Timestamp};

/// What a vendor's own error body says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The kind, if the body decides it.
    pub kind: Option<Kind>,
    /// The body is the vendor's own error form: the vendor itself, not a proxy, answered.
    pub envelope: bool,
    /// The vendor's word.
    pub code: Option<String>,
    /// Its in-flight limit.
    pub observed_limit: Option<u32>,
}

/// How far a call got that brought no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// Certainly no byte left.
    NotSent,
    /// The vendor may have it.
    MaybeSent,
    /// The vendor answered with success, and the rest was lost.
    Success,
}

/// A call without a usable answer.
pub fn broken(
    phase: Phase,
    reached: Reached,
    timed_out: bool,
    cause: impl Into<String>,
) -> ProviderError {
    let kind = if timed_out {
        Kind::Timeout
    } else {
        Kind::Unavailable
    };
    let error = match (phase, reached) {
        (Phase::Probe | Phase::Cancel, _) | (Phase::Submit, Reached::NotSent) => {
            ProviderError::new(kind, Accepted::No)
        }
        (Phase::Submit, Reached::MaybeSent) => ProviderError::new(kind, Accepted::Maybe),
        // The head said yes and the body is lost: whether a job id was in it, nobody knows.
        (Phase::Submit, Reached::Success) => {
            ProviderError::new(Kind::ContractMismatch, Accepted::Maybe)
        }
        _ => later(kind),
    };
    error.with_internal(cause)
}

/// A failure after the vendor took the job: it is unharmed, ask again.
fn later(kind: Kind) -> ProviderError {
    ProviderError::new(kind, Accepted::Yes).with_advice(Advice::Reconcile)
}

/// A success that cannot be read.
pub fn unreadable(flow: Flow, phase: Phase, why: &str, response: &RawResponse) -> ProviderError {
    let error = match phase {
        // Nobody works on a synchronous call any more; on a job without its id somebody does.
        Phase::Submit => {
            let mut error = ProviderError::new(Kind::ContractMismatch, Accepted::Yes);
            error.running = flow == Flow::Poll;
            error
        }
        Phase::Probe | Phase::Cancel => ProviderError::new(Kind::ContractMismatch, Accepted::No),
        Phase::Status | Phase::Result | Phase::Download => later(Kind::ContractMismatch),
    };
    let mut error = error.with_internal(format!("{why}: {}", wire::excerpt(&response.body)));
    error.http_status = Some(response.status);
    error
}

/// An answer that is not a success.
pub fn refused(
    flow: Flow,
    phase: Phase,
    response: &RawResponse,
    verdict: Verdict,
    now: Timestamp,
) -> ProviderError {
    let status = response.status;
    let kind = verdict.kind.unwrap_or_else(|| kind_of(status));
    let mut error = match phase {
        Phase::Submit => submit(flow, status, kind, &verdict),
        Phase::Probe | Phase::Cancel => ProviderError::new(kind, Accepted::No),
        Phase::Status | Phase::Result | Phase::Download => later(kind),
    };
    error.http_status = Some(status);
    error.provider_code = verdict.code;
    error.observed_limit = verdict.observed_limit;
    error.retry_after_ms = wire::retry_after_ms(&response.headers, now);
    if let (Advice::RetrySame { after_ms }, Some(wait)) = (&mut error.advice, error.retry_after_ms)
    {
        *after_ms = wait;
    }
    if matches!(error.advice, Advice::RetrySame { .. }) && wire::forbids_retry(&response.headers) {
        error.advice = Advice::Fallback;
    }
    error.internal = format!("{status}: {}", wire::excerpt(&response.body));
    error
}

const fn kind_of(status: u16) -> Kind {
    match status {
        401 | 403 => Kind::Auth,
        402 => Kind::Quota,
        408 | 504 | 522 | 524 => Kind::Timeout,
        429 => Kind::RateLimited,
        409 | 500..=599 => Kind::Unavailable,
        400..=499 => Kind::Invalid,
        _ => Kind::ContractMismatch,
    }
}

fn submit(flow: Flow, status: u16, kind: Kind, verdict: &Verdict) -> ProviderError {
    match status {
        500 | 502 | 503 | 529 if flow == Flow::Sync && verdict.envelope => {
            ProviderError::new(kind, Accepted::No)
        }
        521 | 523 | 525 | 526 | 530 => {
            ProviderError::new(kind, Accepted::No).with_advice(Advice::Fallback)
        }
        408 | 409 => ProviderError::new(kind, Accepted::Maybe),
        400..=499 => ProviderError::new(kind, Accepted::No).with_billed(Billed::No),
        _ => ProviderError::new(kind, Accepted::Maybe),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::HeaderMap;

    fn judged(flow: Flow, phase: Phase, status: u16, envelope: bool) -> ProviderError {
        let response = RawResponse {
            status,
            headers: HeaderMap::new(),
            body: Bytes::from_static(b"<html>"),
        };
        let verdict = Verdict {
            envelope,
            ..Verdict::default()
        };
        refused(flow, phase, &response, verdict, Timestamp(0))
    }

    #[test]
    fn every_status_of_a_submit_says_what_was_accepted() {
        use Accepted::{Maybe, No};
        let once = Advice::RetrySame { after_ms: 200 };
        let table = [
            (400, Kind::Invalid, No, Advice::Never),
            (401, Kind::Auth, No, Advice::Fallback),
            (402, Kind::Quota, No, Advice::Fallback),
            (403, Kind::Auth, No, Advice::Fallback),
            (404, Kind::Invalid, No, Advice::Never),
            (408, Kind::Timeout, Maybe, Advice::Reconcile),
            (409, Kind::Unavailable, Maybe, Advice::Reconcile),
            (413, Kind::Invalid, No, Advice::Never),
            (422, Kind::Invalid, No, Advice::Never),
            (
                429,
                Kind::RateLimited,
                No,
                Advice::RetrySame { after_ms: 5_000 },
            ),
            (302, Kind::ContractMismatch, Maybe, Advice::Reconcile),
            (504, Kind::Timeout, Maybe, Advice::Reconcile),
            (520, Kind::Unavailable, Maybe, Advice::Reconcile),
            (522, Kind::Timeout, Maybe, Advice::Reconcile),
            (524, Kind::Timeout, Maybe, Advice::Reconcile),
            (521, Kind::Unavailable, No, Advice::Fallback),
            (523, Kind::Unavailable, No, Advice::Fallback),
            (525, Kind::Unavailable, No, Advice::Fallback),
            (526, Kind::Unavailable, No, Advice::Fallback),
            (530, Kind::Unavailable, No, Advice::Fallback),
        ];
        for (status, kind, accepted, advice) in table {
            for flow in [Flow::Poll, Flow::Sync] {
                let error = judged(flow, Phase::Submit, status, true);
                assert_eq!(
                    (error.kind, error.accepted, error.advice),
                    (kind, accepted, advice),
                    "{status} {flow:?}"
                );
            }
        }
        for status in [500, 502, 503, 529] {
            let sync = judged(Flow::Sync, Phase::Submit, status, true);
            assert_eq!((sync.accepted, sync.advice), (No, once), "{status}");
            for (flow, envelope) in [(Flow::Sync, false), (Flow::Poll, true), (Flow::Poll, false)] {
                let error = judged(flow, Phase::Submit, status, envelope);
                assert_eq!(
                    (error.accepted, error.advice),
                    (Maybe, Advice::Reconcile),
                    "{status} {flow:?}"
                );
            }
        }
    }

    #[test]
    fn after_the_submit_nothing_is_unaccepted() {
        for status in [401, 404, 429, 500, 521, 302] {
            for phase in [Phase::Status, Phase::Result, Phase::Download] {
                let error = judged(Flow::Poll, phase, status, true);
                assert_eq!(
                    (error.accepted, error.advice),
                    (Accepted::Yes, Advice::Reconcile),
                    "{status}"
                );
            }
        }
        let lost = broken(Phase::Status, Reached::NotSent, false, "x");
        assert_eq!(lost.accepted, Accepted::Yes);
    }

    #[test]
    fn a_broken_call_is_unsent_only_for_certain() {
        let unsent = broken(Phase::Submit, Reached::NotSent, false, "refused");
        assert_eq!(
            (unsent.kind, unsent.accepted),
            (Kind::Unavailable, Accepted::No)
        );
        let cut = broken(Phase::Submit, Reached::MaybeSent, false, "reset");
        assert_eq!(
            (cut.kind, cut.accepted, cut.advice),
            (Kind::Unavailable, Accepted::Maybe, Advice::Reconcile)
        );
        let late = broken(Phase::Submit, Reached::MaybeSent, true, "deadline");
        assert_eq!((late.kind, late.accepted), (Kind::Timeout, Accepted::Maybe));
    }
}

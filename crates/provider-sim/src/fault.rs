//! What the scenarios do to an answer.
//!
//! In scope: refusals before the work, delivery after it. Not in scope: the words of a refusal, which are
//! each vendor's own.

use crate::call::{Answer, Payload};
use crate::clock::http_date;
use crate::scenario::{Scenario, Token};
use bytes::Bytes;

/// Wait of a throttled call when none is named.
const DEFAULT_WAIT_S: u64 = 2;

/// How a throttled call is told to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    Seconds(u64),
    Date(String),
    Untold,
}

impl Wait {
    fn of(token: &Token, now_ms: u64) -> Self {
        if token.is("none") {
            Self::Untold
        } else if token.is("date") {
            Self::Date(http_date(now_ms + 5_000))
        } else {
            Self::Seconds(token.number.map_or(DEFAULT_WAIT_S, |ms| ms.div_ceil(1000)))
        }
    }

    /// The answer with the header that tells it.
    pub(crate) fn tell(&self, answer: Answer) -> Answer {
        match self {
            Self::Seconds(seconds) => answer.with("retry-after", seconds.to_string()),
            Self::Date(date) => answer.with("retry-after", date.clone()),
            Self::Untold => answer,
        }
    }
}

/// Why a call is refused before any work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Throttled(Wait),
    InFlight,
    Quota(String),
    Auth,
    Forbidden,
    Unsafe,
    Internal,
    Unavailable,
    Overloaded,
    NotFound,
}

/// A refused call: in the vendor's words, or by something between.
pub(crate) enum Refused {
    ByVendor(Refusal),
    OnTheWay(Answer),
}

/// The tokens as a poll meets them: those for polls become what they stand for.
pub(crate) fn while_polling(tokens: &[Token]) -> Vec<Token> {
    tokens
        .iter()
        .cloned()
        .map(|mut token| {
            token.scenario = match token.scenario {
                Scenario::Poll429 => Scenario::Throttled,
                Scenario::Poll500 => Scenario::Status500,
                other => other,
            };
            token
        })
        .collect()
}

/// The first refusal among the tokens.
pub(crate) fn refused(tokens: &[Token], now_ms: u64) -> Option<Refused> {
    use Refused::{ByVendor, OnTheWay};
    tokens.iter().find_map(|token| {
        Some(match token.scenario {
            Scenario::Throttled => ByVendor(Refusal::Throttled(Wait::of(token, now_ms))),
            Scenario::InFlight => ByVendor(Refusal::InFlight),
            Scenario::Quota => ByVendor(Refusal::Quota(
                token
                    .value
                    .clone()
                    .unwrap_or_else(|| "insufficient_funds".to_owned()),
            )),
            Scenario::Auth => ByVendor(Refusal::Auth),
            Scenario::Forbidden => ByVendor(Refusal::Forbidden),
            Scenario::Unsafe if token.value.is_none() => ByVendor(Refusal::Unsafe),
            Scenario::Status500 => ByVendor(Refusal::Internal),
            Scenario::Status503 => ByVendor(Refusal::Unavailable),
            Scenario::Status529 => ByVendor(Refusal::Overloaded),
            Scenario::Status502 => OnTheWay(Answer::html(502, "502 Bad Gateway")),
            Scenario::Status521 => OnTheWay(Answer::text(521, "error code: 521")),
            Scenario::Reset => OnTheWay(Answer::reset()),
            _ => return None,
        })
    })
}

/// What happens to a good answer on its way.
pub(crate) fn deliver(mut answer: Answer, tokens: &[Token]) -> Answer {
    for token in tokens {
        match token.scenario {
            Scenario::Timeout => answer.silent = true,
            Scenario::Late | Scenario::Slow => answer.delay_ms += token.number.unwrap_or_default(),
            Scenario::SlowBody => answer.body_ms = token.number.unwrap_or_default(),
            Scenario::ResetAfter => answer.cut = true,
            Scenario::BadJson => {
                answer.change(|_| Bytes::from_static(b"{\"generation_id\": oops,,}"));
            }
            Scenario::Truncated => answer.change(|body| half(&body)),
            Scenario::Html200 => {
                let page = Answer::html(200, "Just a moment...");
                answer.status = 200;
                answer.content_type = page.content_type;
                answer.payload = page.payload;
            }
            Scenario::Empty => answer.payload = Payload::Ready(Bytes::new()),
            _ => {}
        }
    }
    answer
}

/// Answers whose body is the picture itself, or a text that holds it, labelled or grown wrongly.
pub(crate) fn disguise(mut answer: Answer, tokens: &[Token]) -> Answer {
    for token in tokens {
        match token.scenario {
            Scenario::WrongType => answer.content_type = "text/plain; charset=utf-8",
            Scenario::Huge => answer.chunked = token.is("chunked"),
            _ => {}
        }
    }
    answer
}

/// A picture cut in its middle, or a page in its place.
pub(crate) fn spoil(file: Bytes, tokens: &[Token]) -> Bytes {
    let has = |scenario| tokens.iter().any(|token| token.scenario == scenario);
    if has(Scenario::ImgHtml) {
        return Bytes::from_static(b"<!DOCTYPE html><html><body><h1>Error</h1></body></html>");
    }
    if has(Scenario::ImgTruncated) {
        return half(&file);
    }
    file
}

fn half(bytes: &Bytes) -> Bytes {
    bytes.slice(..bytes.len() / 2)
}

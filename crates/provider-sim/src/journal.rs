//! What was sent to the simulator, and what should never have been sent.
//!
//! In scope: the request log and the violations, both bounded, without credentials. Not in scope: who
//! decides what a violation is.

use serde::Serialize;
use serde_json::Value;
use std::collections::VecDeque;

/// Entries kept; the oldest are dropped and counted.
const KEPT: usize = 20_000;

/// Bytes of logged bodies kept.
const KEPT_BODY_BYTES: usize = 64 << 20;

/// A mistake of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ViolationKind {
    /// A key or cookie went to the host of the pictures.
    CredentialOnImageHost,
    /// A key or cookie went to a host that is not the vendor's.
    CredentialOnForeignHost,
    /// A host was asked that no list allows.
    OffListHost,
    /// A key stood in a query.
    KeyInQuery,
    /// Tracing headers left the house.
    TraceparentSent,
    /// A redirect was followed with the credential.
    RedirectFollowedWithKey,
    /// A field that the contract does not have.
    UnknownField,
    /// A body that is not JSON where JSON is due.
    WrongContentType,
    /// Two polls of a pending job within the least gap.
    PolledTooFast,
    /// A request id was sent again after its job had been made.
    SubmitAfterAccept,
    /// A file was asked for after its link had ended.
    FetchAfterExpiry,
}

/// A mistake and where it happened.
#[derive(Clone, Debug, Serialize)]
pub struct Violation {
    /// Kind.
    pub kind: ViolationKind,
    /// What exactly.
    pub detail: String,
    /// `seq` of the request.
    pub seq: u64,
    /// When, on the simulator's clock.
    pub at: String,
    /// Vendor, where known.
    pub provider: Option<String>,
    /// Account, where known.
    pub account: Option<String>,
    /// Path of the request.
    pub path: String,
    /// The caller's `X-Request-Id`.
    pub request_id: Option<String>,
}

/// One request.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Running number, from 1.
    pub seq: u64,
    /// When, on the simulator's clock.
    pub at: String,
    /// `api`, `image`, `alt` or `offlist`.
    pub listener: &'static str,
    /// Vendor, where known.
    pub provider: Option<String>,
    /// Account, where known.
    pub account: Option<String>,
    /// HTTP method.
    pub method: String,
    /// Path without the vendor's prefix.
    pub path: String,
    /// Query text.
    pub query: String,
    /// Headers, lower case, credentials masked.
    pub headers: Value,
    /// JSON body, or a note about another one.
    pub body: Value,
    /// Parts of a multipart body.
    pub parts: Option<Value>,
    /// The caller's `X-Request-Id`.
    pub request_id: Option<String>,
    /// Status answered; null where no answer left.
    pub status: Option<u16>,
    /// Scenario met, `ok` without one.
    pub scenario: String,
    /// Time until the answer left, null until then.
    pub ms: Option<u64>,
    /// Kinds of this request's violations.
    pub violations: Vec<ViolationKind>,
    #[serde(skip)]
    pub(crate) body_bytes: usize,
}

/// Requests and violations, oldest first.
#[derive(Default)]
pub(crate) struct Journal {
    entries: VecDeque<Entry>,
    violations: VecDeque<Violation>,
    last_seq: u64,
    body_bytes: usize,
    pub(crate) dropped: u64,
}

impl Journal {
    /// Writes a request and its violations down; gives its number.
    pub(crate) fn add(&mut self, mut entry: Entry, found: Vec<(ViolationKind, String)>) -> u64 {
        self.last_seq += 1;
        entry.seq = self.last_seq;
        for (kind, detail) in found {
            entry.violations.push(kind);
            self.violations.push_back(Violation {
                kind,
                detail,
                seq: entry.seq,
                at: entry.at.clone(),
                provider: entry.provider.clone(),
                account: entry.account.clone(),
                path: entry.path.clone(),
                request_id: entry.request_id.clone(),
            });
        }
        self.body_bytes += entry.body_bytes;
        self.entries.push_back(entry);
        while self.entries.len() > KEPT || self.body_bytes > KEPT_BODY_BYTES {
            let Some(oldest) = self.entries.pop_front() else {
                break;
            };
            self.body_bytes -= oldest.body_bytes;
            self.dropped += 1;
        }
        while self.violations.len() > KEPT {
            self.violations.pop_front();
        }
        self.last_seq
    }

    /// The entry of a number, as long as it is kept.
    pub(crate) fn get_mut(&mut self, seq: u64) -> Option<&mut Entry> {
        let index = self
            .entries
            .binary_search_by_key(&seq, |entry| entry.seq)
            .ok()?;
        self.entries.get_mut(index)
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    pub(crate) fn violations(&self) -> impl Iterator<Item = &Violation> {
        self.violations.iter()
    }

    /// Forgets the entries of one account, or all.
    pub(crate) fn forget(&mut self, account: Option<&str>) {
        match account {
            None => {
                self.entries.clear();
                self.violations.clear();
                self.body_bytes = 0;
                self.dropped = 0;
            }
            Some(account) => {
                self.entries
                    .retain(|entry| entry.account.as_deref() != Some(account));
                self.body_bytes = self.entries.iter().map(|entry| entry.body_bytes).sum();
                self.violations
                    .retain(|violation| violation.account.as_deref() != Some(account));
            }
        }
    }
}

/// A credential with its end hidden: `sim-ok-***`, `Bearer sim-ok-***`.
pub(crate) fn masked(value: &str) -> String {
    let (scheme, secret) = match value.split_once(' ') {
        Some((scheme, secret)) => (format!("{scheme} "), secret),
        None => (String::new(), value),
    };
    let shown = if secret.starts_with("sim-") {
        secret
            .rfind('-')
            .and_then(|end| secret.get(..=end))
            .unwrap_or("")
    } else {
        ""
    };
    format!("{scheme}{shown}***")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_masked() {
        assert_eq!(masked("sim-ok-acme"), "sim-ok-***");
        assert_eq!(masked("Bearer sim-429-acme"), "Bearer sim-429-***");
        assert_eq!(masked("sk-live-1234"), "***");
    }

    #[test]
    fn the_log_is_bounded_by_bytes_too() {
        let mut journal = Journal::default();
        let entry = Entry {
            seq: 0,
            at: String::new(),
            listener: "api",
            provider: None,
            account: None,
            method: "POST".into(),
            path: "/".into(),
            query: String::new(),
            headers: Value::Null,
            body: Value::Null,
            parts: None,
            request_id: None,
            status: None,
            scenario: "ok".into(),
            ms: None,
            violations: Vec::new(),
            body_bytes: KEPT_BODY_BYTES / 2,
        };
        for _ in 0..3 {
            journal.add(entry.clone(), Vec::new());
        }
        assert_eq!((journal.entries().count(), journal.dropped), (2, 1));
        assert!(journal.get_mut(1).is_none());
        assert_eq!(journal.get_mut(3).map(|entry| entry.seq), Some(3));
    }
}

//! One row of the document: an operation with its body, its answer and what can go wrong.
//!
//! What follows from the form of an operation is not written in its row: a key can be refused wherever one is needed, a
//! body can be too large wherever there is one, and an `Idempotency-Key` can stand for another request wherever one is taken.

use auth::permission::{Operation, config_service as op};
use errors::Code;

/// What can be wrong with the members of a body.
pub(super) const FIELDS: &[Code] = &[Code::InvalidField, Code::UnknownField];

/// The same of a resource with members that only other routes change.
pub(super) const EDITED: &[Code] = &[Code::InvalidField, Code::UnknownField, Code::ReadOnlyField];

/// What can be wrong with the question for a page.
pub(super) const PAGE: &[Code] = &[Code::InvalidField, Code::InvalidCursor];

/// A thing that some may see.
pub(super) const READ: &[Code] = &[Code::Forbidden, Code::ScopeMissing, Code::NotFound];

/// What needs a role.
pub(super) const ROLE: &[Code] = &[Code::Forbidden, Code::RoleRequired, Code::ScopeMissing];

/// A change of a thing that is there, by whom its role allows it.
pub(super) const CHANGE: &[Code] = &[
    Code::Forbidden,
    Code::RoleRequired,
    Code::ScopeMissing,
    Code::NotFound,
    Code::Overloaded,
];

/// A change of the version that the caller has seen.
pub(super) const VERSION: &[Code] = &[Code::VersionMismatch, Code::PreconditionRequired];

/// Of a body that an operation can do without, and of every other one.
pub(super) const BODY: &[Code] = &[Code::PayloadTooLarge, Code::UnsupportedMediaType];

/// Wherever a key is needed.
const KEY: &[Code] = &[
    Code::AuthFailed,
    Code::TooManyAuthFailures,
    Code::DatabaseUnavailable,
];

/// Wherever an `Idempotency-Key` is taken.
const REPEATED: &[Code] = &[Code::IdempotencyMismatch];

/// One operation of the document.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub operation: &'static Operation,
    pub method: &'static str,
    pub path: &'static str,
    pub summary: &'static str,
    /// Name of the body's schema.
    pub body: Option<&'static str>,
    /// Status and name of the answer's schema.
    pub answer: (u16, Option<&'static str>),
    /// Names in the query, without those of the page.
    pub query: &'static [&'static str],
    /// Whether it is a list in pages.
    pub paged: bool,
    own_codes: &'static [&'static [Code]],
}

macro_rules! methods {
    ($($method:ident)+) => {
        $(pub(super) const fn $method(
            operation: &'static Operation,
            path: &'static str,
            summary: &'static str,
        ) -> Entry {
            Entry {
                operation,
                method: stringify!($method),
                path,
                summary,
                body: None,
                answer: (200, None),
                query: &[],
                paged: false,
                own_codes: &[],
            }
        })+
    };
}

methods!(get post put patch delete);

impl Entry {
    pub(super) const fn takes(mut self, body: &'static str) -> Self {
        self.body = Some(body);
        self
    }

    pub(super) const fn gives(mut self, status: u16, schema: &'static str) -> Self {
        self.answer = (status, Some(schema));
        self
    }

    pub(super) const fn gives_nothing(mut self) -> Self {
        self.answer = (204, None);
        self
    }

    pub(super) const fn asks(mut self, query: &'static [&'static str]) -> Self {
        self.query = query;
        self
    }

    pub(super) const fn paged(mut self) -> Self {
        self.paged = true;
        self
    }

    /// Codes beside those that follow from the form.
    pub(super) const fn may(mut self, codes: &'static [&'static [Code]]) -> Self {
        self.own_codes = codes;
        self
    }

    /// Whether an `Idempotency-Key` is taken. A repeated check of a worker is another check, and a repeated run takes
    /// further steps.
    pub(super) fn is_idempotent(&self) -> bool {
        let goes_on = [&op::CHECK_WORKER, &op::RUN_KEK_ROTATION].contains(&self.operation);
        self.method == "post" && !goes_on
    }

    /// All codes that it may answer, by status.
    pub(super) fn codes(&self) -> Vec<Code> {
        let follows = [
            (!self.operation.is_public()).then_some(KEY),
            self.body.map(|_| BODY),
            self.is_idempotent().then_some(REPEATED),
        ];
        let follows = follows.into_iter().flatten();
        let mut codes: Vec<Code> = follows
            .chain(self.own_codes.iter().copied())
            .flatten()
            .copied()
            .collect();
        codes.sort_by_key(|code| code.status());
        codes
    }
}

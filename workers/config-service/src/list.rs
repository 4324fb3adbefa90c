//! Filtered lists: the steps that all of them share.
//!
//! In scope: reading caller and lines in one batch, who may ask, the page. Out of scope: filters, statements and the form of
//! a line, which are each list's own ([`List`]); lists of one instance, one chain or one kind of job, which also read what
//! they belong to.

use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::deps::Deps;
use crate::page::Page;
use api_types::{AuthContext, KeyId, Timestamp};
use auth::permission::{Operation, Target, permit};
use axum::extract::State;
use axum::response::Response;
use errors::Result;
use middleware::{Context, Presented, Query};
use platform::{Ports, Rows, Statement};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Who asks, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker<'a> {
    /// The key that asks.
    pub key: &'a KeyId,
    /// Now.
    pub now: Timestamp,
}

/// One list; the type is its query.
pub(crate) trait List: DeserializeOwned + Send {
    /// What the statements take.
    type Filter: Send + Sync;
    /// What a row is read as.
    type Line;
    /// What must be permitted.
    const OPERATION: &'static Operation;

    /// The page and the filter that the query asks for.
    ///
    /// # Errors
    /// 400.
    fn asked(self, now: Timestamp) -> Result<(Page, Self::Filter)>;

    /// `limit` lines that the asker may see.
    fn lines(asker: Asker<'_>, filter: &Self::Filter, limit: i64) -> Statement;

    /// Where a walk that looks at a bounded number of rows stops, in a list that is such a walk for this asker.
    fn edge(_asker: Asker<'_>, _filter: &Self::Filter) -> Option<Statement> {
        None
    }

    /// Whose list it is, for the classes that ask for an owner.
    fn target(_auth: &AuthContext) -> Target {
        Target::default()
    }

    /// Reads what [`List::lines`] found.
    ///
    /// # Errors
    /// 500 for a row that is not of its form.
    fn read(rows: &Rows) -> Result<Vec<Self::Line>>;

    /// Where a line stands.
    fn position(line: &Self::Line) -> Vec<String>;

    /// A line as it is told.
    fn shown(line: &Self::Line, asker: Asker<'_>) -> Value;
}

/// The own organization, in lists that only its members or administrators ask for.
pub(crate) fn own_organization(auth: &AuthContext) -> Target {
    Target {
        org_id: auth.org_id.clone(),
        ..Target::default()
    }
}

/// What the caller may see of a list.
///
/// 1. Class and scope of the operation (403).
/// 2. Filters and cursor (400).
///
/// 200: never 404, what the caller may not see is not there.
pub(crate) async fn list<L: List, P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    query: Result<Query<L>>,
) -> Result<Response> {
    let asker = Asker {
        key: &presented.key.key_id,
        now: deps.now(),
    };
    let asked = query.and_then(|Query(query)| query.asked(asker.now));
    // A wrong query is told after 401 and 403, so the caller is read in any case.
    let statements = match &asked {
        Ok((page, filter)) => std::iter::once(L::lines(asker, filter, page.limit + 1))
            .chain(L::edge(asker, filter))
            .collect(),
        Err(_) => Vec::new(),
    };
    let read = deps
        .read_as(&presented.key, context.client_ip(), None, statements)
        .await?;
    context.identify(&read.auth, None, None);
    permit(L::OPERATION, &read.auth, &L::target(&read.auth))?;
    let (page, _) = asked?;
    let body = page
        .within(&read.rows(1))
        .answer(L::read(&read.rows(0))?, L::position, |line| {
            L::shown(line, asker)
        });
    Ok(Answer::ok(body).into_response(context.request_id()))
}

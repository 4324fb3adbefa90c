//! `GET /audit`.

use super::view::shown;
use super::{chain_of, named, permit_chain};
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::deps::Deps;
use crate::page::Page;
use api_types::Timestamp;
use auth::permission::{Target, config_service, permit};
use axum::extract::State;
use axum::response::Response;
use errors::{Error, Result};
use middleware::{Context, Presented, Query};
use platform::Ports;
use serde::Deserialize;
use serde_json::json;
use store::control::audit::{self, ChainOf, Head};
use store::control::audit_trail::{self, Filter, Listed};
use store::control::organizations;

/// Longest span that one query covers, in milliseconds.
const MAX_SPAN_MS: i64 = 400 * 86_400_000;

/// Filters of the list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    org_id: Option<String>,
    actor: Option<String>,
    action: Option<String>,
    target: Option<String>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    limit: Option<i64>,
    cursor: Option<String>,
}

struct Asked {
    chain: ChainOf,
    page: Page,
    filter: Filter,
}

/// The span: 400 days at most, and when only one of its ends is named, 400 days from there.
fn span(
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    now: Timestamp,
) -> Result<(Timestamp, Timestamp)> {
    let to = to.unwrap_or_else(|| match from {
        Some(from) => now.min(from.plus_ms(MAX_SPAN_MS)),
        None => now,
    });
    let from = from.unwrap_or_else(|| to.plus_ms(-MAX_SPAN_MS));
    if from > to {
        return Err(Error::invalid_field("from", "must not be after to"));
    }
    if to.ms() - from.ms() > MAX_SPAN_MS {
        return Err(Error::invalid_field(
            "from",
            "must be at most 400 days before to",
        ));
    }
    Ok((from, to))
}

fn read(query: ListQuery, now: Timestamp) -> Result<Asked> {
    let chain = chain_of(query.org_id.as_deref())?;
    let filters = format!(
        "{:?} {:?} {:?} {:?} {:?} {:?}",
        query.org_id, query.actor, query.action, query.target, query.from, query.to
    );
    let page = Page::ask(query.limit, query.cursor.as_deref(), &filters)?;
    let before = match page.after.as_deref() {
        None => None,
        Some([seq]) => Some(seq.parse().map_err(|_| crate::page::invalid())?),
        Some(_) => return Err(crate::page::invalid()),
    };
    let (from, to) = span(query.from, query.to, now)?;
    // `instance` is a kind of things, `instance:production` one of them.
    let (target_type, target_id) = match query.target {
        None => (None, None),
        Some(target) => match target.split_once(':') {
            Some((kind, id)) => (Some(kind.to_owned()), Some(id.to_owned())),
            None => (Some(target), None),
        },
    };
    let filter = Filter {
        actor: query.actor,
        action: query.action,
        target_type,
        target_id,
        from,
        to,
        before,
    };
    Ok(Asked {
        chain,
        page,
        filter,
    })
}

/// The entries of one chain with their hashes, newest first.
///
/// 1. The organization exists (404), role admin in it (403), chain `platform` superadmin (403), scope `audit:read` (403).
/// 2. Filters, at most 400 days, and cursor (400).
///
/// 200.
///
/// `org_id` names the chain, it is no filter over several. A page may be short, also empty, and not be the last: only
/// `next_cursor` tells.
pub(crate) async fn list<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    query: Result<Query<ListQuery>>,
) -> Result<Response> {
    let now = deps.now();
    let asked = query.and_then(|Query(query)| self::read(query, now));
    let caller = &presented.key.key_id;
    let statements = match &asked {
        Ok(asked) => vec![
            audit::head(&asked.chain, caller),
            organizations::named_or_own(named(&asked.chain), caller),
            audit_trail::list(&asked.chain, caller, &asked.filter, asked.page.limit),
        ],
        Err(_) => Vec::new(),
    };
    let read = deps
        .read_as(&presented.key, context.client_ip(), None, statements)
        .await?;
    context.identify(&read.auth, None, None);
    let operation = &config_service::LIST_AUDIT;
    let asked = match asked {
        Ok(asked) => asked,
        Err(error) => {
            // A wrong query is told only to who may ask at all.
            let own = Target {
                org_id: read.auth.org_id.clone(),
                ..Target::default()
            };
            permit(operation, &read.auth, &own)?;
            return Err(error);
        }
    };
    permit_chain(
        operation,
        &read.auth,
        &Head::read(&read.rows(0))?,
        &read.rows(1),
    )?;
    let listed = Listed::read(&read.rows(2), &asked.filter, asked.page.limit)?;
    let items: Vec<_> = listed.entries.iter().map(shown).collect();
    let next = listed
        .before
        .map(|seq| asked.page.cursor(&[seq.to_string()]));
    let body = json!({"items": items, "next_cursor": next});
    Ok(Answer::ok(body).into_response(context.request_id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_at_most_400_days() {
        let now = Timestamp(1_763_719_200_000);
        let back = now.plus_ms(-MAX_SPAN_MS);
        assert_eq!(span(None, None, now).unwrap(), (back, now));
        assert_eq!(span(Some(back), None, now).unwrap(), (back, now));
        let older = back.plus_ms(-MAX_SPAN_MS);
        assert_eq!(span(Some(older), None, now).unwrap(), (older, back));
        assert_eq!(span(None, Some(back), now).unwrap(), (older, back));
        assert!(span(Some(back.plus_ms(-1)), Some(now), now).is_err());
        assert!(span(Some(now), Some(back), now).is_err());
        assert!(span(Some(now.plus_ms(1)), None, now).is_err());
    }
}

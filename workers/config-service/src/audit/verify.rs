//! `GET /audit/verify`.

use super::view::hashed;
use super::{chain_of, named, permit_chain};
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::deps::Deps;
use crate::page::{self, Page};
use auth::chain::{Broken, Fault, Link, Walk};
use auth::checkpoint::Checkpoint;
use auth::hash::Peppers;
use auth::permission::{Target, config_service, permit};
use axum::extract::State;
use axum::response::Response;
use errors::Result;
use middleware::{Context, Presented, Query};
use platform::{Ports, Rows, Statement};
use serde::Deserialize;
use serde_json::json;
use store::control::audit::{self, ChainOf, Entry, Head};
use store::control::audit_trail;
use store::control::checkpoints::{self, CheckpointRow};
use store::control::organizations;

/// Entries of one call.
const MAX_WALKED: i64 = 5_000;
/// Entries that are in memory at the same time.
const AT_ONCE: i64 = 500;

/// Which chain, and where the call before ended.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifyQuery {
    org_id: Option<String>,
    cursor: Option<String>,
}

struct Asked {
    chain: ChainOf,
    page: Page,
    walk: Walk,
}

fn read(query: &VerifyQuery) -> Result<Asked> {
    let chain = chain_of(query.org_id.as_deref())?;
    let page = Page::ask(
        None,
        query.cursor.as_deref(),
        &format!("{:?}", query.org_id),
    )?;
    let walk = match page.after.as_deref() {
        None => Walk::default(),
        Some([seq, hash]) => Walk::after(seq.parse().map_err(|_| page::invalid())?, hash.clone()),
        Some(_) => return Err(page::invalid()),
    };
    Ok(Asked { chain, page, walk })
}

/// What a walk has found so far.
#[derive(Debug, Default)]
struct Found {
    entries: i64,
    checkpoints: i64,
    /// Checkpoints under a pepper that this deployment does not have any more: only their hash was compared.
    unproved: i64,
    broken: Option<Broken>,
    /// The end of the chain was reached.
    complete: bool,
}

fn step(walk: &mut Walk, entry: &Entry) -> Result<(), Broken> {
    let broken = Broken {
        seq: walk.seq() + 1,
        fault: Fault::Hash,
    };
    let body = hashed(entry).ok_or(broken)?;
    walk.step(&Link {
        seq: entry.seq,
        prev_hash: &entry.prev_hash,
        hash: &entry.hash,
        body: &body,
    })
}

impl Found {
    /// Walks over some entries with the checkpoints that lie among them.
    fn walk(
        &mut self,
        walk: &mut Walk,
        entries: &[Entry],
        points: &[CheckpointRow],
        peppers: &Peppers,
    ) {
        let mut points = points.iter().peekable();
        for entry in entries {
            if let Err(broken) = step(walk, entry) {
                self.broken = Some(broken);
                return;
            }
            self.entries += 1;
            if let Some(point) = points.next_if(|point| point.seq == entry.seq)
                && !self.compare(point, entry, peppers)
            {
                self.broken = Some(Broken {
                    seq: entry.seq,
                    fault: Fault::Checkpoint,
                });
                return;
            }
        }
        self.complete = (entries.len() as i64) < AT_ONCE;
        if self.complete && points.next().is_some() {
            // A checkpoint of an entry that is not there: the chain was cut off.
            self.broken = Some(Broken {
                seq: walk.seq() + 1,
                fault: Fault::Missing,
            });
        }
    }

    fn compare(&mut self, point: &CheckpointRow, entry: &Entry, peppers: &Peppers) -> bool {
        self.checkpoints += 1;
        let genuine = if let Some(pepper) = peppers.get(&point.pepper_id) {
            Checkpoint {
                org_id: &point.org_id,
                seq: point.seq,
                hash: &point.hash,
                created_at: &point.created_at,
            }
            .verify(pepper, &point.mac)
        } else {
            self.unproved += 1;
            true
        };
        genuine && point.hash == entry.hash
    }
}

impl<P: Ports, G: AbuseGuard> Deps<P, G> {
    async fn verify_chain(&self, org_id: &str, walk: &mut Walk) -> Result<Found> {
        let peppers = self.settings.peppers()?;
        let mut found = Found::default();
        while found.broken.is_none() && !found.complete && found.entries < MAX_WALKED {
            let results = self.read(chunk(org_id, walk.seq())).await?;
            let rows = |at: usize| results.get(at).cloned().unwrap_or_else(Rows::default);
            let entries = audit_trail::entries(&rows(0))?;
            let points = CheckpointRow::read_all(&rows(1))?;
            found.walk(walk, &entries, &points, peppers);
        }
        Ok(found)
    }
}

/// The next entries and their checkpoints; one more of these, because it may lie behind the end of the chain.
fn chunk(org_id: &str, after: i64) -> Vec<Statement> {
    vec![
        audit_trail::behind(org_id, after, AT_ONCE),
        checkpoints::behind(org_id, after, AT_ONCE + 1),
    ]
}

/// Walks a chain from its beginning, or from where the call before ended, over at most 5,000 entries, and names the
/// first broken place. Checkpoints on the way are verified too.
///
/// 1. The organization exists (404), role admin in it (403), chain `platform` superadmin (403), scope `audit:read` (403).
/// 2. The query and its cursor (400).
///
/// 200 with `ok`; `complete` when the end was reached, else `next_cursor`.
pub(crate) async fn verify<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    query: Result<Query<VerifyQuery>>,
) -> Result<Response> {
    let asked = query.and_then(|Query(query)| self::read(&query));
    let caller = &presented.key.key_id;
    let statements = match &asked {
        Ok(asked) => vec![
            audit::head(&asked.chain, caller),
            organizations::named_or_own(named(&asked.chain), caller),
        ],
        Err(_) => Vec::new(),
    };
    let read = deps
        .read_as(&presented.key, context.client_ip(), None, statements)
        .await?;
    context.identify(&read.auth, None, None);
    let operation = &config_service::VERIFY_AUDIT;
    let mut asked = match asked {
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
    let head = Head::read(&read.rows(0))?;
    permit_chain(operation, &read.auth, &head, &read.rows(1))?;
    let from_seq = asked.walk.seq() + 1;
    let found = deps.verify_chain(&head.org_id, &mut asked.walk).await?;
    let go_on = found.broken.is_none() && !found.complete;
    let position = [asked.walk.seq().to_string(), asked.walk.hash().to_owned()];
    if let Some(broken) = found.broken {
        tracing::error!(
            org_id = %head.org_id,
            seq = broken.seq,
            fault = broken.fault.as_str(),
            "an audit chain is broken"
        );
    }
    let body = json!({
        "org_id": head.org_id, "ok": found.broken.is_none(), "complete": found.complete,
        "from_seq": from_seq, "to_seq": asked.walk.seq(), "head_seq": head.seq,
        "entries": found.entries, "checkpoints": found.checkpoints,
        "checkpoints_unproved": found.unproved,
        "broken_seq": found.broken.map(|broken| broken.seq),
        "fault": found.broken.map(|broken| broken.fault.as_str()),
        "head_hash": found.complete.then(|| asked.walk.hash().to_owned()),
        "next_cursor": go_on.then(|| asked.page.cursor(&position)),
    });
    Ok(Answer::ok(body).into_response(context.request_id()))
}

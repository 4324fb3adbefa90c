//! Reading the audit log: pages of a chain by filters, and a chain in its order.
//!
//! In scope: statements whose cost does not grow with the log. Out of scope: appending (`audit`), hashing (`auth::chain`).

use super::audit::{self, ChainOf, Entry, PLATFORM_CHAIN};
use super::columns;
use api_types::{KeyId, Timestamp};
use errors::Result;
use platform::{Row, Rows, Statement};

/// Entries that one page looks at when a filter has no index.
pub const MAX_EXAMINED: i64 = 2_000;
/// How far the times of neighbouring entries may lie in the wrong order, in milliseconds: isolates' clocks differ.
const SKEW_MS: i64 = 600_000;

/// Which entries are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// By that principal, user or session.
    pub actor: Option<String>,
    /// Of that operation.
    pub action: Option<String>,
    /// About things of that kind.
    pub target_type: Option<String>,
    /// About that one thing; only with `target_type`.
    pub target_id: Option<String>,
    /// Not before that time.
    pub from: Timestamp,
    /// Not after that time.
    pub to: Timestamp,
    /// Places before that one.
    pub before: Option<i64>,
}

impl Filter {
    /// Entries that are looked at for a page of `limit`: one more, so that it is known whether there are more.
    fn examined(&self, limit: i64) -> i64 {
        let by_index = self.target_id.is_some() || self.target_type.is_none();
        if self.actor.is_none() && self.action.is_none() && by_index {
            limit + 1
        } else {
            MAX_EXAMINED.max(limit + 1)
        }
    }
}

/// A page of the chain, newest first; `limit` entries and one more at most. The index by time tells the span of places
/// that can hold the asked times: before the last entry that is `SKEW_MS` too old all are too old, and behind the first
/// that is as much too new all are too new. Then at most [`MAX_EXAMINED`] entries of the span are looked at: a page may be
/// short and still not be the last.
///
/// A key that is restricted to instances finds what is about them or about no instance.
pub fn list(chain: &ChainOf, caller: &KeyId, filter: &Filter, limit: i64) -> Statement {
    let (organization, id) = audit::organization(chain, caller);
    let target = match (&filter.target_type, &filter.target_id) {
        (Some(_), Some(_)) => "AND a.target_type = ?13 AND a.target_id = ?14",
        _ => "",
    };
    let statement = Statement {
        sql: format!(
            "WITH chain AS MATERIALIZED (SELECT coalesce({organization}, '{PLATFORM_CHAIN}') AS org_id), \
             span AS MATERIALIZED (SELECT c.org_id, \
               coalesce((SELECT l.seq FROM audit_log l WHERE l.org_id = c.org_id AND l.at < ?2 ORDER BY l.at DESC LIMIT 1), 0) + 1 AS first, \
               min(coalesce(?4, 9007199254740991), coalesce((SELECT h.seq FROM audit_log h WHERE h.org_id = c.org_id AND h.at > ?3 ORDER BY h.at LIMIT 1), 9007199254740991)) AS below \
               FROM chain c), \
             own AS MATERIALIZED (SELECT coalesce(p.instance_ids, k.instance_ids) AS ids FROM api_keys k \
               LEFT JOIN api_keys p ON p.key_id = k.parent_key_id WHERE k.key_id = ?12), \
             seen AS MATERIALIZED (SELECT a.seq, a.at, a.actor, a.action, a.target_type, a.instance_id FROM audit_log a \
               WHERE a.org_id = (SELECT org_id FROM span) {target} AND a.seq >= (SELECT first FROM span) AND a.seq < (SELECT below FROM span) \
               ORDER BY a.seq DESC LIMIT ?5), \
             found AS MATERIALIZED (SELECT s.seq FROM seen s WHERE s.at >= ?6 AND s.at <= ?7 AND (?8 IS NULL OR s.action = ?8) \
               AND (?9 IS NULL OR s.target_type = ?9) \
               AND (?10 IS NULL OR ?10 IN (json_extract(s.actor, '$.principal'), json_extract(s.actor, '$.user_id'), json_extract(s.actor, '$.session_id'))) \
               AND ((SELECT ids FROM own) IS NULL OR s.instance_id IS NULL \
                 OR s.instance_id IN (SELECT value FROM json_each((SELECT ids FROM own)))) \
               ORDER BY s.seq DESC LIMIT ?11) \
             SELECT e.edge, e.examined, (SELECT first FROM span) AS first, a.* \
             FROM (SELECT min(seq) AS edge, count(*) AS examined FROM seen) e LEFT JOIN found f ON 1 \
             LEFT JOIN audit_log a ON a.org_id = (SELECT org_id FROM span) AND a.seq = f.seq ORDER BY f.seq DESC"
        )
        .into(),
        params: vec![id],
    }
    .bind(filter.from.plus_ms(-SKEW_MS).to_string())
    .bind(filter.to.plus_ms(SKEW_MS).to_string())
    .bind(filter.before)
    .bind(filter.examined(limit))
    .bind(filter.from.to_string())
    .bind(filter.to.to_string())
    .bind(filter.action.as_ref())
    .bind(filter.target_type.as_ref())
    .bind(filter.actor.as_ref())
    .bind(limit + 1)
    .bind(caller.as_str());
    match (&filter.target_type, &filter.target_id) {
        (Some(kind), Some(id)) => statement.bind(kind).bind(id),
        _ => statement,
    }
}

/// One page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Newest first; those beyond `limit` are left out.
    pub entries: Vec<Entry>,
    /// Where the next page begins: places before that one. `None` at the end.
    pub before: Option<i64>,
}

impl Listed {
    /// Reads the result of [`list`] for a page of the same filter and limit.
    pub fn read(rows: &Rows, filter: &Filter, limit: i64) -> Result<Self> {
        let mut entries = entries(rows)?;
        let row = rows.first().cloned().unwrap_or_default();
        let int = |name: &str| row.int(name).unwrap_or(0);
        let more_found = entries.len() as i64 > limit;
        entries.truncate(limit as usize);
        let more_behind = int("examined") >= filter.examined(limit) && int("edge") > int("first");
        let before = if more_found {
            entries.last().map(|last| last.seq)
        } else {
            more_behind.then(|| int("edge"))
        };
        Ok(Self { entries, before })
    }
}

/// The entries of a chain behind `after`, oldest first; `limit` at most.
pub fn behind(org_id: &str, after: i64, limit: i64) -> Statement {
    Statement::new(
        "SELECT a.* FROM audit_log a WHERE a.org_id = ?1 AND a.seq > ?2 ORDER BY a.seq LIMIT ?3",
    )
    .bind(org_id)
    .bind(after)
    .bind(limit)
}

/// Reads entries; rows without one are passed over.
pub fn entries(rows: &Rows) -> Result<Vec<Entry>> {
    let there = |row: &&Row| row.int("seq").is_some();
    rows.rows.iter().filter(there).map(entry).collect()
}

fn entry(row: &Row) -> Result<Entry> {
    Ok(Entry {
        org_id: columns::text(row, "org_id")?,
        seq: columns::int(row, "seq")?,
        at: columns::text(row, "at")?,
        actor: columns::text(row, "actor")?,
        action: columns::text(row, "action")?,
        target_type: columns::text(row, "target_type")?,
        target_id: columns::text(row, "target_id")?,
        instance_id: columns::text_or_null(row, "instance_id"),
        before: columns::text_or_null(row, "before"),
        after: columns::text_or_null(row, "after"),
        request_id: columns::text(row, "request_id")?,
        ip: columns::text_or_null(row, "ip"),
        prev_hash: columns::text(row, "prev_hash")?,
        hash: columns::text(row, "hash")?,
    })
}

//! Table `price_overrides`: prices of an organization or one of its instances, in time. A row that has taken effect is
//! never changed; it only ends.
//!
//! In scope: reading, adding, ending. Out of scope: which rows compete, their form (`provider_adapters::price`).

use super::columns;
use super::guard::require;
use super::walk;
use api_types::{InstanceId, KeyId, OrgId, PriceId, ProviderName, Timestamp};
use errors::Result;
use platform::{Row, Rows, Statement};
use serde_json::{Value, json};

/// A price and when it holds.
#[derive(Clone, Debug, PartialEq)]
pub struct PriceOverride {
    /// Id.
    pub price_id: PriceId,
    /// Organization.
    pub org_id: OrgId,
    /// Instance; `None` for all of the organization.
    pub instance_id: Option<InstanceId>,
    /// Provider, as the instance names it.
    pub provider: ProviderName,
    /// Model.
    pub model: String,
    /// The row, in the form of the providers' price data.
    pub row: Value,
    /// From when.
    pub valid_from: Timestamp,
    /// Until when; that instant does not count any more.
    pub valid_to: Option<Timestamp>,
    /// Principal.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
}

pub(super) const COLUMNS: &str = "p.price_id, p.org_id, p.instance_id, p.provider, p.model, p.row, p.valid_from, p.valid_to, p.created_by, p.created_at";

impl PriceOverride {
    /// Reads the results of the statements here.
    pub fn read_all(rows: &Rows) -> Result<Vec<Self>> {
        rows.rows.iter().map(Self::from_row).collect()
    }

    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            price_id: columns::word(row, "price_id")?,
            org_id: columns::word(row, "org_id")?,
            instance_id: columns::word_or_null(row, "instance_id")?,
            provider: columns::word(row, "provider")?,
            model: columns::text(row, "model")?,
            row: columns::json(row, "row")?,
            valid_from: columns::time(row, "valid_from")?,
            valid_to: columns::time_or_null(row, "valid_to")?,
            created_by: columns::text(row, "created_by")?,
            created_at: columns::time(row, "created_at")?,
        })
    }

    /// Whether it holds at that time.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.valid_from <= now && !self.has_ended(now)
    }

    /// Whether it holds no more.
    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.valid_to.is_some_and(|end| end <= now)
    }
}

/// What holds now or later for an instance: its own rows and those of its organization.
pub fn of_instance(instance_id: &InstanceId, now: Timestamp) -> Statement {
    Statement {
        sql: format!(
            "SELECT {COLUMNS} FROM instances i CROSS JOIN price_overrides p INDEXED BY price_overrides_open ON p.org_id = i.org_id \
             WHERE i.instance_id = ?1 AND (p.instance_id IS NULL OR p.instance_id = i.instance_id) \
             AND coalesce(p.valid_to, '9999') > ?2 ORDER BY p.price_id"
        )
        .into(),
        params: vec![instance_id.as_str().into(), now.to_string().into()],
    }
}

const OWN_ORG: &str =
    "(SELECT u.org_id FROM api_keys k JOIN users u ON u.user_id = k.user_id WHERE k.key_id = ?2)";

/// What holds now or later for every instance of the organization, or of the caller's when none is named.
pub fn of_organization(org_id: Option<&OrgId>, caller: &KeyId, now: Timestamp) -> Statement {
    Statement {
        sql: format!(
            "SELECT {COLUMNS} FROM price_overrides p INDEXED BY price_overrides_open WHERE p.org_id = coalesce(?1, {OWN_ORG}) \
             AND p.instance_id IS NULL AND coalesce(p.valid_to, '9999') > ?3 ORDER BY p.price_id"
        )
        .into(),
        params: vec![
            org_id.map(OrgId::as_str).into(),
            caller.as_str().into(),
            now.to_string().into(),
        ],
    }
}

/// A price, and whether the caller's key is restricted to other instances.
#[derive(Clone, Debug, PartialEq)]
pub struct JudgedPrice {
    /// The price.
    pub price: PriceOverride,
    /// Whether the key covers all instances that the price is for.
    pub allowed: bool,
}

/// The price with that id, judged for the holder of that key.
pub fn for_caller(caller: &KeyId, price_id: &PriceId) -> Statement {
    Statement {
        sql: format!(
            "SELECT {COLUMNS}, (k.instance_ids IS NULL OR coalesce(p.instance_id IN (SELECT value FROM json_each(k.instance_ids)), 0)) AS allowed \
             FROM api_keys k JOIN price_overrides p ON p.price_id = ?2 WHERE k.key_id = ?1"
        )
        .into(),
        params: vec![caller.as_str().into(), price_id.as_str().into()],
    }
}

impl JudgedPrice {
    /// Reads the result of [`for_caller`]; `None` when there is none.
    pub fn read(rows: &Rows) -> Result<Option<Self>> {
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        Ok(Some(Self {
            price: PriceOverride::from_row(row)?,
            allowed: row.flag("allowed"),
        }))
    }
}

/// Filters of a list; `after` is the last id of the page before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListFilter {
    /// Of that organization.
    pub org_id: Option<String>,
    /// For that instance: its own and those for all of its organization.
    pub instance_id: Option<String>,
    /// Of that provider.
    pub provider: Option<String>,
    /// Of that model.
    pub model: Option<String>,
    /// `current`, `future` or `ended`.
    pub state: Option<String>,
    /// Made before that one.
    pub after: Option<String>,
}

/// The caller, whose key is ?1, and the organization that it belongs to.
const WHO: &str = "WITH who AS MATERIALIZED (SELECT k.instance_ids, k.user_id, u.role, p.instance_id AS own_instance, coalesce(u.org_id, h.org_id) AS own_org \
       FROM api_keys k LEFT JOIN users u ON u.user_id = k.user_id LEFT JOIN projects p ON p.project_id = k.project_id \
       LEFT JOIN instances h ON h.instance_id = p.instance_id WHERE k.key_id = ?1)";
/// Where a walk along all prices begins: nowhere but for a superadmin who names no organization.
const ALL: &str =
    "(SELECT CASE WHEN w.role = 'superadmin' AND ?3 IS NULL THEN ?2 ELSE '' END FROM who w)";
/// The organization whose prices are walked along else.
const OWN: &str = "(SELECT CASE WHEN w.role = 'superadmin' THEN ?3 WHEN ?3 IS NULL OR ?3 = w.own_org THEN w.own_org END FROM who w)";

/// The last price that one page looks at, of all and of one organization: prices that have ended stay, and a user sees
/// those of some instances only.
fn last_looked_at() -> [String; 2] {
    let last = walk::last();
    [
        format!(
            "SELECT e.price_id FROM price_overrides e WHERE e.price_id < {ALL} ORDER BY e.price_id DESC {last}"
        ),
        format!(
            "SELECT e.price_id FROM price_overrides e INDEXED BY price_overrides_listed WHERE e.price_id < ?2 AND e.org_id = {OWN} \
             ORDER BY e.price_id DESC {last}"
        ),
    ]
}

/// Later than any UUID, or where the page before ended.
fn before(filter: &ListFilter) -> String {
    filter.after.clone().unwrap_or_else(|| "g".to_owned())
}

/// Where the page of a list stops, for [`walk::read`].
pub fn edge(caller: &KeyId, filter: &ListFilter) -> Statement {
    let [all, own] = last_looked_at();
    Statement::new(format!(
        "{WHO} SELECT price_id AS first FROM (SELECT * FROM ({all}) UNION ALL SELECT * FROM ({own}))"
    ))
    .bind(caller.as_str())
    .bind(before(filter))
    .bind(filter.org_id.as_ref())
}

/// The prices that the caller may see, newest first, `limit` at most: those of its instances and those for all
/// instances of its organization. A page does not look beyond the [`edge`].
pub fn list(caller: &KeyId, filter: &ListFilter, now: Timestamp, limit: i64) -> Statement {
    // Two walks, each in the order of its index and no longer than the page: all prices for a superadmin who names no
    // organization, else those of one. `who` is one row, asked by subqueries, because a join with it would be sorted.
    let walk = |source: &str| {
        format!(
            "SELECT * FROM (SELECT {COLUMNS} FROM price_overrides p {source} \
             AND (p.instance_id IS NULL OR (SELECT w.instance_ids FROM who w) IS NULL \
               OR p.instance_id IN (SELECT x.value FROM who w, json_each(w.instance_ids) x)) \
             AND CASE WHEN p.instance_id IS NULL OR (SELECT w.role FROM who w) IN ('superadmin', 'admin') THEN 1 \
               WHEN (SELECT w.role FROM who w) = 'user' THEN EXISTS (SELECT 1 FROM user_instance_access a \
                 WHERE a.user_id = (SELECT w.user_id FROM who w) AND a.instance_id = p.instance_id) \
               ELSE p.instance_id = (SELECT w.own_instance FROM who w) END \
             AND (?4 IS NULL OR p.instance_id = ?4 OR (p.instance_id IS NULL AND p.org_id = (SELECT f.org_id FROM instances f WHERE f.instance_id = ?4))) \
             AND (?5 IS NULL OR p.provider = ?5) AND (?6 IS NULL OR p.model = ?6) \
             AND (?7 IS NULL OR ?7 = CASE WHEN p.valid_to <= ?8 THEN 'ended' WHEN p.valid_from > ?8 THEN 'future' ELSE 'current' END) \
             ORDER BY p.price_id DESC LIMIT ?9)"
        )
    };
    let [last_of_all, last_own] = last_looked_at();
    let all = walk(&format!(
        "WHERE p.price_id < {ALL} AND p.price_id >= coalesce(({last_of_all}), '')"
    ));
    let own = walk(&format!(
        "INDEXED BY price_overrides_listed WHERE p.price_id < ?2 AND p.org_id = {OWN} AND p.price_id >= coalesce(({last_own}), '')"
    ));
    Statement {
        sql: format!("{WHO} {all} UNION ALL {own} ORDER BY price_id DESC LIMIT ?9").into(),
        params: vec![
            caller.as_str().into(),
            before(filter).into(),
            filter.org_id.as_ref().into(),
            filter.instance_id.as_ref().into(),
            filter.provider.as_ref().into(),
            filter.model.as_ref().into(),
            filter.state.as_ref().into(),
            now.to_string().into(),
            limit.into(),
        ],
    }
}

/// For whom a price is, and of what.
#[derive(Clone, Copy, Debug)]
pub struct Slot<'a> {
    /// Organization.
    pub org_id: &'a OrgId,
    /// Instance; `None` for all.
    pub instance_id: Option<&'a InstanceId>,
    /// Provider.
    pub provider: &'a ProviderName,
    /// Model.
    pub model: &'a str,
}

const SAME_SLOT: &str =
    "p.org_id = ?1 AND p.provider = ?3 AND p.model = ?4 AND p.instance_id IS ?2";

impl Slot<'_> {
    fn bind(&self, statement: Statement) -> Statement {
        statement
            .bind(self.org_id.as_str())
            .bind(self.instance_id.map(InstanceId::as_str))
            .bind(self.provider.as_str())
            .bind(self.model)
    }

    /// Refuses unless what holds now or later is exactly what was read: `known` are those rows.
    pub fn guard(&self, known: &[&PriceOverride], now: Timestamp) -> Statement {
        let known: Vec<String> = known
            .iter()
            .map(|price| {
                let end = price.valid_to.map(|end| end.to_string());
                format!("{} {}", price.price_id, end.unwrap_or_default())
            })
            .collect();
        let condition = format!(
            "SELECT count(*) = json_array_length(?6) AND total(p.price_id || ' ' || coalesce(p.valid_to, '') \
             IN (SELECT value FROM json_each(?6))) = count(*) FROM price_overrides p INDEXED BY price_overrides_open \
             WHERE {SAME_SLOT} AND coalesce(p.valid_to, '9999') > ?5"
        );
        let bound = self
            .bind(Statement::new(""))
            .bind(now.to_string())
            .bind(json!(known).to_string());
        require(&condition, bound.params)
    }
}

/// Adds one.
pub fn create(price: &PriceOverride) -> Statement {
    Statement::new(
        "INSERT INTO price_overrides (price_id, org_id, instance_id, provider, model, row, valid_from, valid_to, created_by, created_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )
    .bind(price.price_id.as_str())
    .bind(price.org_id.as_str())
    .bind(price.instance_id.as_ref().map(InstanceId::as_str))
    .bind(price.provider.as_str())
    .bind(&price.model)
    .bind(price.row.to_string())
    .bind(price.valid_from.to_string())
    .bind(price.valid_to.map(|end| end.to_string()))
    .bind(&price.created_by)
    .bind(price.created_at.to_string())
}

/// Ends one that began before `end`. Refuses the batch when it has ended by then.
pub fn close(price_id: &PriceId, end: Timestamp) -> [Statement; 2] {
    let end = end.to_string();
    [
        require(
            "SELECT valid_from < ?2 AND (valid_to IS NULL OR valid_to > ?2) FROM price_overrides WHERE price_id = ?1",
            vec![price_id.as_str().into(), (&end).into()],
        ),
        Statement::new("UPDATE price_overrides SET valid_to = ?2 WHERE price_id = ?1")
            .bind(price_id.as_str())
            .bind(&end),
    ]
}

/// Removes one that has not begun at `now`. Refuses the batch when it has.
pub fn withdraw(price_id: &PriceId, now: Timestamp) -> [Statement; 2] {
    let now = now.to_string();
    [
        require(
            "SELECT valid_from >= ?2 FROM price_overrides WHERE price_id = ?1",
            vec![price_id.as_str().into(), (&now).into()],
        ),
        Statement::new("DELETE FROM price_overrides WHERE price_id = ?1").bind(price_id.as_str()),
    ]
}

/// Ends all prices of an instance that goes: those that have begun end, the others are removed.
pub(super) fn end_of_instance(instance_id: &InstanceId, now: Timestamp) -> [Statement; 2] {
    let now = now.to_string();
    [
        Statement::new("DELETE FROM price_overrides WHERE instance_id = ?1 AND valid_from >= ?2")
            .bind(instance_id.as_str())
            .bind(&now),
        Statement::new(
            "UPDATE price_overrides SET valid_to = ?2 WHERE instance_id = ?1 AND (valid_to IS NULL OR valid_to > ?2)",
        )
        .bind(instance_id.as_str())
        .bind(&now),
    ]
}

/// Instances whose body is older than a price of theirs that began or ended after `since`: column `instance_id`,
/// at most `limit`.
pub fn due(since: Timestamp, now: Timestamp, limit: i64) -> Statement {
    Statement::new(
        "WITH turned AS (\
           SELECT b.org_id, b.instance_id, b.valid_from AS at FROM price_overrides b INDEXED BY price_overrides_beginning \
             WHERE b.valid_from > ?1 AND b.valid_from <= ?2 \
           UNION ALL SELECT n.org_id, n.instance_id, n.valid_to FROM price_overrides n INDEXED BY price_overrides_ending \
             WHERE n.valid_to > ?1 AND n.valid_to <= ?2) \
         SELECT DISTINCT i.instance_id FROM turned t CROSS JOIN instances i ON i.org_id = t.org_id AND i.status <> 'deleted' \
           AND (t.instance_id IS NULL OR i.instance_id = t.instance_id) \
         CROSS JOIN instance_effective e ON e.instance_id = i.instance_id AND e.created_at < t.at LIMIT ?3",
    )
    .bind(since.to_string())
    .bind(now.to_string())
    .bind(limit)
}

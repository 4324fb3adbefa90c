//! Everything that effective configurations are made of, for several instances at once.
//!
//! In scope: three statements of one batch, joined by instance. Out of scope: building the configuration.

use super::columns;
use super::credentials::{self, CredentialRow};
use super::guard::require;
use super::prices::{self, PriceOverride};
use api_types::{InstanceId, KeyId, OrgId, PriceId, Timestamp};
use errors::Result;
use platform::{Rows, SqlValue, Statement};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Which instances.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    /// These.
    Ids(&'a [InstanceId]),
    /// All of that organization, or of the caller's when none is named.
    Organization(Option<&'a OrgId>, &'a KeyId),
    /// Those that a price is for.
    OfPrice(&'a PriceId),
    /// Those that were not compared with their body since that time, at most so many.
    NotRecountedSince(Timestamp, i64),
}

impl Which<'_> {
    /// A subquery of column `instance_id`. Its parameters are ?1 and ?2.
    fn query(self) -> (&'static str, [SqlValue; 2]) {
        match self {
            Self::Ids(ids) => {
                let ids: Vec<&str> = ids.iter().map(InstanceId::as_str).collect();
                (
                    "SELECT value AS instance_id FROM json_each(?1) WHERE ?2 IS NULL",
                    [json!(ids).to_string().into(), SqlValue::Null],
                )
            }
            Self::Organization(org_id, caller) => (
                "SELECT o.instance_id FROM instances o WHERE o.status <> 'deleted' AND o.org_id = coalesce(?1, \
                   (SELECT u.org_id FROM api_keys k JOIN users u ON u.user_id = k.user_id WHERE k.key_id = ?2))",
                [org_id.map(OrgId::as_str).into(), caller.as_str().into()],
            ),
            Self::OfPrice(price_id) => (
                "SELECT o.instance_id FROM price_overrides t CROSS JOIN instances o ON o.org_id = t.org_id AND o.status <> 'deleted' \
                   AND (t.instance_id IS NULL OR o.instance_id = t.instance_id) WHERE t.price_id = ?1 AND ?2 IS NULL",
                [price_id.as_str().into(), SqlValue::Null],
            ),
            Self::NotRecountedSince(since, limit) => (
                "SELECT r.instance_id FROM instance_effective r WHERE r.recounted_at < ?1 ORDER BY r.recounted_at LIMIT ?2",
                [since.to_string().into(), limit.into()],
            ),
        }
    }

    /// The statements to read in one batch, for [`Parts::read_all`].
    pub fn statements(self, now: Timestamp) -> [Statement; 3] {
        let (which, params) = self.query();
        let statement = |sql: String, more: Option<SqlValue>| {
            let mut params = params.to_vec();
            params.extend(more);
            Statement {
                sql: sql.into(),
                params,
            }
        };
        [
            statement(
                format!(
                    "SELECT i.instance_id, i.org_id, i.name, i.config, i.worker_urls, i.self_hosted, i.config_version, e.body \
                     FROM ({which}) w CROSS JOIN instances i ON i.instance_id = w.instance_id \
                     LEFT JOIN instance_effective e ON e.instance_id = i.instance_id WHERE i.status <> 'deleted'"
                ),
                None,
            ),
            statement(
                format!(
                    "SELECT {} FROM ({which}) w CROSS JOIN provider_credentials c ON c.instance_id = w.instance_id \
                     WHERE c.slot = 'current' ORDER BY c.provider",
                    credentials::columns_of("c")
                ),
                None,
            ),
            statement(
                format!(
                    "SELECT {} FROM price_overrides p INDEXED BY price_overrides_open WHERE p.org_id IN \
                       (SELECT i.org_id FROM ({which}) w CROSS JOIN instances i ON i.instance_id = w.instance_id) \
                     AND coalesce(p.valid_to, '9999') > ?3 ORDER BY p.price_id",
                    prices::COLUMNS
                ),
                Some(now.to_string().into()),
            ),
        ]
    }
}

/// What one effective configuration is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Parts {
    /// Id.
    pub instance_id: InstanceId,
    /// Organization.
    pub org_id: OrgId,
    /// Name.
    pub name: String,
    /// What people edit.
    pub config: Value,
    /// URLs of its workers.
    pub worker_urls: BTreeMap<String, String>,
    /// Whether a superadmin marked it as self-hosted.
    pub self_hosted: bool,
    /// Version of what workers see.
    pub config_version: i64,
    /// The current provider keys.
    pub credentials: Vec<CredentialRow>,
    /// Prices that hold now or later.
    pub prices: Vec<PriceOverride>,
    /// What was built of them, as it is stored.
    pub body: Option<String>,
}

impl Parts {
    /// Reads the results of [`Which::statements`], which stand at the beginning of `rows`.
    pub fn read_all(rows: &[Rows]) -> Result<Vec<Self>> {
        let of = |index: usize| rows.get(index).cloned().unwrap_or_default();
        let mut credentials: BTreeMap<InstanceId, Vec<CredentialRow>> = BTreeMap::new();
        for row in CredentialRow::read_all(&of(1))? {
            let key = row.instance_id.clone();
            credentials.entry(key).or_default().push(row);
        }
        let prices = PriceOverride::read_all(&of(2))?;
        of(0)
            .rows
            .iter()
            .map(|row| {
                let instance_id: InstanceId = columns::word(row, "instance_id")?;
                let org_id: OrgId = columns::word(row, "org_id")?;
                let is_own = |price: &&PriceOverride| {
                    price.org_id == org_id
                        && price
                            .instance_id
                            .as_ref()
                            .is_none_or(|of| *of == instance_id)
                };
                Ok(Self {
                    name: columns::text(row, "name")?,
                    config: columns::json(row, "config")?,
                    worker_urls: columns::json(row, "worker_urls")?,
                    self_hosted: row.flag("self_hosted"),
                    config_version: columns::int(row, "config_version")?,
                    credentials: credentials.remove(&instance_id).unwrap_or_default(),
                    prices: prices.iter().filter(is_own).cloned().collect(),
                    body: columns::text_or_null(row, "body"),
                    instance_id,
                    org_id,
                })
            })
            .collect()
    }
}

/// A body that was built anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// Instance.
    pub instance_id: InstanceId,
    /// Version that it was built over.
    pub was: i64,
    /// Its version; the same when only its time is new.
    pub config_version: i64,
    /// The body, JSON.
    pub body: String,
    /// Hex SHA-256 of it.
    pub sha256: String,
}

/// Most bytes of bodies in one parameter; D1 takes 2,000,000 of text.
const MAX_PARAMETER_BYTES: usize = 1_000_000;

/// Writes them, in a few statements however many they are. Refuses the batch when one of the configurations has changed.
pub fn put_all(rebuilt: &[Rebuilt], now: Timestamp) -> Vec<Statement> {
    if rebuilt.is_empty() {
        return Vec::new();
    }
    let versions: Vec<Value> = rebuilt
        .iter()
        .map(|one| json!({"id": one.instance_id, "was": one.was, "is": one.config_version}))
        .collect();
    let versions = json!(versions).to_string();
    let mut statements = vec![
        require(
            "SELECT count(*) = json_array_length(?1) FROM json_each(?1) x CROSS JOIN instances i ON i.instance_id = json_extract(x.value, '$.id') \
             AND i.config_version = json_extract(x.value, '$.was') AND i.status <> 'deleted'",
            vec![(&versions).into()],
        ),
        Statement::new(
            "UPDATE instances SET config_version = x.version FROM (SELECT json_extract(value, '$.id') AS id, json_extract(value, '$.is') AS version \
               FROM json_each(?1)) x WHERE instances.instance_id = x.id",
        )
        .bind(&versions),
    ];
    let mut bodies: Vec<Value> = Vec::new();
    let mut bytes = 0;
    let put = |bodies: &mut Vec<Value>| {
        let all = json!(std::mem::take(bodies)).to_string();
        Statement::new(
            "INSERT INTO instance_effective (instance_id, config_version, body, sha256, created_at) \
             SELECT json_extract(value, '$.id'), json_extract(value, '$.version'), json_extract(value, '$.body'), json_extract(value, '$.sha256'), ?2 \
               FROM json_each(?1) WHERE 1 \
             ON CONFLICT (instance_id) DO UPDATE SET config_version = excluded.config_version, body = excluded.body, \
               sha256 = excluded.sha256, created_at = excluded.created_at",
        )
        .bind(all)
        .bind(now.to_string())
    };
    for one in rebuilt {
        let body = json!({
            "id": one.instance_id, "version": one.config_version, "body": one.body, "sha256": one.sha256,
        });
        let length = body.to_string().len();
        if bytes + length > MAX_PARAMETER_BYTES && !bodies.is_empty() {
            statements.push(put(&mut bodies));
            bytes = 0;
        }
        bytes += length;
        bodies.push(body);
    }
    statements.push(put(&mut bodies));
    statements
}

/// Notes that bodies were compared with their parts.
pub fn mark_recounted(ids: &[InstanceId], now: Timestamp) -> Statement {
    let ids: Vec<&str> = ids.iter().map(InstanceId::as_str).collect();
    Statement::new(
        "UPDATE instance_effective SET recounted_at = ?2 WHERE instance_id IN (SELECT value FROM json_each(?1))",
    )
    .bind(json!(ids).to_string())
    .bind(now.to_string())
}

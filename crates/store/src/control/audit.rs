//! Table `audit_log`: one hash chain per organization, append-only by trigger.
//!
//! In scope: finding the head, appending, reading one entry's hash. Out of scope: hashing (auth), what an entry says.

use super::columns;
use super::guard::require;
use api_types::{InstanceId, KeyId, OrgId, PriceId, ProjectId, UserId};
use errors::Result;
use platform::{Rows, SqlValue, Statement};

/// The chain of what belongs to no organization.
pub const PLATFORM_CHAIN: &str = "platform";

/// How the organization of a chain is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChainOf {
    /// The chain `platform`.
    Platform,
    /// That organization.
    Organization(OrgId),
    /// The organization of the caller's owner, else `platform`.
    Caller,
    /// The organization of that instance.
    Instance(InstanceId),
    /// The organization of that user, else `platform`.
    User(UserId),
    /// The organization of that project.
    Project(ProjectId),
    /// The organization of that key's owner, else `platform`.
    Key(KeyId),
    /// The organization of that price.
    Price(PriceId),
}

/// Where a chain ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The organization, or `platform`.
    pub org_id: String,
    /// The newest entry; 0 when there is none.
    pub seq: i64,
    /// Its hash; `None` when there is none.
    pub hash: Option<String>,
}

/// The SQL of a chain's organization, NULL for `platform`, with its one parameter.
pub(super) fn organization(chain: &ChainOf, caller: &KeyId) -> (&'static str, SqlValue) {
    const OF_KEY: &str = "(SELECT coalesce(u.org_id, i.org_id) FROM api_keys k LEFT JOIN users u ON u.user_id = k.user_id \
        LEFT JOIN projects p ON p.project_id = k.project_id LEFT JOIN instances i ON i.instance_id = p.instance_id WHERE k.key_id = ?1)";
    match chain {
        ChainOf::Platform => ("?1", PLATFORM_CHAIN.into()),
        ChainOf::Organization(org_id) => ("?1", org_id.as_str().into()),
        ChainOf::Caller => (OF_KEY, caller.as_str().into()),
        ChainOf::Key(key_id) => (OF_KEY, key_id.as_str().into()),
        ChainOf::Instance(instance_id) => (
            "(SELECT org_id FROM instances WHERE instance_id = ?1)",
            instance_id.as_str().into(),
        ),
        ChainOf::User(user_id) => (
            "(SELECT org_id FROM users WHERE user_id = ?1)",
            user_id.as_str().into(),
        ),
        ChainOf::Price(price_id) => (
            "(SELECT org_id FROM price_overrides WHERE price_id = ?1)",
            price_id.as_str().into(),
        ),
        ChainOf::Project(project_id) => (
            "(SELECT i.org_id FROM projects p JOIN instances i ON i.instance_id = p.instance_id WHERE p.project_id = ?1)",
            project_id.as_str().into(),
        ),
    }
}

/// The end of the chain. One row always.
pub fn head(chain: &ChainOf, caller: &KeyId) -> Statement {
    let (organization, id) = organization(chain, caller);
    head_of(organization, vec![id])
}

/// The same for the organization that an expression gives, else `platform`.
pub(super) fn head_of(organization: &str, params: Vec<SqlValue>) -> Statement {
    Statement {
        sql: format!(
            "WITH chain AS (SELECT coalesce({organization}, '{PLATFORM_CHAIN}') AS org_id) \
             SELECT c.org_id, a.seq, a.hash FROM chain c LEFT JOIN audit_log a ON a.org_id = c.org_id \
             AND a.seq = (SELECT max(m.seq) FROM audit_log m WHERE m.org_id = c.org_id)"
        )
        .into(),
        params,
    }
}

impl Head {
    /// Reads the result of [`head`].
    pub fn read(rows: &Rows) -> Result<Self> {
        let row = rows.first().cloned().unwrap_or_default();
        Ok(Self {
            org_id: columns::text(&row, "org_id")?,
            seq: row.int("seq").unwrap_or(0),
            hash: columns::text_or_null(&row, "hash"),
        })
    }
}

/// An entry, its JSON members as texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The chain.
    pub org_id: String,
    /// Its place.
    pub seq: i64,
    /// RFC 3339.
    pub at: String,
    /// JSON: who.
    pub actor: String,
    /// Name of the operation.
    pub action: String,
    /// Kind of the thing.
    pub target_type: String,
    /// Its id.
    pub target_id: String,
    /// The instance it belongs to.
    pub instance_id: Option<String>,
    /// JSON: changed members before.
    pub before: Option<String>,
    /// JSON: changed members after.
    pub after: Option<String>,
    /// The request.
    pub request_id: String,
    /// The client's address.
    pub ip: Option<String>,
    /// Hash of the entry before.
    pub prev_hash: String,
    /// Hash of this entry.
    pub hash: String,
}

/// Appends: the place must be free and follow the entry whose hash it names.
pub fn append(entry: &Entry) -> Vec<Statement> {
    let mut statements = Vec::with_capacity(2);
    if entry.seq > 1 {
        statements.push(require(
            "SELECT hash = ?3 FROM audit_log WHERE org_id = ?1 AND seq = ?2",
            vec![
                (&entry.org_id).into(),
                SqlValue::Integer(entry.seq - 1),
                (&entry.prev_hash).into(),
            ],
        ));
    }
    statements.push(
        Statement::new(
            "INSERT INTO audit_log (org_id, seq, at, actor, action, target_type, target_id, instance_id, before, after, request_id, ip, prev_hash, hash) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        )
        .bind(&entry.org_id)
        .bind(entry.seq)
        .bind(&entry.at)
        .bind(&entry.actor)
        .bind(&entry.action)
        .bind(&entry.target_type)
        .bind(&entry.target_id)
        .bind(entry.instance_id.as_ref())
        .bind(entry.before.as_ref())
        .bind(entry.after.as_ref())
        .bind(&entry.request_id)
        .bind(entry.ip.as_ref())
        .bind(&entry.prev_hash)
        .bind(&entry.hash),
    );
    statements
}

/// The hash at one place, as column `hash`: tells whether an entry was written when the database's answer was lost.
pub fn hash_at(org_id: &str, seq: i64) -> Statement {
    Statement::new("SELECT hash FROM audit_log WHERE org_id = ?1 AND seq = ?2")
        .bind(org_id)
        .bind(seq)
}

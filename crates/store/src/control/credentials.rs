//! Table `provider_credentials`: sealed provider keys. Nothing here is in the clear.

use super::columns;
use super::guard::require;
use api_types::{Ciphertext, CredentialId, InstanceId, OrgId, ProviderName, Timestamp};
use errors::Result;
use platform::{Row, Rows, Statement};

/// A stored provider key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialRow {
    /// Id.
    pub credential_id: CredentialId,
    /// Organization.
    pub org_id: OrgId,
    /// Instance.
    pub instance_id: InstanceId,
    /// Provider.
    pub provider: ProviderName,
    /// Host that it may be sent to.
    pub host: String,
    /// The envelope.
    pub ciphertext: Ciphertext,
    /// Last four characters; empty for short keys.
    pub last4: String,
    /// When it was entered.
    pub set_at: Timestamp,
    /// Principal that entered it.
    pub set_by: String,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
    /// What the provider last said against it.
    pub last_error: Option<String>,
    /// Version of the row.
    pub version: i64,
}

const COLUMNS: &str = "credential_id, org_id, instance_id, provider, host, ciphertext, last4, set_at, set_by, last_used_at, last_error, version";

/// The current keys of an instance.
pub fn current(instance_id: &InstanceId) -> Statement {
    Statement {
        sql: format!(
            "SELECT {COLUMNS} FROM provider_credentials WHERE instance_id = ?1 AND slot = 'current' ORDER BY provider"
        )
        .into(),
        params: vec![instance_id.as_str().into()],
    }
}

/// One provider's current key, or any that has that id.
pub fn one(
    instance_id: &InstanceId,
    provider: &ProviderName,
    credential_id: Option<&CredentialId>,
) -> Statement {
    Statement {
        sql: format!(
            "SELECT {COLUMNS} FROM provider_credentials WHERE instance_id = ?1 AND provider = ?2 \
             AND CASE WHEN ?3 IS NULL THEN slot = 'current' ELSE credential_id = ?3 END"
        )
        .into(),
        params: vec![
            instance_id.as_str().into(),
            provider.as_str().into(),
            credential_id.map(CredentialId::as_str).into(),
        ],
    }
}

impl CredentialRow {
    /// Reads the result of [`current`] or [`one`].
    pub fn read_all(rows: &Rows) -> Result<Vec<Self>> {
        rows.rows.iter().map(Self::from_row).collect()
    }

    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            credential_id: columns::word(row, "credential_id")?,
            org_id: columns::word(row, "org_id")?,
            instance_id: columns::word(row, "instance_id")?,
            provider: columns::word(row, "provider")?,
            host: columns::text(row, "host")?,
            ciphertext: Ciphertext(columns::text(row, "ciphertext")?),
            last4: columns::text(row, "last4")?,
            set_at: columns::time(row, "set_at")?,
            set_by: columns::text(row, "set_by")?,
            last_used_at: columns::time_or_null(row, "last_used_at")?,
            last_error: columns::text_or_null(row, "last_error"),
            version: columns::int(row, "version")?,
        })
    }
}

/// Stores a key for a provider that has none, or replaces the row of the same id at once.
pub fn put(row: &CredentialRow) -> Statement {
    Statement::new(
        "INSERT INTO provider_credentials (credential_id, org_id, instance_id, provider, slot, host, ciphertext, kek_id, last4, set_at, set_by, version, created_at) \
         VALUES (?1, ?2, ?3, ?4, 'current', ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?9) \
         ON CONFLICT (credential_id) DO UPDATE SET host = excluded.host, ciphertext = excluded.ciphertext, kek_id = excluded.kek_id, \
           last4 = excluded.last4, set_at = excluded.set_at, set_by = excluded.set_by, last_error = NULL, last_error_at = NULL, version = excluded.version",
    )
    .bind(row.credential_id.as_str())
    .bind(row.org_id.as_str())
    .bind(row.instance_id.as_str())
    .bind(row.provider.as_str())
    .bind(&row.host)
    .bind(&row.ciphertext.0)
    .bind(row.ciphertext.kek_id().unwrap_or_default())
    .bind(&row.last4)
    .bind(row.set_at.to_string())
    .bind(&row.set_by)
    .bind(row.version)
}

/// Refuses unless the provider's current key still has that version; `None`: unless there is none.
pub fn guard_version(
    instance_id: &InstanceId,
    provider: &ProviderName,
    version: Option<i64>,
) -> Statement {
    require(
        "SELECT CASE WHEN ?3 IS NULL THEN count(*) = 0 ELSE sum(version = ?3) = 1 END FROM provider_credentials \
         WHERE instance_id = ?1 AND provider = ?2 AND slot = 'current'",
        vec![
            instance_id.as_str().into(),
            provider.as_str().into(),
            version.into(),
        ],
    )
}

/// Notes uses and refusals: `items` is JSON, a list of `credential_id`, `outcome` (`ok`, `auth_failed`) and `at`;
/// `only` limits it to one instance. An older report changes nothing.
pub fn report(items: &str, only: Option<&InstanceId>) -> Statement {
    Statement::new(
        "UPDATE provider_credentials SET \
           last_used_at = CASE WHEN r.outcome = 'ok' THEN max(coalesce(last_used_at, ''), r.at) ELSE last_used_at END, \
           last_error = CASE WHEN coalesce(last_error_at, '') >= r.at THEN last_error WHEN r.outcome = 'auth_failed' THEN 'auth_failed' END, \
           last_error_at = CASE WHEN r.outcome = 'auth_failed' AND coalesce(last_error_at, '') < r.at THEN r.at ELSE last_error_at END \
         FROM (SELECT json_extract(value, '$.credential_id') AS credential_id, json_extract(value, '$.outcome') AS outcome, \
                 json_extract(value, '$.at') AS at FROM json_each(?1)) r \
         WHERE provider_credentials.credential_id = r.credential_id AND (?2 IS NULL OR provider_credentials.instance_id = ?2)",
    )
    .bind(items)
    .bind(only.map(InstanceId::as_str))
}

/// Envelopes under another key-encryption key, as column `n`.
pub fn count_old_keks(current: &str) -> Statement {
    Statement::new(
        "SELECT count(*) AS n FROM provider_credentials WHERE kek_id < ?1 OR kek_id > ?1",
    )
    .bind(current)
}

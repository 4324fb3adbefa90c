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

/// The columns of a row under that table alias.
pub(super) fn columns_of(alias: &str) -> String {
    let names: Vec<String> = COLUMNS
        .split(", ")
        .map(|name| format!("{alias}.{name}"))
        .collect();
    names.join(", ")
}

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

/// One provider's current key, or the current or previous one of that id. A previous key is there until its time is
/// over, swept or not; the current one only while the configuration has it: a key of another host is nobody's to open.
pub fn one(
    instance_id: &InstanceId,
    provider: &ProviderName,
    credential_id: Option<&CredentialId>,
    now: Timestamp,
) -> Statement {
    Statement {
        sql: format!(
            "SELECT {COLUMNS} FROM provider_credentials k WHERE k.instance_id = ?1 AND k.provider = ?2 \
             AND CASE WHEN ?3 IS NULL THEN k.slot = 'current' AND k.credential_id = \
               (SELECT json_extract(e.body, '$.providers.\"' || ?2 || '\".credential_id') FROM instance_effective e WHERE e.instance_id = ?1) \
             ELSE k.credential_id = ?3 AND (k.slot = 'current' OR k.retire_at > ?4) END"
        )
        .into(),
        params: vec![
            instance_id.as_str().into(),
            provider.as_str().into(),
            credential_id.map(CredentialId::as_str).into(),
            now.to_string().into(),
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
           last4 = excluded.last4, set_at = excluded.set_at, set_by = excluded.set_by, last_used_at = NULL, last_error = NULL, last_error_at = NULL, version = excluded.version",
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

/// A replaced or deleted key that may still be asked for by its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviousRow {
    /// Id.
    pub credential_id: CredentialId,
    /// Provider.
    pub provider: ProviderName,
    /// Version of the row, which is higher the later it was the current one.
    pub version: i64,
    /// When it is erased.
    pub retire_at: Timestamp,
}

/// The previous keys of an instance whose time is not over.
pub fn previous(instance_id: &InstanceId, now: Timestamp) -> Statement {
    Statement::new(
        "SELECT credential_id, provider, version, retire_at FROM provider_credentials \
         WHERE instance_id = ?1 AND slot = 'previous' AND retire_at > ?2 ORDER BY provider, version DESC",
    )
    .bind(instance_id.as_str())
    .bind(now.to_string())
}

impl PreviousRow {
    /// Reads the result of [`previous`].
    pub fn read_all(rows: &Rows) -> Result<Vec<Self>> {
        rows.rows
            .iter()
            .map(|row| {
                Ok(Self {
                    credential_id: columns::word(row, "credential_id")?,
                    provider: columns::word(row, "provider")?,
                    version: columns::int(row, "version")?,
                    retire_at: columns::time(row, "retire_at")?,
                })
            })
            .collect()
    }
}

/// Makes the current key a previous one.
pub fn retire(credential_id: &CredentialId, retire_at: Timestamp) -> Statement {
    Statement::new(
        "UPDATE provider_credentials SET slot = 'previous', retire_at = ?2 WHERE credential_id = ?1 AND slot = 'current'",
    )
    .bind(credential_id.as_str())
    .bind(retire_at.to_string())
}

/// Erases one key.
pub fn erase(credential_id: &CredentialId) -> Statement {
    Statement::new("DELETE FROM provider_credentials WHERE credential_id = ?1")
        .bind(credential_id.as_str())
}

/// Erases previous keys of a provider: those whose time is over, and all but the newest `keep` of the others.
pub fn erase_surplus(
    instance_id: &InstanceId,
    provider: &ProviderName,
    keep: i64,
    now: Timestamp,
) -> Statement {
    Statement::new(
        "DELETE FROM provider_credentials WHERE instance_id = ?1 AND provider = ?2 AND slot = 'previous' AND credential_id NOT IN \
         (SELECT p.credential_id FROM provider_credentials p WHERE p.instance_id = ?1 AND p.provider = ?2 AND p.slot = 'previous' \
            AND p.retire_at > ?4 ORDER BY p.version DESC, p.credential_id DESC LIMIT ?3)",
    )
    .bind(instance_id.as_str())
    .bind(provider.as_str())
    .bind(keep)
    .bind(now.to_string())
}

/// Erases at most `limit` previous keys whose time is over.
pub fn erase_retired(now: Timestamp, limit: i64) -> Statement {
    Statement::new(
        "DELETE FROM provider_credentials WHERE credential_id IN (SELECT p.credential_id FROM provider_credentials p \
         INDEXED BY provider_credentials_retiring WHERE p.slot = 'previous' AND p.retire_at <= ?1 ORDER BY p.retire_at LIMIT ?2)",
    )
    .bind(now.to_string())
    .bind(limit)
}

/// Notes uses and refusals: `items` is JSON, a list of `credential_id`, `outcome` (`ok`, `auth_failed`) and `at`;
/// `only` limits it to one instance. Of one key the newest word counts; what is older than the value, or than what is
/// known already, changes nothing.
pub fn report(items: &str, only: Option<&InstanceId>) -> Statement {
    Statement::new(
        "UPDATE provider_credentials SET \
           last_used_at = CASE WHEN given.ok_at >= set_at AND given.ok_at > coalesce(last_used_at, '') THEN given.ok_at ELSE last_used_at END, \
           last_error = CASE \
             WHEN given.failed_at >= set_at AND given.failed_at > max(coalesce(last_error_at, ''), coalesce(last_used_at, ''), coalesce(given.ok_at, '')) THEN 'auth_failed' \
             WHEN given.ok_at >= set_at AND given.ok_at > coalesce(last_error_at, '') THEN NULL ELSE last_error END, \
           last_error_at = CASE \
             WHEN given.failed_at >= set_at AND given.failed_at > max(coalesce(last_error_at, ''), coalesce(last_used_at, ''), coalesce(given.ok_at, '')) THEN given.failed_at \
             ELSE last_error_at END \
         FROM (SELECT json_extract(value, '$.credential_id') AS credential_id, \
                 max(CASE WHEN json_extract(value, '$.outcome') = 'ok' THEN json_extract(value, '$.at') END) AS ok_at, \
                 max(CASE WHEN json_extract(value, '$.outcome') = 'auth_failed' THEN json_extract(value, '$.at') END) AS failed_at \
               FROM json_each(?1) GROUP BY 1) given \
         WHERE provider_credentials.credential_id = given.credential_id AND (?2 IS NULL OR provider_credentials.instance_id = ?2)",
    )
    .bind(items)
    .bind(only.map(InstanceId::as_str))
}

/// A row whose column names another key than its envelope, under that table alias: rows of before the triggers that
/// refuse them, or written past these. Only the envelope tells which key opens it.
pub(super) fn damaged(alias: &str) -> String {
    let dot = if alias.is_empty() { "" } else { "." };
    format!("instr({alias}{dot}ciphertext, 'v1.' || {alias}{dot}kek_id || '.') <> 1")
}

/// Envelopes under another key-encryption key than `kek`, an expression, and damaged rows; a number. The `+` keeps
/// SQLite from putting `kek` into the term by which it knows the index.
pub(super) fn not_under(kek: &str) -> String {
    format!(
        "((SELECT count(*) FROM provider_credentials k WHERE k.kek_id < {kek} OR k.kek_id > {kek}) \
         + (SELECT count(*) FROM provider_credentials d INDEXED BY provider_credentials_damaged WHERE d.instance_id > '' AND {} AND +d.kek_id = {kek}))",
        damaged("d")
    )
}

/// Envelopes under another key-encryption key, as column `n`. A damaged row counts: nobody knows its key.
pub fn count_old_keks(current: &str) -> Statement {
    Statement {
        sql: format!("SELECT {} AS n", not_under("?1")).into(),
        params: vec![current.into()],
    }
}

//! Tables `instances` and `instance_effective`: reading as a caller may, creating, replacing what workers see.

use super::columns;
use super::guard::require;
use super::resolve::judged;
use super::walk;
use api_types::{InstanceConfig, InstanceId, InstanceStatus, KeyId, OrgId, Timestamp};
use errors::Result;
use platform::{Row, Rows, SqlValue, Statement};
use serde_json::Value;
use std::collections::BTreeMap;

/// An instance as one caller may see it.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceRow {
    /// Id.
    pub instance_id: InstanceId,
    /// Organization.
    pub org_id: OrgId,
    /// Status.
    pub status: InstanceStatus,
    /// Whether the caller may use it; all that follows is empty when not.
    pub allowed: bool,
    /// Name.
    pub name: String,
    /// What people edit.
    pub config: Value,
    /// URLs of its workers.
    pub worker_urls: BTreeMap<String, String>,
    /// Why it is paused.
    pub paused_reason: Option<String>,
    /// Since when it is paused.
    pub paused_at: Option<Timestamp>,
    /// Until then the cost guard must not pause it.
    pub pause_override_until: Option<Timestamp>,
    /// Whether a superadmin marked it as self-hosted.
    pub self_hosted: bool,
    /// Version of the row.
    pub version: i64,
    /// Version of what workers see.
    pub config_version: i64,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// When it was last changed.
    pub updated_at: Option<Timestamp>,
    /// What workers get.
    pub effective: Option<InstanceConfig>,
}

/// The instance with that id, judged for the holder of that key.
pub fn for_caller(caller: &KeyId, instance_id: &InstanceId) -> Statement {
    Statement::new(concat!(
        judged!("?2"),
        "SELECT j.instance_id, j.org_id, j.status, j.allowed, j.version, j.config_version, \
         CASE WHEN j.allowed THEN j.name END AS name, CASE WHEN j.allowed THEN j.config END AS config, \
         CASE WHEN j.allowed THEN j.worker_urls END AS worker_urls, CASE WHEN j.allowed THEN j.paused_reason END AS paused_reason, \
         j.paused_at, j.pause_override_until, j.self_hosted, j.created_at, j.updated_at, \
         (SELECT e.body FROM instance_effective e WHERE e.instance_id = j.instance_id AND j.allowed) AS body FROM judged j"
    ))
    .bind(caller.as_str())
    .bind(instance_id.as_str())
}

impl InstanceRow {
    /// Reads the result of [`for_caller`]; `None` when there is none.
    pub fn read(rows: &Rows) -> Result<Option<Self>> {
        rows.first().map(Self::from_row).transpose()
    }

    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            instance_id: columns::word(row, "instance_id")?,
            org_id: columns::word(row, "org_id")?,
            status: columns::word(row, "status")?,
            allowed: row.flag("allowed"),
            name: columns::text_or_null(row, "name").unwrap_or_default(),
            config: columns::json_or_null(row, "config")?.unwrap_or_default(),
            worker_urls: columns::json_or_null(row, "worker_urls")?.unwrap_or_default(),
            paused_reason: columns::text_or_null(row, "paused_reason"),
            paused_at: columns::time_or_null(row, "paused_at")?,
            pause_override_until: columns::time_or_null(row, "pause_override_until")?,
            self_hosted: row.flag("self_hosted"),
            version: columns::int(row, "version")?,
            config_version: columns::int(row, "config_version")?,
            created_at: columns::time_or_null(row, "created_at")?,
            updated_at: columns::time_or_null(row, "updated_at")?,
            effective: columns::json_or_null(row, "body")?,
        })
    }
}

/// Filters of a list; `after` is the last id of the page before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListFilter {
    /// Of that organization.
    pub org_id: Option<String>,
    /// Of that status.
    pub status: Option<String>,
    /// Whose name or id contains that.
    pub q: Option<String>,
    /// Ids after that one.
    pub after: String,
}

impl ListFilter {
    /// Whether a list of everything may pass rows over.
    fn narrows(&self) -> bool {
        self.org_id.is_none() && (self.status.is_some() || self.q.is_some())
    }
}

/// The caller's instances by id; `limit` rows at most. That a provider refused a key stands beside the body, which workers
/// hold copies of and reports do not change. It begins with what the caller may see, so that a user with one
/// instance costs the same in a house of a hundred thousand; only a superadmin's list walks along all of them, in the
/// order of the key until the page is full, and not beyond the [`edge`].
pub fn list(caller: &KeyId, filter: &ListFilter, limit: i64) -> Statement {
    let bound = if filter.narrows() {
        let last = walk::last();
        format!(
            "AND i.instance_id <= coalesce((SELECT e.instance_id FROM instances e WHERE e.instance_id > ?2 ORDER BY e.instance_id {last}), '~')"
        )
    } else {
        String::new()
    };
    Statement::new(format!(
        "WITH who AS (SELECT k.instance_ids, k.user_id, u.role, u.org_id AS own_org, p.instance_id AS own_instance \
           FROM api_keys k LEFT JOIN users u ON u.user_id = k.user_id LEFT JOIN projects p ON p.project_id = k.project_id WHERE k.key_id = ?1), \
         seen AS (SELECT a.instance_id FROM who w JOIN user_instance_access a ON a.user_id = w.user_id WHERE w.role = 'user' AND a.instance_id > ?2 \
           UNION ALL SELECT i.instance_id FROM who w CROSS JOIN instances i ON i.org_id = CASE w.role WHEN 'admin' THEN w.own_org WHEN 'superadmin' THEN ?3 END \
             AND i.instance_id > ?2 AND i.status <> 'deleted' \
           UNION ALL SELECT n.value FROM who w CROSS JOIN json_each(w.instance_ids) n WHERE w.role = 'superadmin' AND ?3 IS NULL AND n.value > ?2 \
           UNION ALL SELECT w.own_instance FROM who w WHERE w.own_instance > ?2 \
           UNION ALL SELECT s.instance_id FROM (SELECT i.instance_id FROM instances i \
             WHERE i.instance_id > (SELECT iif(w.role = 'superadmin' AND w.instance_ids IS NULL AND ?3 IS NULL, ?2, '~') FROM who w) {bound} AND i.status <> 'deleted' \
               AND (?4 IS NULL OR i.status = ?4) \
               AND (?5 IS NULL OR instr(lower(i.name), lower(?5)) > 0 OR instr(i.instance_id, lower(?5)) > 0) \
             ORDER BY i.instance_id LIMIT ?6) s) \
         SELECT i.instance_id, i.org_id, i.name, i.status, i.worker_urls, i.version, i.created_at, i.updated_at, \
           json_extract(i.config, '$.environment') AS environment, json_extract(i.config, '$.budgets') AS budgets, \
           (SELECT json_group_object(s.key, iif(json_extract(s.value, '$.credential_state') = 'set' AND EXISTS (SELECT 1 FROM provider_credentials f \
                WHERE f.instance_id = i.instance_id AND f.provider = s.key AND f.slot = 'current' AND f.last_error IS NOT NULL), \
                'failing', json_extract(s.value, '$.credential_state'))) FROM instance_effective e, json_each(e.body, '$.providers') s \
              WHERE e.instance_id = i.instance_id) AS key_states, \
           (SELECT json_object('deployment_id', d.deployment_id, 'status', d.status, 'created_at', d.created_at, 'ended_at', d.ended_at) \
              FROM deployments d WHERE d.instance_id = i.instance_id ORDER BY d.created_at DESC, d.deployment_id DESC LIMIT 1) AS last_deployment \
         FROM who w CROSS JOIN seen x CROSS JOIN instances i ON i.instance_id = x.instance_id \
         WHERE i.status <> 'deleted' \
           AND (w.instance_ids IS NULL OR i.instance_id IN (SELECT value FROM json_each(w.instance_ids))) \
           AND (?3 IS NULL OR i.org_id = ?3) AND (?4 IS NULL OR i.status = ?4) \
           AND (?5 IS NULL OR instr(lower(i.name), lower(?5)) > 0 OR instr(i.instance_id, lower(?5)) > 0) \
         ORDER BY i.instance_id LIMIT ?6"
    ))
    .bind(caller.as_str())
    .bind(&filter.after)
    .bind(filter.org_id.as_ref())
    .bind(filter.status.as_ref())
    .bind(filter.q.as_ref())
    .bind(limit)
}

/// Where the page of a filtered list of everything stops, for [`walk::read`].
pub fn edge(caller: &KeyId, filter: &ListFilter) -> Option<Statement> {
    let (after, last) = (walk::of_superadmin("?2", "'~'"), walk::last());
    let sql = format!(
        "SELECT e.instance_id AS first FROM instances e WHERE e.instance_id > {after} ORDER BY e.instance_id {last}"
    );
    let statement = Statement::new(sql).bind(caller.as_str());
    filter.narrows().then(|| statement.bind(&filter.after))
}

/// One line of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceSummary {
    /// Id.
    pub instance_id: InstanceId,
    /// Organization.
    pub org_id: OrgId,
    /// Name.
    pub name: String,
    /// Status.
    pub status: InstanceStatus,
    /// `production`, `development` or another word of the team.
    pub environment: Option<String>,
    /// URLs of its workers.
    pub worker_urls: Value,
    /// Spending ceilings.
    pub budgets: Value,
    /// State of the key of each provider.
    pub key_states: Value,
    /// Its newest deployment, with status and times; null before the first.
    pub last_deployment: Value,
    /// Version of the row.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl InstanceSummary {
    /// Reads the result of [`list`].
    pub fn read_all(rows: &Rows) -> Result<Vec<Self>> {
        rows.rows
            .iter()
            .map(|row| {
                Ok(Self {
                    instance_id: columns::word(row, "instance_id")?,
                    org_id: columns::word(row, "org_id")?,
                    name: columns::text(row, "name")?,
                    status: columns::word(row, "status")?,
                    environment: columns::text_or_null(row, "environment"),
                    worker_urls: columns::json(row, "worker_urls")?,
                    budgets: columns::json_or_null(row, "budgets")?
                        .unwrap_or_else(|| Value::Array(Vec::new())),
                    key_states: columns::json_or_null(row, "key_states")?.unwrap_or_default(),
                    last_deployment: columns::json_or_null(row, "last_deployment")?
                        .unwrap_or_default(),
                    version: columns::int(row, "version")?,
                    created_at: columns::time(row, "created_at")?,
                    updated_at: columns::time(row, "updated_at")?,
                })
            })
            .collect()
    }
}

/// A new instance.
#[derive(Clone, Debug)]
pub struct NewInstance<'a> {
    /// Id.
    pub instance_id: &'a InstanceId,
    /// Organization.
    pub org_id: &'a OrgId,
    /// Name.
    pub name: &'a str,
    /// JSON of what people edit.
    pub config: &'a str,
    /// First status, as it is written.
    pub status: &'a str,
    /// Now.
    pub now: Timestamp,
}

/// Creates it. A tombstone of the same organization is taken over with rising versions, so that copies of the old
/// configuration stay older; any other instance of that name is a violated UNIQUE.
pub fn create(new: &NewInstance<'_>) -> Statement {
    Statement::new(
        "INSERT INTO instances (instance_id, org_id, name, config, created_at, status, updated_at) VALUES (?1, ?2, ?3, ?4, ?6, ?5, ?6) \
         ON CONFLICT (instance_id) DO UPDATE SET name = excluded.name, config = excluded.config, created_at = excluded.created_at, \
           status = excluded.status, paused_reason = NULL, paused_at = NULL, pause_override_until = NULL, self_hosted = 0, \
           worker_urls = '{}', version = version + 1, config_version = config_version + 1, updated_at = excluded.updated_at, deleted_at = NULL",
    )
    .bind(new.instance_id.as_str())
    .bind(new.org_id.as_str())
    .bind(new.name)
    .bind(new.config)
    .bind(new.status)
    .bind(new.now.to_string())
}

/// Refuses unless the id is free, or a tombstone of that organization at that version.
pub fn guard_free(instance_id: &InstanceId, org_id: &OrgId, tombstone: Option<i64>) -> Statement {
    require(
        "SELECT CASE WHEN ?3 IS NULL THEN count(*) = 0 ELSE sum(status = 'deleted' AND org_id = ?2 AND version = ?3) = 1 END \
         FROM instances WHERE instance_id = ?1",
        vec![
            instance_id.as_str().into(),
            org_id.as_str().into(),
            tombstone.into(),
        ],
    )
}

/// Who has an id: organization, status, versions, as columns; tombstones too.
pub fn taken(instance_id: &InstanceId) -> Statement {
    Statement::new(
        "SELECT org_id, status, version, config_version FROM instances WHERE instance_id = ?1",
    )
    .bind(instance_id.as_str())
}

/// Refuses unless configuration and row have not changed since they were read.
pub fn guard_config_version(instance_id: &InstanceId, config_version: i64) -> Statement {
    require(
        "SELECT config_version = ?2 AND status <> 'deleted' FROM instances WHERE instance_id = ?1",
        vec![
            instance_id.as_str().into(),
            SqlValue::Integer(config_version),
        ],
    )
}

/// Refuses unless the row still has that version and was not deleted.
pub fn guard_version(instance_id: &InstanceId, version: i64) -> Statement {
    require(
        "SELECT version = ?2 AND status <> 'deleted' FROM instances WHERE instance_id = ?1",
        vec![instance_id.as_str().into(), version.into()],
    )
}

/// Refuses unless the row still has that version and that status.
pub fn guard_status(instance_id: &InstanceId, version: i64, status: &str) -> Statement {
    require(
        "SELECT version = ?2 AND status = ?3 FROM instances WHERE instance_id = ?1",
        vec![instance_id.as_str().into(), version.into(), status.into()],
    )
}

/// What an edit leaves behind.
#[derive(Clone, Copy, Debug)]
pub struct Edited<'a> {
    /// Name.
    pub name: &'a str,
    /// JSON of what people edit.
    pub config: &'a str,
    /// JSON of the URLs of its workers.
    pub worker_urls: &'a str,
    /// Whether a superadmin marked it as self-hosted.
    pub self_hosted: bool,
}

/// Writes an edit; row and configuration get a new version.
pub fn edit(instance_id: &InstanceId, edited: Edited<'_>, now: Timestamp) -> Statement {
    Statement::new(
        "UPDATE instances SET name = ?2, config = ?3, worker_urls = ?4, self_hosted = ?5, version = version + 1, \
           config_version = config_version + 1, updated_at = ?6 WHERE instance_id = ?1",
    )
    .bind(instance_id.as_str())
    .bind(edited.name)
    .bind(edited.config)
    .bind(edited.worker_urls)
    .bind(edited.self_hosted)
    .bind(now.to_string())
}

/// Which of those budget scopes (`project:<id>`, `key:<id>`) exist: projects of the instance, keys of its
/// organization. For an instance that does not exist yet, the organization is the named one or the caller's.
/// Column `scope`.
pub fn known_scopes(
    instance_id: Option<&InstanceId>,
    org_id: Option<&OrgId>,
    caller: &KeyId,
    scopes: &[String],
) -> Statement {
    Statement::new(
        "WITH home AS (SELECT coalesce((SELECT i.org_id FROM instances i WHERE i.instance_id = ?1 AND i.status <> 'deleted'), ?2, \
           (SELECT u.org_id FROM api_keys c JOIN users u ON u.user_id = c.user_id WHERE c.key_id = ?3)) AS org_id) \
         SELECT x.value AS scope FROM home h CROSS JOIN json_each(?4) x WHERE CASE \
           WHEN x.value LIKE 'project:%' THEN EXISTS (SELECT 1 FROM projects p \
             WHERE p.project_id = substr(x.value, 9) AND p.instance_id = ?1 AND p.status = 'active') \
           WHEN x.value LIKE 'key:%' THEN EXISTS (SELECT 1 FROM api_keys k LEFT JOIN users o ON o.user_id = k.user_id \
             LEFT JOIN projects q ON q.project_id = k.project_id LEFT JOIN instances j ON j.instance_id = q.instance_id \
             WHERE k.key_id = substr(x.value, 5) AND k.kind = 'key' AND coalesce(o.org_id, j.org_id) = h.org_id) END",
    )
    .bind(instance_id.map(InstanceId::as_str))
    .bind(org_id.map(OrgId::as_str))
    .bind(caller.as_str())
    .bind(serde_json::json!(scopes).to_string())
}

/// Reads the result of [`known_scopes`].
pub fn read_scopes(rows: &Rows) -> Result<Vec<String>> {
    rows.rows
        .iter()
        .map(|row| columns::text(row, "scope"))
        .collect()
}

/// Stores what workers get. `sha256` is that of `body`.
pub fn put_effective(
    instance_id: &InstanceId,
    config_version: i64,
    body: &str,
    sha256: &str,
    now: Timestamp,
) -> Statement {
    Statement::new(
        "INSERT INTO instance_effective (instance_id, config_version, body, sha256, created_at) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT (instance_id) DO UPDATE SET config_version = excluded.config_version, body = excluded.body, \
           sha256 = excluded.sha256, created_at = excluded.created_at",
    )
    .bind(instance_id.as_str())
    .bind(config_version)
    .bind(body)
    .bind(sha256)
    .bind(now.to_string())
}

/// Raises `config_version` to that value, for changes that leave the instance's own row as it is.
pub fn set_config_version(instance_id: &InstanceId, config_version: i64) -> Statement {
    Statement::new("UPDATE instances SET config_version = ?2 WHERE instance_id = ?1")
        .bind(instance_id.as_str())
        .bind(config_version)
}

/// Notes that KV holds that version; an older note changes nothing, and one for a tombstone neither: its copy must go.
pub fn mark_published(instance_id: &InstanceId, config_version: i64, now: Timestamp) -> Statement {
    Statement::new(
        "UPDATE instances SET published_version = ?2, published_at = ?3 WHERE instance_id = ?1 AND published_version <= ?2 AND status <> 'deleted'",
    )
    .bind(instance_id.as_str())
    .bind(config_version)
    .bind(now.to_string())
}

/// What workers get, without a caller.
pub fn effective(instance_id: &InstanceId, have: Option<i64>) -> Statement {
    Statement::new(
        "SELECT i.config_version, CASE WHEN ?2 IS NOT i.config_version THEN e.body END AS body FROM instances i \
         JOIN instance_effective e ON e.instance_id = i.instance_id WHERE i.instance_id = ?1 AND i.status <> 'deleted'",
    )
    .bind(instance_id.as_str())
    .bind(have)
}

/// Configurations that KV does not have yet, at most `limit`.
pub fn unpublished(limit: i64) -> Statement {
    Statement::new(
        "SELECT e.body FROM instances i INDEXED BY instances_unpublished \
         JOIN instance_effective e ON e.instance_id = i.instance_id \
         WHERE i.published_version < i.config_version AND i.status <> 'deleted' LIMIT ?1",
    )
    .bind(limit)
}

/// Configurations whose KV copy was confirmed before that time, at most `limit`.
pub fn published_before(before: Timestamp, limit: i64) -> Statement {
    Statement::new(
        "SELECT e.body FROM instances i INDEXED BY instances_by_publication \
         JOIN instance_effective e ON e.instance_id = i.instance_id \
         WHERE i.published_at < ?1 AND i.status <> 'deleted' ORDER BY i.published_at LIMIT ?2",
    )
    .bind(before.to_string())
    .bind(limit)
}

/// The configurations of [`unpublished`] and [`published_before`]; one that cannot be read is left out.
pub fn read_bodies(rows: &Rows) -> Vec<Result<InstanceConfig>> {
    rows.rows
        .iter()
        .map(|row| columns::json(row, "body"))
        .collect()
}

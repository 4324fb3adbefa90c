//! Table `instances`: status, pause, and the end of an instance.
//!
//! In scope: the statements of each transition. Out of scope: which transitions there are (config-service).

use super::{instances, prices, registry};
use api_types::{InstanceId, Timestamp};
use errors::Result;
use platform::{Rows, Statement};

/// The instance for a worker of the house, which needs no access of its own.
pub fn for_worker(instance_id: &InstanceId) -> Statement {
    Statement::new(
        "SELECT i.instance_id, i.org_id, i.status, 1 AS allowed, i.version, i.config_version, i.name, i.config, i.worker_urls, \
           i.paused_reason, i.paused_at, i.pause_override_until, i.self_hosted, i.created_at, i.updated_at, NULL AS body \
         FROM instances i WHERE i.instance_id = ?1 AND i.status <> 'deleted'",
    )
    .bind(instance_id.as_str())
}

/// Sets the status, as it is written; a pause ends with it.
pub fn set_status(instance_id: &InstanceId, status: &str, now: Timestamp) -> Statement {
    Statement::new(
        "UPDATE instances SET status = ?2, paused_reason = NULL, paused_at = NULL, version = version + 1, updated_at = ?3 WHERE instance_id = ?1",
    )
    .bind(instance_id.as_str())
    .bind(status)
    .bind(now.to_string())
}

/// Pauses.
pub fn pause(instance_id: &InstanceId, reason: &str, now: Timestamp) -> Statement {
    Statement::new(
        "UPDATE instances SET status = 'paused', paused_reason = ?2, paused_at = ?3, version = version + 1, updated_at = ?3 WHERE instance_id = ?1",
    )
    .bind(instance_id.as_str())
    .bind(reason)
    .bind(now.to_string())
}

/// Resumes. Until `override_until` the cost guard must not pause again; `None` leaves that as it is.
pub fn resume(
    instance_id: &InstanceId,
    override_until: Option<Timestamp>,
    now: Timestamp,
) -> Statement {
    Statement::new(
        "UPDATE instances SET status = 'active', paused_reason = NULL, paused_at = NULL, \
           pause_override_until = coalesce(?2, pause_override_until), version = version + 1, updated_at = ?3 WHERE instance_id = ?1",
    )
    .bind(instance_id.as_str())
    .bind(override_until.map(|until| until.to_string()))
    .bind(now.to_string())
}

/// Makes a tombstone of an instance that is being deleted at that version: keys of its projects are revoked, provider
/// keys erased, access, projects and prices ended, the configuration emptied. `config_version` rises, so that the copy
/// in KV counts as not yet removed.
pub fn bury(instance_id: &InstanceId, version: i64, by: &str, now: Timestamp) -> Vec<Statement> {
    let of = |sql: &'static str| Statement::new(sql).bind(instance_id.as_str());
    let now_text = now.to_string();
    let mut statements = vec![
        instances::guard_status(instance_id, version, "deleting"),
        of(
            "UPDATE api_keys SET revoked_at = ?2, revoked_by = ?3, revoke_reason = 'instance deleted', version = version + 1 \
             WHERE project_id IN (SELECT project_id FROM projects WHERE instance_id = ?1) AND revoked_at IS NULL",
        )
        .bind(&now_text)
        .bind(by),
        of("DELETE FROM provider_credentials WHERE instance_id = ?1"),
        of("DELETE FROM user_instance_access WHERE instance_id = ?1"),
        of(
            "UPDATE projects SET status = 'deleted', version = version + 1, updated_at = ?2 WHERE instance_id = ?1 AND status = 'active'",
        )
        .bind(&now_text),
    ];
    statements.extend(prices::end_of_instance(instance_id, now));
    // Nobody answers there any more, so nobody must ask for its health.
    statements.extend(registry::forget_instance(instance_id));
    statements.extend([
        of("DELETE FROM instance_effective WHERE instance_id = ?1"),
        of(
            "UPDATE instances SET status = 'deleted', config = '{}', worker_urls = '{}', paused_reason = NULL, paused_at = NULL, \
               pause_override_until = NULL, self_hosted = 0, version = version + 1, config_version = config_version + 1, \
               deleted_at = ?2, updated_at = ?2 WHERE instance_id = ?1",
        )
        .bind(&now_text),
    ]);
    statements
}

/// Whether the instance is a tombstone: one row or none. Asked in the batch that notes a put of its copy.
pub fn buried(instance_id: &InstanceId) -> Statement {
    Statement::new(
        "SELECT 1 AS buried FROM instances WHERE instance_id = ?1 AND status = 'deleted'",
    )
    .bind(instance_id.as_str())
}

/// A tombstone whose copy in KV may still be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unremoved {
    /// Id.
    pub instance_id: InstanceId,
    /// Version at which it was buried.
    pub config_version: i64,
}

/// Tombstones made before that time whose copy in KV was not removed for good, at most `limit`.
pub fn unremoved(before: Timestamp, limit: i64) -> Statement {
    Statement::new(
        "SELECT instance_id, config_version FROM instances INDEXED BY instances_unpublished \
         WHERE published_version < config_version AND status = 'deleted' AND deleted_at <= ?1 LIMIT ?2",
    )
    .bind(before.to_string())
    .bind(limit)
}

impl Unremoved {
    /// Reads the result of [`unremoved`].
    pub fn read_all(rows: &Rows) -> Result<Vec<Self>> {
        rows.rows
            .iter()
            .map(|row| {
                Ok(Self {
                    instance_id: super::columns::word(row, "instance_id")?,
                    config_version: super::columns::int(row, "config_version")?,
                })
            })
            .collect()
    }

    /// Notes that the copy is gone for good; an instance made anew under this id is left alone.
    pub fn mark(&self) -> Statement {
        Statement::new(
            "UPDATE instances SET published_version = config_version WHERE instance_id = ?1 AND config_version = ?2 AND status = 'deleted'",
        )
        .bind(self.instance_id.as_str())
        .bind(self.config_version)
    }
}

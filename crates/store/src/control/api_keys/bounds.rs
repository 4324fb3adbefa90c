//! What the caller's own key is bounded by: nobody makes a key that can do more.

use crate::control::columns;
use api_types::{InstanceId, KeyId, OrgId, Timestamp};
use errors::Result;
use platform::{Rows, Statement};

/// An instance that a new key shall be restricted to, as the minting caller stands towards it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grantable {
    /// The asked id.
    pub instance_id: String,
    /// Its organization; `None` when there is no such instance.
    pub org_id: Option<OrgId>,
    /// Whether the caller may use it.
    pub allowed: bool,
}

/// Each of those instances, judged for the caller.
pub fn grantable(caller: &KeyId, instance_ids: &[InstanceId]) -> Statement {
    let ids: Vec<&str> = instance_ids.iter().map(InstanceId::as_str).collect();
    Statement::new(
        "SELECT x.value AS instance_id, i.org_id, \
           (CASE WHEN u.role = 'superadmin' THEN 1 WHEN u.role = 'admin' THEN i.org_id = u.org_id \
             WHEN u.role = 'user' THEN EXISTS (SELECT 1 FROM user_instance_access a WHERE a.user_id = k.user_id AND a.instance_id = i.instance_id) \
             ELSE i.instance_id = p.instance_id END) \
           AND (k.instance_ids IS NULL OR i.instance_id IN (SELECT value FROM json_each(k.instance_ids))) AS allowed \
         FROM api_keys k LEFT JOIN users u ON u.user_id = k.user_id LEFT JOIN projects p ON p.project_id = k.project_id \
         CROSS JOIN json_each(?2) x LEFT JOIN instances i ON i.instance_id = x.value AND i.status <> 'deleted' WHERE k.key_id = ?1",
    )
    .bind(caller.as_str())
    .bind(serde_json::json!(ids).to_string())
}

impl Grantable {
    /// Reads the result of [`grantable`].
    pub fn read_all(rows: &Rows) -> Result<Vec<Self>> {
        rows.rows
            .iter()
            .map(|row| {
                Ok(Self {
                    instance_id: columns::text(row, "instance_id")?,
                    org_id: columns::word_or_null(row, "org_id")?,
                    allowed: row.flag("allowed"),
                })
            })
            .collect()
    }
}

/// What the caller's key is bounded by, which no key that it makes may go beyond.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Instances it is restricted to; `None` for all of its owner.
    pub instance_ids: Option<Vec<InstanceId>>,
    /// When it ends by itself; for a session, when its parent does.
    pub expires_at: Option<Timestamp>,
    /// Of a session: when the secret that opened it ends, once it is no longer the current one.
    pub secret_ends_at: Option<Timestamp>,
    /// Whether it holds `*`: all that the role of its owner allows, also when that is a higher one.
    pub every_scope: bool,
}

/// The bounds of the caller's key.
pub fn bounds(caller: &KeyId) -> Statement {
    Statement::new(
        "SELECT coalesce(s.instance_ids, k.instance_ids) AS instance_ids, \
         CASE WHEN k.kind = 'session' THEN s.expires_at ELSE k.expires_at END AS expires_at, k.secret_ends_at, \
         instr(coalesce(s.scopes, k.scopes), '\"*\"') > 0 AS every_scope \
         FROM api_keys k LEFT JOIN api_keys s ON s.key_id = k.parent_key_id WHERE k.key_id = ?1",
    )
    .bind(caller.as_str())
}

impl Bounds {
    /// Reads the result of [`bounds`].
    pub fn read(rows: &Rows) -> Result<Self> {
        let Some(row) = rows.first() else {
            return Ok(Self::default());
        };
        Ok(Self {
            instance_ids: columns::json_or_null(row, "instance_ids")?,
            expires_at: columns::time_or_null(row, "expires_at")?,
            secret_ends_at: columns::time_or_null(row, "secret_ends_at")?,
            every_scope: row.flag("every_scope"),
        })
    }
}

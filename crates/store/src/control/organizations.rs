//! Table `organizations`.

use super::columns;
use api_types::{KeyId, OrgId, Timestamp};
use errors::Result;
use platform::{Rows, Statement};

/// An organization, as far as others need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrganizationRow {
    /// Id.
    pub org_id: OrgId,
    /// Name.
    pub name: String,
}

/// The named organization, or that of the caller's owner when none is named.
pub fn named_or_own(org_id: Option<&OrgId>, caller: &KeyId) -> Statement {
    Statement::new(
        "SELECT o.org_id, o.name FROM organizations o WHERE o.org_id = coalesce(?1, \
         (SELECT coalesce(u.org_id, i.org_id) FROM api_keys k LEFT JOIN users u ON u.user_id = k.user_id \
            LEFT JOIN projects p ON p.project_id = k.project_id LEFT JOIN instances i ON i.instance_id = p.instance_id WHERE k.key_id = ?2))",
    )
    .bind(org_id.map(OrgId::as_str))
    .bind(caller.as_str())
}

impl OrganizationRow {
    /// Reads the result of [`named_or_own`]; `None` when there is none.
    pub fn read(rows: &Rows) -> Result<Option<Self>> {
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        Ok(Some(Self {
            org_id: columns::word(row, "org_id")?,
            name: columns::text(row, "name")?,
        }))
    }
}

/// Creates one.
pub fn create(org_id: &OrgId, name: &str, billing_email: &str, now: Timestamp) -> Statement {
    Statement::new(
        "INSERT INTO organizations (org_id, name, billing_email, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?4)",
    )
    .bind(org_id.as_str())
    .bind(name)
    .bind(billing_email)
    .bind(now.to_string())
}

//! Table `organizations`.

use super::columns;
use api_types::{OrgId, Timestamp};
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

/// The organization with that id.
pub fn by_id(org_id: &OrgId) -> Statement {
    Statement::new("SELECT org_id, name FROM organizations WHERE org_id = ?1").bind(org_id.as_str())
}

impl OrganizationRow {
    /// Reads the result of [`by_id`]; `None` when there is none.
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

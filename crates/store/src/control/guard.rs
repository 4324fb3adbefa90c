//! Guards: statements that refuse the whole batch unless something still holds, and what a refused batch says.
//!
//! In scope: the form of a guard, quotas, telling violated constraints apart. Out of scope: what to answer.

use api_types::{KeyId, OrgId};
use platform::{DbError, DbErrorKind, SqlValue, Statement};

/// Refuses the batch unless `condition` gives 1. It is a scalar subquery, so a missing row refuses too.
pub fn require(condition: &str, params: Vec<SqlValue>) -> Statement {
    Statement {
        sql: format!("INSERT INTO guard (ok) VALUES (({condition}))").into(),
        params,
    }
}

/// The most rows of a kind that may exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quota {
    /// Organizations of the platform, deleted ones not counted.
    Organizations,
    /// Instances of an organization, tombstones not counted.
    Instances,
    /// Users of an organization, deleted ones not counted.
    Users,
    /// Active projects of an instance.
    Projects,
    /// Users with access to one instance.
    Access,
    /// Live keys of a user.
    UserKeys,
    /// Live keys of a project.
    ProjectKeys,
    /// Registered workers of one instance, or of the platform.
    Workers,
    /// Prices of an instance that have not ended.
    InstancePrices,
    /// Prices for all instances of an organization that have not ended.
    OrganizationPrices,
}

impl Quota {
    /// The most there may be.
    pub const fn limit(self) -> i64 {
        match self {
            Self::Organizations | Self::Users | Self::Projects => 1_000,
            Self::Instances => 100,
            Self::Access | Self::InstancePrices | Self::OrganizationPrices => 500,
            Self::UserKeys | Self::ProjectKeys => 20,
            Self::Workers => 50,
        }
    }

    /// What is counted, in words.
    pub const fn what(self) -> &'static str {
        match self {
            Self::Organizations => "organizations",
            Self::Instances => "instances of the organization",
            Self::Users => "users of the organization",
            Self::Projects => "projects of the instance",
            Self::Access => "users with access to the instance",
            Self::UserKeys => "active keys of the user",
            Self::ProjectKeys => "active keys of the project",
            Self::Workers => "registered workers of the instance",
            Self::InstancePrices => "open prices of the instance",
            Self::OrganizationPrices => "open prices for all instances of the organization",
        }
    }

    const fn count_of(self) -> &'static str {
        match self {
            Self::Organizations => "FROM organizations WHERE ?1 IS NOT NULL AND deleted_at IS NULL",
            Self::Instances => "FROM instances WHERE org_id = ?1 AND status <> 'deleted'",
            Self::Users => "FROM users WHERE org_id = ?1 AND status <> 'deleted'",
            Self::Projects => "FROM projects WHERE instance_id = ?1 AND status = 'active'",
            Self::Access => "FROM user_instance_access WHERE instance_id = ?1",
            Self::Workers => "FROM worker_registry WHERE instance_id = ?1",
            Self::UserKeys => {
                "FROM api_keys WHERE user_id = ?1 AND kind = 'key' AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?2)"
            }
            Self::ProjectKeys => {
                "FROM api_keys WHERE project_id = ?1 AND kind = 'key' AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?2)"
            }
            Self::InstancePrices => {
                "FROM price_overrides INDEXED BY price_overrides_open WHERE org_id = (SELECT i.org_id FROM instances i WHERE i.instance_id = ?1) \
                 AND coalesce(valid_to, '9999') > ?2 AND instance_id = ?1"
            }
            Self::OrganizationPrices => {
                "FROM price_overrides INDEXED BY price_overrides_open WHERE org_id = ?1 AND coalesce(valid_to, '9999') > ?2 AND instance_id IS NULL"
            }
        }
    }

    fn params(self, owner: &str, now: &str) -> Vec<SqlValue> {
        match self {
            Self::UserKeys
            | Self::ProjectKeys
            | Self::InstancePrices
            | Self::OrganizationPrices => vec![owner.into(), now.into()],
            _ => vec![owner.into()],
        }
    }

    /// Reads the count as column `n`. `now` (RFC 3339) decides which keys have ended.
    pub fn count(self, owner: &str, now: &str) -> Statement {
        Statement {
            sql: format!("SELECT count(*) AS n {}", self.count_of()).into(),
            params: self.params(owner, now),
        }
    }

    /// The same for users and instances of the named organization, or of the caller's own when none is named.
    pub fn count_in(self, org_id: Option<&OrgId>, caller: &KeyId) -> Statement {
        const OWN: &str = "coalesce(?1, (SELECT u.org_id FROM api_keys k JOIN users u ON u.user_id = k.user_id WHERE k.key_id = ?2))";
        Statement {
            sql: format!(
                "SELECT count(*) AS n {}",
                self.count_of().replace("?1", OWN)
            )
            .into(),
            params: vec![org_id.map(OrgId::as_str).into(), caller.as_str().into()],
        }
    }

    /// The same for the user who owns that key.
    pub fn count_of_owner(self, key_id: &KeyId, now: &str) -> Statement {
        const OWNER: &str = "(SELECT o.user_id FROM api_keys o WHERE o.key_id = ?1)";
        Statement {
            sql: format!(
                "SELECT count(*) AS n {}",
                self.count_of().replace("?1", OWNER)
            )
            .into(),
            params: self.params(key_id.as_str(), now),
        }
    }

    /// Refuses the batch when one more would be too many, so racers cannot pass together.
    pub fn guard(self, owner: &str, now: &str) -> Statement {
        let condition = format!("SELECT count(*) < {} {}", self.limit(), self.count_of());
        require(&condition, self.params(owner, now))
    }
}

/// Which rule of the schema refused a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// Another writer took the next place of the audit chain.
    AuditHead,
    /// The same `Idempotency-Key` was written at the same moment.
    Idempotency,
    /// A guard: something changed since it was read.
    Guard,
    /// The instance id is taken.
    InstanceId,
    /// The e-mail is taken in this organization.
    UserEmail,
    /// The project's name is taken in this instance.
    ProjectName,
    /// The provider has a current key already.
    CurrentCredential,
    /// Another UNIQUE, FOREIGN KEY or CHECK.
    Other,
}

impl Violation {
    /// Reads it from the database's text; `None` when the failure is none of these.
    pub fn of(error: &DbError) -> Option<Self> {
        let has = |part: &str| error.cause.contains(part);
        match error.kind {
            DbErrorKind::Guard => Some(Self::Guard),
            DbErrorKind::Constraint if has("audit_log.") => Some(Self::AuditHead),
            DbErrorKind::Constraint if has("idempotency.") => Some(Self::Idempotency),
            DbErrorKind::Constraint if has("instances.instance_id") => Some(Self::InstanceId),
            DbErrorKind::Constraint if has("users_by_email") => Some(Self::UserEmail),
            DbErrorKind::Constraint if has("projects_by_name") => Some(Self::ProjectName),
            DbErrorKind::Constraint if has("provider_credentials.instance_id") => {
                Some(Self::CurrentCredential)
            }
            DbErrorKind::Constraint => Some(Self::Other),
            DbErrorKind::Unavailable | DbErrorKind::Other => None,
        }
    }
}

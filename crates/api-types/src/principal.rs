//! Who is calling and what the caller may do.

use crate::{InstanceId, KeyId, OrgId, ProjectId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

/// A user's role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Assigned instances of its organization.
    User,
    /// Its whole organization.
    Admin,
    /// The platform; belongs to no organization.
    Superadmin,
}

/// What kind of credential was presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrincipalKind {
    /// A key of a user.
    UserKey,
    /// A key of a project; it sees that project only.
    ProjectKey,
    /// A short-lived key that acts as its parent.
    Session,
    /// A worker of the house, by the props of its service binding.
    System,
}

macro_rules! scopes {
    ($($variant:ident $name:literal;)+) => {
        /// What a key may be used for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Scope {
            $(
                #[doc = concat!("`", $name, "`")]
                #[serde(rename = $name)]
                $variant,
            )+
        }

        impl Scope {
            /// All scopes.
            pub const ALL: &'static [Scope] = &[$(Scope::$variant,)+];

            /// The scope as it is written.
            pub const fn as_str(self) -> &'static str {
                match self { $(Scope::$variant => $name,)+ }
            }
        }
    };
}

scopes! {
    ImagesRead "images:read";
    ImagesWrite "images:write";
    TasksRead "tasks:read";
    TasksWrite "tasks:write";
    RepoRead "repo:read";
    RepoWrite "repo:write";
    TelemetryRead "telemetry:read";
    TelemetryWrite "telemetry:write";
    ConfigRead "config:read";
    ConfigWrite "config:write";
    KeysWrite "keys:write";
    SecretsWrite "secrets:write";
    AuditRead "audit:read";
    PlatformWrite "platform:write";
    All "*";
}

/// The user behind a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRef {
    /// Id.
    pub user_id: UserId,
    /// E-mail.
    pub email: String,
    /// Organization; `None` for a superadmin.
    pub org_id: Option<OrgId>,
}

/// Which of a rotating key's two secrets was presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretVersion {
    /// The current one.
    Current,
    /// The one that ends at `expires_at`.
    Previous,
}

/// The key that was presented.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRef {
    /// Public id.
    pub key_id: KeyId,
    /// Which secret.
    pub secret: SecretVersion,
    /// When what was presented stops working.
    pub expires_at: Option<Timestamp>,
}

/// The verified caller. It is part of a verdict and is never older than 5 seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthContext {
    /// `key:<key_id>` or `system:<worker>`; stable, for audit and idempotency.
    pub principal: String,
    /// Kind of credential.
    pub kind: PrincipalKind,
    /// Effective role.
    pub role: Role,
    /// Owner; `None` for project keys.
    pub user: Option<UserRef>,
    /// Organization of the owner or of the project; `None` for superadmins and system.
    pub org_id: Option<OrgId>,
    /// The key.
    pub key: Option<KeyRef>,
    /// The one project of a project key.
    pub project_id: Option<ProjectId>,
    /// Instances it may use, at most 50.
    pub instances: Vec<InstanceId>,
    /// Whether there are more.
    pub instances_more: bool,
    /// Scopes of the key, bounded by the role.
    pub permissions: Vec<Scope>,
}

impl AuthContext {
    /// A worker of the house, known by its binding: it has no role and no scopes of its own.
    pub fn of_worker(name: &str) -> Self {
        Self {
            principal: format!("system:{name}"),
            kind: PrincipalKind::System,
            role: Role::User,
            user: None,
            org_id: None,
            key: None,
            project_id: None,
            instances: Vec::new(),
            instances_more: false,
            permissions: Vec::new(),
        }
    }

    /// Whether the key carries that scope (or `*`).
    pub fn has_scope(&self, scope: Scope) -> bool {
        self.permissions
            .iter()
            .any(|have| *have == scope || *have == Scope::All)
    }
}

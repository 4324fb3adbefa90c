//! Who holds a key and which instance the request is about: the statements of one read batch.
//!
//! In scope: key, owner, choices; the chosen instance; the project. Out of scope: verifying the secret, refusals.
//! The choice is made in SQL and a configuration is joined only when the caller may use the instance, so a foreign
//! one never leaves the database.

use super::columns;
use api_types::{
    InstanceConfig, InstanceId, InstanceStatus, KeyId, OrgId, ProjectId, Role, Scope, Timestamp,
    UserId,
};
use errors::Result;
use platform::{Row, Rows, Statement};
use std::collections::BTreeMap;

/// Choices that are told at most; one more row is read to know whether there are more.
pub const MAX_CHOICES: usize = 20;

/// Who a key belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A user.
    User {
        /// Id.
        user_id: UserId,
        /// E-mail.
        email: String,
        /// Role.
        role: Role,
        /// Organization; `None` for superadmins.
        org_id: Option<OrgId>,
    },
    /// A project.
    Project {
        /// Id.
        project_id: ProjectId,
        /// Its instance.
        instance_id: InstanceId,
        /// Organization of that instance.
        org_id: OrgId,
    },
}

/// A key with its owner, as far as verifying needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// Public id.
    pub key_id: KeyId,
    /// The key that a session acts as.
    pub parent_key_id: Option<KeyId>,
    /// Hex HMAC of the current secret.
    pub key_hash: String,
    /// Its pepper.
    pub pepper_id: String,
    /// The previous secret while both work: hash, pepper, end.
    pub previous: Option<(String, String, Timestamp)>,
    /// Scopes.
    pub scopes: Vec<Scope>,
    /// Scopes of a session's parent; `None` for keys.
    pub parent_scopes: Option<Vec<Scope>>,
    /// When the current secret was first used.
    pub secret_first_used_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it, or the parent of a session, was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Whether owner and organization are active.
    pub owner_active: bool,
    /// The owner.
    pub owner: Owner,
    /// Instances it may use: all of at most [`MAX_CHOICES`], or the hinted one alone.
    pub instances: Vec<InstanceId>,
    /// Whether there are more.
    pub instances_more: bool,
}

macro_rules! key_sql {
    ($choices:literal) => {
        concat!(
            "SELECT k.key_id, k.parent_key_id, k.key_hash, k.pepper_id, k.prev_key_hash, k.prev_pepper_id, \
             k.prev_expires_at, k.scopes, k.secret_first_used_at, k.last_used_at, k.expires_at, \
             coalesce(k.revoked_at, s.revoked_at) AS revoked_at, s.expires_at AS parent_expires_at, s.scopes AS parent_scopes, \
             k.user_id, u.email, u.role, u.org_id AS user_org, u.status AS user_status, \
             k.project_id, p.instance_id AS project_instance, p.status AS project_status, \
             h.org_id AS project_org, h.status AS home_status, o.status AS org_status, \
             (SELECT json_group_array(c.instance_id) FROM (",
            $choices,
            ") c) AS instances \
             FROM api_keys k \
             LEFT JOIN users u ON u.user_id = k.user_id \
             LEFT JOIN projects p ON p.project_id = k.project_id \
             LEFT JOIN instances h ON h.instance_id = p.instance_id \
             LEFT JOIN organizations o ON o.org_id = coalesce(u.org_id, h.org_id) \
             LEFT JOIN api_keys s ON s.key_id = k.parent_key_id \
             WHERE k.key_id = ?1"
        )
    };
}

// What a restricted key may use is looked up instance by instance: looking for it among all would read them all.
const KEY: &str = key_sql!(
    "SELECT x.instance_id FROM (\
       SELECT a.instance_id FROM user_instance_access a WHERE coalesce(k.instance_ids, s.instance_ids) IS NULL AND u.role = 'user' AND a.user_id = k.user_id \
       UNION ALL SELECT i.instance_id FROM instances i WHERE coalesce(k.instance_ids, s.instance_ids) IS NULL AND u.role = 'admin' AND i.org_id = u.org_id AND i.status <> 'deleted' \
       UNION ALL SELECT i.instance_id FROM instances i WHERE coalesce(k.instance_ids, s.instance_ids) IS NULL AND u.role = 'superadmin' AND i.status <> 'deleted' \
       UNION ALL SELECT p.instance_id WHERE coalesce(k.instance_ids, s.instance_ids) IS NULL AND k.project_id IS NOT NULL \
       UNION ALL SELECT i.instance_id FROM (SELECT DISTINCT value AS id FROM json_each(coalesce(k.instance_ids, s.instance_ids))) n \
         CROSS JOIN instances i ON i.instance_id = n.id AND i.status <> 'deleted' WHERE CASE \
           WHEN u.role = 'superadmin' THEN 1 WHEN u.role = 'admin' THEN i.org_id = u.org_id \
           WHEN u.role = 'user' THEN EXISTS (SELECT 1 FROM user_instance_access a WHERE a.user_id = k.user_id AND a.instance_id = i.instance_id) \
           ELSE i.instance_id = p.instance_id END \
         AND (s.instance_ids IS NULL OR i.instance_id IN (SELECT value FROM json_each(s.instance_ids)))\
     ) x LIMIT 21"
);

const KEY_HINTED: &str = key_sql!(
    "SELECT i.instance_id FROM instances i WHERE i.instance_id = ?2 AND i.status <> 'deleted' \
     AND CASE WHEN u.role = 'superadmin' THEN 1 WHEN u.role = 'admin' THEN i.org_id = u.org_id \
       WHEN u.role = 'user' THEN EXISTS (SELECT 1 FROM user_instance_access a WHERE a.user_id = k.user_id AND a.instance_id = i.instance_id) \
       ELSE i.instance_id = p.instance_id END \
     AND (k.instance_ids IS NULL OR i.instance_id IN (SELECT value FROM json_each(k.instance_ids))) \
     AND (s.instance_ids IS NULL OR i.instance_id IN (SELECT value FROM json_each(s.instance_ids)))"
);

/// Key, owner and choices. With a hint the only choice is the hinted instance.
pub fn key(key_id: &KeyId, hint: Option<&InstanceId>) -> Statement {
    match hint {
        Some(hint) => Statement::new(KEY_HINTED)
            .bind(key_id.as_str())
            .bind(hint.as_str()),
        None => Statement::new(KEY).bind(key_id.as_str()),
    }
}

impl KeyRow {
    /// Reads the result of [`key`]; `None` when there is no such key.
    pub fn read(rows: &Rows) -> Result<Option<Self>> {
        rows.first().map(Self::from_row).transpose()
    }

    fn from_row(row: &Row) -> Result<Self> {
        let organization_active = row.text("org_status").is_none_or(|s| s == "active");
        let (owner, owner_active) = if let Some(user_id) = columns::word_or_null(row, "user_id")? {
            let owner = Owner::User {
                user_id,
                email: columns::text(row, "email")?,
                role: columns::word(row, "role")?,
                org_id: columns::word_or_null(row, "user_org")?,
            };
            (owner, row.text("user_status") == Some("active"))
        } else {
            let owner = Owner::Project {
                project_id: columns::word(row, "project_id")?,
                instance_id: columns::word(row, "project_instance")?,
                org_id: columns::word(row, "project_org")?,
            };
            let active = row.text("project_status") == Some("active")
                && row.text("home_status") != Some("deleted");
            (owner, active)
        };
        let previous = match (
            columns::text_or_null(row, "prev_key_hash"),
            columns::text_or_null(row, "prev_pepper_id"),
            columns::time_or_null(row, "prev_expires_at")?,
        ) {
            (Some(hash), Some(pepper), Some(end)) => Some((hash, pepper, end)),
            _ => None,
        };
        let parent_end = columns::time_or_null(row, "parent_expires_at")?;
        let own_end = columns::time_or_null(row, "expires_at")?;
        let mut instances: Vec<InstanceId> = columns::json(row, "instances")?;
        let instances_more = instances.len() > MAX_CHOICES;
        instances.truncate(MAX_CHOICES);
        Ok(Self {
            key_id: columns::word(row, "key_id")?,
            parent_key_id: columns::word_or_null(row, "parent_key_id")?,
            key_hash: columns::text(row, "key_hash")?,
            pepper_id: columns::text(row, "pepper_id")?,
            previous,
            scopes: columns::json(row, "scopes")?,
            parent_scopes: columns::json_or_null(row, "parent_scopes")?,
            secret_first_used_at: columns::time_or_null(row, "secret_first_used_at")?,
            last_used_at: columns::time_or_null(row, "last_used_at")?,
            expires_at: match (own_end, parent_end) {
                (Some(own), Some(parent)) => Some(own.min(parent)),
                (own, parent) => own.or(parent),
            },
            revoked_at: columns::time_or_null(row, "revoked_at")?,
            owner_active: owner_active && organization_active,
            owner,
            instances,
            instances_more,
        })
    }

    /// Organization of the owner; `None` for superadmins.
    pub fn org_id(&self) -> Option<&OrgId> {
        match &self.owner {
            Owner::User { org_id, .. } => org_id.as_ref(),
            Owner::Project { org_id, .. } => Some(org_id),
        }
    }
}

/// What the request says about its instance.
#[derive(Clone, Copy, Debug, Default)]
pub struct ChosenBy<'a> {
    /// The named instance.
    pub hint: Option<&'a InstanceId>,
    /// The named project.
    pub project: Option<&'a ProjectId>,
    /// The instance that the asking set of workers is deployed for.
    pub deployed: Option<&'a InstanceId>,
    /// The configuration that the asking worker holds: its body is not read again.
    pub have: Option<(&'a InstanceId, i64)>,
}

/// The caller's standing towards an instance, as common table expressions: `chosen` must give `instance_id` and the
/// columns of `who`; `judged` adds the instance's columns and `allowed`. It is materialized because SQLite would else
/// look for the access row once for each mention of `allowed`, and each look is a row that is paid for.
macro_rules! judged {
    ($choice:literal) => {
        concat!(
            "WITH who AS (SELECT k.key_id, k.instance_ids, k.user_id, k.project_id, u.role, u.org_id AS own_org, p.instance_id AS own_instance, p.name AS project_name \
               FROM api_keys k LEFT JOIN users u ON u.user_id = k.user_id LEFT JOIN projects p ON p.project_id = k.project_id WHERE k.key_id = ?1), \
             chosen AS (SELECT who.*, ",
            $choice,
            " AS chosen_id FROM who), \
             judged AS MATERIALIZED (SELECT i.*, c.project_id AS own_project, c.project_name AS own_project_name, c.own_instance AS own_instance, (CASE WHEN c.role = 'superadmin' THEN 1 WHEN c.role = 'admin' THEN i.org_id = c.own_org \
                 WHEN c.role = 'user' THEN EXISTS (SELECT 1 FROM user_instance_access a WHERE a.user_id = c.user_id AND a.instance_id = i.instance_id) \
                 ELSE i.instance_id = c.own_instance END) \
               AND (c.instance_ids IS NULL OR i.instance_id IN (SELECT value FROM json_each(c.instance_ids))) AS allowed \
               FROM chosen c JOIN instances i ON i.instance_id = c.chosen_id AND i.status <> 'deleted') "
        )
    };
}
pub(super) use judged;

const CHOSEN: &str = concat!(
    judged!(
        "coalesce(?2, (SELECT pr.instance_id FROM projects pr WHERE pr.project_id = ?3 AND pr.status = 'active'), who.own_instance, ?4, \
         (SELECT CASE WHEN count(*) = 1 THEN min(y.instance_id) END FROM (SELECT x.instance_id FROM (\
            SELECT a.instance_id FROM user_instance_access a WHERE who.instance_ids IS NULL AND who.role = 'user' AND a.user_id = who.user_id \
            UNION ALL SELECT i.instance_id FROM instances i WHERE who.instance_ids IS NULL AND who.role = 'admin' AND i.org_id = who.own_org AND i.status <> 'deleted' \
            UNION ALL SELECT i.instance_id FROM instances i WHERE who.instance_ids IS NULL AND who.role = 'superadmin' AND i.status <> 'deleted' \
            UNION ALL SELECT i.instance_id FROM (SELECT DISTINCT value AS id FROM json_each(who.instance_ids)) n \
              CROSS JOIN instances i ON i.instance_id = n.id AND i.status <> 'deleted' WHERE CASE \
                WHEN who.role = 'superadmin' THEN 1 WHEN who.role = 'admin' THEN i.org_id = who.own_org \
                WHEN who.role = 'user' THEN EXISTS (SELECT 1 FROM user_instance_access a WHERE a.user_id = who.user_id AND a.instance_id = i.instance_id) END\
          ) x LIMIT 2) y))"
    ),
    "SELECT j.instance_id, j.org_id, j.status, j.config_version, j.allowed, j.own_project, j.own_project_name, j.own_instance, \
     CASE WHEN j.allowed THEN j.worker_urls END AS worker_urls, \
     (SELECT e.body FROM instance_effective e WHERE e.instance_id = j.instance_id AND j.allowed \
        AND NOT (?5 IS j.instance_id AND ?6 IS j.config_version)) AS body FROM judged j"
);

/// The chosen instance: hint; else the project's; else the deployed one; else the only accessible one.
pub fn chosen(key_id: &KeyId, by: ChosenBy<'_>) -> Statement {
    Statement::new(CHOSEN)
        .bind(key_id.as_str())
        .bind(by.hint.map(InstanceId::as_str))
        .bind(by.project.map(ProjectId::as_str))
        .bind(by.deployed.map(InstanceId::as_str))
        .bind(by.have.map(|(id, _)| id.as_str()))
        .bind(by.have.map(|(_, version)| version))
}

/// The chosen instance, as far as the caller may know it.
#[derive(Clone, Debug, PartialEq)]
pub struct ChosenRow {
    /// Id.
    pub instance_id: InstanceId,
    /// Its organization.
    pub org_id: OrgId,
    /// Status.
    pub status: InstanceStatus,
    /// Version of its configuration.
    pub config_version: i64,
    /// Whether the caller may use it.
    pub allowed: bool,
    /// URLs of its workers; empty when not allowed.
    pub worker_urls: BTreeMap<String, String>,
    /// Its configuration; `None` when not allowed or held already.
    pub config: Option<InstanceConfig>,
    /// The project of a project key.
    pub own_project: Option<OwnProject>,
}

/// The project that a project key belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnProject {
    /// Id.
    pub project_id: ProjectId,
    /// Name.
    pub name: String,
    /// Its instance.
    pub instance_id: InstanceId,
}

impl ChosenRow {
    /// Reads the result of [`chosen`]; `None` when nothing was chosen or it does not exist.
    pub fn read(rows: &Rows) -> Result<Option<Self>> {
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        Ok(Some(Self {
            instance_id: columns::word(row, "instance_id")?,
            org_id: columns::word(row, "org_id")?,
            status: columns::word(row, "status")?,
            config_version: columns::int(row, "config_version")?,
            allowed: row.flag("allowed"),
            worker_urls: columns::json_or_null(row, "worker_urls")?.unwrap_or_default(),
            config: columns::json_or_null(row, "body")?,
            own_project: match columns::word_or_null(row, "own_project")? {
                None => None,
                Some(project_id) => Some(OwnProject {
                    project_id,
                    name: columns::text(row, "own_project_name")?,
                    instance_id: columns::word(row, "own_instance")?,
                }),
            },
        }))
    }
}

/// The project that a request names. A project key's own comes with [`chosen`].
pub fn project(named: &ProjectId) -> Statement {
    Statement::new(
        "SELECT p.project_id, p.name, p.instance_id, i.org_id FROM projects p JOIN instances i ON i.instance_id = p.instance_id \
         WHERE p.project_id = ?1 AND p.status = 'active' AND i.status <> 'deleted'",
    )
    .bind(named.as_str())
}

/// A project that a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedProject {
    /// Id.
    pub project_id: ProjectId,
    /// Name.
    pub name: String,
    /// Its instance.
    pub instance_id: InstanceId,
    /// The organization of that instance.
    pub org_id: OrgId,
}

impl NamedProject {
    /// Reads the result of [`project`]; `None` when there is none.
    pub fn read(rows: &Rows) -> Result<Option<Self>> {
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        Ok(Some(Self {
            project_id: columns::word(row, "project_id")?,
            name: columns::text(row, "name")?,
            instance_id: columns::word(row, "instance_id")?,
            org_id: columns::word(row, "org_id")?,
        }))
    }
}

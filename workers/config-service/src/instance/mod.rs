//! `/instance` and what lies below it: one file a verb.
//!
//! In scope: an instance as people see it, who may see it. Out of scope: provider keys (`provider_key`).

pub(crate) mod config;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod deployments;
mod edit;
pub(crate) mod limits;
pub(crate) mod list;
pub(crate) mod patch;
pub(crate) mod pause;
pub(crate) mod read;
mod running;
pub(crate) mod status;
pub(crate) mod urls;

use crate::change::Decision;
use crate::fields;
use crate::provider_secret::mask;
use api_types::{
    AuthContext, EditableConfig, InstanceConfig, InstanceStatus, Role, Timestamp, UserId,
};
use auth::permission::{Operation, Target, permit};
use errors::{Error, Result};
use serde_json::{Map, Value, json};
use store::control::credentials::CredentialRow;
use store::control::instances::InstanceRow;

/// What stands beside the configuration in the flat answer.
#[derive(Clone, Debug)]
pub(crate) struct Shown<'a> {
    /// Status.
    pub status: InstanceStatus,
    /// Why it is paused.
    pub paused_reason: Option<&'a str>,
    /// Version of the row.
    pub version: i64,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// When it was last changed.
    pub updated_at: Option<Timestamp>,
    /// Users with access.
    pub authorized_users: &'a [UserId],
    /// The current provider keys.
    pub credentials: &'a [CredentialRow],
}

impl<'a> Shown<'a> {
    /// Of a row as it was read.
    pub(crate) fn of(
        row: &'a InstanceRow,
        authorized_users: &'a [UserId],
        credentials: &'a [CredentialRow],
    ) -> Self {
        Self {
            status: row.status,
            paused_reason: row.paused_reason.as_deref(),
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
            authorized_users,
            credentials,
        }
    }
}

/// The flat answer. Keys are masked: their last four characters for administrators, nothing of them for users.
///
/// # Errors
/// None in practice: a configuration is a JSON object.
pub(crate) fn flat(config: &InstanceConfig, shown: &Shown<'_>, role: Role) -> Result<Value> {
    let mut value =
        serde_json::to_value(config).map_err(|error| Error::internal(error.to_string()))?;
    let members = value
        .as_object_mut()
        .ok_or_else(|| Error::internal("a configuration is an object"))?;
    let keys: Value = shown
        .credentials
        .iter()
        .map(|row| {
            let last4 = if role == Role::User {
                ""
            } else {
                row.last4.as_str()
            };
            (row.provider.to_string(), Value::String(mask(last4)))
        })
        .collect::<Map<String, Value>>()
        .into();
    // Inserting under a name that exists keeps its place.
    members.insert("api_keys".into(), keys);
    for (name, value) in [
        ("authorized_users", json!(shown.authorized_users)),
        ("status", json!(shown.status)),
        ("paused_reason", json!(shown.paused_reason)),
        ("version", json!(shown.version)),
        ("created_at", json!(shown.created_at)),
        ("updated_at", json!(shown.updated_at)),
    ] {
        members.insert(name.into(), value);
    }
    Ok(value)
}

/// An instance as the permission table sees it.
pub(crate) fn target_of(row: &InstanceRow) -> Target {
    Target {
        org_id: Some(row.org_id.clone()),
        instance_id: Some(row.instance_id.clone()),
        ..Target::default()
    }
}

/// What the caller may know of an instance after permission: 404 for missing, 403 for a key without access.
///
/// # Errors
/// 404, 403.
pub(crate) fn permitted(
    operation: &'static Operation,
    auth: &AuthContext,
    row: Option<InstanceRow>,
) -> Result<InstanceRow> {
    let row = row.ok_or_else(fields::missing)?;
    permit(operation, auth, &target_of(&row))?;
    if row.allowed {
        Ok(row)
    } else {
        Err(fields::no_access())
    }
}

/// The target of a change whose first read is the instance.
///
/// # Errors
/// 404.
pub(crate) fn target(decision: &Decision<'_>) -> Result<Target> {
    let row = InstanceRow::read(&decision.rows(0))?.ok_or_else(fields::missing)?;
    Ok(target_of(&row))
}

/// The instance of such a change, for a key that covers it.
///
/// # Errors
/// 404, 403.
pub(crate) fn usable(decision: &Decision<'_>) -> Result<InstanceRow> {
    let row = InstanceRow::read(&decision.rows(0))?.ok_or_else(fields::missing)?;
    if row.allowed {
        Ok(row)
    } else {
        Err(fields::no_access())
    }
}

/// What people edit.
///
/// # Errors
/// 500 when the stored configuration is broken.
pub(crate) fn edited(row: &InstanceRow) -> Result<EditableConfig> {
    edited_from(&row.config, row.instance_id.as_str())
}

/// The same of a stored text.
///
/// # Errors
/// As [`edited`].
pub(crate) fn edited_from(config: &Value, instance_id: &str) -> Result<EditableConfig> {
    serde_json::from_value(config.clone())
        .map_err(|_| Error::internal(format!("the configuration of {instance_id} is broken")))
}

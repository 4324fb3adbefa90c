//! The look-up of a caller: one question, one answer, once per request.

use crate::{
    AuthContext, InstanceConfig, InstanceId, InstanceStatus, ProjectId, Secret, Timestamp,
};
use serde::{Deserialize, Serialize};

/// How much a route needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// Who calls.
    Principal,
    /// Who calls, and an instance with its configuration.
    Instance,
    /// The same and a project.
    Project,
}

/// The version of the configuration that the asking worker holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HaveConfig {
    /// Of which instance.
    pub instance_id: InstanceId,
    /// Which version.
    pub config_version: i64,
}

/// `POST /internal/v1/resolve`.
#[derive(Clone, Debug, Deserialize)]
pub struct ResolveRequest {
    /// Version of this form.
    pub v: u32,
    /// The presented key.
    pub credential: Secret,
    /// Instance named by the request.
    #[serde(default)]
    pub instance_hint: Option<String>,
    /// Project named by the request.
    #[serde(default)]
    pub project_hint: Option<String>,
    /// How much is needed.
    pub need: Need,
    /// What the worker holds already.
    #[serde(default)]
    pub have: Option<HaveConfig>,
    /// Address of the client, for the guard against guessing.
    #[serde(default)]
    pub client_ip: Option<String>,
}

impl ResolveRequest {
    /// The JSON text. The one place where a key is written into a body; it goes over a service binding only.
    pub fn to_json(&self) -> String {
        serde_json::json!({
            "v": self.v,
            "credential": self.credential.expose(),
            "instance_hint": self.instance_hint,
            "project_hint": self.project_hint,
            "need": self.need,
            "have": self.have,
            "client_ip": self.client_ip,
        })
        .to_string()
    }
}

/// The instance part of a verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceVerdict {
    /// Id.
    pub instance_id: InstanceId,
    /// Status, at most 5 s old.
    pub status: InstanceStatus,
    /// Current version of its configuration.
    pub config_version: i64,
}

/// The project part of a verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectVerdict {
    /// Id.
    pub project_id: ProjectId,
    /// Name.
    pub name: String,
}

/// Answer of `POST /internal/v1/resolve`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResolveReply {
    /// Version of this form.
    pub v: u32,
    /// When it was decided.
    pub checked_at: Timestamp,
    /// The caller.
    pub auth: AuthContext,
    /// The instance, if needed.
    pub instance: Option<InstanceVerdict>,
    /// The project, if named.
    pub project: Option<ProjectVerdict>,
    /// The configuration; `None` when the worker holds this version already.
    #[serde(default)]
    pub config: Option<InstanceConfig>,
}

/// How old what is used is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freshness {
    /// Age of the configuration in milliseconds when config-service could not confirm it; `None` when confirmed.
    pub stale_config_ms: Option<u64>,
}

/// The value in KV under `cfg:v1:{instance_id}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CachedConfig {
    /// Version of this form.
    pub v: u32,
    /// Version of the configuration.
    pub config_version: i64,
    /// When config-service last confirmed it.
    pub confirmed_at: Timestamp,
    /// The configuration, provider keys sealed.
    pub config: InstanceConfig,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn reply() -> Value {
        json!({
            "v": 1, "checked_at": "2026-11-21T10:00:00.000Z",
            "auth": {
                "principal": "key:4fGh7kQ2mZ0a", "kind": "user_key", "role": "user",
                "user": {"user_id": "0198f0a1-0000-7000-8000-000000000002", "email": "user@acme.example", "org_id": "0198f0a0-0000-7000-8000-000000000001"},
                "key": {"key_id": "4fGh7kQ2mZ0a", "secret": "current", "expires_at": null},
                "org_id": "0198f0a0-0000-7000-8000-000000000001", "project_id": null,
                "instances": ["development"], "instances_more": false,
                "permissions": ["config:read", "images:read", "images:write"],
            },
            "instance": {"instance_id": "development", "status": "active", "config_version": 17},
            "project": {"project_id": "0198f0a2-0000-7000-8000-000000000002", "name": "Website Chat"},
            "config": null,
        })
    }

    /// Workers of one release read the answers of the next and of the one before.
    #[test]
    fn resolve_reply_format_unchanged() {
        let read: ResolveReply = serde_json::from_value(reply()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), reply());
        let mut without = reply();
        without.as_object_mut().unwrap().remove("config");
        let read: ResolveReply = serde_json::from_value(without).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), reply());
        let mut later = reply();
        later["auth"]["a_later_member"] = json!(1);
        later["a_later_member"] = json!(1);
        let read: ResolveReply = serde_json::from_value(later).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), reply());
    }

    #[test]
    fn resolve_request_format_unchanged() {
        let text = r#"{"v":1,"credential":"sy_x","instance_hint":"development","project_hint":null,"need":"instance","have":{"instance_id":"development","config_version":16},"client_ip":"203.0.113.9"}"#;
        let read: ResolveRequest = serde_json::from_str(text).unwrap();
        assert_eq!(read.to_json(), text);
    }
}

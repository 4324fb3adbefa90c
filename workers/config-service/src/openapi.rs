//! `GET /openapi.json`: the description of the public routes, made from the permission table.
//!
//! In scope: operations, bodies, answers, error codes. Out of scope: internal routes; their forms are in `api-types`.

use auth::permission::{Operation, ScopeRule, config_service as op};
use errors::Code;
use serde_json::{Map, Value, json};

/// One operation of the document.
struct Entry {
    operation: &'static Operation,
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    /// Name of the body's schema.
    body: Option<&'static str>,
    /// Status and name of the answer's schema.
    answer: (u16, Option<&'static str>),
    query: &'static [&'static str],
    errors: &'static [Code],
}

const READ: &[Code] = &[
    Code::AuthFailed,
    Code::Forbidden,
    Code::ScopeMissing,
    Code::NotFound,
    Code::TooManyAuthFailures,
    Code::DatabaseUnavailable,
];
const LIST: &[Code] = &[
    Code::InvalidField,
    Code::InvalidCursor,
    Code::AuthFailed,
    Code::ScopeMissing,
    Code::TooManyAuthFailures,
    Code::DatabaseUnavailable,
];
const WRITE: &[Code] = &[
    Code::InvalidField,
    Code::UnknownField,
    Code::AuthFailed,
    Code::Forbidden,
    Code::RoleRequired,
    Code::ScopeMissing,
    Code::NotFound,
    Code::Conflict,
    Code::QuotaReached,
    Code::PayloadTooLarge,
    Code::UnsupportedMediaType,
    Code::IdempotencyMismatch,
    Code::TooManyAuthFailures,
    Code::DatabaseUnavailable,
    Code::Overloaded,
];
const WRITE_INSTANCE: &[Code] = &[
    Code::InvalidField,
    Code::UnknownField,
    Code::ReadOnlyField,
    Code::InvalidConfig,
    Code::AuthFailed,
    Code::RoleRequired,
    Code::ScopeMissing,
    Code::NotFound,
    Code::Conflict,
    Code::QuotaReached,
    Code::PayloadTooLarge,
    Code::UnsupportedMediaType,
    Code::IdempotencyMismatch,
    Code::TooManyAuthFailures,
    Code::DatabaseUnavailable,
    Code::Overloaded,
];
const WRITE_KEY: &[Code] = &[
    Code::InvalidField,
    Code::UnknownField,
    Code::AuthFailed,
    Code::RoleRequired,
    Code::Forbidden,
    Code::ScopeMissing,
    Code::NotFound,
    Code::VersionMismatch,
    Code::PreconditionRequired,
    Code::PayloadTooLarge,
    Code::UnsupportedMediaType,
    Code::TooManyAuthFailures,
    Code::DatabaseUnavailable,
    Code::Overloaded,
];
const MINT: &[Code] = &[
    Code::InvalidField,
    Code::UnknownField,
    Code::AuthFailed,
    Code::Forbidden,
    Code::RoleRequired,
    Code::ScopeMissing,
    Code::NotFound,
    Code::Conflict,
    Code::QuotaReached,
    Code::SecretAlreadyShown,
    Code::PayloadTooLarge,
    Code::UnsupportedMediaType,
    Code::IdempotencyMismatch,
    Code::TooManyAuthFailures,
    Code::DatabaseUnavailable,
    Code::Overloaded,
];
const REVOKE: &[Code] = &[
    Code::InvalidField,
    Code::AuthFailed,
    Code::RoleRequired,
    Code::ScopeMissing,
    Code::NotFound,
    Code::VersionMismatch,
    Code::TooManyAuthFailures,
    Code::DatabaseUnavailable,
    Code::Overloaded,
];

const ENTRIES: &[Entry] = &[
    Entry {
        operation: &op::HEALTH,
        method: "get",
        path: "/health",
        summary: "Whether the deployment has what it needs.",
        body: None,
        answer: (200, Some("Health")),
        query: &[],
        errors: &[],
    },
    Entry {
        operation: &op::OPENAPI,
        method: "get",
        path: "/openapi.json",
        summary: "This document.",
        body: None,
        answer: (200, None),
        query: &[],
        errors: &[],
    },
    Entry {
        operation: &op::WHO_AM_I,
        method: "get",
        path: "/session",
        summary: "Who calls, with role, permissions and instances.",
        body: None,
        answer: (200, Some("Principal")),
        query: &[],
        errors: &[
            Code::AuthFailed,
            Code::TooManyAuthFailures,
            Code::DatabaseUnavailable,
        ],
    },
    Entry {
        operation: &op::CREATE_ORGANIZATION,
        method: "post",
        path: "/organization",
        summary: "Creates an organization.",
        body: Some("CreateOrganization"),
        answer: (201, Some("Organization")),
        query: &[],
        errors: WRITE,
    },
    Entry {
        operation: &op::LIST_INSTANCES,
        method: "get",
        path: "/instance",
        summary: "The caller's instances, by id.",
        body: None,
        answer: (200, Some("InstanceList")),
        query: &["org_id", "status", "q", "limit", "cursor"],
        errors: LIST,
    },
    Entry {
        operation: &op::CREATE_INSTANCE,
        method: "post",
        path: "/instance",
        summary: "Creates an instance with its configuration.",
        body: Some("CreateInstance"),
        answer: (201, Some("Instance")),
        query: &[],
        errors: WRITE_INSTANCE,
    },
    Entry {
        operation: &op::GET_INSTANCE,
        method: "get",
        path: "/instance/{instance_id}",
        summary: "One instance with its whole configuration, keys masked.",
        body: None,
        answer: (200, Some("Instance")),
        query: &[],
        errors: READ,
    },
    Entry {
        operation: &op::LIST_PROVIDER_KEYS,
        method: "get",
        path: "/instance/{instance_id}/provider-key",
        summary: "The provider keys of an instance, without their values.",
        body: None,
        answer: (200, Some("ProviderKeyList")),
        query: &[],
        errors: READ,
    },
    Entry {
        operation: &op::SET_PROVIDER_KEY,
        method: "put",
        path: "/instance/{instance_id}/provider-key/{provider}",
        summary: "Sets or replaces a provider key at once (200 when one existed).",
        body: Some("SetProviderKey"),
        answer: (201, Some("ProviderKey")),
        query: &[],
        errors: WRITE_KEY,
    },
    Entry {
        operation: &op::CREATE_USER,
        method: "post",
        path: "/user",
        summary: "Creates a user.",
        body: Some("CreateUser"),
        answer: (201, Some("User")),
        query: &[],
        errors: WRITE,
    },
    Entry {
        operation: &op::GET_USER,
        method: "get",
        path: "/user/{user_id}",
        summary: "One user with what the user may do.",
        body: None,
        answer: (200, Some("User")),
        query: &[],
        errors: READ,
    },
    Entry {
        operation: &op::GRANT_ACCESS,
        method: "put",
        path: "/user/{user_id}/instance/{instance_id}",
        summary: "Gives a user access to an instance; repeatable.",
        body: None,
        answer: (204, None),
        query: &[],
        errors: WRITE,
    },
    Entry {
        operation: &op::CREATE_PROJECT,
        method: "post",
        path: "/project",
        summary: "Creates a project in an instance.",
        body: Some("CreateProject"),
        answer: (201, Some("Project")),
        query: &[],
        errors: WRITE,
    },
    Entry {
        operation: &op::LIST_API_KEYS,
        method: "get",
        path: "/api-key",
        summary: "The keys that the caller may see, newest first.",
        body: None,
        answer: (200, Some("ApiKeyList")),
        query: &[
            "user_id",
            "project_id",
            "status",
            "unused_days",
            "limit",
            "cursor",
        ],
        errors: LIST,
    },
    Entry {
        operation: &op::CREATE_API_KEY,
        method: "post",
        path: "/api-key",
        summary: "Mints a key; its secret is shown once.",
        body: Some("CreateApiKey"),
        answer: (201, Some("MintedApiKey")),
        query: &[],
        errors: MINT,
    },
    Entry {
        operation: &op::GET_API_KEY,
        method: "get",
        path: "/api-key/{key_id}",
        summary: "One key, without its secret.",
        body: None,
        answer: (200, Some("ApiKey")),
        query: &[],
        errors: READ,
    },
    Entry {
        operation: &op::REVOKE_API_KEY,
        method: "delete",
        path: "/api-key/{key_id}",
        summary: "Revokes a key for good; repeatable.",
        body: None,
        answer: (200, Some("RevokedApiKey")),
        query: &["reason"],
        errors: REVOKE,
    },
];

/// Schema of an object: members in the order given, those ending in `?` optional; each is a type word or a schema.
fn object(members: &[(&str, Value)]) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, schema) in members {
        let bare = name.trim_end_matches('?');
        if bare.len() == name.len() {
            required.push(bare);
        }
        properties.insert(bare.to_owned(), schema.clone());
    }
    json!({"type": "object", "properties": properties, "required": required})
}

fn strict(members: &[(&str, Value)]) -> Value {
    let mut schema = object(members);
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("additionalProperties".into(), false.into());
    }
    schema
}

fn or_null(kind: &str) -> Value {
    json!({"type": [kind, "null"]})
}

fn list_of(name: &str) -> Value {
    object(&[
        ("items", json!({"type": "array", "items": reference(name)})),
        ("next_cursor", or_null("string")),
    ])
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn schemas() -> Value {
    let text = || json!({"type": "string"});
    let uuid = || json!({"type": "string", "format": "uuid"});
    let time = || json!({"type": "string", "format": "date-time"});
    let version = || json!({"type": "integer", "minimum": 1});
    let slug = || json!({"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"});
    let texts = || json!({"type": "array", "items": {"type": "string"}});
    let any = || json!({"type": "object"});
    let role = || json!({"enum": ["user", "admin", "superadmin"]});
    let status = || json!({"enum": ["deploying", "active", "paused", "deleting"]});
    let scopes: Vec<&str> = api_types::Scope::ALL
        .iter()
        .map(|scope| scope.as_str())
        .collect();
    let scopes = || json!({"type": "array", "items": {"enum": scopes}});
    let secret = || json!({"type": "string", "writeOnly": true, "minLength": 1});
    json!({
        "Error": object(&[
            ("error", json!({"enum": Code::ALL.iter().map(|code| code.as_str()).collect::<Vec<_>>()})),
            ("message", text()), ("hint", text()), ("details?", any()), ("retry_after_ms?", json!({"type": "integer"})),
            ("docs", text()), ("request_id", uuid()),
        ]),
        "Health": object(&[
            ("status", json!({"enum": ["ok", "unhealthy"]})), ("version", text()), ("version_id", or_null("string")), ("git_sha", text()),
            ("bindings", any()), ("kek_ids", texts()), ("pepper_ids", texts()), ("old_kek_rows", or_null("integer")),
            ("old_pepper_rows", or_null("integer")), ("missing_secrets?", texts()),
        ]),
        "Principal": object(&[
            ("principal", text()), ("kind", json!({"enum": ["user_key", "project_key", "session"]})), ("role", role()),
            ("user", or_null("object")), ("organization", or_null("object")), ("project_id", or_null("string")), ("key", any()),
            ("permissions", scopes()), ("instances", json!({"type": "array", "items": any()})), ("instances_more", json!({"type": "boolean"})),
            ("request_id", uuid()),
        ]),
        "CreateOrganization": strict(&[("name", text()), ("billing_email", text())]),
        "Organization": object(&[
            ("org_id", uuid()), ("name", text()), ("billing_email", text()), ("status", json!({"enum": ["active", "suspended"]})),
            ("version", version()), ("created_at", time()), ("updated_at", time()),
        ]),
        "CreateInstance": strict(&[
            ("org_id?", uuid()), ("instance_id?", slug()), ("name", text()), ("status?", json!({"enum": ["deploying", "active"]})),
            ("config?", json!({"type": "object", "properties": {"api_keys": {"type": "object", "additionalProperties": secret()}}})),
        ]),
        "Instance": object(&[
            ("instance_id", slug()), ("org_id", uuid()), ("name", text()), ("status", status()), ("paused_reason", or_null("string")),
            ("api_keys", json!({"type": "object", "additionalProperties": {"type": "string", "pattern": "^\\*{4}"}})),
            ("rate_limits", any()), ("worker_urls", any()), ("r2_bucket", or_null("string")), ("authorized_users", texts()),
            ("providers", any()), ("routing", any()), ("config_version", version()), ("version", version()),
            ("created_at", time()), ("updated_at", time()),
        ]),
        "InstanceSummary": object(&[
            ("instance_id", slug()), ("org_id", uuid()), ("name", text()), ("status", status()), ("environment", or_null("string")),
            ("worker_urls", any()), ("budgets", json!({"type": "array"})), ("key_states", or_null("object")), ("version", version()),
            ("created_at", time()), ("updated_at", time()),
        ]),
        "InstanceList": list_of("InstanceSummary"),
        "SetProviderKey": strict(&[("api_key", secret()), ("account?", or_null("string")), ("webhook_secret?", secret())]),
        "ProviderKey": object(&[
            ("provider", slug()), ("state", json!({"enum": ["set", "missing", "host_changed", "failing"]})), ("last4", or_null("string")),
            ("set_at", or_null("string")), ("set_by", or_null("string")), ("previous_until", or_null("string")),
            ("last_used_at", or_null("string")), ("last_error", or_null("string")), ("version", or_null("integer")),
        ]),
        "ProviderKeyList": object(&[("items", json!({"type": "array", "items": reference("ProviderKey")}))]),
        "CreateUser": strict(&[
            ("email", json!({"type": "string", "maxLength": 254})), ("name?", or_null("string")), ("role", role()), ("org_id?", uuid()),
            ("instance_ids?", json!({"type": "array", "items": slug()})),
        ]),
        "User": object(&[
            ("user_id", uuid()), ("email", text()), ("name", text()), ("role", role()), ("org_id", or_null("string")),
            ("status", json!({"enum": ["active", "disabled"]})), ("instances", texts()), ("permissions?", scopes()), ("version", version()),
            ("created_at", time()), ("last_seen_at?", or_null("string")),
        ]),
        "CreateProject": strict(&[("instance_id", slug()), ("name", text()), ("settings?", any())]),
        "Project": object(&[
            ("project_id", uuid()), ("instance_id", slug()), ("name", text()), ("settings", any()), ("status", json!({"enum": ["active"]})),
            ("version", version()), ("created_at", time()), ("updated_at", time()),
        ]),
        "CreateApiKey": strict(&[
            ("user_id?", uuid()), ("project_id?", uuid()), ("name", text()), ("scopes?", scopes()),
            ("instance_ids?", json!({"type": ["array", "null"], "items": slug()})), ("expires_at?", or_null("string")),
        ]),
        "MintedApiKey": object(&[
            ("key_id", text()), ("api_key", json!({"type": "string", "readOnly": true})), ("shown_once", json!({"const": true})), ("last4", text()),
            ("name", text()), ("user_id", or_null("string")), ("project_id", or_null("string")), ("scopes", scopes()),
            ("instance_ids", or_null("array")), ("expires_at", or_null("string")), ("version", version()), ("created_at", time()),
        ]),
        "ApiKey": object(&[
            ("key_id", text()), ("name", text()), ("last4", text()), ("user_id", or_null("string")), ("project_id", or_null("string")),
            ("scopes", scopes()), ("instance_ids", or_null("array")), ("created_by", text()), ("created_at", time()),
            ("last_used_at", or_null("string")), ("expires_at", or_null("string")),
            ("state", json!({"enum": ["active", "rotating", "expiring", "expired", "revoked", "orphaned"]})),
            ("prev_expires_at", or_null("string")), ("revoked_at", or_null("string")), ("version", version()),
        ]),
        "ApiKeyList": list_of("ApiKey"),
        "RevokedApiKey": object(&[("key_id", text()), ("revoked_at", time()), ("effective_by", time())]),
    })
}

fn parameters(entry: &Entry) -> Vec<Value> {
    let parameter = |place: &str, name: &str, required: bool| {
        let kind = if matches!(name, "limit" | "unused_days") {
            "integer"
        } else {
            "string"
        };
        json!({"name": name, "in": place, "required": required, "schema": {"type": kind}})
    };
    let mut all: Vec<Value> = entry
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| parameter("path", name, true))
        .collect();
    all.extend(
        entry
            .query
            .iter()
            .map(|name| parameter("query", name, false)),
    );
    match entry.method {
        "post" => all.push(parameter("header", "Idempotency-Key", false)),
        "put" if entry.body.is_some() => all.push(parameter("header", "If-Match", false)),
        "delete" => all.push(parameter("header", "If-Match", false)),
        _ => {}
    }
    all
}

fn described(entry: &Entry) -> Value {
    let (status, answer) = entry.answer;
    let mut responses = Map::new();
    let mut good = json!({"description": entry.summary});
    if status != 204
        && let Some(good) = good.as_object_mut()
    {
        let schema = answer.map_or_else(|| json!({"type": "object"}), reference);
        good.insert(
            "content".into(),
            json!({"application/json": {"schema": schema}}),
        );
    }
    responses.insert(status.to_string(), good);
    let mut codes: Vec<Code> = entry.errors.to_vec();
    codes.sort_by_key(|code| code.status());
    for group in codes.chunk_by(|a, b| a.status() == b.status()) {
        let names: Vec<&str> = group.iter().map(|code| code.as_str()).collect();
        if let Some(first) = group.first() {
            responses.insert(
                first.status().to_string(),
                json!({
                    "description": names.join(", "),
                    "content": {"application/json": {"schema": reference("Error")}},
                    "x-codes": names,
                }),
            );
        }
    }
    let scope = match entry.operation.scope {
        ScopeRule::None => Value::Null,
        ScopeRule::One(scope) => scope.as_str().into(),
        ScopeRule::AnyWrite => "*:write".into(),
    };
    let security = if entry.operation.is_public() {
        json!([])
    } else {
        json!([{"key": []}])
    };
    let mut described = json!({
        "operationId": entry.operation.name, "summary": entry.summary, "x-class": entry.operation.class_word(), "x-scope": scope,
        "security": security, "parameters": parameters(entry), "responses": responses,
    });
    if let (Some(body), Some(members)) = (entry.body, described.as_object_mut()) {
        members.insert(
            "requestBody".into(),
            json!({"required": true, "content": {"application/json": {"schema": reference(body)}}}),
        );
    }
    described
}

/// The document.
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for entry in ENTRIES {
        let path = paths
            .entry(entry.path.to_owned())
            .or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(entry.method.to_owned(), described(entry));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "config-service", "version": env!("CARGO_PKG_VERSION"),
            "description": "Organizations, instances, users, keys and provider credentials.",
        },
        "paths": paths,
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "bearerFormat": "sy_<key_id>_<secret>"}},
            "schemas": schemas(),
        },
    })
}

/// Answers `GET /openapi.json`: 200.
pub async fn openapi() -> axum::Json<Value> {
    axum::Json(document())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_public_operation_is_described_and_internal_ones_are_not() {
        let mut described: Vec<&str> = ENTRIES.iter().map(|entry| entry.operation.name).collect();
        let mut wanted: Vec<&str> = op::ALL
            .iter()
            .filter(|operation| operation.class_word() != "SYSTEM")
            .map(|operation| operation.name)
            .collect();
        described.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(described, wanted);
    }

    #[test]
    fn every_reference_leads_to_a_schema() {
        let text = document().to_string();
        let schemas = schemas();
        for part in text.split("#/components/schemas/").skip(1) {
            let name: String = part
                .chars()
                .take_while(char::is_ascii_alphanumeric)
                .collect();
            assert!(schemas.get(&name).is_some(), "{name}");
        }
    }
}

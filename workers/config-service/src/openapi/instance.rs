//! `/instance` in the document.

use super::entry::{
    BODY, CHANGE, EDITED, Entry, FIELDS, PAGE, READ, VERSION, delete, get, patch, post, put,
};
use super::shape::{
    any, deployment_status, list_of, object, or_null, reference, secret, slug, status, strict,
    text, texts, time, uuid, version,
};
use auth::permission::config_service as op;
use errors::Code;
use serde_json::{Value, json};

/// Of a change of the configuration at a version.
const CHANGE_INSTANCE: &[&[Code]] = &[CONFIG, CHANGE, VERSION, &[Code::DeployManaged]];

/// What may be wrong with the configuration that comes out.
const CONFIG: &[Code] = &[
    Code::InvalidRequest,
    Code::InvalidField,
    Code::UnknownField,
    Code::ReadOnlyField,
    Code::InvalidConfig,
];

// An operation and what belongs to it, line by line, so that the table can be read as one.
#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    get(&op::LIST_INSTANCES, "/instance", "The caller's instances, by id.")
        .gives(200, "InstanceList").paged().asks(&["org_id", "status", "q"]).may(&[PAGE, &[Code::ScopeMissing]]),
    post(&op::CREATE_INSTANCE, "/instance", "Creates an instance with its configuration.")
        .takes("CreateInstance").gives(201, "Instance").may(&[EDITED, &[Code::InvalidConfig, Code::RoleRequired, Code::ScopeMissing, Code::NotFound, Code::Conflict, Code::QuotaReached, Code::Overloaded]]),
    get(&op::GET_INSTANCE, "/instance/{instance_id}", "One instance with its whole configuration, keys masked.")
        .gives(200, "Instance").may(&[READ]),
    patch(&op::UPDATE_INSTANCE, "/instance/{instance_id}", "Changes name and configuration by a JSON merge patch.")
        .takes("UpdateInstance").gives(200, "Instance").may(CHANGE_INSTANCE),
    delete(&op::DELETE_INSTANCE, "/instance/{instance_id}", "Ends an instance that is being deleted and has no running work.")
        .gives_nothing().may(&[&[Code::InvalidField, Code::Conflict, Code::NotEmpty, Code::DeployManaged, Code::InvalidTransition, Code::LedgerUnavailable], CHANGE, VERSION]),
    put(&op::SET_INSTANCE_STATUS, "/instance/{instance_id}/status", "Makes an instance active, takes it down, or back.")
        .takes("SetStatus").gives(200, "InstanceState").may(&[FIELDS, CHANGE, VERSION, &[Code::Protected, Code::InvalidTransition]]),
    put(&op::SET_WORKER_URLS, "/instance/{instance_id}/worker-urls", "Replaces the URLs of the instance's workers.")
        .takes("WorkerUrls").gives(200, "WorkerUrlsSet").may(CHANGE_INSTANCE),
    post(&op::PAUSE_INSTANCE, "/instance/{instance_id}/pause", "Takes no new work; what runs goes on.")
        .takes("Pause").gives(200, "Paused").may(&[FIELDS, CHANGE, &[Code::InvalidTransition]]),
    post(&op::RESUME_INSTANCE, "/instance/{instance_id}/resume", "Takes new work again.")
        .gives(200, "Paused").may(&[FIELDS, CHANGE, BODY, &[Code::InvalidTransition]]),
    get(&op::GET_LIMITS, "/instance/{instance_id}/limits", "Limits, budgets and wait queue as they are configured.")
        .gives(200, "Limits").may(&[READ]),
    put(&op::SET_RATE_LIMIT, "/instance/{instance_id}/rate-limit/{provider}", "Sets the limits of one provider.")
        .takes("RateLimit").gives(200, "ProviderLimit").may(CHANGE_INSTANCE),
    delete(&op::DELETE_RATE_LIMIT, "/instance/{instance_id}/rate-limit/{provider}", "Takes the configured limits of one provider away.")
        .gives_nothing().may(&[CONFIG, CHANGE, VERSION, BODY, &[Code::DeployManaged]]),
    put(&op::SET_BUDGETS, "/instance/{instance_id}/budgets", "Replaces the budgets.")
        .takes("Budgets").gives(200, "BudgetsSet").may(CHANGE_INSTANCE),
    get(&op::LIST_DEPLOYMENTS, "/instance/{instance_id}/deployments", "Runs of the deploy tool, newest first.")
        .gives(200, "DeploymentList").paged().may(&[PAGE, READ]),
];

pub(super) fn schemas() -> Value {
    json!({
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
        "UpdateInstance": strict(&[
            ("name?", text()), ("config?", any()), ("self_hosted?", json!({"type": "boolean"})),
        ]),
        "SetStatus": strict(&[("status", status())]),
        "InstanceState": object(&[
            ("instance_id", slug()), ("status", status()), ("paused_reason", or_null("string")), ("paused_at", or_null("string")),
            ("pause_override_until", or_null("string")), ("version", version()),
        ]),
        "Pause": strict(&[("reason", text())]),
        "Paused": object(&[
            ("instance_id", slug()), ("paused", json!({"type": "boolean"})), ("status?", status()), ("paused_reason?", or_null("string")),
            ("paused_at?", or_null("string")), ("pause_override_until?", or_null("string")), ("override_until?", time()), ("version", version()),
        ]),
        "WorkerUrls": strict(&[("admission?", text()), ("image_gen?", text()), ("task_master?", text()), ("repo_agent?", text())]),
        "WorkerUrlsSet": object(&[("instance_id", slug()), ("worker_urls", any()), ("version", version())]),
        "RateLimit": strict(&[
            ("rpm?", or_null("integer")), ("tpm?", or_null("integer")), ("max_inflight_images?", or_null("integer")),
            ("windows?", json!({"type": "array", "maxItems": 4, "items": strict(&[
                ("requests", json!({"type": "integer"})), ("per_ms", json!({"type": "integer"})),
            ])})),
        ]),
        "ProviderLimit": object(&[
            ("provider", slug()), ("configured", json!({"type": "boolean"})), ("rpm", or_null("integer")), ("tpm", or_null("integer")),
            ("max_inflight_images", or_null("integer")), ("windows", json!({"type": "array"})),
            ("default_max_inflight_images", or_null("integer")), ("version?", version()),
        ]),
        "Budget": strict(&[
            ("scope", text()), ("period", json!({"enum": ["day", "month"]})),
            ("limit_usd_micros", json!({"type": "integer", "minimum": 1, "maximum": 10_000_000_000_000_i64})),
        ]),
        "Budgets": json!({"type": "array", "maxItems": 100, "items": reference("Budget")}),
        "BudgetsSet": object(&[("instance_id", slug()), ("budgets", reference("Budgets")), ("version", version())]),
        "Limits": object(&[
            ("instance_id", slug()), ("items", json!({"type": "array", "items": reference("ProviderLimit")})),
            ("budgets", reference("Budgets")), ("queue", any()), ("version", version()),
        ]),
        "Deployment": object(&[
            ("deployment_id", text()), ("status", deployment_status()),
            ("actor", text()), ("source", text()), ("git_sha", or_null("string")), ("artifact_hash", or_null("string")),
            ("config_hash", or_null("string")), ("plan_hash", or_null("string")), ("plan", json!({})), ("journal", json!({})),
            ("result", json!({})), ("lease_expires_at", or_null("string")), ("created_at", time()), ("ended_at", or_null("string")),
        ]),
        "DeploymentList": list_of("Deployment"),
        "InstanceSummary": object(&[
            ("instance_id", slug()), ("org_id", uuid()), ("name", text()), ("status", status()), ("environment", or_null("string")),
            ("worker_urls", any()), ("budgets", json!({"type": "array"})), ("key_states", or_null("object")),
            ("last_deployment", json!({"anyOf": [reference("LastDeployment"), {"type": "null"}]})), ("version", version()),
            ("created_at", time()), ("updated_at", time()),
        ]),
        "LastDeployment": object(&[
            ("deployment_id", text()), ("status", deployment_status()), ("created_at", time()), ("ended_at", or_null("string")),
        ]),
        "InstanceList": list_of("InstanceSummary"),
    })
}

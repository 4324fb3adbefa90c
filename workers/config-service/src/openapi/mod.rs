//! `GET /openapi.json`: the description of the public routes, made from the permission table.
//!
//! In scope: operations, bodies, answers, error codes. Out of scope: internal routes; their forms are in `api-types`.

mod access;
mod api_key;
mod audit;
mod entry;
mod instance;
mod kek;
mod organization;
mod price;
mod project;
mod provider_key;
mod session;
mod shape;
mod user;
mod worker;

use auth::permission::{ScopeRule, config_service as op};
use entry::{Entry, get};
use errors::Code;
use serde_json::{Map, Value, json};
use shape::{any, object, or_null, reference, text, texts, uuid};

// An operation and what belongs to it, line by line, so that the table can be read as one.
#[rustfmt::skip]
const ENTRIES: &[Entry] = &[
    get(&op::HEALTH, "/health", "Whether the deployment has what it needs.")
        .gives(200, "Health"),
    get(&op::OPENAPI, "/openapi.json", "This document."),
];

fn schemas() -> Value {
    json!({
        "Error": object(&[
            ("error", json!({"enum": Code::ALL.iter().map(|code| code.as_str()).collect::<Vec<_>>()})),
            ("message", text()), ("hint", text()), ("details?", any()), ("retry_after_ms?", json!({"type": "integer"})),
            ("docs", text()), ("request_id", uuid()),
        ]),
        "Health": object(&[
            ("status", json!({"enum": ["ok", "degraded", "unhealthy"]})), ("version", text()), ("version_id", or_null("string")), ("git_sha", text()),
            ("bindings", any()), ("kek_ids", texts()), ("pepper_ids", texts()), ("old_kek_rows", or_null("integer")),
            ("old_pepper_rows", or_null("integer")), ("missing_secrets?", texts()),
        ]),
    })
}

/// Operations and schemas of a resource.
type Part = (&'static [Entry], fn() -> Value);

/// The resources, each in its own file.
const PARTS: &[Part] = &[
    (ENTRIES, schemas),
    (session::ENTRIES, session::schemas),
    (organization::ENTRIES, organization::schemas),
    (instance::ENTRIES, instance::schemas),
    (provider_key::ENTRIES, provider_key::schemas),
    (kek::ENTRIES, kek::schemas),
    (user::ENTRIES, user::schemas),
    (access::ENTRIES, access::schemas),
    (price::ENTRIES, price::schemas),
    (project::ENTRIES, project::schemas),
    (api_key::ENTRIES, api_key::schemas),
    (worker::ENTRIES, worker::schemas),
    (audit::ENTRIES, audit::schemas),
];

fn entries() -> impl Iterator<Item = &'static Entry> {
    PARTS.iter().flat_map(|(entries, _)| entries.iter())
}

fn all_schemas() -> Map<String, Value> {
    let parts = PARTS.iter().map(|(_, schemas)| schemas());
    parts
        .filter_map(|part| match part {
            Value::Object(members) => Some(members),
            _ => None,
        })
        .flatten()
        .collect()
}

fn parameters(entry: &Entry) -> Vec<Value> {
    let parameter = |place: &str, name: &str, required: bool| {
        let kind = if matches!(name, "limit" | "unused_days") {
            "integer"
        } else if name == "now" {
            "boolean"
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
    let of_page: &[&str] = if entry.paged {
        &["limit", "cursor"]
    } else {
        &[]
    };
    let query = entry.query.iter().chain(of_page);
    all.extend(query.map(|name| parameter("query", name, false)));
    if entry.is_idempotent() {
        all.push(parameter("header", "Idempotency-Key", false));
    }
    // Without the 428 it is for those who state a version; with it, a row that may not exist yet needs none.
    let codes = entry.codes();
    if codes.contains(&Code::VersionMismatch) {
        let required = codes.contains(&Code::PreconditionRequired) && entry.method != "put";
        all.push(parameter("header", "If-Match", required));
    }
    if is_revalidated(entry) {
        all.push(parameter("header", "If-None-Match", false));
    }
    all
}

/// Whether the version covers the whole answer, so that 304 can stand for it.
fn is_revalidated(entry: &Entry) -> bool {
    [&op::GET_ORGANIZATION, &op::GET_PROJECT].contains(&entry.operation)
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
    if is_revalidated(entry) {
        let known = json!({"description": "The version in If-None-Match is the current one."});
        responses.insert("304".into(), known);
    }
    for group in entry.codes().chunk_by(|a, b| a.status() == b.status()) {
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
    if let (false, Some(members)) = (entry.operation.also.is_empty(), described.as_object_mut()) {
        members.insert("x-also".into(), json!(entry.operation.also));
    }
    if let (Some(body), Some(members)) = (entry.body, described.as_object_mut()) {
        let content = json!({"schema": reference(body)});
        let mut kinds = json!({"application/json": content});
        if let (true, Some(kinds)) = (entry.method == "patch", kinds.as_object_mut()) {
            kinds.insert("application/merge-patch+json".into(), content);
        }
        members.insert(
            "requestBody".into(),
            json!({"required": true, "content": kinds}),
        );
    }
    described
}

/// The document.
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for entry in entries() {
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
            "schemas": all_schemas(),
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
        let mut described: Vec<&str> = entries().map(|entry| entry.operation.name).collect();
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
        let schemas = all_schemas();
        for part in text.split("#/components/schemas/").skip(1) {
            let name: String = part
                .chars()
                .take_while(char::is_ascii_alphanumeric)
                .collect();
            assert!(schemas.get(&name).is_some(), "{name}");
        }
    }
}

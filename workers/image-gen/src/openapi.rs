//! `GET /openapi.json`: the description of the routes, made from the permission table.
//!
//! In scope: operations, bodies, answers, error codes. Out of scope: internal routes; their forms are in `api-types`.

use auth::permission::{Operation, ScopeRule, image_gen as op};
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
    /// Name of the answer's schema; `None` for a picture.
    answer: Option<&'static str>,
    /// Query parameters and headers: place, name, description.
    parameters: &'static [(&'static str, &'static str, &'static str)],
    errors: &'static [Code],
}

const CALLER: [Code; 8] = [
    Code::AuthFailed,
    Code::Forbidden,
    Code::ScopeMissing,
    Code::NotFound,
    Code::TooManyAuthFailures,
    Code::ConfigUnavailable,
    Code::InstanceRequired,
    Code::InstanceMismatch,
];
const GENERATE: &[Code] = &[
    Code::InvalidRequest,
    Code::UnknownField,
    Code::InvalidField,
    Code::ConflictingInstance,
    Code::ProjectMismatch,
    Code::UnknownBucket,
    Code::RequestExceedsLimit,
    Code::InstancePaused,
    Code::InstanceNotActive,
    Code::IdempotencyInFlight,
    Code::IdempotencyMismatch,
    Code::PayloadTooLarge,
    Code::UnsupportedMediaType,
    Code::NoRoute,
    Code::PriceUnknown,
    Code::RejectedBySafety,
    Code::QualityRejected,
    Code::RateLimited,
    Code::DecryptionFailed,
    Code::ProviderError,
    Code::ProviderAuth,
    Code::ProviderQuota,
    Code::ResultExpired,
    Code::OutcomeUnknown,
    Code::StorageError,
    Code::ProviderUnavailable,
    Code::LimiterUnavailable,
    Code::LedgerUnavailable,
    Code::Overloaded,
    Code::ProviderTimeout,
];
const KEY: (&str, &str, &str) = (
    "header",
    "Idempotency-Key",
    "1 to 255 printable ASCII characters: the same key is the same job for 24 hours.",
);
const INSTANCE: (&str, &str, &str) = (
    "header",
    "X-Instance-ID",
    "The instance, where the key has several.",
);
const PROJECT: (&str, &str, &str) = ("header", "X-Project-ID", "The project.");

const ENTRIES: &[Entry] = &[
    Entry {
        operation: &op::GENERATE,
        method: "post",
        path: "/generate",
        summary: "Makes images and stores them.",
        body: Some("GenerateRequest"),
        answer: Some("GenerateResponse"),
        parameters: &[INSTANCE, PROJECT, KEY],
        errors: GENERATE,
    },
    Entry {
        operation: &op::GET_JOB,
        method: "get",
        path: "/jobs/{id}",
        summary: "One job, exact.",
        body: None,
        answer: Some("Job"),
        parameters: &[
            INSTANCE,
            ("query", "wait", "Seconds to wait for a change, 0 to 60."),
            ("query", "version", "The version that is known."),
        ],
        errors: &[
            Code::InvalidField,
            Code::DatabaseUnavailable,
            Code::LimiterUnavailable,
        ],
    },
    Entry {
        operation: &op::GET_IMAGE_FILE,
        method: "get",
        path: "/images/{instance_id}/{project_id}/{file}",
        summary: "A stored image: public, signed (exp, kid, sig), or with a key that has access.",
        body: None,
        answer: None,
        parameters: &[
            ("query", "exp", "Seconds since the epoch."),
            ("query", "kid", "Id of the signing key."),
            ("query", "sig", "The signature."),
            ("header", "Range", "One range of bytes."),
            ("header", "If-None-Match", "Entity tags."),
        ],
        errors: &[
            Code::UrlExpired,
            Code::UrlInvalid,
            Code::RangeNotSatisfiable,
            Code::UpstreamUnavailable,
        ],
    },
    Entry {
        operation: &op::OPENAI_GENERATE,
        method: "post",
        path: "/v1/images/generations",
        summary: "As POST /generate, in the words of OpenAI's API.",
        body: Some("OpenAiImageRequest"),
        answer: Some("OpenAiImageResponse"),
        parameters: &[INSTANCE, PROJECT, KEY],
        errors: GENERATE,
    },
    Entry {
        operation: &op::LIST_MODELS,
        method: "get",
        path: "/v1/models",
        summary: "The models that the instance can use.",
        body: None,
        answer: Some("OpenAiModelList"),
        parameters: &[INSTANCE],
        errors: &[],
    },
    Entry {
        operation: &op::GET_MODEL,
        method: "get",
        path: "/v1/models/{id}",
        summary: "One of them; the id is provider/model.",
        body: None,
        answer: Some("OpenAiModel"),
        parameters: &[INSTANCE],
        errors: &[],
    },
    Entry {
        operation: &op::HEALTH,
        method: "get",
        path: "/health",
        summary: "Whether this worker has what it needs.",
        body: None,
        answer: Some("Health"),
        parameters: &[],
        errors: &[],
    },
    Entry {
        operation: &op::OPENAPI,
        method: "get",
        path: "/openapi.json",
        summary: "This document.",
        body: None,
        answer: Some("Document"),
        parameters: &[],
        errors: &[],
    },
];

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn nullable(kind: &str) -> Value {
    json!({ "type": [kind, "null"] })
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "called with literals that are made for it"
)]
fn object(required: &[&str], properties: Value) -> Value {
    json!({ "type": "object", "required": required, "properties": properties })
}

fn request_schemas(schemas: &mut Map<String, Value>) {
    let mut generate = object(
        &["prompt"],
        json!({
            "prompt": {"type": "string", "minLength": 1, "maxLength": 32_000},
            "api_key": {"type": "string", "description": "Where no header can be sent; the header wins."},
            "instance_id": {"type": "string"}, "project_id": {"type": "string"},
            "provider": {"type": "string"}, "model": {"type": "string"},
            "n": {"type": "integer", "minimum": 1, "maximum": 10, "default": 1},
            "size": {"type": "string", "pattern": "^[1-9][0-9]*x[1-9][0-9]*$"},
            "aspect_ratio": {"type": "string", "pattern": "^[1-9][0-9]*:[1-9][0-9]*$"},
            "quality": {"enum": ["draft", "low", "medium", "high", "max"]},
            "seed": {"type": "integer", "minimum": 1, "maximum": 2_147_483_647},
            "negative_prompt": {"type": "string"}, "style": {"type": "string"},
            "format": {"enum": ["png", "jpeg", "webp", "avif", "gif"]},
            "background": {"enum": ["opaque", "transparent"]}, "enhance_prompt": {"type": "boolean"},
            "moderation": {"enum": ["strict", "default", "low"]}, "provider_options": {"type": "object"},
            "on_unsupported": {"enum": ["adjust", "error", "drop"], "default": "adjust"},
            "optimize": {"enum": ["cost", "speed", "quality", "balanced"]},
            "max_cost_usd_micros": {"type": "integer", "minimum": 0},
            "fallback": {"oneOf": [{"enum": ["auto", "none"]}, {"type": "array", "maxItems": 4, "items": {"type": "string"}}]},
            "on_limit": {"enum": ["reject"]},
            "timeout_ms": {"type": "integer", "minimum": 1_000, "maximum": 900_000, "default": 120_000},
            "bucket": {"type": "string"}, "filename": {"type": "string", "maxLength": 80},
            "visibility": {"enum": ["private", "public"]},
            "tags": {"type": "array", "maxItems": 10, "items": {"type": "string", "maxLength": 40}},
            "quality_check": {"enum": ["off", "warn", "strict"]}, "explain": {"type": "boolean", "default": false},
        }),
    );
    generate["additionalProperties"] = json!(false);
    schemas.insert("GenerateRequest".to_owned(), generate);
    let mut openai = object(
        &["prompt"],
        json!({
            "prompt": {"type": "string"}, "model": {"type": "string"}, "n": {"type": "integer"}, "size": {"type": "string"},
            "quality": {"enum": ["low", "medium", "high", "auto", "standard", "hd"]},
            "response_format": {"enum": ["url", "b64_json"]}, "background": {"enum": ["transparent", "opaque", "auto"]},
            "output_format": {"enum": ["png", "jpeg", "webp"]}, "output_compression": {"type": "integer", "minimum": 0, "maximum": 100},
            "moderation": {"enum": ["auto", "low"]}, "style": {"type": "string"}, "user": {"type": "string"},
            "stream": {"enum": [false]},
            "switchyard": {"type": "object", "description": "Members of GenerateRequest that have no word of their own here."},
        }),
    );
    openai["additionalProperties"] = json!(false);
    schemas.insert("OpenAiImageRequest".to_owned(), openai);
}

fn answer_schemas(schemas: &mut Map<String, Value>) {
    let image = object(
        &[
            "image_id",
            "image_url",
            "r2_path",
            "bucket",
            "size_bytes",
            "dimensions",
            "format",
            "quality",
        ],
        json!({
            "image_id": {"type": "string"}, "image_url": {"type": "string"}, "r2_path": {"type": "string"}, "bucket": {"type": "string"},
            "size_bytes": {"type": "integer"}, "dimensions": {"type": "string"}, "format": {"type": "string"},
            "seed": nullable("integer"), "quality": {"type": "string"}, "sha256": {"type": "string"}, "revised_prompt": {"type": "string"},
        }),
    );
    schemas.insert("StoredImage".to_owned(), image);
    let warning = object(
        &["code"],
        json!({"code": {"type": "string"}, "option": {"type": "string"}, "from": {"type": "string"}, "to": {"type": "string"}}),
    );
    schemas.insert("Warning".to_owned(), warning);
    let metadata = object(
        &[
            "provider",
            "model",
            "dimensions",
            "generation_time_ms",
            "format",
            "seed",
        ],
        json!({
            "provider": {"type": "string"}, "model": {"type": "string"}, "dimensions": {"type": "string"},
            "generation_time_ms": {"type": "integer"}, "format": {"type": "string"}, "seed": nullable("integer"),
        }),
    );
    let generated = object(
        &[
            "success",
            "image_url",
            "r2_path",
            "metadata",
            "request_id",
            "job_id",
            "cost_usd_micros",
            "cost_basis",
            "attempts",
            "withheld",
            "images",
            "effective",
            "warnings",
        ],
        json!({
            "success": {"const": true}, "image_url": {"type": "string"}, "r2_path": {"type": "string"}, "metadata": metadata,
            "request_id": {"type": "string"}, "job_id": {"type": "string"}, "cost_usd_micros": nullable("integer"),
            "cost_basis": {"enum": ["reported", "table", "upper", "none"]}, "attempts": {"type": "integer"}, "withheld": {"type": "integer"},
            "images": {"type": "array", "items": reference("StoredImage")}, "effective": {"type": "object"},
            "warnings": {"type": "array", "items": reference("Warning")}, "usage": reference("ImageUsage"), "route": reference("Route"),
        }),
    );
    schemas.insert("GenerateResponse".to_owned(), generated);
    let integer = json!({"type": "integer"});
    schemas.insert("Route".to_owned(), route());
    let usage = object(
        &[
            "input_tokens",
            "input_tokens_details",
            "output_tokens",
            "total_tokens",
        ],
        json!({
            "input_tokens": integer, "output_tokens": integer, "total_tokens": integer,
            "input_tokens_details": object(&["text_tokens", "image_tokens"], json!({"text_tokens": integer, "image_tokens": integer})),
        }),
    );
    schemas.insert("ImageUsage".to_owned(), usage);
    let event = object(
        &["at", "event"],
        json!({"at": {"type": "string", "format": "date-time"}, "event": {"type": "string"}, "provider": {"type": "string"}, "waited_ms": integer}),
    );
    let job = object(
        &[
            "job_id",
            "state",
            "version",
            "instance_id",
            "provider",
            "model",
            "attempts",
            "created_at",
            "updated_at",
            "result",
            "error",
            "timeline",
        ],
        json!({
            "job_id": {"type": "string"}, "state": {"enum": ["queued", "running", "unknown", "succeeded", "failed", "cancelled", "dead"]},
            "stage": {"enum": ["admitted", "submitting", "polling", "fetching", "storing", null]}, "version": {"type": "integer"},
            "instance_id": {"type": "string"}, "project_id": nullable("string"), "provider": {"type": "string"}, "model": {"type": "string"},
            "attempts": {"type": "integer"}, "position": nullable("integer"), "eta_ms": nullable("integer"),
            "cost_usd_micros": nullable("integer"), "estimate_usd_micros": nullable("integer"),
            "cancel_requested": {"type": "boolean"}, "created_at": {"type": "string", "format": "date-time"},
            "updated_at": {"type": "string", "format": "date-time"},
            "result": {"oneOf": [reference("GenerateResponse"), {"type": "null"}]},
            "error": {"oneOf": [object(&["code", "message"], json!({"code": {"type": "string"}, "message": {"type": "string"}, "details": {}})), {"type": "null"}]},
            "timeline": {"type": "array", "items": event}, "request_id": {"type": "string"},
        }),
    );
    schemas.insert("Job".to_owned(), job);
}

/// With `explain`: how the provider was chosen.
fn route() -> Value {
    let (text, integer) = (json!({"type": "string"}), json!({"type": "integer"}));
    let score = object(
        &["cost", "speed", "quality", "availability", "total"],
        json!({"cost": integer, "speed": integer, "quality": integer, "availability": integer, "total": integer}),
    );
    let candidate = object(
        &["provider", "model", "estimate_usd_micros", "score"],
        json!({
            "provider": text, "model": text, "estimate_usd_micros": nullable("integer"),
            "score": {"oneOf": [score, {"type": "null"}]},
        }),
    );
    let skipped = object(
        &["provider", "model", "reason"],
        json!({"provider": text, "model": text, "reason": text, "option": text, "detail": text}),
    );
    object(
        &["candidates", "chosen", "attempts", "skipped"],
        json!({
            "candidates": {"type": "array", "items": candidate},
            "chosen": object(&["provider", "model"], json!({"provider": text, "model": text})),
            "attempts": integer, "skipped": {"type": "array", "items": skipped},
        }),
    )
}

fn openai_schemas(schemas: &mut Map<String, Value>) {
    let image = json!({"url": {"type": "string"}, "b64_json": {"type": "string"}, "revised_prompt": {"type": "string"}});
    schemas.insert(
        "OpenAiImageResponse".to_owned(),
        object(
            &["created", "data"],
            json!({"created": {"type": "integer"}, "data": {"type": "array", "items": object(&[], image)}, "usage": reference("ImageUsage")}),
        ),
    );
    let model = object(
        &["id", "object", "created", "owned_by", "switchyard"],
        json!({
            "id": {"type": "string"}, "object": {"const": "model"}, "created": {"type": "integer"}, "owned_by": {"type": "string"},
            "switchyard": {"type": "object", "description": "options (JSON Schema), max_prompt_chars, prices, median_ms, available, limit, flow"},
        }),
    );
    schemas.insert("OpenAiModel".to_owned(), model);
    schemas.insert(
        "OpenAiModelList".to_owned(),
        object(
            &["object", "data"],
            json!({"object": {"const": "list"}, "data": {"type": "array", "items": reference("OpenAiModel")}}),
        ),
    );
    let inner = object(
        &["message", "type", "param", "code"],
        json!({"message": {"type": "string"}, "type": {"type": "string"}, "param": nullable("string"), "code": nullable("string")}),
    );
    schemas.insert(
        "OpenAiError".to_owned(),
        object(&["error"], json!({ "error": inner })),
    );
}

fn schemas() -> Value {
    let mut schemas = Map::new();
    request_schemas(&mut schemas);
    answer_schemas(&mut schemas);
    openai_schemas(&mut schemas);
    schemas.insert("Health".to_owned(), json!({"type": "object"}));
    schemas.insert("Document".to_owned(), json!({"type": "object"}));
    let error = object(
        &["error", "message", "hint", "docs", "request_id"],
        json!({
            "error": {"type": "string"}, "message": {"type": "string"}, "hint": {"type": "string"}, "details": {},
            "retry_after_ms": {"type": "integer"}, "docs": {"type": "string"}, "request_id": {"type": "string"},
        }),
    );
    schemas.insert("Error".to_owned(), error);
    Value::Object(schemas)
}

/// Status and word of a code: below `/v1/` as OpenAI's packages know it.
fn spoken(code: Code, openai: bool) -> (u16, &'static str) {
    match code {
        Code::AuthFailed if openai => (401, "invalid_api_key"),
        Code::RejectedBySafety if openai => (400, "moderation_blocked"),
        Code::OptionUnsupported if openai => (400, "unsupported_parameter"),
        code => (code.status(), code.as_str()),
    }
}

fn responses(entry: &Entry) -> Value {
    let openai = entry.path.starts_with("/v1/");
    let content = match entry.answer {
        Some(name) => json!({"application/json": {"schema": reference(name)}}),
        None => json!({"image/*": {"schema": {"type": "string", "format": "binary"}}}),
    };
    let mut responses = Map::new();
    responses.insert(
        "200".to_owned(),
        json!({"description": entry.summary, "content": content}),
    );
    if entry.answer.is_none() {
        responses.insert("206".to_owned(), json!({"description": "The range."}));
        responses.insert("304".to_owned(), json!({"description": "Not modified."}));
    }
    let mut codes = entry.errors.to_vec();
    if !entry.operation.is_public() {
        codes.extend(CALLER);
    } else if entry.answer.is_none() {
        codes.extend([Code::AuthFailed, Code::NotFound]);
    }
    if entry.body == Some("OpenAiImageRequest") {
        // `stream: true`, which only this form has.
        codes.push(Code::OptionUnsupported);
    }
    let mut spoken: Vec<_> = codes.into_iter().map(|code| spoken(code, openai)).collect();
    spoken.sort_unstable();
    spoken.dedup();
    for group in spoken.chunk_by(|a, b| a.0 == b.0) {
        let names: Vec<&str> = group.iter().map(|(_, name)| *name).collect();
        let Some((status, _)) = group.first() else {
            continue;
        };
        let shape = if openai { "OpenAiError" } else { "Error" };
        responses.insert(
            status.to_string(),
            json!({
                "description": names.join(", "),
                "content": {"application/json": {"schema": reference(shape)}},
                "x-codes": names,
            }),
        );
    }
    Value::Object(responses)
}

fn described(entry: &Entry) -> Value {
    let in_path = entry
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({"in": "path", "name": name, "required": true, "schema": {"type": "string"}}));
    let others = entry.parameters.iter().map(|(place, name, text)| {
        json!({"in": place, "name": name, "required": false, "description": text, "schema": {"type": "string"}})
    });
    let scope = match entry.operation.scope {
        ScopeRule::One(scope) => scope.as_str().into(),
        ScopeRule::None | ScopeRule::AnyWrite => Value::Null,
    };
    let security = if entry.operation.is_public() {
        json!([])
    } else {
        json!([{"key": []}])
    };
    let mut described = json!({
        "operationId": entry.operation.name,
        "summary": entry.summary,
        "x-class": entry.operation.class_word(),
        "x-scope": scope,
        "security": security,
        "parameters": in_path.chain(others).collect::<Vec<_>>(),
        "responses": responses(entry),
    });
    if let (Some(body), Some(members)) = (entry.body, described.as_object_mut()) {
        members.insert(
            "requestBody".to_owned(),
            json!({"required": true, "content": {"application/json": {"schema": reference(body)}}}),
        );
    }
    described
}

/// The document.
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for entry in ENTRIES {
        let mut operations = Map::new();
        operations.insert(entry.method.to_owned(), described(entry));
        paths.insert(entry.path.to_owned(), Value::Object(operations));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "image-gen", "version": env!("CARGO_PKG_VERSION"),
            "description": "Images from any provider: admission, jobs, storage, cost.",
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
    std::future::ready(axum::Json(document())).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes;
    use platform::fakes::FakePorts;

    /// Forms of internal routes are in `api-types`.
    fn is_internal(operation: &Operation) -> bool {
        operation.class_word() == "SYSTEM"
    }

    #[test]
    fn every_route_is_described_with_its_operation() {
        let routes = routes::<FakePorts>();
        let mut marks: Vec<(String, String)> = routes
            .marks()
            .iter()
            .filter(|mark| !is_internal(mark.operation))
            .map(|mark| {
                let path = mark.path.replace("{*id}", "{id}");
                (path, mark.operation.name.to_owned())
            })
            .collect();
        let mut described: Vec<(String, String)> = ENTRIES
            .iter()
            .map(|entry| (entry.path.to_owned(), entry.operation.name.to_owned()))
            .collect();
        marks.sort();
        described.sort();
        assert_eq!(described, marks);
        let public = op::ALL.iter().filter(|operation| !is_internal(operation));
        assert_eq!(ENTRIES.len(), public.count());
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

    #[test]
    fn the_request_of_the_document_is_the_request_of_the_code() {
        let mut described: Vec<String> = schemas()["GenerateRequest"]["properties"]
            .as_object()
            .unwrap()
            .keys()
            .filter(|name| *name != "api_key")
            .cloned()
            .collect();
        described.sort();
        let refusal =
            serde_json::from_value::<api_types::GenerateRequest>(json!({"?": 1})).unwrap_err();
        let mut known: Vec<String> = refusal
            .to_string()
            .split('`')
            .skip(3)
            .step_by(2)
            .map(str::to_owned)
            .collect();
        known.sort();
        assert_eq!(described, known);
    }
}

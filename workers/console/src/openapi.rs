//! The console's own interface. What it forwards is described by the worker that serves it.

use axum::Json;
use serde_json::{Value, json};

/// The OpenAPI document.
pub fn document() -> Value {
    let text = |description: &str, kind: &str| json!({"description": description, "content": {kind: {"schema": {"type": "string"}}}});
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Switchyard console",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The first page and the same-origin gateway. `/api/{worker}/{rest}` is forwarded to the worker unchanged but for the headers that the gateway sets; see that worker's own document at `/api/{worker}/openapi.json`.",
        },
        "paths": {
            "/": {"get": {
                "operationId": "home", "x-class": "P", "summary": "The first page: what is running and how to make an image",
                "responses": {"200": text("The page", "text/html")},
            }},
            "/style.css": {"get": {
                "operationId": "home_style", "x-class": "P", "summary": "The first page's style sheet",
                "responses": {"200": text("The style sheet", "text/css")},
            }},
            "/health": {"get": {
                "operationId": "health", "x-class": "P", "summary": "Version, bindings, and the state of each bound worker",
                "responses": {
                    "200": {"description": "Every binding is there", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Health"}}}},
                    "503": {"description": "A binding is missing", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Health"}}}},
                },
            }},
            "/openapi.json": {"get": {
                "operationId": "openapi", "x-class": "P", "summary": "This document",
                "responses": {"200": {"description": "The document", "content": {"application/json": {"schema": {"type": "object"}}}}},
            }},
            "/api/{worker}/{rest}": {
                "parameters": [
                    {"name": "worker", "in": "path", "required": true, "schema": {"type": "string", "enum": crate::gateway::WORKERS.map(|target| target.worker)}},
                    {"name": "rest", "in": "path", "required": true, "schema": {"type": "string"}, "description": "Path at the worker; admission serves `health` and `openapi.json` only, and no worker serves `internal/..` here"},
                ],
                "x-gateway": true,
                "description": "Any method. Bodies are streamed both ways; a body over 52 MiB is refused.",
                "get": {
                    "operationId": "forward", "x-class": "P", "summary": "Forwards to the worker, which decides on access",
                    "responses": {
                        "default": {"description": "The worker's answer"},
                        "400": error("The path holds .., //, NUL or an encoded slash"),
                        "403": error("`origin_refused`: a local stack called by a foreign host name"),
                        "404": error("No such worker, or a path that is closed here"),
                        "413": error("`payload_too_large`"),
                        "502": error("`upstream_unavailable`: the worker did not answer"),
                    },
                },
            },
        },
        "components": {"schemas": {
            "Health": {
                "type": "object",
                "required": ["status", "version", "version_id", "git_sha", "bindings", "workers"],
                "properties": {
                    "status": {"type": "string", "enum": ["ok", "degraded"]},
                    "version": {"type": "string"},
                    "version_id": {"type": ["string", "null"]},
                    "git_sha": {"type": "string"},
                    "bindings": {"type": "object", "additionalProperties": {"type": "string", "enum": ["ok", "absent"]}},
                    "workers": {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/WorkerHealth"}},
                },
            },
            "WorkerHealth": {
                "type": "object",
                "required": ["status", "version", "git_sha"],
                "properties": {
                    "status": {"type": "string", "enum": ["ok", "degraded", "unreachable", "absent"]},
                    "version": {"type": ["string", "null"]},
                    "git_sha": {"type": ["string", "null"]},
                },
            },
            "Error": {
                "type": "object",
                "required": ["error", "message", "hint", "docs", "request_id"],
                "properties": {
                    "error": {"type": "string"},
                    "message": {"type": "string"},
                    "hint": {"type": "string"},
                    "details": {"type": "object"},
                    "retry_after_ms": {"type": "integer", "minimum": 0},
                    "docs": {"type": "string"},
                    "request_id": {"type": "string", "format": "uuid"},
                },
            },
        }},
    })
}

fn error(description: &str) -> Value {
    json!({"description": description, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}})
}

/// `GET /openapi.json`.
pub(crate) async fn serve() -> Json<Value> {
    Json(document())
}

//! The console's own interface. What it forwards is described by the worker that serves it.

use axum::Json;
use serde_json::{Value, json};

/// The OpenAPI document.
pub fn document() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Switchyard console",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The web application, its browser session and the same-origin gateway. `/api/{worker}/{rest}` is forwarded to the worker unchanged but for the headers that the gateway sets; see that worker's own document at `/api/{worker}/openapi.json`.",
        },
        "paths": {
            "/": {"get": {
                "operationId": "page", "x-class": "P", "summary": "The application's page, the same HTML under each of its addresses",
                "description": format!("Also below `/{}`. Every other path without a route is a file of the application or 404.", crate::assets::pages().join("`, `/")),
                "responses": {
                    "200": {"description": "The page", "headers": {"ETag": {"schema": {"type": "string"}}}, "content": {"text/html": {"schema": {"type": "string"}}}},
                    "304": {"description": "The version that `If-None-Match` names"},
                    "502": error("`upstream_unavailable`: the application's files cannot be read"),
                },
            }},
            "/testing-gui": {"get": moved("testing_gui", "/play")},
            "/admin-panel": {"get": moved("admin_panel", "/admin/instances")},
            "/auth/session": session_operations(),
            "/health": {"get": {
                "operationId": "health", "x-class": "P", "summary": "Version, bindings, and the state of each bound worker",
                "responses": {
                    "200": {"description": "config-service is bound and the application's page can be read", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Health"}}}},
                    "503": {"description": "config-service is not bound, or the page cannot be read", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Health"}}}},
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
                "description": "Any method. Bodies are streamed both ways; a body over 52 MiB is refused. `Authorization` is sent on; without it the session of the cookie is, for requests of the console's own pages. `__instance` in the query of an instance's worker becomes `X-Instance-ID`, for what can set no header. An instance's own worker is called over its binding, else at the URL that the registry has for it, which is read as the caller.",
                "get": {
                    "operationId": "forward", "x-class": "P", "summary": "Forwards to the worker, which decides on access",
                    "responses": {
                        "default": {"description": "The worker's answer"},
                        "400": error("`invalid_request`: the path holds .., //, NUL or an encoded slash; `invalid_field`: the instance's id is none; `instance_required`: no instance is named and several could be meant (`details.instances`)"),
                        "403": error("`csrf_rejected`: the session of the cookie used by another page; `origin_refused`: a local stack called by a foreign host name"),
                        "404": error("No such worker, a path that is closed here, or no such instance"),
                        "413": error("`payload_too_large`"),
                        "502": error("`upstream_unavailable`: the worker did not answer; `upstream_refused`: its registered URL is not one that keys may be sent to"),
                        "503": error("`worker_not_deployed`: the instance has no such worker; `config_unavailable`: the registry is needed and does not answer"),
                    },
                },
            },
        },
        "components": {"schemas": {
            "Health": {
                "type": "object",
                "required": ["status", "version", "version_id", "git_sha", "assets_hash", "bindings", "workers"],
                "properties": {
                    "status": {"type": "string", "enum": ["ok", "degraded"]},
                    "version": {"type": "string"},
                    "version_id": {"type": ["string", "null"]},
                    "git_sha": {"type": "string"},
                    "assets_hash": {"type": ["string", "null"], "description": "Version of the application's bundle"},
                    "bindings": {"type": "object", "description": "Workers of instances may be absent", "additionalProperties": {"type": "string", "enum": ["ok", "failed", "absent"]}},
                    "workers": {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/WorkerHealth"}},
                },
            },
            "SignIn": {
                "type": "object",
                "required": ["api_key"],
                "additionalProperties": false,
                "properties": {"api_key": {"type": "string", "description": "A user's key"}},
            },
            "SignedIn": {
                "type": "object",
                "required": ["principal", "session", "environment", "git_sha", "simulator"],
                "properties": {
                    "principal": {"$ref": "#/components/schemas/Principal"},
                    "session": {
                        "type": "object",
                        "required": ["session_id", "created_at", "expires_at"],
                        "properties": {
                            "session_id": {"type": "string"},
                            "created_at": {"type": "string", "format": "date-time"},
                            "expires_at": {"type": "string", "format": "date-time"},
                        },
                    },
                    "environment": {"type": "string", "enum": ["local", "test", "development", "staging", "production"]},
                    "git_sha": {"type": "string"},
                    "simulator": {"type": "boolean", "description": "Whether the providers are imitated"},
                },
            },
            "Principal": {
                "type": "object",
                "required": ["user_id", "email", "role", "org_id", "org_name", "key_id", "permissions", "instances", "instances_more"],
                "properties": {
                    "user_id": {"type": "string", "format": "uuid"},
                    "email": {"type": "string"},
                    "role": {"type": "string", "enum": ["superadmin", "admin", "user"]},
                    "org_id": {"type": ["string", "null"], "format": "uuid", "description": "Null for superadmins"},
                    "org_name": {"type": ["string", "null"]},
                    "key_id": {"type": "string", "description": "The key that the session stands for"},
                    "permissions": {"type": "array", "items": {"type": "string"}},
                    "instances": {"type": "array", "maxItems": 100, "items": {
                        "type": "object",
                        "required": ["instance_id", "name", "environment", "status"],
                        "properties": {
                            "instance_id": {"type": "string"},
                            "name": {"type": "string"},
                            "environment": {"type": "string"},
                            "status": {"type": "string"},
                        },
                    }},
                    "instances_more": {"type": "boolean", "description": "Whether there are more than 100"},
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

fn moved(name: &str, to: &str) -> Value {
    json!({
        "operationId": format!("moved_{name}"), "x-class": "P", "summary": format!("An earlier address of {to}"),
        "responses": {"308": {"description": "The query stays", "headers": {"Location": {"schema": {"type": "string"}}}}},
    })
}

fn session_operations() -> Value {
    let signed_in = |description: &str| json!({"description": description, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/SignedIn"}}}});
    let cross_site = error("`csrf_rejected`: not from the console's own pages");
    let unavailable = error("`config_unavailable`: the control plane does not answer");
    let own_words = json!([
        {"name": "X-Switchyard-Console", "in": "header", "required": true, "schema": {"type": "string", "enum": ["1"]}},
        {"name": "Origin", "in": "header", "required": true, "schema": {"type": "string"}, "description": "The console's own origin; browsers set it"},
    ]);
    json!({
        "post": {
            "operationId": "sign_in", "x-class": "P", "summary": "Exchanges a user's key for a session in the cookie",
            "parameters": own_words,
            "requestBody": {"required": true, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/SignIn"}}}},
            "responses": {
                "200": signed_in("Signed in; `Set-Cookie` carries the session"),
                "401": error("`auth_failed`: the key is malformed, unknown, expired or revoked (`details.reason`)"),
                "403": error("`forbidden`: a project's or a session's key; `csrf_rejected`: not from the console's own pages"),
                "429": error("`too_many_auth_failures`"),
                "503": unavailable,
            },
        },
        "get": {
            "operationId": "signed_in", "x-class": "P", "summary": "Who the cookie's session acts as",
            "responses": {
                "200": signed_in("The principal"),
                "401": error("`auth_failed`: nobody is signed in, or the session has ended; the cookie is cleared"),
                "403": cross_site,
                "429": error("`too_many_auth_failures`"),
                "503": unavailable,
            },
        },
        "delete": {
            "operationId": "sign_out", "x-class": "P", "summary": "Ends the session and clears the cookie; repeatable",
            "parameters": own_words,
            "responses": {
                "202": {"description": "The cookie is cleared, the session could not be ended", "content": {"application/json": {"schema": {
                    "type": "object", "required": ["ended"], "properties": {"ended": {"type": "boolean", "const": false}},
                }}}},
                "204": {"description": "Signed out"},
                "403": cross_site,
            },
        },
    })
}

fn error(description: &str) -> Value {
    json!({"description": description, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}})
}

/// `GET /openapi.json`.
pub(crate) async fn serve() -> Json<Value> {
    Json(document())
}

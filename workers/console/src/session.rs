//! `/auth/session`: a browser signs in with a key, asks who it is, signs out.
//!
//! In scope: exchanging a key for a session at config-service, the cookie that carries it. Out of scope: sessions
//! themselves (config-service keeps them; here is no state), the cross-site rules (module `gateway`, before these).

use crate::control_plane::{Told, ask, bearer, unavailable};
use crate::cookie::SessionCookie;
use crate::head::Head;
use crate::state::Deps;
use crate::user_agent;
use api_types::{Secret, Timestamp};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use errors::{Code, Error, ErrorBody, Result};
use http::header::{HeaderValue, SET_COOKIE};
use http::{Method, StatusCode};
use middleware::{Context, Json, Presented};
use platform::Ports;
use serde::Deserialize;
use serde_json::{Value, json};

/// Body of `POST /auth/session`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignIn {
    api_key: Secret,
}

/// config-service's answer to `POST /session`; members that are not used here may come and go.
#[derive(Deserialize)]
struct Opened {
    key: Secret,
}

/// config-service's answer to `GET /session`.
#[derive(Deserialize)]
struct WhoAmI {
    role: Value,
    user: Option<User>,
    organization: Option<Organization>,
    key_id: Value,
    permissions: Value,
    instances: Value,
    instances_more: bool,
    session: Option<Session>,
}

#[derive(Deserialize)]
struct User {
    user_id: String,
    email: String,
}

#[derive(Deserialize)]
struct Organization {
    org_id: String,
    name: String,
}

#[derive(Deserialize)]
struct Session {
    #[serde(rename = "session_id")]
    id: String,
    created_at: Timestamp,
    expires_at: Timestamp,
}

impl Told {
    /// What a refusal means to somebody who signs in. Codes that he can do something about are passed on.
    fn refusal(&self) -> Error {
        match serde_json::from_slice::<ErrorBody>(&self.body).map(ErrorBody::into_error) {
            Ok(error) if matches!(error.code, Code::AuthFailed | Code::TooManyAuthFailures) => {
                error
            }
            Ok(error) if error.code == Code::Forbidden => Error::new(
                Code::Forbidden,
                "Only a user's key can sign in, not a project's and not a session's.",
            )
            .with_hint("Sign in with a user's key; the key field of /play takes any key."),
            Ok(error) => unavailable(format!("config-service refused: {error}")),
            Err(_) => unavailable(format!("config-service answered {}", self.status)),
        }
    }
}

/// The principal document of a session.
fn document<P: Ports>(deps: &Deps<P>, who: &WhoAmI, session: &Session) -> Value {
    let (user, org) = (who.user.as_ref(), who.organization.as_ref());
    json!({
        "principal": {
            "user_id": user.map(|user| &user.user_id),
            "email": user.map(|user| &user.email),
            "role": who.role,
            "org_id": org.map(|org| &org.org_id),
            "org_name": org.map(|org| &org.name),
            "key_id": who.key_id,
            "permissions": who.permissions,
            "instances": who.instances,
            "instances_more": who.instances_more,
        },
        "session": {
            "session_id": session.id,
            "created_at": session.created_at,
            "expires_at": session.expires_at,
        },
        "environment": deps.environment,
        "git_sha": deps.git_sha,
        "simulator": deps.simulator,
    })
}

fn with_cookie(answer: impl IntoResponse, cookie: HeaderValue) -> Response {
    let mut response = answer.into_response();
    response.headers_mut().append(SET_COOKIE, cookie);
    response
}

fn signed_out(reason: &str, cookie: &SessionCookie) -> Response {
    let error = Error::new(Code::AuthFailed, "Nobody is signed in here.")
        .with_hint("Sign in with an API key.")
        .with_detail("reason", reason);
    with_cookie(error, cookie.clear())
}

/// Signs in: the key becomes a session, and is forgotten.
///
/// 1. The key's form and checksum, without any I/O (401).
/// 2. config-service opens a session with it (401, 403 for keys that are no user's, 429, 503).
/// 3. config-service says whose it is (503: the session stays unused and ends by itself).
///
/// 200: the principal document, the session in the cookie.
pub(crate) async fn create<P: Ports>(
    State(deps): State<Deps<P>>,
    context: Context,
    head: Head,
    Json(body): Json<SignIn>,
) -> Result<Response> {
    if auth::key::parse(body.api_key.expose()).is_err() {
        return Err(Error::new(
            Code::AuthFailed,
            "This is not an API key: a character is wrong or missing.",
        )
        .with_detail("reason", "malformed"));
    }
    let label = json!({"label": user_agent::label(head.text("user-agent"))});
    let sent = Some(&label);
    let told = ask(
        &deps,
        &context,
        bearer(&body.api_key),
        Method::POST,
        "/session",
        sent,
    )
    .await?;
    drop(body);
    if told.status != 201 {
        return Err(told.refusal());
    }
    let opened: Opened = told.read()?;
    let key = auth::key::parse(opened.key.expose())
        .map_err(|_| Error::internal("config-service's answer: the session's key is malformed"))?;
    let session = Presented {
        key,
        raw: opened.key,
    };
    let told = ask(
        &deps,
        &context,
        bearer(&session.raw),
        Method::GET,
        "/session",
        None,
    )
    .await?;
    if told.status != 200 {
        let status = told.status;
        return Err(unavailable(format!(
            "the new session was answered {status}"
        )));
    }
    let who: WhoAmI = told.read()?;
    let Some(details) = &who.session else {
        return Err(Error::internal("config-service's answer: no session in it"));
    };
    let cookie = SessionCookie::at(&head, &deps.gateway).set(&session);
    Ok(with_cookie(
        axum::Json(document(&deps, &who, details)),
        cookie,
    ))
}

/// Who is signed in.
///
/// 1. A session in the cookie (401, cookie cleared).
/// 2. config-service knows it (401 with the cookie cleared when it has ended, 429, 503).
///
/// 200: the principal document.
pub(crate) async fn read<P: Ports>(
    State(deps): State<Deps<P>>,
    context: Context,
    head: Head,
) -> Result<Response> {
    let cookie = SessionCookie::at(&head, &deps.gateway);
    let Some(session) = cookie.read(&head) else {
        return Ok(signed_out("missing", &cookie));
    };
    let told = ask(
        &deps,
        &context,
        bearer(&session.raw),
        Method::GET,
        "/session",
        None,
    )
    .await?;
    match told.status {
        200 => {
            let who: WhoAmI = told.read()?;
            Ok(match &who.session {
                Some(details) => axum::Json(document(&deps, &who, details)).into_response(),
                // Somebody put a long-lived key into the cookie: that is what sessions are there to avoid.
                None => signed_out("not_a_session", &cookie),
            })
        }
        401 => {
            let refusal = told.refusal();
            let reason = refusal.details.get("reason").and_then(Value::as_str);
            Ok(signed_out(reason.unwrap_or("unknown"), &cookie))
        }
        _ => Err(told.refusal()),
    }
}

/// Signs out; repeatable.
///
/// 1. The cookie is cleared whatever follows.
/// 2. config-service ends the session.
///
/// 204; 202 `{"ended":false}` when it could not be told: the session then ends by itself or in the list of sessions.
pub(crate) async fn end<P: Ports>(
    State(deps): State<Deps<P>>,
    context: Context,
    head: Head,
) -> Response {
    let cookie = SessionCookie::at(&head, &deps.gateway);
    let ended = match cookie.read(&head) {
        None => true,
        Some(session) => {
            let path = format!("/session/{}", session.key.key_id);
            let told = ask(
                &deps,
                &context,
                bearer(&session.raw),
                Method::DELETE,
                &path,
                None,
            )
            .await;
            match told {
                // 401: the session has ended already. 404: it is none.
                Ok(told) if matches!(told.status, 204 | 401 | 404) => true,
                Ok(told) => {
                    let status = told.status;
                    tracing::warn!(status, "the session was not ended");
                    false
                }
                Err(error) => {
                    tracing::warn!(cause = %error, "the session was not ended");
                    false
                }
            }
        }
    };
    if ended {
        with_cookie(StatusCode::NO_CONTENT, cookie.clear())
    } else {
        let body = axum::Json(json!({"ended": false}));
        with_cookie((StatusCode::ACCEPTED, body), cookie.clear())
    }
}

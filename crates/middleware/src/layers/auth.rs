//! Layer 9: which key was presented, by its form alone. No I/O.
//!
//! In scope: Bearer, the member `api_key` on routes marked so, hints of instance and project. Out of scope: whether
//! the key is good (layer `resolve`, or the handler in config-service).

use crate::extract::{MaybePresented, PreparedBody, Presented, Props, read_body, strict};
use crate::routes::RouteMark;
use api_types::{InstanceId, ProjectId, Secret};
use auth::permission::Class;
use axum::body::Body;
use axum::extract::Request;
use errors::{Code, Error, Result};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use lookup::Hints;
use serde_json::Value;

pub(crate) fn auth_failed(reason: &str) -> Error {
    Error::new(Code::AuthFailed, "The API key is missing or not valid.")
        .with_detail("reason", reason)
}

/// The text after `Bearer`; `None` without the header.
fn bearer(headers: &HeaderMap) -> Result<Option<Secret>> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(auth_failed("malformed"));
    }
    let text = value.to_str().map_err(|_| auth_failed("malformed"))?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
            Ok(Some(Secret::new(token)))
        }
        _ => Err(auth_failed("malformed")),
    }
}

fn presented(raw: Secret) -> Result<Presented> {
    let key = auth::key::parse(raw.expose()).map_err(|_| auth_failed("malformed"))?;
    Ok(Presented { key, raw })
}

fn header_hint(headers: &HeaderMap, name: &str) -> Result<Option<String>> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let text = value
        .to_str()
        .map_err(|_| Error::invalid_field(name, "must be text"))?;
    Ok(Some(text.to_owned()))
}

fn checked(hints: Hints, at: [&str; 2]) -> Result<Hints> {
    let [instance_field, project_field] = at;
    if let Some(instance) = &hints.instance {
        InstanceId::parse(instance)
            .map_err(|error| Error::invalid_field(instance_field, error.to_string()))?;
    }
    if let Some(project) = &hints.project {
        ProjectId::parse(project)
            .map_err(|error| Error::invalid_field(project_field, error.to_string()))?;
    }
    Ok(hints)
}

/// Takes the member `api_key` out of a body before anybody sees it, and reads the hints in it.
async fn open_body(request: Request) -> Result<(Request, Option<Value>, Hints)> {
    let (mut parts, body) = request.into_parts();
    let bytes = read_body(&parts.extensions, body).await?;
    if bytes.is_empty() {
        return Ok((
            Request::from_parts(parts, Body::empty()),
            None,
            Hints::default(),
        ));
    }
    let mut api_key = None;
    let mut hints = Hints::default();
    let prepared = strict::parse(&bytes).map(|mut value| {
        if let Value::Object(members) = &mut value {
            api_key = members.shift_remove("api_key");
            let text = |name: &str| members.get(name).and_then(Value::as_str).map(Into::into);
            hints = Hints {
                instance: text("instance_id"),
                project: text("project_id"),
            };
        }
        value
    });
    // The text itself is dropped: a malformed one may hold a key, and the parsed one is what handlers get.
    parts.extensions.insert(PreparedBody(prepared));
    Ok((Request::from_parts(parts, Body::empty()), api_key, hints))
}

/// # Errors
/// 401 `auth_failed`; 413 while reading a body; 400 for malformed or conflicting hints, after the key's form.
pub(crate) async fn present(mark: &RouteMark, request: Request) -> Result<Request> {
    let class = mark.operation.class;
    if matches!(class, Class::System(_)) || comes_as_worker(mark, &request) {
        return Ok(request);
    }
    let from_header = bearer(request.headers());
    let (mut request, body_key, body_hints) = if mark.operation.body_key {
        open_body(request).await?
    } else {
        (request, None, Hints::default())
    };
    let key = match (from_header, body_key) {
        (Ok(Some(raw)), _) => presented(raw),
        (Err(error), _) => Err(error),
        (Ok(None), Some(Value::String(raw))) => presented(Secret::new(raw)),
        (Ok(None), Some(_)) => Err(auth_failed("malformed")),
        (Ok(None), None) => Err(auth_failed("missing")),
    };
    if class == Class::Public {
        let none = request.headers().get(AUTHORIZATION).is_none();
        let maybe = MaybePresented((!none).then_some(key));
        let hints = header_hints(request.headers()).unwrap_or_default();
        request.extensions_mut().insert(maybe);
        request.extensions_mut().insert(hints);
        return Ok(request);
    }
    let key = key?;
    let hints = header_hints(request.headers())?
        .join(checked(body_hints, ["instance_id", "project_id"])?)?;
    request
        .extensions_mut()
        .insert(MaybePresented(Some(Ok(key))));
    request.extensions_mut().insert(hints);
    Ok(request)
}

/// Whether a worker of the house calls an operation that names it besides its class, and shows no key.
fn comes_as_worker(mark: &RouteMark, request: &Request) -> bool {
    let props = request.extensions().get::<Props>();
    props
        .and_then(|props| props.caller.as_deref())
        .is_some_and(|caller| mark.operation.also.contains(&caller))
        && !request.headers().contains_key(AUTHORIZATION)
}

fn header_hints(headers: &HeaderMap) -> Result<Hints> {
    checked(
        Hints {
            instance: header_hint(headers, "x-instance-id")?,
            project: header_hint(headers, "x-project-id")?,
        },
        ["X-Instance-ID", "X-Project-ID"],
    )
}

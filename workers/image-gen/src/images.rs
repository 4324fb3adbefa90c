//! `GET` and `HEAD /images/{instance_id}/{project_id}/{file}`: a stored image, past our own memory.
//!
//! In scope: who may read it, conditions, one range, headers. Out of scope: signing (`r2-manager`), the image index.
//! No D1 query: what decides stands in the signature, in the key, or beside the object.

use crate::deps::Deps;
use crate::range::{Asked, Resolved, parse, resolve};
use api_types::{InstanceId, Need, ProjectId};
use auth::permission::{Target, image_gen, permit};
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use errors::{Code, Error, Result};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use middleware::{Context, Path, Presented};
use platform::{
    ByteRange, Clock, ObjectInfo, ObjectServe, ObjectStore, PortError, Ports, ServedBody,
};
use r2_manager::UrlError;

/// Longest last part of a key.
const MAX_FILE_LEN: usize = 80;

/// Where an image stands.
struct Place {
    instance_id: InstanceId,
    project_id: Option<ProjectId>,
    key: String,
}

/// What opens an image that is not public.
#[derive(Clone, Debug)]
enum Proof {
    None,
    Given,
    /// A key that does not open it; what the caller is told of a private image, and of one that is not there.
    Insufficient(Error),
}

/// Steps: the path is one of ours (404); a signature is checked (403 `url_expired`, `url_invalid`), otherwise a key, if
/// there is one, by the look-up (401, 429); the object (404; private without proof 401, with a key that does not open it
/// 403 or 404, with one that cannot be looked up 503); then 304, 416, 206 or 200. A public image is public whichever key
/// comes along.
pub async fn get_image_file<P: Ports>(
    State(deps): State<Deps<P>>,
    context: Context,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    presented: Option<Presented>,
    Path((instance, project, file)): Path<(String, String, String)>,
) -> Result<Response> {
    let missing = || Error::not_found("image");
    let place = place(&instance, &project, &file).ok_or_else(missing)?;
    let proof = proof(
        &deps,
        &context,
        &place,
        uri.query().unwrap_or(""),
        presented,
    )
    .await?;
    let conditional = headers.contains_key(header::RANGE)
        || headers.contains_key(header::IF_NONE_MATCH)
        || method == Method::HEAD;
    for bucket in order(&deps, &place, &proof, &context).await {
        if !conditional {
            if let Some(served) = open(&bucket, &place.key, None).await? {
                return deliver(served, &proof);
            }
            continue;
        }
        let Some(info) = bucket
            .head(&place.key)
            .await
            .map_err(|error| storage(&error))?
        else {
            continue;
        };
        admit(&info, &proof)?;
        if not_modified(&headers, &info) {
            return Ok(empty(StatusCode::NOT_MODIFIED, &info, None));
        }
        let asked = asked_range(&headers, &info);
        let range = match resolve(asked, info.size_bytes) {
            Resolved::Whole => None,
            Resolved::Part { offset, length } => Some((offset, length)),
            Resolved::Unsatisfiable => return Ok(unsatisfiable(&info)),
        };
        if method == Method::HEAD {
            let status = if range.is_some() {
                StatusCode::PARTIAL_CONTENT
            } else {
                StatusCode::OK
            };
            return Ok(empty(status, &info, range));
        }
        if let Some(served) = open(&bucket, &place.key, range).await? {
            return deliver(served, &proof);
        }
    }
    match proof {
        Proof::Insufficient(error) => Err(error),
        Proof::None | Proof::Given => Err(missing()),
    }
}

fn storage(error: &PortError) -> Error {
    Error::new(Code::UpstreamUnavailable, "The storage does not answer.")
        .with_internal(error.to_string())
        .with_retry_after_ms(1_000)
}

fn place(instance: &str, project: &str, file: &str) -> Option<Place> {
    let instance_id = InstanceId::parse(instance).ok()?;
    let project_id = match project {
        "default" => None,
        id => Some(ProjectId::parse(id).ok()?),
    };
    let plain = file
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b));
    let ours = plain && !file.starts_with('.') && (1..=MAX_FILE_LEN).contains(&file.len());
    ours.then(|| Place {
        key: format!("{instance}/{project}/{file}"),
        instance_id,
        project_id,
    })
}

async fn proof<P: Ports>(
    deps: &Deps<P>,
    context: &Context,
    place: &Place,
    query: &str,
    presented: Option<Presented>,
) -> Result<Proof> {
    let now_ms = deps.clock.now_ms();
    match deps.forms.keys.verify(&place.key, query, now_ms) {
        Ok(()) => return Ok(Proof::Given),
        Err(UrlError::Expired) => {
            return Err(Error::new(Code::UrlExpired, "This URL has expired."));
        }
        Err(UrlError::Invalid) => {
            return Err(Error::new(Code::UrlInvalid, "This URL was not made here."));
        }
        Err(UrlError::Missing) => {}
    }
    let Some(presented) = presented else {
        return Ok(Proof::None);
    };
    match opens(deps, context, place, &presented).await {
        Ok(()) => Ok(Proof::Given),
        // What is not a key at all stays a mistake, and guessing keys has the same price everywhere.
        Err(error) if matches!(error.code, Code::AuthFailed | Code::TooManyAuthFailures) => {
            Err(error)
        }
        Err(error) => Ok(Proof::Insufficient(error)),
    }
}

/// Whether a key opens the image as it opens its job.
async fn opens<P: Ports>(
    deps: &Deps<P>,
    context: &Context,
    place: &Place,
    presented: &Presented,
) -> Result<()> {
    let hints = lookup::Hints {
        instance: Some(place.instance_id.to_string()),
        project: place.project_id.as_ref().map(ToString::to_string),
    };
    let resolved = deps
        .lookup
        .resolve(
            &presented.key,
            &presented.raw,
            &hints,
            Need::Instance,
            context.client_ip(),
            context.call(),
        )
        .await?;
    let config = resolved.config.as_ref();
    let target = Target {
        org_id: config.map(|config| config.org_id.clone()),
        instance_id: Some(place.instance_id.clone()),
        project_id: place.project_id.clone(),
        ..Target::default()
    };
    context.identify(
        &resolved.auth,
        Some(&place.instance_id),
        place.project_id.as_ref(),
    );
    // The route itself is public; reading by key needs what reading the job needs.
    permit(&image_gen::GET_JOB, &resolved.auth, &target)?;
    let bound = resolved.auth.project_id.as_ref();
    if bound.is_some() && bound != place.project_id.as_ref() {
        return Err(Error::not_found("image"));
    }
    Ok(())
}

/// The buckets in the order of writing, then all others; the default first, where the configuration cannot be had. For a key
/// that does not open the image it is not asked for: an instance that is not the caller's must cost what a missing one
/// costs.
async fn order<P: Ports>(
    deps: &Deps<P>,
    place: &Place,
    proof: &Proof,
    context: &Context,
) -> Vec<P::Objects> {
    let config = match proof {
        Proof::Insufficient(_) => None,
        Proof::None | Proof::Given => deps.config(&place.instance_id, context.call()).await.ok(),
    };
    let default = deps.buckets.default_name();
    let candidates: Vec<&str> = match &config {
        Some(config) => {
            let own = config.edited.r2_bucket.as_deref();
            let further = config.edited.storage.r2_buckets.iter();
            own.into_iter()
                .chain([default])
                .chain(further.map(String::as_str))
                // The configuration may have named another one when the image was stored.
                .chain(deps.buckets.names())
                .collect()
        }
        None => [default].into_iter().chain(deps.buckets.names()).collect(),
    };
    let mut names: Vec<&str> = Vec::new();
    for name in candidates {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
        .into_iter()
        .filter_map(|name| deps.buckets.get(name).cloned())
        .collect()
}

async fn open<S: ObjectStore>(
    bucket: &S,
    key: &str,
    range: Option<(u64, u64)>,
) -> Result<Option<ObjectServe>> {
    let range = range.map(|(offset, length)| ByteRange::From {
        offset,
        length: Some(length),
    });
    bucket
        .serve(key, range)
        .await
        .map_err(|error| storage(&error))
}

fn is_public(info: &ObjectInfo) -> bool {
    info.meta("visibility") == Some("public")
}

fn admit(info: &ObjectInfo, proof: &Proof) -> Result<()> {
    if is_public(info) {
        return Ok(());
    }
    match proof {
        Proof::Given => Ok(()),
        Proof::Insufficient(error) => Err(error.clone()),
        Proof::None => Err(Error::new(
            Code::AuthFailed,
            "This image is private: use its signed URL, or a key with access.",
        )),
    }
}

fn quoted(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn not_modified(headers: &HeaderMap, info: &ObjectInfo) -> bool {
    let Some(tags) = quoted(headers, header::IF_NONE_MATCH) else {
        return false;
    };
    // RFC 9110 13.1.2: compared weakly.
    let weak = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    tags.trim() == "*" || tags.split(',').any(|tag| weak(tag) == weak(&info.etag))
}

fn asked_range(headers: &HeaderMap, info: &ObjectInfo) -> Asked {
    let Some(range) = quoted(headers, header::RANGE) else {
        return Asked::Whole;
    };
    // RFC 9110 13.1.5: the range counts only for the file that the client has a part of.
    match quoted(headers, header::IF_RANGE) {
        Some(tag) if tag != info.etag => Asked::Whole,
        _ => parse(range),
    }
}

fn head(status: StatusCode, info: &ObjectInfo) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set(header::ETAG, &info.etag);
    set(header::ACCEPT_RANGES, "bytes");
    set(
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; sandbox",
    );
    let cache = if is_public(info) {
        "public, max-age=31536000, immutable"
    } else {
        "private, max-age=300"
    };
    set(header::CACHE_CONTROL, cache);
    if status != StatusCode::NOT_MODIFIED {
        set(header::CONTENT_TYPE, &info.content_type);
    }
    response
}

fn set_length(response: &mut Response, info: &ObjectInfo, range: Option<(u64, u64)>) {
    let size = info.size_bytes;
    let length = range.map_or(size, |(_, length)| length);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    if let Some((offset, length)) = range
        && let Ok(value) =
            HeaderValue::from_str(&format!("bytes {offset}-{}/{size}", offset + length - 1))
    {
        headers.insert(header::CONTENT_RANGE, value);
    }
}

fn empty(status: StatusCode, info: &ObjectInfo, range: Option<(u64, u64)>) -> Response {
    let mut response = head(status, info);
    if status != StatusCode::NOT_MODIFIED {
        set_length(&mut response, info, range);
    }
    response
}

fn unsatisfiable(info: &ObjectInfo) -> Response {
    let error = Error::new(
        Code::RangeNotSatisfiable,
        "The range lies outside of the file.",
    )
    .with_detail("size_bytes", info.size_bytes);
    let mut response = axum::response::IntoResponse::into_response(error);
    if let Ok(value) = HeaderValue::from_str(&format!("bytes */{}", info.size_bytes)) {
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
    response
}

fn deliver(served: ObjectServe, proof: &Proof) -> Result<Response> {
    admit(&served.info, proof)?;
    let status = if served.range.is_some() {
        StatusCode::PARTIAL_CONTENT
    } else {
        StatusCode::OK
    };
    let mut response = head(status, &served.info);
    set_length(&mut response, &served.info, served.range);
    match served.body {
        ServedBody::Stream(stream) => *response.body_mut() = Body::from_stream(stream),
        ServedBody::Native(native) => {
            response.extensions_mut().insert(native);
        }
    }
    Ok(response)
}

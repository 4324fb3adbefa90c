//! The OpenAI-compatible endpoints: `POST /v1/images/generations`, `GET /v1/models`, `GET /v1/models/{*id}`.
//!
//! In scope: their words to ours and back. Out of scope: errors in their shape (middleware), the run (`generate`).

use crate::answer;
use crate::credentials;
use crate::deps::Deps;
use crate::generate::{Request, Served, serve};
use api_types::{
    BackgroundKind, GenerateRequest, GenerateResponse, LimiterStats, Moderation, OpenAiImage,
    OpenAiImageRequest, OpenAiImageResponse, OpenAiModel, OpenAiModelList, ProviderName, Quality,
    Timestamp,
};
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use errors::{Code, Error, Result};
use futures_util::{StreamExt, TryStreamExt, stream};
use http::{HeaderMap, HeaderValue, header};
use middleware::{Caller, Context, IdempotencyKey, Json, Path};
use platform::{ByteStream, Clock, ObjectStore, PortError, Ports};
use provider_adapters::{ModelEntry, catalog_of};
use r2_manager::Encoder;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How images are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Url,
    B64,
}

/// 1. Their members to ours (400). 2. As `POST /generate`. 3. `url`, or `b64_json` encoded from the bucket in pieces.
pub async fn openai_generate<P: Ports>(
    State(deps): State<Deps<P>>,
    context: Context,
    caller: Caller,
    IdempotencyKey(key): IdempotencyKey,
    Json(body): Json<Value>,
) -> Result<Response> {
    let request: OpenAiImageRequest = middleware::parse_json(body.clone())?;
    let asked_format = format(&request)?;
    let asked = Request {
        route: "POST /v1/images/generations",
        key,
        body,
        generate: translate(request)?,
    };
    let served = serve(&deps, &context, &caller, asked).await;
    let response = match served.outcome {
        Ok(response) => response,
        Err(error) => return Ok(Served::failure(error, served.headers)),
    };
    let gpt_image = response.metadata.model.starts_with("gpt-image-");
    let format = asked_format.unwrap_or(if gpt_image { Format::B64 } else { Format::Url });
    let created = deps.clock.now_ms() / 1_000;
    let mut response = match format {
        Format::Url => axum::Json(with_urls(created, &response)).into_response(),
        Format::B64 => {
            let job_id = response.job_id.clone();
            match with_bytes(&deps, created, response).await {
                Ok(answer) => answer,
                Err(error) => {
                    let error = answer::of_job(&deps, error, &job_id);
                    return Ok(Served::failure(error, served.headers));
                }
            }
        }
    };
    response.headers_mut().extend(served.headers);
    Ok(response)
}

fn format(request: &OpenAiImageRequest) -> Result<Option<Format>> {
    match request.response_format.as_deref() {
        None => Ok(None),
        Some("url") => Ok(Some(Format::Url)),
        Some("b64_json") => Ok(Some(Format::B64)),
        Some(_) => Err(Error::invalid_field(
            "response_format",
            "must be url or b64_json",
        )),
    }
}

/// Their members to ours; `auto` is what we do without the member.
fn translate(request: OpenAiImageRequest) -> Result<GenerateRequest> {
    if request.stream == Some(true) {
        return Err(Error::new(
            Code::OptionUnsupported,
            "Streaming of images is not available.",
        )
        .with_detail("field", "stream"));
    }
    let mut ours = request.switchyard.unwrap_or_default();
    let doubled = [
        ("prompt", !ours.prompt.is_empty()),
        ("model", ours.model.is_some()),
        ("n", ours.n.is_some()),
        ("size", ours.size.is_some()),
        ("quality", ours.quality.is_some()),
        ("format", ours.format.is_some()),
        ("background", ours.background.is_some()),
        ("moderation", ours.moderation.is_some()),
        ("style", ours.style.is_some()),
    ];
    if let Some((field, _)) = doubled.iter().find(|(_, given)| *given) {
        return Err(Error::invalid_field(
            &format!("switchyard.{field}"),
            "belongs beside switchyard, not into it",
        ));
    }
    let word = |text: Option<String>| text.filter(|text| text != "auto");
    ours.prompt = request.prompt;
    ours.model = request.model;
    ours.n = request.n;
    ours.size = word(request.size);
    ours.quality = match word(request.quality).as_deref() {
        None => None,
        Some("low") => Some(Quality::Low),
        Some("medium" | "standard") => Some(Quality::Medium),
        Some("high" | "hd") => Some(Quality::High),
        Some(_) => {
            return Err(Error::invalid_field(
                "quality",
                "must be low, medium, high, standard, hd or auto",
            ));
        }
    };
    ours.background = match word(request.background).as_deref() {
        None => None,
        Some("opaque") => Some(BackgroundKind::Opaque),
        Some("transparent") => Some(BackgroundKind::Transparent),
        Some(_) => {
            return Err(Error::invalid_field(
                "background",
                "must be opaque, transparent or auto",
            ));
        }
    };
    ours.moderation = match word(request.moderation).as_deref() {
        None => None,
        Some("low") => Some(Moderation::Low),
        Some(_) => return Err(Error::invalid_field("moderation", "must be low or auto")),
    };
    ours.format = request.output_format;
    ours.style = request.style;
    if let Some(percent) = request.output_compression {
        if percent > 100 {
            return Err(Error::invalid_field(
                "output_compression",
                "must be 0 to 100",
            ));
        }
        ours.provider_options
            .insert("output_compression".to_owned(), percent.into());
    }
    Ok(ours)
}

fn with_urls(created: i64, response: &GenerateResponse) -> OpenAiImageResponse {
    OpenAiImageResponse {
        created,
        data: response
            .images
            .iter()
            .map(|image| OpenAiImage {
                url: Some(image.image_url.clone()),
                b64_json: None,
                revised_prompt: image.revised_prompt.clone(),
            })
            .collect(),
        usage: response.usage,
    }
}

fn storage(error: &PortError) -> Error {
    Error::new(
        Code::StorageError,
        "The image is stored and cannot be read right now.",
    )
    .with_detail("kind", "storage")
    .with_internal(error.to_string())
}

/// The answer as a stream: at most one piece of one image is in memory, and one image is open. The others are opened when
/// their turn comes: an invocation has 6 connections, and one that is not read may be cancelled for another.
async fn with_bytes<P: Ports>(
    deps: &Deps<P>,
    created: i64,
    response: GenerateResponse,
) -> Result<Response> {
    let text = |text: String| -> ByteStream { stream::iter([Ok(Bytes::from(text))]).boxed() };
    let mut parts: Vec<ByteStream> = vec![text(format!("{{\"created\":{created},\"data\":["))];
    for (index, image) in response.images.iter().enumerate() {
        let bucket = deps
            .buckets
            .get(&image.bucket)
            .ok_or_else(|| Error::internal(format!("no bucket {}", image.bucket)))?;
        let path = image.r2_path.clone();
        let bytes = if index == 0 {
            open(bucket, &path).await.map_err(|error| storage(&error))?
        } else {
            // While there is still an answer that can say so.
            let found = bucket.head(&path).await;
            let found = found.map_err(|error| storage(&error))?;
            found.ok_or_else(|| storage(&gone()))?;
            let bucket = bucket.clone();
            stream::once(async move { open(&bucket, &path).await })
                .try_flatten()
                .boxed()
        };
        let comma = if index == 0 { "" } else { "," };
        let revised = image
            .revised_prompt
            .as_ref()
            .map(|prompt| format!(",\"revised_prompt\":{}", Value::from(prompt.as_str())))
            .unwrap_or_default();
        parts.push(text(format!("{comma}{{\"b64_json\":\"")));
        parts.push(encoded(bytes));
        parts.push(text(format!("\"{revised}}}")));
    }
    let usage = response
        .usage
        .and_then(|usage| serde_json::to_string(&usage).ok())
        .map(|usage| format!(",\"usage\":{usage}"))
        .unwrap_or_default();
    parts.push(text(format!("]{usage}}}")));
    let body = Body::from_stream(stream::iter(parts).flatten());
    let mut answer = Response::new(body);
    answer.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    Ok(answer)
}

fn gone() -> PortError {
    PortError::new("objects", "the image is gone")
}

async fn open<S: ObjectStore>(bucket: &S, path: &str) -> Result<ByteStream, PortError> {
    let read = bucket.get(path).await?;
    Ok(read.ok_or_else(gone)?.body)
}

/// Base64 of a stream, piece by piece.
fn encoded(body: ByteStream) -> ByteStream {
    stream::unfold(Some((body, Encoder::default())), |state| async move {
        let (mut body, mut encoder) = state?;
        match body.next().await {
            Some(Ok(bytes)) => {
                let text = encoder.feed(&bytes);
                Some((Ok(Bytes::from(text)), Some((body, encoder))))
            }
            Some(Err(error)) => Some((Err(error), None)),
            None => Some((Ok(Bytes::from(encoder.finish())), None)),
        }
    })
    .boxed()
}

fn model_id(entry: &ModelEntry) -> String {
    format!("{}/{}", entry.provider, entry.model)
}

fn model(entry: &ModelEntry, stats: &BTreeMap<ProviderName, LimiterStats>) -> OpenAiModel {
    let known = stats.get(&entry.provider);
    OpenAiModel {
        id: model_id(entry),
        object: "model".to_owned(),
        created: 0,
        owned_by: entry.provider.to_string(),
        switchyard: json!({
            "label": entry.label,
            "kind": entry.kind,
            "flow": entry.flow,
            "streaming": entry.streaming,
            "default": entry.default,
            "limit": entry.limit,
            "deprecated_on": entry.deprecated_on,
            "max_prompt_chars": entry.max_prompt_chars,
            "options": entry.form,
            "prices": entry.prices,
            "median_ms": known.map(|stats| stats.median_ms).filter(|ms| *ms > 0),
            "available": known.is_none_or(|stats| stats.breaker_ms == 0),
        }),
    }
}

fn models<P: Ports>(
    deps: &Deps<P>,
    caller: &Caller,
    wanted: impl Fn(&ProviderName, &str) -> bool,
) -> Result<Vec<OpenAiModel>> {
    let config = caller.config()?;
    let now_ms = deps.clock.now_ms();
    let stats = deps.memory.stats(&config.instance_id, now_ms);
    let mut openable: BTreeMap<&ProviderName, bool> = BTreeMap::new();
    let entries = catalog_of(config, Timestamp(now_ms), wanted);
    Ok(entries
        .iter()
        .filter(|entry| {
            // A key that does not open is as good as none.
            *openable
                .entry(&entry.provider)
                .or_insert_with(|| credentials::usable(deps, config, &entry.provider).is_ok())
        })
        .map(|entry| model(entry, &stats))
        .collect())
}

/// What the instance can use.
pub async fn list_models<P: Ports>(
    State(deps): State<Deps<P>>,
    caller: Caller,
) -> Result<Response> {
    Ok(axum::Json(OpenAiModelList {
        object: "list".to_owned(),
        data: models(&deps, &caller, |_, _| true)?,
    })
    .into_response())
}

/// One of them, by `provider/model`, or by the model alone where only one provider has it (404).
pub async fn get_model<P: Ports>(
    State(deps): State<Deps<P>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response> {
    let models = models(&deps, &caller, |provider, model| {
        id == model
            || id
                .strip_prefix(provider.as_str())
                .and_then(|it| it.strip_prefix('/'))
                == Some(model)
    })?;
    let short = |model: &&OpenAiModel| model.id.split_once('/').is_some_and(|(_, name)| name == id);
    let found = models
        .iter()
        .find(|model| model.id == id)
        .or_else(|| models.iter().find(short))
        .ok_or_else(|| Error::not_found("model"))?;
    Ok((HeaderMap::new(), axum::Json(found)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(body: Value) -> Result<GenerateRequest> {
        translate(serde_json::from_value(body).unwrap())
    }

    #[test]
    fn their_words_become_ours() {
        let ours = translated(json!({
            "prompt": "a cat", "model": "gpt-image-1", "n": 2, "size": "1024x1024", "quality": "hd",
            "background": "transparent", "moderation": "low", "output_format": "webp", "output_compression": 80,
            "user": "u-1", "stream": false, "switchyard": {"provider": "openai", "filename": "cat"}
        }))
        .unwrap();
        assert_eq!(ours.prompt, "a cat");
        assert_eq!(ours.quality, Some(Quality::High));
        assert_eq!(ours.background, Some(BackgroundKind::Transparent));
        assert_eq!(ours.provider.as_deref(), Some("openai"));
        assert_eq!(ours.provider_options["output_compression"], 80);
        let auto = translated(
            json!({"prompt": "a", "size": "auto", "quality": "auto", "background": "auto", "moderation": "auto"}),
        );
        let auto = auto.unwrap();
        assert_eq!(
            (auto.size, auto.quality, auto.background),
            (None, None, None)
        );
    }

    #[test]
    fn what_cannot_be_done_is_refused_by_name() {
        for (body, field) in [
            (json!({"prompt": "a", "stream": true}), "stream"),
            (json!({"prompt": "a", "quality": "best"}), "quality"),
            (json!({"prompt": "a", "background": "blue"}), "background"),
            (json!({"prompt": "a", "moderation": "none"}), "moderation"),
            (
                json!({"prompt": "a", "output_compression": 101}),
                "output_compression",
            ),
            (
                json!({"prompt": "a", "switchyard": {"n": 3}}),
                "switchyard.n",
            ),
            (
                json!({"prompt": "a", "switchyard": {"prompt": "b"}}),
                "switchyard.prompt",
            ),
        ] {
            let error = translated(body.clone()).unwrap_err();
            assert_eq!(error.details["field"], field, "{body}");
        }
    }
}

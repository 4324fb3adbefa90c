//! `POST /generate`, and the service behind it that the OpenAI-compatible endpoint shares.
//!
//! In scope: from a checked request to a run that outlives its client, and back to an answer. Out of scope: the run (`run`).

use crate::answer;
use crate::credentials;
use crate::deps::Deps;
use crate::idempotency::{self, Asked, Claimed, Ownership, claim_key};
use crate::jobs::{Found, find};
use crate::run::{End, Progress, Report, Run};
use crate::validate::{refuse_credential, validate};
use ::jobs::{Deadline, final_error};
use api_types::{
    CredentialState, GenerateJob, GenerateRequest, GenerateResponse, ImageId, InstanceConfig,
    JobCaller, JobId, LimiterStats, ProviderName, Skipped, Timestamp,
};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use errors::{Code, Error, Result};
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use middleware::{Caller, Context, IdempotencyKey, Json};
use platform::{Background, CallContext, Clock, Ports};
use provider_adapters::{Plan, PlanRequest, plan};
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use tracing::Instrument;

/// Longest wait where neither request nor instance says another, in milliseconds.
const DEFAULT_TIMEOUT_MS: u32 = 120_000;

/// Between two looks at a job that the consumer runs, in milliseconds: a tenth of the time waited so far, in these bounds,
/// so that a wait of 15 minutes stays below the platform's 1,000 calls an invocation.
const AWAIT_EVERY_MS: std::ops::RangeInclusive<u64> = 500..=5_000;

/// What is answered, before it has a shape.
pub struct Served {
    /// The result with its URLs, or why there is none.
    pub outcome: Result<GenerateResponse>,
    /// Headers of an answer with a job.
    pub headers: HeaderMap,
}

impl Served {
    fn refused(error: Error) -> Self {
        Self {
            outcome: Err(error),
            headers: HeaderMap::new(),
        }
    }

    /// The error answer with its headers.
    pub fn failure(error: Error, headers: HeaderMap) -> Response {
        let location = error
            .details
            .get("status_url")
            .and_then(|url| url.as_str())
            .and_then(|url| HeaderValue::from_str(url).ok());
        let mut response = error.into_response();
        response.headers_mut().extend(headers);
        if let Some(location) = location {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }
}

/// 1. Validation (400). 2. `plan` (422 `no_route`, `price_unknown`). 3. The claim, with `Idempotency-Key` (409, 422, 503).
/// 4. The run, registered to outlive this request; all candidates refused -> 429, 503; the object is unreachable -> 503.
/// 5. `timeout_ms` over -> 504 with the job, which goes on.
pub async fn generate<P: Ports>(
    State(deps): State<Deps<P>>,
    context: Context,
    caller: Caller,
    IdempotencyKey(key): IdempotencyKey,
    Json(request): Json<GenerateRequest>,
) -> Result<Response> {
    let body = idempotency::body_of(&request);
    let asked = Request {
        route: "POST /generate",
        key,
        body,
        generate: request,
    };
    let served = serve(&deps, &context, &caller, asked).await;
    Ok(match served.outcome {
        Ok(response) => (served.headers, axum::Json(response)).into_response(),
        Err(error) => Served::failure(error, served.headers),
    })
}

/// What a route hands over.
pub struct Request {
    /// The route, as the route table writes it.
    pub route: &'static str,
    /// `Idempotency-Key`.
    pub key: Option<String>,
    /// The whole body as it was sent, for the fingerprint.
    pub body: serde_json::Value,
    /// What is asked.
    pub generate: GenerateRequest,
}

/// Serves one request; refusals included.
pub async fn serve<P: Ports>(
    deps: &Deps<P>,
    context: &Context,
    caller: &Caller,
    asked: Request,
) -> Served {
    match begin(deps, context, caller, asked).await {
        Ok(Begun::Replay(found, config)) => replay(deps, context, &config, *found),
        Ok(Begun::Run(admitted)) => wait(deps, context, *admitted).await,
        Err(error) => Served::refused(error),
    }
}

enum Begun {
    Replay(Box<Found>, Arc<InstanceConfig>),
    Run(Box<Admitted>),
}

/// A job that may acquire.
struct Admitted {
    job: GenerateJob,
    config: Arc<InstanceConfig>,
    owner: Option<Ownership>,
    timeout_ms: u32,
}

async fn begin<P: Ports>(
    deps: &Deps<P>,
    context: &Context,
    caller: &Caller,
    asked: Request,
) -> Result<Begun> {
    let config = Arc::clone(caller.config()?);
    validate(&asked.generate, &config, |name| deps.buckets.has(name))?;
    if let Some(key) = &asked.key {
        refuse_credential("Idempotency-Key", key)?;
    }
    let now_ms = deps.clock.now_ms();
    let mut request = asked.generate;
    let visibility = request
        .visibility
        .unwrap_or(config.edited.storage.visibility);
    request.visibility = Some(visibility);
    let timeout_ms = request
        .timeout_ms
        .or(config.edited.sync_timeout_ms)
        .unwrap_or(DEFAULT_TIMEOUT_MS);
    let stats = deps.memory.stats(&config.instance_id, now_ms);
    let planned = plan_openable(deps, &request, &config, &stats);
    context.timing("plan", now_ms, deps.clock.now_ms());
    if planned.candidates.is_empty() {
        let n = request.n.unwrap_or(1);
        return Err(
            exceeds_limit(&planned.skipped, &config, n).unwrap_or_else(|| planned.refusal())
        );
    }
    let job_id = JobId::parse(&deps.uuid()).map_err(|error| Error::internal(error.to_string()))?;
    let owner = match asked.key {
        None => None,
        Some(key) => {
            let claim = Asked {
                config: &config,
                project_id: caller.project_id(),
                route: asked.route,
                body: &asked.body,
                job_id: &job_id,
            };
            match claim_key(deps, key, &claim, context.call()).await? {
                Claimed::Replay(found) => return Ok(Begun::Replay(found, config)),
                Claimed::Ours(owner) => Some(owner),
            }
        }
    };
    let image_ids = (0..request.n.unwrap_or(1))
        .map(|_| ImageId::parse(&deps.uuid()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Error::internal(error.to_string()))?;
    let bucket = request
        .bucket
        .clone()
        .or_else(|| config.edited.r2_bucket.clone())
        .filter(|name| deps.buckets.has(name))
        .unwrap_or_else(|| deps.buckets.default_name().to_owned());
    // Only the answer shows why others were passed over, and how these compare.
    let (mut candidates, mut skipped) = (planned.candidates, Vec::new());
    if request.explain {
        skipped = planned.skipped;
        for (candidate, score) in candidates.iter_mut().zip(planned.scores) {
            candidate.score = Some(score);
        }
    }
    request.instance_id = None;
    request.project_id = None;
    let job = GenerateJob {
        v: 1,
        job_id,
        request_id: context.request_id().to_owned(),
        caller: JobCaller {
            instance_id: config.instance_id.clone(),
            org_id: config.org_id.clone(),
            project_id: caller.project_id().cloned(),
            key_id: caller.auth.key.as_ref().map(|key| key.key_id.clone()),
            user_id: caller.auth.user.as_ref().map(|user| user.user_id.clone()),
        },
        request,
        candidates,
        candidate: 0,
        attempt_no: 1,
        max_attempts: config.edited.routing.max_attempts,
        credential_id: None,
        image_ids,
        bucket,
        visibility,
        admitted_at: Timestamp(deps.clock.now_ms()),
        skipped,
    };
    Ok(Begun::Run(Box::new(Admitted {
        job,
        config,
        owner,
        timeout_ms,
    })))
}

/// The plan over the providers whose keys can be opened: one that cannot is as good as none, and is found out before an
/// object is asked. Opened keys are kept for the attempt.
fn plan_openable<P: Ports>(
    deps: &Deps<P>,
    request: &GenerateRequest,
    config: &InstanceConfig,
    stats: &BTreeMap<ProviderName, LimiterStats>,
) -> Plan {
    let now = Timestamp(deps.clock.now_ms());
    let asked = PlanRequest::new(request);
    let mut planned = plan(&asked, config, now, stats);
    let mut usable: Option<InstanceConfig> = None;
    loop {
        let unreadable: BTreeSet<ProviderName> = planned
            .candidates
            .iter()
            .map(|candidate| &candidate.provider)
            .filter(|provider| credentials::usable(deps, config, provider).is_err())
            .cloned()
            .collect();
        if unreadable.is_empty() {
            return planned;
        }
        let usable = usable.get_or_insert_with(|| config.clone());
        for provider in unreadable {
            let settings = usable.edited.providers.entry(provider).or_default();
            settings.credential_state = CredentialState::Missing;
            settings.allow_private_host = false;
        }
        planned = plan(&asked, usable, now, stats);
    }
}

/// Where more images are asked for than the instance lets be in progress, no wait and no other model helps.
fn exceeds_limit(skipped: &[Skipped], config: &InstanceConfig, n: u32) -> Option<Error> {
    let mut asked = skipped
        .iter()
        .filter(|skipped| skipped.reason != "not_requested")
        .peekable();
    asked.peek()?;
    let mut most = 0;
    for skipped in asked {
        let provider = ProviderName::parse(&skipped.provider).ok()?;
        let limit = config.edited.rate_limits.get(&provider)?;
        let max = limit.max_inflight_images.filter(|max| *max < n)?;
        most = most.max(max);
    }
    Some(
        Error::new(
            Code::RequestExceedsLimit,
            format!("At most {most} images may be in progress at once."),
        )
        .with_detail("limit", "max_inflight_images")
        .with_detail("value", most),
    )
}

/// Starts the run so that it goes on when the client leaves, and waits for it.
async fn wait<P: Ports>(deps: &Deps<P>, context: &Context, admitted: Admitted) -> Served {
    let Admitted {
        job,
        config,
        owner,
        timeout_ms,
    } = admitted;
    let deadline = Deadline::after(context.started_ms(), u64::from(timeout_ms));
    let progress = Arc::new(Progress::default());
    let run = Run {
        progress: Some(Arc::clone(&progress)),
        deps: deps.clone(),
        config: Arc::clone(&config),
        context: call(context),
        deadline,
        interactive: true,
        begin_by: owner.as_ref().map(Ownership::begin_by),
    };
    let started = job.clone();
    let owned = deps.clone();
    // Whoever polls it drives it: this request, and after a disconnect the platform's own list.
    let work = async move {
        let report = run.start(started, None).await;
        if let (Some(owner), End::Failed(error)) = (owner, &report.end)
            && idempotency::costs_nothing(&report, error.code)
        {
            owner.give_back(&owned).await;
        }
        Arc::new(report)
    }
    // Also what is logged after the client has left belongs to its request.
    .instrument(tracing::Span::current())
    .boxed()
    .shared();
    deps.background.spawn(work.clone().map(|_| ()));
    let timer = pin!(deps.clock.sleep(deadline.left_ms(deps.clock.now_ms())));
    let mut report = match select(work, timer).await {
        Either::Left((report, _)) => (*report).clone(),
        Either::Right(_) => progress.so_far(&job, deps.clock.now_ms()),
    };
    let late = || {
        answer::of_job(
            deps,
            Error::new(
                Code::ProviderTimeout,
                "The provider has not finished within the wait; the job goes on.",
            ),
            &job.job_id,
        )
    };
    let mut headers = HeaderMap::new();
    for (name, start_ms, end_ms) in &report.timings {
        context.timing(name, *start_ms, *end_ms);
    }
    if report.parked {
        await_job(deps, &config, context, deadline, &mut report).await;
    }
    answer::headers(&mut headers, &report, total_ms(deps, context));
    let outcome = outcome_of(deps, &config, &report, late);
    Served { outcome, headers }
}

fn total_ms<P: Ports>(deps: &Deps<P>, context: &Context) -> u64 {
    u64::try_from(deps.clock.now_ms() - context.started_ms()).unwrap_or(0)
}

/// Waits for a job that the consumer runs.
async fn await_job<P: Ports>(
    deps: &Deps<P>,
    config: &InstanceConfig,
    context: &Context,
    deadline: Deadline,
    report: &mut Report,
) {
    let job_id = report.job.job_id.clone();
    loop {
        let left_ms = deadline.left_ms(deps.clock.now_ms());
        if left_ms == 0 {
            return;
        }
        let waited_ms = deps.clock.now_ms() - context.started_ms();
        let tenth_ms = u64::try_from(waited_ms).unwrap_or(0) / 10;
        let pause_ms = tenth_ms.clamp(*AWAIT_EVERY_MS.start(), *AWAIT_EVERY_MS.end());
        deps.clock.sleep(pause_ms.min(left_ms)).await;
        let Ok(Some(found)) = find(deps, config, &job_id, context.call()).await else {
            continue;
        };
        let error = final_error(&found.view);
        report.job.attempt_no = found.view.attempts;
        report.cost_usd_micros = found.view.cost_usd_micros;
        match (found.view.result, error) {
            (Some(result), _) => {
                report.provider_ms = result.metadata.generation_time_ms;
                report.end = End::Succeeded(Box::new(result));
                return;
            }
            (None, Some(error)) => {
                report.end = End::Failed(error);
                return;
            }
            (None, None) => {}
        }
    }
}

fn outcome_of<P: Ports>(
    deps: &Deps<P>,
    config: &InstanceConfig,
    report: &Report,
    late: impl Fn() -> Error,
) -> Result<GenerateResponse> {
    match &report.end {
        End::Succeeded(response) => {
            let mut response = (**response).clone();
            answer::fill_urls(deps, config, report.job.visibility, &mut response);
            Ok(response)
        }
        End::Failed(error) if report.known => {
            Err(answer::of_job(deps, error.clone(), &report.job.job_id))
        }
        End::Failed(error) => Err(error.clone()),
        End::GoesOn => Err(late()),
    }
}

/// The first answer again, rendered from the job.
fn replay<P: Ports>(
    deps: &Deps<P>,
    context: &Context,
    config: &InstanceConfig,
    found: Found,
) -> Served {
    let mut headers = HeaderMap::new();
    headers.insert(
        HeaderName::from_static("idempotent-replayed"),
        HeaderValue::from_static("true"),
    );
    answer::replayed(&mut headers, &found.view, total_ms(deps, context));
    let error = final_error(&found.view);
    let outcome = match (found.view.result, error) {
        (Some(mut response), _) => {
            answer::fill_urls(deps, config, found.visibility, &mut response);
            Ok(response)
        }
        (None, Some(error)) => Err(answer::of_job(deps, error, &found.view.job_id)),
        (None, None) => Err(Error::internal("a succeeded job without a result")),
    };
    Served { outcome, headers }
}

fn call(context: &Context) -> CallContext {
    context.call().clone()
}

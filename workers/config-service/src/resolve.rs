//! `POST /internal/v1/resolve`: verdict and configuration for another worker, in one question.
//!
//! In scope: the steps after the props were checked by the middleware. Out of scope: caching (`lookup`).

use crate::abuse::{self, AbuseGuard};
use crate::deps::Deps;
use crate::fields;
use crate::principal::Refusal;
use api_types::{
    AuthContext, InstanceId, InstanceVerdict, Need, ProjectId, ProjectVerdict, ResolveReply,
    ResolveRequest,
};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use errors::{Code, Error, Result};
use lookup::{Choice, choose};
use middleware::{Context, Json, Props};
use platform::Ports;
use store::control::resolve::{ChosenBy, ChosenRow, NamedProject, chosen, project};

/// Workers that may open provider keys; nobody else gets them, not even sealed.
const OPENERS: [&str; 3] = ["image-gen", "task-master", "repo-agent"];

/// Whether the calling worker gets the sealed keys.
pub(crate) fn may_open(props: &Props) -> bool {
    props
        .caller
        .as_deref()
        .is_some_and(|caller| OPENERS.contains(&caller))
}

struct Hints {
    instance: Option<InstanceId>,
    project: Option<ProjectId>,
}

impl Hints {
    fn read(request: &ResolveRequest) -> Result<Self> {
        let instance = request.instance_hint.as_deref().map(InstanceId::parse);
        let project = request.project_hint.as_deref().map(ProjectId::parse);
        Ok(Self {
            instance: instance
                .transpose()
                .map_err(|error| Error::invalid_field("instance_id", error.to_string()))?,
            project: project
                .transpose()
                .map_err(|error| Error::invalid_field("project_id", error.to_string()))?,
        })
    }
}

/// 1. Props name a caller of the table (404, by the middleware).
/// 2. The key has its form, else 401 without D1.
/// 3. A blocked address: 429.
/// 4. One D1 batch.
/// 5. Secret, owner, organization, expiry: 401, or 429 when it was guessed too often.
/// 6. The instance is chosen: 400, 403, 404. 7.
///
/// 200. In the background: last use, new hash, KV confirmation.
pub(crate) async fn resolve<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    props: Props,
    Json(request): Json<ResolveRequest>,
) -> Result<Response> {
    let client_ip = request.client_ip.as_deref();
    let Ok(presented) = auth::key::parse(request.credential.expose()) else {
        let refusal = Error::from(Refusal::Unknown);
        return Err(refusal.with_detail("reason", "malformed"));
    };
    let now = deps.now();
    abuse::check(&deps.memory, client_ip, now)?;
    let hints = Hints::read(&request)?;
    let have = request.have.as_ref();
    let needs_instance = request.need != Need::Principal;
    let statements = if needs_instance {
        let by = ChosenBy {
            hint: hints.instance.as_ref(),
            project: hints.project.as_ref(),
            deployed: props.instance_id.as_ref(),
            have: have.map(|have| (&have.instance_id, have.config_version)),
        };
        let mut statements = vec![chosen(&presented.key_id, by)];
        statements.extend(hints.project.as_ref().map(project));
        statements
    } else {
        Vec::new()
    };
    let narrowed = hints.instance.as_ref().filter(|_| needs_instance);
    let read = deps
        .read_as(&presented, client_ip, narrowed, statements)
        .await?;
    let mut reply = ResolveReply {
        v: 1,
        checked_at: now,
        auth: read.auth.clone(),
        instance: None,
        project: None,
        config: None,
    };
    if needs_instance {
        let row = ChosenRow::read(&read.rows(0))?;
        let named = NamedProject::read(&read.rows(1))?;
        let (row, project) = decide(&read.auth, &hints, &props, request.need, row, named)?;
        if let Some(config) = &row.config {
            deps.confirm(config);
        }
        reply.instance = Some(InstanceVerdict {
            instance_id: row.instance_id,
            status: row.status,
            config_version: row.config_version,
        });
        reply.project = project;
        reply.config = row.config;
        if let Some(config) = reply.config.as_mut().filter(|_| !may_open(&props)) {
            config.api_keys.clear();
        }
    }
    let instance_id = reply.instance.as_ref().map(|i| &i.instance_id);
    context.identify(
        &reply.auth,
        instance_id,
        reply.project.as_ref().map(|p| &p.project_id),
    );
    Ok(axum::Json(reply).into_response())
}

fn decide(
    auth: &AuthContext,
    hints: &Hints,
    props: &Props,
    need: Need,
    row: Option<ChosenRow>,
    named: Option<NamedProject>,
) -> Result<(ChosenRow, Option<ProjectVerdict>)> {
    if let Some(hint) = &hints.project {
        let project = named.as_ref().ok_or_else(fields::missing)?;
        if fields::is_foreign(auth, Some(&project.org_id)) {
            return Err(fields::missing());
        }
        if auth.project_id.as_ref().is_some_and(|own| own != hint) {
            return Err(Error::new(
                Code::Forbidden,
                "A project key sees its own project only.",
            ));
        }
    }
    // The one that is named, else the own one of a project key.
    let own = || row.as_ref().and_then(|row| row.own_project.as_ref());
    let project = named
        .map(|it| (it.project_id, it.name, it.instance_id))
        .or_else(|| {
            own().map(|it| {
                (
                    it.project_id.clone(),
                    it.name.clone(),
                    it.instance_id.clone(),
                )
            })
        });
    // What is named must exist and be allowed before anything is said about how it fits.
    let is_named = hints.instance.is_some() || project.is_some();
    if is_named {
        judge(auth, row.as_ref())?;
    }
    let right_url = row.as_ref().and_then(|row| {
        let caller = props.caller.as_deref()?.replace('-', "_");
        row.worker_urls.get(&caller).map(String::as_str)
    });
    choose(&Choice {
        hint: hints.instance.as_ref(),
        project_instance: project.as_ref().map(|(_, _, instance_id)| instance_id),
        deployed: props.instance_id.as_ref(),
        accessible: &auth.instances,
        more: auth.instances_more,
        right_url,
    })?;
    judge(auth, row.as_ref())?;
    if need == Need::Project && project.is_none() {
        return Err(Error::new(
            Code::ProjectRequired,
            "The request names no project.",
        ));
    }
    let row = row.ok_or_else(fields::missing)?;
    let project = project.map(|(project_id, name, _)| ProjectVerdict { project_id, name });
    Ok((row, project))
}

/// 404 for missing and foreign, 403 for a sibling.
fn judge(auth: &AuthContext, row: Option<&ChosenRow>) -> Result<()> {
    match row {
        Some(row) if row.allowed => Ok(()),
        Some(row) if !fields::is_foreign(auth, Some(&row.org_id)) => Err(fields::no_access()),
        _ => Err(fields::missing()),
    }
}

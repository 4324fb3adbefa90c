//! `PUT /instance/{instance_id}/worker-urls`: where the instance's own workers answer.

use super::config::Faults;
use super::edit::{Current, Edit, reads};
use super::target;
use crate::abuse::AbuseGuard;
use crate::change::{Body, Change, Decision, Demand, Outcome};
use crate::deps::Deps;
use api_types::{InstanceId, Timestamp, url_guard};
use auth::permission::{Operation, Target, config_service};
use axum::extract::State;
use axum::response::Response;
use errors::{Code, Error, Result};
use middleware::{Context, IfMatch, Path, Presented};
use platform::{Ports, Statement};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use store::control::audit::ChainOf;

/// Workers that are deployed for each instance.
const WORKERS: [&str; 4] = ["admission", "image_gen", "task_master", "repo_agent"];

struct SetWorkerUrls {
    instance_id: InstanceId,
    body: Body,
}

fn read(body: &Value, local: bool, faults: &mut Faults) -> Result<BTreeMap<String, String>> {
    let members = body
        .as_object()
        .ok_or_else(|| Error::new(Code::InvalidRequest, "URLs are an object by worker."))?;
    let mut urls = BTreeMap::new();
    for (worker, url) in members {
        let at = format!("/{worker}");
        if !WORKERS.contains(&worker.as_str()) {
            faults.unknown(at, format!("must be one of {}", WORKERS.join(", ")));
            continue;
        }
        // Loopback and plain http only where a local stack runs.
        match url.as_str().map(|url| url_guard::check_base(url, local)) {
            Some(Ok(_)) => {
                urls.insert(worker.clone(), url.as_str().unwrap_or_default().to_owned());
            }
            Some(Err(refused)) => faults.invalid(at, refused.rule),
            None => faults.invalid(at, "must be a URL"),
        }
    }
    Ok(urls)
}

fn show(current: &Current) -> Value {
    let row = &current.row;
    json!({"instance_id": row.instance_id, "worker_urls": row.worker_urls, "version": row.version})
}

impl Change for SetWorkerUrls {
    const OPERATION: &'static Operation = &config_service::SET_WORKER_URLS;

    fn instance(&self) -> Option<&InstanceId> {
        Some(&self.instance_id)
    }

    fn chain(&self) -> ChainOf {
        ChainOf::Instance(self.instance_id.clone())
    }

    fn fingerprint(&self) -> String {
        String::new()
    }

    fn reads(&self, caller: &Presented, now: Timestamp) -> Vec<Statement> {
        reads(caller, &self.instance_id, None, now)
    }

    fn target(&self, decision: &Decision<'_>) -> Result<Target> {
        target(decision)
    }

    fn decide(&self, decision: &Decision<'_>) -> Result<Outcome> {
        let current = Current::read(decision)?;
        let body = self.body.0.as_ref().map_err(Clone::clone)?;
        let mut faults = Faults::default();
        let mut wanted = current.document();
        wanted.worker_urls = read(body, decision.settings.is_local(), &mut faults)?;
        let edit = Edit {
            decision,
            current: &current,
            show: &|current: &Current| Ok(show(current)),
        };
        edit.decide(wanted, faults)
    }
}

/// Replaces the URLs of the instance's workers.
///
/// 1. The instance exists in the caller's organization (404), role admin (403), scope `config:write` (403).
/// 2. Names and URLs (400).
/// 3. `If-Match` (428, 412).
/// 4. The URL of image-gen stays once it is there (409 `deploy_managed`).
/// 5. Row, effective configuration, audit entry in one batch; publication.
///
/// 200 with the new value.
pub(crate) async fn set<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path(instance_id): Path<InstanceId>,
    if_match: IfMatch,
    body: Body,
) -> Result<Response> {
    let demand = Demand::repeatable(context, presented, if_match, "PUT /instance/worker-urls");
    let change = SetWorkerUrls { instance_id, body };
    let answer = deps.mutate(&demand, &change).await?;
    Ok(answer.into_response(demand.context.request_id()))
}

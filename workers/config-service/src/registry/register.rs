//! `PUT /worker/{name}`.

use super::view::shown;
use super::{WorkerName, only_superadmin};
use crate::abuse::AbuseGuard;
use crate::answer::Answer;
use crate::change::{Audited, Body, Change, Decision, Demand, Outcome};
use crate::deps::Deps;
use crate::fields;
use crate::patch;
use api_types::{InstanceId, Role, Timestamp, url_guard};
use auth::chain::canonical_json;
use auth::permission::{Operation, Target, config_service};
use axum::extract::State;
use axum::response::Response;
use errors::{Error, Result};
use middleware::{Context, IfMatch, Path, Presented};
use platform::{Ports, Statement};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use store::control::audit::ChainOf;
use store::control::guard::Quota;
use store::control::instances::{self, InstanceRow};
use store::control::registry::{self, Health, Registration, WorkerRow};

/// Most capabilities of one worker.
const MAX_CAPABILITIES: usize = 50;
/// Longest URL, in bytes.
const MAX_URL_BYTES: usize = 500;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default)]
    instance_id: Option<InstanceId>,
    version: String,
    git_sha: String,
    url: String,
    #[serde(default)]
    openapi_url: Option<String>,
    #[serde(default)]
    openapi_sha256: Option<String>,
    #[serde(default)]
    capabilities: Vec<String>,
}

impl Wanted {
    /// # Errors
    /// 400 `invalid_field`.
    fn check(&mut self, local: bool) -> Result<()> {
        word("version", &self.version)?;
        word("git_sha", &self.git_sha)?;
        while self.url.ends_with('/') {
            self.url.pop();
        }
        url("url", &self.url, url_guard::check_base, local)?;
        if let Some(text) = &self.openapi_url {
            url("openapi_url", text, url_guard::check, local)?;
        }
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if let Some(text) = &self.openapi_sha256
            && !(text.len() == 64 && text.bytes().all(hex))
        {
            return Err(Error::invalid_field(
                "openapi_sha256",
                "must be 64 lower-case hex digits",
            ));
        }
        capabilities(&self.capabilities)
    }
}

/// Versions and commits: 1 to 64 of letters, digits and `.+-_`.
fn word(field: &str, text: &str) -> Result<()> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b".+-_".contains(&b);
    if (1..=64).contains(&text.len()) && text.bytes().all(good) {
        Ok(())
    } else {
        Err(Error::invalid_field(
            field,
            "must be 1 to 64 of letters, digits, and . + - _",
        ))
    }
}

fn url<T>(
    field: &str,
    text: &str,
    guard: fn(&str, bool) -> Result<T, url_guard::Refused>,
    local: bool,
) -> Result<()> {
    if text.len() > MAX_URL_BYTES {
        let rule = format!("must be at most {MAX_URL_BYTES} bytes");
        return Err(Error::invalid_field(field, rule));
    }
    guard(text, local)
        .map(|_| ())
        .map_err(|refused| Error::invalid_field(field, refused.rule))
}

fn capabilities(names: &[String]) -> Result<()> {
    let refuse = |rule: &str| Err(Error::invalid_field("capabilities", rule));
    if names.len() > MAX_CAPABILITIES {
        return refuse("must be at most 50");
    }
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.';
    let fits = |name: &String| (1..=40).contains(&name.len()) && name.bytes().all(good);
    if !names.iter().all(fits) {
        return refuse("must each be 1 to 40 of a-z, 0-9 and dots");
    }
    if names.iter().collect::<BTreeSet<_>>().len() < names.len() {
        return refuse("must not name one twice");
    }
    Ok(())
}

struct RegisterWorker {
    name: WorkerName,
    instance_id: Option<InstanceId>,
    /// The body names an instance, but not in the form of one.
    malformed: bool,
    body: Body,
}

/// The members that a registration sets, for comparing and for the audit log.
fn told(worker: &WorkerRow) -> Value {
    json!({
        "version": worker.version, "git_sha": worker.git_sha, "url": worker.url,
        "openapi_url": worker.openapi_url, "openapi_sha256": worker.openapi_sha256,
        "capabilities": worker.capabilities, "by_platform": worker.by_platform,
    })
}

impl RegisterWorker {
    /// The row after the registration.
    fn row(
        &self,
        wanted: Wanted,
        old: Option<&WorkerRow>,
        by_platform: bool,
        now: Timestamp,
    ) -> WorkerRow {
        let same_build = old.filter(|old| old.git_sha == wanted.git_sha && old.url == wanted.url);
        let base = WorkerRow {
            instance_id: wanted.instance_id,
            name: self.name.as_str().to_owned(),
            version: wanted.version,
            git_sha: wanted.git_sha,
            url: wanted.url,
            openapi_url: wanted.openapi_url,
            openapi_sha256: wanted.openapi_sha256,
            capabilities: wanted.capabilities,
            health: Health::Unknown,
            health_since: Some(now),
            health_reason: None,
            health_detail: old.and_then(|old| old.health_detail.clone()),
            failures: 0,
            successes: 0,
            checked_at: None,
            registered_at: now,
            by_platform,
        };
        match same_build {
            None => base,
            Some(old) => WorkerRow {
                health: old.health,
                health_since: old.health_since,
                health_reason: old.health_reason.clone(),
                failures: old.failures,
                successes: old.successes,
                checked_at: old.checked_at,
                ..base
            },
        }
    }
}

impl Change for RegisterWorker {
    const OPERATION: &'static Operation = &config_service::REGISTER_WORKER;

    fn instance(&self) -> Option<&InstanceId> {
        self.instance_id.as_ref()
    }

    fn chain(&self) -> ChainOf {
        self.instance_id
            .clone()
            .map_or(ChainOf::Platform, ChainOf::Instance)
    }

    fn fingerprint(&self) -> String {
        self.body.0.as_ref().map(canonical_json).unwrap_or_default()
    }

    fn reads(&self, caller: &Presented, now: Timestamp) -> Vec<Statement> {
        let place = self.instance_id.as_ref();
        let owner = place.map_or("", InstanceId::as_str);
        let mut reads = vec![
            registry::one(place, self.name.as_str()),
            Quota::Workers.count(owner, &now.to_string()),
        ];
        if let Some(instance_id) = place {
            reads.push(instances::for_caller(&caller.key.key_id, instance_id));
        }
        reads
    }

    fn target(&self, decision: &Decision<'_>) -> Result<Target> {
        if self.malformed {
            return Ok(Target {
                org_id: decision.auth.org_id.clone(),
                ..Target::default()
            });
        }
        if self.instance_id.is_none() {
            only_superadmin(decision.auth)?;
            return Ok(Target::default());
        }
        let row = InstanceRow::read(&decision.rows(2))?.ok_or_else(fields::missing)?;
        Ok(Target {
            org_id: Some(row.org_id),
            instance_id: Some(row.instance_id),
            ..Target::default()
        })
    }

    fn decide(&self, decision: &Decision<'_>) -> Result<Outcome> {
        let instance = InstanceRow::read(&decision.rows(2))?;
        if instance.is_some_and(|row| !row.allowed) {
            return Err(fields::no_access());
        }
        let mut wanted: Wanted = self.body.parse()?;
        wanted.check(decision.settings.is_local())?;
        let old = WorkerRow::read(&decision.rows(0))?;
        let now = decision.now;
        let by_platform = decision.auth.role == Role::Superadmin;
        let new = self.row(wanted, old.as_ref(), by_platform, now);
        let place = self.instance_id.as_ref();
        let mut statements = Vec::new();
        let (before, after, answer) = if let Some(old) = &old {
            let (before, after) = patch::changes(&told(old), &told(&new));
            if before == after {
                return Ok(Outcome::unchanged(Answer::ok(shown(old))));
            }
            (before, after, Answer::ok(shown(&new)))
        } else {
            let count = decision.count(1);
            if count >= Quota::Workers.limit() {
                return Err(fields::quota_reached(Quota::Workers, count));
            }
            let owner = place.map_or("", InstanceId::as_str);
            statements.push(Quota::Workers.guard(owner, &now.to_string()));
            let query = place.map(|id| format!("?instance_id={id}"));
            let location = format!("/worker/{}{}", new.name, query.unwrap_or_default());
            let answer = Answer::created(shown(&new), location);
            (Value::Null, told(&new), answer)
        };
        statements.extend(registry::register(&Registration {
            instance_id: place,
            name: &new.name,
            version: &new.version,
            git_sha: &new.git_sha,
            url: &new.url,
            openapi_url: new.openapi_url.as_deref(),
            openapi_sha256: new.openapi_sha256.as_deref(),
            capabilities: &new.capabilities,
            by_platform,
            now,
        }));
        Ok(Outcome {
            statements,
            audited: Some(Audited {
                target_type: "worker",
                target_id: new.name.clone(),
                instance_id: self.instance_id.clone(),
                before,
                after,
            }),
            answer,
            publish: None,
        })
    }
}

/// Registers a worker, or what is new about it; repeatable.
///
/// 1. The instance exists (404), role admin (403), for a worker of the platform superadmin (403), scope `config:write`
///    (403).
/// 2. The body; URLs pass the URL guard (400).
/// 3. At most 50 workers an instance (409 `quota_reached`).
/// 4. Row, version and audit entry in one batch.
///
/// 201 with `Location` for a new one, else 200. Another build or URL starts with health `unknown`.
pub(crate) async fn register<P: Ports, G: AbuseGuard>(
    State(deps): State<Deps<P, G>>,
    context: Context,
    presented: Presented,
    Path(name): Path<WorkerName>,
    body: Body,
) -> Result<Response> {
    let demand = Demand::repeatable(context, presented, IfMatch::Missing, "PUT /worker");
    let named = body
        .0
        .as_ref()
        .ok()
        .and_then(|body| body.get("instance_id"));
    let named = named.filter(|value| !value.is_null());
    let instance_id = named
        .and_then(Value::as_str)
        .and_then(|id| InstanceId::parse(id).ok());
    let change = RegisterWorker {
        name,
        malformed: named.is_some() && instance_id.is_none(),
        instance_id,
        body,
    };
    let answer = deps.mutate(&demand, &change).await?;
    Ok(answer.into_response(demand.context.request_id()))
}

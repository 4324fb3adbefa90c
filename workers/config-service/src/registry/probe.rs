//! One check: ask the worker, judge, note.

use super::health::{Answer, Finding, Standing, judge, kept, next};
use crate::abuse::AbuseGuard;
use crate::deps::Deps;
use api_types::url_guard;
use errors::Result;
use http::{HeaderMap, Method};
use platform::{Clock, Database, HttpClient, HttpRequest, Ports, ReplyError, collect};
use serde_json::Value;
use store::control::registry::{self, Health, WorkerRow};

/// Head and body together, in milliseconds.
const TIMEOUT_MS: u64 = 3_000;
/// Most of a body, in bytes.
const MAX_BODY_BYTES: u64 = 64 * 1024;

impl<P: Ports, G: AbuseGuard> Deps<P, G> {
    /// Checks a worker and notes what it found; another check or registration meanwhile wins. Gives the worker as it is
    /// now.
    ///
    /// # Errors
    /// 503 when the result could not be noted.
    pub(super) async fn check_worker(&self, worker: WorkerRow) -> Result<WorkerRow> {
        let answer = self.ask(&worker.url).await;
        let (finding, reason) = judge(&answer, &worker.git_sha);
        let now = self.now();
        let then = next(
            Standing {
                health: worker.health,
                failures: worker.failures,
                successes: worker.successes,
            },
            finding,
        );
        let detail = match answer {
            Answer::Some {
                body: Some(body), ..
            } => Some(kept(body)),
            _ => None,
        };
        let checked = WorkerRow {
            health: then.health,
            health_since: if then.health == worker.health {
                worker.health_since.or(Some(now))
            } else {
                Some(now)
            },
            health_reason: reason,
            // What a worker said last still tells which keys it has, although it does not answer now.
            health_detail: detail.or_else(|| worker.health_detail.clone()),
            failures: then.failures,
            successes: then.successes,
            checked_at: Some(now),
            ..worker.clone()
        };
        let noted = registry::note_check(&checked, worker.checked_at);
        self.database.query(noted).await?;
        tell(&worker, &checked, finding);
        Ok(checked)
    }

    async fn ask(&self, url: &str) -> Answer {
        let url = format!("{}/health", url.trim_end_matches('/'));
        if let Err(refused) = url_guard::check(&url, self.settings.is_local()) {
            return Answer::None(format!("the URL {refused}"));
        }
        let started_ms = self.clock.now_ms();
        let sent = self
            .http
            .send(HttpRequest {
                method: Method::GET,
                url,
                headers: HeaderMap::new(),
                body: axum::body::Bytes::new(),
                timeout_ms: TIMEOUT_MS,
            })
            .await;
        let response = match sent {
            Ok(response) => response,
            Err(failure) if failure.timed_out => {
                return Answer::None(format!("no answer within {TIMEOUT_MS} ms"));
            }
            Err(_) => return Answer::None("no connection".to_owned()),
        };
        let status = response.status;
        let body = match collect(response.body, MAX_BODY_BYTES).await {
            Ok(body) => body,
            Err(ReplyError::TooLarge { .. }) => {
                return Answer::None(format!("the body is over {MAX_BODY_BYTES} bytes"));
            }
            Err(_) => return Answer::None("the body broke off".to_owned()),
        };
        let body = match serde_json::from_slice(&body) {
            Ok(Value::Object(members)) => Some(members),
            _ => None,
        };
        Answer::Some {
            status,
            body,
            took_ms: self.clock.now_ms().saturating_sub(started_ms),
        }
    }
}

/// A worker that fell or recovered is an event for the dashboards.
fn tell(before: &WorkerRow, after: &WorkerRow, finding: Finding) {
    let (was, is) = (
        before.health == Health::Unhealthy,
        after.health == Health::Unhealthy,
    );
    if was != is {
        let place = after
            .instance_id
            .as_ref()
            .map_or("platform", |id| id.as_str());
        tracing::warn!(
            event = logging::Event::Gauge.as_str(),
            name = "worker_unhealthy",
            label = format!("{place}/{}", after.name),
            value = i64::from(is),
            reason = after.health_reason.as_deref().unwrap_or_default(),
            "gauge"
        );
    } else if finding == Finding::Failed {
        tracing::warn!(
            worker = %after.name,
            reason = after.health_reason.as_deref().unwrap_or_default(),
            "a worker did not pass its check"
        );
    }
}

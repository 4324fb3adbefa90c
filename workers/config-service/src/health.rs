//! `GET /health`: whether this deployment has what it needs, without any value of a secret.

use crate::abuse::AbuseGuard;
use crate::deps::Deps;
use crate::memory::OldRows;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use errors::Result;
use http::StatusCode;
use platform::{KvStore, Ports};
use serde_json::json;
use store::control::{api_keys, credentials};

/// Age at which the counts are read again, in milliseconds.
const COUNTS_MS: i64 = 60_000;
/// The least that KV takes for its own cache, in seconds.
const KV_CACHE_S: u64 = 30;

impl<P: Ports, G: AbuseGuard> Deps<P, G> {
    /// The counts, at most 60 s old; also the proof that D1 answers.
    async fn old_rows(&self) -> Result<OldRows> {
        let now = self.now();
        if let Some(rows) = self.memory.old_rows(now, COUNTS_MS) {
            return Ok(rows);
        }
        let kek = self.settings.keks().map_or("", |keks| keks.current_id());
        let pepper = self.settings.peppers().map_or("", |all| all.current().id());
        let results = self
            .read(vec![
                credentials::count_old_keks(kek),
                api_keys::count_old_peppers(pepper, now),
            ])
            .await?;
        let count = |at: usize| {
            let row = results.get(at).and_then(|rows| rows.first());
            row.and_then(|row| row.int("n")).unwrap_or(0)
        };
        let rows = OldRows {
            keks: count(0),
            peppers: count(1),
        };
        self.memory.note_old_rows(now, rows);
        Ok(rows)
    }

    /// Whether KV answers; asked as often as the counts are read.
    async fn kv_answers(&self) -> bool {
        let now = self.now();
        if let Some(answers) = self.memory.kv(now, COUNTS_MS) {
            return answers;
        }
        // No such value: only the answer counts.
        let asked = self.kv.get("health", KV_CACHE_S).await;
        if let Err(error) = &asked {
            tracing::error!(error = %error, "KV does not answer");
        }
        self.memory.note_kv(now, asked.is_ok());
        asked.is_ok()
    }
}

/// 200 when what this worker needs is there: secrets, database, the counter of wrong keys; else 503, missing secrets by
/// name. KV that does not answer is told and is no 503: verdicts and configurations come from the database.
pub(crate) async fn health<P: Ports, G: AbuseGuard>(State(deps): State<Deps<P, G>>) -> Response {
    let rows = deps.old_rows().await;
    let settings = &deps.settings;
    let missing = settings.missing();
    let (kv, guard) = (deps.kv_answers().await, deps.guard.is_bound());
    let good = rows.is_ok() && missing.is_empty() && guard;
    let mut body = json!({
        "status": match (good, kv) {
            (true, true) => "ok",
            (true, false) => "degraded",
            (false, _) => "unhealthy",
        },
        "version": env!("CARGO_PKG_VERSION"),
        "version_id": deps.version_id,
        "git_sha": settings.git_sha,
        "bindings": {
            "DB": if rows.is_ok() { "ok" } else { "error" },
            "CONFIG": if kv { "ok" } else { "error" },
            "AUTH_GUARD": if guard { "ok" } else { "absent" },
            "LOG_SINK": if deps.has_log_sink { "ok" } else { "absent" },
        },
        "kek_ids": settings.keks().map(auth::envelope::Keks::ids).unwrap_or_default(),
        "pepper_ids": settings.peppers().map(auth::hash::Peppers::ids).unwrap_or_default(),
        "old_kek_rows": rows.as_ref().map(|rows| rows.keks).ok(),
        "old_pepper_rows": rows.as_ref().map(|rows| rows.peppers).ok(),
    });
    if let (Some(members), false) = (body.as_object_mut(), missing.is_empty()) {
        members.insert("missing_secrets".into(), json!(missing));
    }
    let status = if good {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, axum::Json(body)).into_response()
}

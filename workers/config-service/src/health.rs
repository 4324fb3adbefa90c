//! `GET /health`: whether this deployment has what it needs, without any value of a secret.

use crate::abuse::AbuseGuard;
use crate::deps::Deps;
use crate::memory::OldRows;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use errors::Result;
use http::StatusCode;
use platform::Ports;
use serde_json::json;
use store::control::{api_keys, credentials};

/// Age at which the counts are read again, in milliseconds.
const COUNTS_MS: i64 = 60_000;

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
}

/// 200 when secrets and database are there; else 503, missing secrets by name.
pub(crate) async fn health<P: Ports, G: AbuseGuard>(State(deps): State<Deps<P, G>>) -> Response {
    let rows = deps.old_rows().await;
    let settings = &deps.settings;
    let missing = settings.missing();
    let good = rows.is_ok() && missing.is_empty();
    let mut body = json!({
        "status": if good { "ok" } else { "unhealthy" },
        "version": env!("CARGO_PKG_VERSION"),
        "version_id": deps.version_id,
        "git_sha": settings.git_sha,
        "bindings": {
            "DB": if rows.is_ok() { "ok" } else { "error" },
            "CONFIG": "ok",
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

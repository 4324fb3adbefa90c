//! The outbox of a limiter object as statements of one atomic batch.
//!
//! In scope: usage, jobs, images and the list of limiter objects. Out of scope: when to flush and what to do when the
//! database is away (rate-limiter).

use api_types::{AttemptState, GenerateJob, JobView, OutboxRow, StoredImage, UsageRow};
use platform::Statement;
use serde_json::{Value, json};

/// D1 takes a bound text of at most 2,000,000 bytes; longer lists are split.
const MAX_PARAMETER_BYTES: usize = 900_000;

/// Columns of one table in the order of its `INSERT`.
struct Table {
    name: &'static str,
    columns: &'static [&'static str],
    on_conflict: &'static str,
}

const USAGE_LOGS: Table = Table {
    name: "usage_logs",
    columns: &[
        "log_id",
        "instance_id",
        "timestamp",
        "provider",
        "tokens_used",
        "cost",
        "org_id",
        "project_id",
        "key_id",
        "job_id",
        "lease_id",
        "attempt_no",
        "request_id",
        "work",
        "model",
        "calls",
        "images",
        "outcome",
        "billed",
        "phase",
        "cost_basis",
        "estimate",
        "overrun",
        "price_version",
        "latency_ms",
    ],
    on_conflict: "ON CONFLICT DO NOTHING",
};

const JOBS: Table = Table {
    name: "jobs",
    columns: &[
        "job_id",
        "instance_id",
        "org_id",
        "project_id",
        "key_id",
        "request_id",
        "kind",
        "state",
        "stage",
        "version",
        "provider",
        "model",
        "object_name",
        "attempts",
        "images_requested",
        "images_stored",
        "estimate",
        "cost",
        "request",
        "result",
        "error",
        "error_code",
        "timeline",
        "cancel_requested",
        "created_at",
        "updated_at",
        "finished_at",
    ],
    on_conflict: "ON CONFLICT (job_id) DO UPDATE SET
  state = excluded.state, stage = excluded.stage, version = excluded.version, provider = excluded.provider,
  model = excluded.model, object_name = excluded.object_name, attempts = excluded.attempts,
  images_stored = excluded.images_stored, estimate = excluded.estimate, cost = excluded.cost,
  result = excluded.result, error = excluded.error, error_code = excluded.error_code,
  timeline = json_patch(jobs.timeline, excluded.timeline), cancel_requested = excluded.cancel_requested,
  updated_at = excluded.updated_at, finished_at = excluded.finished_at
WHERE excluded.version > jobs.version",
};

const IMAGES: Table = Table {
    name: "images",
    columns: &[
        "image_id",
        "job_id",
        "instance_id",
        "project_id",
        "bucket",
        "r2_path",
        "provider",
        "model",
        "prompt",
        "seed",
        "width",
        "height",
        "format",
        "size_bytes",
        "sha256",
        "quality",
        "visibility",
        "tags",
        "cost",
        "created_at",
    ],
    on_conflict: "ON CONFLICT DO NOTHING",
};

const LIMITER_OBJECTS: Table = Table {
    name: "limiter_objects",
    columns: &["name", "instance_id", "provider", "open", "last_flush_at"],
    on_conflict: "ON CONFLICT (name) DO UPDATE SET open = excluded.open, last_flush_at = excluded.last_flush_at
WHERE excluded.last_flush_at >= limiter_objects.last_flush_at",
};

/// The events of an attempt that lost the race to the ledger against its successor: they join the timeline, nothing
/// else of the row changes.
const LATE_TIMELINES: &str =
    "UPDATE jobs SET timeline = json_patch(jobs.timeline, late.value ->> 'timeline')
FROM json_each(?1) AS late
WHERE jobs.job_id = late.value ->> 'job_id' AND jobs.version > late.value ->> 'version'
  AND jobs.attempts > late.value ->> 'attempts'";

impl Table {
    fn insert(&self) -> String {
        let values: Vec<String> = self
            .columns
            .iter()
            .map(|column| format!("value ->> '{column}'"))
            .collect();
        // `WHERE true`: without it SQLite reads the `ON` of `ON CONFLICT` as a join.
        format!(
            "INSERT INTO {} ({}) SELECT {} FROM json_each(?1) WHERE true {}",
            self.name,
            self.columns.join(", "),
            values.join(", "),
            self.on_conflict
        )
    }
}

/// The statements that bring these rows to the ledger: at most one list a table, split only where D1's size limit asks
/// for it. Repeating them, or bringing an older version later, changes nothing.
pub fn flush(rows: &[OutboxRow]) -> Vec<Statement> {
    let mut statements = Vec::new();
    let usage = rows
        .iter()
        .flat_map(|row| row.usage.iter().map(|usage| usage_row(row, usage)));
    push(&mut statements, &USAGE_LOGS.insert(), usage.collect());
    let jobs: Vec<Value> = rows
        .iter()
        .filter_map(|row| Some(job_row(row, &GenerateJob::of(&row.attempt)?)))
        .collect();
    push(&mut statements, &JOBS.insert(), jobs);
    let late = rows.iter().filter(|row| was_passed_on(row)).map(|row| {
        json!({
            "job_id": row.attempt.job_id,
            "version": row.attempt.version,
            "attempts": row.attempt.attempt_no,
            "timeline": timeline(row),
        })
    });
    push(&mut statements, LATE_TIMELINES, late.collect());
    push(
        &mut statements,
        &IMAGES.insert(),
        rows.iter().flat_map(image_rows).collect(),
    );
    push(
        &mut statements,
        &LIMITER_OBJECTS.insert(),
        object_rows(rows),
    );
    statements
}

fn push(statements: &mut Vec<Statement>, sql: &str, rows: Vec<Value>) {
    let mut list = String::new();
    for row in rows {
        let row = row.to_string();
        if !list.is_empty() && list.len() + row.len() > MAX_PARAMETER_BYTES {
            list.push(']');
            statements.push(Statement::new(sql.to_owned()).bind(std::mem::take(&mut list)));
        }
        list.push(if list.is_empty() { '[' } else { ',' });
        list.push_str(&row);
    }
    if !list.is_empty() {
        list.push(']');
        statements.push(Statement::new(sql.to_owned()).bind(list));
    }
}

fn text<T: ToString>(value: Option<&T>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

fn was_passed_on(row: &OutboxRow) -> bool {
    let attempt = &row.attempt;
    attempt.state == AttemptState::Handover
        || (attempt.state == AttemptState::Settled && !attempt.job_state.is_final())
}

fn usage_row(row: &OutboxRow, usage: &UsageRow) -> Value {
    let attempt = &row.attempt;
    let work = match usage.work {
        api_types::Work::Image => "image",
        api_types::Work::Text => "text",
    };
    json!({
        "log_id": format!("{}:{}", attempt.lease_id, usage.phase.as_str()),
        "instance_id": attempt.instance_id,
        // The admission, also for a correction: it corrects the day of the charge.
        "timestamp": attempt.created_at.ms(),
        "provider": attempt.provider,
        "tokens_used": usage.tokens_used,
        "cost": usage.cost_usd_micros,
        "org_id": attempt.org_id,
        "project_id": text(attempt.project_id.as_ref()),
        "key_id": text(attempt.key_id.as_ref()),
        "job_id": attempt.job_id,
        "lease_id": attempt.lease_id,
        "attempt_no": attempt.attempt_no,
        "request_id": attempt.request_id,
        "work": work,
        "model": attempt.model,
        "calls": usage.calls,
        "images": usage.images,
        "outcome": attempt.outcome.map_or("unknown", api_types::Outcome::as_str),
        "billed": usage.billed.as_str(),
        "phase": usage.phase.as_str(),
        "cost_basis": attempt.cost_basis.map_or("none", api_types::CostBasis::as_str),
        "estimate": attempt.estimate_usd_micros,
        "overrun": i32::from(usage.overrun),
        "price_version": usage.price_version.clone().unwrap_or_default(),
        "latency_ms": usage.latency_ms,
    })
}

fn timeline(row: &OutboxRow) -> String {
    json!({ row.attempt.attempt_no.to_string(): row.attempt.timeline }).to_string()
}

fn job_row(row: &OutboxRow, job: &GenerateJob) -> Value {
    let attempt = &row.attempt;
    let view = JobView::of(attempt);
    let stage = view
        .stage
        .and_then(|stage| serde_json::to_value(stage).ok())
        .and_then(|stage| stage.as_str().map(str::to_owned))
        .unwrap_or_default();
    let as_text = |value: Value| {
        if value.is_null() {
            String::new()
        } else {
            value.to_string()
        }
    };
    json!({
        "job_id": view.job_id,
        "instance_id": view.instance_id,
        "org_id": attempt.org_id,
        "project_id": text(view.project_id.as_ref()),
        "key_id": text(attempt.key_id.as_ref()),
        "request_id": view.request_id,
        "kind": "image",
        "state": view.state.as_str(),
        "stage": stage,
        "version": view.version,
        "provider": view.provider,
        "model": view.model,
        "object_name": row.object_name,
        "attempts": view.attempts,
        "images_requested": job.image_ids.len(),
        "images_stored": attempt.images.len(),
        "estimate": view.estimate_usd_micros,
        "cost": view.cost_usd_micros,
        "request": as_text(json!(job.request)),
        "result": as_text(json!(view.result)),
        "error": as_text(json!(view.error)),
        "error_code": view.error.as_ref().map_or("", |error| error.code.as_str()),
        "timeline": timeline(row),
        "cancel_requested": i32::from(view.cancel_requested),
        "created_at": view.created_at.ms(),
        "updated_at": view.updated_at.ms(),
        "finished_at": view.state.is_final().then(|| view.updated_at.ms()),
    })
}

fn image_rows(row: &OutboxRow) -> Vec<Value> {
    let attempt = &row.attempt;
    let Some(job) = GenerateJob::of(attempt) else {
        return Vec::new();
    };
    let count = i64::try_from(attempt.images.len()).unwrap_or(i64::MAX);
    let visibility = match job.visibility {
        api_types::Visibility::Public => "public",
        api_types::Visibility::Private => "private",
    };
    attempt
        .images
        .iter()
        .zip(0_i64..)
        .map(|(image, index)| {
            let (width, height) = dimensions(image);
            json!({
                "image_id": image.image_id,
                "job_id": attempt.job_id,
                "instance_id": attempt.instance_id,
                "project_id": text(attempt.project_id.as_ref()),
                "bucket": image.bucket,
                "r2_path": image.r2_path,
                "provider": attempt.provider,
                "model": attempt.model,
                "prompt": job.request.prompt,
                "seed": image.seed.and_then(|seed| i64::try_from(seed).ok()),
                "width": width,
                "height": height,
                "format": image.format.as_str(),
                "size_bytes": image.size_bytes,
                "sha256": image.sha256,
                "quality": image.quality,
                "visibility": visibility,
                "tags": json!(job.request.tags).to_string(),
                // Shares that add up to the attempt's cost exactly.
                "cost": attempt.cost_usd_micros.map(|cost| cost * (index + 1) / count - cost * index / count),
                "created_at": job.admitted_at.ms(),
            })
        })
        .collect()
}

fn dimensions(image: &StoredImage) -> (u32, u32) {
    image
        .dimensions
        .split_once('x')
        .and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)))
        .unwrap_or((0, 0))
}

fn object_rows(rows: &[OutboxRow]) -> Vec<Value> {
    let mut objects: Vec<(&OutboxRow, i64)> = Vec::new();
    for row in rows {
        let at_ms = row.attempt.updated_at.ms();
        match objects
            .iter_mut()
            .find(|(known, _)| known.object_name == row.object_name)
        {
            Some((_, last)) => *last = (*last).max(at_ms),
            None => objects.push((row, at_ms)),
        }
    }
    objects
        .into_iter()
        .map(|(row, at_ms)| {
            json!({
                "name": row.object_name,
                "instance_id": row.attempt.instance_id,
                "provider": row.attempt.provider,
                "open": row.object_open,
                "last_flush_at": at_ms,
            })
        })
        .collect()
}
